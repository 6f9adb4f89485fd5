/*
 * test_clock.c - the virtual clock: it starts at 0, jumps when all is idle, and stands still while
 * somebody works outside of it.
 */
#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <weft/executor.h>
#include <weft/fd.h>
#include <weft/future.h>
#include <weft/group.h>

#include "task/t_core.h"
#include "base/sys.h"

TestSuite(clock, .timeout = 60);

TASK_TEST(clock, begins_at_zero_and_moves_only_by_waiting)
{
    cr_assert(weft_now() == 0);
    for (int i = 0; i < 100; i++)
        T_OK(weft_yield());
    cr_assert(weft_now() == 0);
    T_OK(weft_sleep(WEFT_MS(7)));
    cr_assert(weft_now() == WEFT_MS(7));
    T_OK(weft_sleep_until(WEFT_MS(3)));
    cr_assert(weft_now() == WEFT_MS(7));
    T_OK(weft_sleep(1));
    cr_assert(weft_now() == WEFT_MS(7) + 1);
}

Test(clock, twelve_hours_pass_in_a_moment)
{
    int64_t before = weft__sys_monotonic();
    t_run_virtual(t_sleep_ms, T_NUMBER(12 * 3600 * 1000), 1, 0);
    cr_assert(weft__sys_monotonic() - before < WEFT_SEC(2));
}

struct player {
    weft_time each;
    int moves;
    weft_time end;
};

static int
play(void *arg)
{
    struct player *player = arg;
    for (int i = 0; i < player->moves; i++) {
        int rc = weft_sleep(player->each);
        if (rc < 0)
            return rc;
    }
    player->end = weft_now();
    return 0;
}

/* 24 boards, 30 moves each: half an hour of waiting each, all at once. */
static int
play_all(void *arg)
{
    struct player *players = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 24; i++) {
        players[i] = (struct player){.each = WEFT_SEC(i + 1), .moves = 30};
        int on = WEFT_ON(i % (int)weft_loop_count());
        weft_group_spawn_with(&group, play, &players[i], &(weft_task_options){.on = on});
    }
    return weft_group_close(&group);
}

static void
play_on(unsigned loops, uint64_t seed)
{
    struct player players[24];
    t_run_virtual(play_all, players, loops, seed);
    for (int i = 0; i < 24; i++)
        cr_assert(players[i].end == 30 * WEFT_SEC(i + 1), "board %d", i);
}

Test(clock, sleepers_wake_at_their_time_exactly)
{
    play_on(1, 0);
}

Test(clock, several_loops_share_one_time)
{
    play_on(3, 0);
    play_on(5, 77);
}

static int
time_there(void *arg)
{
    int rc = weft_sleep(WEFT_MS(10));
    *(weft_time *)arg = weft_now();
    return rc;
}

static int
compare_times(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < weft_loop_count(); i++) {
        weft_time there = 0, before = weft_now();
        T_OK(weft_loop_call(weft_loop_at(i), time_there, &there));
        cr_assert(there == before + WEFT_MS(10) && there == weft_now());
    }
    return 0;
}

Test(clock, a_call_on_another_loop_sees_the_same_time)
{
    t_run_virtual(compare_times, NULL, 3, 0);
}

static int
block_30_ms(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    return 9;
}

static int
tick(void *arg)
{
    int *ticks = arg;
    for (;;) {
        int rc = weft_sleep(WEFT_MS(1));
        if (rc < 0)
            return rc;
        ++*ticks;
    }
}

TASK_TEST(clock, stands_still_while_an_executor_works)
{
    int ticks = 0;
    weft_task *task;
    T_OK(weft_task_spawn(&task, tick, &ticks, NULL));
    T_ERR(9, weft_blocking(block_30_ms, NULL));
    cr_assert(ticks == 0 && weft_now() == 0, "%d ticks", ticks);
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert(ticks >= 4);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
}

static void *
set_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    weft_future_set(arg, 4);
    return NULL;
}

TASK_TEST(clock, with_nothing_to_jump_to_it_waits_for_other_threads)
{
    weft_future future;
    weft_future_open(&future);
    pthread_t thread = t_thread(set_later, &future);
    int result;
    T_OK(weft_future_wait(&future, &result));
    cr_assert(result == 4 && weft_now() == 0);
    t_thread_join(thread);
    weft_future_close(&future);
}

static void *
write_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    ssize_t rc = write(*(int *)arg, "x", 1);
    (void)rc;
    return NULL;
}

/* Reads a byte that comes after 20 real milliseconds; gives the virtual time it took. */
static int
read_late_byte(void *arg)
{
    weft_time *ret_time = arg;
    int fds[2];
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    weft_fd fd;
    T_OK(weft_fd_open(&fd, fds[0]));
    pthread_t thread = t_thread(write_later, &fds[1]);
    char byte;
    weft_scope scope;
    weft_scope_open(&scope, WEFT_SEC(3600));
    ssize_t n = weft_fd_read(&fd, &byte, 1);
    weft_ignore(weft_scope_close(&scope));
    *ret_time = weft_now();
    t_thread_join(thread);
    weft_fd_close(&fd);
    close(fds[1]);
    return (int)n;
}

Test(clock, waiting_for_a_descriptor_holds_it_only_when_asked)
{
    weft_time took;
    weft_options options = {.clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE};
    T_ERR(-ETIMEDOUT, weft_run(read_late_byte, &took, &options));
    cr_assert(took == WEFT_SEC(3600));
    options.hold_for_io = 1;
    T_ERR(1, weft_run(read_late_byte, &took, &options));
    cr_assert(took == 0);
}

static int
run_inside_thread(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_SEC(1000));
}

static void *
virtual_thread(void *arg)
{
    *(int *)arg = weft_run(
        run_inside_thread, NULL,
        &(weft_options){.loops = 2, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE});
    return NULL;
}

Test(clock, runtimes_of_several_threads_have_each_their_own)
{
    int results[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = t_thread(virtual_thread, &results[i]);
    for (int i = 0; i < 4; i++) {
        t_thread_join(threads[i]);
        T_OK(results[i]);
    }
}

LOOPS_TEST(clock, the_real_one_never_wakes_early, 1)
{
    for (int i = 0; i < 20; i++) {
        weft_time start = weft_now();
        T_OK(weft_sleep(WEFT_US(100 * i)));
        cr_assert(weft_now() - start >= WEFT_US(100 * i));
    }
}

Test(clock, a_plain_thread_sleeps_as_a_thread)
{
    weft_time start = weft_now();
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert(weft_now() - start >= WEFT_MS(5));
    T_OK(weft_sleep(0));
    T_OK(weft_sleep_until(start));
    T_OK(weft_yield());
    T_OK(weft_checkpoint());
}

static int
set_flag_there(void *arg)
{
    weft__store((uint32_t *)arg, 1);
    return 0;
}

static int
yield_until_set(void *arg)
{
    uint32_t flag = 0;
    (void)arg;
    T_OK(weft_task_spawn(NULL, set_flag_there, &flag, &(weft_task_options){.on = WEFT_ON(1)}));
    while (!weft__load(&flag))
        T_OK(weft_yield());
    return 0;
}

Test(clock, a_busy_loop_lets_the_others_of_its_thread_run)
{
    t_run_virtual(yield_until_set, NULL, 2, 0);
    t_run_virtual(yield_until_set, NULL, 2, 3);
}
