/*
 * reaper.c - runs a program to its end and notices every process it leaves behind.
 *
 *     reaper SECONDS PROGRAM [ARGUMENT...]
 *
 * The reaper is the subreaper of all it starts: a process orphaned by the program becomes its
 * child, whatever session or group it fled to. So after the program's end, children left are
 * processes left behind: they are named on stderr and killed, and the exit status is 90. So is one
 * that stays an orphan for long while the program runs, because it may hold the pipe on whose end
 * the program waits. Past SECONDS all that runs is named and killed and the status is 91. Otherwise
 * it is the program's own status, 128 + signal if one killed it.
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

/* No test needs an orphan of its own for longer. */
enum { ORPHAN_MS = 60000, ORPHANS_MAX = 256 };

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

/* The children of a process, from the kernel's list; at most cap of them. */
static size_t
children(pid_t parent, pid_t *pids, size_t cap)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
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

static size_t
read_file(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i + 1 < n; i++)
        if (text[i] == '\0' || text[i] == '\n')
            text[i] = ' ';
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* One line: who it is and where in the kernel it waits. */
static void
describe(const char *what, pid_t pid)
{
    char command[256], stat[512], wait[64];
    read_file(pid, "cmdline", command, sizeof command);
    read_file(pid, "stat", stat, sizeof stat);
    read_file(pid, "wchan", wait, sizeof wait);
    const char *state = strrchr(stat, ')');
    fprintf(stderr, "%s: process %d, state %c, in %s: %s\n", what, (int)pid,
            state != NULL && state[1] != '\0' ? state[2] : '?', wait[0] != '\0' ? wait : "?",
            command);
}

static void
describe_all(pid_t parent)
{
    pid_t pids[64];
    size_t n = children(parent, pids, 64);
    for (size_t k = 0; k < n; k++) {
        describe("still running", pids[k]);
        describe_all(pids[k]);
    }
}

/* Orphans, since when each is known to be one. */
static struct orphan {
    pid_t pid;
    long since;
} orphans[ORPHANS_MAX];

/* Kills the orphans that have stayed too long; whether there was one. */
static bool
watch_orphans(pid_t program)
{
    pid_t pids[ORPHANS_MAX];
    size_t n = children(getpid(), pids, ORPHANS_MAX), kept = 0;
    struct orphan now[ORPHANS_MAX];
    bool killed = false;
    for (size_t k = 0; k < n; k++) {
        if (pids[k] == program)
            continue;
        long since = now_ms();
        for (size_t i = 0; i < ORPHANS_MAX && orphans[i].pid != 0; i++)
            if (orphans[i].pid == pids[k])
                since = orphans[i].since;
        if (now_ms() - since > ORPHAN_MS) {
            describe("left behind", pids[k]);
            kill(pids[k], SIGKILL);
            killed = true;
        }
        now[kept++] = (struct orphan){pids[k], since};
    }
    memset(orphans, 0, sizeof orphans);
    memcpy(orphans, now, kept * sizeof now[0]);
    return killed;
}

/* Kills generation after generation: the children of the killed become ours. */
static void
kill_all(void)
{
    for (int i = 0; i < 500; i++) {
        pid_t pids[256];
        size_t n = children(getpid(), pids, 256);
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
        /* A shell has what it starts in the background ignore it, and tests raise it. */
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }

    long deadline = now_ms() + seconds * 1000;
    long look = now_ms();
    int status = 0;
    bool ended = false, left_behind = false;
    while (!ended) {
        int st;
        pid_t pid = waitpid(-1, &st, WNOHANG);
        if (pid == program) {
            status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
            ended = true;
        } else if (pid <= 0 && now_ms() > deadline) {
            fprintf(stderr, "%s: not finished after %ld s\n", argv[2], seconds);
            describe_all(getpid());
            kill_all();
            return TIMED_OUT;
        } else if (pid <= 0) {
            if (now_ms() - look > 1000) {
                look = now_ms();
                left_behind |= watch_orphans(program);
            }
            nap();
        }
    }

    for (long end = now_ms() + GRACE_MS; now_ms() < end; nap()) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return left_behind ? LEFT_BEHIND : status;
    }
    pid_t pids[256];
    size_t n = children(getpid(), pids, 256);
    for (size_t k = 0; k < n; k++)
        describe("left behind", pids[k]);
    kill_all();
    return LEFT_BEHIND;
}
