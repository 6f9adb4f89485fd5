/*
 * test_stress_rate.c - a rate limiter, and a debouncer, between two loops and two plain threads
 * with waits that end at random: never more tokens than have come, and no event lost or doubled.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/rate.h>

#include "t_stress.h"

TestSuite(stress_rate, .timeout = 120);

#define PER_SECOND 100000
#define BURST 8
#define TASKS 8

struct user {
    uint64_t random;
    uint32_t done;
};

static weft_rate rate;
static weft_debounce debounce;
static uint32_t taken, ended_waits, hits;
static weft_time end;
static uint64_t seed;

static void *
take_from_thread(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        uint32_t n = stress_below(&user->random, BURST + 1);
        int rc = stress_below(&user->random, 3) == 0 ? weft_rate_try_acquire(&rate, n)
                                                     : weft_rate_acquire(&rate, n);
        if (rc == 0)
            weft__fetch_add(&taken, n);
        weft_debounce_hit(&debounce);
        weft__fetch_add(&hits, 1);
    }
    weft__store(&user->done, 1);
    return NULL;
}

static int
take_from_task(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        uint32_t n = stress_below(&user->random, BURST + 1);
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&user->random, 800)));
        int rc = weft_rate_acquire(&rate, n);
        weft__fetch_add(rc == 0 ? &taken : &ended_waits, rc == 0 ? n : 1);
        weft_ignore(weft_scope_close(&scope));
        if (stress_below(&user->random, 4) == 0) {
            weft_debounce_hit(&debounce);
            weft__fetch_add(&hits, 1);
        }
        rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static uint32_t counted, quiet_times;

/* Counts all events, in waits that mostly end early. */
static int
count_events(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&user->random, 400)));
        int rc = weft_debounce_wait(&debounce);
        if (rc > 0) {
            counted += (uint32_t)rc;
            quiet_times++;
        }
        weft_ignore(weft_scope_close(&scope));
        rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
take_from_everywhere(void *arg)
{
    (void)arg;
    struct user threads[2], tasks[TASKS];
    pthread_t handles[2];
    weft_time start = weft__sys_monotonic();
    T_OK(weft_rate_open(&rate, &(weft_rate_options){.tokens = PER_SECOND, .burst = BURST}));
    weft_debounce_open(&debounce, WEFT_US(5), WEFT_US(300));
    end = start + stress_ns();
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = (struct user){.random = seed + i};
        handles[i] = t_thread(take_from_thread, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i] = (struct user){.random = seed + 100 + i};
        weft_group_spawn_with(&group, i == 0 ? count_events : take_from_task, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    int rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        stress_join(handles[i], &threads[i].done);
    weft_time elapsed = weft__sys_monotonic() - start;
    cr_assert(taken <= BURST + elapsed / (WEFT_SEC(1) / PER_SECOND), "%u in %lld ns", taken,
              (long long)elapsed);
    if (counted < hits) {
        int last = weft_debounce_wait(&debounce);
        cr_assert(last > 0);
        counted += (uint32_t)last;
    }
    return rc;
}

Test(stress_rate, gives_no_more_than_has_come_and_loses_no_event)
{
    seed = stress_seed("rate");
    stress_run(take_from_everywhere, NULL);
    cr_assert(counted == hits, "%u counted of %u", counted, hits);
    weft_rate_close(&rate);
    weft_debounce_close(&debounce);
    fprintf(stderr, "stress: %u tokens, %u waits ended, %u events in %u\n", taken, ended_waits,
            hits, quiet_times);
    cr_assert(taken > 50 && ended_waits > 0 && hits > 0);
}
