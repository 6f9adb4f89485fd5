/*
 * sync.c - what locks and meeting points cost: alone, and between two loops.
 *
 * Beside each mutex stands pthread_mutex, uncontended on one thread and contended by two: it is
 * what the hardware and the kernel allow, though its waiters block their threads.
 */
#include <pthread.h>

#include <weft/group.h>
#include <weft/run.h>
#include <weft/sync.h>
#include <weft/task.h>

#include "micro/micro.h"

static struct micro m = {.program = "sync",
                         .what = "locks and meeting points, on two CPUs",
                         .repeats = 9,
                         .count = 200000};

static double values[MICRO_REPEATS_MAX];

/* ---- Alone ----------------------------------------------------------------------------------- */

static weft_mutex mutex;
static weft_rwlock rwlock;
static weft_semaphore semaphore;
static weft_limiter limiter;
static weft_event event;
static weft_cond cond;
static weft_once_flag once;
static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;

static int
pair_mutex(void)
{
    int rc = weft_mutex_lock(&mutex);
    if (rc == 0)
        weft_mutex_unlock(&mutex);
    return rc;
}

static int
pair_plain(void)
{
    int rc = -pthread_mutex_lock(&plain);
    if (rc == 0)
        pthread_mutex_unlock(&plain);
    return rc;
}

static int
pair_read(void)
{
    int rc = weft_rwlock_read_lock(&rwlock);
    if (rc == 0)
        weft_rwlock_read_unlock(&rwlock);
    return rc;
}

static int
pair_write(void)
{
    int rc = weft_rwlock_write_lock(&rwlock);
    if (rc == 0)
        weft_rwlock_write_unlock(&rwlock);
    return rc;
}

static int
pair_semaphore(void)
{
    int rc = weft_semaphore_acquire(&semaphore);
    if (rc == 0)
        weft_semaphore_release(&semaphore);
    return rc;
}

static int
pair_limiter(void)
{
    int rc = weft_limiter_acquire(&limiter);
    if (rc == 0)
        weft_limiter_release(&limiter);
    return rc;
}

static int
wait_for_event(void)
{
    return weft_event_wait(&event);
}

static int
succeed(void *arg)
{
    (void)arg;
    return 0;
}

static int
once_again(void)
{
    return weft_once(&once, succeed, NULL);
}

/* Nanoseconds a call. The loop is part of the figure, and in each row the same. */
static double
alone_ns(int (*pair)(void))
{
    long n = m.count * 10;
    int rc = 0;
    int64_t start = micro_now();
    for (long i = 0; i < n; i++)
        rc |= pair();
    int64_t end = micro_now();
    micro_check(&m, "an uncontended call", rc);
    return (double)(end - start) / (double)n;
}

static void
alone(const char *name, double limit, const char *peers, int (*pair)(void))
{
    alone_ns(pair);
    for (long i = 0; i < m.repeats; i++)
        values[i] = alone_ns(pair);
    if (limit > 0)
        micro_row(&m, name, "ns", limit, peers, values, (size_t)m.repeats);
    else
        micro_note(&m, name, "ns", peers, values, (size_t)m.repeats);
}

static void
all_alone(void)
{
    weft_mutex_open(&mutex, &(weft_mutex_options){.local = 1});
    alone("mutex of one loop, uncontended", 8, "", pair_mutex);
    weft_mutex_close(&mutex);
    weft_mutex_open(&mutex, NULL);
    alone("mutex, uncontended", 20, "", pair_mutex);
    alone("limit: pthread_mutex, uncontended", 0, "", pair_plain);

    weft_rwlock_open(&rwlock, NULL);
    alone("rwlock read, uncontended", 0, "", pair_read);
    alone("rwlock write, uncontended", 0, "", pair_write);
    micro_check(&m, "semaphore", weft_semaphore_open(&semaphore, 2));
    alone("semaphore, a permit is free", 0, "", pair_semaphore);
    micro_check(&m, "limiter", weft_limiter_open(&limiter, 2));
    alone("limiter, a token is free", 0, "", pair_limiter);
    weft_event_open(&event);
    weft_event_set(&event);
    alone("event, set", 0, "", wait_for_event);
    alone("once, done", 0, "", once_again);
    weft_rwlock_close(&rwlock);
    weft_semaphore_close(&semaphore);
    weft_limiter_close(&limiter);
    weft_event_close(&event);
}

/* ---- Contended ------------------------------------------------------------------------------- */

static long counter; /* under the mutex */

/* Half of the tasks on each loop; they hold the mutex for an addition. */
#define CROWD 8

static int
add_under_mutex(void *arg)
{
    for (long i = *(long *)arg; i > 0; i--) {
        int rc = weft_mutex_lock(&mutex);
        if (rc < 0)
            return rc;
        counter++;
        weft_mutex_unlock(&mutex);
    }
    return 0;
}

static double
crowd_ns(int tasks)
{
    long each = m.count / tasks;
    counter = 0;
    weft_group group;
    weft_group_open(&group, NULL);
    int64_t start = micro_now();
    for (int i = 0; i < tasks; i++)
        weft_group_spawn_with(&group, add_under_mutex, &each,
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    micro_check(&m, "tasks", weft_group_close(&group));
    int64_t end = micro_now();
    if (counter != each * tasks)
        micro_fail(&m, "counter under the mutex", 0);
    return (double)(end - start) / (double)(each * tasks);
}

static void *
add_under_plain(void *arg)
{
    for (long i = *(long *)arg; i > 0; i--) {
        pthread_mutex_lock(&plain);
        counter++;
        pthread_mutex_unlock(&plain);
    }
    return NULL;
}

static double
plain_ns(void)
{
    long each = m.count / 2;
    counter = 0;
    pthread_t threads[2];
    int64_t start = micro_now();
    for (int i = 0; i < 2; i++)
        micro_check(&m, "thread", -pthread_create(&threads[i], NULL, add_under_plain, &each));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    int64_t end = micro_now();
    if (counter != each * 2)
        micro_fail(&m, "counter under pthread_mutex", 0);
    return (double)(end - start) / (double)(each * 2);
}

static void
contended(void)
{
    static const struct {
        int tasks;
        const char *name;
    } rows[] = {{2, "mutex, a task on each of 2 loops"},
                {CROWD, "mutex, 4 tasks on each of 2 loops"}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        crowd_ns(rows[row].tasks);
        for (long i = 0; i < m.repeats; i++)
            values[i] = crowd_ns(rows[row].tasks);
        micro_note(&m, rows[row].name, "ns", "", values, (size_t)m.repeats);
    }
    for (long i = 0; i < m.repeats; i++)
        values[i] = plain_ns();
    micro_note(&m, "limit: pthread_mutex, 2 threads", "ns", "", values, (size_t)m.repeats);
}

/* ---- Ping-pong ------------------------------------------------------------------------------- */

static struct turns {
    long n; /* even: the caller's turn; under the mutex, or the event's of who may look */
    weft_event to_answer, to_call;
} turns;

static int
is_odd(void *arg)
{
    (void)arg;
    return turns.n % 2 != 0;
}

static int
is_even(void *arg)
{
    (void)arg;
    return turns.n % 2 == 0;
}

/* With the mutex held: waits for its turn, takes it, says so. */
static int
take_turn(int (*mine)(void *arg))
{
    int rc = weft_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    rc = weft_cond_wait_for(&cond, &mutex, mine, NULL);
    if (rc == 0)
        turns.n++;
    weft_mutex_unlock(&mutex);
    weft_cond_notify(&cond);
    return rc;
}

static int
answer_under_cond(void *arg)
{
    int rc = 0;
    for (long i = *(long *)arg; i > 0 && rc == 0; i--)
        rc = take_turn(is_odd);
    return rc;
}

static int
call_under_cond(long trips)
{
    int rc = 0;
    for (long i = 0; i < trips && rc == 0; i++) {
        rc = take_turn(is_even);
    }
    return rc;
}

static int
answer_events(void *arg)
{
    for (long i = *(long *)arg; i > 0; i--) {
        int rc = weft_event_wait(&turns.to_answer);
        if (rc < 0)
            return rc;
        weft_event_clear(&turns.to_answer);
        weft_event_set(&turns.to_call);
    }
    return 0;
}

static int
call_events(long trips)
{
    for (long i = 0; i < trips; i++) {
        weft_event_set(&turns.to_answer);
        int rc = weft_event_wait(&turns.to_call);
        if (rc < 0)
            return rc;
        weft_event_clear(&turns.to_call);
    }
    return 0;
}

static double
trip_ns(weft_task_fn *answer, int (*call)(long trips), int loop)
{
    long trips = m.count / 2;
    turns.n = 0;
    weft_event_open(&turns.to_answer);
    weft_event_open(&turns.to_call);
    weft_cond_open(&cond);
    weft_task *other;
    micro_check(&m, "spawn",
                weft_task_spawn(&other, answer, &trips, &(weft_task_options){.on = WEFT_ON(loop)}));
    int64_t start = micro_now();
    micro_check(&m, "calls", call(trips));
    int64_t end = micro_now();
    int result;
    micro_check(&m, "join", weft_task_join(other, &result));
    micro_check(&m, "answers", result);
    weft_event_close(&turns.to_answer);
    weft_event_close(&turns.to_call);
    weft_cond_close(&cond);
    return (double)(end - start) / (double)trips;
}

static void
trips(const char *name, weft_task_fn *answer, int (*call)(long trips), int loop)
{
    trip_ns(answer, call, loop);
    for (long i = 0; i < m.repeats; i++)
        values[i] = trip_ns(answer, call, loop);
    micro_note(&m, name, "ns", "", values, (size_t)m.repeats);
}

static int
measure(void *arg)
{
    (void)arg;
    all_alone();
    contended();
    trips("event there and back, 1 loop", answer_events, call_events, 0);
    trips("event there and back, 2 loops", answer_events, call_events, 1);
    trips("condition there and back, 1 loop", answer_under_cond, call_under_cond, 0);
    trips("condition there and back, 2 loops", answer_under_cond, call_under_cond, 1);
    weft_mutex_close(&mutex);
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "operations in a repeat; ten times as many where nobody waits");
    if (m.count < CROWD)
        m.count = CROWD;
    if (micro_cpu(1) < 0) {
        printf("sync: needs two CPUs, and this process may use one: nothing measured\n");
        return 0;
    }
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 2, .pin = 1}));
    return micro_end(&m);
}
