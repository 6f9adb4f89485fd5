/*
 * t_stress.h - what the stress tests share: two loops with the real clock, two plain threads, a
 * seed that is printed, and a time to stop.
 *
 * A stress test looks for what no order of ours provokes. Its invariants hold at every moment, so
 * it may stop at any: it runs for stress_ns() and counts what it did. WEFT_STRESS_MS in the
 * environment makes that longer, up to the suites' own limit.
 */
#ifndef WEFT_TESTS_STRESS_T_STRESS_H
#define WEFT_TESTS_STRESS_T_STRESS_H

#include <inttypes.h>
#include <stdlib.h>

#include "task/t_core.h"
#include "base/random.h"
#include "base/sys.h"

static inline weft_time
stress_ns(void)
{
    const char *text = getenv("WEFT_STRESS_MS");
    long ms = text != NULL ? strtol(text, NULL, 10) : 0;
    return WEFT_MS(ms > 0 ? ms : 700);
}

/* The seed of this run: another one each time, unless WEFT_SEED says which. */
static inline uint64_t
stress_seed(const char *name)
{
    const char *text = getenv("WEFT_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)weft__sys_monotonic();
    fprintf(stderr, "stress: %s: seed %" PRIu64 "\n", name, seed);
    return seed;
}

static inline bool
stress_goes_on(weft_time end)
{
    return weft__sys_monotonic() < end;
}

/* A number below n from the caller's own state. */
static inline uint32_t
stress_below(uint64_t *random, uint32_t n)
{
    return (uint32_t)(weft__splitmix(random) % n);
}

static inline void
stress_run(weft_task_fn *fn, void *arg)
{
    t_run_loops(fn, arg, 2);
}

/* Lets the caller's loop run until a plain thread has set the flag, and joins it. */
static inline void
stress_join(pthread_t thread, uint32_t *done)
{
    while (!weft__load(done))
        T_OK(weft_sleep(WEFT_MS(1)));
    t_thread_join(thread);
}

#endif
