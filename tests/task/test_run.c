/*
 * test_run.c - a runtime from its first task to its last: results, options, closing, signals.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft/executor.h>
#include <weft/future.h>

#include "task/t_core.h"
#include "base/sys.h"
#include "base/t_child.h"

/* Whoever started the tests in the background had them ignore SIGINT. */
static void
default_signals(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

TestSuite(run, .init = default_signals, .timeout = 60);

static const weft_options quiet = {.loops = 1, .signals = WEFT_SIGNALS_NONE};

/* ---- Results -------------------------------------------------------------------------------- */

Test(run, returns_what_the_main_task_returned)
{
    T_ERR(7, weft_run(t_give, T_NUMBER(7), &quiet));
    T_ERR(-EDOM, weft_run(t_give, T_NUMBER(-EDOM), &quiet));
    T_ERR(3, weft_run(t_give, T_NUMBER(3), NULL));
}

static int
count_loops(void *arg)
{
    (void)arg;
    return (int)weft_loop_count();
}

Test(run, by_default_there_is_a_loop_per_usable_cpu)
{
    cr_assert(weft_usable_cpus() >= 1);
    T_ERR(weft_usable_cpus(), weft_run(count_loops, NULL, NULL));
    T_ERR(5, weft_run(count_loops, NULL, &(weft_options){.loops = 5}));
    T_ERR(1, weft_run(count_loops, NULL, &(weft_options){.clock = WEFT_CLOCK_VIRTUAL}));
}

static int
run_a_little(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < weft_loop_count(); i++) {
        int rc = weft_loop_call(weft_loop_at(i), t_sleep_ms, T_NUMBER(1));
        if (rc < 0)
            return rc;
    }
    return 0;
}

Test(run, again_and_again)
{
    t_leak_begin();
    for (int i = 0; i < 20; i++)
        T_OK(weft_run(run_a_little, NULL, &(weft_options){.loops = 2}));
    t_leak_end();
}

static void *
run_in_thread(void *arg)
{
    int *rc = arg;
    for (int i = 0; i < 10 && *rc == 0; i++)
        *rc = weft_run(run_a_little, NULL, &(weft_options){.loops = 2});
    return NULL;
}

Test(run, several_at_once_from_several_threads)
{
    int results[4] = {0};
    pthread_t threads[4];
    t_leak_begin();
    for (int i = 0; i < 4; i++)
        threads[i] = t_thread(run_in_thread, &results[i]);
    for (int i = 0; i < 4; i++) {
        t_thread_join(threads[i]);
        T_OK(results[i]);
    }
    t_leak_end();
}

static int
run_inside(void *arg)
{
    int *results = arg;
    results[0] = weft_run(t_give, NULL, &quiet);
    results[1] = strstr(weft_error_text(), "inside a task") != NULL;
    results[2] = weft_run_here(t_give, NULL);
    return 0;
}

Test(run, inside_a_task_is_a_deadlock)
{
    int results[3] = {0};
    T_OK(weft_run(run_inside, results, &quiet));
    T_ERR(-EDEADLK, results[0]);
    cr_assert(results[1]);
    T_ERR(-EDEADLK, results[2]);
}

/* ---- Options -------------------------------------------------------------------------------- */

static void
is_refused(const weft_options *options, int code, const char *words)
{
    t_leak_begin();
    T_ERR(code, weft_run(t_give, NULL, options));
    cr_assert(strstr(weft_error_text(), words) != NULL, "%s", weft_error_text());
    t_leak_end();
}

Test(run, bad_options_are_refused_in_words)
{
    is_refused(&(weft_options){.loops = 1025}, -EINVAL, "loops must be 0 to 1024, got 1025");
    is_refused(&(weft_options){.clock = (weft_clock_kind)7}, -EINVAL, "clock");
    is_refused(&(weft_options){.signals = (weft_signal_mode)7}, -EINVAL, "signals");
    is_refused(&(weft_options){.grace = -1}, -EINVAL, "grace must not be negative");
    is_refused(&(weft_options){.stack_size = 100}, WEFT_E_STACK, "100");
    is_refused(&(weft_options){.stack_size = (size_t)2 << 30}, WEFT_E_STACK, "stack");
    struct event_base *base = event_base_new();
    is_refused(&(weft_options){.clock = WEFT_CLOCK_VIRTUAL, .base = base}, -EINVAL, "base");
    event_base_free(base);
}

static int
use_much_stack(void *arg)
{
    volatile char much[700 << 10];
    (void)arg;
    for (size_t i = 0; i < sizeof much; i += 1024)
        much[i] = 1;
    return 0;
}

Test(run, the_stack_size_holds_for_all_tasks)
{
    weft_options options = quiet;
    options.stack_size = (size_t)1 << 20;
    T_OK(weft_run(use_much_stack, NULL, &options));
}

static int
look_at_base(void *arg)
{
    int rc = weft_sleep(WEFT_MS(2));
    return rc < 0 ? rc : weft_loop_base() == arg;
}

static void
count_fire(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ++*(int *)arg;
}

Test(run, on_an_event_base_of_the_users)
{
    struct event_base *base = event_base_new();
    int fired = 0;
    struct event *event = event_new(base, -1, EV_PERSIST, count_fire, &fired);
    event_add(event, &(struct timeval){.tv_usec = 500});
    for (int i = 0; i < 3; i++)
        T_ERR(1, weft_run(look_at_base, base, &(weft_options){.loops = 2, .base = base}));
    cr_assert(fired > 0);
    /* It is still the user's, and nothing of ours is left on it. */
    event_del(event);
    cr_assert(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) == 0);
    cr_assert(event_base_loop(base, EVLOOP_NONBLOCK) == 1);
    event_free(event);
    event_base_free(base);
}

static int
stay_pinned(void *arg)
{
    uint32_t *wrong = arg;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) != 1)
        weft__fetch_add(wrong, 1);
    return 0;
}

static int
look_at_pins(void *arg)
{
    for (unsigned i = 0; i < weft_loop_count(); i++) {
        int rc = weft_loop_call(weft_loop_at(i), stay_pinned, arg);
        if (rc < 0)
            return rc;
    }
    return 0;
}

Test(run, pinned_loops_stay_on_one_cpu_each_and_the_caller_is_unpinned_after)
{
    uint32_t wrong = 0;
    cpu_set_t before, after;
    sched_getaffinity(0, sizeof before, &before);
    T_OK(weft_run(look_at_pins, &wrong, &(weft_options){.loops = 2, .pin = 1}));
    cr_assert(weft__load(&wrong) == 0);
    sched_getaffinity(0, sizeof after, &after);
    cr_assert(CPU_EQUAL(&before, &after));
}

/* ---- Without memory or descriptors ---------------------------------------------------------- */

static void
run_two_loops(void *arg)
{
    (void)arg;
    weft_ignore(weft_run(run_a_little, NULL, &(weft_options){.loops = 2}));
}

static void
run_virtual_loops(void *arg)
{
    (void)arg;
    weft_ignore(
        weft_run(run_a_little, NULL, &(weft_options){.loops = 3, .clock = WEFT_CLOCK_VIRTUAL}));
}

Test(run, no_allocation_that_fails_leaves_anything_behind)
{
    T_OK(weft_run(run_a_little, NULL, NULL)); /* what a process makes once */
    cr_assert(t_torture(WEFT__TORTURE_ALLOC, run_two_loops, NULL) >= 5);
    cr_assert(t_torture(WEFT__TORTURE_ALLOC, run_virtual_loops, NULL) >= 5);
}

Test(run, no_system_call_that_fails_leaves_anything_behind)
{
    T_OK(weft_run(run_a_little, NULL, NULL));
    int errors[] = {EMFILE, ENOMEM, EAGAIN};
    for (int i = 0; i < 3; i++) {
        struct t_torture torture = {
            .kind = WEFT__TORTURE_SYSCALL, .error = errors[i], .scenario = run_two_loops};
        cr_assert(t_torture_run(&torture) >= 5);
        torture.scenario = run_virtual_loops;
        cr_assert(t_torture_run(&torture) >= 3);
        torture.from_on = true;
        cr_assert(t_torture_run(&torture) >= 3);
    }
}

/* One more each time, until it is enough for two loops. */
static void
run_with_few_descriptors(void)
{
    struct rlimit files;
    bool refused = false;
    int rc = -EMFILE;
    getrlimit(RLIMIT_NOFILE, &files);
    for (files.rlim_cur = 3; rc == -EMFILE && files.rlim_cur < files.rlim_max; files.rlim_cur++) {
        setrlimit(RLIMIT_NOFILE, &files);
        rc = weft_run(run_a_little, NULL, &(weft_options){.loops = 2});
        refused = refused || rc == -EMFILE;
    }
    _exit(rc == 0 && refused ? 0 : 2);
}

/* libevent, left to itself, says so and calls exit(3). */
Test(run, too_few_descriptors_are_a_result)
{
#ifdef WEFT__SAN_THREAD
    cr_skip_test("a child cannot have threads here");
#endif
    char text[1024];
    int status = t_child_run(run_with_few_descriptors, text, sizeof text);
    cr_assert_str_eq(text, "");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

/* ---- Closing -------------------------------------------------------------------------------- */

struct left {
    uint32_t began;
    uint32_t ended;
    uint32_t result;
};

static int
stay_until_cancelled(void *arg)
{
    struct left *left = arg;
    weft__fetch_add(&left->began, 1);
    int rc = weft_sleep(WEFT_FOREVER);
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(2)));
    weft_scope_close(&shield);
    weft__store(&left->result, (uint32_t)rc);
    weft__fetch_add(&left->ended, 1);
    return rc;
}

static int
leave_tasks(void *arg)
{
    struct left *left = arg;
    for (int i = 0; i < 30; i++) {
        int on = i % 4 == 3 ? WEFT_LOOP_ANY : WEFT_ON(i % (int)weft_loop_count());
        T_OK(weft_task_spawn(NULL, stay_until_cancelled, left, &(weft_task_options){.on = on}));
    }
    while (weft__load(&left->began) < 30)
        T_OK(weft_sleep(WEFT_MS(1)));
    return 0;
}

Test(run, tasks_left_behind_are_cancelled_and_may_clean_up)
{
    struct left left = {0};
    t_run_loops(leave_tasks, &left, 3);
    cr_assert(weft__load(&left.ended) == 30, "%u", left.ended);
    cr_assert((int)left.result == -ECANCELED);
    left = (struct left){0};
    t_run_virtual(leave_tasks, &left, 3, 0);
    cr_assert(left.ended == 30);
}

static uint32_t n_breeders;

/* Spawns another when it is cancelled, as long as that is allowed. */
static int
breed(void *arg)
{
    int rc = weft_yield();
    weft__fetch_add(&n_breeders, 1);
    int on = weft__load(&n_breeders) % 2 == 0 ? WEFT_ON(1) : WEFT_LOOP_ANY;
    if (weft_task_spawn(NULL, breed, arg, &(weft_task_options){.on = on}) == 0)
        weft__fetch_add((uint32_t *)arg, 1);
    return rc;
}

static int
start_breeding(void *arg)
{
    for (int i = 0; i < 4; i++)
        T_OK(weft_task_spawn(NULL, breed, arg, &(weft_task_options){.on = WEFT_ON(i % 2)}));
    return weft_sleep(WEFT_MS(10));
}

Test(run, tasks_that_spawn_without_end_are_closed_all_the_same)
{
    uint32_t spawned = 0;
    t_run_loops(start_breeding, &spawned, 2);
    cr_assert(weft__load(&spawned) > 0);
}

/* Spawns on other loops, which may be closing already, until its own is. */
static int
feed_others(void *arg)
{
    int rc;
    int i = (int)weft_loop_index(weft_loop_current());
    do {
        int on = ++i % 5 == 0 ? WEFT_LOOP_ANY : WEFT_ON(i % (int)weft_loop_count());
        weft_task_spawn(NULL, t_forever, arg, &(weft_task_options){.on = on});
        rc = weft_yield();
    } while (rc == 0);
    return rc;
}

static int
let_loops_feed_each_other(void *arg)
{
    (void)arg;
    for (int i = 0; i < (int)weft_loop_count(); i++)
        T_OK(weft_task_spawn(NULL, feed_others, NULL, &(weft_task_options){.on = WEFT_ON(i)}));
    for (int i = 0; i < 20; i++)
        T_OK(weft_yield());
    return 0;
}

Test(run, what_arrives_on_a_closing_loop_is_cancelled)
{
    for (uint64_t seed = 0; seed < 100 / T_SLOW; seed++)
        t_run_virtual(let_loops_feed_each_other, NULL, 3, seed);
    for (int i = 0; i < 20; i++)
        t_run_loops(let_loops_feed_each_other, NULL, 2);
}

static uint32_t asleep;

static int
sleep_behind_a_shield(void *arg)
{
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft__store(&asleep, 1);
    weft_ignore(weft_sleep((weft_time)(intptr_t)arg));
    weft_scope_close(&shield);
    return 0;
}

static int
leave_a_stubborn_one(void *arg)
{
    T_OK(weft_task_spawn(NULL, sleep_behind_a_shield, T_NUMBER(WEFT_SEC(3600)),
                         &(weft_task_options){.name = "stubborn", .on = WEFT_ON(1)}));
    while (!weft__load(&asleep))
        T_OK(weft_sleep(WEFT_MS(1)));
    weft__store(&asleep, 0);
    return t_give(arg);
}

static void
outlives_grace(weft_options options)
{
    options.loops = 2;
    options.grace = WEFT_MS(30);
    options.signals = WEFT_SIGNALS_NONE;
    t_log_begin();
    int64_t before = weft__sys_monotonic();
    T_ERR(-ETIMEDOUT, weft_run(leave_a_stubborn_one, T_NUMBER(0), &options));
    cr_assert(weft__sys_monotonic() - before < WEFT_SEC(5));
    cr_assert(t_logged("\"stubborn\""), "%s", t_log_text);
    T_ERR(-EDOM, weft_run(leave_a_stubborn_one, T_NUMBER(-EDOM), &options));
    T_ERR(4, weft_run(t_give, T_NUMBER(4), &options)); /* and life goes on */
}

Test(run, a_task_that_outlives_the_grace_period_is_named_and_abandoned)
{
    outlives_grace((weft_options){.clock = WEFT_CLOCK_REAL});
}

Test(run, the_grace_period_goes_by_the_virtual_clock_too)
{
    outlives_grace((weft_options){.clock = WEFT_CLOCK_VIRTUAL});
}

static int
leave_a_slow_one(void *arg)
{
    (void)arg;
    T_OK(weft_task_spawn(NULL, sleep_behind_a_shield, T_NUMBER(WEFT_SEC(4)), NULL));
    return weft_yield();
}

Test(run, within_the_grace_period_is_in_time)
{
    t_run_virtual(leave_a_slow_one, NULL, 1, 0);
}

static uint32_t posted, called;

static void
post_again(void *arg)
{
    called++;
    posted += weft_loop_post(weft_loop_current(), post_again, arg) == 0;
}

static int
post_until_the_end(void *arg)
{
    int rc = weft_loop_post(weft_loop_current(), post_again, arg);
    posted += rc == 0;
    return rc;
}

Test(run, posts_that_post_on_are_refused_at_the_end_and_what_was_accepted_is_called)
{
    int64_t before = weft__sys_monotonic();
    T_OK(weft_run(post_until_the_end, NULL, &quiet));
    cr_assert(weft__sys_monotonic() - before < WEFT_SEC(3));
    cr_assert(posted > 0 && called == posted, "%u accepted, %u called", posted, called);
    posted = called = 0;
    t_run_virtual(post_until_the_end, NULL, 2, 0);
    cr_assert(posted > 0 && called == posted, "%u accepted, %u called", posted, called);
}

static int
block_a_little(void *arg)
{
    struct left *left = arg;
    weft__fetch_add(&left->began, 1);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    weft__fetch_add(&left->ended, 1);
    return 0;
}

static int
call_blocking(void *arg)
{
    return weft_blocking(block_a_little, arg);
}

static int
leave_blocking_calls(void *arg)
{
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_spawn(NULL, call_blocking, arg, NULL));
    while (weft__load(&((struct left *)arg)->began) == 0)
        T_OK(weft_sleep(WEFT_MS(1)));
    return 0;
}

Test(run, blocking_calls_in_progress_are_waited_for)
{
    struct left left = {0};
    t_run_loops(leave_blocking_calls, &left, 1);
    cr_assert(left.ended >= 1 && left.ended == left.began);
}

/* ---- Signals -------------------------------------------------------------------------------- */

static int
wait_for_signal(void *arg)
{
    struct left *left = arg;
    raise(left->result ? SIGTERM : SIGINT);
    return stay_until_cancelled(left);
}

Test(run, sigint_and_sigterm_cancel_the_main_task_and_let_it_clean_up)
{
    for (uint32_t term = 0; term < 2; term++) {
        struct left left = {.result = term};
        T_ERR(-ECANCELED, weft_run(wait_for_signal, &left, &(weft_options){.loops = 2}));
        cr_assert(left.ended == 1 && (int)left.result == -ECANCELED);
        left = (struct left){.result = term};
        T_ERR(-ECANCELED,
              weft_run(wait_for_signal, &left, &(weft_options){.clock = WEFT_CLOCK_VIRTUAL}));
        cr_assert(left.ended == 1);
    }
}

static void *
signal_process(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    kill(getpid(), SIGINT);
    return NULL;
}

static int
wait_for_a_later_signal(void *arg)
{
    pthread_t thread = t_thread(signal_process, NULL);
    int rc = stay_until_cancelled(arg);
    t_thread_join(thread);
    return rc;
}

Test(run, a_signal_wakes_a_loop_that_sleeps)
{
    struct left left = {0};
    T_ERR(-ECANCELED, weft_run(wait_for_a_later_signal, &left, &(weft_options){.loops = 2}));
    cr_assert(left.ended == 1);
}

static int
ignore_the_first(void *arg)
{
    (void)arg;
    raise(SIGINT);
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(10)));
    raise(SIGINT);
    weft_ignore(weft_sleep(WEFT_SEC(20)));
    weft_scope_close(&shield);
    return 0;
}

static void
run_until_killed(void)
{
    signal(SIGINT, SIG_DFL);
    weft_ignore(weft_run(ignore_the_first, NULL, &(weft_options){.loops = 1}));
}

Test(run, a_second_signal_kills)
{
    char text[1024];
    int status = t_child_run(run_until_killed, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "status %d: %s", status, text);
}

static void
users_handler(int number)
{
    (void)number;
}

static int
count_handlers(void *arg)
{
    struct sigaction now;
    int ours = 0;
    (void)arg;
    sigaction(SIGINT, NULL, &now);
    ours += now.sa_handler != users_handler && now.sa_handler != SIG_DFL;
    if (now.sa_handler != users_handler)
        cr_assert(now.sa_flags & SA_ONSTACK);
    sigaction(SIGTERM, NULL, &now);
    ours += now.sa_handler != SIG_IGN && now.sa_handler != SIG_DFL;
    return ours;
}

Test(run, dispositions_are_restored_and_ignored_signals_stay_ignored)
{
    struct sigaction mine = {.sa_handler = users_handler}, now;
    sigaction(SIGINT, &mine, NULL);
    signal(SIGTERM, SIG_IGN);
    T_ERR(1, weft_run(count_handlers, NULL, &(weft_options){.loops = 1}));
    sigaction(SIGINT, NULL, &now);
    cr_assert(now.sa_handler == users_handler);
    sigaction(SIGTERM, NULL, &now);
    cr_assert(now.sa_handler == SIG_IGN);
}

Test(run, without_signals_dispositions_are_left_alone)
{
    struct sigaction mine = {.sa_handler = users_handler};
    sigaction(SIGINT, &mine, NULL);
    T_OK(weft_run(count_handlers, NULL, &quiet));
}

static int
stay_while_others_run(void *arg)
{
    int *results = arg;
    int rc = weft_sleep(WEFT_MS(5));
    results[0] = count_handlers(NULL);
    return rc;
}

static void *
short_run(void *arg)
{
    *(int *)arg = weft_run(t_give, NULL, &(weft_options){.loops = 1});
    return NULL;
}

Test(run, the_last_of_several_runtimes_restores)
{
    int handlers = 0, other = 1;
    pthread_t thread = t_thread(short_run, &other);
    T_OK(weft_run(stay_while_others_run, &handlers, &(weft_options){.loops = 1}));
    t_thread_join(thread);
    T_OK(other);
    cr_assert(handlers == 2);
    struct sigaction now;
    sigaction(SIGINT, NULL, &now);
    cr_assert(now.sa_handler == SIG_DFL);
}
