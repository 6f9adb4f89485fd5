/*
 * test_many.c - as many tasks at once as `make test` has time and memory for.
 */
#include <weft.h>

#include "base/san.h"
#include "ctx/slab.h"
#include "t.h"

TestSuite(many, .timeout = 120);

#if defined(WEFT_VALGRIND)
enum { MANY = 1000 };
#elif WEFT__SAN_KEEPS_STACKS
enum { MANY = 3000 }; /* a fiber of ThreadSanitizer's takes 60 KB, and there are 8,128 at most */
#else
enum { MANY = 100000 };
#endif

static long asleep, awake;

static int
sleeper(void *arg)
{
    (void)arg;
    asleep++;
    int rc = weft_sleep(WEFT_SEC(1));
    awake++;
    return rc;
}

static int
all_asleep_at_once(void *arg)
{
    long n = *(long *)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (long i = 0; i < n; i++) {
        int rc = weft_group_spawn(&group, sleeper, NULL);
        if (rc < 0)
            break; /* the group tells */
    }
    weft_time start = weft_now();
    int rc = weft_sleep(WEFT_MS(500));
    if (rc == 0 && (asleep != n || awake != 0))
        rc = -EPROTO;
    int closed = weft_group_close(&group);
    if (closed == 0 && (awake != n || weft_now() - start != WEFT_SEC(1)))
        closed = -ETIME;
    return rc < 0 ? rc : closed;
}

static void
run_many(long n)
{
    asleep = awake = 0;
    T_OK(weft_run(
        all_asleep_at_once, &n,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
    cr_assert_eq(awake, n);
}

Test(many, a_hundred_thousand_tasks_sleep_at_once)
{
    run_many(1); /* shows how this kernel marks guards */
    /* By two mappings a stack: of these there are 65,530 as a rule. */
    run_many(weft__slab_by_mprotect(false) && MANY > 20000 ? 20000 : MANY);
}
