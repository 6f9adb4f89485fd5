/*
 * weft_models.c - the models of weft: open by spec, submit every job, wait for every job.
 *
 * process runs inside weft_run, which forks its helper before any thread exists. All others are
 * used by a plain thread of their own, so that what that thread's private loop holds is gone
 * when descriptors are counted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <weft/error.h>
#include <weft/run.h>
#include <weft/worker.h>

#include "measure.h"
#include "one.h"

static int
submit_all(struct bench_one *one, weft_workers *workers, weft_call *calls)
{
    unsigned n = one->model.jobs;
    for (unsigned i = 0; i < n; i++) {
        const struct bench_record *r = &one->records[i];
        int rc =
            weft_call_open(&calls[i], one->plan.kase->job, (weft_bytes){r->input, r->input_len});
        if (rc < 0) {
            while (i-- > 0)
                weft_call_close(&calls[i]);
            bench_one_note("job %s: %s", one->plan.kase->job, weft_strerror(rc));
            return rc;
        }
    }
    one->begun = bench_clock_ns();
    for (unsigned i = one->sabotage == BENCH_DROP_JOB; i < n; i++)
        one->records[i].result = weft_workers_submit(workers, &calls[i]);
    for (unsigned i = one->sabotage == BENCH_DROP_JOB; i < n; i++) {
        /* Outside any scope a wait ends with its call; what was refused has nothing to wait for. */
        if (one->records[i].result == 0)
            one->records[i].result = weft_call_wait(&calls[i]);
    }
    one->ended = bench_clock_ns();

    for (unsigned i = one->sabotage == BENCH_DROP_JOB; i < n; i++) {
        struct bench_record *r = &one->records[i];
        r->submitted = calls[i].submitted;
        r->started = calls[i].started;
        r->ended = calls[i].ended;
        if (r->result == 0)
            r->result = calls[i].result;
        if (r->result >= 0)
            r->result = weft_sample_result_read((weft_bytes){calls[i].out.data, calls[i].out.len},
                                                &r->found);
    }
    for (unsigned i = 0; i < n; i++)
        weft_call_close(&calls[i]);
    return 0;
}

static int
use_workers(void *arg)
{
    struct bench_one *one = arg;
    weft_workers *workers = NULL;
    weft_workers_options options = {.max_in_flight = one->model.jobs};
    int64_t opening = bench_clock_ns();
    int rc = weft_workers_open(&workers, one->model.spec, &options);
    if (rc < 0) {
        const char *detail = weft_error_text();
        bench_one_note("cannot be opened: %s", detail[0] != '\0' ? detail : weft_strerror(rc));
        return rc;
    }
    one->open_ns = bench_clock_ns() - opening;
    if (one->sabotage == BENCH_FEW_FILES)
        bench_use_up_files();

    weft_call *calls = calloc(one->model.jobs, sizeof *calls);
    if (calls == NULL) {
        bench_one_note("no memory for %u calls", one->model.jobs);
        rc = -ENOMEM;
    } else {
        rc = submit_all(one, workers, calls);
    }
    weft_workers_stats stats;
    weft_workers_stats_get(workers, &stats);
    one->crashed = stats.crashed;
    weft_workers_close(workers, WEFT_DRAIN, WEFT_SEC(10));
    free(calls);
    return rc;
}

struct user {
    struct bench_one *one;
    int rc;
};

static void *
user_main(void *arg)
{
    struct user *user = arg;
    user->rc = use_workers(user->one);
    return NULL;
}

int
bench_weft_run(struct bench_one *one)
{
    int rc = weft_sample_jobs_register();
    if (rc < 0) {
        bench_one_note("the sample jobs cannot be registered: %s", weft_strerror(rc));
        return rc;
    }
    if (one->model.kind->id == BENCH_PROCESS) {
        weft_options options = {
            .loops = 1,
            .signals = WEFT_SIGNALS_NONE,
            .processes = one->model.width,
        };
        return weft_run(use_workers, one, &options);
    }
    pthread_t thread;
    struct user user = {one, 0};
    rc = pthread_create(&thread, NULL, user_main, &user);
    if (rc != 0)
        return -rc;
    pthread_join(thread, NULL);
    return user.rc;
}
