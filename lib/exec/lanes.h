/*
 * lanes.h - a runtime's own executors, one for each kind of call that blocks.
 */
#ifndef WEFT_LIB_EXEC_LANES_H
#define WEFT_LIB_EXEC_LANES_H

#include <weft/executor.h>

#include "task/task_priv.h"

/* weft_executor_run on the executor of the lane, which is made on first use. On a plain thread fn
 * is simply called; options are as for weft_executor_run there too: arg is given back through
 * .abandon. */
WEFT_WAITS int weft__lane_run(enum weft__lane lane, weft_task_fn *fn, void *arg,
                              const weft_blocking_options *options);

#endif
