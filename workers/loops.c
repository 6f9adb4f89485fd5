/*
 * loops.c - N loops on a service thread, with a task for each job: what async and hybrid share.
 *
 * The service thread runs weft_run; its main task publishes the loops and waits for the close.
 * An accepted call has a run: the loop's side of it, with a copy of what the job needs. A run is
 * on the list of its loop until it ends, and its `call` is under that list's lock: whoever takes
 * it out of there completes it. So a close that has run out of patience can complete the call of
 * a job that goes on; loops and memory then stay until that job ends.
 */
#include "loops.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <weft/error.h>
#include <weft/future.h>
#include <weft/loop.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "jobs.h"

/* How long cancelled jobs have to unwind, beyond the grace the caller gave. */
#define UNWIND WEFT_MS(500)

/* How long weft_run may take to end what jobs have spawned and left running: its own grace, and
 * some. */
#define LEFTOVERS WEFT_SEC(7)

struct loop;

/* A call on its way through a loop. Counted: its task and each cancellation on its way hold it. */
struct run {
    weft_call *call;  /* under loop->lock; NULL when taken away */
    struct run *next; /* under loop->lock: among the runs of the loop */
    struct run *prev;
    struct loop *loop;
    uint32_t refs;   /* atomic */
    bool cancelled;  /* under loop->lock */
    weft_task *task; /* the loop's own: NULL before and after */
    bool began;      /* the loop's own: the task has taken its first step */
    /* Copies, for a call taken away must not be touched. */
    const weft_job *job;
    weft_bytes in;
    weft_time deadline;
    weft_buf out;
    bool ran; /* in an executor: the body has run, with this result */
    int result;
};

struct loop {
    weft__loops *loops;
    weft_loop *loop;
    pthread_mutex_t lock;
    struct run *runs;
    uint32_t load; /* atomic: runs on it, for finding the least loaded */
};

struct weft__loops {
    weft_workers *workers;
    unsigned width;
    size_t stack_size;
    weft_executor *blocking;
    weft_executor *cpu;
    pthread_t service;
    uint32_t turn; /* atomic: where the search for the least loaded begins */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t live;  /* atomic: runs of all loops; the last one of a close is told under the lock */
    bool stopping;  /* under lock: nobody posts any more, the last run ends the loops */
    bool published; /* under lock: the loops are there, or opening has failed */
    bool ended;     /* under lock: weft_run has returned */
    bool left;      /* under lock: the service thread is left behind, and frees all this */
    int rc;         /* under lock: why it failed */
    char reason[192];
    weft_future stop; /* set when stopping and nothing is live */

    struct loop each[];
};

/* ---- Runs -------------------------------------------------------------------------------- */

static void
run_unref(struct run *run)
{
    if (__atomic_fetch_sub(&run->refs, 1, __ATOMIC_SEQ_CST) != 1)
        return; /* pairs with itself: the last one frees */
    weft_buf_free(&run->out);
    weft__free(run);
}

static void
run_link(struct run *run)
{
    run->next = run->loop->runs;
    if (run->next != NULL)
        run->next->prev = run;
    run->loop->runs = run;
}

static void
run_unlink(struct run *run)
{
    if (run->prev != NULL)
        run->prev->next = run->next;
    else
        run->loop->runs = run->next;
    if (run->next != NULL)
        run->next->prev = run->prev;
}

/* One run fewer. After a close's last one nothing of the loops may be touched but on the service
 * thread. */
static void
live_drop(weft__loops *loops)
{
    /* Under the lock, so that the closer cannot miss the last one between its look and its wait. */
    if (__atomic_sub_fetch(&loops->live, 1, __ATOMIC_SEQ_CST) != 0)
        return;
    pthread_mutex_lock(&loops->lock);
    if (__atomic_load_n(&loops->live, __ATOMIC_SEQ_CST) == 0) {
        pthread_cond_broadcast(&loops->changed);
        if (loops->stopping)
            weft_future_set(&loops->stop, 0);
    }
    pthread_mutex_unlock(&loops->lock);
}

/* On the run's loop, once: takes it off the list and completes its call, unless taken away. */
static void
run_end(struct run *run, int result)
{
    struct loop *loop = run->loop;
    weft__loops *loops = loop->loops;
    pthread_mutex_lock(&loop->lock);
    weft_call *call = run->call;
    run->call = NULL;
    run_unlink(run);
    if (call != NULL)
        call->slot = NULL; /* pairs with the load in weft__loops_cancel, under the same lock */
    pthread_mutex_unlock(&loop->lock);
    __atomic_fetch_sub(&loop->load, 1, __ATOMIC_SEQ_CST);

    if (call != NULL) {
        call->out = run->out;
        run->out = (weft_buf){0};
        weft_call_done(call, result);
    }
    run_unref(run);
    live_drop(loops);
}

/* Notes in the call that its job begins, while there is a call. */
static void
run_begin(struct run *run)
{
    pthread_mutex_lock(&run->loop->lock);
    if (run->call != NULL)
        weft_call_begin(run->call);
    pthread_mutex_unlock(&run->loop->lock);
}

/* On a thread of an executor. */
static int
run_on_executor(void *arg)
{
    struct run *run = arg;
    run_begin(run);
    run->result = weft__job_run_here(run->job, run->in, &run->out, run->deadline);
    run->ran = true;
    return 0;
}

/* The task waits here for its job's turn and end; cancellation and deadline take the job back
 * as long as it has not begun. */
static int
run_through(weft_executor *executor, struct run *run)
{
    weft_scope scope;
    weft_scope_open(&scope, weft__job_deadline(run->deadline));
    int rc = weft_executor_run(executor, run_on_executor, run, NULL);
    weft_ignore(weft_scope_close(&scope));
    return run->ran ? run->result : rc;
}

static int
run_task(void *arg)
{
    struct run *run = arg;
    weft__loops *loops = run->loop->loops;
    run->began = true;
    weft_executor *executor = NULL;
    if (run->job->flags & WEFT_JOB_BLOCKING)
        executor = loops->blocking;
    else if (run->job->flags & WEFT_JOB_CPU)
        executor = loops->cpu;

    int result;
    if (executor != NULL) {
        result = run_through(executor, run);
    } else {
        run_begin(run);
        result = weft__job_run(run->job, run->in, &run->out, run->deadline);
    }
    weft_task *self = run->task;
    run->task = NULL; /* a cancellation that is still on its way finds nobody */
    run_end(run, result);
    weft_task_close(self);
    return 0; /* the job's failure is the call's, and observed there */
}

/* On the run's loop. */
static void
run_start(void *arg)
{
    struct run *run = arg;
    pthread_mutex_lock(&run->loop->lock);
    bool cancelled = run->cancelled;
    pthread_mutex_unlock(&run->loop->lock);
    if (cancelled) {
        run_end(run, -ECANCELED);
        return;
    }
    weft_task_options options = {.name = run->job->name,
                                 .stack_size = run->loop->loops->stack_size};
    weft_task *task;
    int rc = weft_task_spawn(&task, run_task, run, &options);
    if (rc < 0)
        run_end(run, rc);
    else
        run->task = task;
}

/* On the run's loop: a task that has not begun never will, so its call ends here. */
static void
run_stop(struct run *run)
{
    weft_task *task = run->task;
    if (task == NULL)
        return; /* not spawned yet: run_start sees the mark; or through already */
    weft_task_cancel(task);
    if (run->began)
        return;
    run->task = NULL;
    run_end(run, -ECANCELED);
    weft_task_close(task);
}

static void
run_cancel(void *arg)
{
    struct run *run = arg;
    run_stop(run);
    run_unref(run);
}

/* On a loop: every run of it is cancelled. */
static void
loop_cancel_all(void *arg)
{
    struct loop *loop = arg;
    pthread_mutex_lock(&loop->lock);
    struct run *run = loop->runs;
    /* Runs leave the list only here and now, on their own loop, so the next one stays put while
     * this one is stopped without the lock. */
    while (run != NULL) {
        struct run *next = run->next;
        run->cancelled = true;
        pthread_mutex_unlock(&loop->lock);
        run_stop(run);
        pthread_mutex_lock(&loop->lock);
        run = next;
    }
    pthread_mutex_unlock(&loop->lock);
}

/* ---- The service thread ------------------------------------------------------------------- */

static int
service_task(void *arg)
{
    weft__loops *loops = arg;
    for (unsigned i = 0; i < loops->width; i++)
        loops->each[i].loop = weft_loop_at(i);
    pthread_mutex_lock(&loops->lock);
    loops->published = true;
    pthread_cond_broadcast(&loops->changed);
    pthread_mutex_unlock(&loops->lock);
    /* Nothing around cancels this task: signals are not ours, and nobody has its handle. */
    return weft_future_wait(&loops->stop, NULL);
}

static void
loops_free(weft__loops *loops)
{
    weft_ignore(weft_executor_free(loops->cpu, WEFT_DRAIN, WEFT_FOREVER));
    weft_ignore(weft_executor_free(loops->blocking, WEFT_DRAIN, WEFT_FOREVER));
    for (unsigned i = 0; i < loops->width; i++)
        pthread_mutex_destroy(&loops->each[i].lock);
    weft_future_close(&loops->stop);
    pthread_cond_destroy(&loops->changed);
    pthread_mutex_destroy(&loops->lock);
    weft__free(loops);
}

static void *
service_main(void *arg)
{
    weft__loops *loops = arg;
    int rc = weft_run(service_task, loops,
                      &(weft_options){.loops = loops->width,
                                      .signals = WEFT_SIGNALS_NONE,
                                      .stack_size = loops->stack_size});
    pthread_mutex_lock(&loops->lock);
    if (!loops->published) {
        loops->rc = rc < 0 ? rc : -ESHUTDOWN;
        strncpy(loops->reason, weft_error_text(), sizeof loops->reason - 1);
        loops->published = true;
    }
    loops->ended = true;
    bool left = loops->left;
    pthread_cond_broadcast(&loops->changed);
    pthread_mutex_unlock(&loops->lock);
    if (left) {
        weft_workers *workers = loops->workers;
        loops_free(loops);
        weft__workers_unref(workers);
    }
    return NULL;
}

/* Waits until the loops are there, or are known not to come. */
static int
service_start(weft__loops *loops)
{
    int rc = pthread_create(&loops->service, NULL, service_main, loops);
    if (rc != 0)
        return weft_error_note(-rc, "the thread of the loops could not be started");
    pthread_mutex_lock(&loops->lock);
    while (!loops->published)
        pthread_cond_wait(&loops->changed, &loops->lock);
    rc = loops->rc;
    pthread_mutex_unlock(&loops->lock);
    if (rc < 0) {
        pthread_join(loops->service, NULL);
        return weft_error_note(rc, "%s", loops->reason);
    }
    return 0;
}

static int
executors_open(weft__loops *loops, const weft__loops_executors *executors)
{
    int rc = 0;
    if (executors->blocking_threads > 0)
        rc = weft_executor_new(&loops->blocking,
                               &(weft_executor_options){.threads = executors->blocking_threads});
    if (rc == 0 && executors->cpu_threads > 0)
        rc = weft_executor_new(&loops->cpu, &(weft_executor_options){
                                                .threads = executors->cpu_threads, .name = "cpu"});
    return rc;
}

/* ---- The model --------------------------------------------------------------------------- */

int
weft__loops_open(weft__loops_state *state, weft_workers *workers, unsigned width,
                 const weft_workers_options *options, const weft__loops_executors *executors)
{
    weft__loops *loops = weft__alloc_zeroed(sizeof *loops + width * sizeof loops->each[0]);
    if (loops == NULL)
        return -ENOMEM;
    loops->workers = workers;
    loops->width = width;
    loops->stack_size = options->stack_size;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&loops->lock, NULL);
    pthread_cond_init(&loops->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    weft_future_open(&loops->stop);
    for (unsigned i = 0; i < width; i++) {
        loops->each[i].loops = loops;
        pthread_mutex_init(&loops->each[i].lock, NULL);
    }

    int rc = executors_open(loops, executors);
    if (rc == 0)
        rc = service_start(loops);
    if (rc < 0) {
        loops_free(loops);
        return rc;
    }
    state->loops = loops;
    return 0;
}

/* The loop with the fewest runs; the search begins at another one each time, so that equals take
 * turns. */
static struct loop *
least_loaded(weft__loops *loops)
{
    unsigned first = __atomic_fetch_add(&loops->turn, 1, __ATOMIC_RELAXED) % loops->width;
    struct loop *best = &loops->each[first];
    uint32_t least = __atomic_load_n(&best->load, __ATOMIC_RELAXED);
    for (unsigned i = 1; i < loops->width && least > 0; i++) {
        struct loop *loop = &loops->each[(first + i) % loops->width];
        uint32_t load = __atomic_load_n(&loop->load, __ATOMIC_RELAXED);
        if (load < least) {
            least = load;
            best = loop;
        }
    }
    return best;
}

int
weft__loops_submit(void *state, weft_call *call)
{
    weft__loops *loops = ((weft__loops_state *)state)->loops;
    struct run *run = weft__alloc_zeroed(sizeof *run);
    if (run == NULL)
        return -ENOMEM;
    struct loop *loop = least_loaded(loops);
    run->call = call;
    run->loop = loop;
    run->refs = 1;
    run->job = call->job;
    run->in = call->in;
    run->deadline = call->deadline;
    call->slot = run;
    weft__call_private_of(call)->where = (uint32_t)(loop - loops->each);
    __atomic_fetch_add(&loop->load, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&loops->live, 1, __ATOMIC_SEQ_CST); /* pairs with live_drop */
    pthread_mutex_lock(&loop->lock);
    run_link(run);
    pthread_mutex_unlock(&loop->lock);

    int rc = weft_loop_post(loop->loop, run_start, run);
    if (rc == 0)
        return 0; /* call and run may be gone by now */
    pthread_mutex_lock(&loop->lock);
    run_unlink(run);
    pthread_mutex_unlock(&loop->lock);
    __atomic_fetch_sub(&loop->load, 1, __ATOMIC_RELAXED);
    call->slot = NULL;
    run_unref(run);
    live_drop(loops);
    return rc;
}

void
weft__loops_cancel(void *state, weft_call *call)
{
    weft__loops *loops = ((weft__loops_state *)state)->loops;
    struct loop *loop = &loops->each[weft__call_private_of(call)->where];
    pthread_mutex_lock(&loop->lock);
    struct run *run = call->slot; /* pairs with the store in run_end */
    if (run != NULL) {
        run->cancelled = true;
        __atomic_fetch_add(&run->refs, 1, __ATOMIC_SEQ_CST);
        /* Posted under the lock: until it is free the run cannot end, nor the loop under it.
         * Without memory for the message the job goes on, which a cancellation may come to. */
        if (weft_loop_post(loop->loop, run_cancel, run) < 0)
            __atomic_fetch_sub(&run->refs, 1, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&loop->lock);
}

static void
cancel_all(weft__loops *loops)
{
    for (unsigned i = 0; i < loops->width; i++) {
        /* A close has time: memory may come back within a tenth of a second. */
        for (int tries = 0; tries < 100; tries++) {
            if (weft_loop_post(loops->each[i].loop, loop_cancel_all, &loops->each[i]) != -ENOMEM)
                break;
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
}

/* With the lock: waits until no run is live; false when the time has come first. */
static bool
wait_quiet(weft__loops *loops, weft_time deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    int rc = 0;
    /* Pairs with live_drop, which broadcasts under the lock. */
    while (__atomic_load_n(&loops->live, __ATOMIC_SEQ_CST) > 0 && rc == 0)
        rc = deadline == WEFT_FOREVER
                 ? pthread_cond_wait(&loops->changed, &loops->lock)
                 : pthread_cond_timedwait(&loops->changed, &loops->lock, &until);
    return __atomic_load_n(&loops->live, __ATOMIC_SEQ_CST) == 0;
}

/* With the lock: waits for the service thread's end; false when the time has come first. */
static bool
wait_ended(weft__loops *loops, weft_time deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    int rc = 0;
    while (!loops->ended && rc == 0)
        rc = pthread_cond_timedwait(&loops->changed, &loops->lock, &until);
    return loops->ended;
}

/* Completes the calls of all jobs that go on. */
static void
take_away_all(weft__loops *loops)
{
    for (unsigned i = 0; i < loops->width; i++) {
        struct loop *loop = &loops->each[i];
        weft_call *taken = NULL;
        pthread_mutex_lock(&loop->lock);
        for (struct run *run = loop->runs; run != NULL; run = run->next) {
            if (run->call == NULL)
                continue;
            weft_log(WEFT_LOG_WARN, "%s: job \"%s\" still runs, its loop is left behind",
                     weft_workers_spec(loops->workers), run->job->name);
            weft__call_private_of(run->call)->next = taken;
            taken = run->call;
            taken->slot = NULL;
            run->call = NULL;
        }
        pthread_mutex_unlock(&loop->lock);
        while (taken != NULL) {
            weft_call *call = taken;
            taken = weft__call_private_of(call)->next; /* before it is done and gone */
            weft_call_done(call, -ECANCELED);
        }
    }
}

void
weft__loops_close(void *state, weft_close_mode mode, weft_time grace)
{
    weft__loops *loops = ((weft__loops_state *)state)->loops;
    weft_time deadline = weft__worker_after(grace);
    if (mode == WEFT_CANCEL)
        cancel_all(loops);

    pthread_mutex_lock(&loops->lock);
    bool quiet = wait_quiet(loops, deadline);
    pthread_mutex_unlock(&loops->lock);
    if (!quiet) {
        cancel_all(loops);
        pthread_mutex_lock(&loops->lock);
        quiet = wait_quiet(loops, weft__worker_after(UNWIND));
        pthread_mutex_unlock(&loops->lock);
    }
    if (!quiet)
        take_away_all(loops);

    pthread_mutex_lock(&loops->lock);
    loops->stopping = true;
    if (__atomic_load_n(&loops->live, __ATOMIC_SEQ_CST) == 0) /* pairs with live_drop */
        weft_future_set(&loops->stop, 0);
    /* weft_run gives what jobs have left running its own grace, and then names it in the log. */
    bool left = !quiet || !wait_ended(loops, weft__worker_after(LEFTOVERS));
    pthread_t service = loops->service;
    if (left && !loops->ended) {
        loops->left = true;
        weft__workers_ref(loops->workers);
    } else {
        left = false;
    }
    pthread_mutex_unlock(&loops->lock);
    if (left) {
        pthread_detach(service);
        return;
    }
    pthread_join(service, NULL);
    loops_free(loops);
}

unsigned
weft__loops_workers(void *state)
{
    weft__loops *loops = ((weft__loops_state *)state)->loops;
    weft_executor *executors[] = {loops->blocking, loops->cpu};
    unsigned n = loops->width;
    for (size_t i = 0; i < sizeof executors / sizeof executors[0]; i++) {
        if (executors[i] == NULL)
            continue;
        weft_executor_stats stats;
        weft_executor_stats_get(executors[i], &stats);
        n += stats.threads;
    }
    return n;
}
