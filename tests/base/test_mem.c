/*
 * test_mem.c - blocks come from the user's allocator, are counted, and can be made to fail.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "t.h"
#include "base/mem.h"

TestSuite(mem, .timeout = 20);

static int n_alloc, n_resize, n_release;

static void *
counting_alloc(size_t size)
{
    n_alloc++;
    return malloc(size);
}

static void *
counting_resize(void *old, size_t size)
{
    n_resize++;
    return realloc(old, size);
}

static void
counting_release(void *memory)
{
    n_release++;
    free(memory);
}

static const weft_allocator counting = {
    .alloc = counting_alloc, .resize = counting_resize, .release = counting_release};

Test(mem, every_block_is_counted_until_it_is_freed)
{
    size_t before = weft__mem_blocks();
    void *a = weft__alloc(10);
    void *b = weft__alloc_lines(10);
    void *c = weft__resize(NULL, 10);
    cr_assert(weft__mem_blocks() == before + 3);
    c = weft__resize(c, 1000);
    cr_assert(weft__mem_blocks() == before + 3);
    weft__free(a);
    weft__free_lines(b);
    weft__free(c);
    cr_assert(weft__mem_blocks() == before);
}

Test(mem, freeing_null_does_nothing)
{
    size_t before = weft__mem_blocks();
    weft__free(NULL);
    weft__free_lines(NULL);
    cr_assert(weft__mem_blocks() == before);
}

Test(mem, lines_are_aligned_zeroed_and_whole)
{
    for (size_t size = 0; size < 300; size += 7) {
        unsigned char *lines = weft__alloc_lines(size);
        cr_assert(lines != NULL && (uintptr_t)lines % 64 == 0);
        size_t whole = (size + 63) / 64 * 64;
        for (size_t i = 0; i < whole; i++)
            cr_assert(lines[i] == 0);
        memset(lines, 0xff, whole);
        weft__free_lines(lines);
    }
}

Test(mem, a_size_that_cannot_be_rounded_up_is_refused)
{
    cr_assert(weft__alloc_lines(SIZE_MAX) == NULL);
    cr_assert(weft__alloc_lines(SIZE_MAX - 64) == NULL);
}

Test(mem, zeroed_memory_is_zero)
{
    unsigned char *memory = weft__alloc_zeroed(100);
    cr_assert(memory != NULL);
    for (int i = 0; i < 100; i++)
        cr_assert(memory[i] == 0);
    weft__free(memory);
}

Test(mem, memory_comes_from_the_users_allocator)
{
    T_OK(weft_set_allocator(&counting));
    void *memory = weft__resize(weft__alloc(8), 16);
    weft__free(memory);
    cr_assert(n_alloc == 1 && n_resize == 1 && n_release == 1);
    T_OK(weft_set_allocator(NULL));
    weft__free(weft__alloc(8));
    cr_assert(n_alloc == 1 && n_release == 1);
}

Test(mem, the_allocator_stays_while_memory_is_held)
{
    void *memory = weft__alloc(8);
    T_ERR(-EBUSY, weft_set_allocator(&counting));
    weft__free(memory);
    T_OK(weft_set_allocator(&counting));
}

Test(mem, an_allocator_with_a_missing_function_is_refused)
{
    weft_allocator partial = counting;
    partial.resize = NULL;
    T_ERR(-EINVAL, weft_set_allocator(&partial));
}

Test(mem, torture_makes_each_kind_of_allocation_fail)
{
    size_t before = weft__mem_blocks();
    char *kept = weft__alloc(8);
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, 0);
    cr_assert(weft__alloc(8) == NULL);
    cr_assert(weft__alloc_zeroed(8) == NULL);
    cr_assert(weft__alloc_lines(8) == NULL);
    cr_assert(weft__resize(NULL, 8) == NULL);
    cr_assert(weft__resize(kept, 800) == NULL);
    cr_assert(weft__torture_disarm(WEFT__TORTURE_ALLOC) == 5);
    kept[7] = 1; /* still ours */
    weft__free(kept);
    cr_assert(weft__mem_blocks() == before);
}
