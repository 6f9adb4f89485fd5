/*
 * procpool_priv.h - a pool of processes: its state, and what its files do for each other.
 *
 * calls.c       the queue and the states of calls: submitting, cancelling, finishing. For any
 *               thread, under the lock.
 * slots.c       the children: starting, feeding, hearing, ending them. The supervisor's alone.
 * supervisor.c  the one thread that looks at all of it, turn by turn, and sleeps in between.
 * procpool.c    making and ending a pool; its figures.
 *
 * Each calls those above it in this list, and none below. A call is on the queue, on the list of
 * the cancelled, or in exactly one slot; it is finished where it leaves the last of them, on the
 * supervisor, so it is finished once.
 */
#ifndef WEFT_LIB_POOL_PROCPOOL_PRIV_H
#define WEFT_LIB_POOL_PROCPOOL_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/procpool.h>

#include "pool/pool_priv.h"
#include "pool/pool_sys.h"

enum call_state { CALL_NEW, CALL_QUEUED, CALL_CANCELLED, CALL_RUNNING, CALL_STOPPING, CALL_DONE };

struct call_list {
    weft_procpool_call *first;
    weft_procpool_call *last;
};

enum slot_state {
    SLOT_FREE,
    SLOT_STARTING, /* has not said hello */
    SLOT_IDLE,
    SLOT_BUSY,  /* has a call */
    SLOT_ENDING /* its socket is closed; the pidfd will tell */
};

struct slot {
    struct weft__child child;
    enum slot_state state;
    bool used;    /* was ever given a call */
    bool told;    /* its end is our doing */
    bool sending; /* the request is not out yet */
    weft_procpool_call *call;
    int verdict;       /* of the call, when we ended the child */
    weft_time give_up; /* ENDING: when to kill, or to stop waiting */
    struct weft__frame_out out;
    struct weft__frame_in in;
};

struct weft_procpool {
    /* Fixed from the start. */
    unsigned width;
    weft_procpool_handler *handler; /* NULL: exec */
    char **argv;                    /* exec: its arguments, name first, and NULL; one block */
    int epoll;
    int bell; /* eventfd, rung when the supervisor sleeps */
    pthread_t supervisor;

    pthread_mutex_t lock; /* the following */
    struct call_list queue;
    struct call_list cancelled;
    size_t n_queued;
    weft_time earliest; /* no call on the queue has a deadline before this */
    weft_time refuse_until;
    bool sleeping; /* the supervisor is in epoll_wait, or about to be, and must be woken */
    bool stopping; /* some call is CALL_STOPPING */
    bool closing;
    bool close_seen; /* the supervisor has acted on it */
    weft_close_mode close_mode;
    weft_time close_by;

    /* The supervisor's. */
    struct slot *slots;
    unsigned *idle; /* indices of idle slots; the last one came last, and is warm */
    unsigned n_idle;
    unsigned n_alive; /* not FREE */
    unsigned n_starting;
    unsigned n_busy;
    unsigned failed_starts; /* in a row */
    bool proven;            /* some child has said hello */
    weft_time next_start;

    /* Written by the supervisor, read by anybody. */
    struct {
        unsigned children;
        unsigned idle;
        uint64_t started;
        uint64_t crashed;
        uint64_t killed;
    } stats;
};

static inline weft_time
weft__earlier(weft_time a, weft_time b)
{
    return a < b ? a : b;
}

/* What epoll calls the bell. A slot's descriptors have the slot's index times two, and one more for
 * the pidfd. */
#define TAG_BELL UINT64_MAX

/* ---- calls.c: called without the lock; but for the first two by the supervisor alone ---------*/

size_t weft__calls_queued(weft_procpool *pool);

/* From now on none is accepted, and the supervisor brings the rest to an end. */
void weft__calls_close(weft_procpool *pool, weft_close_mode mode, weft_time close_by);

/* The next one on the queue, which runs from now on; NULL when none waits. */
weft_procpool_call *weft__calls_take(weft_procpool *pool);

/* One that was taken and could not be begun: it is the next again, unless it was cancelled. */
void weft__calls_put_back(weft_procpool *pool, weft_procpool_call *call);

/* Calls `done`, after which the call may be gone. */
void weft__calls_finish(weft_procpool *pool, weft_procpool_call *call, int result);
void weft__calls_finish_list(weft_procpool *pool, struct call_list *list, int result);
void weft__calls_finish_queue(weft_procpool *pool, int result);

/* Those on the queue whose deadline is over. */
void weft__calls_finish_late(weft_procpool *pool, weft_time now);

/* ---- slots.c ---------------------------------------------------------------------------------*/

/* Starts a child in a free slot. */
int weft__slot_start(weft_procpool *pool, struct slot *slot);

/* Gives a call to an idle child, or puts it back when the child turns out to be dead. */
void weft__slot_assign(weft_procpool *pool, struct slot *slot, weft_procpool_call *call);

/* Ends a child; its call, if any, is finished with the verdict once it is gone. `told`: the end is
 * our doing. May be called with the lock held. */
void weft__slot_kill(weft_procpool *pool, struct slot *slot, int verdict, bool told);

/* Lets a child that has no call go by itself. */
void weft__slot_send_off(weft_procpool *pool, struct slot *slot);

/* For a child that is ending, when its time to do so is over. */
void weft__slot_patience_over(weft_procpool *pool, struct slot *slot, weft_time now);

/* What epoll has said of a slot's socket or pidfd. Starts no child, so that of the events of one
 * look none is of a child that has come since. */
void weft__slots_event(weft_procpool *pool, uint64_t tag, uint32_t events);

/* ---- supervisor.c ----------------------------------------------------------------------------*/

/* Its thread ends when the pool is closing and all is over. */
int weft__supervisor_start(weft_procpool *pool);

#endif
