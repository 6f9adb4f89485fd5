/*
 * resolve.c - looks several names up at the same time and prints their addresses, in order.
 *
 * asyncio: gather() of loop.getaddrinfo(). resolve [-d] NAME...; with -d the DNS is asked from the
 * loop itself (libweft-dns), else getaddrinfo(3) on threads.
 * Exit status 0; 1 when a name was not found, or trouble; 2 for wrong arguments.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

static bool all_found = true;

struct name {
    const char *host;
    const weft_resolver *resolver;
    weft_addresses found;
    int rc;
    char why[192];
};

static int
look_up(void *arg)
{
    struct name *name = arg;
    name->rc = weft_resolve(name->host, NULL, &(weft_resolve_options){.resolver = name->resolver},
                            &name->found);
    if (name->rc < 0)
        snprintf(name->why, sizeof name->why, "%s", weft_error_text());
    return 0; /* a name that is not found does not end the search for others */
}

static void
print(struct name *name)
{
    if (name->rc < 0)
        fprintf(stderr, "resolve: %s. %s\n", weft_strerror(name->rc), name->why);
    for (size_t i = 0; i < name->found.n; i++) {
        char text[WEFT_ADDRESS_TEXT];
        printf("%s: %s\n", name->host,
               weft_address_format(&name->found.items[i], text, sizeof text));
    }
    weft_addresses_free(&name->found);
}

static int
look_all_up(void *arg)
{
    char **hosts = arg;
    weft_dns *dns = NULL;
    weft_resolver resolver;
    bool ask_dns = *hosts != NULL && strcmp(*hosts, "-d") == 0;
    if (ask_dns) {
        int rc = weft_dns_new(&dns, &(weft_dns_options){.timeout = WEFT_SEC(1), .tries = 2});
        if (rc < 0)
            return rc;
        resolver = weft_dns_resolver(dns);
        hosts++;
    }
    size_t n = 0;
    while (hosts[n] != NULL)
        n++;
    struct name *names = calloc(n + 1, sizeof *names);
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_SEC(10)});
    for (size_t i = 0; names != NULL && i < n; i++) {
        names[i] = (struct name){.host = hosts[i], .resolver = ask_dns ? &resolver : NULL};
        weft_group_spawn(&group, look_up, &names[i]);
    }
    int rc = weft_group_close(&group);
    for (size_t i = 0; names != NULL && i < n; i++) {
        print(&names[i]);
        all_found = all_found && names[i].rc == 0;
    }
    free(names);
    weft_dns_free(dns);
    return rc;
}

int
main(int argc, char **argv)
{
    if (argc < 2 || (argv[1][0] == '-' && (strcmp(argv[1], "-d") != 0 || argc < 3))) {
        fprintf(stderr, "usage: resolve [-d] NAME...\n");
        return 2;
    }
    int rc = weft_run(look_all_up, argv + 1, &(weft_options){.loops = 1});
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "resolve: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    return rc < 0 || !all_found;
}
