/*
 * blocking.c - the executor behind weft_blocking, one per runtime, made on first use.
 */
#include <weft/executor.h>

#include "base/lock.h"
#include "task/task_priv.h"

static void
extension_free(void *extension, int64_t grace)
{
    weft_executor_free(extension, WEFT_DRAIN, grace);
}

static int
executor_of(struct weft__runtime *runtime, weft_executor **ret_executor)
{
    int rc = 0;
    weft__lock(&runtime->extension_lock);
    if (runtime->extension == NULL) {
        weft_executor *executor;
        rc = weft_executor_new(
            &executor, &(weft_executor_options){.threads = runtime->options.blocking_threads});
        if (rc == 0) {
            runtime->extension = executor;
            runtime->extension_free = extension_free;
        }
    }
    *ret_executor = runtime->extension;
    weft__unlock(&runtime->extension_lock);
    return rc;
}

int
weft_blocking(weft_task_fn *fn, void *arg)
{
    struct weft__sched *sched = weft__sched_self();
    if (sched == NULL)
        return fn(arg);
    weft_executor *executor;
    int rc = executor_of(sched->runtime, &executor);
    if (rc < 0)
        return rc;
    return weft_executor_run(executor, fn, arg, NULL);
}
