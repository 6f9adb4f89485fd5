/*
 * process_start.c - a program as a child: which descriptors it has, and how it begins.
 *
 * posix_spawn(3) copies no page tables, and says what was wrong with the program. Descriptors are
 * put in their places by it, in the child: those of ours whose numbers are among the places are
 * copied to higher numbers first, so that none is overwritten before it was used.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/error.h>

#include "base/mem.h"
#include "base/sys.h"
#include "io/process_priv.h"

extern char **environ;

#define PLACE_MAX 1023

struct start {
    const weft_process_options *options;
    posix_spawn_file_actions_t actions;
    int top;       /* the highest place */
    int *to_close; /* ours, once the child has them */
    size_t n_to_close;
};

static int
check_stdio(const weft_stdio *stdio, const char *name, bool is_err)
{
    if (stdio->kind > WEFT_STDIO_STDOUT || (stdio->kind == WEFT_STDIO_STDOUT && !is_err))
        return weft_error_note(-EINVAL, "%s: no such kind of descriptor", name);
    if (stdio->kind == WEFT_STDIO_FD && stdio->fd < 0)
        return weft_error_note(-EBADF, "%s: %d is no descriptor", name, stdio->fd);
    return 0;
}

static int
check_options(const weft_process_options *options)
{
    if (options->arguments == NULL || options->arguments[0] == NULL)
        return weft_error_note(-EINVAL, "a program without arguments: the first is its name");
    if (options->group > WEFT_PROCESS_GROUP_SESSION)
        return weft_error_note(-EINVAL, "no such kind of process group");
    int rc = check_stdio(&options->in, "in", false);
    if (rc == 0)
        rc = check_stdio(&options->out, "out", false);
    if (rc == 0)
        rc = check_stdio(&options->err, "err", true);
    for (size_t i = 0; i < options->n_fds && rc == 0; i++) {
        const weft_process_fd *fd = &options->fds[i];
        if (fd->as < 3 || fd->as > PLACE_MAX)
            rc = weft_error_note(-EINVAL, "a descriptor as %d: 3 to %d can be had", fd->as,
                                 PLACE_MAX);
        if (rc == 0 && fd->fd < 0)
            rc = weft_error_note(-EBADF, "%d, to be %d, is no descriptor", fd->fd, fd->as);
        for (size_t k = 0; k < i && rc == 0; k++) {
            if (options->fds[k].as == fd->as)
                rc = weft_error_note(-EINVAL, "two descriptors as %d", fd->as);
        }
    }
    return rc;
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

/* Puts one of ours in a place of the child's. */
static int
place(struct start *start, int fd, int as)
{
    if (fd <= start->top) {
        fd = weft__sys_dup_above(fd, start->top + 1);
        if (fd < 0)
            return fd;
        start->to_close[start->n_to_close++] = fd;
    }
    return -posix_spawn_file_actions_adddup2(&start->actions, fd, as);
}

static int
place_pipe(struct start *start, weft_stream *stream, int as)
{
    int ends[2];
    int rc = weft__sys_pipe(ends);
    if (rc < 0)
        return rc;
    int ours = ends[as == 0], theirs = ends[as != 0];
    start->to_close[start->n_to_close++] = theirs;
    rc = weft_stream_open_fd(stream, ours);
    if (rc < 0) {
        weft__sys_close(ours);
        return rc;
    }
    return place(start, theirs, as);
}

static int
place_stdio(struct start *start, const weft_stdio *stdio, weft_stream *stream, int as)
{
    switch (stdio->kind) {
    case WEFT_STDIO_NULL:
        return -posix_spawn_file_actions_addopen(&start->actions, as, "/dev/null", O_RDWR, 0);
    case WEFT_STDIO_PIPE:
        return place_pipe(start, stream, as);
    case WEFT_STDIO_FD:
        return place(start, stdio->fd, as);
    case WEFT_STDIO_STDOUT:
        return -posix_spawn_file_actions_adddup2(&start->actions, 1, as);
    default:
        return 0;
    }
}

static bool
is_placed(const weft_process_options *options, int as)
{
    for (size_t i = 0; i < options->n_fds; i++) {
        if (options->fds[i].as == as)
            return true;
    }
    return false;
}

/* What other parts of the program left open without O_CLOEXEC goes. */
static int
close_others(struct start *start)
{
    int rc = 0;
    for (int as = 3; as <= start->top && rc == 0; as++) {
        if (!is_placed(start->options, as))
            rc = posix_spawn_file_actions_addclose(&start->actions, as);
    }
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(&start->actions, start->top + 1);
#else
    /* As of now: what another thread opens from here on must have O_CLOEXEC. */
    DIR *dir = rc == 0 ? opendir("/proc/self/fd") : NULL;
    struct dirent *entry;
    while (dir != NULL && rc == 0 && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        if (fd > start->top && fd != dirfd(dir))
            rc = posix_spawn_file_actions_addclose(&start->actions, fd);
    }
    if (dir != NULL)
        closedir(dir);
#endif
    return -rc;
}

static int
fill_actions(struct start *start, weft_process *process)
{
    const weft_process_options *options = start->options;
    int rc = place_stdio(start, &options->in, &process->in, 0);
    if (rc == 0)
        rc = place_stdio(start, &options->out, &process->out, 1);
    if (rc == 0)
        rc = place_stdio(start, &options->err, &process->err, 2);
    for (size_t i = 0; i < options->n_fds && rc == 0; i++)
        rc = place(start, options->fds[i].fd, options->fds[i].as);
    if (rc == 0)
        rc = close_others(start);
    if (rc == 0 && options->directory != NULL)
        rc = -posix_spawn_file_actions_addchdir_np(&start->actions, options->directory);
    return rc;
}

/* ---- The rest -------------------------------------------------------------------------------- */

static int
fill_attributes(posix_spawnattr_t *attributes, weft_process_group group)
{
    sigset_t all, none;
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (group == WEFT_PROCESS_GROUP_NEW)
        flags |= POSIX_SPAWN_SETPGROUP; /* the number of the group is 0: its own */
    else if (group == WEFT_PROCESS_GROUP_SESSION)
        flags |= POSIX_SPAWN_SETSID;
    int rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attributes, flags);
    return -rc;
}

/* posix_spawn gives one number for all that can go wrong in the child. */
static int
explain(int rc, const weft_process_options *options, const char *program)
{
    struct stat status;
    if (options->directory != NULL &&
        (stat(options->directory, &status) < 0 || !S_ISDIR(status.st_mode) ||
         access(options->directory, X_OK) < 0))
        return weft_error_note(rc, "cannot start %s in the directory %s: %s", program,
                               options->directory, weft_strerror(rc));
    return weft_error_note(rc, "cannot start %s: %s", program, weft_strerror(rc));
}

static int
spawn(struct start *start, pid_t *ret_pid)
{
    const weft_process_options *options = start->options;
    const char *program = options->program != NULL ? options->program : options->arguments[0];
    /* Neither is written to; the interface is older than const. */
    char *const *argv = (char *const *)(uintptr_t)options->arguments;
    char *const *envp =
        options->environment != NULL ? (char *const *)(uintptr_t)options->environment : environ;
    posix_spawnattr_t attributes;
    int rc = -posix_spawnattr_init(&attributes);
    if (rc < 0)
        return rc;
    rc = fill_attributes(&attributes, options->group);
    if (rc == 0)
        rc = options->exact
                 ? weft__sys_spawn(ret_pid, program, &start->actions, &attributes, argv, envp)
                 : weft__sys_spawnp(ret_pid, program, &start->actions, &attributes, argv, envp);
    (void)posix_spawnattr_destroy(&attributes);
    return rc < 0 ? explain(rc, options, program) : 0;
}

int
weft__process_start(weft_process *process, const weft_process_options *options, pid_t *ret_pid)
{
    int rc = check_options(options);
    if (rc < 0)
        return rc;
    struct start start = {.options = options, .top = 2};
    for (size_t i = 0; i < options->n_fds; i++) {
        if (options->fds[i].as > start.top)
            start.top = options->fds[i].as;
    }
    /* For each of the three a pipe's end and its copy, for each of the others a copy. */
    start.to_close = weft__alloc((6 + options->n_fds) * sizeof *start.to_close);
    if (start.to_close == NULL)
        return -ENOMEM;
    rc = -posix_spawn_file_actions_init(&start.actions);
    if (rc < 0)
        goto fail_alloc;
    rc = fill_actions(&start, process);
    if (rc == 0)
        rc = spawn(&start, ret_pid);
    (void)posix_spawn_file_actions_destroy(&start.actions);
    for (size_t i = 0; i < start.n_to_close; i++)
        weft__sys_close(start.to_close[i]);
    if (rc < 0) {
        weft_stream_close(&process->in);
        weft_stream_close(&process->out);
        weft_stream_close(&process->err);
    }
fail_alloc:
    weft__free(start.to_close);
    return rc;
}
