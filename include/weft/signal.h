/*
 * signal.h - signals as events that tasks wait for.
 *
 *     weft_signals signals;
 *     weft_signals_open(&signals, (const int[]){SIGHUP, SIGTERM}, 2);
 *     while ((rc = weft_signals_wait(&signals, NULL)) == SIGHUP)
 *         reload();
 *
 * While an object is open for a number, the program's own disposition of that signal is put aside,
 * and so is what weft_options.signals does with SIGINT and SIGTERM. Every object that is open for
 * it, on whichever loop, gets the signal. No thread's signal mask is touched: the handler may run
 * on any thread that does not block the signal.
 */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <signal.h>

#include <weft/base.h>
#include <weft/select.h>

/* In the caller's memory, from open until it is closed and calls in progress on it have returned;
 * it must not move. All zero is a closed one. */
typedef struct weft_signals {
    uint64_t opaque_[180];
} weft_signals;

/* What is known of a signal. */
typedef struct weft_signal {
    int number;
    unsigned count; /* how often it was caught since it was last taken; the kernel itself makes one
                        of several that come before the first is caught */
    pid_t sender;   /* of the last one: who sent it, or the child of SIGCHLD; 0: the kernel */
    uid_t user;     /* likewise: the sender's real user */
} weft_signal;

WEFT_BEGIN_DECLS

/*
 * weft_signals_open - catch signals from now on
 *
 * numbers  n of them; a number that stands there twice counts once
 * n        1 or more
 *
 * What arrives from now on is kept until it is waited for. A signal that was ignored is caught as
 * well.
 *
 * Returns  0; -EINVAL for what cannot be caught so, which weft_error_text() names: SIGKILL and
 *          SIGSTOP, faults of the program itself (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS,
 *          SIGABRT), numbers that are the C library's or nobody's; -EMFILE, -ENFILE
 * Waits    no
 * Threads  tasks; the object belongs to their loop from then on
 * Source   tokio::signal, trio.open_signal_receiver, asyncio loop.add_signal_handler
 */
int weft_signals_open(weft_signals *signals, const int *numbers, size_t n);

/*
 * weft_signals_wait - wait for the next signal
 *
 * ret_signal  out: more about it; may be NULL
 *
 * Of several signals each has its turn. One that came while nobody waited is had at once.
 *
 * Returns  the signal's number; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (no
 *          signal was taken); -EBUSY when another task waits; -EBADF when closed, meanwhile too;
 *          the first wait also -ENOMEM or -ENOSPC, when the poller cannot take it
 * Waits    yes; looks for cancellation even when a signal is there
 * Threads  tasks of the loop that owns signals
 * Source   signalfd(2), sigwaitinfo(2)
 */
WEFT_WAITS int weft_signals_wait(weft_signals *signals, weft_signal *ret_signal);

/*
 * weft_signals_try_wait - take a signal that has come
 *
 * Returns  as weft_signals_wait; -EAGAIN when none has
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns signals
 * Source   sigtimedwait(2)
 */
int weft_signals_try_wait(weft_signals *signals, weft_signal *ret_signal);

/*
 * weft_case_signal - the branch of a select in which a signal has come
 *
 * signals     NULL makes a branch that is never chosen
 * ret_signal  out: written only when the branch is chosen and its result is more than 0; may be
 *             NULL
 *
 * Returns  a case; its result will be what weft_signals_wait would have returned
 * Waits    no
 * Threads  any; the select belongs to a task of the loop that owns signals
 * Source   Go's signal.Notify
 */
weft_case weft_case_signal(weft_signals *signals, weft_signal *ret_signal);

/*
 * weft_signals_close - give the signals back: what was there before is in force again
 *
 * Signals that nobody has waited for are dropped; who waits gets -EBADF. A handler that the program
 * has installed meanwhile stays.
 *
 * signals  may be closed already
 *
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns signals
 * Source   asyncio loop.remove_signal_handler
 */
void weft_signals_close(weft_signals *signals);

WEFT_END_DECLS

#endif
