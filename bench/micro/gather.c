/*
 * gather.c - what it costs to run many tasks at once and have all their results, in order.
 *
 * Beside weft_gather stands the same done by hand: a group, and tasks that write their results
 * where they belong.
 */
#include <weft/gather.h>
#include <weft/group.h>
#include <weft/run.h>
#include <weft/task.h>

#include "micro/micro.h"

#define BATCHES 20 /* in a repeat */

static struct micro m = {.program = "gather",
                         .what = "run a task among many for its result, one loop bound to one CPU",
                         .repeats = 9,
                         .count = 10000};

struct item {
    int number;
    int result; /* of who writes it down */
};

static struct item *items;
static weft_child *children;
static double values[MICRO_REPEATS_MAX];

static int
answer(void *arg)
{
    struct item *item = arg;
    item->result = item->number;
    return item->number;
}

static int
answer_later(void *arg)
{
    int rc = weft_yield();
    if (rc < 0)
        return rc;
    return answer(arg);
}

static void
gather(weft_task_fn *fn)
{
    for (long i = 0; i < m.count; i++)
        children[i] = (weft_child){.fn = fn, .arg = &items[i]};
    micro_check(&m, "gather", weft_gather(children, (size_t)m.count, NULL));
    for (long i = 0; i < m.count; i++)
        if (children[i].result != items[i].number)
            micro_fail(&m, "results", 0);
}

static void
by_hand(weft_task_fn *fn)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (long i = 0; i < m.count; i++)
        micro_check(&m, "spawn", weft_group_spawn(&group, fn, &items[i]));
    micro_check(&m, "group", weft_group_close(&group));
    for (long i = 0; i < m.count; i++)
        if (items[i].result != items[i].number)
            micro_fail(&m, "results", 0);
}

static double
task_ns(void (*way)(weft_task_fn *fn), weft_task_fn *fn)
{
    int64_t spent = 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        for (long i = 0; i < m.count; i++)
            items[i] = (struct item){.number = (int)i + 1};
        int64_t begun = micro_now();
        way(fn);
        spent += micro_now() - begun;
    }
    return (double)spent / ((double)BATCHES * (double)m.count);
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
        {"gather, none waits", gather, answer, 130, "tokio 125, Go 322, asyncio 9,000"},
        {"gather, each yields once", gather, answer_later, 0, ""},
        {"a group by hand, none waits", by_hand, answer, 0, ""},
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
    items = calloc((size_t)m.count, sizeof *items);
    children = calloc((size_t)m.count, sizeof *children);
    if (items == NULL || children == NULL)
        micro_fail(&m, "memory for results", -ENOMEM);
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    free(items);
    free(children);
    return micro_end(&m);
}
