/*
 * t_child.h - what a function writes to standard error, and how it ends, seen from outside.
 */
#ifndef WEFT_TESTS_BASE_T_CHILD_H
#define WEFT_TESTS_BASE_T_CHILD_H

#include <criterion/criterion.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

/* Runs fn in a forked child. Returns its wait status; text is what it wrote to standard error. */
static inline int
t_child_run(void (*fn)(void), char *text, size_t text_bytes)
{
    int fds[2];
    cr_assert(pipe(fds) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fds[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    ssize_t rc;
    while ((rc = read(fds[0], text + len, text_bytes - 1 - len)) > 0)
        len += (size_t)rc;
    text[len] = '\0';
    close(fds[0]);
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    return status;
}

#endif
