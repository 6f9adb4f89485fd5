/*
 * test_debug.c - debug mode finds what is wrong, names it, and says nothing when all is well.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <weft/debug.h>
#include <weft/executor.h>
#include <weft/fd.h>
#include <weft/future.h>
#include <weft/group.h>
#include <weft/sync.h>

#include "base/t_child.h"
#include "task/t_core.h"
#include "task/task_priv.h"

TestSuite(debug, .timeout = 60);

/* ThreadSanitizer lets no child of a test have threads. */
#ifdef WEFT__SAN_THREAD
#define SKIP_WITHOUT_THREADS_IN_CHILDREN() cr_skip_test("a child cannot have threads here")
#else
#define SKIP_WITHOUT_THREADS_IN_CHILDREN() ((void)0)
#endif

#define SLOW WEFT_MS(20)
#define PATIENCE WEFT_SEC(20)

static const weft_options on_virtual = {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL};
/* What waits in real time is not to be reported as slow by a machine that is busy. */
static const weft_options on_one = {.loops = 1, .slow = WEFT_SEC(30)};

/* Lines come from the thread that watches, and are looked at meanwhile: not without a lock. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void
note_line(void *arg, weft_log_level level, const char *line)
{
    pthread_mutex_lock(&log_lock);
    t_log_line(arg, level, line);
    pthread_mutex_unlock(&log_lock);
}

static bool
logged(const char *words)
{
    pthread_mutex_lock(&log_lock);
    bool found = t_logged(words);
    pthread_mutex_unlock(&log_lock);
    return found;
}

static void
log_begin(void)
{
    t_log_begin();
    weft_set_log(note_line, NULL);
}

/* In debug mode, with what is logged kept. The log is whole once this returns. */
static int
run_debug(weft_task_fn *fn, void *arg, weft_options options)
{
    options.debug = 1;
    options.signals = WEFT_SIGNALS_NONE;
    t_leak_begin();
    log_begin();
    int rc = weft_run(fn, arg, &options);
    weft_set_log(NULL, NULL);
    t_leak_end();
    return rc;
}

static bool
logged_in_time(const char *words)
{
    for (int64_t until = weft__sys_monotonic() + PATIENCE; weft__sys_monotonic() < until;) {
        if (logged(words))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

#define ASSERT_LOGGED(words) cr_assert(logged(words), "%s is not in: %s", words, t_log_text)

static int
spawn_and_join(void *arg)
{
    (void)arg;
    weft_task *task;
    weft_group group;
    T_OK(weft_task_spawn(&task, t_sleep_ms, T_NUMBER(5), NULL));
    T_OK(weft_task_join(task, NULL));
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(1), NULL));
    weft_task_close(task);
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, t_sleep_ms, T_NUMBER(5)) == 0);
    return weft_group_close(&group);
}

Test(debug, nothing_is_said_when_all_is_well)
{
    T_OK(run_debug(spawn_and_join, NULL, on_virtual));
    cr_assert_str_eq(t_log_text, "");
    T_OK(run_debug(spawn_and_join, NULL, on_one));
    cr_assert_str_eq(t_log_text, "");
    T_OK(run_debug(spawn_and_join, NULL, (weft_options){.loops = 3, .slow = WEFT_SEC(30)}));
    cr_assert_str_eq(t_log_text, "");
}

/* ---- Tasks ---------------------------------------------------------------------------------- */

static __attribute__((noinline)) int
spawn_a_failure(void *arg)
{
    (void)arg;
    return weft_task_spawn(NULL, t_give, T_NUMBER(-EIO), &(weft_task_options){.name = "loser"});
}

Test(debug, a_failure_nobody_looked_at_says_where_its_task_was_spawned)
{
    T_OK(run_debug(spawn_a_failure, NULL, on_virtual));
    ASSERT_LOGGED("task \"loser\" failed and nobody looked");
    ASSERT_LOGGED("EIO");
    ASSERT_LOGGED("spawned at spawn_a_failure+0x");
}

static int
lose_handles(void *arg)
{
    (void)arg;
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(1), &(weft_task_options){.name = "lost"}));
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(-EIO), &(weft_task_options){.name = "worse"}));
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(1), &(weft_task_options){.name = "kept"}));
    return weft_task_join(task, NULL);
}

Test(debug, handles_neither_joined_nor_closed_are_named)
{
    T_OK(run_debug(lose_handles, NULL, on_virtual));
    ASSERT_LOGGED("task \"lost\" was neither joined nor closed, its handle is lost; spawned at "
                  "lose_handles+0x");
    ASSERT_LOGGED("task \"worse\" was neither joined nor closed");
    ASSERT_LOGGED("task \"worse\" failed and nobody looked");
    cr_assert(!logged("kept"), "%s", t_log_text);
}

static int
lose_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        weft_task *task;
        T_OK(weft_task_spawn(&task, t_give, T_NUMBER(1), NULL));
    }
    return 0;
}

Test(debug, of_many_handles_some_are_named_and_all_counted)
{
    T_OK(run_debug(lose_many, NULL, on_virtual));
    ASSERT_LOGGED("and 30 more");
}

Test(debug, without_it_handles_are_nobodys_business)
{
    log_begin();
    T_OK(weft_run(lose_handles, NULL, &on_virtual));
    weft_set_log(NULL, NULL);
    cr_assert_str_eq(t_log_text, "");
}

static weft_semaphore never;

static int
wait_for_never(void *arg)
{
    (void)arg;
    return weft_semaphore_acquire(&never);
}

static int
leave_waiting(void *arg)
{
    T_OK(weft_semaphore_open(&never, 0));
    T_OK(weft_task_spawn(NULL, wait_for_never, arg, &(weft_task_options){.name = "left"}));
    return weft_sleep(WEFT_MS(5));
}

Test(debug, tasks_alive_at_the_end_say_what_they_wait_for)
{
    T_OK(run_debug(leave_waiting, NULL, on_virtual));
    ASSERT_LOGGED(
        "task \"left\" is still alive at the end of the main task and is cancelled: waits "
        "for semaphore 0x");
    ASSERT_LOGGED("spawned at leave_waiting+0x");
}

static int
never_in_shield(void *arg)
{
    (void)arg;
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    int rc = weft_semaphore_acquire(&never);
    weft_ignore(weft_scope_close(&shield));
    return rc;
}

static int
leave_shielded(void *arg)
{
    T_OK(weft_semaphore_open(&never, 0));
    T_OK(weft_task_spawn(NULL, never_in_shield, arg, &(weft_task_options){.name = "stubborn"}));
    return weft_sleep(WEFT_MS(5));
}

/* Its memory is left behind: in a child. */
static void
abandon_one(void)
{
    log_begin();
    int rc = weft_run(leave_shielded, NULL,
                      &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .grace = 1000});
    _exit(rc == -ETIMEDOUT &&
                  logged("task \"stubborn\" outlived the grace period and is abandoned: waits for "
                         "semaphore 0x") &&
                  logged("spawned at leave_shielded+0x")
              ? 0
              : 1);
}

Test(debug, abandoned_tasks_say_what_they_wait_for_without_it_too)
{
    char text[512];
    int status = t_child_run(abandon_one, text, sizeof text);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", text);
}

/* ---- Loops that are blocked ----------------------------------------------------------------- */

/* As a call that knows nothing of tasks, until it was found out. */
static __attribute__((noinline)) int
block_until_reported(void)
{
    int rc = logged_in_time("been blocked for") && logged_in_time("  #2 ") ? 0 : -ETIME;
    __asm__ volatile("" ::: "memory"); /* no tail call: its frame is looked for */
    return rc;
}

static int
block(void *arg)
{
    (void)arg;
    return block_until_reported();
}

static int
spawn_blocker(void *arg)
{
    weft_task *task;
    int result = -1;
    int on = (int)(intptr_t)arg;
    T_OK(weft_task_spawn(&task, block, NULL, &(weft_task_options){.name = "blocker", .on = on}));
    T_OK(weft_task_join(task, &result));
    return result;
}

static void
assert_blocker_found(const char *who)
{
    ASSERT_LOGGED(who);
    ASSERT_LOGGED("by task \"blocker\", spawned at spawn_blocker+0x");
    ASSERT_LOGGED("block_until_reported+0x");
}

Test(debug, a_blocked_loop_is_reported_with_task_and_backtrace)
{
    T_OK(run_debug(spawn_blocker, NULL, (weft_options){.loops = 1, .slow = SLOW}));
    assert_blocker_found("loop 0 has been blocked for ");
}

Test(debug, a_blocked_loop_of_another_thread)
{
    T_OK(run_debug(spawn_blocker, T_NUMBER(WEFT_ON(1)), (weft_options){.loops = 2, .slow = SLOW}));
    assert_blocker_found("loop 1 has been blocked for ");
}

Test(debug, blocked_loops_under_the_virtual_clock)
{
    T_OK(run_debug(spawn_blocker, NULL,
                   (weft_options){.loops = 2, .clock = WEFT_CLOCK_VIRTUAL, .slow = SLOW}));
    assert_blocker_found("all loops have been blocked for ");
}

static int callback_result;

static void
blocking_callback(void *arg)
{
    (void)arg;
    callback_result = block_until_reported();
}

static int
post_blocker(void *arg)
{
    (void)arg;
    T_OK(weft_loop_post(weft_loop_current(), blocking_callback, NULL));
    T_OK(weft_yield());
    T_OK(weft_sleep(WEFT_MS(1)));
    return callback_result;
}

Test(debug, a_callback_that_blocks)
{
    T_OK(run_debug(post_blocker, NULL, (weft_options){.loops = 1, .slow = SLOW}));
    ASSERT_LOGGED("loop 0 has been blocked for ");
    ASSERT_LOGGED("by a callback");
    ASSERT_LOGGED("blocking_callback+0x");
}

static int
sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_MS(700));
}

Test(debug, a_loop_that_sleeps_is_not_blocked)
{
    T_OK(run_debug(sleep_long, NULL, (weft_options){.loops = 2, .slow = WEFT_MS(200)}));
    cr_assert_str_eq(t_log_text, "");
}

static int
block_for_nothing(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    return 0;
}

Test(debug, without_it_nobody_watches)
{
    log_begin();
    T_OK(weft_run(block_for_nothing, NULL, &(weft_options){.loops = 1, .slow = WEFT_MS(5)}));
    weft_set_log(NULL, NULL);
    cr_assert_str_eq(t_log_text, "");
}

static void *
run_on_thread(void *arg)
{
    weft_options *options = arg;
    return (void *)(intptr_t)weft_run(sleep_long, NULL, options);
}

Test(debug, several_runtimes_are_watched_at_once)
{
    weft_options options = {
        .loops = 2, .debug = 1, .slow = WEFT_SEC(30), .signals = WEFT_SIGNALS_NONE};
    log_begin();
    pthread_t thread = t_thread(run_on_thread, &options);
    T_OK(weft_run(spawn_blocker, NULL, &(weft_options){.loops = 1, .debug = 1, .slow = SLOW}));
    t_thread_join(thread);
    weft_set_log(NULL, NULL);
    assert_blocker_found("loop 0 has been blocked for ");
}

static int
count_rt_handlers(void)
{
    int n = 0;
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        struct sigaction present;
        if (sigaction(number, NULL, &present) == 0)
            n += (present.sa_flags & SA_SIGINFO) || present.sa_handler != SIG_DFL;
    }
    return n;
}

Test(debug, its_signal_is_given_back)
{
    int before = count_rt_handlers();
    T_OK(run_debug(spawn_and_join, NULL, on_one));
    cr_assert(count_rt_handlers() == before);
}

/* ---- Nothing can go on ---------------------------------------------------------------------- */

static int
wait_for_help(void *arg)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, wait_for_never, arg, &(weft_task_options){.name = "patient"}));
    return weft_task_join(task, NULL);
}

static void *
help_when_reported(void *arg)
{
    bool *reported = arg;
    *reported = logged_in_time("task \"patient\" cannot go on: waits for semaphore 0x") &&
                logged_in_time("task \"main\" cannot go on: waits for task \"patient\"");
    weft_semaphore_release(&never);
    return NULL;
}

Test(debug, tasks_that_seem_to_wait_for_nobody_are_reported)
{
    bool reported = false;
    T_OK(weft_semaphore_open(&never, 0));
    log_begin();
    pthread_t thread = t_thread(help_when_reported, &reported);
    T_OK(weft_run(
        wait_for_help, NULL,
        &(weft_options){.loops = 2, .debug = 1, .slow = SLOW, .signals = WEFT_SIGNALS_NONE}));
    t_thread_join(thread);
    weft_set_log(NULL, NULL);
    cr_assert(reported, "%s", t_log_text);
    ASSERT_LOGGED("it seems that nothing can go on");
    ASSERT_LOGGED("other threads of this process could still wake them");
}

/* Has who watches look again and again, as dumps on a signal do. */
static void *
disturb_and_help(void *arg)
{
    struct weft__runtime *runtime = arg;
    for (int i = 0; i < 5; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        weft__fetch_add(&runtime->debug_wake, 1);
        weft__sys_futex_wake(&runtime->debug_wake, 1);
    }
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    weft_semaphore_release(&never);
    return NULL;
}

static int
wait_while_disturbed(void *arg)
{
    (void)arg;
    pthread_t thread = t_thread(disturb_and_help, weft__sched_self()->runtime);
    int rc = weft_semaphore_acquire(&never);
    t_thread_join(thread);
    return rc;
}

Test(debug, nothing_is_ever_slow_when_that_takes_for_ever)
{
    T_OK(weft_semaphore_open(&never, 0));
    T_OK(run_debug(wait_while_disturbed, NULL, (weft_options){.loops = 1, .slow = WEFT_FOREVER}));
    cr_assert(t_log_text[0] == '\0', "%s", t_log_text);
    weft_semaphore_close(&never);
}

/* Things from outside: none of these is a deadlock, however long it takes. */

static int
sit(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 900000000}, NULL);
    return 0;
}

static int
wait_for_call(void *arg)
{
    return weft_blocking(sit, arg);
}

static void *
write_late(void *arg)
{
    sit(NULL);
    cr_assert(write((int)(intptr_t)arg, "x", 1) == 1);
    return NULL;
}

static int
wait_for_pipe(void *arg)
{
    (void)arg;
    int raw[2];
    weft_fd fd;
    char byte;
    cr_assert(pipe(raw) == 0);
    T_OK(weft_fd_open(&fd, raw[0]));
    pthread_t thread = t_thread(write_late, T_NUMBER(raw[1]));
    cr_assert(weft_fd_read(&fd, &byte, 1) == 1);
    t_thread_join(thread);
    weft_fd_close(&fd);
    close(raw[1]);
    return 0;
}

static int
select_pipe(void *arg)
{
    (void)arg;
    int raw[2];
    weft_fd fd;
    cr_assert(pipe(raw) == 0);
    T_OK(weft_fd_open(&fd, raw[0]));
    pthread_t thread = t_thread(write_late, T_NUMBER(raw[1]));
    weft_case cases[] = {weft_case_recv(NULL, NULL), weft_case_readable(&fd)};
    cr_assert(weft_select(cases, 2) == 1 && cases[1].result == 0);
    t_thread_join(thread);
    weft_fd_close(&fd);
    close(raw[1]);
    return 0;
}

Test(debug, who_waits_for_something_outside_is_not_stuck)
{
    weft_options options = {.loops = 1, .slow = WEFT_MS(50)};
    T_OK(run_debug(wait_for_call, NULL, options));
    cr_assert(!logged("cannot go on"), "%s", t_log_text);
    T_OK(run_debug(wait_for_pipe, NULL, options));
    cr_assert(!logged("cannot go on"), "%s", t_log_text);
    T_OK(run_debug(select_pipe, NULL, options));
    cr_assert(!logged("cannot go on"), "%s", t_log_text);
}

/* ---- Locks ---------------------------------------------------------------------------------- */

static int
hold_lock(void *arg)
{
    (void)arg;
    int lock = 0;
    weft__debug_lock_taken(&lock, "mutex");
    int rc = 0;
    for (int i = 0; i < 20000 && !logged("has held mutex") && rc == 0; i++)
        rc = weft_sleep(WEFT_MS(1));
    weft__debug_lock_released(&lock);
    return rc;
}

Test(debug, a_lock_held_across_a_long_wait_is_reported_with_its_holder)
{
    T_OK(run_debug(hold_lock, NULL, (weft_options){.loops = 1, .slow = SLOW}));
    ASSERT_LOGGED("task \"main\" has held mutex 0x");
    ASSERT_LOGGED("across a wait; it was spawned at hold_lock");
}

static int
hold_lock_shortly(void *arg)
{
    (void)arg;
    int locks[100] = {0};
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++) {
        weft__debug_lock_taken(&locks[i], "mutex");
        rc = weft_yield();
        weft__debug_lock_released(&locks[i]);
    }
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(400));
    return rc;
}

Test(debug, locks_held_shortly_are_not)
{
    T_OK(run_debug(hold_lock_shortly, NULL, (weft_options){.loops = 1, .slow = WEFT_MS(200)}));
    cr_assert(!logged("has held"), "%s", t_log_text);
}

/* ---- How it is asked for -------------------------------------------------------------------- */

static void
say_on_stderr(void)
{
    setenv("WEFT_DEBUG", "1", 1);
    unsetenv("WEFT_LOG");
    weft_ignore(weft_run(lose_handles, NULL, &on_virtual));
}

Test(debug, the_environment_turns_it_on_and_it_speaks_on_standard_error)
{
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    char text[2048];
    t_child_run(say_on_stderr, text, sizeof text);
    cr_assert(strstr(text, "weft: warning: task \"lost\" was neither joined nor closed") != NULL,
              "%s", text);
}

static void
be_quiet(void)
{
    setenv("WEFT_DEBUG", "1", 1);
    setenv("WEFT_LOG", "1", 1);
    weft_ignore(weft_run(lose_handles, NULL, &on_virtual));
    setenv("WEFT_DEBUG", "0", 1);
    setenv("WEFT_LOG", "3", 1);
    weft_ignore(weft_run(lose_handles, NULL, &on_virtual));
}

Test(debug, the_level_that_was_asked_for_stays)
{
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    char text[2048];
    t_child_run(be_quiet, text, sizeof text);
    cr_assert(strstr(text, "neither joined") == NULL, "%s", text);
}

Test(debug, a_limit_below_zero_is_refused)
{
    T_ERR(-EINVAL, weft_run(spawn_and_join, NULL, &(weft_options){.slow = -1}));
    cr_assert(strstr(weft_error_text(), "slow must not be negative") != NULL);
}

static int
break_a_promise(void *arg)
{
    (void)arg;
    weft_semaphore_open(&never, 0);
    T_OK(weft_task_spawn(NULL, wait_for_never, NULL, NULL));
    T_OK(weft_yield());
    weft_semaphore_close(&never);
    return 0;
}

static void
break_in_child(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    weft_ignore(weft_run(break_a_promise, NULL, &on_virtual));
}

Test(debug, a_broken_promise_names_the_task_that_broke_it)
{
    char text[1024];
    int status = t_child_run(break_in_child, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "a semaphore was closed while tasks wait (task \"main\")") != NULL, "%s",
              text);
}

/* ---- When memory or system calls fail ------------------------------------------------------- */

static int
tolerant(void *arg)
{
    (void)arg;
    weft_task *task;
    int rc = weft_task_spawn(&task, t_give, T_NUMBER(1), NULL);
    if (rc < 0)
        return rc;
    return weft_sleep(WEFT_MS(1));
}

static void
tolerant_scenario(void *arg)
{
    weft_ignore(weft_run(tolerant, NULL, arg));
}

Test(debug, it_does_without_what_it_cannot_have)
{
    weft_options options = {
        .loops = 2, .debug = 1, .slow = WEFT_SEC(30), .signals = WEFT_SIGNALS_NONE};
    log_begin();
    cr_assert(t_torture(WEFT__TORTURE_ALLOC, tolerant_scenario, &options) > 0);
    cr_assert(t_torture(WEFT__TORTURE_SYSCALL, tolerant_scenario, &options) > 0);
    weft_set_log(NULL, NULL);
}
