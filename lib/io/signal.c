/*
 * signal.c - signals as events of a loop.
 *
 * A handler of our own, and an eventfd for each object, rather than signalfd(2): that one needs the
 * signals blocked in every thread, those included that the program made before us or that a library
 * makes later, and a blocked mask is inherited by what the program executes. The handler notes a
 * signal in the words of each object that wants it, all of them atomic, and rings the eventfd when
 * nothing was noted before.
 *
 * Whoever takes signals does so on the object's loop: the task that waits, or, in its name and once
 * it cannot be cancelled any more, the watch of the eventfd. So a wake-up always brings a signal,
 * and a cancelled wait has taken none.
 */
#include <string.h>

#include <weft/error.h>
#include <weft/signal.h>
#include <weft/task.h>

#include "base/assert.h"
#include "flow/select_priv.h"
#include "io/fd_priv.h"
#include "task/task_priv.h"

struct signals {
    struct weft__fd fd; /* first: the eventfd */
    struct weft__signal_listener listener;
    uint64_t pending; /* atomic: bits of signals that have come */
    int last;         /* number that had its turn last */
    bool taken;       /* in `signal`: for the task that was woken, and has yet to run */
    weft_signal signal;
    uint32_t counts[WEFT__SIGNAL_MAX];  /* atomic */
    uint64_t senders[WEFT__SIGNAL_MAX]; /* atomic: process in the upper half, user in the lower */
};
_Static_assert(sizeof(struct signals) <= sizeof(weft_signals), "weft_signals is too small");

/* ---- In the handler -------------------------------------------------------------------------- */

static uint64_t
sender_of(int number, const siginfo_t *info)
{
    bool sent = info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
    if (!sent && !(number == SIGCHLD && info->si_code > 0))
        return 0;
    return (uint64_t)(uint32_t)info->si_pid << 32 | (uint32_t)info->si_uid;
}

static void
ring(const struct signals *signals)
{
    uint64_t one = 1;
    while (write(signals->fd.raw, &one, sizeof one) < 0 && errno == EINTR)
        continue; /* it cannot be full */
}

/* Whether nothing was pending before. Pairs with the swap in take_number: the count is there when
 * the bit is seen. */
static bool
set_pending(struct signals *signals, int number)
{
    uint64_t seen;
    do
        seen = weft__load(&signals->pending);
    while (!weft__cas(&signals->pending, seen, seen | weft__signal_bit(number)));
    return seen == 0;
}

static void
hear(struct weft__signal_listener *listener, int number, const siginfo_t *info)
{
    struct signals *signals = weft__container(listener, struct signals, listener);
    weft__store(&signals->senders[number - 1], sender_of(number, info));
    weft__fetch_add(&signals->counts[number - 1], 1);
    if (set_pending(signals, number))
        ring(signals);
}

/* ---- On the loop ----------------------------------------------------------------------------- */

static bool
take_number(struct signals *signals, int number, weft_signal *ret_signal)
{
    uint64_t bit = weft__signal_bit(number), seen;
    do {
        seen = weft__load(&signals->pending);
        if (!(seen & bit))
            return false;
    } while (!weft__cas(&signals->pending, seen, seen & ~bit));
    uint32_t count = weft__exchange(&signals->counts[number - 1], 0);
    if (count == 0)
        return false; /* it was counted with the one before it */
    uint64_t sender = weft__load(&signals->senders[number - 1]);
    *ret_signal = (weft_signal){
        .number = number, .count = count, .sender = (pid_t)(sender >> 32), .user = (uid_t)sender};
    signals->last = number;
    return true;
}

/* The one whose turn it is. */
static bool
take(struct signals *signals, weft_signal *ret_signal)
{
    int first = signals->last % WEFT__SIGNAL_MAX; /* counted from 0: the one after the last */
    for (int i = 0; i < WEFT__SIGNAL_MAX && weft__load(&signals->pending) != 0; i++) {
        if (take_number(signals, (first + i) % WEFT__SIGNAL_MAX + 1, ret_signal))
            return true;
    }
    return false;
}

/* Before looking at `pending` for the last time: what is noted after that look rings again, unless
 * something was pending already. */
static int
drain(const struct signals *signals)
{
    uint64_t rings;
    ssize_t n = weft__sys_read(signals->fd.raw, &rings, sizeof rings);
    return n < 0 && n != -EAGAIN ? (int)n : 0;
}

static void
put_back(struct signals *signals, const weft_signal *signal)
{
    weft__fetch_add(&signals->counts[signal->number - 1], signal->count);
    set_pending(signals, signal->number);
}

static void
on_ready(struct weft__watch *watch, unsigned what)
{
    struct signals *signals = (struct signals *)(void *)watch;
    struct weft__fd_wait *wait = signals->fd.reader;
    (void)what;
    if (wait == NULL || signals->taken)
        return; /* whoever waits next looks first */
    /* A ring may be late, when what it tells of has been taken. It must go, lest a loop that polls
     * for this alone finds it again and again; that reading fails is the next wait's to say. */
    (void)drain(signals);
    weft_signal signal;
    if (!take(signals, &signal))
        return;
    if (!weft__claim(wait->ticket)) {
        put_back(signals, &signal);
        return;
    }
    signals->signal = signal;
    signals->taken = true;
    if (wait->stand == NULL)
        weft__deliver(wait->ticket.waiter, 0);
    else
        weft__stand_deliver(wait->stand, 0);
}

static struct signals *
signals_of(weft_signals *public)
{
    return weft__fd_of((weft_fd *)(void *)public) == NULL ? NULL : (struct signals *)(void *)public;
}

static int
give(const weft_signal *signal, weft_signal *ret_signal)
{
    if (ret_signal != NULL)
        *ret_signal = *signal;
    return signal->number;
}

/* What on_ready has taken for the caller. */
static int
collect(struct signals *signals, weft_signal *ret_signal)
{
    signals->taken = false;
    return give(&signals->signal, ret_signal);
}

int
weft_signals_try_wait(weft_signals *public, weft_signal *ret_signal)
{
    struct signals *signals = signals_of(public);
    weft_signal signal;
    if (signals == NULL)
        return -EBADF;
    return take(signals, &signal) ? give(&signal, ret_signal) : -EAGAIN;
}

int
weft_signals_wait(weft_signals *public, weft_signal *ret_signal)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct signals *signals = signals_of(public);
    if (signals == NULL)
        return -EBADF;
    if (signals->fd.reader != NULL)
        return -EBUSY;
    rc = drain(signals);
    if (rc < 0)
        return rc;
    weft_signal signal;
    if (take(signals, &signal))
        return give(&signal, ret_signal);
    rc = weft__fd_wait(&signals->fd, WEFT__READABLE);
    return rc < 0 ? rc : collect(signals, ret_signal);
}

int
weft_signals_open(weft_signals *public, const int *numbers, size_t n)
{
    weft__assert(weft__task_self() != NULL, "signals are opened by a task");
    static const int faults[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,
                                 SIGILL,  SIGTRAP, SIGSYS,  SIGABRT};
    uint64_t set = 0;
    for (size_t i = 0; i < n; i++) {
        int number = numbers[i];
        bool good = number >= 1 && number <= WEFT__SIGNAL_MAX &&
                    (number < 32 || (number >= SIGRTMIN && number <= SIGRTMAX));
        for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++)
            good = good && number != faults[k];
        if (!good)
            return weft_error_note(-EINVAL, "signal %d (%s) cannot be waited for", number,
                                   number >= 1 && number < 32 ? strsignal(number) : "no such one");
        set |= weft__signal_bit(number);
    }
    if (set == 0)
        return weft_error_note(-EINVAL, "no signal to wait for was given");
    int raw = weft__sys_eventfd(0);
    if (raw < 0)
        return raw;
    struct signals *signals = (struct signals *)(void *)public;
    memset(signals, 0, sizeof *signals);
    weft__fd_init(&signals->fd, raw, WEFT__FD_OTHER);
    signals->fd.watch.ready = on_ready;
    signals->listener.numbers = set;
    signals->listener.hear = hear;
    int rc = weft__signals_listen(&signals->listener);
    if (rc < 0)
        weft_fd_close((weft_fd *)(void *)public);
    return rc;
}

void
weft_signals_close(weft_signals *public)
{
    struct signals *signals = signals_of(public);
    if (signals == NULL)
        return;
    weft__signals_unlisten(&signals->listener);
    weft_fd_close((weft_fd *)(void *)public);
}

/* ---- As a branch of a select ----------------------------------------------------------------- */

static inline struct weft__fd_wait *
wait_of(struct weft__case *branch)
{
    return (struct weft__fd_wait *)(void *)branch->own;
}

static int
case_take(struct weft__case *branch)
{
    int rc = weft_signals_try_wait(branch->object, branch->extra);
    branch->result = rc;
    return rc == -EAGAIN ? -EAGAIN : 0;
}

static int
case_begin(struct weft__case *branch, struct weft__ticket ticket)
{
    struct signals *signals = branch->object;
    int rc = weft__loop_share(signals->fd.loop);
    if (rc == 0)
        rc = drain(signals);
    if (rc < 0)
        return rc;
    *wait_of(branch) = (struct weft__fd_wait){.ticket = ticket, .stand = &branch->stand};
    rc = weft__fd_wait_begin(&signals->fd, WEFT__READABLE, wait_of(branch));
    if (rc == 0 && weft__load(&signals->pending) != 0)
        ring(signals); /* it came after the branch was tried; its own ring may be drained */
    return rc;
}

static void
case_end(struct weft__case *branch)
{
    struct signals *signals = branch->object;
    (void)weft__fd_wait_end(&signals->fd, WEFT__READABLE, wait_of(branch));
}

static void
case_served(struct weft__case *branch)
{
    if (wait_of(branch)->closed)
        branch->result = -EBADF;
    else if (branch->result == 0)
        branch->result = collect(branch->object, branch->extra);
}

static const struct weft__case_kind signal_kind = {
    .take = case_take, .begin = case_begin, .end = case_end, .served = case_served};

weft_case
weft_case_signal(weft_signals *signals, weft_signal *ret_signal)
{
    weft_case public;
    weft__case_init(&public, &signal_kind, signals, NULL, ret_signal);
    return public;
}
