/*
 * reaper.c - runs a program to its end and notices every process it leaves behind.
 *
 *     reaper SECONDS PROGRAM [ARGUMENT...]
 *
 * The reaper is the subreaper of all it starts: a process orphaned by the program becomes its
 * child, whatever session or group it fled to. So after the program's end, children left are
 * processes left behind: they are named on stderr and killed, and the exit status is 90. Past
 * SECONDS everything is killed and the status is 91. Otherwise it is the program's own status,
 * 128 + signal if one killed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LEFT_BEHIND = 90, TIMED_OUT = 91, BROKEN = 92 };

/* A process may be dying of its parent's death just now: this long is not "left behind". */
enum { GRACE_MS = 1000, STEP_MS = 20 };

static long
now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

static void
nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
}

/* The children of this process, from the kernel's list; at most cap of them. */
static size_t
children(pid_t *pids, size_t cap)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    size_t n = 0;
    int pid;
    while (n < cap && fscanf(f, "%d", &pid) == 1)
        pids[n++] = pid;
    fclose(f);
    return n;
}

static void
describe(pid_t pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i + 1 < n; i++)
        if (line[i] == '\0')
            line[i] = ' ';
    line[n > 0 ? n : 0] = '\0';
    fprintf(stderr, "left behind: process %d: %s\n", (int)pid, line);
}

/* Kills generation after generation: the children of the killed become ours. */
static void
kill_all(void)
{
    for (int i = 0; i < 500; i++) {
        pid_t pids[256];
        size_t n = children(pids, 256);
        for (size_t k = 0; k < n; k++)
            kill(pids[k], SIGKILL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return;
        nap();
    }
}

int
main(int argc, char **argv)
{
    long seconds = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (seconds <= 0) {
        fprintf(stderr, "usage: reaper SECONDS PROGRAM [ARGUMENT...]\n");
        return BROKEN;
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
        perror("reaper: prctl");
        return BROKEN;
    }
    pid_t program = fork();
    if (program < 0) {
        perror("reaper: fork");
        return BROKEN;
    }
    if (program == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }

    long deadline = now_ms() + seconds * 1000;
    int status = 0;
    bool ended = false;
    while (!ended) {
        int st;
        pid_t pid = waitpid(-1, &st, WNOHANG);
        if (pid == program) {
            status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
            ended = true;
        } else if (pid <= 0 && now_ms() > deadline) {
            fprintf(stderr, "%s: not finished after %ld s\n", argv[2], seconds);
            kill_all();
            return TIMED_OUT;
        } else if (pid <= 0) {
            nap();
        }
    }

    for (long end = now_ms() + GRACE_MS; now_ms() < end; nap()) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return status;
    }
    pid_t pids[256];
    size_t n = children(pids, 256);
    for (size_t k = 0; k < n; k++)
        describe(pids[k]);
    kill_all();
    return LEFT_BEHIND;
}
