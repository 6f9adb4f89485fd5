/*
 * sync.c - the model without workers: the job runs where it is submitted, at once.
 *
 * When submit returns the call is done. In a task the job is part of that task and inside its
 * scopes; a plain thread gets a lone task for it. There is nothing to cancel and nothing to close.
 */
#include <weft/task.h>

#include "jobs.h"
#include "worker_priv.h"

static int
sync_submit(void *state, weft_call *call)
{
    (void)state;
    weft_call_begin(call);
    int result = weft_task_self() != NULL
                     ? weft__job_run(call->job, call->in, &call->out, call->deadline)
                     : weft__job_run_here(call->job, call->in, &call->out, call->deadline);
    weft_call_done(call, result);
    return 0;
}

const weft_worker_model weft_worker_sync = {.name = "sync", .submit = sync_submit};
