/*
 * test_sys.c - system calls: negative errno, EINTR, close-on-exec, failing on demand; futex.
 */
#include <pthread.h>
#include <string.h>
#include <sys/time.h>

#include "t.h"
#include "base/atomic.h"
#include "base/sys.h"

TestSuite(sys, .timeout = 20);

#define MS INT64_C(1000000)

Test(sys, failures_are_negative_errno)
{
    char byte;
    T_ERR(-EBADF, weft__sys_read(-1, &byte, 1));
    T_ERR(-ESRCH, weft__sys_kill(0x7ffffff, 0));
    T_ERR(-ECHILD, weft__sys_waitpid(-1, NULL, WNOHANG));
}

static void
assert_cloexec(int fd)
{
    cr_assert(fd >= 0);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    weft__sys_close(fd);
}

Test(sys, descriptors_are_closed_on_exec)
{
    int fds[2];
    assert_cloexec(weft__sys_eventfd(0));
    assert_cloexec(weft__sys_socket(AF_UNIX, SOCK_STREAM, 0));
    T_OK(weft__sys_pipe(fds));
    assert_cloexec(fds[0]);
    assert_cloexec(fds[1]);
    T_OK(weft__sys_socketpair(AF_UNIX, SOCK_STREAM, fds));
    assert_cloexec(fds[0]);
    assert_cloexec(fds[1]);
}

Test(sys, torture_fails_a_call_with_the_errno_asked_for)
{
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 2, false, EMFILE);
    int fd = weft__sys_eventfd(0);
    cr_assert(fd >= 0);
    T_ERR(-EMFILE, weft__sys_eventfd(0));
    weft__sys_close(fd);
    cr_assert(weft__torture_disarm(WEFT__TORTURE_SYSCALL) == 2);
}

static volatile sig_atomic_t n_alarms;
static int pipe_fds[2];

/* The third interruption brings what the reader waits for. */
static void
on_alarm(int number)
{
    (void)number;
    if (++n_alarms == 3)
        (void)!write(pipe_fds[1], "x", 1);
}

Test(sys, an_interrupted_call_is_repeated)
{
    T_OK(weft__sys_pipe(pipe_fds));
    struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    T_OK(sigaction(SIGALRM, &action, NULL));
    struct itimerval every = {.it_interval = {.tv_usec = 5000}, .it_value = {.tv_usec = 5000}};
    T_OK(setitimer(ITIMER_REAL, &every, NULL));
    char byte = 0;
    ssize_t rc = weft__sys_read(pipe_fds[0], &byte, 1);
    every = (struct itimerval){0};
    T_OK(setitimer(ITIMER_REAL, &every, NULL));
    cr_assert(rc == 1 && byte == 'x' && n_alarms >= 3);
    weft__sys_close(pipe_fds[0]);
    weft__sys_close(pipe_fds[1]);
}

Test(sys, ppoll_waits_as_long_as_asked)
{
    int64_t start = weft__sys_monotonic();
    T_OK(weft__sys_ppoll(NULL, 0, 20 * MS));
    cr_assert(weft__sys_monotonic() - start >= 20 * MS);
}

Test(sys, a_futex_with_another_value_does_not_wait)
{
    uint32_t word = 1;
    T_ERR(-EAGAIN, weft__sys_futex_wait(&word, 0, -1));
}

Test(sys, a_futex_wait_times_out)
{
    uint32_t word = 0;
    int64_t start = weft__sys_monotonic();
    T_ERR(-ETIMEDOUT, weft__sys_futex_wait(&word, 0, 20 * MS));
    cr_assert(weft__sys_monotonic() - start >= 20 * MS);
}

static uint32_t shared_word;

static void *
wait_for_word(void *arg)
{
    (void)arg;
    while (weft__load(&shared_word) == 0)
        (void)weft__sys_futex_wait(&shared_word, 0, -1);
    return NULL;
}

Test(sys, a_futex_wake_ends_the_wait)
{
    pthread_t thread;
    T_OK(weft__sys_thread_create(&thread, NULL, wait_for_word, NULL));
    T_OK(weft__sys_ppoll(NULL, 0, 10 * MS)); /* mostly it sleeps by now; either way it must end */
    weft__store(&shared_word, 1);
    weft__sys_futex_wake(&shared_word, 1);
    T_OK(pthread_join(thread, NULL));
}
