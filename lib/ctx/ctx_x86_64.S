/*
 * ctx_x86_64.S - the switch for x86-64, System V ABI.
 *
 * What a suspended side leaves on its stack is 64 bytes, one cache line's worth:
 *
 *      0  MXCSR            4  x87 control word
 *      8  r15  16  r14  24  r13  32  r12  40  rbx  48  rbp
 *     56  where it goes on
 *
 * and above it 128 bytes that the compiler may be using below the stack pointer (red zone),
 * because it does not know of a call here. weft__ctx_frame in ctx.c builds the same for a new
 * stack. Both sides of a switch have the same layout, so the unwind information stays true
 * across the change of stack pointer.
 *
 * It is jumped to and left by a jump, with no return address pushed, so that the processor's
 * return predictor sees nothing at all: its entries then fit the other side as well, when that
 * was suspended by the same calls. A call here would leave one entry too many, and every return
 * up the chain of callers would be mispredicted: 25 ns for a yield instead of 5.
 */
#ifndef WEFT_CTX_UCONTEXT

    .text

/* rdi: void **save, rsi: void *to_sp, rcx: where this side goes on. See weft__ctx_swap. */
    .globl  weft__ctx_jump
    .hidden weft__ctx_jump
    .type   weft__ctx_jump, @function
    .p2align 6                          /* the whole switch in two cache lines */
weft__ctx_jump:
    .cfi_startproc
    .cfi_def_cfa %rsp, 0                /* nothing was pushed */
    .cfi_register %rip, %rcx
    leaq    -192(%rsp), %rsp            /* red zone and frame */
    .cfi_adjust_cfa_offset 192
    stmxcsr 0(%rsp)                     /* SSE rounding and exception masks: callee-saved */
    fnstcw  4(%rsp)                     /* x87 precision, rounding, masks: callee-saved */
    movq    %r15, 8(%rsp)               /* the callee-saved registers of this side */
    .cfi_rel_offset %r15, 8
    movq    %r14, 16(%rsp)
    .cfi_rel_offset %r14, 16
    movq    %r13, 24(%rsp)
    .cfi_rel_offset %r13, 24
    movq    %r12, 32(%rsp)
    .cfi_rel_offset %r12, 32
    movq    %rbx, 40(%rsp)
    .cfi_rel_offset %rbx, 40
    movq    %rbp, 48(%rsp)
    .cfi_rel_offset %rbp, 48
    movq    %rcx, 56(%rsp)              /* where this side goes on */
    .cfi_rel_offset %rip, 56
    movl    0(%rsp), %eax               /* our MXCSR, to compare */
    movzwl  4(%rsp), %edx               /* our x87 control word, to compare */
    movq    %rsp, (%rdi)                /* *save: this side is complete */
    movq    %rsi, %rsp                  /* from here on the other side's stack */
    xorl    0(%rsp), %eax               /* what differs from MXCSR there */
    testl   $0xffffffc0, %eax           /* control bits? the six status bits are the caller's */
    jne     2f                          /* yes: load it, which takes longer than all else here */
    cmpw    4(%rsp), %dx                /* same x87 control word there? */
    jne     3f                          /* no: load it */
1:  movq    8(%rsp), %r15               /* the callee-saved registers of the other side */
    .cfi_restore %r15
    movq    16(%rsp), %r14
    .cfi_restore %r14
    movq    24(%rsp), %r13
    .cfi_restore %r13
    movq    32(%rsp), %r12
    .cfi_restore %r12
    movq    40(%rsp), %rbx
    .cfi_restore %rbx
    movq    48(%rsp), %rbp
    .cfi_restore %rbp
    movq    56(%rsp), %rcx              /* where it goes on */
    .cfi_register %rip, %rcx
    leaq    192(%rsp), %rsp             /* its frame is done with */
    .cfi_adjust_cfa_offset -192
    jmp     *%rcx                       /* not ret: the return predictor knows another caller */

    .cfi_adjust_cfa_offset 192          /* out of the way: as at the compare above */
    .cfi_rel_offset %rip, 56
    .cfi_rel_offset %r15, 8
    .cfi_rel_offset %r14, 16
    .cfi_rel_offset %r13, 24
    .cfi_rel_offset %r12, 32
    .cfi_rel_offset %rbx, 40
    .cfi_rel_offset %rbp, 48
2:  ldmxcsr 0(%rsp)                     /* the other side's SSE state */
    cmpw    4(%rsp), %dx                /* and its x87 control word: the same? */
    je      1b                          /* yes: on with the registers */
3:  fldcw   4(%rsp)                     /* the other side's x87 control word */
    jmp     1b                          /* and on with the registers */
    .cfi_endproc
    .size   weft__ctx_jump, . - weft__ctx_jump

/* Where a new stack begins: weft__ctx_begin(r12 ctx, r13 entry, r14 arg), the stack aligned. */
    .globl  weft__ctx_trampoline
    .hidden weft__ctx_trampoline
    .hidden weft__ctx_begin
    .type   weft__ctx_trampoline, @function
    .p2align 4
weft__ctx_trampoline:
    .cfi_startproc
    .cfi_undefined %rip                 /* the outermost frame: unwinders stop here */
    .cfi_undefined %rbp
    xorl    %ebp, %ebp                  /* the end of the chain of frame pointers */
    movq    %r12, %rdi                  /* first argument */
    movq    %r13, %rsi                  /* second */
    movq    %r14, %rdx                  /* third */
    call    weft__ctx_begin             /* rsp is a multiple of 16 here; never returns */
    ud2                                 /* it did */
    .cfi_endproc
    .size   weft__ctx_trampoline, . - weft__ctx_trampoline

/* rdi: sp of a suspended context, rsi: function, rdx: its argument. See weft__ctx_call. */
    .globl  weft__ctx_call_at
    .hidden weft__ctx_call_at
    .type   weft__ctx_call_at, @function
    .p2align 4
weft__ctx_call_at:
    .cfi_startproc
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    movq    %rsp, %rbp                  /* the way back */
    .cfi_def_cfa_register %rbp
    movq    %rdi, %rsp                  /* below what the suspended side has saved */
    andq    $-16, %rsp
    movq    %rdx, %rdi
    call    *%rsi                       /* with its return, as the predictor likes it */
    movq    %rbp, %rsp
    popq    %rbp
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size   weft__ctx_call_at, . - weft__ctx_call_at

#endif

    .section .note.GNU-stack, "", @progbits
