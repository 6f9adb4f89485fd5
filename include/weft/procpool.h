/*
 * procpool.h - supervised child processes that answer requests, bytes for bytes.
 *
 * A child runs one call at a time. When it dies, only that call fails (-EOWNERDEAD), another child
 * takes its place, and the pool goes on. A call past its deadline, or cancelled, is ended by
 * SIGKILL: once it is done, its handler runs no more (should the kernel be unable to end the
 * process within a second, as in a hung file system, the call is done all the same).
 *
 * Children are forked from a helper process that has one thread, because a fork of a process
 * with threads is not safe. weft_run with .processes starts it; so does the first pool, when no
 * thread runs yet. With .exec a program is started instead, at any time.
 *
 * A child keeps standard output and error, and no other descriptor but its socket; signals are
 * at their defaults (handlers for SIGSEGV, SIGBUS, SIGILL and SIGFPE stay), none is blocked, and
 * the process group is not the parent's, so that a Ctrl-C reaches the parent alone. It ends with
 * the parent, however that ends.
 */
#ifndef WEFT_PROCPOOL_H
#define WEFT_PROCPOOL_H

#include <weft/base.h>
#include <weft/executor.h>
#include <weft/time.h>

typedef struct weft_procpool weft_procpool;

/* The most bytes of a request, and of a reply: 1 GiB, and some for what stands before it. */
#define WEFT_PROCPOOL_BYTES_MAX (((size_t)1 << 30) + 4096)

/*
 * Answers a request, in the child, on its only thread and outside any task: weft_run_here makes
 * one. Negative means failed; what it has appended to reply is handed over as well.
 */
typedef int weft_procpool_handler(weft_bytes request, weft_buf *reply);

typedef struct weft_procpool_options {
    unsigned width;                 /* most children, 1 to 1024; they start on demand. 0: one per
                                       usable CPU */
    weft_procpool_handler *handler; /* its code must be there when the helper starts: part of the
                                       program, or of a library linked to it. Not with exec */
    int (*load)(const char *file);  /* called in the helper, once for each of `files`; negative
                                       fails. It too must be there when the helper starts */
    const char *const *files;       /* NULL, or file names with NULL at the end */
    const char *exec;               /* start this program, looked up in PATH, for each child. It
                                       calls weft_procpool_serve(3, ...) */
    const char *const *args;        /* its arguments after the name, NULL at the end; may be NULL */
} weft_procpool_options;

/* One request on its way, in the caller's memory until `done` is called. All but the first four
 * members starts as zero. */
typedef struct weft_procpool_call {
    weft_bytes request[2]; /* sent one behind the other; borrowed until the call is done */
    weft_time deadline;    /* on CLOCK_MONOTONIC; WEFT_FOREVER for none */
    /* Called once, on the pool's own thread, and must not wait. The result is the handler's, or
     * the reason why there is none: see weft_procpool_submit. The pool does not touch the call
     * afterwards: it may be freed here. */
    void (*done)(struct weft_procpool_call *call, int result);
    weft_buf reply; /* the receiver's, to be freed in or after `done`; empty when there is none */
    struct weft_procpool_call *next_;
    struct weft_procpool_call *prev_;
    unsigned state_;
} weft_procpool_call;

typedef struct weft_procpool_stats {
    unsigned children; /* alive now */
    unsigned idle;     /* of these, waiting for a call */
    size_t queued;     /* calls waiting for a child */
    uint64_t started;  /* children started */
    uint64_t crashed;  /* children that ended without having been told to */
    uint64_t killed;   /* children ended for a deadline, a cancelled call, or at the close */
} weft_procpool_stats;

WEFT_BEGIN_DECLS

/*
 * weft_procpool_new - make a pool; no child is started yet
 *
 * options  copied, texts included
 *
 * Returns  0; -EINVAL when a number is out of range or handler and exec are not given one at a
 *          time; -ENOTSUP without exec, when there is no helper and threads run already;
 *          -ENOENT or -EACCES when the program cannot be found or not executed; what `load`
 *          returned; -ENOMEM, -EMFILE, -EAGAIN. weft_error_text() has the details
 * Waits    no, but blocks while the helper starts and loads
 * Threads  any; the helper's end is tied to the thread that makes it start
 * Source   concurrent.futures.ProcessPoolExecutor; multiprocessing's forkserver
 */
int weft_procpool_new(weft_procpool **ret_pool, const weft_procpool_options *options);

/*
 * weft_procpool_free - end a pool and its children
 *
 * pool     may be NULL
 * mode     WEFT_DRAIN runs what was accepted; WEFT_CANCEL ends calls that have not started with
 *          -ECANCELED
 * grace    how long that may take, in nanoseconds; WEFT_FOREVER waits for all. What still runs
 *          then is killed, and ends with -ECANCELED
 *
 * Waits    no: it blocks the calling thread until every call is done and every child is gone
 * Threads  any but the pool's own, where `done` is called
 * Source   ProcessPoolExecutor.shutdown
 */
void weft_procpool_free(weft_procpool *pool, weft_close_mode mode, weft_time grace);

/*
 * weft_procpool_submit - hand a request over
 *
 * A call ends with the handler's result, or with
 * -EOWNERDEAD  its child died, or nobody could be started who lives long enough to serve it
 * -ETIMEDOUT   its deadline passed; a child that worked on it was killed
 * -ECANCELED   it was cancelled, or the pool was closed; a child that worked on it was killed
 * -ENOMEM      no memory for the reply, here or in the child
 * -EMSGSIZE    the reply was more than WEFT_PROCPOOL_BYTES_MAX
 * -EMFILE, -EAGAIN, -ENOENT and so on: no child could be started for that reason, and none is there
 *
 * Children that end before they have served anything are replaced after 10 ms, doubling up to
 * 1 s. After eight of them in a row, with none alive, the calls that wait end with -EOWNERDEAD
 * and new ones are refused for a second; then one start is tried for the next call, and if that
 * child ends as well the pool refuses again.
 *
 * Returns  0: `done` will be called; -EINVAL without `done`; -EMSGSIZE for a request of more than
 *          WEFT_PROCPOOL_BYTES_MAX; -ESHUTDOWN once the pool is being freed; -EOWNERDEAD while it
 *          refuses, as said above
 * Waits    no. The queue has no limit of its own: bound what is in flight
 * Threads  any
 * Source   ProcessPoolExecutor.submit, BrokenProcessPool
 */
int weft_procpool_submit(weft_procpool *pool, weft_procpool_call *call);

/*
 * weft_procpool_cancel - take a call back, or kill the child that works on it
 *
 * `done` is still called exactly once, with -ECANCELED unless the call had ended just before.
 *
 * call     accepted, and in memory that is still there; one that is done is left alone
 *
 * Waits    no
 * Threads  any
 * Source   Process.kill
 */
void weft_procpool_cancel(weft_procpool *pool, weft_procpool_call *call);

/*
 * weft_procpool_stats_get - what a pool is doing
 *
 * Waits    no
 * Threads  any
 * Source   trio statistics()
 */
void weft_procpool_stats_get(weft_procpool *pool, weft_procpool_stats *ret_stats);

/*
 * weft_procpool_serve - answer the requests of a pool; for programs started through .exec
 *
 * Asks the kernel to end the process with its parent, and gives the thread the name weft-worker.
 *
 * fd       the socket, 3 in a program started by a pool
 * handler  called for each request, one after the other
 *
 * Returns  0 at the end of file, which is the pool's way to say goodbye; -ENOTSOCK and the like
 *          when fd is no socket of a pool; -EPROTO for bytes that are no request; another
 *          negative errno when the connection broke
 * Waits    no: it blocks the calling thread
 * Threads  any plain thread, once
 * Source   weft
 */
int weft_procpool_serve(int fd, weft_procpool_handler *handler);

/*
 * weft_procpool_run_job - the handler that runs registered jobs, each in a task of its own
 *
 * What the children of the process model do. A program for .exec of weft_workers_open registers
 * its jobs and then calls weft_procpool_serve(3, weft_procpool_run_job), as weft-worker does.
 *
 * Returns  0: the job's result is in the reply; -EPROTO for a request that is no call; -ENOMEM
 * Waits    no: it blocks the calling thread until the job has run
 * Threads  any plain thread
 * Source   weft
 */
int weft_procpool_run_job(weft_bytes request, weft_buf *reply);

WEFT_END_DECLS

#endif
