/*
 * process.c - a child while it runs: waited for, signalled, brought to its end.
 *
 * The kernel tells of its end through a pidfd. Where there are none, by SIGCHLD, which is listened
 * for: then the descriptor that is watched is an eventfd that rings for any child. Either way who
 * wakes up asks waitid(2), without waiting, whether it was this one; whoever finds that takes the
 * status down for all.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "base/assert.h"
#include "io/fd_priv.h"
#include "io/process_priv.h"
#include "task/task_priv.h"

struct process {
    struct weft__watch watch;              /* first: of `ending` */
    struct weft_loop *loop;                /* NULL once closed */
    struct weft__signal_listener listener; /* where there are no pidfds */
    struct weft__list waiting;  /* those who wait, or have been woken and have yet to run */
    weft_process_status status; /* once it has ended */
    pid_t pid;
    int ending;    /* a pidfd, or an eventfd */
    bool by_pidfd; /* it is the one */
    bool has_group;
    bool ended;
    bool lost; /* somebody else took its status */
};
_Static_assert(sizeof(struct process) <= sizeof(((weft_process *)NULL)->opaque_),
               "weft_process is too small");

/* On the stack of a task that waits. */
struct process_wait {
    struct weft__link link;
    struct weft__ticket ticket;
    bool closed; /* meanwhile: the memory of the object may be gone */
};

/* The object behind the public one, open and on this loop; NULL when closed. */
static struct process *
process_of(const weft_process *public)
{
    struct process *process = (struct process *)(uintptr_t) public->opaque_;
    if (process->loop == NULL)
        return NULL;
    weft__assert(process->loop == weft__loop_self,
                 "a process was used on another loop than the one it was started on");
    return process;
}

static void
wake(struct process_wait *wait, int result)
{
    if (weft__claim_local(wait->ticket))
        weft__deliver(wait->ticket.waiter, result);
}

static void
on_ready(struct weft__watch *watch, unsigned what)
{
    struct process *process = (struct process *)(void *)watch;
    (void)what;
    weft__list_foreach(link, &process->waiting)
        wake(weft__container(link, struct process_wait, link), 0);
}

static void
hear(struct weft__signal_listener *listener, int number, const siginfo_t *info)
{
    struct process *process = weft__container(listener, struct process, listener);
    uint64_t one = 1;
    (void)number;
    (void)info;
    while (write(process->ending, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

/* ---- Its end --------------------------------------------------------------------------------- */

/* Asks, and takes the status. `options` may have the call wait. */
static int
ask(struct process *process, int options, bool may_fail)
{
    idtype_t type = process->by_pidfd ? P_PIDFD : P_PID;
    id_t id = (id_t)(process->by_pidfd ? process->ending : process->pid);
    siginfo_t info = {0};
    int rc;
    if (may_fail) {
        rc = weft__sys_waitid(type, id, &info, WEXITED | options);
    } else {
        do /* without a fault: nobody could do anything about it */
            rc = waitid(type, id, &info, WEXITED | options) < 0 ? -errno : 0;
        while (rc == -EINTR);
    }
    if (rc == 0 && info.si_pid == 0)
        return -EAGAIN;
    if (rc == 0) {
        process->ended = true;
        bool exited = info.si_code == CLD_EXITED;
        process->status = (weft_process_status){.code = exited ? info.si_status : -1,
                                                .signal = exited ? 0 : info.si_status,
                                                .core_dumped = info.si_code == CLD_DUMPED};
    }
    return rc;
}

/* 0: it has ended; -EAGAIN: it runs. */
static int
reap(struct process *process, bool may_fail)
{
    if (process->ended)
        return 0;
    if (!process->lost) {
        uint64_t rings;
        if (!process->by_pidfd && read(process->ending, &rings, sizeof rings) < 0)
            (void)rings; /* none, then */
        int rc = ask(process, WNOHANG, may_fail);
        if (rc != -ECHILD)
            return rc;
        process->lost = true;
    }
    return weft_error_note(-ECHILD, "the status of process %d was taken by somebody else",
                           (int)process->pid);
}

/* Of use to the virtual clock alone, whose loops share one thread. */
static inline void
count_wait(const struct weft_loop *loop, int by)
{
    if (loop->clock->is_virtual)
        weft__sched_self()->runtime->io_waits += (uint32_t)by;
}

/* Until something may have happened. -EBADF: closed meanwhile. */
static int
park(struct process *process, bool cancellable)
{
    struct weft_loop *loop = process->loop;
    struct process_wait wait = {.closed = false};
    int rc = weft__watch_begin(loop, &process->watch, process->ending, WEFT__READABLE);
    if (rc < 0)
        return rc;
    weft__list_push_back(&process->waiting, &wait.link);
    count_wait(loop, 1);
    weft__waits_for(weft__what_readable, (const void *)(intptr_t)process->ending);
    wait.ticket = weft__park_arm();
    rc = weft__park(cancellable);
    count_wait(weft__loop_self, -1);
    if (wait.closed)
        return -EBADF;
    weft__list_remove(&wait.link);
    weft__watch_end(loop, &process->watch);
    return rc;
}

static int
wait_for_end(struct process *process, bool cancellable)
{
    int rc;
    while ((rc = reap(process, cancellable)) == -EAGAIN) {
        rc = park(process, cancellable);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int
tell(const struct process *process, weft_process_status *ret_status)
{
    if (ret_status != NULL)
        *ret_status = process->status;
    return 0;
}

int
weft_process_wait(weft_process *public, weft_process_status *ret_status)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct process *process = process_of(public);
    if (process == NULL)
        return -EBADF;
    rc = wait_for_end(process, true);
    return rc < 0 ? rc : tell(process, ret_status);
}

/* ---- Signals --------------------------------------------------------------------------------- */

int
weft_process_kill(weft_process *public, int number)
{
    const struct process *process = process_of(public);
    if (process == NULL)
        return -EBADF;
    if (process->ended || process->lost)
        return -ESRCH; /* the number may be another's */
    if (process->has_group)
        return weft__sys_kill(-process->pid, number);
    return process->by_pidfd ? weft__sys_pidfd_signal(process->ending, number)
                             : weft__sys_kill(process->pid, number);
}

/* It has not been waited for. No fault is made up: it must not run on. */
static void
kill_hard(const struct process *process)
{
    if (process->has_group)
        (void)kill(-process->pid, SIGKILL);
    else if (process->by_pidfd)
        (void)syscall(SYS_pidfd_send_signal, process->ending, SIGKILL, NULL, 0);
    else
        (void)kill(process->pid, SIGKILL);
}

/* Kills it if need be, and takes its status. 0, -ECHILD, or -EBADF: closed meanwhile. */
static int
end(struct process *process)
{
    int rc = reap(process, false);
    if (rc != -EAGAIN)
        return rc;
    weft__assert(weft__task_self() != NULL, "a process that runs is ended by a task, which waits");
    kill_hard(process);
    weft__wait_uncancellable();
    rc = wait_for_end(process, false);
    if (rc == 0 || rc == -ECHILD || rc == -EBADF)
        return rc;
    /* It cannot be watched; the kernel is about to end it. */
    rc = ask(process, 0, false);
    process->lost = rc < 0;
    return rc;
}

int
weft_process_stop(weft_process *public, weft_time grace, weft_process_status *ret_status)
{
    struct process *process = process_of(public);
    if (process == NULL)
        return -EBADF;
    int rc = reap(process, false);
    if (rc == -EAGAIN && grace > 0) {
        rc = weft_process_kill(public, SIGTERM);
        if (rc == 0) {
            weft_ignore(weft_process_kill(public, SIGCONT)); /* one that stands still hears none */
            weft_scope scope;
            weft_time now = weft_now();
            weft_shield_open(&scope, grace > WEFT_FOREVER - now ? WEFT_FOREVER : now + grace);
            rc = weft_process_wait(public, NULL);
            weft_ignore(weft_scope_close(&scope));
        }
    }
    if (rc == -EBADF)
        return rc;
    rc = end(process);
    return rc < 0 ? rc : tell(process, ret_status);
}

/* ---- The object ------------------------------------------------------------------------------ */

static void
close_streams(weft_process *public)
{
    weft_stream_close(&public->in);
    weft_stream_close(&public->out);
    weft_stream_close(&public->err);
}

/* Before it starts: where it is SIGCHLD that tells, its end may come at once. */
static int
watch_for_end(struct process *process)
{
    int probe = -1;
    int rc = weft__sys_pidfd_open(getpid(), &probe);
    if (rc < 0)
        return rc;
    process->by_pidfd = probe >= 0;
    if (process->by_pidfd) {
        weft__sys_close(probe);
        return 0;
    }
    rc = weft__sys_eventfd(0);
    if (rc < 0)
        return rc;
    process->ending = rc;
    process->listener.numbers = weft__signal_bit(SIGCHLD);
    process->listener.hear = hear;
    rc = weft__signals_listen(&process->listener);
    if (rc < 0)
        weft__sys_close(process->ending);
    return rc;
}

static void
unwatch(struct process *process)
{
    if (!process->by_pidfd)
        weft__signals_unlisten(&process->listener);
    if (process->ending >= 0)
        weft__sys_close(process->ending);
}

int
weft_process_spawn(weft_process *public, const weft_process_options *options)
{
    weft__assert(weft__task_self() != NULL, "a process is started by a task");
    memset(public, 0, sizeof *public);
    struct process *process = (struct process *)(void *)public->opaque_;
    process->watch.ready = on_ready;
    process->ending = -1;
    process->has_group = options->group != WEFT_PROCESS_GROUP_SAME;
    weft__list_init(&process->waiting);
    int rc = watch_for_end(process);
    if (rc < 0)
        return rc;
    rc = weft__process_start(public, options, &process->pid);
    if (rc < 0)
        goto fail_ending;
    if (process->by_pidfd) {
        rc = weft__sys_pidfd_open(process->pid, &process->ending);
        if (rc < 0)
            goto fail_process;
    }
    process->loop = weft__loop_self;
    return 0;

fail_process: /* by its number, which it has as long as nobody waited for it */
    process->by_pidfd = false;
    kill_hard(process);
    (void)ask(process, 0, false);
    close_streams(public);
    process->by_pidfd = true;
fail_ending:
    unwatch(process);
    return rc;
}

pid_t
weft_process_pid(const weft_process *public)
{
    const struct process *process = process_of(public);
    return process == NULL ? -EBADF : process->pid;
}

/* Ends all dealings with the process; those who wait are told. */
static void
let_go(struct process *process)
{
    weft__watch_remove(&process->watch);
    weft__watch_end(process->loop, &process->watch);
    unwatch(process);
    process->loop = NULL;
    struct weft__link *link;
    while ((link = weft__list_pop_front(&process->waiting)) != NULL) {
        struct process_wait *wait = weft__container(link, struct process_wait, link);
        wait->closed = true;
        wake(wait, -EBADF);
    }
}

pid_t
weft_process_detach(weft_process *public)
{
    struct process *process = process_of(public);
    if (process == NULL)
        return -EBADF;
    close_streams(public);
    pid_t pid = process->ended || process->lost ? -ESRCH : process->pid;
    let_go(process);
    return pid;
}

void
weft_process_close(weft_process *public)
{
    struct process *process = process_of(public);
    if (process == NULL)
        return;
    close_streams(public);
    if (end(process) != -EBADF)
        let_go(process);
}
