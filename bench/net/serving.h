/*
 * serving.h - servers as processes of their own, pinned to a CPU, and the account of their time.
 */
#ifndef BENCH_SERVING_H
#define BENCH_SERVING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "micro/micro.h"

struct serving {
    const char *name;
    /* Serves until a signal ends it; 0 or a negative errno. */
    int (*run)(int listener);
    /* Or a program that listens on the port by itself: makes its arguments, NULL at the end, in
     * memory of its own, and returns false when it is not installed. */
    bool (*command)(uint16_t port, char ***ret_argv);
    bool ends_itself; /* on SIGTERM, with status 0; the others are ended by it */
};

struct serving_run {
    pid_t pid;
    uint16_t port;
    const struct serving *serving;
};

/* Starts a server on a free port. False when its program is not installed. */
bool serving_start(struct micro *m, struct serving_run *run, const struct serving *serving,
                   int cpu);
void serving_end(struct micro *m, struct serving_run *run);
/* Nanoseconds of CPU it has used so far, all threads. */
double serving_cpu_ns(struct micro *m, const struct serving_run *run);
/* Bytes of memory it has to itself: what it wrote to, on the heap and on stacks. */
double serving_memory(struct micro *m, const struct serving_run *run);

/* Client and servers are processes of their own: each needs a descriptor for a connection. How
 * many it may have. */
long serving_raise_files(struct micro *m);

#endif
