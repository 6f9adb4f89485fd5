/*
 * libuv.c - libuv's share of `make rivals`: the cases of bench/micro, as one writes them with it.
 *
 * libuv [CASE...] prints "CASE NS" for each case, or for all: the median of several repeats, in
 * nanoseconds per operation. Who runs it binds the process to one CPU for the cases of one loop.
 *
 * libuv has callbacks and no tasks, so there is nothing to yield, spawn, join or gather, and no
 * future or queue on one loop either. Between loops one sends with uv_async_send, and what is sent
 * stands in a queue of the program's own, under a mutex.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#define REPEATS 5
#define TIMERS 100000 /* live at once */
#define IN_FLIGHT 1000
#define ROOM 128 /* of a queue between threads */

static void
check(const char *what, int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "libuv: %s: %s\n", what, uv_strerror(rc));
    exit(1);
}

static void
wrong(const char *what)
{
    fprintf(stderr, "libuv: wrong result: %s\n", what);
    exit(1);
}

static double
since(uint64_t begun, long n)
{
    return (double)(uv_hrtime() - begun) / (double)n;
}

/* ---- On one loop -------------------------------------------------------------------------- */

/* Nobody else wants it. */
static double
mutex_ns(void)
{
    enum { LOCKS = 5000000 };
    static long counted;
    uv_mutex_t mutex;
    check("mutex", uv_mutex_init(&mutex));
    counted = 0;
    uint64_t begun = uv_hrtime();
    for (long i = 0; i < LOCKS; i++) {
        uv_mutex_lock(&mutex);
        counted++;
        uv_mutex_unlock(&mutex);
    }
    double ns = since(begun, LOCKS);
    uv_mutex_destroy(&mutex);
    return ns;
}

static void
fire(uv_timer_t *timer)
{
    (void)timer;
    wrong("a timer fired");
}

/* All are started and then all are stopped, an hour and more before they would fire. */
static double
timer_ns(void)
{
    static uv_timer_t timers[TIMERS];
    static uint64_t delays_ms[TIMERS];
    uint64_t random = 0x9e3779b97f4a7c15u;
    uv_loop_t loop;
    check("loop", uv_loop_init(&loop));
    for (long i = 0; i < TIMERS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        delays_ms[i] = 3600000 + random % 3600000;
        check("timer", uv_timer_init(&loop, &timers[i]));
    }
    uint64_t begun = uv_hrtime();
    for (long i = 0; i < TIMERS; i++)
        check("start", uv_timer_start(&timers[i], fire, delays_ms[i], 0));
    for (long i = 0; i < TIMERS; i++)
        check("stop", uv_timer_stop(&timers[i]));
    double ns = since(begun, TIMERS);
    for (long i = 0; i < TIMERS; i++)
        uv_close((uv_handle_t *)&timers[i], NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    check("loop", uv_loop_close(&loop));
    return ns;
}

/* ---- Blocking calls ----------------------------------------------------------------------- */

static long calls_left;

static void
empty(uv_work_t *work)
{
    (void)work;
}

static void
empty_done(uv_work_t *work, int status)
{
    check("work", status);
    if (calls_left > 0) {
        calls_left--;
        check("work", uv_queue_work(work->loop, work, empty, empty_done));
    }
}

/* Empty calls on two threads (main sets the size of libuv's pool); each starts the next. */
static double
blocking_ns(void)
{
    enum { CALLS = 200000 };
    static uv_work_t works[IN_FLIGHT];
    uv_loop_t loop;
    check("loop", uv_loop_init(&loop));
    calls_left = CALLS - IN_FLIGHT;
    uint64_t begun = uv_hrtime();
    for (long i = 0; i < IN_FLIGHT; i++)
        check("work", uv_queue_work(&loop, &works[i], empty, empty_done));
    uv_run(&loop, UV_RUN_DEFAULT);
    double ns = since(begun, CALLS);
    check("loop", uv_loop_close(&loop));
    return ns;
}

/* ---- Two threads -------------------------------------------------------------------------- */

static struct {
    uv_mutex_t mutex;
    uv_cond_t room;
    uv_async_t bell;
    int queued;
    long left; /* messages to come */
    long items[ROOM];
    long sum;
} box;

static void
take_all(uv_async_t *bell)
{
    uv_mutex_lock(&box.mutex);
    for (int i = 0; i < box.queued; i++)
        box.sum += box.items[i];
    box.left -= box.queued;
    box.queued = 0;
    uv_cond_signal(&box.room);
    bool over = box.left == 0;
    uv_mutex_unlock(&box.mutex);
    if (over)
        uv_close((uv_handle_t *)bell, NULL);
}

static void
produce(void *messages)
{
    for (long i = 0; i < *(long *)messages; i++) {
        uv_mutex_lock(&box.mutex);
        while (box.queued == ROOM)
            uv_cond_wait(&box.room, &box.mutex);
        bool was_empty = box.queued == 0;
        box.items[box.queued++] = i;
        uv_mutex_unlock(&box.mutex);
        /* After the last message the loop may close the bell; none is due then but this one. */
        if (was_empty)
            uv_async_send(&box.bell);
    }
}

/* A loop cannot wait for room in a queue, so the one who puts is a thread without one. */
static double
chan_ns(void)
{
    long messages = 500000;
    uv_loop_t loop;
    uv_thread_t producer;
    check("loop", uv_loop_init(&loop));
    check("mutex", uv_mutex_init(&box.mutex));
    check("cond", uv_cond_init(&box.room));
    check("async", uv_async_init(&loop, &box.bell, take_all));
    box.left = messages;
    box.sum = 0;
    uint64_t begun = uv_hrtime();
    check("thread", uv_thread_create(&producer, produce, &messages));
    uv_run(&loop, UV_RUN_DEFAULT);
    double ns = since(begun, messages);
    uv_thread_join(&producer);
    if (box.sum != messages * (messages - 1) / 2)
        wrong("messages that arrived");
    check("loop", uv_loop_close(&loop));
    uv_cond_destroy(&box.room);
    uv_mutex_destroy(&box.mutex);
    return ns;
}

struct side {
    uv_loop_t loop;
    uv_async_t bell;
    struct side *other;
    bool calls; /* the other one answers */
    long left;  /* rings to come */
    uint64_t begun;
};

static void
ring(uv_async_t *bell)
{
    struct side *side = bell->data;
    if (side->begun == 0)
        side->begun = uv_hrtime(); /* both threads are there */
    side->left--;
    if (!side->calls || side->left > 0)
        uv_async_send(&side->other->bell);
    if (side->left == 0)
        uv_close((uv_handle_t *)bell, NULL);
}

static void
answer(void *side)
{
    uv_run(&((struct side *)side)->loop, UV_RUN_DEFAULT);
}

/* There and back between two loops, each on a thread. */
static double
trip_ns(void)
{
    enum { TRIPS = 2000 };
    struct side sides[2] = {{.other = &sides[1], .calls = true}, {.other = &sides[0]}};
    uv_thread_t other;
    for (int i = 0; i < 2; i++) {
        sides[i].left = TRIPS + 1;
        check("loop", uv_loop_init(&sides[i].loop));
        check("async", uv_async_init(&sides[i].loop, &sides[i].bell, ring));
        sides[i].bell.data = &sides[i];
    }
    check("thread", uv_thread_create(&other, answer, &sides[1]));
    uv_async_send(&sides[1].bell);
    uv_run(&sides[0].loop, UV_RUN_DEFAULT);
    double ns = since(sides[0].begun, TRIPS);
    uv_thread_join(&other);
    for (int i = 0; i < 2; i++)
        check("loop", uv_loop_close(&sides[i].loop));
    return ns;
}

/* ---- The program -------------------------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void
measure(const char *name, double (*ns)(void))
{
    double values[REPEATS];
    ns(); /* warms up */
    for (int i = 0; i < REPEATS; i++)
        values[i] = ns();
    qsort(values, REPEATS, sizeof *values, ascending);
    printf("%s %.2f\n", name, values[REPEATS / 2]);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        double (*ns)(void);
    } cases[] = {
        {"mutex", mutex_ns},       {"timer", timer_ns},       {"blocking", blocking_ns},
        {"chan-threads", chan_ns}, {"trip-threads", trip_ns},
    };
    if (setenv("UV_THREADPOOL_SIZE", "2", 1) < 0)
        return 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool wanted = argc == 1;
        for (int a = 1; a < argc; a++)
            wanted = wanted || strcmp(argv[a], cases[i].name) == 0;
        if (wanted)
            measure(cases[i].name, cases[i].ns);
    }
    return 0;
}
