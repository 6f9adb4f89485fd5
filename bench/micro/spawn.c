/*
 * spawn.c - what a task costs from spawn to join, with many alive at the same time.
 *
 * A task that never waits needs no stack of its own for long, so "alive" has three meanings here:
 * all exist before the first runs; all have started, and each lets the others run once; all have
 * started and wait at a gate until the last one has come.
 */
#include <weft/future.h>
#include <weft/group.h>
#include <weft/run.h>
#include <weft/task.h>

#include "micro/micro.h"

#define BATCHES 20 /* in a repeat */

static struct micro m = {.program = "spawn",
                         .what = "spawn and join a task, one loop bound to one CPU",
                         .repeats = 9,
                         .count = 10000};

static weft_task **tasks;
static weft_future gate;
static double values[MICRO_REPEATS_MAX];
static long ran; /* task bodies, to be sure that none was left out */

static int
empty(void *arg)
{
    (void)arg;
    ran++;
    return 0;
}

static int
yields_once(void *arg)
{
    (void)arg;
    ran++;
    return weft_yield();
}

static int
waits_at_gate(void *arg)
{
    (void)arg;
    if (++ran % m.count == 0)
        return weft_future_set(&gate, 0);
    return weft_future_wait(&gate, NULL);
}

static void
batch(weft_task_fn *fn)
{
    weft_future_open(&gate);
    for (long i = 0; i < m.count; i++)
        micro_check(&m, "spawn", weft_task_spawn(&tasks[i], fn, NULL, NULL));
    for (long i = 0; i < m.count; i++) {
        int result;
        micro_check(&m, "join", weft_task_join(tasks[i], &result));
        micro_check(&m, "task", result);
    }
    weft_future_close(&gate);
}

static void
group(weft_task_fn *fn)
{
    weft_group children;
    weft_group_open(&children, NULL);
    for (long i = 0; i < m.count; i++)
        micro_check(&m, "spawn", weft_group_spawn(&children, fn, NULL));
    micro_check(&m, "group", weft_group_close(&children));
}

static double
task_ns(void (*way)(weft_task_fn *fn), weft_task_fn *fn)
{
    ran = 0;
    int64_t begun = micro_now();
    for (int i = 0; i < BATCHES; i++)
        way(fn);
    int64_t ended = micro_now();
    if (ran != BATCHES * m.count)
        micro_fail(&m, "tasks that ran", 0);
    return (double)(ended - begun) / (double)ran;
}

static int
measure(void *arg)
{
    (void)arg;
    static const struct {
        const char *name;
        void (*way)(weft_task_fn *fn);
        weft_task_fn *fn;
        double limit;
        const char *peers;
    } rows[] = {
        {"spawn+join, all exist", batch, empty, 110,
         "libdill 31.1 and neco 86.7 (one alive), libevent 110, tokio 175, Go 406"},
        {"spawn+join, all started, yield once", batch, yields_once, 110, "neco 411"},
        {"spawn+join, all started, at a gate", batch, waits_at_gate, 0, ""},
        {"group, all exist", group, empty, 0, ""},
        {"group, all started, yield once", group, yields_once, 0, ""},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        task_ns(rows[row].way, rows[row].fn); /* maps the stacks */
        for (long i = 0; i < m.repeats; i++)
            values[i] = task_ns(rows[row].way, rows[row].fn);
        if (rows[row].limit > 0)
            micro_row(&m, rows[row].name, "ns", rows[row].limit, rows[row].peers, values,
                      (size_t)m.repeats);
        else
            micro_note(&m, rows[row].name, "ns", rows[row].peers, values, (size_t)m.repeats);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "tasks alive at the same time");
    tasks = calloc((size_t)m.count, sizeof *tasks);
    if (tasks == NULL)
        micro_fail(&m, "memory for tasks", -ENOMEM);
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    free(tasks);
    return micro_end(&m);
}
