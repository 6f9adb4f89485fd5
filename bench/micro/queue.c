/*
 * queue.c - what a message costs that goes through a queue: one put and one get.
 *
 * One task or thread puts numbers into a queue of 256, another one takes them and adds them up,
 * so every message is known to have arrived once.
 */
#include <pthread.h>

#include <weft/queue.h>
#include <weft/run.h>
#include <weft/task.h>

#include "micro/micro.h"

#define MANY 64 /* items of a call that takes many */

static struct micro m = {.program = "queue",
                         .what = "a message through a queue of 256, on one and on two CPUs",
                         .repeats = 9,
                         .count = 2000000};

static struct {
    const weft_queue_options *options;
    bool many;
    weft_queue *queue;
    uint64_t sum;
    int64_t begun, ended;
    int rc;
} run;
static double values[MICRO_REPEATS_MAX];

static int
put(void *arg)
{
    (void)arg;
    int rc = 0;
    for (uint64_t i = 1; i <= (uint64_t)m.count && rc == 0; i++)
        rc = weft_queue_put(run.queue, &i);
    weft_queue_shutdown(run.queue, WEFT_DRAIN);
    return rc;
}

static void *
put_from_thread(void *arg)
{
    run.rc = put(arg);
    return NULL;
}

static int
take(void *arg)
{
    (void)arg;
    uint64_t items[MANY], sum = 0;
    for (;;) {
        ssize_t n = run.many ? weft_queue_get_many(run.queue, items, MANY)
                             : weft_queue_get(run.queue, items);
        if (n < 0) {
            run.sum = sum;
            run.ended = micro_now();
            return n == -EPIPE ? 0 : (int)n;
        }
        n = run.many ? n : 1;
        for (ssize_t i = 0; i < n; i++)
            sum += items[i];
    }
}

static weft_task *
spawn_on(unsigned loop, weft_task_fn *fn)
{
    weft_task *task;
    micro_check(&m, "spawn",
                weft_task_spawn(&task, fn, NULL, &(weft_task_options){.on = WEFT_ON(loop)}));
    return task;
}

static void
join(weft_task *task)
{
    int result;
    micro_check(&m, "join", weft_task_join(task, &result));
    micro_check(&m, "task", result);
}

/* from: the loop of who puts; -1: a plain thread. */
static double
message_ns(int from, unsigned to)
{
    micro_check(&m, "queue", weft_queue_new(&run.queue, sizeof(uint64_t), run.options));
    weft_task *taker = spawn_on(to, take);
    run.begun = micro_now();
    if (from >= 0) {
        join(spawn_on((unsigned)from, put));
    } else {
        pthread_t thread;
        micro_check(&m, "thread", -pthread_create(&thread, NULL, put_from_thread, NULL));
        join(taker);
        pthread_join(thread, NULL);
        micro_check(&m, "put", run.rc);
        taker = NULL;
    }
    if (taker != NULL)
        join(taker);
    weft_queue_free(run.queue);
    if (run.sum != (uint64_t)m.count * ((uint64_t)m.count + 1) / 2)
        micro_fail(&m, "messages that arrived", 0);
    return (double)(run.ended - run.begun) / (double)m.count;
}

struct row {
    const char *name;
    double limit;
    const char *peers;
    int from;
    unsigned to;
    bool many;
    weft_queue_options options;
};

static void
measure_row(const struct row *row)
{
    run.options = &row->options;
    run.many = row->many;
    message_ns(row->from, row->to); /* warms up */
    for (long i = 0; i < m.repeats; i++)
        values[i] = message_ns(row->from, row->to);
    micro_row(&m, row->name, "ns", row->limit, row->peers, values, (size_t)m.repeats);
}

static int
on_one_loop(void *arg)
{
    (void)arg;
    static const struct row rows[] = {
        {.name = "one loop, local",
         .limit = 25,
         .peers = "Go 46, libdill 61, tokio 90, neco 104",
         .options = {.local = 1}},
        {.name = "one loop, shared", .limit = 25, .peers = "the same"},
        {.name = "one loop, shared, priorities",
         .limit = 150,
         .options = {.order = WEFT_PRIORITY},
         .peers = ""},
        {.name = "a thread to a loop",
         .limit = 180,
         .peers = "Go 68, pthread queue 173, tokio 189",
         .from = -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        measure_row(&rows[i]);
    return 0;
}

static int
on_two_loops(void *arg)
{
    (void)arg;
    static const struct row rows[] = {
        {.name = "two loops",
         .limit = 60,
         .peers = "Go 58 unpinned, tokio 108 to 480",
         .from = 0,
         .to = 1},
        {.name = "two loops, taking many",
         .limit = 60,
         .peers = "the same",
         .from = 0,
         .to = 1,
         .many = true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        measure_row(&rows[i]);
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "messages in a repeat");
    micro_check(&m, "run", weft_run(on_one_loop, NULL, &(weft_options){.loops = 1}));
    if (micro_cpu(1) < 0)
        printf("  two loops: this process may use one CPU, nothing measured\n");
    else
        micro_check(&m, "run", weft_run(on_two_loops, NULL, &(weft_options){.loops = 2, .pin = 1}));
    return micro_end(&m);
}
