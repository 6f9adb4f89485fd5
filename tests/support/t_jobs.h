/*
 * t_jobs.h - jobs for tests of the worker models, registered before main runs.
 *
 *     t.echo                  hands its input back
 *     t.reverse               its input, last byte first
 *     t.fail                  appends its input, then fails with -EILSEQ
 *     t.abort                 ends its process
 *     t.sleep_ms "N"          waits N ms; fails with what ended the wait
 *     t.spin_until_cancelled  waits a little again and again until a wait fails, and returns that
 *     t.burn_ms "N"           computes for N ms and never waits
 *     t.group "N"             N children that wait 1 to N ms, and append their numbers in order
 *     t.blocking "N"          marked WEFT_JOB_BLOCKING: sleeps N ms as a thread; its thread's name
 *     t.cpu                   marked WEFT_JOB_CPU: its thread's name
 */
#ifndef WEFT_TESTS_T_JOBS_H
#define WEFT_TESTS_T_JOBS_H

#include <weft/job.h>

/* Text as a job's input. */
static inline weft_bytes
t_text(const char *text)
{
    return (weft_bytes){.data = text, .len = __builtin_strlen(text)};
}

extern const weft_job t_jobs[];

#endif
