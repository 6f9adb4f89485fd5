/*
 * san.h - what AddressSanitizer, ThreadSanitizer and valgrind are told about stacks and switches.
 *
 * Without them everything here is empty, and so is struct weft__san_fiber. The two functions
 * around a switch are always inlined: they must run in the frame that executes the switch, or
 * TSan's shadow stack underflows. A fiber is told of once, when its stack is first made, and
 * forgotten when the stack is unmapped; in between its top frame never returns.
 */
#ifndef WEFT_LIB_BASE_SAN_H
#define WEFT_LIB_BASE_SAN_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT__SAN_ADDRESS 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT__SAN_THREAD 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT__SAN_ADDRESS 1
#endif
#if __has_feature(thread_sanitizer)
#define WEFT__SAN_THREAD 1
#endif
#endif

#if defined(WEFT__SAN_ADDRESS)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(WEFT__SAN_THREAD)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(WEFT_VALGRIND)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#endif

/* Instrumented code needs about twice the stack; and what was told about a stack is only valid
 * while its contents stay, so these builds do not trim. */
#if defined(WEFT__SAN_ADDRESS) || defined(WEFT__SAN_THREAD)
#define WEFT__SAN_STACK_FACTOR 2
#else
#define WEFT__SAN_STACK_FACTOR 1
#endif
#if defined(WEFT__SAN_ADDRESS) || defined(WEFT__SAN_THREAD) || defined(WEFT_VALGRIND)
#define WEFT__SAN_KEEPS_STACKS 1
#else
#define WEFT__SAN_KEEPS_STACKS 0
#endif

/* For functions that look at other people's stacks on purpose. */
#if defined(WEFT__SAN_ADDRESS) || defined(WEFT__SAN_THREAD)
#define WEFT__SAN_BLIND __attribute__((no_sanitize("address", "thread")))
#else
#define WEFT__SAN_BLIND
#endif

struct weft__san_fiber {
#if defined(WEFT__SAN_ADDRESS)
    void *fake;     /* ASan's frames for use-after-return, while suspended */
    const void *lo; /* the stack: its lowest byte */
    size_t size;
#endif
#if defined(WEFT__SAN_THREAD)
    void *fiber;
#endif
#if defined(WEFT_VALGRIND)
    unsigned valgrind_id;
#endif
};

/* A new stack [lo, lo + size), nothing on it yet. LeakSanitizer looks for pointers on it from
 * now on, because a suspended task's are nowhere else. */
static inline void
weft__san_create(struct weft__san_fiber *fiber, void *lo, size_t size)
{
    (void)fiber, (void)lo, (void)size;
#if defined(WEFT__SAN_ADDRESS)
    fiber->fake = NULL;
    fiber->lo = lo;
    fiber->size = size;
    __lsan_register_root_region(lo, size);
#endif
#if defined(WEFT__SAN_THREAD)
    fiber->fiber = __tsan_create_fiber(0);
#endif
#if defined(WEFT_VALGRIND)
    fiber->valgrind_id = VALGRIND_STACK_REGISTER(lo, (char *)lo + size);
#endif
}

/* The stack will not be switched to again and its memory goes to somebody else. Frames that
 * never returned have left poison behind. */
static inline void
weft__san_destroy(struct weft__san_fiber *fiber)
{
    (void)fiber;
#if defined(WEFT__SAN_ADDRESS)
    __lsan_unregister_root_region(fiber->lo, fiber->size);
    __asan_unpoison_memory_region(fiber->lo, fiber->size);
#endif
#if defined(WEFT__SAN_THREAD)
    __tsan_destroy_fiber(fiber->fiber);
#endif
#if defined(WEFT_VALGRIND)
    VALGRIND_STACK_DEREGISTER(fiber->valgrind_id);
#endif
}

/* Makes fiber stand for the stack that runs now. ASan tells where that is only to somebody who
 * leaves it: leave for nowhere, ask, come back. */
static inline WEFT__SAN_BLIND void
weft__san_adopt(struct weft__san_fiber *fiber)
{
    (void)fiber;
#if defined(WEFT__SAN_ADDRESS)
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, &fake, sizeof fake);
    __sanitizer_finish_switch_fiber(fake, &fiber->lo, &fiber->size);
    __sanitizer_start_switch_fiber(&fake, fiber->lo, fiber->size);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
    fiber->fake = NULL;
#endif
#if defined(WEFT__SAN_THREAD)
    fiber->fiber = __tsan_get_current_fiber();
#endif
#if defined(WEFT_VALGRIND)
    fiber->valgrind_id = 0; /* thread stacks are known */
#endif
}

/* The name TSan's reports give to the fiber; copied. */
static inline void
weft__san_name(struct weft__san_fiber *fiber, const char *name)
{
    (void)fiber, (void)name;
#if defined(WEFT__SAN_THREAD)
    __tsan_set_fiber_name(fiber->fiber, name);
#endif
}

/* Directly before the switch. */
static inline __attribute__((always_inline)) void
weft__san_leave(struct weft__san_fiber *from, struct weft__san_fiber *to)
{
    (void)from, (void)to;
#if defined(WEFT__SAN_ADDRESS)
    __sanitizer_start_switch_fiber(&from->fake, to->lo, to->size);
#endif
#if defined(WEFT__SAN_THREAD)
    __tsan_switch_to_fiber(to->fiber, 0); /* 0: the switch orders what both sides do */
#endif
}

/* Directly after it, on the stack of `self`; also first of all on a new stack. */
static inline __attribute__((always_inline)) void
weft__san_arrive(struct weft__san_fiber *self)
{
    (void)self;
#if defined(WEFT__SAN_ADDRESS)
    __sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
#endif
}

/* The other end of a call on another stack: told there, still on it, for ASan alone... */
static inline __attribute__((always_inline)) void
weft__san_leave_visit(struct weft__san_fiber *from, struct weft__san_fiber *to)
{
    (void)from, (void)to;
#if defined(WEFT__SAN_ADDRESS)
    __sanitizer_start_switch_fiber(&from->fake, to->lo, to->size);
#endif
}

/* ...and back on the caller's. */
static inline __attribute__((always_inline)) void
weft__san_return(struct weft__san_fiber *self)
{
    (void)self;
#if defined(WEFT__SAN_THREAD)
    __tsan_switch_to_fiber(self->fiber, 0);
#endif
    weft__san_arrive(self);
}

/* Around reads and writes below the stack pointer, which memcheck takes for mistakes. */
static inline void
weft__san_quiet_begin(void)
{
#if defined(WEFT_VALGRIND)
    VALGRIND_DISABLE_ERROR_REPORTING;
#endif
}

static inline void
weft__san_quiet_end(void)
{
#if defined(WEFT_VALGRIND)
    VALGRIND_ENABLE_ERROR_REPORTING;
#endif
}

/* What was found out by such reads is a fact, whatever memcheck thinks of where it came from. */
static inline void
weft__san_defined(void *value, size_t size)
{
#if defined(WEFT_VALGRIND)
    (void)VALGRIND_MAKE_MEM_DEFINED(value, size);
#else
    (void)value;
    (void)size;
#endif
}

#endif
