/*
 * test_sync.c - the sync model: what every model must do.
 */
#include "tests/conformance/worker_kit.h"

WORKER_KIT(workers_sync, "sync")
