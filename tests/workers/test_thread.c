/*
 * test_thread.c - the thread model: what every model must do.
 */
#include "tests/conformance/worker_kit.h"

WORKER_KIT(workers_thread, "thread")
