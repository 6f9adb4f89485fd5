/*
 * timer.h - the deadlines of one loop, a million of them if need be.
 *
 * Belongs to one thread. Timers live in their owners' memory and are linked where they wait, so
 * nothing is allocated and nothing can fail. Time never runs backwards, and starts at 0 or later.
 */
#ifndef WEFT_LIB_LOOP_TIMER_H
#define WEFT_LIB_LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT__TIMER_LEVELS 11 /* groups of six bits that a deadline has, the last one short */
#define WEFT__TIMER_SLOTS 64

struct weft__timer {
    struct weft__timer *prev; /* NULL: not pending */
    struct weft__timer *next;
    int64_t deadline;
    void (*fire)(struct weft__timer *timer); /* on the loop; the timer is no longer pending */
};

/*
 * A ring of timers. Its ends stand in for the first two members of a struct weft__timer and are
 * only ever reached through a pointer to one, which makes the ends of a ring like any neighbour.
 */
typedef struct weft__timer *weft__timer_ends[2];

/* The bulk of the wheel, in memory of its own: a loop that has but a few timers needs none. */
struct weft__timer_slots {
    weft__timer_ends slots[WEFT__TIMER_LEVELS * WEFT__TIMER_SLOTS];
};

struct weft__timers {
    weft__timer_ends *slots; /* NULL: all timers are in `few` */
    weft__timer_ends few;    /* by deadline, then by the order of adding */
    weft__timer_ends due;    /* deadline <= now: fired by the next expire */
    weft__timer_ends firing; /* being fired by the present one */

    /* What every call touches, on two cache lines. */
    size_t n;        /* pending */
    int64_t now;     /* what slots are counted from; those in slots are later than this */
    uint64_t levels; /* bit l: level l has a timer */
    uint64_t occupied[WEFT__TIMER_LEVELS]; /* bit s of level l: that slot has a timer */
    bool unsorted;                         /* due is not in the order of deadlines */
};

/* Without slots each addition looks through all that are there. */
void weft__timers_init(struct weft__timers *timers, int64_t now);
/* Gives the timers their slots, which need not be initialised, once and for good. */
void weft__timers_grow(struct weft__timers *timers, struct weft__timer_slots *slots);

/* `timer` is not pending and has its fire set. One that is due already fires in the next expire,
 * also when it is added by a timer that fires. */
void weft__timers_add(struct weft__timers *timers, struct weft__timer *timer, int64_t deadline);

/* Does nothing when the timer is not pending. */
void weft__timers_cancel(struct weft__timers *timers, struct weft__timer *timer);

/* A time no later than the earliest deadline, and the deadline itself when that is cheap to
 * know; INT64_MAX when there is none. */
int64_t weft__timers_next(struct weft__timers *timers);

/* The earliest deadline; INT64_MAX when there is none. */
int64_t weft__timers_next_exact(struct weft__timers *timers);

/* Fires all that are due at `now`, by deadline and then by the order of adding. Timers may add
 * and cancel others. Returns how many fired. */
size_t weft__timers_expire(struct weft__timers *timers, int64_t now);

static inline bool
weft__timer_pending(const struct weft__timer *timer)
{
    return timer->prev != NULL;
}

#endif
