/*
 * t.h - what every test of weft uses: results checked in words, tests that are tasks, torture.
 *
 * Assertions stand in the test's main thread or in a task run on it; other threads note what
 * they saw and the main thread asserts it.
 */
#ifndef WEFT_TESTS_T_H
#define WEFT_TESTS_T_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>

#include <weft/error.h>
#include <weft/run.h>

#include "base/seam.h"
#include "t_leak.h"

/* The call gives 0. */
#define T_OK(expression)                                                                           \
    do {                                                                                           \
        long t_rc = (long)(expression);                                                            \
        cr_assert(t_rc == 0, "%s gave %ld (%s: %s) %s", #expression, t_rc,                         \
                  weft_errname((int)t_rc), weft_strerror((int)t_rc), weft_error_text());           \
    } while (0)

/* The call gives this code. */
#define T_ERR(code, expression)                                                                    \
    do {                                                                                           \
        long t_code = (long)(code), t_rc = (long)(expression);                                     \
        cr_assert(t_rc == t_code, "%s gave %ld (%s), not %s (%s) %s", #expression, t_rc,           \
                  weft_errname((int)t_rc), #code, weft_errname((int)t_code), weft_error_text());   \
    } while (0)

/* A task on one loop with the virtual clock, and nothing left behind. */
static inline void
t_run(weft_task_fn *fn, void *arg)
{
    t_leak_begin();
    T_OK(weft_run(
        fn, arg,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}

/* TASK_TEST(suite, a_behaviour) { body }: the body runs as a task. */
#define TASK_TEST(suite, name)                                                                     \
    static void suite##_##name##_body(void);                                                       \
    static int suite##_##name##_task(void *arg)                                                    \
    {                                                                                              \
        (void)arg;                                                                                 \
        suite##_##name##_body();                                                                   \
        return 0;                                                                                  \
    }                                                                                              \
    Test(suite, name)                                                                              \
    {                                                                                              \
        t_run(suite##_##name##_task, NULL);                                                        \
    }                                                                                              \
    static void suite##_##name##_body(void)

/* A scenario run again and again, each time with another event of one kind hit. */
struct t_torture {
    enum weft__torture kind;
    bool from_on; /* hit the k-th event and all after it */
    int error;    /* errno of WEFT__TORTURE_SYSCALL; 0: EIO */
    uint64_t max; /* points to visit at most, spread over all; 0: every point */
    void (*scenario)(void *arg);
    /* After each run: k is 0 for the run that only counted. NULL: nothing may be left behind. */
    void (*check)(void *arg, uint64_t k);
    void *arg;
};

/* Runs the scenario once counting its events and then once for each of them. The scenario asserts
 * nothing about its results, which may be failures, but ends and cleans up. Prints the number of
 * points visited, and returns it. */
uint64_t t_torture_run(const struct t_torture *torture);

/* Every event of the kind; nothing may be left behind. */
uint64_t t_torture(enum weft__torture kind, void (*scenario)(void *arg), void *arg);

#endif
