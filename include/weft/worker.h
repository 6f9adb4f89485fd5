/*
 * worker.h - worker models: one job interface, several places to run it.
 *
 *     sync          the caller, at once
 *     thread:N      N threads, each job a lone task on one
 *     process:N     N child processes; a crash costs one job
 *     async:N       tasks on N loops
 *     hybrid:N      tasks on N loops; jobs marked blocking or CPU-bound on an executor
 *
 * Without a number: one per usable CPU. The contract of a model: an accepted call is completed
 * exactly once, with weft_call_done, from any thread; a refused one never. Input is borrowed
 * until then; output belongs to the call.
 */
#ifndef WEFT_WORKER_H
#define WEFT_WORKER_H

#include <weft/base.h>
#include <weft/executor.h>
#include <weft/future.h>
#include <weft/job.h>
#include <weft/time.h>

typedef struct weft_workers weft_workers;

/* One job with its input, on its way through a model. Fields are read-only for callers. */
typedef struct weft_call {
    const weft_job *job;
    weft_bytes in;       /* borrowed until the call is done */
    weft_buf out;        /* the result; the caller may take the bytes over by zeroing it */
    int result;          /* of the job, or why it did not run; valid once done */
    weft_time deadline;  /* for the job, on CLOCK_MONOTONIC; WEFT_FOREVER for none */
    weft_time submitted; /* CLOCK_MONOTONIC when it was accepted, */
    weft_time started;   /* when its job began (as seen by the model), */
    weft_time ended;     /* and when it was done; 0 while not */
    weft_workers *workers;
    weft_future done;
    void *slot; /* the model's own */
    uint64_t private_[8];
} weft_call;

typedef struct weft_workers_options {
    size_t max_in_flight;    /* calls accepted and not done; beyond it submit waits. 0: 65536 */
    const char *exec;        /* process: start this program (weft-worker) for each child instead of
                             forking from the helper; jobs come from `load` */
    const char *const *load; /* shared objects with jobs for the children, NULL at the end */
    size_t stack_size;       /* of the stacks jobs run on; 0: the default, 256 KiB for thread */
} weft_workers_options;

/* What callers, and the conformance kit, may expect of a model. */
#define WEFT_WORKER_PARALLEL 1u     /* jobs run at the same time */
#define WEFT_WORKER_ISOLATED 2u     /* a crash costs its own job only, which ends -EOWNERDEAD */
#define WEFT_WORKER_KILLABLE 4u     /* a running job is ended by cancel and deadline */
#define WEFT_WORKER_CONCURRENT 8u   /* more jobs wait at once than there are workers */
#define WEFT_WORKER_COOPERATIVE 16u /* cancel and deadline reach a running job at its next wait */

typedef struct weft_workers_stats {
    uint64_t submitted; /* calls accepted */
    uint64_t done;      /* calls completed, failures included */
    uint64_t failed;    /* of these, with a negative result */
    uint64_t in_flight; /* accepted and not done */
    uint64_t crashed;   /* workers that died and were replaced */
    unsigned workers;   /* threads, processes or loops of the model now */
} weft_workers_stats;

/* A model. A user's own is given to weft_workers_open_model. */
typedef struct weft_worker_model {
    const char *name;
    unsigned traits;
    size_t state_size; /* bytes of private state, zeroed before open */
    int (*open)(void *state, weft_workers *workers, unsigned width,
                const weft_workers_options *options);
    int (*submit)(void *state, weft_call *call);
    void (*cancel)(void *state, weft_call *call); /* NULL when the model cannot */
    void (*close)(void *state, weft_close_mode mode, weft_time grace);
    unsigned (*workers)(void *state); /* NULL: the width */
    uint64_t (*crashed)(void *state); /* NULL: none */
} weft_worker_model;

WEFT_BEGIN_DECLS

/*
 * weft_workers_open - open a worker model by its spec
 *
 * spec     "thread:16" and so on; see the head of this file
 * options  NULL for the defaults
 *
 * Returns  0; WEFT_E_MODEL_UNKNOWN or WEFT_E_SPEC (weft_error_text() says what was wrong and what
 *          there is); -EINVAL or WEFT_E_STACK for an option out of range, likewise; -ENOTSUP for
 *          process where threads run already and neither a helper nor .exec is there; -ENOMEM,
 *          -EMFILE, -EAGAIN
 * Waits    no, but may block while threads or processes start
 * Threads  tasks and plain threads
 * Source   concurrent.futures.Executor
 */
int weft_workers_open(weft_workers **ret_workers, const char *spec,
                      const weft_workers_options *options);

/*
 * weft_workers_open_model - open a model of one's own
 *
 * width    1 or more
 *
 * Returns  as weft_workers_open
 * Waits    no
 * Threads  tasks and plain threads
 * Source   weft
 */
int weft_workers_open_model(weft_workers **ret_workers, const weft_worker_model *model,
                            unsigned width, const weft_workers_options *options);

/*
 * weft_workers_close - end a model
 *
 * workers  may be NULL
 * mode     WEFT_DRAIN runs what was accepted; WEFT_CANCEL completes with -ECANCELED what has not
 *          begun, and cancels running jobs where they are cooperative
 * grace    how long calls may take, in nanoseconds; WEFT_FOREVER waits for all. Then cooperative
 *          jobs are cancelled, and get half a second to unwind, and processes are killed. What
 *          still runs is completed with -ECANCELED and left behind with its thread, or loop, and
 *          named in the log: the call is the caller's again, but its input must stay until that
 *          job ends
 *
 * Submitters in line for room are refused with -ESHUTDOWN. For sync, whose jobs are on their
 * submitters' stacks, it waits for them up to the grace and then returns.
 *
 * Waits    no: it blocks the calling thread until every call is done and every thread or
 *          process of the model, but what is left behind, is gone. In a task that holds up the
 *          whole loop, and with it a sync job of that loop
 * Threads  tasks and plain threads, but not a job of the same model, and no call of it may begin
 *          after the close has returned
 * Source   Executor.shutdown
 */
void weft_workers_close(weft_workers *workers, weft_close_mode mode, weft_time grace);

/*
 * weft_workers_spec - the spec with its number, as "thread:2"
 *
 * Returns  text that lives as long as workers
 * Waits    no
 * Threads  any
 * Source   weft
 */
const char *weft_workers_spec(const weft_workers *workers);

/*
 * weft_workers_traits - what the model promises, WEFT_WORKER_… flags
 *
 * Returns  the flags
 * Waits    no
 * Threads  any
 * Source   weft
 */
unsigned weft_workers_traits(const weft_workers *workers);

/*
 * weft_workers_stats_get - what the workers are doing
 *
 * Waits    no
 * Threads  any
 * Source   trio statistics()
 */
void weft_workers_stats_get(weft_workers *workers, weft_workers_stats *ret_stats);

/*
 * weft_call_open - prepare a call
 *
 * call     the caller's memory until weft_call_close
 * name     of a registered job
 * in       borrowed until the call is done
 *
 * Returns  0; WEFT_E_JOB_UNKNOWN (weft_error_text() has the name)
 * Waits    no
 * Threads  any
 * Source   weft
 */
int weft_call_open(weft_call *call, const char *name, weft_bytes in);

/*
 * weft_call_set_deadline - when the job must be through
 *
 * deadline  on CLOCK_MONOTONIC; a job past it is killed or cancelled where the model can, and the
 *           call then ends with -ETIMEDOUT
 *
 * Waits    no
 * Threads  whoever owns call, before submitting
 * Source   weft
 */
void weft_call_set_deadline(weft_call *call, weft_time deadline);

/*
 * weft_workers_submit - hand a call over, waiting while too many are in flight
 *
 * Returns  0: the call will be done exactly once; -ECANCELED or -ETIMEDOUT when the enclosing
 *          scope ended first; -ESHUTDOWN; -ENOMEM; then the call was refused and may be
 *          submitted again
 * Waits    yes; looks for cancellation first. sync: until the job has run
 * Threads  tasks and plain threads
 * Source   Executor.submit
 */
WEFT_WAITS int weft_workers_submit(weft_workers *workers, weft_call *call);

/*
 * weft_workers_try_submit - hand a call over if there is room
 *
 * Returns  as weft_workers_submit; -EAGAIN when too many are in flight
 * Waits    no, except sync, which runs the job
 * Threads  tasks and plain threads
 * Source   Executor.submit
 */
int weft_workers_try_submit(weft_workers *workers, weft_call *call);

/*
 * weft_call_wait - wait until a submitted call is done
 *
 * Returns  0 when it is done: look at call->result and call->out; -ECANCELED or -ETIMEDOUT when
 *          the enclosing scope ended first: the call goes on and must be waited for again
 * Waits    yes; looks for cancellation first
 * Threads  tasks and plain threads
 * Source   Future.result
 */
WEFT_WAITS int weft_call_wait(weft_call *call);

/*
 * weft_call_cancel - take a submitted call back, or end its job where the model can
 *
 * The call is still done exactly once, with -ECANCELED when it was in time.
 *
 * Waits    no
 * Threads  whoever owns call
 * Source   Future.cancel
 */
void weft_call_cancel(weft_call *call);

/*
 * weft_call_close - end a call that was never accepted or is done; frees its output
 *
 * Waits    no
 * Threads  whoever owns call
 * Source   weft
 */
void weft_call_close(weft_call *call);

/*
 * weft_workers_run - submit a call and wait for its result
 *
 * name     of a registered job
 * out      the result is appended; may be NULL
 *
 * Returns  the job's result; errors as weft_call_open and weft_workers_submit. When the scope
 *          ends first the call is cancelled and waited for
 * Waits    yes
 * Threads  tasks and plain threads
 * Source   loop.run_in_executor
 */
WEFT_WAITS int weft_workers_run(weft_workers *workers, const char *name, weft_bytes in,
                                weft_buf *out);

/*
 * weft_call_begin - note that a job begins; called by a model, once, before it runs the job
 *
 * Waits    no
 * Threads  any
 * Source   weft
 */
void weft_call_begin(weft_call *call);

/*
 * weft_call_done - complete a call; called by a model, exactly once for each accepted call
 *
 * result   the job's, or why it did not run. The call must not be touched afterwards
 *
 * Waits    no
 * Threads  any
 * Source   weft
 */
void weft_call_done(weft_call *call, int result);

WEFT_END_DECLS

#endif
