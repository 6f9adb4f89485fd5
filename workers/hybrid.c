/*
 * hybrid.c - the model of N loops that sends away what would hold them up.
 *
 * Jobs marked WEFT_JOB_BLOCKING run on an executor of many threads, for they mostly sleep in the
 * kernel; those marked WEFT_JOB_CPU on one as wide as there are CPUs, for more would only take
 * turns. They are two, so that neither kind stands in line behind the other.
 */
#include <weft/run.h>

#include "loops.h"

#define BLOCKING_THREADS_MIN 64u

static int
hybrid_open(void *state, weft_workers *workers, unsigned width, const weft_workers_options *options)
{
    unsigned cpus = weft_usable_cpus();
    unsigned blocking = 2 * cpus > BLOCKING_THREADS_MIN ? 2 * cpus : BLOCKING_THREADS_MIN;
    return weft__loops_open(
        state, workers, width, options,
        &(weft__loops_executors){.blocking_threads = blocking, .cpu_threads = cpus});
}

const weft_worker_model weft_worker_hybrid = {
    .name = "hybrid",
    .traits = WEFT_WORKER_PARALLEL | WEFT_WORKER_CONCURRENT | WEFT_WORKER_COOPERATIVE,
    .state_size = sizeof(weft__loops_state),
    .open = hybrid_open,
    .submit = weft__loops_submit,
    .cancel = weft__loops_cancel,
    .close = weft__loops_close,
    .workers = weft__loops_workers,
};
