/*
 * stack.c - the memory of stacks: slabs, guards, sizes, and how deep a stack was used.
 */
#include "ctx/stack.h"

#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "base/atomic.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "ctx/slab.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

/* The kernel has no MADV_GUARD_INSTALL: found out once, remembered for all pools. */
static bool guard_advice_missing;

size_t
weft__page_bytes(void)
{
    static size_t page_bytes; /* the same whoever asks first */
    size_t known = weft__load_relaxed(&page_bytes);
    if (known == 0) {
        known = (size_t)sysconf(_SC_PAGESIZE);
        weft__store_relaxed(&page_bytes, known);
    }
    return known;
}

int
weft__stack_round(size_t asked, size_t *ret_usable)
{
    if (asked == 0)
        asked = WEFT__STACK_DEFAULT;
    if (asked < WEFT__STACK_MIN || asked > WEFT__STACK_MAX)
        return weft_error_note(WEFT_E_STACK,
                               "stack_size %zu: it must be from %zu (16 KiB) to %zu (1 GiB)", asked,
                               WEFT__STACK_MIN, WEFT__STACK_MAX);
    if (asked < WEFT__STACK_MIN * WEFT__SAN_STACK_FACTOR)
        asked = WEFT__STACK_MIN * WEFT__SAN_STACK_FACTOR;
    size_t page = weft__page_bytes();
    *ret_usable = (asked + page - 1) & ~(page - 1);
    return 0;
}

/* ---- Slabs -------------------------------------------------------------------------------- */

int
weft__slab_new(struct weft__slab **ret_slab, uint32_t count, size_t usable, size_t header_bytes)
{
    struct weft__slab *slab = weft__alloc_zeroed(sizeof *slab + count * sizeof(uint16_t));
    if (slab == NULL)
        return -ENOMEM;
    slab->usable = usable;
    slab->header_bytes = header_bytes;
    slab->count = count;
    slab->trimmed = WEFT__SLAB_NONE;
    slab->bytes = count * weft__slab_stride(slab);

    void *base = NULL;
    int rc = weft__sys_mmap(&base, slab->bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    if (rc < 0)
        goto fail_alloc;
    /* A huge page for an idle task would be 512 pages for one. Kernels without them say EINVAL. */
    rc = weft__sys_madvise(base, slab->bytes, MADV_NOHUGEPAGE);
    if (rc < 0 && rc != -EINVAL)
        goto fail_map;

    slab->base = base;
    weft__overflow_add(slab);
    *ret_slab = slab;
    return 0;

fail_map:
    weft__sys_munmap(base, slab->bytes);
fail_alloc:
    weft__free(slab);
    return rc;
}

void
weft__slab_free(struct weft__slab *slab)
{
    weft__overflow_remove(slab);
    weft__sys_munmap(slab->base, slab->bytes);
    weft__free(slab);
}

bool
weft__slab_by_mprotect(bool asked)
{
    return asked || weft__load_relaxed(&guard_advice_missing);
}

int
weft__slab_guard(struct weft__slab *slab, uint32_t index, bool by_mprotect)
{
    char *guard = weft__slab_lo(slab, index) - WEFT__STACK_GUARD;
    if (!weft__slab_by_mprotect(by_mprotect)) {
        int rc = weft__sys_madvise(guard, WEFT__STACK_GUARD, MADV_GUARD_INSTALL);
        if (rc != -EINVAL)
            return rc;
        weft__store_relaxed(&guard_advice_missing, true);
        weft_log(WEFT_LOG_INFO, "stacks: no MADV_GUARD_INSTALL here, guards are made by mprotect");
    }
    return weft__sys_mprotect(guard, WEFT__STACK_GUARD, PROT_NONE);
}

/* ---- Depth -------------------------------------------------------------------------------- */

/* The lowest page of the stack that is in memory; `lo` when the kernel will not say. */
static char *
first_resident(const struct weft__stack *stack)
{
    enum { CHUNK = 256 };
    unsigned char pages[CHUNK];
    size_t page = weft__page_bytes();
    char *end = stack->lo + stack->size;
    for (char *at = stack->lo; at < end; at += CHUNK * page) {
        size_t n = (size_t)(end - at) / page;
        if (n > CHUNK)
            n = CHUNK;
        if (weft__sys_mincore(at, n * page, pages) < 0)
            return stack->lo;
        for (size_t i = 0; i < n; i++)
            if (pages[i] & 1)
                return at + i * page;
    }
    return end;
}

WEFT__SAN_BLIND static const uint64_t *
first_used(const uint64_t *at, const uint64_t *end)
{
    /* The owner may be running: volatile, so that each word is read once and as it is. */
    while (at < end && *(const volatile uint64_t *)at == 0)
        at++;
    return at;
}

WEFT__SAN_BLIND static void
zero_words(uint64_t *at, const uint64_t *end)
{
    for (; at < end; at++)
        *(volatile uint64_t *)at = 0; /* volatile: or it becomes memset, which ASan watches */
}

size_t
weft__stack_used(const struct weft__stack *stack)
{
    const char *end = stack->lo + stack->size;
    weft__san_quiet_begin();
    const uint64_t *used = first_used((const uint64_t *)(const void *)first_resident(stack),
                                      (const uint64_t *)(const void *)end);
    weft__san_quiet_end();
    size_t bytes = (size_t)(end - (const char *)used);
    weft__san_defined(&bytes, sizeof bytes);
    return bytes;
}

void
weft__stack_clear(struct weft__stack *stack)
{
    char *floor = weft__ctx_floor(&stack->ctx);
    char *from = first_resident(stack);
    weft__san_quiet_begin();
    if (from < floor)
        zero_words((uint64_t *)(void *)from, (const uint64_t *)(const void *)floor);
    weft__san_quiet_end();
}
