/*
 * waiter.h - one primitive under everything that waits.
 *
 * A waiter belongs to who waits: a task has one, a plain thread has one. Arming it makes a ticket,
 * (waiter, id), that others keep while they may have to wake it. Exactly one of result,
 * cancellation and deadline claims a ticket, by one compare-and-swap; the winner delivers. Ids
 * are never used twice, so a ticket kept too long claims nothing: the late wake-up of a finished
 * task, whose memory another one has by now, is harmless.
 *
 * Claim and deliver are apart so that a primitive can claim under its lock and deliver after
 * unlocking, when it is no longer touched: whoever is woken may end the primitive at once.
 */
#ifndef WEFT_LIB_LOOP_WAITER_H
#define WEFT_LIB_LOOP_WAITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/queue.h"
#include "base/seam.h"

struct weft_loop;

/* What travels through an inbox. The receiver calls fn on its loop. */
struct weft__message {
    struct weft__mpsc_node node;
    void (*fn)(struct weft__message *message);
#ifdef WEFT_TEST
    const void *from; /* sending loop or thread: the seeded shuffle keeps its messages in order */
#endif
};

#ifdef WEFT_TEST
#define WEFT__MESSAGE_FROM(message, sender) ((message)->from = (sender))
#else
#define WEFT__MESSAGE_FROM(message, sender) ((void)0)
#endif

#define WEFT__ARMED 1u
#define WEFT__WOKEN 2u
#define WEFT__ID_STEP 4u

/* One cache line, because who wakes from another CPU touches all of it. */
struct weft__waiter {
    struct weft__message message; /* carries it home when it was woken from elsewhere */
    struct weft__link link;       /* in the line of what it waits for, under that one's lock */
    uint64_t state;               /* id | ARMED, then id | WOKEN */
    struct weft_loop *loop;       /* where resume is called; NULL for a plain thread */
    void (*resume)(struct weft__waiter *waiter);
    int32_t result;     /* written by who claimed, read by who was woken */
    uint32_t delivered; /* plain threads: the futex */
} __attribute__((aligned(64)));
#ifndef WEFT_TEST
_Static_assert(sizeof(struct weft__waiter) == 64, "a waiter is one cache line");
#endif

struct weft__ticket {
    struct weft__waiter *waiter;
    uint64_t id; /* as in state, without its two low bits */
};

/* The next id. Unique in the process: the loop's or thread's number is in the upper bits. */
static inline struct weft__ticket
weft__waiter_arm(struct weft__waiter *waiter, uint64_t id)
{
    /* Release is enough: the ticket reaches others through a lock or an inbox. */
    weft__store_release(&waiter->state, id | WEFT__ARMED);
    return (struct weft__ticket){waiter, id};
}

/* Whether the caller is the one to deliver. Pairs with every other claim of the same ticket. */
static inline bool
weft__claim(struct weft__ticket ticket)
{
    WEFT_POINT(WEFT__POINT_WAKE_CLAIM);
    return weft__cas(&ticket.waiter->state, ticket.id | WEFT__ARMED, ticket.id | WEFT__WOKEN);
}

/* Claims whatever park the waiter is in, by one that knows it cannot have ended: it holds the lock
 * of the line the waiter stands in. False when it was cancelled. */
static inline bool
weft__claim_present(struct weft__waiter *waiter)
{
    WEFT_POINT(WEFT__POINT_WAKE_CLAIM);
    uint64_t state = weft__load(&waiter->state);
    return (state & WEFT__ARMED) && weft__cas(&waiter->state, state, state + 1);
}

/* The same where only the waiter's own loop can hold tickets (yielding sleepers, descriptors). */
static inline bool
weft__claim_local(struct weft__ticket ticket)
{
    if (weft__load_relaxed(&ticket.waiter->state) != (ticket.id | WEFT__ARMED))
        return false;
    weft__store_relaxed(&ticket.waiter->state, ticket.id | WEFT__WOKEN);
    return true;
}

/* Hands a claimed waiter its result. The waiter may be gone when this returns. */
void weft__deliver(struct weft__waiter *waiter, int result);

static inline bool
weft__wake(struct weft__ticket ticket, int result)
{
    if (!weft__claim(ticket))
        return false;
    weft__deliver(ticket.waiter, result);
    return true;
}

#endif
