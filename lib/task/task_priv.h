/*
 * task_priv.h - tasks, their scheduler, the runtime: what the task layer's files share.
 *
 * A scheduler is a loop with tasks on it. All of a task but the words marked atomic belongs to
 * its home loop: other threads ask for something with a message.
 */
#ifndef WEFT_LIB_TASK_PRIV_H
#define WEFT_LIB_TASK_PRIV_H

#include <pthread.h>

#include <weft/run.h>
#include <weft/scope.h>
#include <weft/task.h>
#include <weft/time.h>

#include "base/cpu.h"
#include "base/list.h"
#include "base/lock.h"
#include "ctx/stack.h"
#include "loop/loop_priv.h"

struct weft__group;

/* A region of a task's run. The root scope of a task is just this, and has no outer one. */
struct weft__scope {
    struct weft_task *task;
    struct weft__scope *outer;
    struct weft__deferred *deferred; /* last registered first */
    int64_t deadline;
    int32_t cause;  /* 0, -ECANCELED or -ETIMEDOUT: how this scope itself ended */
    bool shield;    /* hides what is outside */
    bool masked;    /* hides its own cause too, while deferred functions run */
    bool hit;       /* a call inside was ended by this scope's own cause */
    bool has_group; /* it is the first member of a group */
};

/* One that was opened: it may have a deadline that expires. */
struct weft__open_scope {
    struct weft__scope scope; /* first */
    struct weft__timer timer;
};

/* Requests to a task from elsewhere; bits of weft_task.ops. */
#define WEFT__OP_PENDING 1u /* the message is on its way */
#define WEFT__OP_CANCEL 2u
#define WEFT__OP_CLOSE 4u   /* the handle is given up */
#define WEFT__OP_OBSERVE 8u /* somebody has seen the result */

struct weft_task {
    struct weft__ctx ctx;      /* where the task is suspended, once it has started */
    struct weft__stack *stack; /* NULL until it starts, and after it has ended */
    /* The first line has what a switch needs. */
    struct weft_task *ready_next;
    int32_t pending;   /* what the next wait returns at once; 0: nothing */
    uint8_t state;     /* weft_task_state; atomic for others to read */
    bool native;       /* runs on the loop's own stack (weft_run_here) */
    bool cancellable;  /* the present wait may be ended by pending */
    bool observed : 1; /* somebody has seen the result */
    bool has_handle : 1;
    struct weft__holdings holdings; /* locks it has to give back */
    /* For those who look from outside; the line is at hand when a task parks. */
    const char *what; /* it waits for; NULL: nothing was said */
    const void *object;
    struct weft__waiter waiter;
    weft_task_fn *fn;
    void *arg;
    const void *site;   /* where it was spawned: a return address, or its function */
    uint32_t parked_ms; /* on the loop's clock, in debug mode: since when it waits */
    int32_t result;
    int32_t cancel_cause; /* with WEFT__OP_CANCEL; atomic */
    uint32_t ops;         /* atomic */
    uint32_t child;       /* number within its group */
    union {
        int32_t child_on;    /* where the group shall start it */
        uint32_t stack_used; /* once started: measured at the end, where asked for */
    };
    void (*body)(struct weft_task *task); /* what the stack's owner runs: a task, or a loop */

    struct weft__timer sleep;  /* while it sleeps */
    struct weft__scope *scope; /* innermost */
    struct weft__scope root;
    struct weft__group *group;
    struct weft__link sibling; /* in its group */
    struct weft__link link;    /* among the tasks of its loop, or the tasks any loop may take */
    struct weft__list joiners;
    struct weft__message remote;
    char *error; /* detail of the last failure, made on demand */
    struct weft__locals *locals;
    char name[32];
} __attribute__((aligned(64))); /* neighbours may live on other loops: no line is shared */
#if !defined(WEFT_TEST) && !defined(WEFT__SAN_ADDRESS) && !defined(WEFT__SAN_THREAD)
_Static_assert(sizeof(struct weft_task) <= 384, "a million tasks are to fit into memory");
#endif

/* One who waits for a task's end; on the task's list, which belongs to its loop. */
struct weft__joiner {
    struct weft__link link;
    struct weft__ticket ticket;
    int32_t result; /* of the task, written before the awaiter is woken */
    /* Not NULL: called with the result, on the task's loop, instead of waking the ticket. */
    void (*arrive)(struct weft__joiner *joiner);
};

struct weft__runtime;

struct weft__sched {
    struct weft_loop loop;      /* first */
    struct weft_task *current;  /* NULL: a callback runs, or a call for the task below */
    struct weft_task *borrower; /* NULL, or the task whose call runs on the loop's stack */
    struct weft_task *ready_head;
    struct weft_task *ready_last;
    size_t n_ready;
    unsigned budget;
    unsigned calls_left; /* calls that may wait, until the next one lets others run */
    bool debug;
    struct weft__stack_cache stacks;
    struct weft__timer trim; /* gives back what a spike left in the cache */
    struct weft__ctx native;
    struct weft__stack *finished; /* left for good; to be given away from another stack */
    struct weft_task *free_tasks; /* chained through ready_next */
    size_t n_free_tasks;
    size_t n_gens; /* generators that are open */

    struct weft__runtime *runtime;
    struct weft__list tasks;
    size_t live;
    unsigned cancel_depth; /* cancellations in progress, one inside the other */
    uint64_t switches, spawned;
    size_t name_len;
    char last_name[32];          /* of the last task without a name of its own, padded with zeros */
    bool closing;                /* spawns are refused, tasks have been cancelled */
    bool draining;               /* every loop is closing */
    bool reported;               /* as empty */
    bool idling;                 /* virtual: has nothing to do */
    struct weft__ctx *resume_at; /* virtual: where the actor goes on */
    struct weft_task *actor;     /* virtual: the stack the loop itself runs on */
    struct weft__message close_message, ack_message, empty_message, abandon_message;
};

/* What a runtime's executors are for: calls of one kind must not wait behind those of another. */
enum weft__lane_kind {
    WEFT__LANE_BLOCKING, /* weft_blocking */
    WEFT__LANE_FILES,
    WEFT__LANE_NAMES,
    WEFT__LANES
};

struct weft__runtime {
    struct weft__clock clock;
    unsigned n_loops;
    struct weft__sched **loops;
    pthread_t *threads;
    struct weft__stack_pool *pool;
    const struct weft__cpu_mask *cpus; /* of the thread that called weft_run */
    weft_options options;
    struct weft_task *main;
    int main_result;
    char *main_error; /* its detail, for who called weft_run */
    bool main_done;

    struct weft__lock any_lock;
    struct weft__list any;           /* tasks not started that any loop may take */
    struct weft__task_chunk *chunks; /* memory of tasks; stays until the runtime ends */
    struct weft_task *free_tasks;    /* that loops had too many of */
    uint32_t n_any;                  /* atomic */

    uint32_t closing; /* atomic: spawns are refused */
    unsigned acks, empties;
    size_t abandoned;
    struct weft__timer grace;
    struct weft__message signal_message;
    uint32_t signalled; /* atomic: the message is on its way */

    /* Debug mode; see debug.c. */
    struct weft__link all; /* among all runtimes */
    void *debug;           /* of the layer that watches; NULL: nobody does */
    uint32_t debug_wake;   /* atomic: futex its thread sleeps on */
    uint32_t dump_wanted;  /* atomic: by a signal */
    unsigned deadlocks;    /* virtual clock: how often nothing could go on */

    /* Executors, each made on first use by the layer that has them. */
    struct weft__lock lanes_lock;
    void *lanes[WEFT__LANES];
    void (*lane_free)(void *lane, int64_t grace); /* set with the first of them */

    /* Virtual clock: all loops on one thread. */
    struct weft__bell bell;
    struct weft__poll *poll;
    struct weft__ctx driver;
    uint64_t random;
    bool simulating;
    uint32_t io_waits; /* tasks that wait for a descriptor */
};

static inline struct weft__sched *
weft__sched_self(void)
{
    return (struct weft__sched *)(void *)weft__loop_self;
}

/* The task that the loop's thread works for, on whichever stack. */
static inline struct weft_task *
weft__task_running(const struct weft__sched *sched)
{
    return sched->current != NULL ? sched->current : sched->borrower;
}

static inline struct weft_task *
weft__task_self(void)
{
    struct weft__sched *sched = weft__sched_self();
    return sched != NULL ? sched->current : NULL;
}

/* Calls that may wait, of all tasks of a loop, before one of them lets others run: those that find
 * what they want at once must not keep the loop from everything else. */
#define WEFT__CALLS 256

/* sched.c */
int weft__sched_init(struct weft__sched *sched, struct weft__runtime *runtime, unsigned index);
void weft__sched_close(struct weft__sched *sched);
void weft__ready_push(struct weft__sched *sched, struct weft_task *task);
/* Leaves a stack for good. */
void weft__switch_out(struct weft__sched *sched, struct weft__stack *stack);
/* Leaves the running task, which is parked or ready again, for whatever is next. */
void weft__switch_away(struct weft__sched *sched, struct weft_task *self);
/* The same for one that is ready again: makes it so, behind all others. */
void weft__switch_back_later(struct weft__sched *sched, struct weft_task *self);
void weft__task_entry(void *stack);

/* park.c */

/* Says what the caller is about to wait for, in a word or two of constant text, and on which
 * object: for dumps and for debug mode. Between weft__wait_begin and the next park, which forgets
 * it again. Nothing on a plain thread. */
static inline void
weft__waits_for(const char *what, const void *object)
{
    struct weft_task *task = weft__task_self();
    if (task != NULL) {
        task->what = what;
        task->object = object;
    }
}

/* These mean something to those who look: `object` is a task or a descriptor's number, or somebody
 * outside the runtime is waited for. */
extern const char weft__what_sleep[], weft__what_task[], weft__what_readable[],
    weft__what_writable[], weft__what_executor[], weft__what_select_outside[];

/* Looks for cancellation: 0, or the cause, noted as seen. First thing in every call that waits. */
int weft__wait_begin(void);
/* The same for a wait that goes on whatever happens: it only counts for the torture harness. */
void weft__wait_uncancellable(void);
/* A ticket for the caller, task or thread: armed, to be followed by weft__park. */
struct weft__ticket weft__park_arm(void);
/* Suspends until the ticket is claimed and delivered; the result. Uncancellable parks wait for
 * the delivery alone. */
int weft__park(bool cancellable);
/* A deadline of the caller's own on a park; for sleeping. */
int weft__sleep_until(int64_t when);

/* scope.c */
void weft__scope_init_root(struct weft_task *task, int64_t deadline);
/* Pending causes anew after a scope changed; ends the present wait if there is one now. */
void weft__scope_recompute(struct weft_task *task);
void weft__scope_end(struct weft__scope *scope, int cause);
void weft__scope_note_hit(struct weft_task *task);
/* The cause in force at a scope, 0 for none. */
int weft__scope_effective(const struct weft__scope *scope);
void weft__scope_enter(struct weft__open_scope *open, struct weft_task *task, int64_t deadline,
                       bool shield);
/* Runs deferred functions, leaves the scope; its own verdict. */
int weft__scope_leave(struct weft__open_scope *open);
void weft__scope_run_deferred(struct weft__scope *scope);
/* Set by the group layer: the children of a scope's group are to end with the cause. */
extern void (*weft__group_ended)(struct weft__group *group, int cause);
/* Set by the group layer: a child has ended; on the child's loop. */
extern void (*weft__group_child_finished)(struct weft_task *child);

/* task.c */
int weft__task_new(struct weft_task **ret_task, weft_task_fn *fn, void *arg,
                   const weft_task_options *options, int64_t deadline);
/* Sends a new task where it shall run. */
void weft__task_start(struct weft_task *task, int on);
void weft__task_discard(struct weft_task *task); /* one that was never started */
/* A record that no scheduler knows, for the owner of a stack; only some of its fields are set. */
struct weft_task *weft__task_record_take(struct weft__sched *sched);
void weft__task_record_give(struct weft__sched *sched, struct weft_task *record);
void weft__task_chunks_free(struct weft__runtime *runtime);
void weft__task_request(struct weft_task *task, unsigned op, int cause);
void weft__task_ops_message(struct weft__message *message);  /* fn of task->remote */
void weft__task_end_root(struct weft_task *task, int cause); /* on its loop */
/* Gives a task its result and its last state, and wakes who waits for them. */
void weft__task_settle(struct weft_task *task, int rc);
void weft__task_finish(struct weft__sched *sched, struct weft_task *task, int rc);
void weft__task_release(struct weft__sched *sched, struct weft_task *task);
void weft__task_adopt_any(struct weft__sched *sched);
/* Gives back the memory that a parked task of this loop does not need while it waits. */
void weft__task_give_back(struct weft_task *task);
void weft__joiner_wake(struct weft_task *task, struct weft__joiner *joiner);

/* Where a task is that any loop may take, and none has yet: a loop of its runtime, marked in a bit
 * no pointer has. */
static inline struct weft_loop *
weft__floating_mark(struct weft_loop *spawner)
{
    return (struct weft_loop *)((uintptr_t)spawner | 1);
}

/* The runtime in which it floats; NULL when home is a loop. */
static inline struct weft__runtime *
weft__floating_in(struct weft_loop *home)
{
    if (!((uintptr_t)home & 1))
        return NULL;
    return ((struct weft__sched *)((uintptr_t)home & ~(uintptr_t)1))->runtime;
}

static inline bool
weft__task_ended(const struct weft_task *task)
{
    return task->state >= WEFT_TASK_DONE;
}

/* local.c */

/* The table of the calling task or thread, borrowed; NULL is an empty one. */
struct weft__locals *weft__locals_current(void);
struct weft__locals *weft__locals_ref(struct weft__locals *table);
/* What a child gets, to be dropped by it. */
int weft__locals_inherit(struct weft__locals **ret_table, struct weft__locals *from);
/* Leaves NULL behind. */
void weft__locals_drop(struct weft__locals **mine);

/* cross.c: waits for a task of another loop, or one that no loop has yet. */
int weft__await_far(struct weft_task *task, int *ret_result);
int weft__task_on(const weft_task_options *options, unsigned n_loops);

/* run.c, close.c */
int weft__runtime_open(struct weft__runtime *runtime, const weft_options *options);
void weft__runtime_close(struct weft__runtime *runtime);
void weft__runtime_lanes_free(struct weft__runtime *runtime, int64_t grace);
void weft__runtime_begin_close(struct weft__runtime *runtime);
void weft__close_check(struct weft__sched *sched);
/* Names the tasks that are left, and stops all loops. On the first one, while it closes. */
void weft__runtime_abandon(struct weft__runtime *runtime);
/* Set by the process pool: before any thread, and at the end. */
extern int (*weft__zygote_start_hook)(void);
extern void (*weft__zygote_stop_hook)(void);

/* here.c: a private loop's task is alone no longer; it gets poller, doorbell and stacks. */
int weft__here_grow(struct weft__sched *sched);

/* signals.c */
#define WEFT__SIGNAL_MAX 64
static inline uint64_t
weft__signal_bit(int number)
{
    return (uint64_t)1 << (number - 1);
}

/* One who wants to hear of signals, and has them instead of the runtimes. In the listener's memory
 * until unlisten has returned. */
struct weft__signal_listener {
    struct weft__signal_listener *next; /* atomic */
    uint64_t numbers;                   /* their bits */
    /* In the signal handler, on whatever thread it runs. */
    void (*hear)(struct weft__signal_listener *listener, int number, const siginfo_t *info);
};
/* Takes the numbers from the program until unlisten. 0, or the error of sigaction(2). */
int weft__signals_listen(struct weft__signal_listener *listener);
void weft__signals_unlisten(struct weft__signal_listener *listener);
int weft__signals_install(struct weft__runtime *runtime);
void weft__signals_uninstall(struct weft__runtime *runtime);

/* Now, as tasks note it when they park: half of the range of a difference is 24 days. */
static inline uint32_t
weft__debug_ms(const struct weft__sched *sched)
{
    return (uint32_t)(weft__clock_now(sched->loop.clock) / 1000000);
}

/* debug.c */

#define WEFT__WAIT_BYTES 128

/* What a waiting task does: "sleeps", "waits for semaphore 0x…", "waits for task \"x\"",
 * "waits for descriptor 7 (readable)". `name` is that of the task waited for, if it is one. */
void weft__debug_wait_text(const char *what, const void *object, const char *name,
                           char text[WEFT__WAIT_BYTES]);
/* The same of a task, on its loop; other states too. */
void weft__debug_task_waits(const struct weft_task *task, char text[WEFT__WAIT_BYTES]);
/* Whether a task that waits for this can be woken by what is no task: time, the kernel, a call in
 * progress on another thread. */
bool weft__debug_outside(const char *what);
bool weft__debug_asked(const weft_options *options);
/* Threads of this process, 0 when it cannot be told. */
unsigned weft__debug_threads(void);
/* A task that failed, and nobody looked. */
void weft__debug_log_failure(const struct weft_task *task) __attribute__((cold));
/* Names the tasks of a loop that are alive in the log, the first 20 of them. On the loop. */
void weft__debug_log_alive(struct weft__sched *sched, weft_log_level level, const char *how);
/* After the last task: handles that nobody ended. */
void weft__debug_log_handles(struct weft__runtime *runtime);
/* All runtimes of weft_run there are. The lock is short, but is held while messages are posted. */
extern struct weft__lock weft__runtimes_lock;
extern struct weft__list weft__runtimes;
void weft__runtimes_add(struct weft__runtime *runtime);
void weft__runtimes_remove(struct weft__runtime *runtime);

/* Set by the layer that watches. */
struct weft__debug_hooks {
    void (*start)(struct weft__runtime *runtime); /* before its loops run; may do without */
    void (*stop)(struct weft__runtime *runtime);
    /* On a thread that runs loops, before its first turn and after its last. */
    void (*thread_enter)(struct weft__runtime *runtime, unsigned index);
    void (*thread_leave)(struct weft__runtime *runtime, unsigned index);
    /* Of locks that tasks hold while they wait. */
    void (*lock_taken)(struct weft__runtime *runtime, const void *lock, const char *what);
    void (*lock_released)(struct weft__runtime *runtime, const void *lock);
};
extern const struct weft__debug_hooks *weft__debug_hooks; /* NULL: not linked in */

/* For locks that may be held across a wait: after one was taken by the calling task, and before it
 * is given back, by whatever task or thread. In debug mode a lock held for too long is reported
 * with its holder. Outside debug mode a load and a branch. */
static inline void
weft__debug_lock_taken(const void *lock, const char *what)
{
    struct weft__sched *sched = weft__sched_self();
    if (__builtin_expect(sched != NULL && sched->debug, 0))
        weft__debug_hooks->lock_taken(sched->runtime, lock, what);
}

static inline void
weft__debug_lock_released(const void *lock)
{
    struct weft__sched *sched = weft__sched_self();
    if (__builtin_expect(sched != NULL && sched->debug, 0))
        weft__debug_hooks->lock_released(sched->runtime, lock);
}

/* sim.c: virtual clock. */
int weft__sim_open(struct weft__runtime *runtime);
void weft__sim_close(struct weft__runtime *runtime);
void weft__sim_run(struct weft__runtime *runtime);

#endif
