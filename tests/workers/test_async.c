/*
 * test_async.c - the async model: what every model must do.
 */
#include "tests/conformance/worker_kit.h"

WORKER_KIT(workers_async, "async")
