/*
 * test_here.c - one task on the calling thread: what it costs, what it may do.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/executor.h>
#include <weft/fd.h>
#include <weft/future.h>
#include <weft/group.h>

#include "task/t_core.h"
#include "base/sys.h"

TestSuite(here, .timeout = 60);

static int
count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

Test(here, returns_what_the_task_returned)
{
    T_ERR(5, weft_run_here(t_give, T_NUMBER(5)));
    T_ERR(-EDOM, weft_run_here(t_give, T_NUMBER(-EDOM)));
    cr_assert(weft_loop_count() == 0);
}

struct alone {
    int before;
    int during;
    int fds[2];
    weft_future future;
};

static int
wait_alone(void *arg)
{
    struct alone *alone = arg;
    T_OK(weft_yield());
    T_OK(weft_checkpoint());
    T_OK(weft_sleep(WEFT_MS(2)));
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(2));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_SEC(10)));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    int result;
    T_OK(weft_future_wait(&alone->future, &result));
    cr_assert(result == 12);

    weft_fd fd;
    T_OK(weft_fd_open(&fd, alone->fds[0]));
    char byte;
    weft_scope_open(&scope, weft_now() + WEFT_MS(2));
    T_ERR(-ETIMEDOUT, weft_fd_read(&fd, &byte, 1));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_ERR(1, weft_fd_write(&fd, "q", 1)); /* asks the other thread for an answer */
    T_ERR(1, weft_fd_read(&fd, &byte, 1));
    cr_assert(byte == 'a');
    alone->during = count_fds();
    T_ERR(alone->fds[0], weft_fd_release(&fd));
    return 0;
}

static void *
answer(void *arg)
{
    struct alone *alone = arg;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    weft_future_set(&alone->future, 12);
    char byte;
    if (read(alone->fds[1], &byte, 1) == 1) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        ssize_t rc = write(alone->fds[1], "a", 1);
        (void)rc;
    }
    return NULL;
}

Test(here, alone_it_opens_no_descriptor)
{
    struct alone alone;
    weft_future_open(&alone.future);
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, alone.fds) == 0);
    alone.before = count_fds();
    pthread_t thread = t_thread(answer, &alone);
    T_OK(weft_run_here(wait_alone, &alone));
    t_thread_join(thread);
    cr_assert(alone.during == alone.before, "%d, %d", alone.during, alone.before);
    cr_assert(count_fds() == alone.before);
    weft_future_close(&alone.future);
}

static int
sleep_long(void *arg)
{
    weft_time before = weft_now();
    int rc = weft_sleep(WEFT_MS(5));
    return rc < 0 ? rc : weft_now() - before >= *(weft_time *)arg;
}

Test(here, sleeps_in_real_time)
{
    weft_time least = WEFT_MS(5);
    T_ERR(1, weft_run_here(sleep_long, &least));
}

static int
spawn_some(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 10; i++)
        weft_group_spawn(&group, t_sleep_ms, T_NUMBER(i % 3));
    int rc = weft_group_close(&group);
    if (rc < 0)
        return rc;
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(6), &(weft_task_options){.on = WEFT_LOOP_ANY}));
    T_OK(weft_task_join(task, &result));
    cr_assert(weft_loop_count() == 1 && weft_loop_index(weft_loop_current()) == 0);
    return result;
}

Test(here, spawning_makes_it_a_full_loop)
{
    T_ERR(6, weft_run_here(spawn_some, NULL));
    T_ERR(6, weft_run_here(spawn_some, NULL));
}

struct pair {
    int fds[2];
    int got;
};

static void spawn_echo(void *arg);

static int
write_a_byte(void *arg)
{
    struct pair *pair = arg;
    ssize_t n = write(pair->fds[1], "z", 1);
    return n == 1 ? 0 : -EIO;
}

static void
spawn_echo(void *arg)
{
    T_OK(weft_task_spawn(NULL, write_a_byte, arg, NULL));
}

static int
become_full_while_waiting(void *arg)
{
    struct pair *pair = arg;
    weft_fd fd;
    char byte = 0;
    T_OK(weft_fd_open(&fd, pair->fds[0]));
    weft_callback later;
    weft_call_later(&later, WEFT_MS(3), spawn_echo, pair);
    T_ERR(1, weft_fd_read(&fd, &byte, 1));
    weft_fd_close(&fd);
    return byte;
}

Test(here, it_becomes_one_while_it_waits_for_a_descriptor)
{
    struct pair pair;
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.fds) == 0);
    T_ERR('z', weft_run_here(become_full_while_waiting, &pair));
    close(pair.fds[1]);
}

static int n_began;

static int
clean_up_late(void *arg)
{
    ++n_began;
    int rc = weft_sleep(WEFT_FOREVER);
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(3)));
    weft_scope_close(&shield);
    ++*(int *)arg;
    return rc;
}

static int
leave_some(void *arg)
{
    for (int i = 0; i < 5; i++)
        T_OK(weft_task_spawn(NULL, clean_up_late, arg, NULL));
    T_OK(weft_task_spawn(NULL, clean_up_late, arg, &(weft_task_options){.on = WEFT_LOOP_ANY}));
    while (n_began < 6)
        T_OK(weft_sleep(WEFT_MS(1)));
    return 0;
}

Test(here, what_it_left_behind_is_cancelled_and_waited_for)
{
    int ended = 0;
    T_OK(weft_run_here(leave_some, &ended));
    cr_assert(ended == 6, "%d", ended);
}

static int
block(void *arg)
{
    (void)arg;
    return 3;
}

static int
call_blocking(void *arg)
{
    (void)arg;
    return weft_blocking(block, NULL);
}

static int
defer_and_fail(void *arg)
{
    T_OK(weft_defer(free, malloc(8)));
    (void)arg;
    return weft_task_spawn(NULL, t_give, NULL, &(weft_task_options){.on = WEFT_ON(9)});
}

Test(here, deferred_functions_blocking_calls_and_error_texts_work)
{
    T_ERR(-EINVAL, weft_run_here(defer_and_fail, NULL));
    cr_assert(strstr(weft_error_text(), "no loop 9") != NULL, "%s", weft_error_text());
    T_ERR(3, weft_run_here(call_blocking, NULL));
}

static void *
cancel_handle(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    weft_task_cancel(arg);
    return NULL;
}

static int
be_cancelled(void *arg)
{
    pthread_t *thread = arg;
    *thread = t_thread(cancel_handle, weft_task_self());
    int rc = weft_sleep(WEFT_SEC(20));
    t_thread_join(*thread);
    return rc;
}

Test(here, another_thread_may_cancel_it)
{
    pthread_t thread;
    T_ERR(-ECANCELED, weft_run_here(be_cancelled, &thread));
    T_ERR(2, weft_run_here(t_give, T_NUMBER(2))); /* the next one is not */
}

/* ---- Many threads --------------------------------------------------------------------------- */

#define THREADS (100 / (T_SLOW > 5 ? 5 : 1))

static int
wait_in_turn(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS(2));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, t_sleep_ms, T_NUMBER(1));
    int closed = weft_group_close(&group);
    return rc < 0 ? rc : closed;
}

static void *
run_here_twice(void *arg)
{
    int *rc = arg;
    *rc = weft_run_here(wait_in_turn, NULL);
    if (*rc == 0)
        *rc = weft_run_here(wait_in_turn, NULL);
    return NULL;
}

Test(here, a_hundred_threads_and_nothing_left_of_them)
{
    static pthread_t threads[THREADS];
    static int results[THREADS];
    t_leak_begin();
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_thread(run_here_twice, &results[i]);
    for (int i = 0; i < THREADS; i++) {
        t_thread_join(threads[i]);
        T_OK(results[i]);
    }
    t_leak_end();
}
