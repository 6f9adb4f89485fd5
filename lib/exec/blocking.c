/*
 * blocking.c - calls that block, on the runtime's own executor.
 */
#include "exec/lanes.h"

int
weft_blocking(weft_task_fn *fn, void *arg)
{
    return weft__lane_run(WEFT__LANE_BLOCKING, fn, arg, NULL);
}
