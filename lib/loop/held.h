/*
 * held.h - what a task or a plain thread holds and has to give back, for the report when it ends
 * without having done so.
 *
 * A chain through the locks themselves, the last taken first. Only its task or thread touches it,
 * and only while it holds the lock, so it costs two stores a lock and no atomics.
 */
#ifndef WEFT_LIB_LOOP_HELD_H
#define WEFT_LIB_LOOP_HELD_H

#include <stddef.h>
#include <stdint.h>

struct weft__held {
    struct weft__held *next;
    const char *what; /* "mutex" */
    const char *name; /* the user's, or NULL */
};

struct weft__holdings {
    struct weft__held *last;
    uint32_t n_reads; /* read locks: many may hold the same one, so they are only counted */
};

static inline void
weft__hold(struct weft__holdings *holdings, struct weft__held *held)
{
    held->next = holdings->last;
    holdings->last = held;
}

/* Held it must be. Locks are given back last taken first, as a rule. */
static inline void
weft__let_go(struct weft__holdings *holdings, const struct weft__held *held)
{
    struct weft__held **at = &holdings->last;
    while (__builtin_expect(*at != held, 0))
        at = &(*at)->next;
    *at = held->next;
}

/* Says what an ended task, or a thread for which task is NULL, still holds, and aborts. */
void weft__holdings_left(const struct weft__holdings *holdings, const char *task)
    __attribute__((noreturn, cold));

/* At the end of a task or thread. */
static inline void
weft__holdings_check(const struct weft__holdings *holdings, const char *task)
{
    if (__builtin_expect(holdings->last != NULL || holdings->n_reads != 0, 0))
        weft__holdings_left(holdings, task);
}

/* What kind of thing, and its name where it has one: `mutex "cache"`, or `a mutex`. In text, of
 * WEFT__HELD_TEXT bytes. */
#define WEFT__HELD_TEXT 80
const char *weft__held_text(const struct weft__held *held, char *text);

#endif
