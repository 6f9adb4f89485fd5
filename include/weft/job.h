/*
 * job.h - jobs: functions from bytes to bytes, known by name.
 *
 * A child process and a remote consumer can be given neither pointers nor closures; a name and
 * bytes they can. The same table works in a thread, in another process, on another machine.
 */
#ifndef WEFT_JOB_H
#define WEFT_JOB_H

#include <weft/base.h>

/*
 * Runs in a task of its own, whatever the model, so it may use every call that waits. Negative
 * means failed. What it appends to out is the result; on failure it is handed over as well.
 */
typedef int weft_job_fn(weft_bytes in, weft_buf *out);

/* What a job does mostly: the hybrid model sends these two to its executor. */
#define WEFT_JOB_BLOCKING 1u /* calls that block the thread */
#define WEFT_JOB_CPU 2u      /* long computation */

typedef struct weft_job {
    const char *name; /* 1 to 63 bytes */
    weft_job_fn *run;
    unsigned flags; /* WEFT_JOB_BLOCKING, WEFT_JOB_CPU */
} weft_job;

WEFT_BEGIN_DECLS

/*
 * weft_job_register - make a job known by its name
 *
 * job      borrowed for the rest of the process's life
 *
 * Returns  0; -EEXIST when another job has the name; -EINVAL for a name that is empty or too
 *          long, or a NULL function; -ENOSPC after 1024 jobs
 * Waits    no
 * Threads  any; for the process model before weft_run with .processes
 * Source   weft
 */
int weft_job_register(const weft_job *job);

/*
 * weft_job_find - look a job up
 *
 * Returns  the job; NULL when no job has the name
 * Waits    no
 * Threads  any
 * Source   weft
 */
const weft_job *weft_job_find(const char *name);

/*
 * weft_job_load - register the jobs of a shared object
 *
 * path     as for dlopen(3); the object exports `const weft_job weft_jobs[]`, ended by a NULL name
 *
 * Returns  how many jobs were registered; WEFT_E_JOB_UNKNOWN when it has no such table (or cannot
 *          be loaded; weft_error_text() has the reason); -EEXIST, -EINVAL as weft_job_register
 * Waits    no
 * Threads  any
 * Source   dlopen(3)
 */
int weft_job_load(const char *path);

WEFT_END_DECLS

#endif
