/*
 * shield.c - critical work of 3 s under a deadline of 1 s: who waits gives up, the work does not.
 *
 * asyncio: shield(). A task spawned outside the scope is not in its reach; only the waiting is.
 * Virtual clock; --real waits in earnest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft.h>

static weft_time start;

static double
seconds(void)
{
    return (double)(weft_now() - start) / 1e9;
}

static int
critical(void *arg)
{
    (void)arg;
    printf("%.0f s: critical work begins\n", seconds());
    int rc = weft_sleep(WEFT_SEC(3));
    if (rc < 0)
        return rc;
    printf("%.0f s: critical work ends\n", seconds());
    return 42;
}

static int
impatient(void *arg)
{
    (void)arg;
    start = weft_now();
    weft_task *task;
    int result = 0;
    int rc = weft_task_spawn(&task, critical, NULL, NULL);
    if (rc < 0)
        return rc;

    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_SEC(1));
    rc = weft_shield(task, &result);
    if (weft_scope_close(&soon) == -ETIMEDOUT) {
        printf("%.0f s: the deadline has passed, the work goes on\n", seconds());
        rc = weft_shield(task, &result); /* now with all the time it needs */
    }
    if (rc == 0)
        printf("%.0f s: its result is %d\n", seconds(), result);
    weft_task_close(task);
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(impatient, NULL, &options) < 0;
}
