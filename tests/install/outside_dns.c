/*
 * outside_dns.c - a name of the hosts file, looked up by libweft-dns: outside_dns NAME ADDRESS. A
 * program outside; C11 and C++17 alike.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
look_up(void *arg)
{
    char **args = (char **)arg;
    weft_dns *dns;
    int rc = weft_dns_new(&dns, NULL);
    if (rc < 0)
        return rc;
    weft_resolver resolver = weft_dns_resolver(dns);
    weft_resolve_options options;
    weft_addresses found;
    memset(&options, 0, sizeof options);
    memset(&found, 0, sizeof found);
    options.resolver = &resolver;
    options.family = AF_INET;
    rc = weft_resolve(args[1], NULL, &options, &found);
    if (rc == 0) {
        char text[WEFT_ADDRESS_TEXT];
        const char *got = weft_address_format(&found.items[0], text, sizeof text);
        printf("%s: %s\n", args[1], got);
        rc = strcmp(got, args[2]) == 0 ? 0 : -EINVAL;
    }
    weft_addresses_free(&found);
    weft_dns_free(dns);
    return rc;
}

int
main(int argc, char **argv)
{
    int rc = argc == 3 ? weft_run(look_up, argv, NULL) : -EINVAL;
    if (rc < 0)
        fprintf(stderr, "%s. %s\n", weft_strerror(rc), weft_error_text());
    return rc < 0;
}
