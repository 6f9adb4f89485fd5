/*
 * threads.c - an executor's threads: starting them on demand, running calls, leaving when idle.
 *
 * Threads start at once while there are fewer than CPUs, and beyond that when the queue has stood
 * still for a moment, which a watcher thread notices. So a flood of short calls is served by a few
 * threads, and a flood of blocking ones soon has as many as it may.
 *
 * While calls are queued somebody is to come for them: a thread that runs a call and will look
 * again, one that was woken, one that spins, or the watcher.
 */
#include <errno.h>
#include <stdio.h>

#include <weft/error.h>

#include "base/mem.h"
#include "exec/executor_priv.h"

#define WATCH_NS 100000      /* a queue that stands still this long gets more threads */
#define WATCH_NS_MAX 2000000 /* while it moves, the watcher looks ever more rarely */
#define SPIN_ROUNDS 40       /* before an idle thread sleeps: about 50 us, */
#define SPIN_PAUSES 64       /* looking once a microsecond: calls taken singly cost more */
#define SPIN_AGAIN_NS 200000 /* no spin after a vain one, until a sleep was as short as this */

static void *thread_main(void *arg);

static int
spawn_thread(void *(*main)(void *), void *arg)
{
    /* Signals are for the threads that asked for them. */
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_attr_t attributes;
    int rc = -pthread_attr_init(&attributes);
    if (rc < 0)
        return rc;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t handle;
    rc = weft__sys_thread_create(&handle, &attributes, main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return rc;
}

/* With the lock held. */
static int
start_thread(weft_executor *executor)
{
    struct thread *thread = weft__alloc_zeroed(sizeof *thread);
    if (thread == NULL)
        return -ENOMEM;
    thread->executor = executor;
    thread->number = ++executor->numbers;
    weft__list_push_back(&executor->threads, &thread->link);
    int rc = spawn_thread(thread_main, thread);
    if (rc < 0) {
        weft__list_remove(&thread->link);
        weft__free(thread);
        return rc;
    }
    executor->refs++;
    if (++executor->n_threads > executor->peak)
        executor->peak = executor->n_threads;
    return 0;
}

/* With the lock held: waits for work. False when the thread shall leave. One thread at a time looks
 * for a moment before it sleeps: who queues a call meanwhile need not wake anybody. */
static bool
wait_for_work(weft_executor *executor)
{
    if (executor->closing)
        return false;
    if (executor->spin && executor->n_spinning == 0) {
        executor->n_spinning++;
        weft__unlock(&executor->lock);
        for (int i = 0; i < SPIN_ROUNDS && weft__load_relaxed(&executor->queue.n) == 0; i++) {
            for (int k = 0; k < SPIN_PAUSES; k++)
                weft__cpu_pause();
        }
        weft__lock(&executor->lock);
        executor->n_spinning--;
        if (executor->queue.n > 0 || executor->closing)
            return true;
        executor->spin = false;
    }
    uint32_t wake = weft__load(&executor->wake);
    executor->n_idle++;
    weft__unlock(&executor->lock);
    int64_t asleep = weft__sys_monotonic();
    int rc = weft__sys_futex_wait(&executor->wake, wake, executor->options.idle);
    asleep = weft__sys_monotonic() - asleep;
    weft__lock(&executor->lock);
    if (rc != -ETIMEDOUT && asleep < SPIN_AGAIN_NS && executor->n_cpus > 1)
        executor->spin = true;
    executor->n_idle--;
    if (executor->n_woken > 0)
        executor->n_woken--;
    return rc != -ETIMEDOUT || executor->queue.n > 0 ||
           executor->n_threads <= executor->options.min_threads;
}

static int
run_call(weft_task_fn *fn, void *arg, struct weft__locals *locals)
{
    if (locals == NULL)
        return fn(arg);
    struct weft__thread *thread = weft__thread_self();
    if (thread == NULL) {
        weft__locals_drop(&locals);
        return -ENOMEM;
    }
    thread->locals = locals;
    int result = fn(arg);
    weft__locals_drop(&thread->locals);
    return result;
}

static void *
thread_main(void *arg)
{
    struct thread *self = arg;
    weft_executor *executor = self->executor;
    char name[16];
    snprintf(name, sizeof name, "%s/%u", executor->name, self->number % 10000);
    pthread_setname_np(pthread_self(), name);

    weft__lock(&executor->lock);
    for (;;) {
        struct call *call = weft__backlog_take(&executor->queue);
        if (call == NULL) {
            if (!wait_for_work(executor))
                break;
            continue;
        }
        executor->taken++;
        executor->taken_first += self->n_taken++ == 0;
        struct weft__waiter *place = weft__executor_give_place(executor);
        int to_wake = executor->queue.n > 0 ? weft__executor_provide(executor) : NOBODY;
        /* Read now: once it is in the slot it may be answered for, and gone, at any time. */
        struct call *on_heap = call->abandon != NULL ? call : NULL;
        weft_task_fn *fn = call->fn;
        void *its_arg = call->arg;
        /* Counted now: its task has not left yet. */
        struct weft__locals *locals = weft__locals_ref(call->locals);
        weft__store_release(&self->call, call); /* the lock orders it for leave_behind */
        weft__unlock(&executor->lock);
        weft__executor_wake(executor, to_wake);
        if (place != NULL)
            weft__deliver(place, 0);

        int result = run_call(fn, its_arg, locals);

        /* Pairs with the exchange in weft_executor_free. */
        call = weft__exchange(&self->call, NULL);
        if (call == NULL) { /* given up on: somebody else has answered for us */
            weft__lock(&executor->lock);
            weft__free(self);
            weft__executor_unref_unlock(executor);
            /* Pairs with the exchange in wait_out, when its task was cancelled before. */
            if (on_heap != NULL &&
                weft__exchange(&on_heap->phase, (uint32_t)CALL_DONE) == CALL_LEFT)
                weft__call_give_up(on_heap);
            return NULL;
        }
        bool completed = weft__call_complete(executor, call, result);
        weft__lock(&executor->lock);
        if (completed)
            executor->refs--;
    }
    weft__list_remove(&self->link);
    executor->n_threads--;
    weft__free(self);
    weft__executor_unref_unlock(executor);
    return NULL;
}

/* ---- The watcher ---------------------------------------------------------------------------- */

/* The queue moves when this grows. What a new thread takes first says nothing: when all calls
 * block, it is as many calls as there were threads started. */
static uint64_t
progress(const weft_executor *executor)
{
    return executor->taken - executor->taken_first;
}

static int64_t
more_rarely(int64_t pause_ns)
{
    return pause_ns * 2 > WATCH_NS_MAX ? WATCH_NS_MAX : pause_ns * 2;
}

static void *
watcher_main(void *arg)
{
    weft_executor *executor = arg;
    pthread_setname_np(pthread_self(), "weft-watch");
    uint64_t seen = 0;
    int64_t pause_ns = WATCH_NS;
    unsigned more = 1;
    weft__lock(&executor->lock);
    for (;;) {
        /* At the limit there is nothing to do until threads have left, and while calls wait none
         * does. */
        bool limit = executor->n_threads >= executor->options.threads;
        if (executor->closing && (executor->queue.n == 0 || limit))
            break;
        if (executor->queue.n == 0 || limit) {
            uint32_t wake = weft__load(&executor->watch_wake);
            executor->watcher_asleep = true;
            weft__unlock(&executor->lock);
            weft__sys_futex_wait(&executor->watch_wake, wake, executor->options.idle);
            weft__lock(&executor->lock);
            bool alone = executor->watcher_asleep;
            executor->watcher_asleep = false;
            if (alone && executor->queue.n == 0 && executor->n_threads == 0)
                break; /* nothing for a long time */
            pause_ns = WATCH_NS;
            more = 1;
            if (executor->queue.n == 0)
                continue;
        }
        seen = progress(executor);
        weft__unlock(&executor->lock);
        weft__sys_ppoll(NULL, 0, pause_ns);
        weft__lock(&executor->lock);
        if (executor->queue.n == 0)
            continue;
        if (progress(executor) != seen) {
            pause_ns = more_rarely(pause_ns);
            more = 1;
            continue;
        }
        unsigned started = 0;
        while (started < more && started < executor->queue.n &&
               executor->n_threads < executor->options.threads && start_thread(executor) == 0)
            started++;
        if (started > 0) {
            pause_ns = WATCH_NS;
            more = more < THREADS_MAX ? more * 2 : more;
        } else { /* those there are go on; there may be memory for another one later */
            pause_ns = more_rarely(pause_ns);
            more = 1;
        }
    }
    executor->watching = false;
    weft__executor_unref_unlock(executor);
    return NULL;
}

int
weft__executor_provide(weft_executor *executor)
{
    if (executor->n_spinning > 0 || executor->n_woken > 0)
        return NOBODY; /* that one comes by itself, and then sees to the next call */
    if (executor->n_idle > 0) {
        executor->n_woken++;
        weft__fetch_add(&executor->wake, 1);
        return A_THREAD;
    }
    if (executor->n_threads >= executor->options.threads)
        return NOBODY;
    if (executor->n_threads < executor->n_cpus || executor->n_threads == 0) {
        int rc = start_thread(executor);
        if (rc == 0 || executor->n_threads == 0)
            return rc;
        /* Those there are may all block: the watcher tries again. */
    }
    if (!executor->watching) {
        executor->refs++;
        executor->watching = true;
        executor->watcher_asleep = false;
        if (spawn_thread(watcher_main, executor) < 0) {
            executor->refs--;
            executor->watching = false;
            start_thread(executor); /* no watcher: one thread more at once, if there can be */
        }
    } else if (executor->watcher_asleep) {
        executor->watcher_asleep = false;
        weft__fetch_add(&executor->watch_wake, 1);
        return THE_WATCHER;
    }
    return NOBODY;
}

void
weft__executor_wake(weft_executor *executor, int whom)
{
    if (whom == A_THREAD)
        weft__sys_futex_wake(&executor->wake, 1);
    else if (whom == THE_WATCHER)
        weft__sys_futex_wake(&executor->watch_wake, 1);
}
