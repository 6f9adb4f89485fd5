/*
 * spawn.c - one child as its parent holds it: started from a program, and brought to its end.
 *
 * A child started here belongs to the thread that starts it: it asks to die with its parent, and
 * the kernel takes that to be the thread.
 */
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "pool/pool_priv.h"
#include "pool/pool_sys.h"

extern char **environ;

static int
actions_fill(posix_spawn_file_actions_t *actions, int socket)
{
    int rc = posix_spawn_file_actions_adddup2(actions, socket, 3);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
        /* What the program's other parts left open without O_CLOEXEC goes too: a sibling's socket
     * held here would hide that sibling's end. */
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, 4);
#endif
    return -rc;
}

static int
attributes_fill(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    int rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETPGROUP);
    return -rc;
}

int
weft__child_spawn(struct weft__child *ret_child, const char *exec, char *const *argv)
{
    int ends[2];
    int rc = weft__sys_socketpair(AF_UNIX, SOCK_STREAM, ends);
    if (rc < 0)
        return rc;
    rc = weft__sys_fcntl_setfl(ends[0], O_RDWR | O_NONBLOCK);
    if (rc < 0)
        goto fail_ends;

    posix_spawn_file_actions_t actions;
    rc = -posix_spawn_file_actions_init(&actions);
    if (rc < 0)
        goto fail_ends;
    posix_spawnattr_t attributes;
    rc = -posix_spawnattr_init(&attributes);
    if (rc < 0)
        goto fail_actions;
    rc = actions_fill(&actions, ends[1]);
    if (rc == 0)
        rc = attributes_fill(&attributes);
    pid_t pid = 0;
    if (rc == 0)
        rc = weft__sys_spawnp(&pid, exec, &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    if (rc < 0)
        goto fail_actions;

    int pidfd = -1;
    rc = weft__sys_pidfd_open(pid, &pidfd);
    if (rc < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        goto fail_actions;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    weft__sys_close(ends[1]);
    *ret_child = (struct weft__child){.pid = pid, .pidfd = pidfd, .socket = ends[0]};
    return 0;

fail_actions:
    (void)posix_spawn_file_actions_destroy(&actions);
fail_ends:
    weft__sys_close(ends[0]);
    weft__sys_close(ends[1]);
    return rc;
}

int
weft__child_end(struct weft__child *child, int *ret_status)
{
    int rc;
    if (child->from_zygote) {
        rc = weft__zygote_end(child->pid, ret_status);
    } else {
        /* Through the pidfd: should a waitpid(-1) of the program have reaped it, its number may
         * be somebody else's by now. */
        bool sure = child->pidfd >= 0;
        if (sure)
            (void)syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
        else
            (void)kill(child->pid, SIGKILL);
        siginfo_t info;
        do
            rc = waitid(sure ? P_PIDFD : P_PID, (id_t)(sure ? child->pidfd : child->pid), &info,
                        WEXITED) < 0
                     ? -errno
                     : 0;
        while (rc == -EINTR);
        /* si_status is the exit code or the signal; waitpid's status is wanted. */
        if (rc == 0)
            *ret_status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    }
    if (child->socket >= 0)
        weft__sys_close(child->socket);
    if (child->pidfd >= 0)
        weft__sys_close(child->pidfd);
    child->socket = child->pidfd = -1;
    return rc;
}
