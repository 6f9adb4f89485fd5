/*
 * t_core.h - what the tests of loops, tasks and groups share: runtimes of several loops, a log
 * that is kept, plain threads that are joined, and the smallest tasks.
 */
#ifndef WEFT_TESTS_TASK_T_CORE_H
#define WEFT_TESTS_TASK_T_CORE_H

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/task.h>
#include <weft/time.h>

#include "t.h"
#include "base/atomic.h"
#include "base/san.h"

/* Counts of repetitions are divided by this where every step is slow. */
#if defined(WEFT_VALGRIND)
#define T_SLOW 20
#elif defined(WEFT__SAN_ADDRESS) || defined(WEFT__SAN_THREAD)
#define T_SLOW 5
#else
#define T_SLOW 1
#endif

/* A task on n loops with the real clock, and nothing left behind. */
static inline void
t_run_loops(weft_task_fn *fn, void *arg, unsigned n)
{
    t_leak_begin();
    T_OK(weft_run(fn, arg, &(weft_options){.loops = n, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}

/* A task on n loops with the virtual clock and a seed. */
static inline void
t_run_virtual(weft_task_fn *fn, void *arg, unsigned n, uint64_t seed)
{
    t_leak_begin();
    T_OK(weft_run(
        fn, arg,
        &(weft_options){
            .loops = n, .seed = seed, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}

/* LOOPS_TEST(suite, a_behaviour, n) { body }: the body runs as a task, on the first of n loops
 * with the real clock. */
#define LOOPS_TEST(suite, name, n)                                                                 \
    static void suite##_##name##_body(void);                                                       \
    static int suite##_##name##_task(void *arg)                                                    \
    {                                                                                              \
        (void)arg;                                                                                 \
        suite##_##name##_body();                                                                   \
        return 0;                                                                                  \
    }                                                                                              \
    Test(suite, name)                                                                              \
    {                                                                                              \
        t_run_loops(suite##_##name##_task, NULL, n);                                               \
    }                                                                                              \
    static void suite##_##name##_body(void)

/* Everything logged since t_log_begin, one line each. */
static char t_log_text[8192];

static inline void
t_log_line(void *arg, weft_log_level level, const char *line)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    (void)arg;
    (void)level;
    pthread_mutex_lock(&lock);
    size_t used = strlen(t_log_text);
    snprintf(t_log_text + used, sizeof t_log_text - used, "%s\n", line);
    pthread_mutex_unlock(&lock);
}

static inline void
t_log_begin(void)
{
    t_log_text[0] = '\0';
    weft_set_log(t_log_line, NULL);
}

static inline bool
t_logged(const char *words)
{
    return strstr(t_log_text, words) != NULL;
}

static inline pthread_t
t_thread(void *(*main)(void *), void *arg)
{
    pthread_t thread;
    cr_assert(pthread_create(&thread, NULL, main, arg) == 0);
    return thread;
}

static inline void
t_thread_join(pthread_t thread)
{
    cr_assert(pthread_join(thread, NULL) == 0);
}

/* The smallest tasks. */

static inline int
t_forever(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_FOREVER);
}

/* Gives the number that arg is. */
static inline int
t_give(void *arg)
{
    return (int)(intptr_t)arg;
}

#define T_NUMBER(n) ((void *)(intptr_t)(n))

/* Sleeps as many milliseconds as the number that arg is. */
static inline int
t_sleep_ms(void *arg)
{
    return weft_sleep(WEFT_MS((intptr_t)arg));
}

#endif
