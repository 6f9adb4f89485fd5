/*
 * stack.h - guarded, lazily mapped, reused stacks with room for their owner at the top.
 *
 * A pool belongs to a runtime and may be used by all its threads; a cache belongs to one thread
 * and takes from the pool in batches. At the top of each stack, staggered by cache lines within
 * the first KiB, stands a header: struct weft__stack, and behind it (at higher addresses) the
 * rest of the owner's structure, of which struct weft__stack is the first member. The stack
 * grows down from below the header. A kept stack stays suspended in its entry function, which
 * loops: { run one task; switch away }, and so is never entered twice from the top.
 */
#ifndef WEFT_LIB_CTX_STACK_H
#define WEFT_LIB_CTX_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/seam.h"
#include "ctx/ctx.h"

#define WEFT__STACK_MIN ((size_t)16 << 10)
#define WEFT__STACK_MAX ((size_t)1 << 30)
#define WEFT__STACK_DEFAULT (((size_t)64 << 10) * WEFT__SAN_STACK_FACTOR)
#define WEFT__STACK_GUARD ((size_t)64 << 10) /* address space only */

struct weft__stack {
    struct weft__ctx ctx;     /* suspended in the entry function, or in a task */
    struct weft__stack *next; /* of a free list */
    void *owner;              /* what the entry function finds here when switched to */
    char *lo;                 /* lowest usable byte; the guard ends here */
    uint32_t slab;            /* where it came from */
    uint32_t index;
    size_t size; /* usable bytes, from lo to the page end above the header */
};

struct weft__stack_pool;

/* A thread's own stock. Zeroed, then opened. */
struct weft__stack_cache {
    struct weft__stack *free; /* of the pool's default size, last given first */
    size_t n_free;
    size_t n_reserved; /* of these, promised; n_free is never below */
    size_t n_spare;    /* fewest that were neither, since the last weft__stack_cache_trim */
    size_t default_size;
    struct weft__stack_pool *pool;
};

/*
 * A pool of stacks whose header takes header_bytes (struct weft__stack included, at most 1024).
 * entry(stack) runs when a new stack is first switched to and never returns. default_size is the
 * usable size of the fast path, already checked and rounded to pages.
 * use_mprotect forces the fallback guard (tests); otherwise MADV_GUARD_INSTALL is tried first.
 */
int weft__stack_pool_new(struct weft__stack_pool **ret_pool, size_t header_bytes,
                         size_t default_size, weft__ctx_entry *entry, bool use_mprotect);
/* All stacks must have been given back, or be abandoned for good. Unmaps everything. */
void weft__stack_pool_free(struct weft__stack_pool *pool);

void weft__stack_cache_open(struct weft__stack_cache *cache, struct weft__stack_pool *pool);
/* Gives what the cache holds back to the pool. */
void weft__stack_cache_close(struct weft__stack_cache *cache);

/* A stack of at least `usable` bytes from somewhere else than the free list of the cache: pool or
 * new slab. -ENOMEM notes why (vm.max_map_count where that was the limit). */
int weft__stack_take_slow(struct weft__stack_cache *cache, size_t usable,
                          struct weft__stack **ret_stack);
/* Takes back a stack of another size, or one too many for the cache; trims after a spike. */
void weft__stack_give_slow(struct weft__stack_cache *cache, struct weft__stack *stack);

/* Usable size after rounding up to pages; WEFT_E_STACK when out of range. 0 means the default.
 * Under sanitizers the smallest is 32 KiB. Rounding what was rounded changes nothing. */
int weft__stack_round(size_t asked, size_t *ret_usable);

/* Deepest use so far in bytes, header included, counted from the page end: to the page, and within
 * it to the lowest word that is not zero. Any thread may ask, of a running stack too.
 * weft__stack_clear zeroes the used part below the frame of a suspended stack, so that what is
 * used from then on is exact. */
size_t weft__stack_used(const struct weft__stack *stack);
void weft__stack_clear(struct weft__stack *stack);

/* Gives the pages below the frames of a context that is suspended on the stack back to the kernel:
 * they read as zero when they are next used. */
void weft__stack_give_back(struct weft__stack *stack, const struct weft__ctx *at);

/* Stacks mapped by the pool, in use or kept. */
size_t weft__stack_pool_mapped(struct weft__stack_pool *pool);

#define WEFT__STACK_CACHE_MAX 16384 /* kept by a cache before the rest goes to the pool */
#define WEFT__STACK_CACHE_MIN 1024  /* kept by a cache however idle it is */

/* To be called about once a second while a cache keeps more than WEFT__STACK_CACHE_MIN: gives
 * what was not needed since the last call to the pool, and the kernel what the pool has not needed
 * for a second. True when there is more that may become superfluous. */
bool weft__stack_cache_trim(struct weft__stack_cache *cache);

/* How long a pool keeps surplus stacks, in nanoseconds: a program whose load swings must not pay
 * for new pages each time. Tests set it to 0. */
extern int64_t weft__stack_keep_ns;

static inline void
weft__stack_note_spare(struct weft__stack_cache *cache)
{
    size_t spare = cache->n_free - cache->n_reserved;
    if (spare < cache->n_spare)
        cache->n_spare = spare;
}

static inline int
weft__stack_take(struct weft__stack_cache *cache, struct weft__stack **ret_stack)
{
    struct weft__stack *stack = cache->free;
    if (__builtin_expect(cache->n_free <= cache->n_reserved, 0))
        return weft__stack_take_slow(cache, 0, ret_stack);
    cache->free = stack->next;
    cache->n_free--;
    weft__stack_note_spare(cache);
    *ret_stack = stack;
    return 0;
}

/* Promises a stack of the default size for later, so that a task that is spawned now has one when
 * it starts; until then it costs none. The one that was used last is taken first, so tasks that
 * run to their end without waiting share one hot stack. */
int weft__stack_reserve_slow(struct weft__stack_cache *cache);

static inline int
weft__stack_reserve(struct weft__stack_cache *cache)
{
    if (__builtin_expect(cache->n_free <= cache->n_reserved, 0))
        return weft__stack_reserve_slow(cache);
    cache->n_reserved++;
    weft__stack_note_spare(cache);
    return 0;
}

static inline struct weft__stack *
weft__stack_take_reserved(struct weft__stack_cache *cache)
{
    struct weft__stack *stack = cache->free;
    cache->free = stack->next;
    cache->n_free--;
    cache->n_reserved--;
    return stack;
}

static inline void
weft__stack_unreserve(struct weft__stack_cache *cache)
{
    cache->n_reserved--;
}

/* The owner has left the stack for good: it is suspended in the entry function, outside. */
static inline void
weft__stack_give(struct weft__stack_cache *cache, struct weft__stack *stack)
{
    if (__builtin_expect(cache->n_free >= WEFT__STACK_CACHE_MAX ||
                             stack->size != cache->default_size || WEFT_BUGGIFY(16),
                         0)) {
        weft__stack_give_slow(cache, stack);
        return;
    }
    stack->next = cache->free;
    cache->free = stack;
    cache->n_free++;
}

/* Whether the cache can take the stack itself, without the pool; and having it do so. */
static inline bool
weft__stack_can_keep(const struct weft__stack_cache *cache, const struct weft__stack *stack)
{
    return cache->n_free < WEFT__STACK_CACHE_MAX && stack->size == cache->default_size;
}

static inline void
weft__stack_keep(struct weft__stack_cache *cache, struct weft__stack *stack)
{
    stack->next = cache->free;
    cache->free = stack;
    cache->n_free++;
}

/* Overflow reports: a SIGSEGV handler that looks the address up among the guards of all pools and
 * names the owner; other faults go to the handler that was there before. Counted: the last
 * uninstall restores the old disposition. Threads that run stacks need an alternate stack. */
int weft__overflow_install(void);
void weft__overflow_uninstall(void);
int weft__overflow_thread_enter(void); /* sigaltstack for this thread, unless it has one */
void weft__overflow_thread_leave(void);
/* Set by the task layer: the owner's name, async-signal-safe. */
extern const char *(*weft__stack_owner_name)(const struct weft__stack *stack);

#endif
