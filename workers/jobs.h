/*
 * jobs.h - running one job to its end: the shared last step of every model.
 */
#ifndef WEFT_WORKERS_JOBS_H
#define WEFT_WORKERS_JOBS_H

#include <weft/job.h>
#include <weft/time.h>

/* Runs a job in the calling task. With a deadline (on CLOCK_MONOTONIC) its waits end there, and
 * the result is -ETIMEDOUT when that ended it, or when the time had come before it began. */
int weft__job_run(const weft_job *job, weft_bytes in, weft_buf *out, weft_time deadline);

/* The same on a plain thread, as a lone task of weft_run_here. */
int weft__job_run_here(const weft_job *job, weft_bytes in, weft_buf *out, weft_time deadline);

/* A deadline on CLOCK_MONOTONIC, on the clock of the calling task's runtime, which may be a
 * virtual one. */
weft_time weft__job_deadline(weft_time deadline);

#endif
