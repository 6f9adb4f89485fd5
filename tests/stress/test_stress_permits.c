/*
 * test_stress_permits.c - a semaphore between two loops and two plain threads, with cancellations
 * at random: permits are conserved, and never are more out than there are.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/sync.h>

#include "t_stress.h"

TestSuite(stress_permits, .timeout = 120);

#define PERMITS 2
#define TASKS 8

static weft_semaphore sem;
static uint32_t out, wrong, turns, ended_waits;
static weft_time end;
static uint64_t seed;

static void
use_permit(void)
{
    if (weft__fetch_add(&out, 1) + 1 > PERMITS)
        weft__fetch_add(&wrong, 1);
    weft__fetch_add(&turns, 1);
}

static void
give_back(void)
{
    weft__fetch_sub(&out, 1);
    weft_semaphore_release(&sem);
}

struct user {
    uint64_t random;
    uint32_t done;
};

static void *
use_from_thread(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        int rc = stress_below(&user->random, 4) == 0 ? weft_semaphore_try_acquire(&sem)
                                                     : weft_semaphore_acquire(&sem);
        if (rc < 0)
            continue;
        use_permit();
        if (stress_below(&user->random, 16) == 0)
            sched_yield();
        give_back();
    }
    weft__store(&user->done, 1);
    return NULL;
}

/* Each turn in a scope that may end at any moment. */
static int
use_from_task(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&user->random, 60)));
        int rc = weft_semaphore_acquire(&sem);
        if (rc == 0) {
            use_permit();
            if (stress_below(&user->random, 4) == 0)
                weft_ignore(weft_yield());
            give_back();
        } else {
            weft__fetch_add(&ended_waits, 1);
        }
        weft_ignore(weft_scope_close(&scope));
        rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Tasks that are cancelled as a whole, by another one, on either loop. */
static int
wait_and_use(void *arg)
{
    (void)arg;
    int rc = weft_semaphore_acquire(&sem);
    if (rc < 0)
        return rc;
    use_permit();
    rc = weft_yield();
    give_back();
    return rc;
}

static int
spawn_and_cancel(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        weft_task *task;
        int on = WEFT_ON((int)stress_below(&user->random, 2));
        int rc = weft_task_spawn(&task, wait_and_use, NULL, &(weft_task_options){.on = on});
        if (rc < 0)
            return rc;
        if (stress_below(&user->random, 2) == 0)
            rc = weft_sleep(WEFT_US(stress_below(&user->random, 30)));
        weft_task_cancel(task);
        int joined = weft_task_join(task, NULL);
        if (rc < 0 || joined < 0)
            return rc < 0 ? rc : joined;
    }
    return 0;
}

static int
use_from_everywhere(void *arg)
{
    (void)arg;
    struct user threads[2], tasks[TASKS];
    pthread_t handles[2];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = (struct user){.random = seed + i};
        handles[i] = t_thread(use_from_thread, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i] = (struct user){.random = seed + 100 + i};
        weft_group_spawn_with(&group, i % 4 == 3 ? spawn_and_cancel : use_from_task, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    int rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        stress_join(handles[i], &threads[i].done);
    return rc;
}

Test(stress_permits, are_conserved_whoever_is_cancelled)
{
    seed = stress_seed("permits");
    T_OK(weft_semaphore_open(&sem, PERMITS));
    stress_run(use_from_everywhere, NULL);
    cr_assert(weft__load(&wrong) == 0, "%u times too many were out", wrong);
    for (int i = 0; i < PERMITS; i++)
        T_OK(weft_semaphore_try_acquire(&sem));
    T_ERR(-EAGAIN, weft_semaphore_try_acquire(&sem));
    weft_semaphore_close(&sem);
    fprintf(stderr, "stress: %u turns, %u waits ended\n", turns, ended_waits);
    cr_assert(turns > 50 && ended_waits > 0);
}
