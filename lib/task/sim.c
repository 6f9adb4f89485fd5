/*
 * sim.c - the virtual clock: all loops of a runtime on one thread, in an order a seed decides.
 *
 * Each loop is an actor with a stack of its own; the driver runs on the calling thread's. An actor
 * goes back to the driver when it has nothing to do, and, with a seed in test builds, at any
 * WEFT_POINT. When all are idle, time jumps to the earliest deadline, unless a call in progress on
 * another thread holds it; with nothing to jump to, the one shared poller waits.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "task/task_priv.h"

#define ACTOR_STACK (((size_t)1 << 20) * WEFT__SAN_STACK_FACTOR) /* of a loop: tasks borrow it */
#define LOOK_AGAIN_NS WEFT_SEC(1)

static void
to_driver(struct weft__sched *sched, struct weft__ctx *from)
{
    sched->resume_at = from;
    weft__ctx_switch(from, &sched->runtime->driver);
}

/* A loop's idle function: there is nothing to do here until the driver says so. */
static void
idle(struct weft_loop *loop, int64_t deadline)
{
    struct weft__sched *sched = (struct weft__sched *)(void *)loop;
    (void)deadline; /* the driver asks the timers itself */
    sched->idling = true;
    to_driver(sched, &sched->native);
}

/* After a turn that leaves more to do: the other loops have something to do as well. */
static void
give_way(struct weft_loop *loop)
{
    struct weft__sched *sched = (struct weft__sched *)(void *)loop;
    if (sched->runtime->n_loops > 1)
        to_driver(sched, &sched->native);
}

#ifdef WEFT_TEST
static __thread struct weft__runtime *simulation; /* of this thread */

static pthread_mutex_t simulations_lock = PTHREAD_MUTEX_INITIALIZER;
static int simulations; /* of all threads: the hook stays as long as there is one */

static void
on_point(enum weft__point point)
{
    struct weft__sched *sched = weft__sched_self();
    if (simulation == NULL || sched == NULL || !simulation->simulating ||
        sched->runtime != simulation)
        return;
    /* A lock that is held is held by an actor of this thread: it must run, or nobody will. */
    if (point != WEFT__POINT_LOCK_HELD && weft__splitmix(&simulation->random) % 4 != 0)
        return;
    struct weft_task *task = sched->current;
    to_driver(sched, task != NULL && !task->native ? &task->ctx : &sched->native);
}

static void
simulations_add(int by)
{
    pthread_mutex_lock(&simulations_lock);
    simulations += by;
    weft__store_relaxed(&weft__point_hook, simulations > 0 ? on_point : NULL);
    pthread_mutex_unlock(&simulations_lock);
}
#endif

static void
actor_body(struct weft_task *actor)
{
    struct weft__sched *sched = weft__sched_self();
    weft__loop_run(&sched->loop);
    sched->idling = true;
    to_driver(sched, &sched->native);
    weft__fatal("a stopped loop was run again (%s)", actor->name);
}

int
weft__sim_open(struct weft__runtime *runtime)
{
    int rc = weft__poll_open(&runtime->poll, &runtime->bell, NULL);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[i];
        sched->loop.poll = runtime->poll;
        sched->loop.bell = &runtime->bell;
        sched->loop.idle = idle;
        sched->loop.give_way = give_way;
        struct weft__stack *stack;
        rc = weft__stack_take_slow(&sched->stacks, ACTOR_STACK, &stack);
        if (rc < 0)
            return rc;
        struct weft_task *actor = weft__alloc_zeroed(sizeof *actor);
        if (actor == NULL) {
            weft__stack_give_slow(&sched->stacks, stack);
            return -ENOMEM;
        }
        actor->body = actor_body;
        actor->stack = stack;
        stack->owner = actor;
        snprintf(actor->name, sizeof actor->name, "loop %u", i);
        sched->actor = actor;
        /* The stack's context stands for the loop's native one from here on. */
        sched->native = stack->ctx;
        sched->resume_at = &sched->native;
    }
    return 0;
}

void
weft__sim_close(struct weft__runtime *runtime)
{
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[i];
        sched->loop.poll = NULL;
        if (sched->actor == NULL)
            continue;
        /* It is suspended at the end of its body for good; its stack goes with the pool. */
        sched->actor->stack->ctx = sched->native;
        weft__free(sched->actor);
        sched->actor = NULL;
    }
    if (runtime->poll != NULL)
        weft__poll_close(runtime->poll);
    runtime->poll = NULL;
}

static bool
runnable(struct weft__sched *sched)
{
    if (sched->idling && sched->loop.stop)
        return false;
    return !sched->idling || sched->loop.pending != NULL || !weft__mpsc_empty(&sched->loop.inbox) ||
           sched->ready_head != NULL || !weft__list_empty(&sched->loop.soon) ||
           (weft__load(&sched->runtime->n_any) > 0 && !sched->loop.stop) ||
           (sched->loop.timers.n > 0 &&
            weft__timers_next(&sched->loop.timers) <= sched->runtime->clock.now);
}

static void
run_actor(struct weft__runtime *runtime, struct weft__sched *sched)
{
    sched->idling = false;
    weft__loop_self = &sched->loop;
    weft__ctx_switch(&runtime->driver, sched->resume_at);
    weft__loop_self = NULL;
}

/* One of those that can run: in turn, or by the seed. NULL when none can. */
static struct weft__sched *
choose(struct weft__runtime *runtime, unsigned *turn)
{
    unsigned start =
        runtime->random != 0 ? (unsigned)(weft__splitmix(&runtime->random) >> 32) : ++*turn;
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[(start + i) % runtime->n_loops];
        if (runnable(sched))
            return sched;
    }
    return NULL;
}

static int64_t
earliest(struct weft__runtime *runtime)
{
    int64_t earliest = INT64_MAX;
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        int64_t next = weft__timers_next_exact(&runtime->loops[i]->loop.timers);
        if (next < earliest)
            earliest = next;
    }
    return earliest;
}

static bool
stopped(struct weft__runtime *runtime)
{
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        if (!runtime->loops[i]->loop.stop || !runtime->loops[i]->idling)
            return false;
    }
    return true;
}

static bool
inboxes_filled(struct weft__runtime *runtime)
{
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        if (!weft__mpsc_empty(&runtime->loops[i]->loop.inbox))
            return true;
    }
    return false;
}

/* The main task sleeps until a signal cancels it. */
static bool
waits_for_signal(const struct weft__runtime *runtime)
{
    return runtime->options.signals == WEFT_SIGNALS_CANCEL && !runtime->main_done &&
           runtime->main->state == WEFT_TASK_WAITING && runtime->main->what == weft__what_sleep;
}

/* All tasks wait for each other. The main task is cancelled, so that what was begun is cleaned up;
 * should it not end, the runtime closes without it, and its grace period is what can pass next. */
static void
deadlock(struct weft__runtime *runtime)
{
    weft_log(WEFT_LOG_ERROR, "deadlock: every task waits for another, and nothing is pending");
    for (unsigned i = 0; i < runtime->n_loops; i++)
        weft__debug_log_alive(runtime->loops[i], WEFT_LOG_ERROR, "cannot go on");
    /* We are on the driver's stack, from which no point may switch away. */
    bool simulating = runtime->simulating;
    runtime->simulating = false;
    weft__loop_self = &runtime->loops[0]->loop;
    if (runtime->main_done)
        weft__runtime_abandon(runtime); /* its grace is without end */
    else if (runtime->deadlocks == 0)
        weft__task_end_root(runtime->main, -ECANCELED);
    else
        weft__runtime_begin_close(runtime);
    runtime->deadlocks++;
    weft__loop_self = NULL;
    runtime->simulating = simulating;
}

/* Nothing can run: let time pass, virtual or real. */
static void
pass_time(struct weft__runtime *runtime)
{
    weft__loop_self = &runtime->loops[0]->loop; /* callbacks of the poller run as on a loop */
    weft__poll_run(runtime->poll, 0);
    weft__loop_self = NULL;
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        if (runnable(runtime->loops[i]))
            return;
    }
    bool held = weft__load(&runtime->clock.holds) > 0 ||
                (runtime->options.hold_for_io && runtime->io_waits > 0);
    int64_t next = earliest(runtime);
    if (!held && next != INT64_MAX) {
        runtime->clock.now = next;
        return;
    }
    int64_t timeout = -1;
    if (!held && runtime->io_waits == 0 && !weft__poll_foreign(runtime->poll) &&
        !waits_for_signal(runtime)) {
        /* Only another thread could still wake somebody. Where there is none, nothing can; else we
         * look again in a while, for it may end. */
        unsigned own = 1 + (runtime->debug != NULL);
        if (weft__debug_threads() == own && !inboxes_filled(runtime)) {
            deadlock(runtime);
            return;
        }
        timeout = LOOK_AGAIN_NS;
    }
    /* Wait in earnest. The same protocol as weft__loop_sleep, for all inboxes at once. */
    weft__store(&runtime->bell.sleeping, 1);
    if (inboxes_filled(runtime)) {
        weft__store_relaxed(&runtime->bell.sleeping, 0);
        return;
    }
    weft__loop_self = &runtime->loops[0]->loop;
    weft__poll_run(runtime->poll, timeout);
    weft__loop_self = NULL;
    weft__store_relaxed(&runtime->bell.sleeping, 0);
}

void
weft__sim_run(struct weft__runtime *runtime)
{
    weft__ctx_adopt(&runtime->driver);
    int alternate = weft__overflow_thread_enter();
    if (runtime->debug != NULL)
        weft__debug_hooks->thread_enter(runtime, 0);
#ifdef WEFT_TEST
    simulation = runtime;
    runtime->simulating = runtime->options.seed != 0 && runtime->n_loops > 1;
    if (runtime->simulating)
        simulations_add(1);
#endif
    unsigned turn = 0;
    while (!stopped(runtime)) {
        struct weft__sched *sched = choose(runtime, &turn);
        if (sched != NULL)
            run_actor(runtime, sched);
        else
            pass_time(runtime);
    }
#ifdef WEFT_TEST
    if (runtime->simulating)
        simulations_add(-1);
    runtime->simulating = false;
    simulation = NULL;
#endif
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[i];
        weft__store(&sched->loop.refuses, 1);
        weft__threads_quiesce(&sched->loop);
        weft__loop_self = &sched->loop;
        while (weft__inbox_run(&sched->loop) || !weft__mpsc_empty(&sched->loop.inbox))
            continue;
        weft__loop_self = NULL;
    }
    if (runtime->debug != NULL)
        weft__debug_hooks->thread_leave(runtime, 0);
    if (alternate == 0)
        weft__overflow_thread_leave();
    weft__ctx_unadopt(&runtime->driver);
}
