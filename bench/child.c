/*
 * child.c - starting our own program again, and ending what was started.
 *
 * Each child leads a process group, so its own children are found by it, and dies with us
 * (PR_SET_PDEATHSIG), so that not even SIGKILL to us leaves anything behind.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

int
bench_interrupted(void)
{
    return interrupted;
}

void
bench_signals_open(void)
{
    struct sigaction stop = {.sa_handler = on_interrupt}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

pid_t
bench_child_start(char *const argv[], int keep_fd)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        setpgid(pid, pid); /* both sides do it, so that it is done whoever comes first */
        return pid;
    }
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(3);
    signal(SIGPIPE, SIG_DFL); /* an ignored signal would be inherited, handlers are not */
    fcntl(keep_fd, F_SETFD, 0);
    execv("/proc/self/exe", argv);
    _exit(3);
}

int
bench_child_kill(pid_t pid)
{
    int status = 0;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}
