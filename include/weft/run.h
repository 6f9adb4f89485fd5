/*
 * run.h - start a runtime: loops on cores and a first task.
 */
#ifndef WEFT_RUN_H
#define WEFT_RUN_H

#include <weft/base.h>
#include <weft/time.h>

struct event_base;

/* A task: ordinary C that may wait. Negative means failed; results travel through arg. */
typedef int weft_task_fn(void *arg);

typedef enum weft_clock_kind {
    WEFT_CLOCK_REAL = 0,
    WEFT_CLOCK_VIRTUAL = 1 /* starts at 0, jumps to the next deadline when every loop is idle */
} weft_clock_kind;

typedef enum weft_signal_mode {
    WEFT_SIGNALS_CANCEL = 0, /* SIGINT and SIGTERM cancel the main task; a second one kills */
    WEFT_SIGNALS_NONE = 1    /* dispositions are left alone */
} weft_signal_mode;

/* Zero means the default, everywhere. */
typedef struct weft_options {
    unsigned loops;        /* loops and their threads; 0: one per usable CPU (affinity and
                                  cgroup quota), at most 1024. The calling thread runs the first */
    unsigned pin;          /* 1: each loop's thread stays on one of the usable CPUs */
    weft_clock_kind clock; /* with the virtual clock all loops share the calling thread */
    unsigned hold_for_io;  /* 1: the virtual clock stands still while a task waits for a
                                  descriptor */
    uint64_t seed;         /* not 0: shuffle ready tasks (and messages, where the library was
                                  built for tests), the same way each time; the environment's
                                  WEFT_SEED stands in for 0 */
    weft_signal_mode signals;
    size_t stack_size;         /* usable bytes of a task's stack; 0: 64 KiB (double under
                                  sanitizers); 16 KiB to 1 GiB, rounded up to pages */
    unsigned measure_stacks;   /* 1: weft_task_stack_used is exact (clears each stack first) */
    unsigned blocking_threads; /* most threads of the executor behind weft_blocking; 0: 64 */
    weft_time grace;           /* how long tasks may clean up after the main task; 0: 5 s */
    unsigned processes;        /* not 0: fork the helper of the process model before any thread,
                                  so that up to this many workers can be opened per pool */
    struct event_base *base;   /* the first loop runs on this base of yours (not freed) */
    unsigned debug;            /* 1: debug mode, see weft/debug.h; the environment's WEFT_DEBUG=1
                                  stands in for 0 */
    weft_time slow;            /* debug mode: calls that block a loop longer, and locks held longer
                                  across a wait, are reported; 0: 100 ms */
} weft_options;

WEFT_BEGIN_DECLS

/*
 * weft_run - run a task, and all it spawns, to the end
 *
 * fn       the main task; it starts on the first loop
 * options  NULL for the defaults
 *
 * When the main task returns, tasks still alive are cancelled and get `grace` to clean up. The
 * call may be repeated, and made from several threads at once, each with a runtime of its own.
 *
 * Returns  what fn returned; -EINVAL, -ENOMEM, -EMFILE, -EAGAIN… when the runtime could not be
 *          built (weft_error_text() says which part); -EDEADLK inside a task;
 *          -ETIMEDOUT when a task outlived the grace period (each is logged) and fn had succeeded;
 *          -EDEADLK with the virtual clock when all tasks waited for each other (the log says who
 *          for what): the main task was cancelled then
 * Waits    no: it blocks the calling thread, which becomes the first loop
 * Threads  any plain thread
 * Source   asyncio.run
 */
int weft_run(weft_task_fn *fn, void *arg, const weft_options *options);

/*
 * weft_run_here - run one task on the calling thread, on a private loop of the thread
 *
 * As long as it is alone the task waits with ppoll(2); poller and doorbell are opened only when
 * it spawns or shares. The private loop is made on first use and kept for the thread's life.
 * What the task spawned and left behind is cancelled and waited for before the call returns.
 *
 * Returns  what fn returned; -ENOMEM; -EDEADLK inside a task
 * Waits    no: it blocks the calling thread
 * Threads  any plain thread
 * Source   trio.from_thread, turned round; HOUSE: the worker models run jobs through it
 */
int weft_run_here(weft_task_fn *fn, void *arg);

/*
 * weft_usable_cpus - how many CPUs this process may use
 *
 * Returns  1 or more: the affinity mask bounded by the cgroup's CPU quota, rounded up
 * Waits    no
 * Threads  any
 * Source   sched_getaffinity(2), cgroup cpu.max; os.process_cpu_count
 */
unsigned weft_usable_cpus(void);

WEFT_END_DECLS

#endif
