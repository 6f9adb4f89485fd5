/*
 * switch.c - what it costs to let another task run.
 */
#include <weft/run.h>
#include <weft/task.h>

#include "micro/micro.h"

#define YIELDS 4000000 /* in all, whatever the number of tasks */

static struct micro m = {
    .program = "switch", .what = "one yield, one loop bound to one CPU", .repeats = 9};

static long yields_each;
static int64_t begun, ended; /* when the first task starts and the last one is through */
static double values[MICRO_REPEATS_MAX];

static int
yielder(void *arg)
{
    (void)arg;
    if (begun == 0)
        begun = micro_now();
    for (long i = 0; i < yields_each; i++) {
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    ended = micro_now();
    return 0;
}

/* Nanoseconds a yield, with n tasks that do nothing else. */
static double
yield_ns(int n)
{
    weft_task **tasks = calloc((size_t)n, sizeof *tasks);
    if (tasks == NULL)
        micro_fail(&m, "memory for tasks", -ENOMEM);
    yields_each = YIELDS / n;
    begun = 0;
    for (int i = 0; i < n; i++)
        micro_check(&m, "spawn", weft_task_spawn(&tasks[i], yielder, NULL, NULL));
    for (int i = 0; i < n; i++) {
        int result;
        micro_check(&m, "join", weft_task_join(tasks[i], &result));
        micro_check(&m, "yield", result);
    }
    free(tasks);
    return (double)(ended - begun) / ((double)yields_each * n);
}

static int
measure(void *arg)
{
    (void)arg;
    static const struct {
        int tasks;
        const char *name;
        double limit;
        const char *peers;
    } rows[] = {
        {2, "yield, 2 tasks", 10, "libevent 18.2, libdill 18.6, Go 73.6, tokio 169"},
        {1000, "yield, 1,000 tasks", 18, "libevent 16.4, tokio 58, Go 79.2, libdill 82.4"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        yield_ns(rows[row].tasks); /* warms up */
        for (long i = 0; i < m.repeats; i++)
            values[i] = yield_ns(rows[row].tasks);
        micro_row(&m, rows[row].name, "ns", rows[row].limit, rows[row].peers, values,
                  (size_t)m.repeats);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, NULL);
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    return micro_end(&m);
}
