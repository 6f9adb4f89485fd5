/*
 * wait.c - futures set and awaited, and many tasks waited for at once.
 */
#include <weft/future.h>
#include <weft/gather.h>
#include <weft/promise.h>
#include <weft/run.h>
#include <weft/task.h>
#include <weft/wait.h>

#include "micro/micro.h"

#define FUTURES 100000
#define BATCHES 20 /* in a repeat */

static struct micro m = {.program = "wait",
                         .what = "futures and waits for many tasks, one loop bound to one CPU",
                         .repeats = 9,
                         .count = 10000};

static weft_task **tasks;
static weft_child *children;
static double values[MICRO_REPEATS_MAX];

static int
empty(void *arg)
{
    return (int)(intptr_t)arg;
}

/* ---- Futures -------------------------------------------------------------------------------- */

static double
set_then_wait(void)
{
    int64_t begun = micro_now();
    for (int i = 0; i < FUTURES; i++) {
        weft_future future;
        int result;
        weft_future_open(&future);
        weft_future_set(&future, i);
        micro_check(&m, "wait", weft_future_wait(&future, &result));
        if (result != i)
            micro_fail(&m, "result", 0);
        weft_future_close(&future);
    }
    return (double)(micro_now() - begun) / FUTURES;
}

/* Two tasks hand a turn back and forth: each waits for one future and sets the other's. */
static weft_future turns[2][2];

static int
take_turns(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < FUTURES / 2; i++) {
        weft_future *mine = &turns[me][i % 2];
        int result;
        int rc = weft_future_wait(mine, &result);
        if (rc < 0)
            return rc;
        if (result != i)
            return -EBADMSG;
        weft_future_close(mine);
        weft_future_open(mine);
        weft_future_set(&turns[!me][(i + me) % 2], i + me);
    }
    return 0;
}

static double
wait_then_set(void)
{
    weft_task *task[2];
    for (int i = 0; i < 4; i++)
        weft_future_open(&turns[i / 2][i % 2]);
    int64_t begun = micro_now();
    for (int i = 0; i < 2; i++)
        micro_check(&m, "spawn", weft_task_spawn(&task[i], take_turns, (void *)(intptr_t)i, NULL));
    weft_future_set(&turns[0][0], 0);
    for (int i = 0; i < 2; i++) {
        int result;
        micro_check(&m, "join", weft_task_join(task[i], &result));
        micro_check(&m, "turns", result);
    }
    return (double)(micro_now() - begun) / FUTURES;
}

static double
through_promise(void)
{
    int64_t begun = micro_now();
    for (int i = 0; i < FUTURES; i++) {
        weft_promise *promise;
        weft_future *future;
        micro_check(&m, "promise", weft_promise_new(&promise, &future));
        weft_promise_set(promise, i);
        weft_promise_free(promise);
        micro_check(&m, "wait", weft_future_wait(future, NULL));
        weft_future_unref(future);
    }
    return (double)(micro_now() - begun) / FUTURES;
}

/* ---- Many tasks ----------------------------------------------------------------------------- */

static double
gather(void)
{
    int64_t begun = micro_now();
    for (int batch = 0; batch < BATCHES; batch++) {
        for (long i = 0; i < m.count; i++)
            children[i] = (weft_child){.fn = empty, .arg = (void *)i};
        micro_check(&m, "gather", weft_gather(children, (size_t)m.count, NULL));
        if (children[m.count - 1].result != m.count - 1)
            micro_fail(&m, "result", 0);
    }
    return (double)(micro_now() - begun) / (double)(BATCHES * m.count);
}

static void
spawn_all(void)
{
    for (long i = 0; i < m.count; i++)
        micro_check(&m, "spawn", weft_task_spawn(&tasks[i], empty, (void *)i, NULL));
}

static double
wait_for_all(void)
{
    int64_t begun = micro_now();
    for (int batch = 0; batch < BATCHES; batch++) {
        spawn_all();
        int n = weft_wait(tasks, (size_t)m.count, WEFT_ALL_COMPLETED, NULL);
        if (n != m.count)
            micro_fail(&m, "wait", n);
        for (long i = 0; i < m.count; i++)
            weft_task_close(tasks[i]);
    }
    return (double)(micro_now() - begun) / (double)(BATCHES * m.count);
}

static double
as_completed(void)
{
    int64_t begun = micro_now();
    for (int batch = 0; batch < BATCHES; batch++) {
        weft_as_completed completed;
        size_t index;
        long n = 0;
        spawn_all();
        micro_check(&m, "open", weft_as_completed_open(&completed, tasks, (size_t)m.count));
        while (weft_as_completed_next(&completed, &index, NULL) > 0) {
            weft_task_close(tasks[index]);
            n++;
        }
        weft_as_completed_close(&completed);
        if (n != m.count)
            micro_fail(&m, "as_completed", 0);
    }
    return (double)(micro_now() - begun) / (double)(BATCHES * m.count);
}

static int
count_up(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static double
map_in_tens(void)
{
    int n = 0;
    int64_t begun = micro_now();
    for (int batch = 0; batch < BATCHES; batch++)
        micro_check(&m, "map", weft_map(count_up, &n, 0, (size_t)m.count, 10));
    if (n != BATCHES * m.count)
        micro_fail(&m, "map", 0);
    return (double)(micro_now() - begun) / (double)(BATCHES * m.count);
}

static int
measure(void *arg)
{
    (void)arg;
    static const struct {
        const char *name;
        double (*ns)(void);
        double limit;
        const char *peers;
    } rows[] = {
        {"future set, then awaited", set_then_wait, 40, ""},
        {"future awaited, then set (two tasks)", wait_then_set, 0, ""},
        {"promise made, set, awaited, freed", through_promise, 0, ""},
        {"gather, per task", gather, 130, ""},
        {"spawn, weft_wait for all, per task", wait_for_all, 0, ""},
        {"spawn, as_completed, per task", as_completed, 0, ""},
        {"map, 10 at a time, per item", map_in_tens, 0, ""},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        rows[row].ns(); /* maps the stacks */
        for (long i = 0; i < m.repeats; i++)
            values[i] = rows[row].ns();
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
    micro_options(&m, argc, argv, "tasks waited for at the same time");
    tasks = calloc((size_t)m.count, sizeof *tasks);
    children = calloc((size_t)m.count, sizeof *children);
    if (tasks == NULL || children == NULL)
        micro_fail(&m, "memory for tasks", -ENOMEM);
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    free(children);
    free(tasks);
    return micro_end(&m);
}
