/*
 * deadline.c - deadlines belong to regions, not to calls; they nest, and groups have them too.
 *
 * asyncio: timeout(), wait_for(). Closing a scope tells whether it was this scope's own deadline
 * that ended a call inside. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
work(void *arg)
{
    return weft_sleep(*(weft_time *)arg);
}

/* Works under a deadline: 0 in time, -ETIMEDOUT too late, else what ended an outer region. */
static int
work_within(weft_time limit, weft_time duration)
{
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + limit);
    int rc = work(&duration);
    int verdict = weft_scope_close(&scope);
    printf("%d s of work within %d s: %s\n", (int)(duration / WEFT_SEC(1)),
           (int)(limit / WEFT_SEC(1)), verdict < 0 ? weft_strerror(verdict) : weft_strerror(rc));
    return verdict == -ETIMEDOUT ? 0 : rc; /* ours is dealt with, an outer one travels up */
}

static int
nested(void)
{
    weft_time duration = WEFT_SEC(30);
    weft_scope outer, inner;
    weft_scope_open(&outer, weft_now() + WEFT_SEC(2));
    weft_scope_open(&inner, weft_now() + WEFT_SEC(5));
    int rc = work(&duration);
    printf("nested, 5 s inside 2 s: work says %s,", weft_errname(rc));
    printf(" the inner scope %s,", weft_errname(weft_scope_close(&inner)));
    printf(" the outer one %s\n", weft_errname(weft_scope_close(&outer)));
    return 0;
}

static int
grouped(void)
{
    static weft_time durations[] = {WEFT_SEC(1), WEFT_SEC(2), WEFT_SEC(60)};
    weft_time start = weft_now();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_SEC(10)});
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, work, &durations[i]);
    int rc = weft_group_close(&group);
    printf("a group with a timeout: %s after %.2f s\n", weft_errname(rc),
           (double)(weft_now() - start) / 1e9);
    return 0;
}

static int
all(void *arg)
{
    (void)arg;
    int rc = work_within(WEFT_SEC(2), WEFT_SEC(1));
    if (rc == 0)
        rc = work_within(WEFT_SEC(2), WEFT_SEC(3));
    if (rc == 0)
        rc = nested();
    if (rc == 0)
        rc = grouped();
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(all, NULL, &options) < 0;
}
