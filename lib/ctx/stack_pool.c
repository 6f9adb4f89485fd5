/*
 * stack_pool.c - stacks kept for reuse: a pool for a runtime, a cache for each of its threads.
 *
 * A stack is in one place: with an owner, in a cache, in one of the pool's lists, or trimmed,
 * which means that its memory went back to the kernel and only its index is kept. What was given
 * back last is taken first. Memory is unmapped when the pool is freed, never before, so a stack's
 * address stays a stack.
 */
#include "ctx/stack.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "ctx/slab.h"

#define BATCH 32      /* stacks that move between a cache and the pool at once */
#define FIRST_SLAB 16 /* stacks; each further slab of a class has twice as many */
#define SLAB_BYTES_MAX ((size_t)1 << 28) /* address space; a slab has at least one stack */
#define KEPT_BYTES ((size_t)64 << 20)    /* of stacks kept by a class, however few are in use */

/* Sizes are the default one, and powers of two from the smallest to the largest. */
#define SMALLEST_LOG2 14
#define LARGEST_LOG2 30
#define N_CLASSES (1 + LARGEST_LOG2 - SMALLEST_LOG2 + 1)

struct class
{
    size_t usable;
    /* Kept stacks. Given back to `young`; when trimming finds `old` empty, the young are the old
     * from then on. So the oldest go first, about, without a list that can be walked both ways. */
    struct weft__stack *young;
    struct weft__stack *old;
    size_t n_kept;
    int64_t surplus_since;      /* when more were kept than needed, and ever since; 0: not so */
    size_t n_out;               /* with owners and in caches */
    struct weft__slab *fresh;   /* has stacks never handed out, or is NULL */
    struct weft__slab *trimmed; /* slabs with trimmed stacks */
    uint32_t next_count;        /* stacks of the next slab */
};

int64_t weft__stack_keep_ns = 1000000000;

struct weft__stack_pool {
    pthread_mutex_t lock; /* over all below but the constants */
    size_t header_bytes;  /* constant; a multiple of 64 */
    size_t default_size;  /* constant */
    weft__ctx_entry *entry;
    bool use_mprotect;
    struct class classes[N_CLASSES]; /* the default size first */
    struct weft__slab **slabs;
    uint32_t n_slabs;
    uint32_t cap_slabs;
    size_t n_mapped;
};

/* ---- Size classes ------------------------------------------------------------------------- */

static struct class *
class_of(struct weft__stack_pool *pool, size_t usable)
{
    if (usable == 0 || usable == pool->default_size)
        return &pool->classes[0];
    unsigned log2 = SMALLEST_LOG2;
    while (((size_t)1 << log2) < usable)
        log2++;
    /* The default size may lie between the one asked for and the next power of two. */
    if (usable < pool->default_size && pool->default_size <= (size_t)1 << log2)
        return &pool->classes[0];
    return &pool->classes[1 + log2 - SMALLEST_LOG2];
}

static size_t
kept_at_least(const struct class *class)
{
    size_t n = KEPT_BYTES / class->usable;
    return n < 1 ? 1 : n > 1024 ? 1024 : n;
}

/* ---- New stacks --------------------------------------------------------------------------- */

static int
file_read(const char *path, char *buf, size_t size)
{
    WEFT__SYS_FAULT();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = weft__sys_read(fd, buf, size - 1);
    weft__sys_close(fd);
    if (n < 0)
        return (int)n;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return 0;
}

/* Says what stood in the way of another stack. */
static int
note_failure(bool by_mprotect, size_t n_mapped, int rc)
{
    char limit[32];
    if (rc != -ENOMEM || !by_mprotect)
        return weft_error_note(rc, "stacks: %zu mapped; the system gave no memory for more: %s",
                               n_mapped, strerror(-rc));
    if (file_read("/proc/sys/vm/max_map_count", limit, sizeof limit) < 0)
        strcpy(limit, "65530 by default");
    return weft_error_note(rc,
                           "stacks: %zu mapped; vm.max_map_count (%s) is the limit: raise it "
                           "with sysctl, or use Linux 6.13 or newer",
                           n_mapped, limit);
}

static int
slabs_reserve(struct weft__stack_pool *pool)
{
    if (pool->n_slabs < pool->cap_slabs)
        return 0;
    uint32_t cap = pool->cap_slabs == 0 ? 8 : 2 * pool->cap_slabs;
    struct weft__slab **slabs = weft__resize(pool->slabs, cap * sizeof(struct weft__slab *));
    if (slabs == NULL)
        return -ENOMEM;
    pool->slabs = slabs;
    pool->cap_slabs = cap;
    return 0;
}

static int
class_grow(struct weft__stack_pool *pool, struct class *class)
{
    int rc = slabs_reserve(pool);
    if (rc < 0)
        return rc;
    uint32_t count = class->next_count == 0 ? FIRST_SLAB : class->next_count;
    size_t fit = SLAB_BYTES_MAX / (class->usable + WEFT__STACK_GUARD);
    if (count > fit)
        count = fit < 1 ? 1 : (uint32_t)fit;
    struct weft__slab *slab;
    rc = weft__slab_new(&slab, count, class->usable, pool->header_bytes);
    if (rc < 0)
        return rc;
    slab->id = pool->n_slabs;
    pool->slabs[pool->n_slabs++] = slab;
    class->fresh = slab;
    class->next_count = 2 * count > WEFT__SLAB_STACKS ? WEFT__SLAB_STACKS : 2 * count;
    return 0;
}

/* A stack never handed out before, its guard in place. */
static int
take_fresh(struct weft__stack_pool *pool, struct class *class, struct weft__slab **ret_slab,
           uint32_t *ret_index)
{
    if (class->fresh == NULL) {
        int rc = class_grow(pool, class);
        if (rc < 0)
            return rc;
    }
    struct weft__slab *slab = class->fresh;
    int rc = weft__slab_guard(slab, slab->issued, pool->use_mprotect);
    if (rc < 0)
        return rc;
    *ret_slab = slab;
    *ret_index = slab->issued++;
    if (slab->issued == slab->count)
        class->fresh = NULL;
    pool->n_mapped++;
    return 0;
}

static bool
take_trimmed(struct class *class, struct weft__slab **ret_slab, uint32_t *ret_index)
{
    struct weft__slab *slab = class->trimmed;
    if (slab == NULL)
        return false;
    *ret_slab = slab;
    *ret_index = slab->trimmed;
    slab->trimmed = slab->trimmed_next[slab->trimmed];
    if (slab->trimmed == WEFT__SLAB_NONE)
        class->trimmed = slab->next;
    return true;
}

/* Writes the header of a stack whose memory is all zero, and a context that begins at the entry
 * function. */
static struct weft__stack *
stack_make(const struct weft__stack_pool *pool, const struct weft__slab *slab, uint32_t index)
{
    struct weft__stack *stack = weft__slab_stack(slab, index);
    stack->next = NULL;
    stack->lo = weft__slab_lo(slab, index);
    stack->slab = slab->id;
    stack->index = index;
    stack->size = slab->usable;
    weft__ctx_make(&stack->ctx, stack->lo, stack, pool->entry, stack);
    return stack;
}

/* ---- Taking ------------------------------------------------------------------------------- */

static struct weft__stack *
pop_kept(struct class *class)
{
    struct weft__stack **list = class->young != NULL ? &class->young : &class->old;
    struct weft__stack *stack = *list;
    if (stack != NULL) {
        *list = stack->next;
        class->n_kept--;
        class->n_out++;
    }
    return stack;
}

int
weft__stack_take_slow(struct weft__stack_cache *cache, size_t usable,
                      struct weft__stack **ret_stack)
{
    struct weft__stack_pool *pool = cache->pool;
    struct class *class = class_of(pool, usable);
    bool cached = class == &pool->classes[0];

    if (cached && cache->n_free > cache->n_reserved)
        return weft__stack_take(cache, ret_stack);

    pthread_mutex_lock(&pool->lock);
    struct weft__stack *stack = pop_kept(class);
    if (stack != NULL) {
        for (unsigned i = 1; cached && i < BATCH; i++) {
            struct weft__stack *more = pop_kept(class);
            if (more == NULL)
                break;
            more->next = cache->free;
            cache->free = more;
            cache->n_free++;
        }
        pthread_mutex_unlock(&pool->lock);
        *ret_stack = stack;
        return 0;
    }
    struct weft__slab *slab = NULL;
    uint32_t index = 0;
    int rc = 0;
    if (!take_trimmed(class, &slab, &index))
        rc = take_fresh(pool, class, &slab, &index);
    if (rc == 0)
        class->n_out++;
    size_t n_mapped = pool->n_mapped;
    pthread_mutex_unlock(&pool->lock);
    if (rc < 0)
        return note_failure(weft__slab_by_mprotect(pool->use_mprotect), n_mapped, rc);
    *ret_stack = stack_make(pool, slab, index);
    return 0;
}

int
weft__stack_reserve_slow(struct weft__stack_cache *cache)
{
    struct weft__stack *stack;
    int rc = weft__stack_take_slow(cache, 0, &stack);
    if (rc < 0)
        return rc;
    weft__stack_keep(cache, stack);
    cache->n_reserved++;
    return 0;
}

/* ---- Giving back -------------------------------------------------------------------------- */

static void
push_kept(struct class *class, struct weft__stack *stack)
{
    stack->next = class->young;
    class->young = stack;
    class->n_kept++;
    class->n_out--;
}

struct trim {
    struct weft__slab *slab;
    uint32_t index;
};

/* Takes up to BATCH of the oldest stacks that are too many out of the lists. */
static unsigned
trim_choose(struct weft__stack_pool *pool, struct class *class, struct trim *ret_trims)
{
    if (WEFT__SAN_KEEPS_STACKS)
        return 0;
    size_t keep = kept_at_least(class);
    if (keep < class->n_out)
        keep = class->n_out;
    if (class->n_kept <= keep) {
        class->surplus_since = 0;
        return 0;
    }
    if (weft__stack_keep_ns > 0) {
        int64_t now = weft__sys_monotonic();
        if (class->surplus_since == 0)
            class->surplus_since = now;
        if (now - class->surplus_since < weft__stack_keep_ns)
            return 0;
    }
    unsigned n = 0;
    while (n<BATCH &&class->n_kept> keep) {
        if (class->old == NULL) {
            class->old = class->young;
            class->young = NULL;
        }
        struct weft__stack *stack = class->old;
        class->old = stack->next;
        class->n_kept--;
        ret_trims[n++] = (struct trim){pool->slabs[stack->slab], stack->index};
    }
    return n;
}

/* Gives the memory of surplus stacks back to the kernel, without the lock: nobody else knows of
 * them meanwhile. Should the kernel refuse (locked memory) they are trimmed all the same: header
 * and context are written anew in any case. */
static void
trim_surplus(struct weft__stack_pool *pool, struct class *class)
{
    struct trim trims[BATCH];
    unsigned n;

    pthread_mutex_lock(&pool->lock);
    while ((n = trim_choose(pool, class, trims)) > 0) {
        pthread_mutex_unlock(&pool->lock);
        for (unsigned i = 0; i < n; i++)
            (void)weft__sys_madvise(weft__slab_lo(trims[i].slab, trims[i].index),
                                    trims[i].slab->usable, MADV_DONTNEED);
        pthread_mutex_lock(&pool->lock);
        for (unsigned i = 0; i < n; i++) {
            struct weft__slab *slab = trims[i].slab;
            if (slab->trimmed == WEFT__SLAB_NONE) {
                slab->next = class->trimmed;
                class->trimmed = slab;
            }
            slab->trimmed_next[trims[i].index] = slab->trimmed;
            slab->trimmed = (uint16_t)trims[i].index;
        }
    }
    pthread_mutex_unlock(&pool->lock);
}

void
weft__stack_give_slow(struct weft__stack_cache *cache, struct weft__stack *stack)
{
    struct weft__stack_pool *pool = cache->pool;
    struct class *class = class_of(pool, stack->size);

    pthread_mutex_lock(&pool->lock);
    push_kept(class, stack);
    if (class == &pool->classes[0] && cache->n_free >= WEFT__STACK_CACHE_MAX) {
        for (unsigned i = 1; i < BATCH && cache->n_free > cache->n_reserved; i++) {
            struct weft__stack *more = cache->free;
            cache->free = more->next;
            cache->n_free--;
            push_kept(class, more);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    trim_surplus(pool, class);
}

bool
weft__stack_cache_trim(struct weft__stack_cache *cache)
{
    struct weft__stack_pool *pool = cache->pool;
    struct class *class = &pool->classes[0];
    size_t surplus =
        cache->n_spare > WEFT__STACK_CACHE_MIN ? cache->n_spare - WEFT__STACK_CACHE_MIN : 0;

    pthread_mutex_lock(&pool->lock);
    for (; surplus > 0; surplus--) {
        struct weft__stack *stack = cache->free;
        cache->free = stack->next;
        cache->n_free--;
        push_kept(class, stack);
    }
    pthread_mutex_unlock(&pool->lock);
    trim_surplus(pool, class);
    cache->n_spare = cache->n_free - cache->n_reserved;
    pthread_mutex_lock(&pool->lock);
    bool more = class->surplus_since != 0 || cache->n_free > WEFT__STACK_CACHE_MIN;
    pthread_mutex_unlock(&pool->lock);
    return more;
}

/* ---- Caches and pools --------------------------------------------------------------------- */

void
weft__stack_cache_open(struct weft__stack_cache *cache, struct weft__stack_pool *pool)
{
    cache->free = NULL;
    cache->n_free = 0;
    cache->n_reserved = 0;
    cache->n_spare = 0;
    cache->default_size = pool->default_size;
    cache->pool = pool;
}

void
weft__stack_cache_close(struct weft__stack_cache *cache)
{
    struct weft__stack_pool *pool = cache->pool;
    struct class *class = &pool->classes[0];

    pthread_mutex_lock(&pool->lock);
    while (cache->free != NULL) {
        struct weft__stack *stack = cache->free;
        cache->free = stack->next;
        push_kept(class, stack);
    }
    cache->n_free = 0;
    pthread_mutex_unlock(&pool->lock);
    trim_surplus(pool, class);
}

int
weft__stack_pool_new(struct weft__stack_pool **ret_pool, size_t header_bytes, size_t default_size,
                     weft__ctx_entry *entry, bool use_mprotect)
{
    weft__assert(header_bytes >= sizeof(struct weft__stack) && header_bytes <= 1024,
                 "the header of a stack must have room for its first part, and at most 1024 bytes");
    struct weft__stack_pool *pool = weft__alloc_zeroed(sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    int rc = -pthread_mutex_init(&pool->lock, NULL);
    if (rc < 0) {
        weft__free(pool);
        return rc;
    }
    pool->header_bytes = (header_bytes + 63) & ~(size_t)63;
    pool->default_size = default_size;
    pool->entry = entry;
    pool->use_mprotect = use_mprotect;
    pool->classes[0].usable = default_size;
    for (unsigned i = 1; i < N_CLASSES; i++)
        pool->classes[i].usable = (size_t)1 << (SMALLEST_LOG2 + i - 1);
    *ret_pool = pool;
    return 0;
}

/* The sanitizers forget all stacks. LeakSanitizer looks for each from the start of its list and
 * fills the gap with the last: so the first one goes first, and then from the last downwards. */
static void
forget_stacks(struct weft__stack_pool *pool)
{
    if (!WEFT__SAN_KEEPS_STACKS || pool->n_mapped == 0)
        return;
    bool first = pool->slabs[0]->issued > 0;
    if (first)
        weft__ctx_end(&weft__slab_stack(pool->slabs[0], 0)->ctx);
    for (uint32_t s = pool->n_slabs; s-- > 0;)
        for (uint32_t i = pool->slabs[s]->issued; i-- > 0;)
            if (!first || s > 0 || i > 0)
                weft__ctx_end(&weft__slab_stack(pool->slabs[s], i)->ctx);
}

void
weft__stack_pool_free(struct weft__stack_pool *pool)
{
    if (pool == NULL)
        return;
    forget_stacks(pool);
    for (uint32_t s = 0; s < pool->n_slabs; s++)
        weft__slab_free(pool->slabs[s]);
    weft__free(pool->slabs);
    pthread_mutex_destroy(&pool->lock);
    weft__free(pool);
}

size_t
weft__stack_pool_mapped(struct weft__stack_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_mapped;
    pthread_mutex_unlock(&pool->lock);
    return n;
}
