/*
 * process.h - programs started, fed, waited for and ended.
 *
 * A child gets what it was given and nothing else: descriptors 0 to 2 and those listed, an empty
 * signal mask, every signal's default disposition. It never outlives its object by accident:
 * closing kills it, unless it was detached. None is left as a zombie.
 */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <weft/base.h>
#include <weft/stream.h>
#include <weft/time.h>

/* What one of the three standard descriptors of a child is. */
typedef enum weft_stdio_kind {
    WEFT_STDIO_DEFAULT = 0, /* inherited; weft_process_run: input and outputs go through pipes */
    WEFT_STDIO_INHERIT = 1, /* the caller's */
    WEFT_STDIO_NULL = 2,    /* /dev/null */
    WEFT_STDIO_PIPE = 3,    /* a pipe; its other end is a stream of the process object */
    WEFT_STDIO_FD = 4,      /* `fd`, which stays the caller's */
    WEFT_STDIO_STDOUT = 5   /* for err alone: what out is */
} weft_stdio_kind;

typedef struct weft_stdio {
    weft_stdio_kind kind;
    int fd; /* with WEFT_STDIO_FD */
} weft_stdio;

/* One more descriptor that the child gets. */
typedef struct weft_process_fd {
    int fd; /* the caller's */
    int as; /* its number in the child, 3 to 1023 */
} weft_process_fd;

typedef enum weft_process_group {
    WEFT_PROCESS_GROUP_SAME = 0,   /* the caller's: a Ctrl-C at the terminal is for both */
    WEFT_PROCESS_GROUP_NEW = 1,    /* one of its own; what kill, stop and close send is for the
                                       whole of it */
    WEFT_PROCESS_GROUP_SESSION = 2 /* the same, and a session without a terminal */
} weft_process_group;

/* Zero means the default, everywhere but in `arguments`. */
typedef struct weft_process_options {
    const char *const *arguments;   /* with the program's name first and NULL at the end */
    const char *program;            /* NULL: arguments[0]. Searched for in the caller's PATH when it
                                       has no slash */
    unsigned exact;                 /* 1: a path in any case, nothing is searched for */
    const char *const *environment; /* "NAME=value", NULL at the end; NULL: the caller's */
    const char *directory;          /* where it starts, and a relative path of the program begins;
                                       NULL: the caller's */
    weft_stdio in, out, err;
    const weft_process_fd *fds; /* further descriptors */
    size_t n_fds;
    weft_process_group group;

    /* The rest is for weft_process_run alone. */
    size_t max_output; /* most bytes of each output; 0: 16 MiB */
    weft_time grace;   /* from SIGTERM to SIGKILL when it must be stopped; 0: 5 s */
    unsigned check;    /* 1: any other end than exit code 0 is WEFT_E_EXIT */
} weft_process_options;

/* How a process ended. */
typedef struct weft_process_status {
    int code;             /* of its exit, 0 to 255; -1: a signal ended it */
    int signal;           /* that one; 0: it exited */
    unsigned core_dumped; /* 1: and left a core dump */
} weft_process_status;

/* In the caller's memory, from spawn until it is closed and calls in progress on it have returned;
 * it must not move. All zero is a closed one. */
typedef struct weft_process {
    weft_stream in;  /* write to it; closing it is the end of the child's input */
    weft_stream out; /* read from it. Those that are no pipes are closed streams */
    weft_stream err;
    uint64_t opaque_[48];
} weft_process;

/* What weft_process_run gives. */
typedef struct weft_process_result {
    weft_process_status status;
    weft_buf out; /* empty when it went elsewhere */
    weft_buf err;
} weft_process_result;

WEFT_BEGIN_DECLS

/*
 * weft_process_spawn - start a program
 *
 * Returns  0; -ENOENT, -EACCES, -ENOEXEC… of the program or the directory, and weft_error_text()
 *          says of which; -EINVAL for options that contradict each other; -EBADF for a descriptor;
 *          -EMFILE, -EAGAIN, -ENOMEM. Nothing runs then
 * Waits    no; the kernel holds the loop until the child has become its program
 * Threads  tasks; the process belongs to their loop from then on
 * Source   posix_spawn(3), asyncio.create_subprocess_exec
 */
int weft_process_spawn(weft_process *process, const weft_process_options *options);

/*
 * weft_process_pid - number of a process
 *
 * Returns  its number, which is somebody else's to have once the process was waited for; -EBADF
 *          when closed
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns process
 * Source   asyncio Process.pid
 */
pid_t weft_process_pid(const weft_process *process);

/*
 * weft_process_wait - wait until a process has ended
 *
 * ret_status  out: how; may be NULL
 *
 * Any number of tasks may wait, any number of times. A scope that ends the wait leaves the process
 * alone. Pipes that the process fills must be read meanwhile, or it never ends.
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first; -EBADF when closed,
 *          meanwhile too; -ECHILD when somebody else took the status: the program ignores SIGCHLD,
 *          or waits for any child; the first wait also -ENOMEM or -ENOSPC, when the poller cannot
 *          take it
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the loop that owns process
 * Source   asyncio Process.wait, waitid(2), pidfd_open(2)
 */
WEFT_WAITS int weft_process_wait(weft_process *process, weft_process_status *ret_status);

/*
 * weft_process_kill - send a signal
 *
 * number   0 only asks whether it could be sent
 *
 * Returns  0, also when the process has ended and nobody has waited for it; -ESRCH when somebody
 *          has; -EINVAL; -EPERM; -EBADF when closed
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns process
 * Source   asyncio Process.send_signal, pidfd_send_signal(2)
 */
int weft_process_kill(weft_process *process, int number);

/*
 * weft_process_stop - have a process end: SIGTERM and, after a while, SIGKILL
 *
 * grace       how long it may clean up; 0: SIGKILL at once
 * ret_status  out: how it ended; may be NULL
 *
 * Made for cleaning up: the scopes around it are hidden from it. The wait after SIGKILL has no
 * limit: the kernel ends what was killed.
 *
 * Returns  0, also when it had ended already; -ECHILD as in weft_process_wait; -EBADF when closed,
 *          meanwhile too
 * Waits    yes; never looks for cancellation
 * Threads  tasks of the loop that owns process
 * Source   trio.run_process's deliver_cancel
 */
WEFT_WAITS int weft_process_stop(weft_process *process, weft_time grace,
                                 weft_process_status *ret_status);

/*
 * weft_process_detach - give a process up without ending it; who waits gets -EBADF
 *
 * The pipes are closed. Whoever wants no zombie waits for the number: waitpid(2).
 *
 * Returns  its number; -ESRCH when it has been waited for: the object is closed all the same;
 *          -EBADF when closed
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns process
 * Source   Go's Process.Release
 */
pid_t weft_process_detach(weft_process *process);

/*
 * weft_process_close - end a process and its object
 *
 * Closes the pipes, kills the process with SIGKILL if it runs, and takes its status. Other tasks
 * that wait for it learn how it ended, or get -EBADF if they have not run before this call returns.
 *
 * process  may be closed already
 *
 * Waits    only until the kernel has ended what was killed; never looks for cancellation
 * Threads  tasks of the loop that owns process; callbacks of it once the process was waited for
 * Source   trio.run_process
 */
void weft_process_close(weft_process *process);

/*
 * weft_process_check - whether a process ended well
 *
 * program  for the text
 *
 * Returns  0 after exit code 0; else WEFT_E_EXIT, and weft_error_text() says how it ended
 * Waits    no
 * Threads  any
 * Source   subprocess.CompletedProcess.check_returncode
 */
int weft_process_check(const char *program, const weft_process_status *status);

/*
 * weft_process_run - run a program to its end: give it its input, take its outputs
 *
 * input       for its standard input, which is /dev/null when there is none; it need not read it
 *             all. Of use only where options->in is WEFT_STDIO_DEFAULT or WEFT_STDIO_PIPE
 * ret_result  out, also on failure: what had come until then; to be freed in any case. The status
 *             is code -1 and signal 0 when nothing was started
 *
 * Outputs are read to their end, whoever else holds them: a program that leaves children behind
 * with its outputs open is waited for as long as they have them. Whatever ends the call early has
 * the program stopped as by weft_process_stop, and waited for.
 *
 * Returns  0 however the program ended, unless .check is set: then WEFT_E_EXIT; -EMSGSIZE when an
 *          output had more than max_output bytes; -ECANCELED or -ETIMEDOUT when the enclosing scope
 *          ended first; errors of weft_process_spawn, weft_process_wait and weft_stream_read
 * Waits    yes; looks for cancellation first
 * Threads  tasks
 * Source   asyncio Process.communicate, subprocess.run
 */
WEFT_WAITS int weft_process_run(const weft_process_options *options, weft_bytes input,
                                weft_process_result *ret_result);

/*
 * weft_process_result_free - give the outputs back
 *
 * Waits    no
 * Threads  whoever owns result
 * Source   weft
 */
void weft_process_result_free(weft_process_result *result);

WEFT_END_DECLS

#endif
