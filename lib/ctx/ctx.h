/*
 * ctx.h - one stack one can switch to, and the switch.
 *
 * Sanitizers and valgrind are told about every switch, in the frame that executes it: the hooks
 * live in always-inline functions around the assembly (shadow stacks underflow otherwise).
 */
#ifndef WEFT_LIB_CTX_CTX_H
#define WEFT_LIB_CTX_CTX_H

#include <stddef.h>

#include "base/san.h"

struct weft__ctx {
    void *sp;                   /* of the suspended side: where its registers were saved */
    struct weft__san_fiber san; /* empty outside sanitizer builds */
};

/* Never returns; gets the argument given to weft__ctx_make. */
typedef void weft__ctx_entry(void *arg);

/* Prepares a context that will call entry(arg) on the stack [lo, top) when first switched to.
 * top is aligned to 16; ctx stays where it is. The entry function begins with the default
 * floating point environment, whatever its maker has set. */
void weft__ctx_make(struct weft__ctx *ctx, void *lo, void *top, weft__ctx_entry *entry, void *arg);

/* Ends a context that will never be switched to again; its stack may then be reused. */
void weft__ctx_end(struct weft__ctx *ctx);

/* Makes ctx stand for the stack the calling thread runs on, for use as `from`. */
void weft__ctx_adopt(struct weft__ctx *ctx);
void weft__ctx_unadopt(struct weft__ctx *ctx);

/* The lowest address that a suspended context still needs; below it the stack is dead. */
static inline char *
weft__ctx_floor(const struct weft__ctx *ctx)
{
#if defined(WEFT_CTX_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))
    return (char *)ctx->sp - 1024; /* sp is the ucontext_t; the frame around it ends below */
#else
    return (char *)ctx->sp;
#endif
}

/* Saves callee-saved registers, MXCSR and x87 control word (FPCR on aarch64) on the stack, the
 * stack pointer in *save, and continues at to_sp. In assembly, or over ucontext. */
#if !defined(WEFT_CTX_UCONTEXT) && defined(__x86_64__)
static inline __attribute__((always_inline)) void
weft__ctx_swap(void **save, void *to_sp)
{
    /* A jump, no call: see ctx_x86_64.S. To the compiler it is one that may change everything
     * a call may change. */
    __asm__ volatile("leaq 1f(%%rip), %%rcx\n\t"
                     "jmp weft__ctx_jump\n"
                     "1:"
                     : "+D"(save), "+S"(to_sp)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
                       "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
                       "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1",
                       "k2", "k3", "k4", "k5", "k6", "k7",
#endif
                       "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc",
                       "memory");
}
#else
void weft__ctx_swap(void **save, void *to_sp);
#endif

/* Calls function(arg) on the dead part of the stack of a suspended context, which nobody may switch
 * to meanwhile. In assembly, or over ucontext. */
int weft__ctx_call_at(void *sp, int (*function)(void *arg), void *arg);

#if defined(WEFT__SAN_ADDRESS)
struct weft__ctx_visit {
    struct weft__ctx *from, *to;
    int (*function)(void *arg);
    void *arg;
};
int weft__ctx_visit(void *visit);
#endif

/* Calls function(arg) on the stack of `to`, from the one of `from`. */
static inline __attribute__((always_inline)) int
weft__ctx_call(struct weft__ctx *from, struct weft__ctx *to, int (*function)(void *arg), void *arg)
{
    weft__san_leave(&from->san, &to->san);
#if defined(WEFT__SAN_ADDRESS)
    struct weft__ctx_visit visit = {from, to, function, arg};
    int result = weft__ctx_call_at(to->sp, weft__ctx_visit, &visit);
#else
    int result = weft__ctx_call_at(to->sp, function, arg);
#endif
    weft__san_return(&from->san);
    return result;
}

/* Parts of weft__ctx_make: the frame on a new stack, where it goes on (assembly), and the first
 * function on every stack. */
void *weft__ctx_frame(struct weft__ctx *ctx, void *lo, void *top, weft__ctx_entry *entry,
                      void *arg);
void weft__ctx_trampoline(void);
void weft__ctx_begin(struct weft__ctx *ctx, weft__ctx_entry *entry, void *arg)
    __attribute__((noreturn));

/* Leaves `from`, goes on in `to`; returns when somebody switches back to `from`. */
static inline __attribute__((always_inline)) void
weft__ctx_switch(struct weft__ctx *from, struct weft__ctx *to)
{
    weft__san_leave(&from->san, &to->san);
    weft__ctx_swap(&from->sp, to->sp);
    weft__san_arrive(&from->san);
}

#endif
