/*
 * backlog.h - the calls that wait for a thread, first come, first served.
 *
 * A ring of pointers and not a list, so that taking the next call under the executor's lock does
 * not wait for the cache line of the call itself, which its loop wrote last. A call knows its
 * position; positions only grow, so one below `first` has been taken. A call that is taken back
 * leaves a hole.
 */
#ifndef WEFT_LIB_EXEC_BACKLOG_H
#define WEFT_LIB_EXEC_BACKLOG_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/mem.h"

struct call;

struct weft__backlog {
    struct call **slots; /* NULL where a call was taken back */
    uint64_t mask;       /* slots - 1; a power of two less one */
    uint64_t first, end; /* positions */
    size_t n;            /* calls in it; read without the lock by threads that look for work */
};

#define WEFT__BACKLOG_SLOTS 64 /* to begin with */

static inline int
weft__backlog_init(struct weft__backlog *backlog)
{
    backlog->slots = weft__alloc(WEFT__BACKLOG_SLOTS * sizeof backlog->slots[0]);
    backlog->mask = WEFT__BACKLOG_SLOTS - 1;
    return backlog->slots == NULL ? -ENOMEM : 0;
}

static inline void
weft__backlog_free(struct weft__backlog *backlog)
{
    weft__free(backlog->slots);
}

/* Where a call stands, in the call itself. */
uint64_t *weft__backlog_position(struct call *call);

static inline struct call **
weft__backlog_slot(const struct weft__backlog *backlog, uint64_t position)
{
    return &backlog->slots[position & backlog->mask];
}

/* Makes room where every slot is in use or a hole: moves what is there up over the holes, or,
 * where holes are few, to twice as many slots. */
static inline int
weft__backlog_grow(struct weft__backlog *backlog)
{
    if (backlog->n <= backlog->mask / 2) {
        uint64_t to = backlog->end;
        for (uint64_t from = backlog->end; from-- > backlog->first;) {
            struct call *call = *weft__backlog_slot(backlog, from);
            if (call == NULL)
                continue;
            *weft__backlog_slot(backlog, --to) = call;
            *weft__backlog_position(call) = to;
        }
        backlog->first = to;
        return 0;
    }
    struct weft__backlog wider = *backlog;
    wider.mask = backlog->mask * 2 + 1;
    wider.slots = weft__alloc((size_t)(wider.mask + 1) * sizeof wider.slots[0]);
    if (wider.slots == NULL)
        return -ENOMEM;
    for (uint64_t at = backlog->first; at < backlog->end; at++)
        *weft__backlog_slot(&wider, at) = *weft__backlog_slot(backlog, at);
    weft__free(backlog->slots);
    *backlog = wider;
    return 0;
}

static inline int
weft__backlog_push(struct weft__backlog *backlog, struct call *call)
{
    if (backlog->end - backlog->first > backlog->mask) {
        int rc = weft__backlog_grow(backlog);
        if (rc < 0)
            return rc;
    }
    *weft__backlog_position(call) = backlog->end;
    *weft__backlog_slot(backlog, backlog->end++) = call;
    weft__store_relaxed(&backlog->n, backlog->n + 1);
    return 0;
}

/* The one that has waited longest, or NULL. */
static inline struct call *
weft__backlog_take(struct weft__backlog *backlog)
{
    if (backlog->n == 0)
        return NULL;
    struct call *call;
    do
        call = *weft__backlog_slot(backlog, backlog->first++);
    while (call == NULL);
    weft__store_relaxed(&backlog->n, backlog->n - 1);
    return call;
}

/* Whether a call was still waiting; it is no longer. */
static inline bool
weft__backlog_remove(struct weft__backlog *backlog, struct call *call)
{
    uint64_t position = *weft__backlog_position(call);
    if (position < backlog->first)
        return false;
    *weft__backlog_slot(backlog, position) = NULL;
    weft__store_relaxed(&backlog->n, backlog->n - 1);
    return true;
}

#endif
