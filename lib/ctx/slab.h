/*
 * slab.h - one mapping that holds many stacks of one size, each with its guard below.
 *
 * Layout, upwards: guard 0, stack 0, guard 1, stack 1, ... Guards are installed one by one, when
 * a stack is handed out for the first time: stacks that nobody needs cost nothing.
 */
#ifndef WEFT_LIB_CTX_SLAB_H
#define WEFT_LIB_CTX_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctx/stack.h"

#define WEFT__SLAB_STACKS 1024     /* most stacks in one slab */
#define WEFT__SLAB_NONE UINT16_MAX /* end of a list of indices */

struct weft__slab {
    char *base;
    size_t bytes;
    size_t usable; /* of each stack */
    size_t header_bytes;
    uint32_t id; /* position in the pool's table */
    uint32_t count;
    uint32_t issued;         /* stacks [0, issued) have their guard and were handed out */
    uint16_t trimmed;        /* first of those whose memory went back to the kernel */
    struct weft__slab *next; /* with trimmed stacks, of the same class */
    uint16_t trimmed_next[]; /* by index */
};

int weft__slab_new(struct weft__slab **ret_slab, uint32_t count, size_t usable,
                   size_t header_bytes);
/* The memory of all its stacks is gone afterwards. */
void weft__slab_free(struct weft__slab *slab);

/* Makes the guard of one stack. by_mprotect: not by MADV_GUARD_INSTALL even where there is one. */
int weft__slab_guard(struct weft__slab *slab, uint32_t index, bool by_mprotect);
/* Whether guards are made by mprotect(2), because asked for or because the kernel has only that. */
bool weft__slab_by_mprotect(bool asked);

static inline size_t
weft__slab_stride(const struct weft__slab *slab)
{
    return WEFT__STACK_GUARD + slab->usable;
}

static inline char *
weft__slab_lo(const struct weft__slab *slab, uint32_t index)
{
    return slab->base + index * weft__slab_stride(slab) + WEFT__STACK_GUARD;
}

/* Where the header of a stack stands whose page end is `end`. Tops of neighbours lie in other
 * cache sets: all stacks being a multiple of the page size apart, they would share one. */
static inline struct weft__stack *
weft__stack_header(char *end, size_t header_bytes, uint32_t index)
{
    return (struct weft__stack *)(void *)(end - header_bytes - index % 16 * 64);
}

static inline struct weft__stack *
weft__slab_stack(const struct weft__slab *slab, uint32_t index)
{
    char *end = weft__slab_lo(slab, index) + slab->usable;
    return weft__stack_header(end, slab->header_bytes, index);
}

/* The registry of slabs that the overflow handler reads. A slab that finds it full is left out:
 * an overflow in it is an ordinary SIGSEGV. */
void weft__overflow_add(const struct weft__slab *slab);
void weft__overflow_remove(const struct weft__slab *slab);

/* Bytes of a page. */
size_t weft__page_bytes(void);

#endif
