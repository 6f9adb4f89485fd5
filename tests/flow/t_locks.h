/*
 * t_locks.h - what the tests of locks and meeting points share: broken promises seen from outside,
 * and a scenario cancelled, timed out and starved at each point in turn.
 */
#ifndef WEFT_TESTS_FLOW_T_LOCKS_H
#define WEFT_TESTS_FLOW_T_LOCKS_H

#include <signal.h>

#include <weft/group.h>
#include <weft/sync.h>

#include "base/t_child.h"
#include "task/t_core.h"

/* fn breaks a promise: the process it runs in says so in these words and aborts. */
static inline void
t_breaks(void (*fn)(void), const char *words)
{
    char text[4096];
    int status = t_child_run(fn, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d: %s", status, text);
    cr_assert(strstr(text, words) != NULL, "\"%s\" is not in: %s", words, text);
}

/* The task runs on one loop with the virtual clock; for children that do not come back. */
static inline void
t_run_bare(weft_task_fn *fn)
{
    weft_ignore(weft_run(
        fn, NULL,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
}

/* What a torture scenario is: a main task that may be ended anywhere, and what must hold then. */
struct t_scenario {
    weft_task_fn *main;
    void (*before)(void);
    void (*after)(void); /* asserts, and closes what before opened */
    unsigned loops;
    bool runs; /* it was seen to come through undisturbed */
};

static inline void
t_scenario_run(void *arg)
{
    struct t_scenario *scenario = arg;
    scenario->before();
    int rc = weft_run(scenario->main, NULL,
                      &(weft_options){.loops = scenario->loops,
                                      .seed = scenario->loops > 1 ? 7 : 0,
                                      .clock = WEFT_CLOCK_VIRTUAL,
                                      .signals = WEFT_SIGNALS_NONE});
    if (!scenario->runs)
        T_OK(rc);
    scenario->runs = true;
    scenario->after();
}

/* On one loop, where every run is the same, and on three of one thread, in a seeded order; each
 * suspension cancelled, run into a deadline, and that from there on; each allocation failing. */
static inline void
t_scenario_torture(weft_task_fn *main, void (*before)(void), void (*after)(void))
{
    static const struct {
        enum weft__torture kind;
        bool from_on;
    } rounds[] = {
        {WEFT__TORTURE_CANCEL, false},   {WEFT__TORTURE_CANCEL, true},
        {WEFT__TORTURE_DEADLINE, false}, {WEFT__TORTURE_DEADLINE, true},
        {WEFT__TORTURE_ALLOC, false},    {WEFT__TORTURE_ALLOC, true},
    };
    uint64_t visited = 0;
    for (unsigned loops = 1; loops <= 3; loops += 2) {
        struct t_scenario scenario = {main, before, after, loops, false};
        for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++)
            visited += t_torture_run(&(struct t_torture){.kind = rounds[i].kind,
                                                         .from_on = rounds[i].from_on,
                                                         .max = T_SLOW > 1 ? 40 : 0,
                                                         .scenario = t_scenario_run,
                                                         .arg = &scenario});
    }
    cr_assert(visited >= 20, "only %u points", (unsigned)visited);
}

/* The same scenario in other orders: seeds, on three loops of one thread, with rare paths taken in
 * every other one. */
static inline void
t_scenario_seeds(weft_task_fn *main, void (*before)(void), void (*after)(void))
{
    for (uint64_t seed = 1; seed <= 200 / T_SLOW; seed++) {
        weft__buggify_seed(seed % 2 == 0 ? seed : 0);
        before();
        T_OK(weft_run(main, NULL,
                      &(weft_options){.loops = 3,
                                      .seed = seed,
                                      .clock = WEFT_CLOCK_VIRTUAL,
                                      .signals = WEFT_SIGNALS_NONE}));
        after();
    }
    weft__buggify_seed(0);
}

/* Spawns on loop i of however many there are, in turn. */
static inline void
t_spawn_round(weft_group *group, weft_task_fn *fn, void *arg, unsigned i)
{
    weft_group_spawn_with(group, fn, arg,
                          &(weft_task_options){.on = WEFT_ON((int)(i % weft_loop_count()))});
}

#endif
