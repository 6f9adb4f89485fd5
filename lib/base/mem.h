/*
 * mem.h - memory from the user's allocator, counted, and failing on demand in test builds.
 */
#ifndef WEFT_LIB_BASE_MEM_H
#define WEFT_LIB_BASE_MEM_H

#include <stddef.h>

void *weft__alloc(size_t size); /* not zeroed; NULL when there is none */
void *weft__alloc_zeroed(size_t size);
void *weft__alloc_lines(size_t size);       /* zeroed, starts on a cache line of its own */
void *weft__resize(void *old, size_t size); /* old stays valid on failure */
void weft__free(void *memory);              /* NULL is nothing */
void weft__free_lines(void *memory);

/* Blocks held now, for leak checks. */
size_t weft__mem_blocks(void);

#endif
