/*
 * executor_priv.h - an executor and its calls: what calling and running share.
 *
 * A call waits in `queue`, under the lock, until a thread takes it. From then on the thread's
 * `call` slot holds it: whoever exchanges the slot for NULL, the thread after running it or
 * weft_executor_free at the end of its grace, is the one to complete it.
 *
 * The executor's memory is counted: besides its owner, threads and watcher, everybody who may still
 * take its lock has a reference. That is a caller who waits for a place, and a call until it is
 * completed; when its task was cancelled meanwhile, until that task has looked for it here.
 */
#ifndef WEFT_LIB_EXEC_EXECUTOR_PRIV_H
#define WEFT_LIB_EXEC_EXECUTOR_PRIV_H

#include <weft/executor.h>

#include "base/list.h"
#include "base/lock.h"
#include "exec/backlog.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

#define THREADS_MAX 4096

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

/* Drops a reference, and the lock, which is held. */
void weft__executor_unref_unlock(weft_executor *executor);

/* With the lock held, after a place became free, or to tell of the end: who is to be woken. The
 * place is its own from now on, so nobody overtakes it. */
static inline struct weft__waiter *
weft__executor_give_place(weft_executor *executor)
{
    struct weft__waiter *next = weft__waitq_claim(&executor->room);
    executor->promised += next != NULL;
    return next;
}

/* threads.c */

/* With the lock held, while calls are queued: sees to it that somebody takes the next one. Whom to
 * wake for it; negative when there is no thread and none could be started. */
int weft__executor_provide(weft_executor *executor);
/* Wakes whom that named, after unlocking. */
void weft__executor_wake(weft_executor *executor, int whom);

/* executor.c */

/* Completes a call, whose memory may be gone afterwards. True: with it went the need for its
 * reference, which is the caller's to drop. */
bool weft__call_complete(weft_executor *executor, struct call *call, int result);
/* Ends a call that is on the heap. */
void weft__call_give_up(struct call *call);

#endif
