/*
 * jobs.c - the registry of jobs, and running one.
 *
 * Jobs are only ever added, so looking one up takes no lock: a slot of the table, once set, never
 * changes. Adding is serialised by a mutex. What a shared object brings is registered whole or
 * not at all, and the object stays loaded from then on.
 */
#include "jobs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <weft/error.h>
#include <weft/run.h>
#include <weft/scope.h>

#include "worker_priv.h"

enum { JOBS_MAX = 1024, SLOTS = 2048, NAME_MAX_LEN = 63 };

static const weft_job *slots[SLOTS]; /* open addressing; half of it stays empty */
static size_t n_jobs;                /* under adding */
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;

/* The slot that has the name, or the empty one where it would go. */
static size_t
slot_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = name; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    size_t i = hash % SLOTS;
    for (;;) {
        const weft_job *job = __atomic_load_n(&slots[i], __ATOMIC_SEQ_CST); /* pairs with add */
        if (job == NULL || strcmp(job->name, name) == 0)
            return i;
        i = (i + 1) % SLOTS;
    }
}

/* Whether the job may be added; called with the lock. */
static int
check(const weft_job *job)
{
    if (job->name == NULL || job->run == NULL)
        return weft_error_note(-EINVAL, "a job without a name or a function");
    size_t len = strlen(job->name);
    if (len == 0 || len > NAME_MAX_LEN)
        return weft_error_note(-EINVAL, "the job's name has %zu bytes, not 1 to 63", len);
    const weft_job *other = slots[slot_of(job->name)];
    if (other != NULL && other != job)
        return weft_error_note(-EEXIST, "another job is registered as \"%s\"", job->name);
    return 0;
}

/* Adds a checked job, or finds that it is there; called with the lock. */
static int
add(const weft_job *job)
{
    size_t i = slot_of(job->name);
    if (slots[i] == job)
        return 0;
    if (slots[i] != NULL)
        return weft_error_note(-EEXIST, "two jobs are called \"%s\"", job->name);
    if (n_jobs == JOBS_MAX)
        return weft_error_note(-ENOSPC, "%d jobs are registered, there is no room for more",
                               JOBS_MAX);
    n_jobs++;
    __atomic_store_n(&slots[i], job, __ATOMIC_SEQ_CST); /* pairs with the load in slot_of */
    return 0;
}

int
weft_job_register(const weft_job *job)
{
    pthread_mutex_lock(&adding);
    int rc = check(job);
    if (rc == 0)
        rc = add(job);
    pthread_mutex_unlock(&adding);
    return rc;
}

const weft_job *
weft_job_find(const char *name)
{
    if (name == NULL)
        return NULL;
    return __atomic_load_n(&slots[slot_of(name)], __ATOMIC_SEQ_CST); /* pairs with add */
}

/* How often the table has the name before its entry `end`. */
static bool
named_before(const weft_job *table, size_t end)
{
    for (size_t i = 0; i < end; i++)
        if (strcmp(table[i].name, table[end].name) == 0)
            return true;
    return false;
}

/* All of a table or nothing of it; called with the lock. */
static int
add_table(const weft_job *table)
{
    size_t n = 0, fresh = 0;
    for (; table[n].name != NULL; n++) {
        int rc = check(&table[n]);
        if (rc < 0)
            return rc;
        if (named_before(table, n))
            return weft_error_note(-EEXIST, "two jobs are called \"%s\"", table[n].name);
        fresh += slots[slot_of(table[n].name)] == NULL;
        if (n_jobs + fresh > JOBS_MAX)
            return weft_error_note(-ENOSPC, "%zu jobs are registered, %d are the most", n_jobs,
                                   JOBS_MAX);
    }
    for (size_t i = 0; i < n; i++)
        weft_ignore(add(&table[i]));
    return (int)n;
}

int
weft_job_load(const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL)
        return weft_error_note(WEFT_E_JOB_UNKNOWN, "%s", dlerror());
    const weft_job *table = dlsym(object, "weft_jobs");
    int rc;
    if (table == NULL) {
        rc = weft_error_note(WEFT_E_JOB_UNKNOWN, "%s: exports no weft_jobs", path);
    } else {
        pthread_mutex_lock(&adding);
        rc = add_table(table);
        pthread_mutex_unlock(&adding);
    }
    if (rc < 0)
        dlclose(object);
    return rc; /* the object stays: its jobs are borrowed for good */
}

weft_time
weft__job_deadline(weft_time deadline)
{
    if (deadline == WEFT_FOREVER)
        return WEFT_FOREVER;
    weft_time left = deadline - weft__worker_clock();
    weft_time now = weft_now();
    return left < WEFT_FOREVER - now ? now + left : WEFT_FOREVER;
}

int
weft__job_run(const weft_job *job, weft_bytes in, weft_buf *out, weft_time deadline)
{
    if (deadline == WEFT_FOREVER)
        return job->run(in, out);
    if (deadline <= weft__worker_clock())
        return -ETIMEDOUT;
    weft_scope scope;
    weft_scope_open(&scope, weft__job_deadline(deadline));
    int result = job->run(in, out);
    int ended = weft_scope_close(&scope);
    return ended < 0 ? ended : result;
}

/* One job on its way through weft_run_here. */
struct run {
    const weft_job *job;
    weft_bytes in;
    weft_buf *out;
    weft_time deadline;
};

static int
run_main(void *arg)
{
    struct run *run = arg;
    return weft__job_run(run->job, run->in, run->out, run->deadline);
}

int
weft__job_run_here(const weft_job *job, weft_bytes in, weft_buf *out, weft_time deadline)
{
    struct run run = {.job = job, .in = in, .out = out, .deadline = deadline};
    return weft_run_here(run_main, &run);
}
