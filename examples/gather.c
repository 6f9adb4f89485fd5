/*
 * gather.c - two tasks of 2 s: 4 s one after the other, 2 s together.
 *
 * asyncio: gather() against two awaits in a row. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

struct work {
    const char *name;
    int result; /* tasks hand their results over in what they were given */
};

static int
work(void *arg)
{
    struct work *w = arg;
    printf("%s begins\n", w->name);
    int rc = weft_sleep(WEFT_SEC(2));
    if (rc < 0)
        return rc;
    printf("%s ends\n", w->name);
    w->result = (int)strlen(w->name);
    return 0;
}

static int
compare(void *arg)
{
    (void)arg;
    struct work works[] = {{.name = "first"}, {.name = "second"}};

    weft_time start = weft_now();
    for (int i = 0; i < 2; i++) {
        int rc = work(&works[i]);
        if (rc < 0)
            return rc;
    }
    printf("one after the other: %.2f s\n", (double)(weft_now() - start) / 1e9);

    start = weft_now();
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 2; i++)
        weft_group_spawn(&group, work, &works[i]);
    int rc = weft_group_close(&group);
    if (rc < 0)
        return rc;
    printf("together: %.2f s, results %d and %d\n", (double)(weft_now() - start) / 1e9,
           works[0].result, works[1].result);
    return 0;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(compare, NULL, &options) < 0;
}
