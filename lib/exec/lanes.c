/*
 * lanes.c - a runtime's own executors, each made when it is first used.
 *
 * They differ in how many threads they may have: file calls are over soon, and more of them at once
 * than a disk can serve gain nothing; a name lookup may take seconds and keeps only its thread.
 */
#include "exec/lanes.h"

#include "base/lock.h"

static const struct {
    const char *name; /* of its threads */
    unsigned threads; /* most of them; 0: as many as the runtime's options say */
} lanes[WEFT__LANES] = {
    [WEFT__LANE_BLOCKING] = {"blocking", 0},
    [WEFT__LANE_FILES] = {"files", 16},
    [WEFT__LANE_NAMES] = {"names", 16},
};

static void
lane_free(void *lane, int64_t grace)
{
    weft_executor_free(lane, WEFT_DRAIN, grace);
}

static int
executor_of(struct weft__runtime *runtime, enum weft__lane lane, weft_executor **ret_executor)
{
    int rc = 0;
    weft__lock(&runtime->lanes_lock);
    if (runtime->lanes[lane] == NULL) {
        unsigned threads = lanes[lane].threads;
        weft_executor *executor;
        rc = weft_executor_new(
            &executor, &(weft_executor_options){
                           .threads = threads > 0 ? threads : runtime->options.blocking_threads,
                           .name = lanes[lane].name,
                       });
        if (rc == 0) {
            runtime->lanes[lane] = executor;
            runtime->lane_free = lane_free;
        }
    }
    *ret_executor = runtime->lanes[lane];
    weft__unlock(&runtime->lanes_lock);
    return rc;
}

int
weft__lane_run(enum weft__lane lane, weft_task_fn *fn, void *arg,
               const weft_blocking_options *options)
{
    struct weft__sched *sched = weft__sched_self();
    weft_executor *executor;
    int rc;
    if (sched == NULL)
        rc = fn(arg);
    else if ((rc = executor_of(sched->runtime, lane, &executor)) == 0)
        return weft_executor_run(executor, fn, arg, options);
    if (options != NULL && options->abandon != NULL)
        options->abandon(arg);
    return rc;
}
