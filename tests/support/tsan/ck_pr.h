/*
 * ck_pr.h - Concurrency Kit's primitives in a form that ThreadSanitizer understands.
 *
 * Found before the system's header in the TSan build alone. CK's port is inline assembly, which
 * TSan does not see; CK's own fallback on compiler builtins loads and stores through volatile,
 * which TSan takes for plain accesses, and its exchange is a volatile load with a compare-and-swap
 * loop. So here exchanges are native, loads acquire and stores release: every hand-over becomes an
 * edge TSan knows. Double-width compare-and-swap does not exist in this form; weft does not use it.
 */
#ifndef WEFT_TSAN_CK_PR_H
#define WEFT_TSAN_CK_PR_H

#undef CK_USE_CC_BUILTINS
#define CK_USE_CC_BUILTINS 1

#include <stdint.h>

/* The macros tell CK that the exchange of that width exists already. */
#define WEFT_TSAN_FAS(suffix, memory, type)                                                        \
    static inline __attribute__((unused)) type ck_pr_fas_##suffix(memory *target, type value)      \
    {                                                                                              \
        return __atomic_exchange_n((type *)target, value, __ATOMIC_SEQ_CST);                       \
    }
WEFT_TSAN_FAS(ptr, void, void *)
WEFT_TSAN_FAS(char, char, char)
WEFT_TSAN_FAS(int, int, int)
WEFT_TSAN_FAS(uint, unsigned, unsigned)
WEFT_TSAN_FAS(64, uint64_t, uint64_t)
WEFT_TSAN_FAS(32, uint32_t, uint32_t)
WEFT_TSAN_FAS(16, uint16_t, uint16_t)
WEFT_TSAN_FAS(8, uint8_t, uint8_t)
#undef WEFT_TSAN_FAS
#define CK_F_PR_FAS_PTR
#define CK_F_PR_FAS_CHAR
#define CK_F_PR_FAS_INT
#define CK_F_PR_FAS_UINT
#define CK_F_PR_FAS_64
#define CK_F_PR_FAS_32
#define CK_F_PR_FAS_16
#define CK_F_PR_FAS_8

#include_next <ck_pr.h>

#undef ck_pr_load_ptr
#define ck_pr_load_ptr(source)                                                                     \
    ((__typeof__(*(source)))__atomic_load_n((void *const *)(const void *)(source),                 \
                                            __ATOMIC_ACQUIRE))

#undef ck_pr_store_ptr
#define ck_pr_store_ptr(target, value)                                                             \
    (__atomic_store_n((void **)(void *)(target), (void *)(uintptr_t)(value), __ATOMIC_RELEASE))

#undef ck_pr_store_ptr_unsafe
#define ck_pr_store_ptr_unsafe(target, value) ck_pr_store_ptr(target, value)

#undef CK_PR_LOAD_SAFE
#define CK_PR_LOAD_SAFE(source, type) __atomic_load_n((source), __ATOMIC_ACQUIRE)

#undef CK_PR_STORE_SAFE
#define CK_PR_STORE_SAFE(target, value, type) __atomic_store_n((target), (value), __ATOMIC_RELEASE)

#endif
