/*
 * fetches.c - three fetches of 2, 1 and 3 s: 6 s one after another, 3 s at once.
 *
 * asyncio: gather() returns results in the order of the call, whoever was first. The fetches are
 * simulated by sleeping. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

struct fetch {
    const char *url;
    int seconds;
    char body[64];
};

static int
fetch(void *arg)
{
    struct fetch *f = arg;
    printf("fetching %s\n", f->url);
    int rc = weft_sleep(WEFT_SEC(f->seconds));
    if (rc < 0)
        return rc;
    printf("got %s\n", f->url);
    snprintf(f->body, sizeof f->body, "body of %s", f->url);
    return 0;
}

static void
print_results(const char *title, const struct fetch *fetches, weft_time start)
{
    printf("%s: %.2f s\n", title, (double)(weft_now() - start) / 1e9);
    for (int i = 0; i < 3; i++)
        printf("  %s\n", fetches[i].body);
}

static int
both_ways(void *arg)
{
    (void)arg;
    struct fetch fetches[] = {
        {.url = "/a", .seconds = 2}, {.url = "/b", .seconds = 1}, {.url = "/c", .seconds = 3}};
    weft_time start = weft_now();
    for (int i = 0; i < 3; i++) {
        int rc = fetch(&fetches[i]);
        if (rc < 0)
            return rc;
    }
    print_results("synchronous", fetches, start);

    start = weft_now();
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, fetch, &fetches[i]);
    int rc = weft_group_close(&group);
    if (rc < 0)
        return rc;
    print_results("asynchronous", fetches, start);
    return 0;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(both_ways, NULL, &options) < 0;
}
