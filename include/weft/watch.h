/*
 * watch.h - a value with a version: read the latest, wait for a newer one.
 *
 * For state rather than events: who looks late sees the latest value and none of those between.
 */
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include <weft/base.h>

typedef struct weft_watch weft_watch;

WEFT_BEGIN_DECLS

/*
 * weft_watch_new - make a watched value
 *
 * ret_watch   out
 * value_size  bytes of the value, copied in and out under a lock: a few cache lines at most
 * value       the first value, which is version 1; NULL: all zero bytes
 *
 * Returns  0; -ENOMEM
 * Waits    no
 * Threads  any
 * Source   tokio::sync::watch
 */
int weft_watch_new(weft_watch **ret_watch, size_t value_size, const void *value);

/*
 * weft_watch_set - replace the value; all who wait for a newer one go on
 *
 * Returns  0; -EPIPE when closed: the value is as it was
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   tokio watch::Sender::send
 */
int weft_watch_set(weft_watch *watch, const void *value);

/*
 * weft_watch_get - the latest value
 *
 * ret_value  out; NULL when only the version matters
 *
 * Returns  its version: 1 for the first value, and one more for each that was set
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   tokio watch::Receiver::borrow
 */
uint64_t weft_watch_get(weft_watch *watch, void *ret_value);

/*
 * weft_watch_wait - wait until the value is not the one already seen
 *
 * version    in: the version seen last, 0 for none; out, when the result is 0: that of the value
 * ret_value  out, likewise: the latest value; may be NULL
 *
 * Returns  0; -EPIPE: closed, and *version is the last there will be; -ECANCELED or -ETIMEDOUT when
 *          the enclosing scope ended first
 * Waits    yes; looks for cancellation first, even when there is a newer value
 * Threads  tasks of any loop, and plain threads
 * Source   tokio watch::Receiver::changed
 */
WEFT_WAITS int weft_watch_wait(weft_watch *watch, uint64_t *version, void *ret_value);

/*
 * weft_watch_close - set no more values; who waits gets -EPIPE. Idempotent
 *
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   dropping the tokio watch::Sender
 */
void weft_watch_close(weft_watch *watch);

/*
 * weft_watch_free - end a watched value nobody waits for
 *
 * watch    may be NULL
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   weft
 */
void weft_watch_free(weft_watch *watch);

WEFT_END_DECLS

#endif
