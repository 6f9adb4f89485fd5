/*
 * process_priv.h - what starting a child and dealing with it share.
 */
#ifndef WEFT_LIB_IO_PROCESS_PRIV_H
#define WEFT_LIB_IO_PROCESS_PRIV_H

#include <weft/process.h>

/* Starts the program, and opens the streams of its pipes. All three are closed on failure. */
int weft__process_start(weft_process *process, const weft_process_options *options, pid_t *ret_pid);

#endif
