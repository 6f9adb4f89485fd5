/*
 * loops.h - N loops on a service thread, with a task for each job: what async and hybrid share.
 */
#ifndef WEFT_WORKERS_LOOPS_H
#define WEFT_WORKERS_LOOPS_H

#include <weft/executor.h>
#include <weft/worker.h>

#include "worker_priv.h"

typedef struct weft__loops weft__loops;

/* The start of both models' state. */
typedef struct weft__loops_state {
    weft__loops *loops;
} weft__loops_state;

/* Where a job's task has its body run. NULL in either place: in the task itself. */
typedef struct weft__loops_executors {
    unsigned blocking_threads; /* of an executor for jobs that block; 0: none */
    unsigned cpu_threads;      /* of an executor for jobs that compute; 0: none */
} weft__loops_executors;

int weft__loops_open(weft__loops_state *state, weft_workers *workers, unsigned width,
                     const weft_workers_options *options, const weft__loops_executors *executors);
int weft__loops_submit(void *state, weft_call *call);
void weft__loops_cancel(void *state, weft_call *call);
void weft__loops_close(void *state, weft_close_mode mode, weft_time grace);
unsigned weft__loops_workers(void *state);

#endif
