/*
 * mem.c - the user's allocator, the count of what is held from it, and failing on demand.
 *
 * Every block weft holds came from `allocator` and is counted, so the count is 0 exactly when
 * the allocator may be exchanged, and a test sees what was forgotten.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include <weft/base.h>
#include "base/atomic.h"
#include "base/seam.h"

#define LINE_BYTES 64

static const weft_allocator allocator_default = {
    .alloc = malloc, .resize = realloc, .release = free};
static weft_allocator allocator = {.alloc = malloc, .resize = realloc, .release = free};

/* Only a sum: nothing is published through it, so relaxed is enough and it pairs with nothing.
 * It has its line to itself, because every thread writes it. */
static struct {
    _Alignas(LINE_BYTES) size_t blocks;
    char rest[LINE_BYTES - sizeof(size_t)];
} held;

static void
held_add(size_t change)
{
    __atomic_fetch_add(&held.blocks, change, __ATOMIC_RELAXED);
}

void *
weft__alloc(size_t size)
{
    if (weft__torture_hit(WEFT__TORTURE_ALLOC))
        return NULL;
    void *memory = allocator.alloc(size > 0 ? size : 1);
    if (memory != NULL)
        held_add(1);
    return memory;
}

/* calloc knows which memory is fresh from the kernel and need not be touched. */
void *
weft__alloc_zeroed(size_t size)
{
    if (allocator.alloc == malloc) {
        if (weft__torture_hit(WEFT__TORTURE_ALLOC))
            return NULL;
        void *memory = calloc(1, size > 0 ? size : 1);
        if (memory != NULL)
            held_add(1);
        return memory;
    }
    void *memory = weft__alloc(size);
    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

/* The hook promises no alignment beyond malloc's. So ask for more, and keep what was given in the
 * word before the first line; the last line is filled up, so that nobody else writes to it. */
void *
weft__alloc_lines(size_t size)
{
    if (size > SIZE_MAX - 3 * LINE_BYTES)
        return NULL;
    size = (size + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;

    char *given = weft__alloc_zeroed(size + LINE_BYTES + sizeof(void *));
    if (given == NULL)
        return NULL;
    uintptr_t first = (uintptr_t)given + sizeof(void *);
    char *lines = given + sizeof(void *) + (LINE_BYTES - first % LINE_BYTES) % LINE_BYTES;
    memcpy(lines - sizeof(void *), &given, sizeof given);
    return lines;
}

void *
weft__resize(void *old, size_t size)
{
    if (old == NULL)
        return weft__alloc(size);
    if (weft__torture_hit(WEFT__TORTURE_ALLOC))
        return NULL;
    return allocator.resize(old, size > 0 ? size : 1);
}

void
weft__free(void *memory)
{
    if (memory == NULL)
        return;
    held_add(-(size_t)1);
    allocator.release(memory);
}

void
weft__free_lines(void *memory)
{
    if (memory == NULL)
        return;
    void *given;
    memcpy(&given, (char *)memory - sizeof(void *), sizeof given);
    weft__free(given);
}

void *
weft_memory_alloc(size_t size)
{
    return weft__alloc(size);
}

void *
weft_memory_zeroed(size_t size)
{
    return weft__alloc_zeroed(size);
}

void *
weft_memory_resize(void *old, size_t size)
{
    return weft__resize(old, size);
}

void
weft_memory_free(void *memory)
{
    weft__free(memory);
}

size_t
weft__mem_blocks(void)
{
    return weft__load_relaxed(&held.blocks);
}

int
weft_set_allocator(const weft_allocator *replacement)
{
    if (replacement == NULL)
        replacement = &allocator_default;
    if (replacement->alloc == NULL || replacement->resize == NULL || replacement->release == NULL)
        return -EINVAL;
    if (weft__mem_blocks() > 0)
        return -EBUSY;
    allocator = *replacement;
    return 0;
}
