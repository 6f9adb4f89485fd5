/*
 * select_priv.h - what a select knows of a thing one can wait for: a table of functions.
 *
 * Each kind of case fills one in, beside the thing itself; layers above, like descriptors, have
 * theirs too. There are two sorts. Shared ones have locks: a select looks at all of them, and
 * stands in all their lines, with all their locks held, so that nothing happens in between. Those
 * of one thread (timers, descriptors) have none: nothing can happen to them before the caller
 * suspends.
 */
#ifndef WEFT_LIB_FLOW_SELECT_PRIV_H
#define WEFT_LIB_FLOW_SELECT_PRIV_H

#include <weft/select.h>

#include "flow/stand.h"

struct weft__case;

struct weft__case_kind {
    /* Takes the branch if that is possible now: 0 with case->result set, or -EAGAIN. */
    int (*take)(struct weft__case *branch);

    /* Shared ones only. How many locks, at most 2; each of them is taken once, by address. */
    unsigned (*locks)(struct weft__case *branch, struct weft__lock *locks[2]);
    /* take(), with the locks held; what remains to be done without them is left to after(). */
    int (*take_locked)(struct weft__case *branch);
    void (*after)(struct weft__case *branch); /* NULL: nothing is */
    /* With the locks held: gets in line. */
    void (*enter)(struct weft__case *branch);
    /* Without them, when the wait was ended by this branch; its status is in the stand. NULL:
     * nothing remains to be done. */
    void (*served)(struct weft__case *branch);
    /* Without them, when the wait is over and another branch was taken, or none. */
    void (*leave)(struct weft__case *branch);

    /* Those of one thread only. Sees to it that the ticket is claimed; a negative result is the
     * branch's own: it is taken with it. */
    int (*begin)(struct weft__case *branch, struct weft__ticket ticket);
    /* When the wait is over, whichever branch was taken. */
    void (*end)(struct weft__case *branch);
};

struct weft__case {
    int32_t result; /* as in the public one */
    int32_t reserved;
    const struct weft__case_kind *kind;
    void *object;
    struct weft__stand stand;
    struct weft__stand *peer; /* claimed by take_locked, for after() */
    void *extra;              /* the kind's */
    uint64_t own[5];          /* likewise */
};
_Static_assert(sizeof(struct weft__case) <= sizeof(weft_case), "weft_case is too small");

extern const struct weft__case_kind weft__case_never;

/* Fills a case in. NULL for the object makes one that is never taken. */
static inline void
weft__case_init(weft_case *public, const struct weft__case_kind *kind, void *object, void *item,
                void *extra)
{
    struct weft__case *branch = (struct weft__case *)(void *)public;
    branch->result = 0;
    branch->reserved = 0;
    branch->kind = object != NULL ? kind : &weft__case_never;
    branch->object = object;
    branch->stand.item = item;
    branch->extra = extra;
}

#endif
