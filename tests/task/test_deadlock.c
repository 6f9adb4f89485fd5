/*
 * test_deadlock.c - under the virtual clock, tasks that all wait for each other come to an end.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <weft/executor.h>
#include <weft/fd.h>
#include <weft/group.h>
#include <weft/sync.h>

#include "base/t_child.h"
#include "task/t_core.h"
#include "base/mem.h"
#include "task/task_priv.h"

TestSuite(deadlock, .timeout = 60);

/* It is certain only where no other thread could still wake somebody. A test's process may have one
 * more, so what is certain is tried in a child, which has one alone. */
#ifdef WEFT__SAN_THREAD
#define SKIP_UNLESS_ALONE() cr_skip_test("ThreadSanitizer has a thread of its own")
#else
#define SKIP_UNLESS_ALONE() ((void)0)
#endif

/* In the child. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s: %s\n%s", __func__, #condition, t_log_text);                       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void
in_child(void (*fn)(void))
{
    static char text[16384];
    int status = t_child_run(fn, text, sizeof text);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d %s", status, text);
}

static weft_semaphore fork_one, fork_two;
static weft_options options;

/* Every test begins with this. */
static void
lay_table(unsigned loops)
{
    T_OK(weft_semaphore_open(&fork_one, 1));
    T_OK(weft_semaphore_open(&fork_two, 1));
    options =
        (weft_options){.loops = loops, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE};
    t_log_begin();
}

static int
dine(weft_semaphore *first, weft_semaphore *second)
{
    int rc = weft_semaphore_acquire(first);
    if (rc < 0)
        return rc;
    rc = weft_sleep(WEFT_MS(1)); /* until the other has one too */
    if (rc == 0)
        rc = weft_semaphore_acquire(second);
    if (rc == 0)
        weft_semaphore_release(second);
    weft_semaphore_release(first);
    return rc;
}

static int
one_first(void *arg)
{
    (void)arg;
    return dine(&fork_one, &fork_two);
}

static int
two_first(void *arg)
{
    (void)arg;
    return dine(&fork_two, &fork_one);
}

static int
philosophers(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_ignore(
        weft_group_spawn_with(&group, one_first, NULL, &(weft_task_options){.name = "Plato"}));
    weft_ignore(
        weft_group_spawn_with(&group, two_first, NULL, &(weft_task_options){.name = "Socrates"}));
    return weft_group_close(&group);
}

static void
dine_and_read_the_log(void)
{
    lay_table(1);
    size_t blocks = weft__mem_blocks();
    CHECK(weft_run(philosophers, NULL, &options) == -EDEADLK);
    CHECK(strstr(weft_error_text(), "waited for each other") != NULL);
    CHECK(weft__mem_blocks() == blocks);
    CHECK(t_logged("deadlock"));
    CHECK(t_logged("task \"Plato\" cannot go on: waits for semaphore 0x"));
    CHECK(t_logged("task \"Socrates\" cannot go on: waits for semaphore 0x"));
    CHECK(t_logged("task \"main\" cannot go on: waits for children of group 0x"));
    CHECK(t_logged("spawned at philosophers+0x"));
    /* They were cancelled, and put back what they had. */
    CHECK(weft_semaphore_try_acquire(&fork_one) == 0);
    CHECK(weft_semaphore_try_acquire(&fork_two) == 0);
}

Test(deadlock, weft_run_says_so_and_the_log_says_who_waits_for_what)
{
    SKIP_UNLESS_ALONE();
    in_child(dine_and_read_the_log);
}

static void
dine_on_three_loops(void)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        lay_table(3);
        options.seed = seed;
        CHECK(weft_run(philosophers, NULL, &options) == -EDEADLK);
    }
}

Test(deadlock, over_several_loops_in_any_order)
{
    SKIP_UNLESS_ALONE();
    in_child(dine_on_three_loops);
}

static void
dine_watched(void)
{
    lay_table(2);
    options.debug = 1;
    options.slow = WEFT_SEC(30);
    CHECK(weft_run(philosophers, NULL, &options) == -EDEADLK);
    CHECK(weft__debug_threads() == 1);
}

Test(deadlock, in_debug_mode_too)
{
    SKIP_UNLESS_ALONE();
    in_child(dine_watched);
}

/* ---- Tasks that cannot be cancelled --------------------------------------------------------- */

static int
shielded(void *arg)
{
    (void)arg;
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_semaphore_acquire(&fork_one));
    int rc = weft_semaphore_acquire(&fork_one);
    weft_ignore(weft_scope_close(&shield));
    return rc;
}

/* What is abandoned stays in memory: in a child. */

static void
run_shielded(void)
{
    lay_table(1);
    int rc = weft_run(shielded, NULL, &options);
    CHECK(rc == -EDEADLK);
    CHECK(t_logged("task \"main\" outlived the grace period"));
}

Test(deadlock, a_main_task_behind_a_shield_is_abandoned_after_the_grace_period)
{
    SKIP_UNLESS_ALONE();
    in_child(run_shielded);
}

static int
leave_shielded(void *arg)
{
    T_OK(weft_task_spawn(NULL, shielded, arg, &(weft_task_options){.name = "stubborn"}));
    return weft_sleep(WEFT_MS(1));
}

static void
run_graceful(void)
{
    lay_table(2);
    options.grace = WEFT_FOREVER;
    int rc = weft_run(leave_shielded, NULL, &options);
    CHECK(rc == -EDEADLK);
    CHECK(t_logged("task \"stubborn\" outlived the grace period"));
}

Test(deadlock, a_grace_period_without_end_ends_there)
{
    SKIP_UNLESS_ALONE();
    in_child(run_graceful);
}

/* ---- What is none --------------------------------------------------------------------------- */

static void *
release_late(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    weft_semaphore_release(arg);
    return NULL;
}

static int
wait_for_thread(void *arg)
{
    (void)arg;
    T_OK(weft_semaphore_acquire(&fork_one));
    return weft_semaphore_acquire(&fork_one);
}

Test(deadlock, is_not_when_a_thread_can_still_help)
{
    lay_table(2);
    pthread_t thread = t_thread(release_late, &fork_one);
    T_OK(weft_run(wait_for_thread, NULL, &options));
    t_thread_join(thread);
    cr_assert_str_eq(t_log_text, "");
}

static void *
end_late(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return arg;
}

static void
dine_with_a_guest(void)
{
    lay_table(1);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, end_late, NULL) == 0);
    CHECK(weft_run(philosophers, NULL, &options) == -EDEADLK);
    CHECK(pthread_join(thread, NULL) == 0);
}

Test(deadlock, is_found_once_the_last_thread_has_ended)
{
    SKIP_UNLESS_ALONE();
    in_child(dine_with_a_guest);
}

static int
sit(void *arg)
{
    return end_late(arg) == arg ? 0 : -EIO;
}

static int
wait_for_call(void *arg)
{
    return weft_blocking(sit, arg);
}

static void
run_wait_for_call(void)
{
    lay_table(1);
    CHECK(weft_run(wait_for_call, NULL, &options) == 0);
}

Test(deadlock, is_not_when_a_call_is_in_progress)
{
    SKIP_UNLESS_ALONE();
    in_child(run_wait_for_call);
}

static int
wait_for_timer_signal(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_FOREVER);
}

static int
wait_for_child(void *arg)
{
    (void)arg;
    int raw[2];
    weft_fd fd;
    char byte;
    cr_assert(pipe(raw) == 0);
    T_OK(weft_fd_open(&fd, raw[0]));
    pid_t child = fork();
    if (child == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        _exit(write(raw[1], "x", 1) == 1 ? 0 : 1);
    }
    cr_assert(weft_fd_read(&fd, &byte, 1) == 1);
    cr_assert(waitpid(child, NULL, 0) == child);
    weft_fd_close(&fd);
    close(raw[1]);
    return 0;
}

static void
run_wait_for_child(void)
{
    lay_table(1);
    CHECK(weft_run(wait_for_child, NULL, &options) == 0);
}

Test(deadlock, is_not_when_a_descriptor_is_waited_for)
{
    SKIP_UNLESS_ALONE();
    in_child(run_wait_for_child);
}

static void
run_until_signal(void)
{
    lay_table(1);
    options.signals = WEFT_SIGNALS_CANCEL;
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    struct itimerspec soon = {.it_value = {.tv_nsec = 50000000}};
    CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
    CHECK(weft_run(wait_for_timer_signal, NULL, &options) == -ECANCELED);
    CHECK(!t_logged("deadlock"));
}

Test(deadlock, is_not_when_the_main_task_sleeps_until_a_signal_comes)
{
    SKIP_UNLESS_ALONE();
    in_child(run_until_signal);
}
