/*
 * run.c - a runtime from its first task to its last.
 *
 * Closing: when the main task has ended, each loop is told to close (it refuses spawns, cancels
 * its tasks) and says so; once all have, none can send another a new task, and each reports when
 * it has no task left and no message waiting. When all have reported, all stop. Tasks that outlive
 * the grace period are named in the log and left where they are, and so is the memory that
 * late wake-ups may still look at.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/error.h>
#include <weft/loop.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "task/task_priv.h"

#define LOOPS_MAX 1024

int (*weft__zygote_start_hook)(void);
void (*weft__zygote_stop_hook)(void);

/* ---- Closing -------------------------------------------------------------------------------- */

static void
stop_on_loop(struct weft__message *message)
{
    weft__container(message, struct weft__sched, close_message)->loop.stop = true;
}

static void
stop_all(struct weft__runtime *runtime)
{
    weft__timers_cancel(&runtime->loops[0]->loop.timers, &runtime->grace);
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[i];
        sched->close_message.fn = stop_on_loop;
        weft__inbox_post(&sched->loop, &sched->close_message);
    }
}

static void
empty_on_first(struct weft__message *message)
{
    struct weft__runtime *runtime =
        weft__container(message, struct weft__sched, empty_message)->runtime;
    if (++runtime->empties == runtime->n_loops && weft__load(&runtime->abandoned) == 0)
        stop_all(runtime);
}

/* On each turn of a loop once all are closing. */
void
weft__close_check(struct weft__sched *sched)
{
    struct weft__runtime *runtime = sched->runtime;
    /* What came before the message to drain has been taken with it. What came later is no task:
     * posts of users go on coming, and must not hold the end up. */
    if (sched->reported || sched->live > 0 || sched->loop.pending != NULL ||
        weft__load(&runtime->n_any) > 0)
        return;
    sched->reported = true;
    sched->empty_message.fn = empty_on_first;
    weft__inbox_post(&runtime->loops[0]->loop, &sched->empty_message);
}

static void
drain_on_loop(struct weft__message *message)
{
    weft__container(message, struct weft__sched, close_message)->draining = true;
}

static void
ack_on_first(struct weft__message *message)
{
    struct weft__runtime *runtime =
        weft__container(message, struct weft__sched, ack_message)->runtime;
    if (++runtime->acks < runtime->n_loops)
        return;
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[i];
        sched->close_message.fn = drain_on_loop;
        weft__inbox_post(&sched->loop, &sched->close_message);
    }
}

static void
close_on_loop(struct weft__message *message)
{
    struct weft__sched *sched = weft__container(message, struct weft__sched, close_message);
    sched->closing = true;
    if (sched->debug)
        weft__debug_log_alive(sched, WEFT_LOG_WARN,
                              "is still alive at the end of the main task and is cancelled");
    weft__list_foreach(link, &sched->tasks)
        weft__task_end_root(weft__container(link, struct weft_task, link), -ECANCELED);
    sched->ack_message.fn = ack_on_first;
    weft__inbox_post(&sched->runtime->loops[0]->loop, &sched->ack_message);
}

/* Posted to each loop when the grace period is over: names what is left, and stops. */
static void
abandon_on_loop(struct weft__message *message)
{
    struct weft__sched *sched = weft__container(message, struct weft__sched, abandon_message);
    weft__debug_log_alive(sched, WEFT_LOG_ERROR, "outlived the grace period and is abandoned");
    weft__fetch_add(&sched->runtime->abandoned, sched->live);
    sched->loop.stop = true;
}

void
weft__runtime_abandon(struct weft__runtime *runtime)
{
    weft__fetch_add(&runtime->abandoned, 1); /* at least one: nobody stops in the ordinary way */
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[i];
        struct weft__message *message = &sched->abandon_message;
        message->fn = abandon_on_loop;
        weft__inbox_post(&sched->loop, message);
    }
}

static void
grace_over(struct weft__timer *timer)
{
    weft__runtime_abandon(weft__container(timer, struct weft__runtime, grace));
}

void
weft__runtime_begin_close(struct weft__runtime *runtime)
{
    if (runtime->main_done)
        return;
    runtime->main_done = true;
    runtime->main_result = runtime->main->result;
    runtime->main_error = runtime->main->error;
    runtime->main->error = NULL;
    weft__store(&runtime->closing, 1);
    struct weft_loop *first = &runtime->loops[0]->loop;
    int64_t grace = runtime->options.grace != 0 ? runtime->options.grace : WEFT_SEC(5);
    int64_t now = weft__clock_now(&runtime->clock);
    runtime->grace.fire = grace_over;
    if (grace < WEFT_FOREVER - now)
        weft__timers_add(&first->timers, &runtime->grace, now + grace);
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft__sched *sched = runtime->loops[i];
        sched->close_message.fn = close_on_loop;
        weft__inbox_post(&sched->loop, &sched->close_message);
    }
}

/* ---- Opening -------------------------------------------------------------------------------- */

static int
check_options(weft_options *options)
{
    if (options->loops > LOOPS_MAX)
        return weft_error_note(-EINVAL, "loops must be 0 to %d, got %u", LOOPS_MAX, options->loops);
    if (options->clock != WEFT_CLOCK_REAL && options->clock != WEFT_CLOCK_VIRTUAL)
        return weft_error_note(-EINVAL, "clock must be WEFT_CLOCK_REAL or _VIRTUAL, got %d",
                               (int)options->clock);
    if (options->signals != WEFT_SIGNALS_CANCEL && options->signals != WEFT_SIGNALS_NONE)
        return weft_error_note(-EINVAL, "signals must be WEFT_SIGNALS_CANCEL or _NONE, got %d",
                               (int)options->signals);
    if (options->grace < 0)
        return weft_error_note(-EINVAL, "grace must not be negative, got %lld ns",
                               (long long)options->grace);
    if (options->base != NULL && options->clock == WEFT_CLOCK_VIRTUAL)
        return weft_error_note(-EINVAL, "base: an event_base of yours has no virtual clock");
    if (options->slow < 0)
        return weft_error_note(-EINVAL, "slow must not be negative, got %lld ns",
                               (long long)options->slow);
    options->debug = weft__debug_asked(options);
    if (options->loops == 0)
        options->loops = options->clock == WEFT_CLOCK_VIRTUAL ? 1 : weft_usable_cpus();
    if (options->loops > LOOPS_MAX)
        options->loops = LOOPS_MAX;
    if (options->seed == 0) {
        const char *seed = getenv("WEFT_SEED");
        if (seed != NULL)
            options->seed = strtoull(seed, NULL, 0);
    }
    return weft__stack_round(options->stack_size, &options->stack_size);
}

int
weft__runtime_open(struct weft__runtime *runtime, const weft_options *given)
{
    if (given != NULL)
        runtime->options = *given;
    weft_options *options = &runtime->options;
    int rc = check_options(options);
    if (rc < 0)
        return rc;
    weft__list_init(&runtime->any);
    runtime->clock.is_virtual = options->clock == WEFT_CLOCK_VIRTUAL;
    runtime->random = options->seed;
    runtime->bell.fd = -1;

    rc = weft__stack_pool_new(&runtime->pool, sizeof(struct weft__stack), options->stack_size,
                              weft__task_entry, false);
    if (rc < 0)
        return rc;
    rc = -ENOMEM;
    runtime->loops = weft__alloc_zeroed(options->loops * sizeof *runtime->loops);
    if (runtime->loops == NULL)
        goto fail;
    for (unsigned i = 0; i < options->loops; i++) {
        struct weft__sched *sched = weft__alloc_lines(sizeof *sched);
        rc = -ENOMEM;
        if (sched == NULL)
            goto fail;
        rc = weft__sched_init(sched, runtime, i);
        runtime->loops[i] = sched;
        runtime->n_loops = i + 1;
        if (rc == 0)
            rc = weft__loop_grow(&sched->loop);
        if (rc < 0)
            goto fail;
        if (options->seed != 0) {
            uint64_t state = options->seed + i;
            sched->loop.random = state == 0 ? 1 : state;
        }
        sched->debug = options->debug;
        sched->loop.spin_allowed = options->loops > 1 && options->loops <= weft_usable_cpus();
        if (runtime->clock.is_virtual)
            continue;
        rc = weft__poll_open(&sched->loop.poll, sched->loop.bell, i == 0 ? options->base : NULL);
        if (rc < 0)
            goto fail;
    }
    if (runtime->clock.is_virtual) {
        rc = weft__sim_open(runtime);
        if (rc < 0)
            goto fail;
    }
    return 0;

fail:
    weft__runtime_close(runtime);
    return rc;
}

void
weft__runtime_lanes_free(struct weft__runtime *runtime, int64_t grace)
{
    for (int i = 0; i < WEFT__LANES; i++) {
        if (runtime->lanes[i] != NULL)
            runtime->lane_free(runtime->lanes[i], grace);
        runtime->lanes[i] = NULL;
    }
}

void
weft__runtime_close(struct weft__runtime *runtime)
{
    weft__runtime_lanes_free(runtime, runtime->abandoned > 0 ? 0 : WEFT_FOREVER);
    for (unsigned i = 0; i < runtime->n_loops; i++)
        weft__threads_quiesce(&runtime->loops[i]->loop);
    if (runtime->clock.is_virtual && runtime->n_loops > 0)
        weft__sim_close(runtime);
    if (runtime->abandoned > 0)
        return; /* stacks and loops stay: somebody may still hold a ticket of an abandoned task */
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        weft__sched_close(runtime->loops[i]);
        weft__free_lines(runtime->loops[i]);
    }
    weft__task_chunks_free(runtime);
    weft__free(runtime->loops);
    weft__free(runtime->threads);
    weft__stack_pool_free(runtime->pool);
}

/* ---- Running -------------------------------------------------------------------------------- */

/* Posts that were accepted are called, also the last ones. */
static void
drain_last(struct weft__sched *sched)
{
    weft__store(&sched->loop.refuses, 1); /* pairs with the load in weft_loop_post */
    weft__threads_quiesce(&sched->loop);
    while (weft__inbox_run(&sched->loop) || !weft__mpsc_empty(&sched->loop.inbox))
        continue;
}

static void
run_loop(struct weft__sched *sched)
{
    struct weft__runtime *runtime = sched->runtime;
    struct weft__cpu_mask before;
    bool pinned = false;
    if (runtime->options.pin && weft__cpu_mask_get(&before) == 0)
        pinned = weft__cpu_pin(runtime->cpus, sched->loop.index) == 0;
    weft__loop_self = &sched->loop;
    weft__ctx_adopt(&sched->native);
    int alternate = weft__overflow_thread_enter();
    if (runtime->debug != NULL)
        weft__debug_hooks->thread_enter(runtime, sched->loop.index);
    weft__loop_run(&sched->loop);
    drain_last(sched);
    if (runtime->debug != NULL)
        weft__debug_hooks->thread_leave(runtime, sched->loop.index);
    if (alternate == 0)
        weft__overflow_thread_leave();
    weft__ctx_unadopt(&sched->native);
    weft__loop_self = NULL;
    if (pinned)
        weft__cpu_unpin(&before);
}

static void *
loop_thread(void *arg)
{
    struct weft__sched *sched = arg;
    char name[16];
    snprintf(name, sizeof name, "weft/%u", sched->loop.index);
    pthread_setname_np(pthread_self(), name);
    run_loop(sched);
    return NULL;
}

/* Loop threads leave signals to the first one, which is the caller's. */
static int
start_threads(struct weft__runtime *runtime)
{
    if (runtime->n_loops == 1)
        return 0;
    runtime->threads = weft__alloc_zeroed(runtime->n_loops * sizeof *runtime->threads);
    if (runtime->threads == NULL)
        return -ENOMEM;
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    unsigned i;
    for (i = 1; i < runtime->n_loops; i++) {
        rc = weft__sys_thread_create(&runtime->threads[i], NULL, loop_thread, runtime->loops[i]);
        if (rc < 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        return 0;
    weft_error_note(rc, "the thread of loop %u: %s", i, weft_strerror(rc));
    while (--i > 0) {
        struct weft__sched *sched = runtime->loops[i];
        sched->close_message.fn = stop_on_loop;
        weft__inbox_post(&sched->loop, &sched->close_message);
        pthread_join(runtime->threads[i], NULL);
    }
    return rc;
}

static int
start_main(struct weft__runtime *runtime, weft_task_fn *fn, void *arg)
{
    struct weft__sched *first = runtime->loops[0];
    weft__loop_self = &first->loop;
    int rc =
        weft__task_new(&runtime->main, fn, arg, &(weft_task_options){.name = "main"}, WEFT_FOREVER);
    if (rc == 0)
        weft__task_start(runtime->main, WEFT_LOOP_HERE);
    weft__loop_self = NULL;
    return rc;
}

static void
debug_start(struct weft__runtime *runtime)
{
    weft__log_show_warnings();
    if (weft__debug_hooks != NULL)
        weft__debug_hooks->start(runtime);
    else
        weft_log(WEFT_LOG_WARN,
                 "debug mode is not all linked in: include <weft/debug.h> somewhere");
}

static int
run(struct weft__runtime *runtime, weft_task_fn *fn, void *arg)
{
    int rc = weft__overflow_install();
    if (rc < 0)
        return rc;
    if (runtime->options.debug)
        debug_start(runtime);
    rc = weft__signals_install(runtime);
    if (rc < 0)
        goto out_debug;
    rc = start_main(runtime, fn, arg);
    if (rc < 0)
        goto out_signals;
    if (runtime->clock.is_virtual) {
        weft__runtimes_add(runtime);
        weft__sim_run(runtime);
    } else {
        rc = start_threads(runtime);
        if (rc < 0) {
            runtime->loops[0]->ready_head = NULL;
            weft__loop_self = &runtime->loops[0]->loop;
            weft__list_remove(&runtime->main->link);
            weft__task_discard(runtime->main);
            weft__loop_self = NULL;
            goto out_signals;
        }
        weft__runtimes_add(runtime);
        run_loop(runtime->loops[0]);
        for (unsigned i = 1; i < runtime->n_loops; i++)
            pthread_join(runtime->threads[i], NULL);
    }
    rc = runtime->main_result;
    if (rc < 0 && runtime->main_error != NULL)
        weft_error_note(rc, "%s", runtime->main_error);
    weft__free(runtime->main_error);
    if (runtime->abandoned > 0 && rc >= 0)
        rc = weft_error_note(-ETIMEDOUT, "tasks outlived the grace period; the log names them");
    if (runtime->deadlocks > 0)
        rc = weft_error_note(-EDEADLK, "all tasks waited for each other and nothing was pending; "
                                       "the log says who for what");
    if (runtime->options.debug)
        weft__debug_log_handles(runtime);

    weft__runtimes_remove(runtime);

out_signals:
    weft__signals_uninstall(runtime);
out_debug:
    if (runtime->debug != NULL)
        weft__debug_hooks->stop(runtime);
    weft__overflow_uninstall();
    return rc;
}

int
weft_run(weft_task_fn *fn, void *arg, const weft_options *options)
{
    if (weft__loop_self != NULL)
        return weft_error_note(-EDEADLK, "weft_run inside a task: spawn, or use weft_loop_call");
    bool zygote = options != NULL && options->processes > 0;
    if (zygote) {
        if (weft__zygote_start_hook == NULL)
            return weft_error_note(-ENOTSUP, "processes: the process pool is not linked in");
        int rc = weft__zygote_start_hook();
        if (rc < 0)
            return rc;
    }
    int rc = -ENOMEM;
    struct weft__runtime *runtime = weft__alloc_zeroed(sizeof *runtime);
    if (runtime != NULL) {
        struct weft__cpu_mask cpus;
        rc = weft__cpu_mask_get(&cpus);
        runtime->cpus = &cpus;
        if (rc == 0)
            rc = weft__runtime_open(runtime, options);
        if (rc == 0) {
            rc = run(runtime, fn, arg);
            weft__runtime_close(runtime);
        }
        if (runtime->abandoned == 0)
            weft__free(runtime);
    }
    if (zygote)
        weft__zygote_stop_hook();
    return rc;
}

unsigned
weft_loop_count(void)
{
    struct weft__sched *sched = weft__sched_self();
    return sched != NULL ? sched->runtime->n_loops : 0;
}

weft_loop *
weft_loop_at(unsigned index)
{
    struct weft__sched *sched = weft__sched_self();
    if (sched == NULL || index >= sched->runtime->n_loops ||
        weft__loop_share(&sched->runtime->loops[index]->loop) < 0)
        return NULL;
    return &sched->runtime->loops[index]->loop;
}

void
weft_loop_stats_get(const weft_loop *loop, weft_loop_stats *ret_stats)
{
    const struct weft__sched *sched = (const struct weft__sched *)(const void *)loop;
    *ret_stats = (weft_loop_stats){
        .turns = weft__load_relaxed(&loop->turns),
        .switches = weft__load_relaxed(&sched->switches),
        .spawned = weft__load_relaxed(&sched->spawned),
        .live = weft__load_relaxed(&sched->live),
        .ready = weft__load_relaxed(&sched->n_ready),
        .messages = weft__load_relaxed(&loop->messages),
        .rings = weft__load_relaxed(&loop->rings),
        .sleeps = weft__load_relaxed(&loop->sleeps),
        .timers = weft__load_relaxed(&loop->timers.n),
        .stacks = sched->stacks.pool != NULL ? weft__stack_pool_mapped(sched->stacks.pool) : 0,
    };
}
