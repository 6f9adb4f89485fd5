/*
 * test_wait_torture.c - futures, waits, gather, race and map, cancelled at each suspension, run
 * into a deadline at each, and with each allocation failing.
 *
 * A scenario is a main task that may be ended anywhere. Afterwards every task function that was
 * entered has been left, every object that was handed over is with exactly one owner, and the
 * process holds what it held before (closing a primitive asserts that nobody is in line).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <weft/future.h>
#include <weft/gather.h>
#include <weft/promise.h>
#include <weft/scope.h>
#include <weft/wait.h>

#include "task/t_core.h"
#include "base/random.h"

TestSuite(torture_wait, .timeout = 300);

#define TASKS 20 /* more than are watched from the stack */

static struct world {
    uint32_t alive;           /* task functions entered and not left */
    uint32_t made, taken;     /* objects handed through futures */
    uint32_t called, removed; /* callbacks */
    uint32_t registered;
    uint32_t twice; /* something that must happen once happened again, or never */
    uint32_t given; /* the giver has begun, and ends its promise */
    weft_task *tasks[TASKS];
    weft_future future;
} w;

static int
nap(void *arg)
{
    weft__fetch_add(&w.alive, 1);
    intptr_t ms = (intptr_t)arg;
    int rc = weft_sleep(WEFT_MS(ms < 0 ? -ms : ms));
    weft__fetch_sub(&w.alive, 1);
    return rc < 0 ? rc : (int)ms;
}

static int
on(int i)
{
    int n = (int)weft_loop_count();
    return n > 1 && i % 5 == 4 ? WEFT_LOOP_ANY : WEFT_ON(i % n);
}

/* The number spawned: those that could not be are left out. */
static size_t
spawn(size_t n, int failing)
{
    size_t spawned = 0;
    for (size_t i = 0; i < n; i++) {
        intptr_t ms = 1 + (intptr_t)i % 4;
        if (weft_task_spawn(&w.tasks[spawned], nap, T_NUMBER((int)i == failing ? -ms : ms),
                            &(weft_task_options){.on = on((int)i)}) == 0)
            spawned++;
    }
    return spawned;
}

static int
end(size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        weft_task_cancel(w.tasks[i]);
        int joined = weft_task_join(w.tasks[i], NULL);
        if (joined < 0) {
            weft_task_close(w.tasks[i]);
            rc = joined;
        }
    }
    return rc;
}

/* ---- Scenarios ------------------------------------------------------------------------------ */

static int
waits(void *arg)
{
    (void)arg;
    weft_outcome outcomes[TASKS];
    int rc = 0;
    for (int mode = 0; mode < 3; mode++) {
        for (size_t many = 3; many <= TASKS; many += TASKS - 3) {
            size_t n = spawn(many, 2);
            weft_scope scope;
            weft_scope_open(&scope, weft_now() + WEFT_MS(3));
            rc |= weft_wait(w.tasks, n, (weft_wait_mode)mode, outcomes);
            rc |= weft_scope_close(&scope);
            rc |= weft_wait(w.tasks, n, (weft_wait_mode)mode, outcomes);
            rc |= end(n);
        }
    }
    return rc < 0 ? rc : 0;
}

static int
completions(void *arg)
{
    (void)arg;
    int rc = 0;
    for (size_t stop = 0; stop <= 6; stop += 3) {
        unsigned seen[6] = {0};
        weft_as_completed completed;
        size_t n = spawn(6, 1), index, given = 0;
        if (weft_as_completed_open(&completed, w.tasks, n) == 0) {
            /* An ended wait is tried again, but not for ever: it may be the main task's end. */
            for (size_t tries = 0; given < stop && tries < 12; tries++) {
                weft_scope scope;
                weft_scope_open(&scope, weft_now() + WEFT_US(700));
                int next = weft_as_completed_next(&completed, &index, NULL);
                rc |= weft_scope_close(&scope);
                if (next > 0 && seen[index]++ > 0)
                    weft__fetch_add(&w.twice, 1);
                given += next > 0;
            }
            weft_as_completed_close(&completed);
            memset(&completed, 0xa5, sizeof completed);
        }
        rc |= end(n);
    }
    return rc;
}

static int
give_value(void *arg)
{
    weft_promise *promise = arg;
    weft__fetch_add(&w.alive, 1);
    weft__store(&w.given, 1);
    int rc = weft_sleep(WEFT_MS(1));
    if (rc == 0) {
        uint32_t *value = malloc(sizeof *value);
        weft__fetch_add(&w.made, 1);
        if (weft_future_set_value(weft_promise_future(promise), value) < 0) {
            free(value);
            weft__fetch_add(&w.taken, 1);
        }
    } else {
        weft_future_fail(weft_promise_future(promise), rc, "it was ended");
    }
    weft_promise_free(promise);
    weft__fetch_sub(&w.alive, 1);
    return rc;
}

static int
take_value(void *arg)
{
    weft__fetch_add(&w.alive, 1);
    int rc = weft_future_wait(arg, NULL);
    void *value = rc == 0 ? weft_future_take(arg) : NULL;
    if (value != NULL) {
        weft__fetch_add(&w.taken, 1);
        free(value);
    }
    weft__fetch_sub(&w.alive, 1);
    return rc;
}

static void
called(void *arg, int result)
{
    (void)result;
    weft__fetch_add(&w.called, 1);
    weft__fetch_add((uint32_t *)arg, 1);
}

/* One gives, three take, one of them under a deadline; a callback may be taken back. */
static int
promises(void *arg)
{
    (void)arg;
    weft_promise *promise;
    weft_future *future;
    int rc = weft_promise_new(&promise, &future);
    if (rc < 0)
        return rc;
    weft_future_callback callbacks[2];
    uint32_t calls[2] = {0, 0};
    for (int i = 0; i < 2; i++)
        weft_future_on_done(future, &callbacks[i], called, &calls[i]);
    w.registered += 2;
    weft_task *giver;
    if (weft_task_spawn(&giver, give_value, promise, &(weft_task_options){.on = on(1)}) < 0) {
        weft_promise_free(promise);
        giver = NULL;
    }
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1, .timeout = WEFT_MS(5)});
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&group, take_value, future, &(weft_task_options){.on = on(i)});
    rc = weft_sleep(WEFT_US(900));
    int removed = weft_future_off_done(future, &callbacks[1]);
    w.removed += (uint32_t)removed;
    rc |= weft_group_close(&group);
    /* Shielded: callbacks are on this stack, and the value would be nobody's. */
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    if (giver != NULL) {
        weft_task_cancel(giver);
        weft_ignore(weft_task_join(giver, NULL));
        if (!weft__load(&w.given))
            weft_promise_free(promise); /* it never began */
    }
    weft_ignore(weft_future_wait(future, NULL));
    weft_ignore(weft_scope_close(&shield));
    void *value = weft_future_take(future);
    if (value != NULL) {
        weft__fetch_add(&w.taken, 1);
        free(value);
    }
    if (calls[0] != 1 || (int)calls[1] != 1 - removed)
        weft__fetch_add(&w.twice, 1);
    weft_future_unref(future);
    return rc;
}

static void
fill(weft_child *children, size_t n, const int *ms)
{
    for (size_t i = 0; i < n; i++)
        children[i] = (weft_child){.fn = nap, .arg = T_NUMBER(ms[i]), .on = on((int)i)};
}

static int
gathers(void *arg)
{
    (void)arg;
    weft_child children[6];
    size_t winner = 99;
    fill(children, 6, (int[]){1, 2, 3, 1, 2, 3});
    int rc = weft_gather(children, 6, &(weft_group_options){.limit = 4});
    for (int i = 0; i < 6 && rc == 0; i++)
        if (children[i].result != (int)(intptr_t)children[i].arg)
            weft__fetch_add(&w.twice, 1);
    fill(children, 6, (int[]){1, 2, -3, 9, 9, 9});
    rc |= weft_gather(children, 6, NULL);
    fill(children, 6, (int[]){-1, -2, 3, 4, 9, 9});
    int raced = weft_race(children, 6, &winner);
    if (raced >= 0 && (winner >= 6 || children[winner].result != raced || raced == 0))
        weft__fetch_add(&w.twice, 1);
    for (int i = 0; i < 6 && raced < 0; i++)
        if (children[i].result >= 0)
            weft__fetch_add(&w.twice, 1); /* a success thrown away */
    return rc < 0 ? rc : raced;
}

struct item {
    intptr_t ms;
    uint32_t begun;
};

static int
nap_item(void *arg)
{
    struct item *item = arg;
    item->begun++;
    return nap(T_NUMBER(item->ms));
}

static int
maps(void *arg)
{
    (void)arg;
    struct item items[7];
    for (int i = 0; i < 7; i++)
        items[i] = (struct item){.ms = 1 + i % 3};
    int rc = weft_map(nap_item, items, sizeof *items, 7, 3);
    for (int i = 0; i < 7; i++)
        if (items[i].begun > 1 || (rc == 0 && items[i].begun == 0))
            weft__fetch_add(&w.twice, 1);
    int timed = weft_wait_for(nap, T_NUMBER(3), WEFT_MS(2));
    timed |= weft_wait_for(nap, T_NUMBER(1), WEFT_MS(2));
    return rc < 0 ? rc : timed;
}

/* ---- The harness ---------------------------------------------------------------------------- */

struct run {
    weft_task_fn *main;
    weft_options options;
};

static void
run_once(void *arg)
{
    const struct run *run = arg;
    memset(&w, 0, sizeof w);
    weft_set_log(t_log_line, NULL);
    t_log_begin();
    weft_ignore(weft_run(run->main, NULL, &run->options));
    weft_set_log(NULL, NULL);
    cr_assert(weft__load(&w.alive) == 0, "%u task functions were entered and not left", w.alive);
    cr_assert(weft__load(&w.made) == weft__load(&w.taken), "%u made, %u taken", w.made, w.taken);
    cr_assert(w.called + w.removed == w.registered, "%u called, %u taken back, of %u", w.called,
              w.removed, w.registered);
    cr_assert(weft__load(&w.twice) == 0, "%u times not exactly once", w.twice);
    cr_assert(!t_logged("outlived"), "%s", t_log_text);
}

static void
everywhere(weft_task_fn *main, const weft_options *options, uint64_t max)
{
    struct run run = {main, *options};
    run.options.signals = WEFT_SIGNALS_NONE;
    static const enum weft__torture kinds[] = {WEFT__TORTURE_CANCEL, WEFT__TORTURE_DEADLINE,
                                               WEFT__TORTURE_ALLOC};
    uint64_t visited = 0;
    for (int from_on = 0; from_on < 2; from_on++)
        for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
            visited += t_torture_run(&(struct t_torture){.kind = kinds[kind],
                                                         .from_on = from_on,
                                                         .max = max,
                                                         .scenario = run_once,
                                                         .arg = &run});
    cr_assert(visited >= 10);
}

#define SEEDS (30 / T_SLOW)

#define TORTURE(scenario)                                                                          \
    Test(torture_wait, scenario)                                                                   \
    {                                                                                              \
        everywhere(scenario, &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL},             \
                   T_SLOW > 1 ? 40 : 0);                                                           \
    }                                                                                              \
    Test(torture_wait, scenario##_over_loops)                                                      \
    {                                                                                              \
        everywhere(scenario, &(weft_options){.loops = 3, .seed = 1, .clock = WEFT_CLOCK_VIRTUAL},  \
                   T_SLOW > 1 ? 40 : 0);                                                           \
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {                                           \
            weft__buggify_seed(seed % 2 == 0 ? seed : 0);                                          \
            everywhere(scenario,                                                                   \
                       &(weft_options){.loops = 3, .seed = seed, .clock = WEFT_CLOCK_VIRTUAL}, 5); \
        }                                                                                          \
        weft__buggify_seed(0);                                                                     \
    }                                                                                              \
    Test(torture_wait, scenario##_on_threads)                                                      \
    {                                                                                              \
        everywhere(scenario, &(weft_options){.loops = 2}, 12);                                     \
    }

TORTURE(waits)
TORTURE(completions)
TORTURE(promises)
TORTURE(gathers)
TORTURE(maps)
