/*
 * hello.c - the smallest program: two tasks in a group, on one loop per core.
 */
#include <stdio.h>

#include <weft.h>

static int
greet(void *name)
{
    int rc = weft_sleep(WEFT_MS(100)); /* the task waits, not the thread */
    if (rc == 0)
        printf("hello, %s\n", (char *)name);
    return rc;
}

static int
greet_both(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, greet, "warp");
    weft_group_spawn(&group, greet, "weft");
    return weft_group_close(&group); /* waits for both */
}

int
main(void)
{
    return weft_run(greet_both, NULL, NULL) < 0;
}
