/*
 * ctx.c - how a context begins and ends, whichever way the switch is made.
 *
 * A new context looks like one that was suspended just before it calls weft__ctx_begin: the
 * frame built here is the one weft__ctx_swap leaves, and the first switch is like any other.
 */
#include "ctx/ctx.h"

#include <stdint.h>
#include <string.h>

#include "base/assert.h"

void
weft__ctx_begin(struct weft__ctx *ctx, weft__ctx_entry *entry, void *arg)
{
    weft__san_arrive(&ctx->san);
    entry(arg);
    weft__fatal("the entry function of a stack returned; it must loop for ever");
}

#if defined(WEFT__SAN_ADDRESS)
/* The first function on the other stack, and ASan must be told there. */
WEFT__SAN_BLIND int
weft__ctx_visit(void *visit_)
{
    struct weft__ctx_visit *visit = visit_;
    weft__san_arrive(&visit->to->san);
    int result = visit->function(visit->arg);
    weft__san_leave_visit(&visit->to->san, &visit->from->san);
    return result;
}
#endif

#if !defined(WEFT_CTX_UCONTEXT) && defined(__x86_64__)

void *
weft__ctx_frame(struct weft__ctx *ctx, void *lo, void *top, weft__ctx_entry *entry, void *arg)
{
    /* What the ABI promises at the start of a program, not what the maker happens to have. */
    const uint64_t control = UINT64_C(0x1f80) | UINT64_C(0x037f) << 32;
    uint64_t *frame = (uint64_t *)top - 24; /* 64 bytes of it, and a red zone */
    (void)lo;
    frame[0] = control;
    frame[1] = 0;                          /* r15 */
    frame[2] = (uint64_t)(uintptr_t)arg;   /* r14 */
    frame[3] = (uint64_t)(uintptr_t)entry; /* r13 */
    frame[4] = (uint64_t)(uintptr_t)ctx;   /* r12 */
    frame[5] = 0;                          /* rbx */
    frame[6] = 0;                          /* rbp */
    frame[7] = (uint64_t)(uintptr_t)weft__ctx_trampoline;
    return frame;
}

#elif !defined(WEFT_CTX_UCONTEXT) && defined(__aarch64__)

void *
weft__ctx_frame(struct weft__ctx *ctx, void *lo, void *top, weft__ctx_entry *entry, void *arg)
{
    uint64_t *frame = (uint64_t *)top - 22;
    (void)lo;
    memset(frame, 0, 22 * sizeof *frame); /* FPCR 0: round to nearest, nothing trapped */
    frame[1] = (uint64_t)(uintptr_t)weft__ctx_trampoline; /* x30 */
    frame[2] = (uint64_t)(uintptr_t)ctx;                  /* x19 */
    frame[3] = (uint64_t)(uintptr_t)entry;                /* x20 */
    frame[4] = (uint64_t)(uintptr_t)arg;                  /* x21 */
    return frame;
}

#endif

void
weft__ctx_make(struct weft__ctx *ctx, void *lo, void *top, weft__ctx_entry *entry, void *arg)
{
    weft__assert(((uintptr_t)top & 15) == 0, "the top of a stack must be a multiple of 16");
    weft__san_create(&ctx->san, lo, (size_t)((char *)top - (char *)lo));
    ctx->sp = weft__ctx_frame(ctx, lo, top, entry, arg);
}

void
weft__ctx_end(struct weft__ctx *ctx)
{
    weft__san_destroy(&ctx->san);
    ctx->sp = NULL;
}

void
weft__ctx_adopt(struct weft__ctx *ctx)
{
    weft__san_adopt(&ctx->san);
    ctx->sp = NULL;
}

void
weft__ctx_unadopt(struct weft__ctx *ctx)
{
    ctx->sp = NULL;
}
