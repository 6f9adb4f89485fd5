/*
 * test_stack.c - sizes, guards, and how deep a stack was used.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t.h"
#include "base/t_child.h"
#include "ctx/slab.h"
#include "t_owner.h"

TestSuite(stack, .timeout = 60);

#define KIB ((size_t)1024)

static struct weft__ctx home;
static struct weft__stack_pool *pool;
static struct weft__stack_cache cache;

static void
open_pool(bool use_mprotect)
{
    T_OK(weft__stack_pool_new(&pool, sizeof(struct owner), WEFT__STACK_DEFAULT, owner_entry,
                              use_mprotect));
    weft__stack_cache_open(&cache, pool);
    weft__ctx_adopt(&home);
}

static void
close_pool(void)
{
    weft__stack_cache_close(&cache);
    weft__stack_pool_free(pool);
}

static const char *
end_of(const struct weft__stack *stack)
{
    return stack->lo + stack->size;
}

/* ---- Sizes -------------------------------------------------------------------------------- */

Test(stack, a_size_is_rounded_up_to_pages)
{
    size_t usable;
    T_OK(weft__stack_round(0, &usable));
    cr_assert(usable == WEFT__STACK_DEFAULT);
    T_OK(weft__stack_round(40 * KIB + 1, &usable));
    cr_assert(usable == 44 * KIB);
    size_t again;
    T_OK(weft__stack_round(usable, &again));
    cr_assert(again == usable);
    T_OK(weft__stack_round(16 * KIB, &usable));
    cr_assert(usable == 16 * KIB * WEFT__SAN_STACK_FACTOR);
    T_OK(weft__stack_round((size_t)1 << 30, &usable));
    cr_assert(usable == (size_t)1 << 30);
}

Test(stack, a_size_out_of_range_is_refused)
{
    size_t usable = 7;
    T_ERR(WEFT_E_STACK, weft__stack_round(16 * KIB - 1, &usable));
    cr_assert(strstr(weft_error_text(), "16 KiB") != NULL, "%s", weft_error_text());
    T_ERR(WEFT_E_STACK, weft__stack_round(((size_t)1 << 30) + 1, &usable));
    T_ERR(WEFT_E_STACK, weft__stack_round(SIZE_MAX, &usable));
    cr_assert(usable == 7);
}

/* ---- Guards ------------------------------------------------------------------------------- */

static struct weft__stack *guarded;
static size_t below;

static void
write_below(void)
{
    signal(SIGSEGV, SIG_DFL);
    *(volatile char *)(guarded->lo - below) = 1;
}

static void
guards_hold(bool use_mprotect)
{
    open_pool(use_mprotect);
    char text[64];
    for (unsigned i = 0; i < 20; i++) { /* the first slab, and the next */
        T_OK(weft__stack_take(&cache, &guarded));
        *(volatile char *)guarded->lo = 1; /* the lowest byte is usable */
        if (i % 19 != 0)
            continue;
        const size_t distances[] = {1, WEFT__STACK_GUARD / 2, WEFT__STACK_GUARD};
        for (unsigned d = 0; d < 3; d++) {
            below = distances[d];
            int status = t_child_run(write_below, text, sizeof text);
            cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%zu below", below);
        }
    }
    close_pool();
}

Test(stack, nothing_can_be_written_below_one)
{
#if defined(WEFT_VALGRIND)
    cr_skip_test("memcheck logs the crash");
#endif
    guards_hold(false);
}

Test(stack, nothing_can_be_written_below_one_guarded_by_mprotect)
{
#if defined(WEFT_VALGRIND)
    cr_skip_test("memcheck logs the crash");
#endif
    guards_hold(true);
}

Test(stack, guards_survive_the_trimming_of_memory)
{
#if defined(WEFT_VALGRIND)
    cr_skip_test("memcheck logs the crash");
#endif
    char text[64];
    open_pool(false);
    struct weft__stack *stack;
    T_OK(weft__stack_take(&cache, &stack));
    struct weft__stack copy = *stack;
    T_OK(madvise(copy.lo, copy.size, MADV_DONTNEED));
    guarded = &copy;
    below = 1;
    int status = t_child_run(write_below, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    *stack = copy; /* its header went too */
    close_pool();
}

/* ---- Layout ------------------------------------------------------------------------------- */

Test(stack, headers_are_staggered_within_the_first_kib)
{
    open_pool(false);
    const size_t header = (sizeof(struct owner) + 63) & ~(size_t)63;
    unsigned seen = 0;
    for (unsigned i = 0; i < 16; i++) {
        struct weft__stack *stack;
        T_OK(weft__stack_take(&cache, &stack));
        size_t distance = (size_t)(end_of(stack) - (const char *)stack) - header;
        cr_assert(distance % 64 == 0 && distance < 1024);
        cr_assert(((uintptr_t)stack & 63) == 0);
        seen |= 1u << distance / 64;
    }
    cr_assert(seen == 0xffff);
    close_pool();
}

/* As deep as a task that sleeps: a few calls with a few locals. */
static __attribute__((noinline)) void
sleep_deep(struct owner *owner, unsigned depth)
{
    volatile char locals[64];
    memset((char *)locals, 1, sizeof locals);
    if (depth > 0)
        sleep_deep(owner, depth - 1);
    else
        owner_leave(owner);
    locals[0]++;
}

static void
sleep_body(struct owner *owner)
{
    sleep_deep(owner, 4);
}

Test(stack, one_that_sleeps_takes_one_page)
{
#if WEFT__SAN_KEEPS_STACKS || defined(WEFT_CTX_UCONTEXT)
    cr_skip_test("frames are larger here");
#endif
    open_pool(false);
    long page = sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < 100; i++) {
        struct owner *owner = owner_take(&cache);
        cr_assert(owner != NULL);
        owner->body = sleep_body;
        owner_run(owner, &home);
        unsigned char pages[64];
        size_t n = owner->stack.size / (size_t)page;
        cr_assert(n <= 64 && mincore(owner->stack.lo, owner->stack.size, pages) == 0);
        for (size_t p = 0; p + 1 < n; p++)
            cr_assert((pages[p] & 1) == 0, "stack %u, page %zu of %zu", i, p, n);
    }
    close_pool();
}

/* ---- Depth -------------------------------------------------------------------------------- */

static size_t wanted_depth;

static void
use_depth(struct owner *owner)
{
    (void)owner;
    volatile char *deep = __builtin_alloca(wanted_depth);
    for (size_t i = 0; i < wanted_depth; i++)
        deep[i] = 7;
}

Test(stack, used_says_how_deep_it_was)
{
    open_pool(false);
    struct owner *owner = owner_take(&cache);
    cr_assert(owner != NULL);
    size_t fresh = weft__stack_used(&owner->stack);
    cr_assert(fresh > sizeof *owner && fresh < 4 * KIB, "%zu fresh", fresh);
    wanted_depth = 20 * KIB;
    owner->body = use_depth;
    owner_run(owner, &home);
    size_t used = weft__stack_used(&owner->stack);
    /* Sanitizers put frames of their own size around it, and may keep the array elsewhere. */
    cr_assert(used > 20 * KIB || WEFT__SAN_STACK_FACTOR > 1, "%zu", used);
    cr_assert(used < 28 * KIB * WEFT__SAN_STACK_FACTOR, "%zu", used);

    wanted_depth = 2 * KIB;
    owner_run(owner, &home);
    cr_assert(weft__stack_used(&owner->stack) == used, "what was written stays written");
    close_pool();
}

Test(stack, used_is_exact_after_a_clear)
{
    open_pool(false);
    struct owner *owner = owner_take(&cache);
    cr_assert(owner != NULL);
    wanted_depth = 20 * KIB;
    owner->body = use_depth;
    owner_run(owner, &home);
    size_t deep = weft__stack_used(&owner->stack);
    weft__stack_clear(&owner->stack);
    wanted_depth = 4 * KIB;
    owner_run(owner, &home);
    size_t used = weft__stack_used(&owner->stack);
    cr_assert(used < deep, "%zu after %zu", used, deep);
    weft__stack_clear(&owner->stack);
    wanted_depth = 4 * KIB + 512;
    owner_run(owner, &home);
    size_t more = weft__stack_used(&owner->stack);
    /* The sanitizers' own functions run there too, and go as deep as they like. */
    cr_assert((more - used >= 448 && more - used <= 576) || WEFT__SAN_STACK_FACTOR > 1,
              "%zu, then %zu", used, more);
    close_pool();
}

Test(stack, a_cleared_one_runs_on)
{
    open_pool(false);
    struct owner *owner = owner_take(&cache);
    cr_assert(owner != NULL);
    unsigned before = owner->runs;
    for (unsigned i = 0; i < 10; i++) {
        weft__stack_clear(&owner->stack); /* the first time before it ever ran */
        owner_run(owner, &home);
    }
    cr_assert(owner->runs - before == 10 && owner->entries == 1);
    close_pool();
}
