/*
 * executor.c - threads for calls that block.
 *
 * Threads start on demand: at once while there are fewer than CPUs, and beyond that when the
 * queue has stood still for a moment, which a watcher thread notices. So a flood of short calls is
 * served by a few threads, and a flood of blocking ones soon has as many as it may.
 *
 * A call waits in `queue`, under the lock, until a thread takes it. From then on the thread's
 * `call` slot holds it: whoever exchanges the slot for NULL, the thread after running it or
 * weft_executor_free at the end of its grace, is the one to complete it.
 *
 * The executor's memory is counted: besides its owner, threads and watcher, everybody who may still
 * take its lock has a reference. That is a caller who waits for a place, and a call until it is
 * completed; when its task was cancelled meanwhile, until that task has looked for it here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/executor.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "exec/backlog.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

#define THREADS_MAX 4096
#define THREADS_DEFAULT 64
#define WATCH_NS 100000      /* a queue that stands still this long gets more threads */
#define WATCH_NS_MAX 2000000 /* while it moves, the watcher looks ever more rarely */
#define SPIN_ROUNDS 40       /* before an idle thread sleeps: about 50 us, */
#define SPIN_PAUSES 64       /* looking once a microsecond: calls taken singly cost more */
#define SPIN_AGAIN_NS 200000 /* no spin after a vain one, until a sleep was as short as this */
#define LEFT_BEHIND 1        /* a park's result: the call, on the heap, is its thread's alone now */

/* Between a cancelled task and the thread that runs its call: who comes second knows what to do. */
enum phase {
    CALL_RUNNING = 0,
    CALL_WAITED_AGAIN = 1, /* the task waits for the end, with a second ticket */
    CALL_LEFT = 2,         /* the task is gone: the thread cleans up */
    CALL_DONE = 3
};

struct call {
    uint64_t position; /* in the queue */
    weft_task_fn *fn;
    void *arg;
    struct weft__ticket ticket;
    struct weft__ticket again; /* after a cancellation, of who waits for the end all the same */
    int32_t result;
    uint32_t phase;              /* atomic */
    struct weft__locals *locals; /* its task's, for the call to see */
    void (*abandon)(void *arg);  /* the call is on the heap, and its last user frees it */
};

struct thread {
    struct weft__link link; /* among all threads */
    struct call *call;      /* atomic: what it runs */
    weft_executor *executor;
    unsigned number;
    uint64_t n_taken; /* calls it took */
};

struct weft_executor {
    struct weft__lock lock;
    uint32_t wake; /* futex idle threads sleep on; counts wake-ups */
    struct weft__backlog queue;
    uint64_t taken;         /* calls given to threads, */
    uint64_t taken_first;   /* of these, each thread's first one */
    struct weft__list room; /* who waits for a place in the queue */
    size_t promised;        /* places given to who waited for one, and has yet to take it */
    struct weft__list threads;
    unsigned n_threads, peak, abandoned, numbers, n_cpus;
    unsigned n_idle;     /* threads asleep on `wake`, */
    unsigned n_woken;    /* of these, called and not up yet; */
    unsigned n_spinning; /* threads that look for work before they sleep, at most one */
    bool spin;           /* calls come close together, and there is a CPU to spare */
    bool closing;
    bool watching; /* there is a watcher */
    bool watcher_asleep;
    uint32_t watch_wake; /* futex of the watcher */
    uint32_t left;       /* futex of weft_executor_free: bumped as threads leave */
    unsigned refs;       /* see above */
    weft_executor_options options;
    char name[10];
};

/* Who is to be woken for a call that was queued, after unlocking. */
enum { NOBODY = 0, A_THREAD = 1, THE_WATCHER = 2 };

static void *thread_main(void *arg);
static int provide_thread(weft_executor *executor);

static void
executor_unref_unlock(weft_executor *executor)
{
    bool last = --executor->refs == 0;
    if (executor->closing) {
        weft__fetch_add(&executor->left, 1);
        weft__sys_futex_wake(&executor->left, 1);
    }
    weft__unlock(&executor->lock);
    if (last) {
        weft__backlog_free(&executor->queue);
        weft__free(executor);
    }
}

/* ---- Threads -------------------------------------------------------------------------------- */

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

/* Ends a call that is on the heap. */
static void
give_up(struct call *call)
{
    call->abandon(call->arg);
    weft__free(call);
}

/* Claims the park of the call's task. One on the heap under the lock, as in wait_out: a task that
 * has left its call behind may be gone with its runtime, and its ticket must not be looked at. */
static bool
claim_task(weft_executor *executor, struct call *call)
{
    if (call->abandon == NULL)
        return weft__claim(call->ticket);
    weft__lock(&executor->lock);
    bool claimed = weft__load(&call->phase) != CALL_LEFT && weft__claim(call->ticket);
    weft__unlock(&executor->lock);
    return claimed;
}

/* Completes a call, whose memory may be gone afterwards. True: with it went the need for its
 * reference, which is the caller's to drop. */
static bool
complete(weft_executor *executor, struct call *call, int result)
{
    call->result = result;
    if (claim_task(executor, call)) {
        weft__deliver(call->ticket.waiter, 0);
        return true;
    }
    /* Its task was cancelled. Pairs with the exchanges in wait_out; when the task has yet to come
     * there, the call is its own again. */
    switch (weft__exchange(&call->phase, (uint32_t)CALL_DONE)) {
    case CALL_WAITED_AGAIN:
        weft__wake(call->again, 0);
        break;
    case CALL_LEFT:
        give_up(call);
        break;
    default:
        break;
    }
    return false; /* its task takes the lock once more, and drops the reference */
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

static void
wake_thread(weft_executor *executor, int whom)
{
    if (whom == A_THREAD)
        weft__sys_futex_wake(&executor->wake, 1);
    else if (whom == THE_WATCHER)
        weft__sys_futex_wake(&executor->watch_wake, 1);
}

/* With the lock held, after a place became free, or to tell of the end: who is to be woken. The
 * place is its own from now on, so nobody overtakes it. */
static struct weft__waiter *
give_place(weft_executor *executor)
{
    struct weft__waiter *next = weft__waitq_claim(&executor->room);
    executor->promised += next != NULL;
    return next;
}

uint64_t *
weft__backlog_position(struct call *call)
{
    return &call->position;
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
        struct weft__waiter *place = give_place(executor);
        int to_wake = executor->queue.n > 0 ? provide_thread(executor) : NOBODY;
        /* Read now: once it is in the slot it may be answered for, and gone, at any time. */
        struct call *on_heap = call->abandon != NULL ? call : NULL;
        weft_task_fn *fn = call->fn;
        void *its_arg = call->arg;
        /* Counted now: its task has not left yet. */
        struct weft__locals *locals = weft__locals_ref(call->locals);
        weft__store(&self->call, call);
        weft__unlock(&executor->lock);
        wake_thread(executor, to_wake);
        if (place != NULL)
            weft__deliver(place, 0);

        int result = run_call(fn, its_arg, locals);

        /* Pairs with the exchange in weft_executor_free. */
        call = weft__exchange(&self->call, NULL);
        if (call == NULL) { /* given up on: somebody else has answered for us */
            weft__lock(&executor->lock);
            weft__free(self);
            executor_unref_unlock(executor);
            /* Pairs with the exchange in wait_out, when its task was cancelled before. */
            if (on_heap != NULL &&
                weft__exchange(&on_heap->phase, (uint32_t)CALL_DONE) == CALL_LEFT)
                give_up(on_heap);
            return NULL;
        }
        bool completed = complete(executor, call, result);
        weft__lock(&executor->lock);
        if (completed)
            executor->refs--;
    }
    weft__list_remove(&self->link);
    executor->n_threads--;
    weft__free(self);
    executor_unref_unlock(executor);
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
    executor_unref_unlock(executor);
    return NULL;
}

/* With the lock held, while calls are queued: sees to it that somebody takes the next one. Whom to
 * wake for it; negative when there is no thread and none could be started. */
static int
provide_thread(weft_executor *executor)
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

/* ---- Calls ---------------------------------------------------------------------------------- */

/* The virtual clock stands still while a call is in progress. */
static void
hold_clock(int by)
{
    struct weft_loop *loop = weft__loop_self;
    if (loop != NULL && loop->clock->is_virtual)
        weft__fetch_add(&loop->clock->holds, (uint32_t)by);
}

/* With the lock held; unlocks. 0 when the call is queued. */
static int
enqueue(weft_executor *executor, struct call *call, bool no_wait)
{
    if (executor->queue.n + executor->promised >= executor->options.queue && !executor->closing) {
        if (no_wait) {
            weft__unlock(&executor->lock);
            return -EAGAIN;
        }
        executor->refs++;
        weft__waits_for("place in the queue of executor", executor);
        int rc = weft__waitq_park(&executor->room, &executor->lock);
        weft__lock(&executor->lock);
        if (rc == 0)
            executor->promised--;
        if (rc < 0 || executor->closing) {
            executor_unref_unlock(executor);
            return rc < 0 ? rc : -ESHUTDOWN;
        }
        executor->refs--;
    }
    if (executor->closing) {
        weft__unlock(&executor->lock);
        return -ESHUTDOWN;
    }
    call->ticket = weft__park_arm();
    int rc = weft__backlog_push(&executor->queue, call);
    if (rc == 0) {
        executor->refs++;
        rc = provide_thread(executor);
        if (rc < 0) {
            weft__backlog_remove(&executor->queue, call);
            executor->refs--;
        }
    }
    struct weft__waiter *place = rc < 0 ? give_place(executor) : NULL;
    weft__unlock(&executor->lock);
    if (place != NULL)
        weft__deliver(place, 0);
    wake_thread(executor, rc);
    return rc < 0 ? rc : 0;
}

/* After a cancellation: takes a call back that has not started, else waits for its end. */
static int
wait_out(weft_executor *executor, struct call *call, int cause)
{
    weft__lock(&executor->lock);
    if (weft__backlog_remove(&executor->queue, call)) {
        struct weft__waiter *place = give_place(executor);
        executor_unref_unlock(executor);
        if (place != NULL)
            weft__deliver(place, 0);
        if (call->abandon != NULL)
            give_up(call);
        return cause;
    }
    /* Both exchanges pair with the one in complete: one of us sees the other. */
    if (call->abandon != NULL) {
        uint32_t phase = weft__exchange(&call->phase, (uint32_t)CALL_LEFT);
        executor_unref_unlock(executor);
        if (phase == CALL_DONE)
            give_up(call);
        return cause;
    }
    executor_unref_unlock(executor);
    call->again = weft__park_arm();
    if (weft__exchange(&call->phase, (uint32_t)CALL_WAITED_AGAIN) != CALL_DONE) {
        weft__waits_for(weft__what_executor, NULL);
        int woken = weft__park(false);
        (void)woken;
    }
    return cause;
}

int
weft_executor_run(weft_executor *executor, weft_task_fn *fn, void *arg,
                  const weft_blocking_options *options)
{
    void (*abandon)(void *) = options != NULL ? options->abandon : NULL;
    struct call on_stack;
    struct call *call = &on_stack;
    int rc = weft__wait_begin();
    if (rc == 0 && abandon != NULL) {
        call = weft__alloc(sizeof *call);
        if (call == NULL)
            rc = -ENOMEM;
    }
    if (rc == 0) {
        *call = (struct call){.fn = fn, .arg = arg, .abandon = abandon};
        if (abandon == NULL) /* the caller stays as long as the call */
            call->locals = weft__locals_current();
        weft__lock(&executor->lock);
        rc = enqueue(executor, call, options != NULL && options->no_wait);
        if (rc < 0 && abandon != NULL)
            weft__free(call);
    }
    if (rc < 0) {
        if (abandon != NULL)
            abandon(arg);
        return rc;
    }
    hold_clock(+1);
    weft__waits_for(weft__what_executor, NULL);
    rc = weft__park(true);
    if (rc < 0)
        rc = wait_out(executor, call, rc);
    hold_clock(-1);
    if (rc < 0)
        return rc;
    if (rc == LEFT_BEHIND)
        return -ECANCELED; /* its thread still runs it, and cleans up */
    int result = call->result;
    if (abandon != NULL)
        give_up(call);
    return result;
}

/* ---- Life ----------------------------------------------------------------------------------- */

int
weft_executor_new(weft_executor **ret_executor, const weft_executor_options *given)
{
    weft_executor_options options = {.threads = 0};
    if (given != NULL)
        options = *given;
    if (options.threads > THREADS_MAX)
        return weft__error_note(-EINVAL, "threads must be 0 to %d, got %u", THREADS_MAX,
                                options.threads);
    if (options.threads == 0)
        options.threads = THREADS_DEFAULT;
    if (options.min_threads > options.threads)
        return weft__error_note(-EINVAL, "min_threads must be at most threads (%u), got %u",
                                options.threads, options.min_threads);
    if (options.idle < 0)
        return weft__error_note(-EINVAL, "idle must not be negative, got %lld ns",
                                (long long)options.idle);
    if (options.idle == 0)
        options.idle = WEFT_SEC(5);
    if (options.queue == 0)
        options.queue = options.threads * 4 > 1024 ? options.threads * 4 : 1024;

    weft_executor *executor = weft__alloc_zeroed(sizeof *executor);
    if (executor == NULL)
        return -ENOMEM;
    if (weft__backlog_init(&executor->queue) < 0) {
        weft__free(executor);
        return -ENOMEM;
    }
    snprintf(executor->name, sizeof executor->name, "%s",
             options.name != NULL ? options.name : "blocking");
    options.name = NULL;
    executor->options = options;
    executor->n_cpus = weft_usable_cpus();
    executor->spin = executor->n_cpus > 1;
    executor->refs = 1;
    weft__list_init(&executor->room);
    weft__list_init(&executor->threads);
    *ret_executor = executor;
    return 0;
}

/* Completes what has not started, and those who wait for a place. */
static void
refuse_queued(weft_executor *executor, bool queued_too)
{
    for (;;) {
        weft__lock(&executor->lock);
        struct weft__waiter *place = give_place(executor);
        struct call *call =
            place == NULL && queued_too ? weft__backlog_take(&executor->queue) : NULL;
        weft__unlock(&executor->lock);
        if (place != NULL)
            weft__deliver(place, 0); /* it finds the executor closing */
        else if (call == NULL)
            return;
        else if (complete(executor, call, -ECANCELED)) {
            weft__lock(&executor->lock);
            executor->refs--; /* not the last: the owner is in weft_executor_free */
            weft__unlock(&executor->lock);
        }
    }
}

/* With the lock held: answers for the calls that still run, and leaves their threads to
 * themselves. The lock keeps them from freeing a call on the heap while it is looked at. */
static int
leave_behind(weft_executor *executor)
{
    int behind = 0;
    struct weft__link *link = weft__list_first(&executor->threads);
    while (link != NULL) {
        struct weft__link *next = link->next == &executor->threads.ends ? NULL : link->next;
        struct thread *thread = weft__container(link, struct thread, link);
        struct call *call = weft__exchange(&thread->call, NULL);
        if (call != NULL) {
            weft__list_remove(&thread->link);
            executor->n_threads--;
            executor->abandoned++;
            behind++;
            if (call->abandon == NULL) {
                executor->refs -= complete(executor, call, -ECANCELED);
            } else if (weft__load(&call->phase) != CALL_LEFT && weft__claim(call->ticket)) {
                weft__store(&call->phase, (uint32_t)CALL_LEFT);
                weft__deliver(call->ticket.waiter, LEFT_BEHIND);
                executor->refs--;
            }
        }
        link = next;
    }
    return behind;
}

int
weft_executor_free(weft_executor *executor, weft_close_mode mode, weft_time grace)
{
    if (executor == NULL)
        return 0;
    int64_t now = weft__sys_monotonic();
    int64_t until = grace > WEFT_FOREVER - now ? WEFT_FOREVER : now + grace;
    weft__lock(&executor->lock);
    executor->closing = true;
    weft__fetch_add(&executor->wake, 1);
    weft__fetch_add(&executor->watch_wake, 1);
    weft__unlock(&executor->lock);
    refuse_queued(executor, mode == WEFT_CANCEL);
    weft__sys_futex_wake(&executor->wake, INT32_MAX);
    weft__sys_futex_wake(&executor->watch_wake, INT32_MAX);

    weft__lock(&executor->lock);
    for (;;) {
        if (executor->n_threads == 0 && !executor->watching)
            break;
        int64_t left = until == WEFT_FOREVER ? -1 : until - weft__sys_monotonic();
        if (until != WEFT_FOREVER && left <= 0)
            break;
        uint32_t seen = weft__load(&executor->left);
        weft__unlock(&executor->lock);
        weft__sys_futex_wait(&executor->left, seen, left);
        weft__lock(&executor->lock);
    }
    int behind = 0;
    if (executor->n_threads > 0 || executor->queue.n > 0) {
        /* The grace is over. What never started is taken back, what runs is answered for. */
        weft__unlock(&executor->lock);
        refuse_queued(executor, true);
        weft__lock(&executor->lock);
        behind = leave_behind(executor);
        if (behind > 0)
            weft__log(WEFT_LOG_ERROR,
                      "executor %s: %d threads left behind in calls that do not end",
                      executor->name, behind);
    }
    executor_unref_unlock(executor);
    return behind;
}

void
weft_executor_stats_get(weft_executor *executor, weft_executor_stats *ret_stats)
{
    weft__lock(&executor->lock);
    uint64_t running = executor->abandoned;
    for (struct weft__link *link = weft__list_first(&executor->threads); link != NULL;
         link = link->next == &executor->threads.ends ? NULL : link->next)
        running += weft__load(&weft__container(link, struct thread, link)->call) != NULL;
    *ret_stats = (weft_executor_stats){
        .threads = executor->n_threads,
        .idle = executor->n_idle,
        .peak = executor->peak,
        .abandoned = executor->abandoned,
        .queued = executor->queue.n,
        .done = executor->taken - running,
    };
    weft__unlock(&executor->lock);
}
