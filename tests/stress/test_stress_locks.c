/*
 * test_stress_locks.c - locks and meeting points between two loops and two plain threads, with
 * cancellations at random: what is protected is seen by one at a time, and no wake-up is lost.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/sync.h>

#include "t_stress.h"

TestSuite(stress_locks, .timeout = 120);

#define THREADS 2
#define TASKS 6

static weft_time end;
static uint64_t seed;
static uint32_t wrong, ended_waits;

struct user {
    uint64_t random;
    uint32_t done;
    /* One turn; 0, or the cause that ended a wait in it. */
    int (*turn)(struct user *user);
    void (*leave)(void); /* said when no more turns will come */
};

static void *
turns_of_thread(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        int rc = user->turn(user);
        if (rc < 0 && rc != -EAGAIN && rc != WEFT_E_BARRIER)
            weft__fetch_add(&wrong, 1); /* nothing can end a thread's wait */
    }
    if (user->leave != NULL)
        user->leave();
    weft__store(&user->done, 1);
    return NULL;
}

/* Each turn in a scope that may end at any moment. */
static int
turns_of_task(void *arg)
{
    struct user *user = arg;
    int rc = 0;
    while (rc == 0 && stress_goes_on(end)) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&user->random, 80)));
        if (user->turn(user) < 0)
            weft__fetch_add(&ended_waits, 1);
        weft_ignore(weft_scope_close(&scope));
        rc = weft_yield();
    }
    if (user->leave != NULL)
        user->leave();
    return rc;
}

static struct {
    int (*of_task)(struct user *user);
    int (*of_thread)(struct user *user);
    void (*leave)(void);
} plan;

static int
everybody(void *arg)
{
    (void)arg;
    struct user threads[THREADS], tasks[TASKS];
    pthread_t handles[THREADS];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct user){.random = seed + i, .turn = plan.of_thread, .leave = plan.leave};
        handles[i] = t_thread(turns_of_thread, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i] =
            (struct user){.random = seed + 100 + i, .turn = plan.of_task, .leave = plan.leave};
        weft_group_spawn_with(&group, turns_of_task, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    int rc = weft_group_close(&group);
    for (int i = 0; i < THREADS; i++)
        stress_join(handles[i], &threads[i].done);
    return rc;
}

static void
stress(const char *name, int (*of_task)(struct user *user), int (*of_thread)(struct user *user),
       void (*leave)(void))
{
    seed = stress_seed(name);
    wrong = ended_waits = 0;
    plan.of_task = of_task;
    plan.of_thread = of_thread;
    plan.leave = leave;
    stress_run(everybody, NULL);
    cr_assert(weft__load(&wrong) == 0, "%u times", wrong);
}

/* Sometimes holds what it has for a while. */
static void
dwell(struct user *user)
{
    if (stress_below(&user->random, 8) == 0)
        sched_yield();
}

/* ---- Mutex ----------------------------------------------------------------------------------- */

static weft_mutex mutex;
static uint64_t plain_count; /* no atomic: the mutex is all that protects it */
static uint32_t count;

static int
add_one(struct user *user)
{
    bool only_try = stress_below(&user->random, 8) == 0;
    int rc = only_try ? weft_mutex_try_lock(&mutex) : weft_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    uint64_t before = plain_count;
    dwell(user);
    plain_count = before + 1;
    weft__fetch_add(&count, 1);
    weft_mutex_unlock(&mutex);
    return 0;
}

/* The same, going round meanwhile: others of its loop come to wait. */
static int
add_one_and_yield(struct user *user)
{
    int rc = weft_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    uint64_t before = plain_count;
    if (stress_below(&user->random, 4) == 0)
        weft_ignore(weft_yield());
    plain_count = before + 1;
    weft__fetch_add(&count, 1);
    weft_mutex_unlock(&mutex);
    return 0;
}

Test(stress_locks, a_mutex_loses_no_addition)
{
    weft_mutex_open(&mutex, NULL);
    plain_count = count = 0;
    stress("mutex", add_one_and_yield, add_one, NULL);
    weft_mutex_close(&mutex); /* asserts that nobody holds it, or is in line */
    cr_assert(plain_count == count);
    fprintf(stderr, "stress: %u turns, %u waits ended\n", count, ended_waits);
    cr_assert(count > 50 && ended_waits > 0);
}

/* ---- Semaphore and condition ------------------------------------------------------------------
 *
 * A store of three places: tasks put things in, and only the threads take them out, so each thing
 * needs a notification that reaches one of them. Other tasks get in line for no more than a moment,
 * and pass on what they are told: were one of them told and cancelled at once, a thing would lie
 * there while a thread sleeps. */

#define PLACES 3

static weft_semaphore places;
static weft_cond filled;
static uint32_t stored; /* this and the next three under the mutex */
static uint32_t n_put, n_taken;
static bool finished;

static int
put_one(struct user *user)
{
    (void)user;
    int rc = weft_semaphore_acquire(&places);
    if (rc < 0)
        return rc;
    rc = weft_mutex_lock(&mutex);
    if (rc < 0) {
        weft_semaphore_release(&places);
        return rc;
    }
    if (++stored > PLACES)
        weft__fetch_add(&wrong, 1);
    n_put++;
    weft_mutex_unlock(&mutex);
    weft_cond_notify(&filled);
    return 0;
}

static int
be_in_the_way(struct user *user)
{
    (void)user;
    int rc = weft_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    rc = weft_cond_wait(&filled, &mutex);
    weft_mutex_unlock(&mutex);
    if (rc == 0)
        weft_cond_notify(&filled);
    return rc;
}

static int
put_one_or_be_in_the_way(struct user *user)
{
    return stress_below(&user->random, 2) == 0 ? put_one(user) : be_in_the_way(user);
}

static int
something_is_there(void *arg)
{
    (void)arg;
    return stored > 0 || finished;
}

static void *
take_all(void *arg)
{
    struct user *user = arg;
    for (bool last = false; !last;) {
        if (weft_mutex_lock(&mutex) < 0 ||
            weft_cond_wait_for(&filled, &mutex, something_is_there, NULL) < 0)
            abort(); /* nothing can end a thread's wait */
        last = stored == 0;
        if (!last) {
            stored--;
            n_taken++;
        }
        weft_mutex_unlock(&mutex);
        if (!last)
            weft_semaphore_release(&places);
    }
    weft__store(&user->done, 1);
    return NULL;
}

/* Nobody puts any more: what is there was announced, and is taken without another word. */
static bool
all_is_taken(void)
{
    for (int i = 0; i < 2000; i++) {
        T_OK(weft_mutex_lock(&mutex));
        bool all = stored == 0;
        weft_mutex_unlock(&mutex);
        if (all)
            return true;
        T_OK(weft_sleep(WEFT_MS(1)));
    }
    return false;
}

static int
put_and_take(void *arg)
{
    struct user threads[THREADS], tasks[TASKS];
    pthread_t handles[THREADS];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct user){.done = 0};
        handles[i] = t_thread(take_all, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i] = (struct user){.random = seed + 100 + i, .turn = put_one_or_be_in_the_way};
        weft_group_spawn_with(&group, turns_of_task, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    T_OK(weft_group_close(&group));
    *(bool *)arg = all_is_taken();
    T_OK(weft_mutex_lock(&mutex));
    finished = true;
    weft_mutex_unlock(&mutex);
    weft_cond_notify_all(&filled);
    for (int i = 0; i < THREADS; i++)
        stress_join(handles[i], &threads[i].done);
    return 0;
}

Test(stress_locks, a_condition_loses_no_wake_up)
{
    seed = stress_seed("condition");
    weft_mutex_open(&mutex, NULL);
    weft_cond_open(&filled);
    T_OK(weft_semaphore_open(&places, PLACES));
    stored = n_put = n_taken = wrong = ended_waits = 0;
    finished = false;
    bool all = false;
    stress_run(put_and_take, &all);
    cr_assert(all, "things lay there while threads slept");
    cr_assert(weft__load(&wrong) == 0);
    cr_assert(n_put == n_taken);
    for (uint32_t i = 0; i < PLACES; i++)
        T_OK(weft_semaphore_try_acquire(&places));
    T_ERR(-EAGAIN, weft_semaphore_try_acquire(&places));
    weft_cond_close(&filled); /* asserts that nobody waits */
    weft_semaphore_close(&places);
    weft_mutex_close(&mutex);
    fprintf(stderr, "stress: %u put, %u waits ended\n", n_put, ended_waits);
    cr_assert(n_taken > 50 && ended_waits > 0);
}

/* ---- Barrier: a round is passed by all or by nobody ------------------------------------------ */

#define PARTIES (THREADS + TASKS)

static weft_barrier barrier;
static uint32_t passed[PARTIES]; /* by place */
static uint32_t broken, leaving;

static int
meet(struct user *user)
{
    (void)user;
    int rc = weft_barrier_wait(&barrier);
    if (rc >= 0) {
        weft__fetch_add(&passed[rc], 1);
        return 0;
    }
    if (rc == WEFT_E_BARRIER) { /* who broke it mends it */
        weft_ignore(weft_yield());
        return rc;
    }
    weft__fetch_add(&broken, 1);
    weft_barrier_reset(&barrier);
    /* Pairs with leave_barrier: either it breaks what was just mended, or this does. */
    if (weft__load(&leaving))
        weft_barrier_abort(&barrier);
    return rc;
}

static void
leave_barrier(void)
{
    weft__store(&leaving, 1);
    weft_barrier_abort(&barrier);
}

/* Not every turn: all of them have to come before one of their deadlines. */
static int
meet_in_time(struct user *user)
{
    weft_scope shield;
    bool patient = stress_below(&user->random, 64) != 0;
    weft_shield_open(&shield, patient ? WEFT_FOREVER : weft_now() + WEFT_US(20));
    int rc = meet(user);
    weft_ignore(weft_scope_close(&shield));
    return rc;
}

Test(stress_locks, a_barrier_lets_all_through_or_nobody)
{
    T_OK(weft_barrier_open(&barrier, PARTIES));
    memset(passed, 0, sizeof passed);
    broken = leaving = 0;
    stress("barrier", meet_in_time, meet, leave_barrier);
    weft_barrier_close(&barrier); /* asserts that nobody waits */
    for (int i = 1; i < PARTIES; i++)
        cr_assert(passed[i] == passed[0], "%u were at place %d and %u at place 0", passed[i], i,
                  passed[0]);
    fprintf(stderr, "stress: %u rounds, %u times broken\n", passed[0], broken);
    cr_assert(passed[0] > 10 && broken > 0);
}

/* ---- Rwlock ---------------------------------------------------------------------------------- */

static weft_rwlock rwlock;
static uint64_t left, right; /* the same, for whoever may read */
static uint32_t reads, writes;

static int
read_or_write(struct user *user)
{
    bool only_try = stress_below(&user->random, 8) == 0;
    if (stress_below(&user->random, 4) == 0) {
        int rc = only_try ? weft_rwlock_try_write_lock(&rwlock) : weft_rwlock_write_lock(&rwlock);
        if (rc < 0)
            return rc;
        left++;
        dwell(user);
        right++;
        weft__fetch_add(&writes, 1);
        weft_rwlock_write_unlock(&rwlock);
        return 0;
    }
    int rc = only_try ? weft_rwlock_try_read_lock(&rwlock) : weft_rwlock_read_lock(&rwlock);
    if (rc < 0)
        return rc;
    uint64_t seen = left;
    dwell(user);
    if (stress_below(&user->random, 4) == 0)
        weft_ignore(weft_yield());
    if (right != seen)
        weft__fetch_add(&wrong, 1);
    weft__fetch_add(&reads, 1);
    weft_rwlock_read_unlock(&rwlock);
    return 0;
}

Test(stress_locks, an_rwlock_lets_nobody_see_a_write_half_done)
{
    weft_rwlock_open(&rwlock, NULL);
    left = right = 0;
    reads = writes = 0;
    stress("rwlock", read_or_write, read_or_write, NULL);
    weft_rwlock_close(&rwlock); /* asserts that nobody holds it, or is in line */
    cr_assert(left == writes && right == writes);
    fprintf(stderr, "stress: %u reads, %u writes, %u waits ended\n", reads, writes, ended_waits);
    cr_assert(reads > 50 && writes > 50 && ended_waits > 0);
}

/* ---- Limiter --------------------------------------------------------------------------------- */

#define TOKENS 3

static weft_limiter limiter;
static uint32_t lent, loans;

static int
borrow(struct user *user)
{
    /* Between one and all: nobody waits for ever for want of a total. */
    if (stress_below(&user->random, 16) == 0)
        weft_limiter_set_total(&limiter, 1 + stress_below(&user->random, TOKENS));
    bool own = stress_below(&user->random, 2) == 0;
    int rc = own ? weft_limiter_acquire(&limiter) : weft_limiter_acquire_for(&limiter, user);
    if (rc < 0)
        return rc;
    if (weft__fetch_add(&lent, 1) + 1 > TOKENS)
        weft__fetch_add(&wrong, 1);
    dwell(user);
    weft__fetch_add(&loans, 1);
    weft__fetch_sub(&lent, 1);
    if (own)
        weft_limiter_release(&limiter);
    else
        weft_limiter_release_for(&limiter, user);
    return 0;
}

Test(stress_locks, a_limiter_gets_all_its_tokens_back)
{
    T_OK(weft_limiter_open(&limiter, TOKENS));
    lent = loans = 0;
    stress("limiter", borrow, borrow, NULL);
    weft_limiter_stats stats;
    weft_limiter_stats_get(&limiter, &stats);
    cr_assert(stats.borrowed == 0 && stats.waiting == 0);
    weft_limiter_close(&limiter);
    fprintf(stderr, "stress: %u loans, %u waits ended\n", loans, ended_waits);
    cr_assert(loans > 50 && ended_waits > 0);
}
