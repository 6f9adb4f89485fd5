/*
 * atomic.h - the atomics of our own protocols: sequentially consistent loads, stores, exchanges.
 *
 * They are the compiler's, in every build, so that what ThreadSanitizer checks is what ships
 * (Concurrency Kit's inline assembly is invisible to it, and its mfence beside each exchange
 * costs 10 ns on x86-64). There are no stand-alone fences: TSan does not model them. Each use
 * names its pair in a comment.
 */
#ifndef WEFT_LIB_BASE_ATOMIC_H
#define WEFT_LIB_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define weft__load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define weft__load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define weft__store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define weft__store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define weft__store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define weft__exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define weft__fetch_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define weft__fetch_sub(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)

/* Adds to a figure that one thread alone writes, and others may look at. */
#define weft__add_own(p, v) weft__store_relaxed((p), *(p) + (v))

/* Whether *p was `expected` and is now `desired`. */
#define weft__cas(p, expected, desired)                                                            \
    __extension__({                                                                                \
        __typeof__(*(p)) weft__expected = (expected);                                              \
        __atomic_compare_exchange_n((p), &weft__expected, (desired), false, __ATOMIC_SEQ_CST,      \
                                    __ATOMIC_SEQ_CST);                                             \
    })

/* Fetches a cache line for writing. Reading one first that another CPU has written, and writing it
 * then, would be two trips to that CPU. (The compiler's prefetch for writing is a prefetch for
 * reading unless it may assume a CPU of this decade; older ones take the instruction for none.) */
static inline void
weft__prefetch_write(const void *line)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw (%0)" : : "r"(line));
#else
    __builtin_prefetch(line, 1);
#endif
}

static inline void
weft__cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
