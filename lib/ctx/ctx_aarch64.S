/*
 * ctx_aarch64.S - the switch for 64-bit Arm, AAPCS64.
 *
 * What a suspended side leaves on its stack is 176 bytes:
 *
 *      0  x29  x30 (where it goes on)
 *     16  x19  x20 ... 80  x27  x28
 *     96  d8   d9  ... 144 d14  d15
 *    160  FPCR, and eight bytes to keep the stack aligned
 *
 * weft__ctx_frame in ctx.c builds the same for a new stack. Both sides of a switch have the same
 * layout, so the unwind information stays true across the change of stack pointer.
 */
#ifndef WEFT_CTX_UCONTEXT

    .text

/* void weft__ctx_swap(void **save, void *to_sp): x0, x1 */
    .globl  weft__ctx_swap
    .hidden weft__ctx_swap
    .type   weft__ctx_swap, %function
    .p2align 6
weft__ctx_swap:
    .cfi_startproc
    sub     sp, sp, #176                /* room for what must survive */
    .cfi_adjust_cfa_offset 176
    stp     x29, x30, [sp, #0]          /* frame pointer, and where this side goes on */
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp     x19, x20, [sp, #16]         /* the callee-saved registers of this side */
    .cfi_rel_offset x19, 16
    .cfi_rel_offset x20, 24
    stp     x21, x22, [sp, #32]
    .cfi_rel_offset x21, 32
    .cfi_rel_offset x22, 40
    stp     x23, x24, [sp, #48]
    .cfi_rel_offset x23, 48
    .cfi_rel_offset x24, 56
    stp     x25, x26, [sp, #64]
    .cfi_rel_offset x25, 64
    .cfi_rel_offset x26, 72
    stp     x27, x28, [sp, #80]
    .cfi_rel_offset x27, 80
    .cfi_rel_offset x28, 88
    stp     d8, d9, [sp, #96]           /* the low halves of v8 to v15 are callee-saved */
    .cfi_rel_offset d8, 96
    .cfi_rel_offset d9, 104
    stp     d10, d11, [sp, #112]
    .cfi_rel_offset d10, 112
    .cfi_rel_offset d11, 120
    stp     d12, d13, [sp, #128]
    .cfi_rel_offset d12, 128
    .cfi_rel_offset d13, 136
    stp     d14, d15, [sp, #144]
    .cfi_rel_offset d14, 144
    .cfi_rel_offset d15, 152
    mrs     x9, fpcr                    /* rounding and flush modes */
    str     x9, [sp, #160]
    mov     x10, sp                     /* sp itself cannot be stored */
    str     x10, [x0]                   /* *save: this side is complete */
    mov     sp, x1                      /* from here on the other side's stack */
    ldr     x10, [sp, #160]             /* its FPCR */
    cmp     x10, x9                     /* mostly the same, and writing it is slow */
    b.eq    1f                          /* the same */
    msr     fpcr, x10                   /* another: load it */
1:  ldp     d14, d15, [sp, #144]        /* the callee-saved registers of the other side */
    .cfi_restore d14
    .cfi_restore d15
    ldp     d12, d13, [sp, #128]
    .cfi_restore d12
    .cfi_restore d13
    ldp     d10, d11, [sp, #112]
    .cfi_restore d10
    .cfi_restore d11
    ldp     d8, d9, [sp, #96]
    .cfi_restore d8
    .cfi_restore d9
    ldp     x27, x28, [sp, #80]
    .cfi_restore x27
    .cfi_restore x28
    ldp     x25, x26, [sp, #64]
    .cfi_restore x25
    .cfi_restore x26
    ldp     x23, x24, [sp, #48]
    .cfi_restore x23
    .cfi_restore x24
    ldp     x21, x22, [sp, #32]
    .cfi_restore x21
    .cfi_restore x22
    ldp     x19, x20, [sp, #16]
    .cfi_restore x19
    .cfi_restore x20
    ldp     x29, x30, [sp, #0]          /* its frame pointer, and where it goes on */
    .cfi_restore x29
    .cfi_restore x30
    add     sp, sp, #176                /* its frame is done with */
    .cfi_adjust_cfa_offset -176
    br      x30                         /* not ret: the return predictor knows another caller */
    .cfi_endproc
    .size   weft__ctx_swap, . - weft__ctx_swap

/* Where a new stack begins: weft__ctx_begin(x19 ctx, x20 entry, x21 arg), the stack aligned. */
    .globl  weft__ctx_trampoline
    .hidden weft__ctx_trampoline
    .hidden weft__ctx_begin
    .type   weft__ctx_trampoline, %function
    .p2align 4
weft__ctx_trampoline:
    .cfi_startproc
    .cfi_undefined x30                  /* the outermost frame: unwinders stop here */
    .cfi_undefined x29
    mov     x29, xzr                    /* the end of the chain of frame pointers */
    mov     x0, x19                     /* first argument */
    mov     x1, x20                     /* second */
    mov     x2, x21                     /* third */
    bl      weft__ctx_begin             /* never returns */
    brk     #1                          /* it did */
    .cfi_endproc
    .size   weft__ctx_trampoline, . - weft__ctx_trampoline

/* x0: sp of a suspended context, x1: function, x2: its argument. See weft__ctx_call. */
    .globl  weft__ctx_call_at
    .hidden weft__ctx_call_at
    .type   weft__ctx_call_at, %function
    .p2align 4
weft__ctx_call_at:
    .cfi_startproc
    stp     x29, x30, [sp, #-16]!
    .cfi_adjust_cfa_offset 16
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    mov     x29, sp                     /* the way back */
    .cfi_def_cfa_register x29
    mov     sp, x0                      /* below what the suspended side has saved */
    mov     x0, x2
    blr     x1
    mov     sp, x29
    .cfi_def_cfa_register sp
    ldp     x29, x30, [sp], #16
    .cfi_adjust_cfa_offset -16
    .cfi_restore x30
    .cfi_restore x29
    ret
    .cfi_endproc
    .size   weft__ctx_call_at, . - weft__ctx_call_at

#endif

    .section .note.GNU-stack, "", %progbits
