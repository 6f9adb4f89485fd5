/*
 * future.c - what a result costs that is handed over once.
 *
 * Every row counts the whole life of a future, open, set, wait and close. Where two tasks of one
 * loop answer each other, each wait finds no result, parks, and is woken by the set; so a switch
 * is part of it. Between two loops the setter runs ahead and is never waited for: that is what a
 * hand-over costs, and not how long one takes (for which see cross).
 */
#include <pthread.h>

#include <weft/future.h>
#include <weft/run.h>
#include <weft/task.h>

#include "micro/micro.h"

#define ROUNDS 1000 /* of a batch; two futures each */

static struct micro m = {.program = "future",
                         .what = "a future set and waited for; one loop bound to one CPU, or two",
                         .repeats = 9,
                         .count = 200000};

static struct round {
    weft_future call;
    weft_future reply;
} rounds[ROUNDS];

static double values[MICRO_REPEATS_MAX];

static void
rounds_open(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        weft_future_open(&rounds[i].call);
        weft_future_open(&rounds[i].reply);
    }
}

static void
rounds_close(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        weft_future_close(&rounds[i].call);
        weft_future_close(&rounds[i].reply);
    }
}

static weft_task *
spawn(weft_task_fn *fn, int on)
{
    weft_task *task;
    micro_check(&m, "spawn", weft_task_spawn(&task, fn, NULL, &(weft_task_options){.on = on}));
    return task;
}

static void
join(weft_task *task)
{
    int result;
    micro_check(&m, "join", weft_task_join(task, &result));
    micro_check(&m, "task", result);
}

/* What a future was set to must come out of it. */
static void
take(weft_future *future, int expected)
{
    int result;
    micro_check(&m, "wait", weft_future_wait(future, &result));
    if (result != expected)
        micro_fail(&m, "the result handed over", 0);
}

/* ---- The ways ----------------------------------------------------------------------------- */

static int
answer(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        take(&rounds[i].call, i);
        weft_future_set(&rounds[i].reply, i + 1);
    }
    return 0;
}

static void
in_turn(void)
{
    rounds_open();
    weft_task *other = spawn(answer, WEFT_LOOP_HERE);
    for (int i = 0; i < ROUNDS; i++) {
        weft_future_set(&rounds[i].call, i);
        take(&rounds[i].reply, i + 1);
    }
    join(other);
    rounds_close();
}

static void
set_before(void)
{
    rounds_open();
    for (int i = 0; i < ROUNDS; i++) {
        weft_future_set(&rounds[i].call, i);
        take(&rounds[i].call, i);
        weft_future_set(&rounds[i].reply, i);
        take(&rounds[i].reply, i);
    }
    rounds_close();
}

static int
set_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        weft_future_set(&rounds[i].call, i);
        weft_future_set(&rounds[i].reply, i);
    }
    return 0;
}

static void
two_loops(void)
{
    rounds_open();
    weft_task *other = spawn(set_all, WEFT_ON(1));
    for (int i = 0; i < ROUNDS; i++) {
        take(&rounds[i].call, i);
        take(&rounds[i].reply, i);
    }
    join(other);
    rounds_close();
}

/* ---- Measuring ---------------------------------------------------------------------------- */

static double
future_ns(void (*way)(void))
{
    long batches = m.count / (2 * ROUNDS);
    int64_t begun = micro_now();
    for (long i = 0; i < batches; i++)
        way();
    return (double)(micro_now() - begun) / (double)(batches * 2 * ROUNDS);
}

static void
row(const char *name, void (*way)(void), double limit, const char *peers)
{
    future_ns(way); /* warms up */
    for (long i = 0; i < m.repeats; i++)
        values[i] = future_ns(way);
    if (limit > 0)
        micro_row(&m, name, "ns", limit, peers, values, (size_t)m.repeats);
    else
        micro_note(&m, name, "ns", peers, values, (size_t)m.repeats);
}

static int
measure_one(void *arg)
{
    (void)arg;
    row("set+wait, one loop, in turn", in_turn, 40, "tokio 78, Go 265, asyncio 3,200");
    row("set+wait, one loop, set before", set_before, 0, "");
    return 0;
}

static int
measure_two(void *arg)
{
    (void)arg;
    if (weft_loop_count() < 2)
        micro_fail(&m, "a second loop", 0);
    row("set+wait, two loops, setter ahead", two_loops, 130, "");
    return 0;
}

/* On a thread of its own, so that the main one stays on all CPUs. */
static void *
run_one(void *arg)
{
    (void)arg;
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure_one, NULL, &(weft_options){.loops = 1}));
    return NULL;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "futures in a repeat");
    if (m.count < 2 * ROUNDS)
        m.count = 2 * ROUNDS;
    pthread_t thread;
    micro_check(&m, "thread", -pthread_create(&thread, NULL, run_one, NULL));
    pthread_join(thread, NULL);
    if (micro_cpu(1) >= 0)
        micro_check(&m, "run", weft_run(measure_two, NULL, &(weft_options){.loops = 2, .pin = 1}));
    else
        printf("  two loops: need two CPUs, and this process may use one: not measured\n");
    return micro_end(&m);
}
