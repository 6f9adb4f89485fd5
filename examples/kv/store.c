/*
 * store.c - stripes, each a hash table that grows bit by bit.
 *
 * A stripe that grows has two tables: each call on it moves a few chains from the old to the new
 * one, so that no call pays for all. Entries are chained: only pointers are moved.
 */
#include "store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "resp.h"

#define STRIPES 64 /* a set of stripes fits a word */
#define STRIPE_BITS 6
#define BUCKETS_MIN 16
#define MOVED_AT_ONCE 4     /* chains of the old table moved by each call */
#define SWEPT_AT_ONCE 16    /* chains of a stripe looked at in a sweep */
#define UNCOUNTED_MAX 16384 /* bytes a stripe holds back from the store's sum */
#define FREED_AT_ONCE 256   /* entries, between looks for others that want to run */
#define ALLOC_OVERHEAD 16   /* what malloc(3) adds to a block, about */

struct entry {
    struct entry *next;
    uint64_t hash;
    weft_time expire;
    struct value *value;
    size_t key_len;
    char key[];
};

struct table {
    struct entry **buckets; /* NULL: there is none */
    size_t mask;            /* buckets less 1 */
};

struct stripe {
    pthread_mutex_t lock;
    struct table table;
    struct table old; /* its chains from `moved` on are still to be moved */
    size_t moved;
    size_t keys, expiring;
    int64_t uncounted; /* bytes that store->used does not know of */
    uint64_t expired;
    size_t swept; /* the chain the next sweep begins with */
} __attribute__((aligned(64)));

struct store {
    struct stripe stripes[STRIPES];
    uint64_t secret[2]; /* of the hash, so that nobody can choose keys that meet */
    size_t max;         /* 0: none */
    int64_t uncounted_max;
    int64_t used __attribute__((aligned(64))); /* atomic: a sum, which orders nothing */
};

/* ---- Values --------------------------------------------------------------------------------- */

struct value *
value_new(const void *bytes, size_t len)
{
    if (len > SIZE_MAX - sizeof(struct value))
        return NULL;
    struct value *value = malloc(sizeof *value + len);
    if (value == NULL)
        return NULL;
    value->refs = 1;
    value->len = len;
    if (len > 0)
        memcpy(value->bytes, bytes, len);
    return value;
}

void
value_unref(struct value *value)
{
    /* Pairs with itself: who frees has seen all that others did with the value. */
    if (value != NULL && __atomic_sub_fetch(&value->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(value);
}

/* With the stripe's lock, which keeps the store's own reference. */
static struct value *
value_ref(struct value *value)
{
    __atomic_add_fetch(&value->refs, 1, __ATOMIC_RELAXED);
    return value;
}

/* ---- Hashing: SipHash-1-3 (Aumasson, Bernstein, 2012) --------------------------------------- */

static inline uint64_t
rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t
hash_of(const struct store *store, weft_bytes key)
{
    uint64_t v[4] = {store->secret[0] ^ 0x736f6d6570736575, store->secret[1] ^ 0x646f72616e646f6d,
                     store->secret[0] ^ 0x6c7967656e657261, store->secret[1] ^ 0x7465646279746573};
    const unsigned char *bytes = key.data;
    size_t left = key.len;
    uint64_t word;
    for (; left >= 8; bytes += 8, left -= 8) {
        memcpy(&word, bytes, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    if (left > 0)
        memcpy(&word, bytes, left);
    word |= (uint64_t)key.len << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- Stripes -------------------------------------------------------------------------------- */

static unsigned
stripe_of(uint64_t hash)
{
    return (unsigned)(hash >> (64 - STRIPE_BITS));
}

static struct stripe *
stripe_lock(struct store *store, uint64_t hash)
{
    struct stripe *stripe = &store->stripes[stripe_of(hash)];
    pthread_mutex_lock(&stripe->lock);
    return stripe;
}

static void
stripe_unlock(struct stripe *stripe)
{
    pthread_mutex_unlock(&stripe->lock);
}

/* All stripes of a set, in the order of their numbers: no two calls wait for each other. */
static void
stripes_lock(struct store *store, uint64_t set)
{
    for (unsigned i = 0; i < STRIPES; i++)
        if ((set >> i & 1) != 0)
            pthread_mutex_lock(&store->stripes[i].lock);
}

static void
stripes_unlock(struct store *store, uint64_t set)
{
    for (unsigned i = 0; i < STRIPES; i++)
        if ((set >> i & 1) != 0)
            pthread_mutex_unlock(&store->stripes[i].lock);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static size_t
entry_bytes(const struct entry *entry)
{
    return sizeof *entry + entry->key_len + ALLOC_OVERHEAD;
}

static size_t
value_bytes(size_t len)
{
    return sizeof(struct value) + len + ALLOC_OVERHEAD;
}

static void
count(struct store *store, struct stripe *stripe, int64_t bytes)
{
    stripe->uncounted += bytes;
    if (stripe->uncounted > store->uncounted_max || stripe->uncounted < -store->uncounted_max) {
        __atomic_add_fetch(&store->used, stripe->uncounted, __ATOMIC_RELAXED);
        stripe->uncounted = 0;
    }
}

/* Whether so many bytes more are within the limit. */
static bool
has_room(const struct store *store, const struct stripe *stripe, int64_t bytes)
{
    return store->max == 0 || bytes <= 0 ||
           __atomic_load_n(&store->used, __ATOMIC_RELAXED) + stripe->uncounted + bytes <=
               (int64_t)store->max;
}

/* ---- Tables --------------------------------------------------------------------------------- */

static void
table_push(struct table *table, struct entry *entry)
{
    struct entry **bucket = &table->buckets[entry->hash & table->mask];
    entry->next = *bucket;
    *bucket = entry;
}

static void
move_some(struct store *store, struct stripe *stripe)
{
    for (int i = 0; i < MOVED_AT_ONCE && stripe->old.buckets != NULL; i++) {
        struct entry *entry = stripe->old.buckets[stripe->moved];
        while (entry != NULL) {
            struct entry *next = entry->next;
            table_push(&stripe->table, entry);
            entry = next;
        }
        stripe->old.buckets[stripe->moved] = NULL;
        if (stripe->moved++ == stripe->old.mask) {
            free(stripe->old.buckets);
            count(store, stripe, -(int64_t)((stripe->old.mask + 1) * sizeof(struct entry *)));
            stripe->old = (struct table){.buckets = NULL};
        }
    }
}

/* A larger table when there are as many keys as chains. False without any table. */
static bool
make_room(struct store *store, struct stripe *stripe)
{
    bool first = stripe->table.buckets == NULL;
    if (!first && (stripe->keys <= stripe->table.mask || stripe->old.buckets != NULL))
        return true;
    size_t n = first ? BUCKETS_MIN : (stripe->table.mask + 1) * 2;
    struct entry **buckets = calloc(n, sizeof(struct entry *));
    if (buckets == NULL)
        return !first; /* chains grow longer */
    if (!first) {
        stripe->old = stripe->table;
        stripe->moved = 0;
    }
    stripe->table.buckets = buckets;
    stripe->table.mask = n - 1;
    count(store, stripe, (int64_t)(n * sizeof(struct entry *)));
    return true;
}

static struct entry **
find_in(const struct table *table, uint64_t hash, weft_bytes key)
{
    if (table->buckets == NULL)
        return NULL;
    for (struct entry **at = &table->buckets[hash & table->mask]; *at != NULL; at = &(*at)->next)
        if ((*at)->hash == hash && (*at)->key_len == key.len &&
            memcmp((*at)->key, key.data, key.len) == 0)
            return at;
    return NULL;
}

static void
set_expiry(struct stripe *stripe, struct entry *entry, weft_time expire)
{
    stripe->expiring -= entry->expire != WEFT_FOREVER;
    stripe->expiring += expire != WEFT_FOREVER;
    entry->expire = expire;
}

/* Takes an entry out of its chain and frees it. */
static void
remove_at(struct store *store, struct stripe *stripe, struct entry **at)
{
    struct entry *entry = *at;
    *at = entry->next;
    set_expiry(stripe, entry, WEFT_FOREVER);
    stripe->keys--;
    count(store, stripe, -(int64_t)(entry_bytes(entry) + value_bytes(entry->value->len)));
    value_unref(entry->value);
    free(entry);
}

/* Where the entry of a key hangs; NULL when there is none, or none any more. */
static struct entry **
find(struct store *store, struct stripe *stripe, uint64_t hash, weft_bytes key, weft_time now)
{
    if (stripe->old.buckets != NULL)
        move_some(store, stripe);
    struct entry **at = find_in(&stripe->table, hash, key);
    if (at == NULL)
        at = find_in(&stripe->old, hash, key);
    if (at != NULL && (*at)->expire <= now) {
        remove_at(store, stripe, at);
        stripe->expired++;
        return NULL;
    }
    return at;
}

/* Gives an entry another value; the reference is taken over. */
static void
replace(struct store *store, struct stripe *stripe, struct entry *entry, struct value *value)
{
    count(store, stripe, (int64_t)value->len - (int64_t)entry->value->len);
    value_unref(entry->value);
    entry->value = value;
}

static size_t
bytes_of(weft_bytes key, const struct value *value)
{
    return sizeof(struct entry) + key.len + ALLOC_OVERHEAD + value_bytes(value->len);
}

/* Whether the limit of memory lets a key be set, at `at` or anew. */
static bool
fits(const struct store *store, const struct stripe *stripe, struct entry **at, weft_bytes key,
     const struct value *value)
{
    return has_room(store, stripe,
                    at != NULL ? (int64_t)value->len - (int64_t)(*at)->value->len
                               : (int64_t)bytes_of(key, value));
}

/* Sets a key, at `at` or anew. Takes over the value unless it fails. */
static int
put(struct store *store, struct stripe *stripe, struct entry **at, uint64_t hash, weft_bytes key,
    struct value *value, weft_time expire)
{
    if (at != NULL) {
        replace(store, stripe, *at, value);
        if (expire != STORE_KEEP_EXPIRY)
            set_expiry(stripe, *at, expire);
        return 0;
    }
    if (!make_room(store, stripe))
        return -ENOMEM;
    struct entry *entry = malloc(sizeof *entry + key.len);
    if (entry == NULL)
        return -ENOMEM;
    *entry =
        (struct entry){.hash = hash, .expire = WEFT_FOREVER, .value = value, .key_len = key.len};
    memcpy(entry->key, key.data, key.len);
    set_expiry(stripe, entry, expire == STORE_KEEP_EXPIRY ? WEFT_FOREVER : expire);
    table_push(&stripe->table, entry);
    stripe->keys++;
    count(store, stripe, (int64_t)bytes_of(key, value));
    return 0;
}

/* ---- One key -------------------------------------------------------------------------------- */

struct value *
store_get(struct store *store, weft_bytes key, weft_time now)
{
    uint64_t hash = hash_of(store, key);
    struct stripe *stripe = stripe_lock(store, hash);
    struct entry **at = find(store, stripe, hash, key, now);
    struct value *value = at != NULL ? value_ref((*at)->value) : NULL;
    stripe_unlock(stripe);
    return value;
}

bool
store_exists(struct store *store, weft_bytes key, weft_time now)
{
    weft_time expire;
    return store_expiry(store, key, &expire, now);
}

int
store_set(struct store *store, weft_bytes key, struct value *value, weft_time expire,
          enum store_if when, weft_time now)
{
    uint64_t hash = hash_of(store, key);
    struct stripe *stripe = stripe_lock(store, hash);
    struct entry **at = find(store, stripe, hash, key, now);
    bool met = when == STORE_ALWAYS || (when == STORE_IF_THERE) == (at != NULL);
    int rc = 0;
    if (met)
        rc = fits(store, stripe, at, key, value) ? put(store, stripe, at, hash, key, value, expire)
                                                 : -ENOMEM;
    stripe_unlock(stripe);
    if (!met || rc < 0)
        value_unref(value);
    return rc < 0 ? rc : met;
}

bool
store_delete(struct store *store, weft_bytes key, weft_time now)
{
    uint64_t hash = hash_of(store, key);
    struct stripe *stripe = stripe_lock(store, hash);
    struct entry **at = find(store, stripe, hash, key, now);
    if (at != NULL)
        remove_at(store, stripe, at);
    stripe_unlock(stripe);
    return at != NULL;
}

int
store_add(struct store *store, weft_bytes key, int64_t by, int64_t *ret_sum, weft_time now)
{
    uint64_t hash = hash_of(store, key);
    struct stripe *stripe = stripe_lock(store, hash);
    struct entry **at = find(store, stripe, hash, key, now);
    int64_t number = 0, sum;
    int rc = 0;
    if (at != NULL && !resp_number((*at)->value->bytes, (*at)->value->len, &number))
        rc = -EINVAL;
    else if (__builtin_add_overflow(number, by, &sum))
        rc = -ERANGE;
    if (rc == 0) {
        char text[24];
        int len = snprintf(text, sizeof text, "%lld", (long long)sum);
        struct value *value = value_new(text, (size_t)len);
        rc = value != NULL && fits(store, stripe, at, key, value)
                 ? put(store, stripe, at, hash, key, value, STORE_KEEP_EXPIRY)
                 : -ENOMEM;
        if (rc < 0)
            value_unref(value);
    }
    stripe_unlock(stripe);
    if (rc == 0)
        *ret_sum = sum;
    return rc;
}

bool
store_expiry(struct store *store, weft_bytes key, weft_time *ret_expire, weft_time now)
{
    uint64_t hash = hash_of(store, key);
    struct stripe *stripe = stripe_lock(store, hash);
    struct entry **at = find(store, stripe, hash, key, now);
    if (at != NULL)
        *ret_expire = (*at)->expire;
    stripe_unlock(stripe);
    return at != NULL;
}

bool
store_expire(struct store *store, weft_bytes key, weft_time expire, weft_time now)
{
    uint64_t hash = hash_of(store, key);
    struct stripe *stripe = stripe_lock(store, hash);
    struct entry **at = find(store, stripe, hash, key, now);
    if (at != NULL && expire <= now)
        remove_at(store, stripe, at);
    else if (at != NULL)
        set_expiry(stripe, *at, expire);
    stripe_unlock(stripe);
    return at != NULL;
}

/* ---- Several keys at once ------------------------------------------------------------------- */

static uint64_t
stripes_of(const struct store *store, const weft_bytes *keys, size_t n)
{
    uint64_t set = 0;
    for (size_t i = 0; i < n; i++)
        set |= UINT64_C(1) << stripe_of(hash_of(store, keys[i]));
    return set;
}

void
store_get_all(struct store *store, const weft_bytes *keys, size_t n, struct value **ret_values,
              weft_time now)
{
    uint64_t set = stripes_of(store, keys, n);
    stripes_lock(store, set);
    for (size_t i = 0; i < n; i++) {
        uint64_t hash = hash_of(store, keys[i]);
        struct entry **at = find(store, &store->stripes[stripe_of(hash)], hash, keys[i], now);
        ret_values[i] = at != NULL ? value_ref((*at)->value) : NULL;
    }
    stripes_unlock(store, set);
}

int
store_set_all(struct store *store, const weft_bytes *keys, struct value **values, size_t n,
              weft_time now)
{
    uint64_t set = stripes_of(store, keys, n);
    size_t bytes = 0, done = 0;
    int rc = 0;
    for (size_t i = 0; i < n; i++)
        bytes += bytes_of(keys[i], values[i]);
    stripes_lock(store, set);
    /* As if every key were new: all are set, or none. */
    if (n > 0 && !has_room(store, &store->stripes[__builtin_ctzll(set)], (int64_t)bytes))
        rc = -ENOMEM;
    for (; done < n && rc == 0; done++) {
        uint64_t hash = hash_of(store, keys[done]);
        struct stripe *stripe = &store->stripes[stripe_of(hash)];
        struct entry **at = find(store, stripe, hash, keys[done], now);
        rc = put(store, stripe, at, hash, keys[done], values[done], WEFT_FOREVER);
        if (rc < 0)
            break;
    }
    stripes_unlock(store, set);
    for (; done < n; done++)
        value_unref(values[done]);
    return rc;
}

/* ---- All keys ------------------------------------------------------------------------------- */

int
store_new(struct store **ret_store, size_t memory_max)
{
    struct store *store = aligned_alloc(64, (sizeof *store + 63) / 64 * 64);
    if (store == NULL)
        return -ENOMEM;
    memset(store, 0, sizeof *store);
    if (getrandom(store->secret, sizeof store->secret, 0) != (ssize_t)sizeof store->secret) {
        free(store);
        return -EIO;
    }
    store->max = memory_max;
    store->uncounted_max = UNCOUNTED_MAX;
    if (memory_max > 0 && memory_max / STRIPES / 16 < UNCOUNTED_MAX)
        store->uncounted_max = (int64_t)(memory_max / STRIPES / 16); /* all together a sixteenth */
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_init(&store->stripes[i].lock, NULL);
    *ret_store = store;
    return 0;
}

static void
free_chain(struct entry *entry, size_t *n_freed)
{
    while (entry != NULL) {
        struct entry *next = entry->next;
        value_unref(entry->value);
        free(entry);
        entry = next;
        (*n_freed)++;
    }
}

/* With `polite`, lets others run now and then. */
static int
free_table(struct table *table, bool polite)
{
    size_t n_freed = 0, told = 0;
    int rc = 0;
    for (size_t i = 0; table->buckets != NULL && i <= table->mask; i++) {
        free_chain(table->buckets[i], &n_freed);
        if (polite && n_freed + i / 8 - told >= FREED_AT_ONCE) {
            told = n_freed + i / 8;
            int ended = weft_yield();
            rc = rc < 0 ? rc : ended;
        }
    }
    free(table->buckets);
    return rc;
}

void
store_free(struct store *store)
{
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &store->stripes[i];
        free_table(&stripe->table, false);
        free_table(&stripe->old, false);
        pthread_mutex_destroy(&stripe->lock);
    }
    free(store);
}

int
store_flush(struct store *store)
{
    struct table tables[STRIPES][2];
    stripes_lock(store, UINT64_MAX);
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &store->stripes[i];
        tables[i][0] = stripe->table;
        tables[i][1] = stripe->old;
        stripe->table = stripe->old = (struct table){.buckets = NULL};
        stripe->keys = stripe->expiring = stripe->moved = stripe->swept = 0;
        stripe->uncounted = 0;
    }
    __atomic_store_n(&store->used, 0, __ATOMIC_RELAXED);
    stripes_unlock(store, UINT64_MAX);
    int rc = 0;
    for (int i = 0; i < STRIPES * 2; i++) {
        int ended = free_table(&tables[i / 2][i % 2], true);
        rc = rc < 0 ? rc : ended;
    }
    return rc;
}

/* Looks at a few chains of a stripe; returns entries that might have expired and had. */
static void
stripe_sweep(struct store *store, struct stripe *stripe, weft_time now, unsigned *seen,
             unsigned *gone)
{
    for (int i = 0; i < SWEPT_AT_ONCE && stripe->expiring > 0; i++) {
        if (stripe->old.buckets != NULL)
            move_some(store, stripe);
        if (stripe->swept > stripe->table.mask)
            stripe->swept = 0;
        struct entry **at = &stripe->table.buckets[stripe->swept++];
        while (*at != NULL) {
            *seen += (*at)->expire != WEFT_FOREVER;
            if ((*at)->expire > now) {
                at = &(*at)->next;
            } else {
                remove_at(store, stripe, at);
                stripe->expired++;
                (*gone)++;
            }
        }
    }
}

bool
store_sweep(struct store *store, weft_time now)
{
    unsigned seen = 0, gone = 0;
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &store->stripes[i];
        pthread_mutex_lock(&stripe->lock);
        stripe_sweep(store, stripe, now, &seen, &gone);
        stripe_unlock(stripe);
    }
    return gone > 0 && gone >= seen / 4;
}

void
store_stats_get(struct store *store, struct store_stats *ret_stats)
{
    struct store_stats stats = {.max = store->max};
    int64_t used = 0;
    for (int i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &store->stripes[i];
        pthread_mutex_lock(&stripe->lock);
        stats.keys += stripe->keys;
        stats.expiring += stripe->expiring;
        stats.expired += stripe->expired;
        used += stripe->uncounted;
        stripe_unlock(stripe);
    }
    used += __atomic_load_n(&store->used, __ATOMIC_RELAXED);
    stats.used = used > 0 ? (size_t)used : 0;
    *ret_stats = stats;
}
