/*
 * models.c - the only list of worker models.
 *
 * The limits are what one process can be asked for in earnest: threads cost address space and a
 * kernel task each, children a process, loops a thread with a poller.
 */
#include "worker_priv.h"

const weft__worker_entry weft__worker_models[] = {
    {.model = &weft_worker_sync, .width_max = 0},
    {.model = &weft_worker_thread, .width_max = 20000},
    {.model = &weft_worker_process, .width_max = 1024},
    {.model = &weft_worker_async, .width_max = 1024},
    {.model = &weft_worker_hybrid, .width_max = 1024},
    {.model = NULL},
};
