/*
 * thread.c - the model of N threads: each job is a lone task on one of them.
 *
 * Threads start on demand, up to the width, and stay until the close. A call that finds no idle
 * thread takes a new one with it; the others wait in a queue, bounded by max_in_flight. A call is
 * either in the queue or in the `call` of one thread, and whoever takes it out of there, under
 * the lock, is the one to complete it. So a close that has run out of patience can complete the
 * call of a job that goes on: such a thread is left behind, with an output nobody will read.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <weft/error.h>

#include "jobs.h"
#include "worker_priv.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_FACTOR 4
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_FACTOR 4
#endif
#endif
#ifndef STACK_FACTOR
#define STACK_FACTOR 1
#endif

/* Of a thread; only pages that are used take memory. The margin is what a thread's own frames,
 * its thread-locals and the private loop's calls need besides the job. */
#define STACK_DEFAULT ((size_t)256 * 1024)
#define STACK_MARGIN ((size_t)32 * 1024)

struct pool;

struct thread {
    struct pool *pool;
    struct thread *next;
    pthread_t id;
    weft_call *call; /* under the lock: the one its job belongs to; NULL when taken away */
    bool left;       /* under the lock: left behind by the close; drops a reference at its end */
    unsigned number;
    /* The thread's own: copies, because a call taken away must not be touched. */
    const weft_job *job;
    weft_bytes in;
    weft_time deadline;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;  /* a call in the queue, or closing */
    pthread_cond_t quiet; /* closing, and nothing queued nor running */
    weft_workers *workers;
    size_t stack_size;
    unsigned width;
    unsigned n_threads;
    unsigned n_idle; /* of these, waiting for work, or woken for it and not yet there */
    unsigned n_busy; /* with a call */
    size_t n_queued;
    weft_call *head, *tail;
    struct thread *threads;
    bool closing;
};

enum { NOT_QUEUED = 0, QUEUED = 1 }; /* weft__call_private.where */

static void
queue_push(struct pool *pool, weft_call *call)
{
    weft__call_private *p = weft__call_private_of(call);
    p->where = QUEUED;
    p->next = NULL;
    p->prev = pool->tail;
    if (pool->tail != NULL)
        weft__call_private_of(pool->tail)->next = call;
    else
        pool->head = call;
    pool->tail = call;
    pool->n_queued++;
}

static void
queue_remove(struct pool *pool, weft_call *call)
{
    weft__call_private *p = weft__call_private_of(call);
    if (p->prev != NULL)
        weft__call_private_of(p->prev)->next = p->next;
    else
        pool->head = p->next;
    if (p->next != NULL)
        weft__call_private_of(p->next)->prev = p->prev;
    else
        pool->tail = p->prev;
    p->where = NOT_QUEUED;
    pool->n_queued--;
}

/* All that is queued, as a list linked by next; the queue is empty then. */
static weft_call *
queue_take_all(struct pool *pool)
{
    weft_call *all = pool->head;
    for (weft_call *c = all; c != NULL; c = weft__call_private_of(c)->next)
        weft__call_private_of(c)->where = NOT_QUEUED;
    pool->head = NULL;
    pool->tail = NULL;
    pool->n_queued = 0;
    return all;
}

static void
complete_all(weft_call *list, int result)
{
    while (list != NULL) {
        weft_call *call = list;
        list = weft__call_private_of(call)->next; /* before it is done and gone */
        weft_call_done(call, result);
    }
}

static void
tell_if_quiet(struct pool *pool)
{
    if (pool->closing && pool->n_busy == 0 && pool->n_queued == 0)
        pthread_cond_broadcast(&pool->quiet);
}

/* With the lock: the thread's next call, from the queue unless one is given. */
static void
begin(struct thread *thread, weft_call *call)
{
    if (call == NULL) {
        call = thread->pool->head;
        queue_remove(thread->pool, call);
    }
    thread->call = call;
    thread->pool->n_busy++;
    thread->job = call->job;
    thread->in = call->in;
    thread->deadline = call->deadline;
    weft_call_begin(call);
}

/* Takes the lock, and returns with it: the finished job's call is done unless taken away. */
static void
finish(struct thread *thread, int result, weft_buf *out)
{
    struct pool *pool = thread->pool;
    pthread_mutex_lock(&pool->lock);
    weft_call *call = thread->call;
    thread->call = NULL;
    if (call == NULL) {
        weft_buf_free(out);
        return;
    }
    pool->n_busy--;
    if (pool->n_queued > 0) {
        /* The next one at once, so that finishing and beginning cost one lock together. */
        begin(thread, NULL);
    }
    tell_if_quiet(pool);
    pthread_mutex_unlock(&pool->lock);
    call->out = *out;
    weft_call_done(call, result);
    pthread_mutex_lock(&pool->lock);
}

/* With the lock: waits until there is a call; false when there will be none. */
static bool
next_call(struct thread *thread)
{
    struct pool *pool = thread->pool;
    if (thread->call != NULL)
        return true;
    while (pool->n_queued == 0) {
        if (pool->closing || thread->left)
            return false;
        pool->n_idle++;
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->n_idle--;
    }
    if (thread->left)
        return false;
    begin(thread, NULL);
    return true;
}

static void *
thread_main(void *arg)
{
    struct thread *thread = arg;
    struct pool *pool = thread->pool;
    char name[16];
    snprintf(name, sizeof name, "thread/%u", thread->number);
    pthread_setname_np(pthread_self(), name);

    pthread_mutex_lock(&pool->lock);
    while (next_call(thread)) {
        pthread_mutex_unlock(&pool->lock);
        weft_buf out = {0};
        int result = weft__job_run_here(thread->job, thread->in, &out, thread->deadline);
        finish(thread, result, &out);
    }
    bool left = thread->left;
    pthread_mutex_unlock(&pool->lock);
    if (left) {
        weft_workers *workers = pool->workers;
        weft__free(thread);
        weft__workers_unref(workers); /* the pool may be gone after this */
    }
    return NULL;
}

/* Starts a thread that begins with call; n_threads counts it already. */
static int
thread_start(struct pool *pool, weft_call *call, unsigned number)
{
    struct thread *thread = weft__alloc_zeroed(sizeof *thread);
    if (thread == NULL)
        return -ENOMEM;
    thread->pool = pool;
    thread->number = number;

    pthread_mutex_lock(&pool->lock);
    begin(thread, call);
    thread->next = pool->threads;
    pool->threads = thread;
    pthread_mutex_unlock(&pool->lock);

    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, pool->stack_size);
    int rc = pthread_create(&thread->id, &attributes, thread_main, thread);
    pthread_attr_destroy(&attributes);
    if (rc == 0)
        return 0;

    pthread_mutex_lock(&pool->lock);
    for (struct thread **at = &pool->threads; *at != NULL; at = &(*at)->next) {
        if (*at == thread) {
            *at = thread->next;
            break;
        }
    }
    pool->n_busy--;
    pthread_mutex_unlock(&pool->lock);
    call->started = 0;
    weft__free(thread);
    return weft_error_note(-ENOMEM, "thread %u could not be started: %s", number,
                           weft_strerror(-rc));
}

static int
thread_submit(void *state, weft_call *call)
{
    struct pool *pool = state;
    pthread_mutex_lock(&pool->lock);
    if (pool->n_threads == pool->width || pool->n_queued < pool->n_idle) {
        queue_push(pool, call);
        pthread_cond_signal(&pool->work);
        pthread_mutex_unlock(&pool->lock);
        return 0;
    }
    unsigned number = ++pool->n_threads;
    pthread_mutex_unlock(&pool->lock);

    int rc = thread_start(pool, call, number);
    if (rc == 0)
        return 0;
    /* With other threads there, the call waits for one of them. The last one to learn that there
     * is none answers for those who relied on it. */
    weft_call *stranded = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->n_threads--;
    if (pool->n_threads > 0) {
        queue_push(pool, call);
        pthread_cond_signal(&pool->work);
        rc = 0;
    } else {
        stranded = queue_take_all(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    complete_all(stranded, rc);
    return rc;
}

static void
thread_cancel(void *state, weft_call *call)
{
    struct pool *pool = state;
    pthread_mutex_lock(&pool->lock);
    bool queued = weft__call_private_of(call)->where == QUEUED;
    if (queued) {
        queue_remove(pool, call);
        tell_if_quiet(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    if (queued)
        weft_call_done(call, -ECANCELED);
}

static int
thread_open(void *state, weft_workers *workers, unsigned width, const weft_workers_options *options)
{
    struct pool *pool = state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t stack = options->stack_size != 0 ? options->stack_size + STACK_MARGIN : STACK_DEFAULT;
    pool->stack_size = (stack * STACK_FACTOR + page - 1) / page * page;
    pool->workers = workers;
    pool->width = width;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->quiet, &attributes);
    pthread_condattr_destroy(&attributes);
    return 0;
}

/* With the lock: waits until nothing is queued or running; false when the time has come first. */
static bool
wait_quiet(struct pool *pool, weft_time deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    while (pool->n_busy > 0 || pool->n_queued > 0) {
        int rc = deadline == WEFT_FOREVER
                     ? pthread_cond_wait(&pool->quiet, &pool->lock)
                     : pthread_cond_timedwait(&pool->quiet, &pool->lock, &until);
        if (rc == ETIMEDOUT)
            return pool->n_busy == 0 && pool->n_queued == 0;
    }
    return true;
}

/* With the lock: takes the calls of running jobs away, in front of `list`; their threads are the
 * system's from now on. */
static weft_call *
leave_behind(struct pool *pool, weft_call *list)
{
    struct thread **at = &pool->threads;
    while (*at != NULL) {
        struct thread *thread = *at;
        if (thread->call == NULL) {
            at = &thread->next;
            continue;
        }
        weft_log(WEFT_LOG_WARN, "%s: job \"%s\" still runs, its thread is left behind",
                 weft_workers_spec(pool->workers), thread->job->name);
        weft__call_private_of(thread->call)->next = list;
        list = thread->call;
        thread->call = NULL;
        thread->left = true;
        pool->n_busy--;
        weft__workers_ref(pool->workers);
        pthread_detach(thread->id);
        *at = thread->next;
    }
    return list;
}

static void
thread_close(void *state, weft_close_mode mode, weft_time grace)
{
    struct pool *pool = state;
    weft_time deadline = weft__worker_after(grace);
    weft_call *taken = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    if (mode == WEFT_CANCEL)
        taken = queue_take_all(pool);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    complete_all(taken, -ECANCELED);

    taken = NULL;
    pthread_mutex_lock(&pool->lock);
    if (!wait_quiet(pool, deadline))
        taken = leave_behind(pool, queue_take_all(pool));
    struct thread *threads = pool->threads;
    pool->threads = NULL;
    pool->n_threads = 0;
    pthread_mutex_unlock(&pool->lock);
    complete_all(taken, -ECANCELED);

    while (threads != NULL) {
        struct thread *thread = threads;
        threads = thread->next;
        pthread_join(thread->id, NULL);
        weft__free(thread);
    }
}

static unsigned
thread_count(void *state)
{
    struct pool *pool = state;
    pthread_mutex_lock(&pool->lock);
    unsigned n = pool->n_threads;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

const weft_worker_model weft_worker_thread = {
    .name = "thread",
    .traits = WEFT_WORKER_PARALLEL,
    .state_size = sizeof(struct pool),
    .open = thread_open,
    .submit = thread_submit,
    .cancel = thread_cancel,
    .close = thread_close,
    .workers = thread_count,
};
