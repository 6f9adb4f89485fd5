/*
 * ctx_ucontext.c - the switch where there is no assembly for the machine, or none is wanted.
 *
 * A context's `sp` points to its ucontext_t: at the top of a new stack, in the frame of
 * weft__ctx_swap on a suspended one. swapcontext(3) saves the signal mask with each context and
 * makes system calls for it; here the mask stays the thread's, as with the assembly.
 */
#include "ctx/ctx.h"

#if defined(WEFT_CTX_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#include "base/assert.h"

/* makecontext(3) passes ints: three pointers in halves. */
#define HIGH(pointer) ((unsigned)((uint64_t)(uintptr_t)(pointer) >> 32))
#define LOW(pointer) ((unsigned)(uintptr_t)(pointer))

static uintptr_t
joined(unsigned high, unsigned low)
{
    return (uintptr_t)((uint64_t)high << 32 | low);
}

/* getcontext(3) has taken the maker's rounding and masks along; on machines not named here they
 * stay. */
static void
default_control(void)
{
#if defined(__x86_64__)
    const uint32_t mxcsr = 0x1f80;
    const uint16_t word = 0x037f;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    __asm__ volatile("fldcw %0" : : "m"(word));
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
#endif
}

static void
begin_from_halves(unsigned ctx_high, unsigned ctx_low, unsigned entry_high, unsigned entry_low,
                  unsigned arg_high, unsigned arg_low)
{
    default_control();
    weft__ctx_begin((struct weft__ctx *)joined(ctx_high, ctx_low),
                    (weft__ctx_entry *)joined(entry_high, entry_low),
                    (void *)joined(arg_high, arg_low));
}

void *
weft__ctx_frame(struct weft__ctx *ctx, void *lo, void *top, weft__ctx_entry *entry, void *arg)
{
    uintptr_t at = ((uintptr_t)top - sizeof(ucontext_t)) & ~(uintptr_t)63;
    ucontext_t *uc = (ucontext_t *)at;
    weft__assert(getcontext(uc) == 0, "getcontext(3) must not fail");
    uc->uc_link = NULL;
    uc->uc_stack.ss_sp = lo;
    uc->uc_stack.ss_size = at - (uintptr_t)lo;
    makecontext(uc, (void (*)(void))begin_from_halves, 6, HIGH(ctx), LOW(ctx), HIGH(entry),
                LOW(entry), HIGH(arg), LOW(arg));
    return uc;
}

void
weft__ctx_swap(void **save, void *to_sp)
{
    ucontext_t here;
    ucontext_t *to = to_sp;
    pthread_sigmask(SIG_BLOCK, NULL, &to->uc_sigmask);
    *save = &here;
    weft__assert(swapcontext(&here, to) == 0, "swapcontext(3) must not fail");
}

struct visit {
    int (*function)(void *arg);
    void *arg;
    int result;
};

static void
visit_from_halves(unsigned high, unsigned low)
{
    struct visit *visit = (struct visit *)joined(high, low);
    visit->result = visit->function(visit->arg);
}

int
weft__ctx_call_at(void *sp, int (*function)(void *arg), void *arg)
{
    struct visit visit = {.function = function, .arg = arg};
    ucontext_t here, there;
    /* How far down the stack goes is not known here and does not matter: it begins at the top. */
    uintptr_t top = ((uintptr_t)sp - 1024) & ~(uintptr_t)15;
    weft__assert(getcontext(&there) == 0, "getcontext(3) must not fail");
    there.uc_stack.ss_sp = (void *)(top - 4096);
    there.uc_stack.ss_size = 4096;
    there.uc_link = &here;
    makecontext(&there, (void (*)(void))visit_from_halves, 2, HIGH(&visit), LOW(&visit));
    weft__assert(swapcontext(&here, &there) == 0, "swapcontext(3) must not fail");
    return visit.result;
}

#endif
