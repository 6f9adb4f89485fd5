/*
 * executor.c - what it costs to have a call run on another thread and wait for its result.
 */
#include <weft/executor.h>
#include <weft/group.h>
#include <weft/run.h>

#include "micro/micro.h"

#define IN_FLIGHT 1000

static struct micro m = {.program = "executor",
                         .what = "an empty call through the executor, on two CPUs",
                         .repeats = 9,
                         .count = 400000};

static double values[MICRO_REPEATS_MAX];
static weft_executor *executor; /* NULL: the runtime's own */
static long calls;              /* atomic: bodies that ran */

static int
empty(void *arg)
{
    (void)arg;
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    return 0;
}

static int
submit(void *arg)
{
    for (long i = *(long *)arg; i > 0; i--) {
        int rc = executor == NULL ? weft_blocking(empty, NULL)
                                  : weft_executor_run(executor, empty, NULL, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Nanoseconds a call with `tasks` of them in flight. */
static double
call_ns(int tasks, long total)
{
    long each = total / tasks;
    calls = 0;
    weft_group group;
    weft_group_open(&group, NULL);
    int64_t start = micro_now();
    for (int i = 0; i < tasks; i++)
        micro_check(&m, "spawn", weft_group_spawn(&group, submit, &each));
    micro_check(&m, "calls", weft_group_close(&group));
    int64_t end = micro_now();
    if (calls != each * tasks)
        micro_fail(&m, "calls that ran", 0);
    return (double)(end - start) / (double)(each * tasks);
}

static void
in_flight(const char *name, double limit, const char *peers)
{
    call_ns(IN_FLIGHT, m.count);
    for (long i = 0; i < m.repeats; i++)
        values[i] = call_ns(IN_FLIGHT, m.count);
    if (limit > 0)
        micro_row(&m, name, "ns", limit, peers, values, (size_t)m.repeats);
    else
        micro_note(&m, name, "ns", peers, values, (size_t)m.repeats);
}

static int
measure(void *arg)
{
    (void)arg;
    in_flight("1,000 in flight, 2 threads", 250, "Go 238, libuv 256, tokio 341, TBB 430");

    long one_by_one = m.count / 20 > 0 ? m.count / 20 : 1;
    call_ns(1, one_by_one);
    for (long i = 0; i < m.repeats; i++)
        values[i] = call_ns(1, one_by_one);
    micro_note(&m, "1 in flight, 2 threads", "ns", "Go 468, TBB 2,657, tokio 18,000, libuv 25,600",
               values, (size_t)m.repeats);

    static const struct {
        unsigned threads;
        const char *name;
        const char *peers;
    } rows[] = {
        {1, "1,000 in flight, own, 1 thread", ""},
        {4, "1,000 in flight, own, 4 threads", "tokio 352, libuv 357, TBB 424"},
        {64, "1,000 in flight, own, 64 threads", "tokio, 512 threads: 7,530"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        micro_check(
            &m, "executor",
            weft_executor_new(&executor, &(weft_executor_options){.threads = rows[row].threads}));
        in_flight(rows[row].name, 0, rows[row].peers);
        if (weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER) != 0)
            micro_fail(&m, "threads that stayed behind", 0);
        executor = NULL;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "calls in a repeat");
    if (m.count < IN_FLIGHT)
        m.count = IN_FLIGHT;
    micro_check(&m, "run",
                weft_run(measure, NULL, &(weft_options){.loops = 1, .blocking_threads = 2}));
    return micro_end(&m);
}
