/*
 * async.c - the model of N loops: each job is a task among others on one of them.
 *
 * What waits costs a stack; what blocks or computes holds up all other jobs of its loop.
 */
#include "loops.h"

static int
async_open(void *state, weft_workers *workers, unsigned width, const weft_workers_options *options)
{
    return weft__loops_open(state, workers, width, options, &(weft__loops_executors){0});
}

const weft_worker_model weft_worker_async = {
    .name = "async",
    .traits = WEFT_WORKER_PARALLEL | WEFT_WORKER_CONCURRENT | WEFT_WORKER_COOPERATIVE,
    .state_size = sizeof(weft__loops_state),
    .open = async_open,
    .submit = weft__loops_submit,
    .cancel = weft__loops_cancel,
    .close = weft__loops_close,
    .workers = weft__loops_workers,
};
