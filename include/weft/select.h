/*
 * select.h - waiting for whichever of several things comes first: exactly one of them happens.
 *
 *     weft_case cases[] = {weft_case_recv(jobs, &job), weft_case_send(log, &line)};
 *     int chosen = weft_select(cases, 2);
 *
 * Of those not chosen nothing has happened: no item was taken or given. Cases can be used again,
 * as they are, for another select of the same task or thread. Cases of descriptors are in fd.h.
 */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/base.h>
#include <weft/broadcast.h>
#include <weft/chan.h>
#include <weft/future.h>
#include <weft/time.h>
#include <weft/watch.h>

/* One branch. In the caller's memory, and not moved while the select waits. */
typedef struct weft_case {
    int result; /* out, of the case that was chosen: what the call alone would have returned */
    int reserved_;
    uint64_t opaque_[16];
} weft_case;

/* The most cases of one select. */
#define WEFT_SELECT_MAX 64

WEFT_BEGIN_DECLS

/*
 * weft_case_send - the branch in which a channel takes an item
 *
 * chan     NULL makes a branch that is never chosen
 * item     looked at when the branch is chosen, until then it stays the caller's
 *
 * Returns  a case; its result will be 0, or -EPIPE: the channel is closed
 * Waits    no
 * Threads  any
 * Source   Go's case ch <- v
 */
weft_case weft_case_send(weft_chan *chan, const void *item);

/*
 * weft_case_recv - the branch in which a channel gives an item
 *
 * chan      NULL makes a branch that is never chosen
 * ret_item  out: written only when the branch is chosen and its result is 0
 *
 * Returns  a case; its result will be 0, or -EPIPE: the channel is closed and empty
 * Waits    no
 * Threads  any
 * Source   Go's case v, ok := <-ch
 */
weft_case weft_case_recv(weft_chan *chan, void *ret_item);

/*
 * weft_case_future - the branch in which a future has its result
 *
 * future      NULL makes a branch that is never chosen
 * ret_result  out: the result, when the branch is chosen; may be NULL
 *
 * Returns  a case; its result will be 0
 * Waits    no
 * Threads  any
 * Source   asyncio.wait, FIRST_COMPLETED
 */
weft_case weft_case_future(weft_future *future, int *ret_result);

/*
 * weft_case_subscription - the branch in which a subscriber gets its next item
 *
 * subscription  NULL makes a branch that is never chosen
 * ret_item      out: written only when the branch is chosen and its result is 0
 * ret_missed    out, likewise: items lost before this one; may be NULL
 *
 * Returns  a case; its result will be 0, or -EPIPE: closed, and everything has been taken
 * Waits    no
 * Threads  any
 * Source   Go's case v, ok := <-ch
 */
weft_case weft_case_subscription(weft_subscription *subscription, void *ret_item,
                                 uint64_t *ret_missed);

/*
 * weft_case_watch - the branch in which a watched value is newer than the one already seen
 *
 * watch      NULL makes a branch that is never chosen
 * version    in and out, as of weft_watch_wait
 * ret_value  out: the value, when the branch is chosen and its result is 0; may be NULL
 *
 * Returns  a case; its result will be 0, or -EPIPE: closed, and the last value has been seen
 * Waits    no
 * Threads  any
 * Source   tokio watch::Receiver::changed
 */
weft_case weft_case_watch(weft_watch *watch, uint64_t *version, void *ret_value);

/*
 * weft_case_until - the branch in which it has become that late
 *
 * when     on the clock of weft_now; WEFT_FOREVER makes a branch that is never chosen
 *
 * Returns  a case; its result will be 0
 * Waits    no
 * Threads  any
 * Source   Go's case <-time.After(d)
 */
weft_case weft_case_until(weft_time when);

/*
 * weft_select - wait until one of several branches is possible, and take it
 *
 * cases    n of them, changed by this call; several may be of the same channel
 * n        1 to WEFT_SELECT_MAX
 *
 * Among several that are possible at once each is equally likely (in a seeded run, by the seed).
 *
 * Returns  the index of the branch taken, whose `result` tells how it went; -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope ended first: no branch was taken; -EINVAL for any
 *          other n
 * Waits    yes; looks for cancellation first, even when a branch is possible
 * Threads  tasks of any loop; plain threads, unless a case is of a descriptor
 * Source   Go's select
 */
WEFT_WAITS int weft_select(weft_case *cases, size_t n);

/*
 * weft_select_try - take one of several branches if one is possible
 *
 * Returns  as weft_select, without cancellation; -EAGAIN when none was possible as they were looked
 *          at, one after the other
 * Waits    no
 * Threads  any, callbacks of a loop as well; a descriptor's case belongs on its loop
 * Source   Go's select with a default
 */
int weft_select_try(weft_case *cases, size_t n);

WEFT_END_DECLS

#endif
