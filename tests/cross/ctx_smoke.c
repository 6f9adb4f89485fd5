/*
 * ctx_smoke.c - the context switch checked without a test framework, so that it can be built for
 * another machine and run under an emulator.
 *
 * Three contexts pass control round and round. Each keeps values of its own in every callee-saved
 * register across each switch, and a floating point mode of its own; each looks at all of them
 * afterwards, and at the alignment of its stack. The values are put and checked around
 * weft__ctx_switch by assembly, which the compiler cannot move to memory.
 */
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctx/ctx.h"
#include "ctx/stack.h"

#define N 3
#define ROUNDS 100000

static struct weft__ctx home;
static struct weft__ctx ring[N];
static const int modes[N] = {FE_TONEAREST, FE_UPWARD, FE_TOWARDZERO};
static unsigned long wrong;
static unsigned long switches;

#if defined(__x86_64__)

struct kept {
    uint64_t rbx, r12, r13, r14, r15;
};

/* The values go in, the other side runs, the values come out. */
static __attribute__((noinline)) void
switch_keeping(struct weft__ctx *from, struct weft__ctx *to, struct kept *kept)
{
    register uint64_t rbx __asm__("rbx") = kept->rbx;
    register uint64_t r12 __asm__("r12") = kept->r12;
    register uint64_t r13 __asm__("r13") = kept->r13;
    register uint64_t r14 __asm__("r14") = kept->r14;
    register uint64_t r15 __asm__("r15") = kept->r15;
    __asm__ volatile("" : "+r"(rbx), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15));
    weft__ctx_switch(from, to);
    __asm__ volatile("" : "+r"(rbx), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15));
    kept->rbx = rbx;
    kept->r12 = r12;
    kept->r13 = r13;
    kept->r14 = r14;
    kept->r15 = r15;
}

/* MXCSR's and the x87 unit's control bits. */
static uint64_t
control(void)
{
    uint32_t mxcsr;
    uint16_t word;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return (uint64_t)word << 32 | (mxcsr & 0xffc0);
}

#elif defined(__aarch64__)

struct kept {
    uint64_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28;
    double d8, d9, d10, d11, d12, d13, d14, d15;
};

static __attribute__((noinline)) void
switch_keeping(struct weft__ctx *from, struct weft__ctx *to, struct kept *kept)
{
    register uint64_t x19 __asm__("x19") = kept->x19;
    register uint64_t x20 __asm__("x20") = kept->x20;
    register uint64_t x21 __asm__("x21") = kept->x21;
    register uint64_t x22 __asm__("x22") = kept->x22;
    register uint64_t x23 __asm__("x23") = kept->x23;
    register uint64_t x24 __asm__("x24") = kept->x24;
    register uint64_t x25 __asm__("x25") = kept->x25;
    register uint64_t x26 __asm__("x26") = kept->x26;
    register uint64_t x27 __asm__("x27") = kept->x27;
    register uint64_t x28 __asm__("x28") = kept->x28;
    register double d8 __asm__("d8") = kept->d8;
    register double d9 __asm__("d9") = kept->d9;
    register double d10 __asm__("d10") = kept->d10;
    register double d11 __asm__("d11") = kept->d11;
    register double d12 __asm__("d12") = kept->d12;
    register double d13 __asm__("d13") = kept->d13;
    register double d14 __asm__("d14") = kept->d14;
    register double d15 __asm__("d15") = kept->d15;
    __asm__ volatile("" : "+r"(x19), "+r"(x20), "+r"(x21), "+r"(x22), "+r"(x23), "+r"(x24));
    __asm__ volatile("" : "+r"(x25), "+r"(x26), "+r"(x27), "+r"(x28));
    __asm__ volatile("" : "+w"(d8), "+w"(d9), "+w"(d10), "+w"(d11), "+w"(d12), "+w"(d13));
    __asm__ volatile("" : "+w"(d14), "+w"(d15));
    weft__ctx_switch(from, to);
    __asm__ volatile("" : "+r"(x19), "+r"(x20), "+r"(x21), "+r"(x22), "+r"(x23), "+r"(x24));
    __asm__ volatile("" : "+r"(x25), "+r"(x26), "+r"(x27), "+r"(x28));
    __asm__ volatile("" : "+w"(d8), "+w"(d9), "+w"(d10), "+w"(d11), "+w"(d12), "+w"(d13));
    __asm__ volatile("" : "+w"(d14), "+w"(d15));
    kept->x19 = x19;
    kept->x20 = x20;
    kept->x21 = x21;
    kept->x22 = x22;
    kept->x23 = x23;
    kept->x24 = x24;
    kept->x25 = x25;
    kept->x26 = x26;
    kept->x27 = x27;
    kept->x28 = x28;
    kept->d8 = d8;
    kept->d9 = d9;
    kept->d10 = d10;
    kept->d11 = d11;
    kept->d12 = d12;
    kept->d13 = d13;
    kept->d14 = d14;
    kept->d15 = d15;
}

static uint64_t
control(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

#else

struct kept {
    uint64_t word;
};

static __attribute__((noinline)) void
switch_keeping(struct weft__ctx *from, struct weft__ctx *to, struct kept *kept)
{
    volatile uint64_t word = kept->word;
    weft__ctx_switch(from, to);
    kept->word = word;
}

static uint64_t
control(void)
{
    return (uint64_t)fegetround();
}

#endif

/* 8-byte words that differ between contexts, registers and rounds; also valid doubles. */
static uint64_t
word(unsigned long round, unsigned me, unsigned i)
{
    return (uint64_t)0x40 << 56 | (uint64_t)me << 48 | (uint64_t)i << 40 | round;
}

static __attribute__((noinline)) void
check_alignment(void)
{
    if (((uintptr_t)__builtin_frame_address(0) & 15) != 0)
        wrong++;
}

static void
run(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    if (fegetround() != FE_TONEAREST)
        wrong++; /* a new context begins with the default */
    if (fesetround(modes[me]) != 0)
        wrong++;
    uint64_t mine = control();
    struct kept kept;
    for (unsigned long round = 0; round < ROUNDS; round++) {
        uint64_t *words = (uint64_t *)(void *)&kept;
        for (unsigned i = 0; i < sizeof kept / sizeof *words; i++)
            words[i] = word(round, me, i);
        switches++;
        switch_keeping(&ring[me], &ring[(me + 1) % N], &kept);
        for (unsigned i = 0; i < sizeof kept / sizeof *words; i++)
            if (words[i] != word(round, me, i))
                wrong++;
        if (control() != mine || fegetround() != modes[me])
            wrong++;
        check_alignment();
    }
    for (;;)
        weft__ctx_switch(&ring[me], &home);
}

int
main(void)
{
    weft__ctx_adopt(&home);
    fesetround(FE_DOWNWARD);
    uint64_t mine = control();
    for (unsigned i = 0; i < N; i++) {
        size_t size = WEFT__STACK_DEFAULT;
        char *lo = aligned_alloc(64, size);
        if (lo == NULL)
            return 2;
        weft__ctx_make(&ring[i], lo, lo + size, run, (void *)(uintptr_t)i);
    }
    weft__ctx_switch(&home, &ring[0]);
    if (control() != mine || fegetround() != FE_DOWNWARD)
        wrong++;
    fesetround(FE_TONEAREST);
    printf("%lu switches, %lu wrong\n", switches, wrong);
    return wrong == 0 && switches >= ROUNDS ? 0 : 1;
}
