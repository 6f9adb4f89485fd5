/*
 * debug.h - debug mode, and what all tasks are doing.
 *
 * Debug mode is asked for with WEFT_DEBUG=1 in the environment or weft_options.debug. It reports
 * to the log (to standard error when there is no log function and WEFT_LOG is not set), each time
 * with the task's name and the place where it was spawned:
 *
 *   - a task that failed, and nobody looked (without debug mode too);
 *   - a handle that was neither joined nor closed by the end of the runtime;
 *   - a call that blocked a loop for longer than weft_options.slow, with a backtrace;
 *   - a lock held for longer than that by a task that waits;
 *   - tasks still alive when the main task ends, and what each waits for;
 *   - that nothing can go on: every task waits, and nothing is pending.
 *
 * With weft_options.signals at WEFT_SIGNALS_CANCEL, and no handler of the program's own, SIGUSR1
 * dumps all tasks to standard error.
 */
#ifndef WEFT_DEBUG_H
#define WEFT_DEBUG_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/*
 * weft_dump - write what all tasks are doing, as text for people
 *
 * fd       open for writing
 *
 * One line for each task: name, loop, state, what it waits for and (in debug mode) for how long,
 * its deadline, its stack, and where it was spawned; children stand under their group, and groups
 * under the task that opened them. Of a loop that has more than 10,000 tasks, those that are
 * longest there. A task dumps its own runtime, a plain thread all runtimes of the process. Each
 * loop is asked by a message, and looks at its tasks one after the other, so the lines of different
 * loops may be of slightly different moments; one that does not answer within a second is named.
 *
 * Returns  0; -ENOMEM; write(2)'s errno, negated
 * Waits    yes, for a second at most, whatever is cancelled
 * Threads  tasks and plain threads
 * Source   asyncio.all_tasks, Task.print_stack; Go's SIGQUIT
 */
WEFT_WAITS int weft_dump(int fd);

/*
 * weft_dump_buf - the same, added to a buffer
 *
 * Returns  0; -ENOMEM, with part of the text in the buffer
 * Waits    yes, for a second at most, whatever is cancelled
 * Threads  tasks and plain threads
 * Source   weft
 */
WEFT_WAITS int weft_dump_buf(weft_buf *buf);

/* Who includes this header has all of debug mode linked in, from the static library too. */
extern const char weft_debug_linked[];
static const char *const weft_debug_linked_ __attribute__((used)) = weft_debug_linked;

WEFT_END_DECLS

#endif
