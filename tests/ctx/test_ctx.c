/*
 * test_ctx.c - contexts begin, leave and come back as they were.
 */
#include <execinfo.h>
#include <fenv.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "t.h"
#include "base/t_child.h"
#include "ctx/ctx.h"
#include "ctx/stack.h"

TestSuite(ctx, .timeout = 30);

#define BYTES WEFT__STACK_DEFAULT

struct side {
    struct weft__ctx ctx;
    struct weft__ctx *back;
    char *lo;
    unsigned turns;
    bool good;
};

static struct weft__ctx home;

static void
side_make(struct side *side, weft__ctx_entry *entry)
{
    side->lo = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(side->lo != MAP_FAILED);
    side->back = &home;
    side->turns = 0;
    side->good = false;
    weft__ctx_make(&side->ctx, side->lo, side->lo + BYTES, entry, side);
}

static void
side_end(struct side *side)
{
    weft__ctx_end(&side->ctx);
    munmap(side->lo, BYTES);
}

static void
turn_for_ever(void *arg)
{
    struct side *side = arg;
    for (;;) {
        side->turns++;
        weft__ctx_switch(&side->ctx, side->back);
    }
}

Test(ctx, an_entry_gets_its_argument_and_each_switch_goes_on)
{
    struct side side;
    weft__ctx_adopt(&home);
    side_make(&side, turn_for_ever);
    for (unsigned i = 1; i <= 1000; i++) {
        weft__ctx_switch(&home, &side.ctx);
        cr_assert(side.turns == i);
    }
    side_end(&side);
    weft__ctx_unadopt(&home);
}

/* Eight values live across every switch: more than there are registers to keep them in. */
static void
keep_values(void *arg)
{
    struct side *side = arg;
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    double x = 0.5, y = 0.25;
    for (;;) {
        weft__ctx_switch(&side->ctx, side->back);
        a++, b += 2, c += 3, d += 4, e += 5, f += 6, x *= 1.5, y += x;
        side->turns++;
        side->good = a == 1 + side->turns && b == 2 * a && c == 3 * a && d == 4 * a && e == 5 * a &&
                     f == 6 * a && x > 0.5 && y > x;
    }
}

Test(ctx, locals_survive_switches_between_many)
{
    enum { N = 8 };
    struct side sides[N];
    weft__ctx_adopt(&home);
    for (unsigned i = 0; i < N; i++)
        side_make(&sides[i], keep_values);
    for (unsigned round = 0; round < 50; round++)
        for (unsigned i = 0; i < N; i++) {
            weft__ctx_switch(&home, &sides[(i * 3 + round) % N].ctx);
            cr_assert(round == 0 || sides[(i * 3 + round) % N].good);
        }
    for (unsigned i = 0; i < N; i++)
        side_end(&sides[i]);
}

static __attribute__((noinline)) bool
aligned(void)
{
    return ((uintptr_t)__builtin_frame_address(0) & 15) == 0;
}

static void
look_at_alignment(void *arg)
{
    struct side *side = arg;
    for (;;) {
        side->good = aligned();
        weft__ctx_switch(&side->ctx, side->back);
    }
}

Test(ctx, stacks_are_aligned_to_16)
{
    struct side side;
    weft__ctx_adopt(&home);
    side_make(&side, look_at_alignment);
    for (unsigned i = 0; i < 3; i++) {
        side.good = false;
        weft__ctx_switch(&home, &side.ctx);
        cr_assert(side.good);
    }
    side_end(&side);
}

static void
round_upwards(void *arg)
{
    struct side *side = arg;
    side->good = fegetround() == FE_TONEAREST;
    fesetround(FE_UPWARD);
    for (;;) {
        weft__ctx_switch(&side->ctx, side->back);
        side->good = fegetround() == FE_UPWARD;
    }
}

Test(ctx, rounding_belongs_to_each_side)
{
    struct side side;
    weft__ctx_adopt(&home);
    fesetround(FE_DOWNWARD);
    side_make(&side, round_upwards);
    for (unsigned i = 0; i < 3; i++) {
        weft__ctx_switch(&home, &side.ctx);
        cr_assert(side.good, "turn %u", i);
        cr_assert(fegetround() == FE_DOWNWARD);
    }
    fesetround(FE_TONEAREST);
    side_end(&side);
}

#if defined(__x86_64__)
static uint16_t
x87_word(void)
{
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}

static void
set_x87(void *arg)
{
    struct side *side = arg;
    const uint16_t mine = 0x0f7f; /* round towards zero, all masked; MXCSR stays as it is */
    side->good = x87_word() == 0x037f;
    __asm__ volatile("fldcw %0" : : "m"(mine));
    for (;;) {
        weft__ctx_switch(&side->ctx, side->back);
        side->good = x87_word() == mine;
    }
}

Test(ctx, the_x87_control_word_belongs_to_each_side)
{
    struct side side;
    weft__ctx_adopt(&home);
    side_make(&side, set_x87);
    for (unsigned i = 0; i < 3; i++) {
        weft__ctx_switch(&home, &side.ctx);
        cr_assert(side.good, "turn %u", i);
        cr_assert(x87_word() == 0x037f);
    }
    side_end(&side);
}
#endif

static void
make_another(void *arg)
{
    struct side *side = arg;
    struct side inner;
    side_make(&inner, turn_for_ever);
    inner.back = &side->ctx;
    for (unsigned i = 0; i < 5; i++)
        weft__ctx_switch(&side->ctx, &inner.ctx);
    side->turns = inner.turns;
    side_end(&inner);
    for (;;)
        weft__ctx_switch(&side->ctx, side->back);
}

Test(ctx, a_context_can_run_another)
{
    struct side side;
    weft__ctx_adopt(&home);
    side_make(&side, make_another);
    weft__ctx_switch(&home, &side.ctx);
    cr_assert(side.turns == 5);
    side_end(&side);
}

static void
pass_round(void *arg)
{
    struct side *side = arg;
    for (;;) {
        side->turns++;
        weft__ctx_switch(&side->ctx, side->back);
    }
}

Test(ctx, contexts_switch_to_each_other_without_home)
{
    enum { N = 5, TURNS = 200 };
    struct side sides[N];
    weft__ctx_adopt(&home);
    for (unsigned i = 0; i < N; i++)
        side_make(&sides[i], pass_round);
    for (unsigned i = 0; i + 1 < N; i++)
        sides[i].back = &sides[i + 1].ctx; /* the last one goes home */
    for (unsigned i = 0; i < TURNS; i++)
        weft__ctx_switch(&home, &sides[0].ctx);
    for (unsigned i = 0; i < N; i++)
        cr_assert(sides[i].turns == TURNS);
    for (unsigned i = 0; i < N; i++)
        side_end(&sides[i]);
}

static void
unwind(void *arg)
{
    struct side *side = arg;
    void *frames[64];
    side->turns = (unsigned)backtrace(frames, 64);
    for (;;)
        weft__ctx_switch(&side->ctx, side->back);
}

Test(ctx, an_unwinder_stops_at_the_first_frame)
{
    struct side side;
    void *warm[1];
    backtrace(warm, 1); /* loads the unwinder, which wants more stack than a context has */
    weft__ctx_adopt(&home);
    side_make(&side, unwind);
    weft__ctx_switch(&home, &side.ctx);
    cr_assert(side.turns >= 2 && side.turns <= 6, "%u frames", side.turns);
    side_end(&side);
}

static void
return_at_once(void *arg)
{
    (void)arg;
}

static void
run_returning_entry(void)
{
    struct side side;
    weft__ctx_adopt(&home);
    side_make(&side, return_at_once);
    weft__ctx_switch(&home, &side.ctx);
}

Test(ctx, an_entry_that_returns_aborts_with_a_sentence)
{
#if defined(WEFT_VALGRIND)
    cr_skip_test("memcheck logs the abort");
#endif
    char text[256];
    int status = t_child_run(run_returning_entry, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "entry function of a stack returned") != NULL, "%s", text);
}

static void
make_misaligned(void)
{
    static char memory[4096] __attribute__((aligned(64)));
    struct weft__ctx ctx;
    weft__ctx_make(&ctx, memory, memory + 4088, return_at_once, NULL);
}

Test(ctx, a_misaligned_top_is_refused)
{
#if defined(WEFT_VALGRIND)
    cr_skip_test("memcheck logs the abort");
#endif
    char text[256];
    int status = t_child_run(make_misaligned, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "multiple of 16") != NULL, "%s", text);
}
