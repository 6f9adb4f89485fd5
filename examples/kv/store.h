/*
 * store.h - keys and their values, shared by all loops.
 *
 * The keys are dealt out to stripes by their hash; each stripe has a lock of its own, held for as
 * long as one key takes and never across a wait. A value never changes once it is shared: it is
 * counted, so that it is written to a slow reader without a lock and without a copy, whatever
 * happens to its key meanwhile. Calls on several keys hold the locks of all of them: they happen
 * at once, as in Redis.
 *
 * Time is weft_now()'s; WEFT_FOREVER is a key that does not expire.
 */
#ifndef KV_STORE_H
#define KV_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft.h>

struct store;

/* Bytes that do not change, counted. */
struct value {
    unsigned refs;
    size_t len;
    char bytes[];
};

struct store_stats {
    size_t keys, expiring;
    size_t used, max; /* bytes; max 0: no limit */
    uint64_t expired; /* keys that went because their time had come */
};

/* When a key is set, and what becomes of its expiry. */
enum store_if { STORE_ALWAYS, STORE_IF_MISSING, STORE_IF_THERE };
#define STORE_KEEP_EXPIRY (-1) /* as `expire`: what it was */

/* memory_max: bytes of keys, values and tables, roughly; 0: no limit. 0 or -ENOMEM. */
int store_new(struct store **ret_store, size_t memory_max);
void store_free(struct store *store);

/* ---- Values: value_new gives a reference, value_unref takes one ----------------------------- */

struct value *value_new(const void *bytes, size_t len);
void value_unref(struct value *value);

/* ---- One key -------------------------------------------------------------------------------- */

/* A reference to the value; NULL when there is none. */
struct value *store_get(struct store *store, weft_bytes key, weft_time now);
bool store_exists(struct store *store, weft_bytes key, weft_time now);

/* Takes over the value, also on failure. 1 when set; 0 when `when` was not met; -ENOMEM at the
 * limit of memory. */
int store_set(struct store *store, weft_bytes key, struct value *value, weft_time expire,
              enum store_if when, weft_time now);

/* Whether it was there. */
bool store_delete(struct store *store, weft_bytes key, weft_time now);

/* Adds to a number; a key that is not there is 0. 0; -EINVAL when it is no number; -ERANGE when the
 * sum is none; -ENOMEM. */
int store_add(struct store *store, weft_bytes key, int64_t by, int64_t *ret_sum, weft_time now);

/* Whether the key is there, and when it expires. */
bool store_expiry(struct store *store, weft_bytes key, weft_time *ret_expire, weft_time now);

/* Whether the key was there. A time that is past deletes it. */
bool store_expire(struct store *store, weft_bytes key, weft_time expire, weft_time now);

/* ---- Several keys at once ------------------------------------------------------------------- */

/* References to the values of n keys, NULL for those that are not there. */
void store_get_all(struct store *store, const weft_bytes *keys, size_t n, struct value **ret_values,
                   weft_time now);

/* Sets n keys and takes over the values, also on failure. 0; -ENOMEM: at the limit of memory, then
 * none is set; or the machine has none, then the first of them may be. */
int store_set_all(struct store *store, const weft_bytes *keys, struct value **values, size_t n,
                  weft_time now);

/* ---- All keys ------------------------------------------------------------------------------- */

/* Empties the store at once; the memory is given back bit by bit: looks for cancellation and lets
 * others run, but goes on to the end. */
WEFT_WAITS int store_flush(struct store *store);

/* Removes keys whose time has come, of a part of the store; returns whether there seem to be many
 * more. */
bool store_sweep(struct store *store, weft_time now);

void store_stats_get(struct store *store, struct store_stats *ret_stats);

#endif
