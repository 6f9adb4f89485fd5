/*
 * child.h - processes of our own: started from our own program, found and ended by pid.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

/* Set once SIGINT or SIGTERM came; the one who waits in poll(2) looks at it. */
int bench_interrupted(void);

/* Installs the handlers behind bench_interrupted, once, in the parent. */
void bench_signals_open(void);

/* Runs our own program again with these arguments (argv[0] included, NULL at the end) in a new
 * process group; it is killed when we die. keep_fd is inherited. Returns the pid or -errno. */
pid_t bench_child_start(char *const argv[], int keep_fd);

/* Kills the child's process group and waits for the child. Returns its wait status. */
int bench_child_kill(pid_t pid);

#endif
