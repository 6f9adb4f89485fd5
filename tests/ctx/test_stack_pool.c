/*
 * test_stack_pool.c - stacks are reused, trimmed, limited, and given up without a trace.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t.h"
#include "base/mem.h"
#include "base/random.h"
#include "t_owner.h"

TestSuite(stack_pool, .timeout = 120);

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

Test(stack_pool, an_unused_one_maps_nothing)
{
    unsigned before = mappings();
    open_pool(false);
    cr_assert(mappings() == before);
    cr_assert(weft__stack_pool_mapped(pool) == 0);
    close_pool();
}

Test(stack_pool, what_was_given_back_last_is_taken_first)
{
    open_pool(false);
    struct weft__stack *a, *b, *again;
    T_OK(weft__stack_take(&cache, &a));
    T_OK(weft__stack_take(&cache, &b));
    cr_assert(a != b);
    weft__stack_give(&cache, a);
    weft__stack_give(&cache, b);
    T_OK(weft__stack_take(&cache, &again));
    cr_assert(again == b);
    T_OK(weft__stack_take(&cache, &again));
    cr_assert(again == a);
    cr_assert(weft__stack_pool_mapped(pool) == 2);
    close_pool();
}

Test(stack_pool, an_entry_begins_once_and_runs_many)
{
    open_pool(false);
    struct owner *first = NULL;
    for (unsigned i = 1; i <= 1000; i++) {
        struct owner *owner = owner_take(&cache);
        cr_assert(owner != NULL && (first == NULL || owner == first));
        first = owner;
        owner_run(owner, &home);
        cr_assert(owner->runs == i && owner->entries == 1);
        weft__stack_give(&cache, &owner->stack);
    }
    close_pool();
}

Test(stack_pool, another_size_has_stacks_of_its_own)
{
    open_pool(false);
    struct weft__stack *usual, *large, *again;
    T_OK(weft__stack_take(&cache, &usual));
    T_OK(weft__stack_take_slow(&cache, 300 * KIB, &large));
    cr_assert(large->size == 512 * KIB);
    *(volatile char *)large->lo = 1;
    weft__stack_give(&cache, large);
    weft__stack_give(&cache, usual);
    T_OK(weft__stack_take_slow(&cache, 512 * KIB, &again));
    cr_assert(again == large);
    T_OK(weft__stack_take(&cache, &again));
    cr_assert(again == usual);
    weft__stack_give(&cache, large);
    close_pool();
}

Test(stack_pool, a_size_that_the_usual_stack_has_room_for_takes_one)
{
    open_pool(false);
    struct weft__stack *stack;
    T_OK(weft__stack_take_slow(&cache, WEFT__STACK_DEFAULT - 8 * KIB, &stack));
    cr_assert(stack->size == WEFT__STACK_DEFAULT);
    close_pool();
}

Test(stack_pool, the_largest_size_is_one_to_a_slab)
{
    open_pool(false);
    struct weft__stack *stack;
    T_OK(weft__stack_take_slow(&cache, (size_t)1 << 30, &stack));
    cr_assert(stack->size == (size_t)1 << 30);
    struct owner *owner = (struct owner *)(void *)stack;
    owner->body = NULL;
    owner_run(owner, &home);
    cr_assert(owner->runs == 1);
    cr_assert(weft__stack_used(stack) < 64 * KIB);
    weft__stack_give(&cache, stack);
    close_pool();
}

Test(stack_pool, a_closed_cache_leaves_its_stacks_to_others)
{
    open_pool(false);
    struct weft__stack_cache other;
    weft__stack_cache_open(&other, pool);
    struct weft__stack *stacks[100];
    for (unsigned i = 0; i < 100; i++)
        T_OK(weft__stack_take(&cache, &stacks[i]));
    for (unsigned i = 0; i < 100; i++)
        weft__stack_give(&cache, stacks[i]);
    weft__stack_cache_close(&cache);
    for (unsigned i = 0; i < 100; i++)
        T_OK(weft__stack_take(&other, &stacks[i]));
    cr_assert(weft__stack_pool_mapped(pool) == 100);
    weft__stack_cache_close(&other);
    close_pool();
}

Test(stack_pool, freeing_one_with_suspended_stacks_leaves_nothing)
{
    unsigned mapped = mappings();
    size_t blocks = weft__mem_blocks();
    for (unsigned round = 0; round < 6; round++) {
        open_pool(round % 2 == 1);
        for (unsigned i = 0; i < 200; i++) {
            struct owner *owner = owner_take(&cache);
            cr_assert(owner != NULL);
            owner_run(owner, &home);
        }
        close_pool();
        cr_assert(weft__mem_blocks() == blocks);
        if (round < 2)
            mapped = mappings(); /* malloc and the sanitizers have what they keep */
        cr_assert(mappings() <= mapped, "%u mappings, then %u", mapped, mappings());
    }
}

/* ---- After a spike ------------------------------------------------------------------------ */

enum { SPIKE = 4 * WEFT__STACK_CACHE_MAX }; /* the cache and as many again are kept */

static size_t
resident_pages(void)
{
    size_t size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    cr_assert(file != NULL);
    cr_assert(fscanf(file, "%zu %zu", &size, &resident) == 2);
    fclose(file);
    return resident;
}

Test(stack_pool, after_a_spike_most_memory_goes_back)
{
#if WEFT__SAN_KEEPS_STACKS
    cr_skip_test("sanitizers keep all stacks");
#endif
    static struct owner *owners[SPIKE];
    weft__stack_keep_ns = 0;
    open_pool(false);
    size_t before = resident_pages();
    for (unsigned i = 0; i < SPIKE; i++) {
        owners[i] = owner_take(&cache);
        cr_assert(owners[i] != NULL, "%s", weft_error_text());
        owner_run(owners[i], &home);
    }
    size_t peak = resident_pages();
    for (unsigned i = 0; i < SPIKE; i++)
        weft__stack_give(&cache, &owners[i]->stack);
    size_t after = resident_pages();
    cr_assert(peak - before >= SPIKE);
    cr_assert(after - before < SPIKE / 8 * 5, "%zu pages, %zu at the peak", after - before,
              peak - before);

    /* And all can be had again: the trimmed ones begin anew. */
    unsigned anew = 0;
    for (unsigned i = 0; i < SPIKE; i++) {
        owners[i] = owner_take(&cache);
        cr_assert(owners[i] != NULL);
        unsigned runs = owners[i]->runs;
        owner_run(owners[i], &home);
        cr_assert(owners[i]->entries == 1 && owners[i]->runs == runs + 1);
        anew += runs == 0;
    }
    cr_assert(anew > SPIKE / 4);
    cr_assert(weft__stack_pool_mapped(pool) == SPIKE);
    close_pool();
}

Test(stack_pool, a_cache_gives_back_what_it_did_not_need_for_a_while)
{
#if WEFT__SAN_KEEPS_STACKS
    cr_skip_test("sanitizers keep all stacks");
#endif
    enum { N = 4 * WEFT__STACK_CACHE_MIN };
    static struct owner *owners[N];
    weft__stack_keep_ns = 0;
    open_pool(false);
    for (unsigned i = 0; i < N; i++)
        owners[i] = owner_take(&cache);
    for (unsigned i = 0; i < N; i++)
        weft__stack_give(&cache, &owners[i]->stack);
    size_t peak = resident_pages();
    cr_assert(weft__stack_cache_trim(&cache), "all were in use since the last time");
    cr_assert(cache.n_free >= N / 2);
    weft__stack_cache_trim(&cache);
    cr_assert(cache.n_free <= WEFT__STACK_CACHE_MIN, "%zu kept", cache.n_free);
    cr_assert(resident_pages() + N / 2 <= peak + 64, "%zu pages, %zu before", resident_pages(),
              peak);
    close_pool();
}

/* ---- Limits ------------------------------------------------------------------------------- */

Test(stack_pool, with_mprotect_the_limit_is_named)
{
#if WEFT__SAN_KEEPS_STACKS
    cr_skip_test("the sanitizer itself needs mappings");
#endif
    enum { MOST = 200000 };
    open_pool(true);
    struct weft__stack *last = NULL, *stack;
    size_t n = 0;
    int rc = 0;
    while (n < MOST && (rc = weft__stack_take(&cache, &stack)) == 0) {
        stack->next = last; /* the owner's while in use */
        last = stack;
        n++;
    }
    if (n == MOST)
        cr_skip_test("vm.max_map_count is raised here");
    char text[192];
    strcpy(text, weft_error_text());
    int again = weft__stack_take(&cache, &stack);
    while (last != NULL) {
        stack = last;
        last = stack->next;
        weft__stack_give(&cache, stack);
    }
    close_pool();
    cr_assert(rc == -ENOMEM && again == -ENOMEM);
    cr_assert(n > 1000);
    cr_assert(strstr(text, "vm.max_map_count (") != NULL, "%s", text);
    cr_assert(strstr(text, "6.13") != NULL, "%s", text);
}

/* Two slabs of the usual size, one of another, all given back. */
static void
take_and_give(void *arg)
{
    bool *use_mprotect = arg;
    struct weft__stack_pool *p;
    if (weft__stack_pool_new(&p, sizeof(struct owner), WEFT__STACK_DEFAULT, owner_entry,
                             *use_mprotect) < 0)
        return;
    struct weft__stack_cache c;
    struct weft__stack *taken[25];
    unsigned n = 0;
    weft__stack_cache_open(&c, p);
    while (n < 24 && weft__stack_take(&c, &taken[n]) == 0)
        n++;
    if (weft__stack_take_slow(&c, 256 * KIB, &taken[n]) == 0)
        n++;
    while (n > 0)
        weft__stack_give(&c, taken[--n]);
    weft__stack_cache_close(&c);
    weft__stack_pool_free(p);
}

static unsigned torture_mappings;
static size_t torture_blocks;

static void
nothing_mapped(void *arg, uint64_t k)
{
    (void)arg;
    if (k == 0) {
        torture_mappings = mappings();
        torture_blocks = weft__mem_blocks();
    }
    cr_assert(weft__mem_blocks() == torture_blocks, "point %llu", (unsigned long long)k);
    cr_assert(mappings() <= torture_mappings, "point %llu", (unsigned long long)k);
}

static void
survives(enum weft__torture kind, int error)
{
    for (int use_mprotect = 0; use_mprotect < 2; use_mprotect++) {
        bool flag = use_mprotect == 1;
        cr_assert(t_torture_run(&(struct t_torture){.kind = kind,
                                                    .error = error,
                                                    .scenario = take_and_give,
                                                    .check = nothing_mapped,
                                                    .arg = &flag}) > 3);
    }
}

Test(stack_pool, every_failing_system_call_is_survived)
{
    survives(WEFT__TORTURE_SYSCALL, ENOMEM);
}

/* The first guard that is refused so makes all later ones by mprotect. */
Test(stack_pool, a_kernel_that_knows_no_advice_is_survived)
{
    survives(WEFT__TORTURE_SYSCALL, EINVAL);
}

Test(stack_pool, every_failing_allocation_is_survived)
{
    survives(WEFT__TORTURE_ALLOC, 0);
}

/* ---- Threads, and rare paths -------------------------------------------------------------- */

struct churn {
    uint64_t seed;
    unsigned rounds;
    bool good;
};

/* Keeps up to 64 stacks, taking and giving as the seed says, each run once in between. */
static void *
churn(void *arg)
{
    struct churn *churn = arg;
    struct weft__stack_cache mine;
    struct weft__ctx here;
    struct owner *held[64];
    unsigned n = 0;
    uint64_t random = churn->seed;
    weft__ctx_adopt(&here);
    weft__stack_cache_open(&mine, pool);
    churn->good = true;
    for (unsigned i = 0; i < churn->rounds; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        if (n < 64 && (n == 0 || random >> 63)) {
            struct weft__stack *stack;
            size_t usable = random >> 40 & 15 ? 0 : 256 * KIB;
            int rc = usable == 0 ? weft__stack_take(&mine, &stack)
                                 : weft__stack_take_slow(&mine, usable, &stack);
            if (rc < 0) {
                churn->good = false;
                break;
            }
            struct owner *owner = (struct owner *)(void *)stack;
            owner->body = NULL;
            unsigned runs = owner->runs;
            owner_run(owner, &here);
            churn->good = churn->good && owner->entries == 1 && owner->runs == runs + 1;
            held[n++] = owner;
        } else {
            unsigned at = (unsigned)(random >> 33) % n;
            weft__stack_give(&mine, &held[at]->stack);
            held[at] = held[--n];
        }
        if (i % 512 == 511) { /* its stock becomes the others' */
            weft__stack_cache_close(&mine);
            weft__stack_cache_open(&mine, pool);
        }
    }
    while (n > 0)
        weft__stack_give(&mine, &held[--n]->stack);
    weft__stack_cache_close(&mine);
    return NULL;
}

static void
churn_on_threads(void)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    struct churn churns[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        churns[i] = (struct churn){.seed = 17 + i, .rounds = 20000};
        cr_assert(pthread_create(&threads[i], NULL, churn, &churns[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert(churns[i].good, "thread %u", i);
}

Test(stack_pool, threads_share_one)
{
    open_pool(false);
    churn_on_threads();
    close_pool();
}

Test(stack_pool, rare_paths_change_nothing)
{
    weft__buggify_seed(20240229);
    open_pool(false);
    churn_on_threads();
    close_pool();
    weft__buggify_seed(0);
}
