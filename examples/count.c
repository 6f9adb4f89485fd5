/*
 * count.c - the same function called three times, and run as three tasks.
 *
 * asyncio: the first example of every introduction, count() with asyncio.sleep(1) under gather().
 * The order of the output is the point. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
count(void *arg)
{
    (void)arg;
    printf("One\n");
    int rc = weft_sleep(WEFT_SEC(1));
    if (rc < 0)
        return rc;
    printf("Two\n");
    return 0;
}

static int
at_once(void)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, count, NULL);
    return weft_group_close(&group);
}

static int
one_by_one(void)
{
    for (int i = 0; i < 3; i++) {
        int rc = count(NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
measure(const char *title, int (*version)(void))
{
    printf("%s:\n", title);
    weft_time start = weft_now();
    int rc = version();
    printf("%s took %.2f s\n", title, (double)(weft_now() - start) / 1e9);
    return rc;
}

static int
both(void *arg)
{
    (void)arg;
    int rc = measure("asynchronous", at_once);
    if (rc < 0)
        return rc;
    return measure("synchronous", one_by_one);
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(both, NULL, &options) < 0;
}
