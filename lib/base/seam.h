/*
 * seam.h - where tests reach in: torture counters, switch points, rare paths on purpose.
 *
 * In release builds everything here is nothing.
 */
#ifndef WEFT_LIB_BASE_SEAM_H
#define WEFT_LIB_BASE_SEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The four kinds of torture, one counter each: the k-th suspension is cancelled, or runs into its
 * deadline; the k-th allocation, or system call, fails. */
enum weft__torture {
    WEFT__TORTURE_CANCEL,
    WEFT__TORTURE_DEADLINE,
    WEFT__TORTURE_ALLOC,
    WEFT__TORTURE_SYSCALL,
    WEFT__TORTURE_KINDS
};

/* Steps of cross-thread protocols at which the simulator may run somebody else. */
enum weft__point {
    WEFT__POINT_INBOX_PUSHED,   /* message is in, bell not yet looked at */
    WEFT__POINT_INBOX_SLEEPING, /* loop has said it sleeps, not yet looked again */
    WEFT__POINT_INBOX_DRAIN,    /* loop is about to take its messages */
    WEFT__POINT_WAKE_CLAIM,     /* a waker is about to claim a waiter */
    WEFT__POINT_WAKE_DELIVER,   /* it has won and is about to deliver */
    WEFT__POINT_PARK,           /* a waiter is armed and about to suspend */
    WEFT__POINT_LOCK,           /* a short lock is about to be taken */
    WEFT__POINT_LOCK_HELD,      /* it is held by somebody else, who must run first */
    WEFT__POINT_SLEEPING,       /* a supervisor has looked at all, and is about to sleep */
    WEFT__POINT_OTHER
};

#ifdef WEFT_TEST

/* Counts one event of the kind on this process and says whether it is the one to hit. For
 * WEFT__TORTURE_SYSCALL the errno to fail with is weft__torture_errno(). */
bool weft__torture_hit(enum weft__torture kind);
int weft__torture_errno(void);
/* Whether system calls are armed to fail with EAGAIN. After a true one the kernel owes an edge. */
bool weft__torture_refuses(void);

/* Arms: the k-th event from now (1 is the next) is hit; with `from_on` every one after it too.
 * k 0 only counts. Counting is per process, and only while armed. */
void weft__torture_arm(enum weft__torture kind, uint64_t k, bool from_on, int error);
uint64_t weft__torture_disarm(enum weft__torture kind); /* how many events were counted */

/* Set by the simulator, atomically; NULL: points do nothing. */
extern void (*weft__point_hook)(enum weft__point point);
#define WEFT_POINT(id)                                                                             \
    do {                                                                                           \
        void (*weft__hook)(enum weft__point) =                                                     \
            __atomic_load_n(&weft__point_hook, __ATOMIC_RELAXED);                                  \
        if (weft__hook != NULL)                                                                    \
            weft__hook(id);                                                                        \
    } while (0)

/* True about once in `one_in`, by the seed of weft__buggify_seed; never while that is 0. */
bool weft__buggify(unsigned one_in);
void weft__buggify_seed(uint64_t seed);
#define WEFT_BUGGIFY(one_in) weft__buggify(one_in)

#else

#define weft__torture_hit(kind) false
#define weft__torture_refuses() false
#define WEFT_POINT(id) ((void)0)
#define WEFT_BUGGIFY(one_in) false

#endif

#endif
