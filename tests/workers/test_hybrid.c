/*
 * test_hybrid.c - the hybrid model: what every model must do, and where marked jobs run.
 */
#include "tests/conformance/worker_kit.h"

#include <string.h>

#include "t.h"
#include "t_jobs.h"

WORKER_KIT(workers_hybrid, "hybrid")

static bool
begins_with(const weft_buf *out, const char *prefix)
{
    return out->len >= strlen(prefix) && memcmp(out->data, prefix, strlen(prefix)) == 0;
}

Test(workers_hybrid, jobs_that_block_run_on_threads_of_their_own_all_at_once)
{
    enum { N = 20 };
    t_leak_begin();
    weft_workers *w = worker_kit_open("hybrid", 1, NULL);
    weft_call calls[N];
    weft_time before = weft_now();
    for (int i = 0; i < N; i++) {
        T_OK(weft_call_open(&calls[i], "t.blocking", t_text("100")));
        T_OK(weft_workers_submit(w, &calls[i]));
    }
    /* The loop is free meanwhile. */
    T_OK(weft_workers_run(w, "t.echo", t_text("x"), NULL));
    cr_assert(!weft_future_done(&calls[N - 1].done));
    for (int i = 0; i < N; i++) {
        T_OK(weft_call_wait(&calls[i]));
        T_OK(calls[i].result);
        cr_assert(begins_with(&calls[i].out, "blocking/"), "%.*s", (int)calls[i].out.len,
                  (char *)calls[i].out.data);
        weft_call_close(&calls[i]);
    }
    cr_assert(weft_now() - before < WEFT_SEC(1), "they ran one after the other");
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert(stats.workers > 1, "threads of the executor are workers, too");
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    t_leak_end();
}

Test(workers_hybrid, jobs_that_compute_run_on_threads_of_the_other_executor)
{
    t_leak_begin();
    weft_workers *w = worker_kit_open("hybrid", 1, NULL);
    weft_buf out = {0};
    T_OK(weft_workers_run(w, "t.cpu", t_text(""), &out));
    cr_assert(begins_with(&out, "cpu/"), "%.*s", (int)out.len, (char *)out.data);
    weft_buf_free(&out);
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    t_leak_end();
}

Test(workers_hybrid, a_blocking_job_in_line_can_be_taken_back)
{
    t_leak_begin();
    weft_workers *w = worker_kit_open("hybrid", 1, NULL);
    enum { N = 200 };
    weft_call *calls = calloc(N, sizeof *calls);
    for (int i = 0; i < N; i++) {
        T_OK(weft_call_open(&calls[i], "t.blocking", t_text("300")));
        T_OK(weft_workers_submit(w, &calls[i]));
    }
    T_OK(weft_workers_run(w, "t.echo", t_text("x"), NULL)); /* all have begun or are in line */
    weft_call_cancel(&calls[N - 1]);
    T_OK(weft_call_wait(&calls[N - 1]));
    T_ERR(-ECANCELED, calls[N - 1].result);
    cr_assert(!weft_future_done(&calls[0].done));
    for (int i = 0; i < N; i++) {
        T_OK(weft_call_wait(&calls[i]));
        weft_call_close(&calls[i]);
    }
    free(calls);
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    t_leak_end();
}

Test(workers_hybrid, a_close_does_not_wait_for_ever_for_a_thread_that_blocks)
{
    t_leak_begin();
    weft_workers *w = worker_kit_open("hybrid", 1, NULL);
    static const char ms[] = "1500";
    weft_call call;
    T_OK(weft_call_open(&call, "t.blocking", t_text(ms)));
    T_OK(weft_workers_submit(w, &call));
    weft_ignore(weft_sleep(WEFT_MS(50)));
    weft_time before = weft_now();
    weft_workers_close(w, WEFT_CANCEL, WEFT_MS(50));
    cr_assert(weft_now() - before < WEFT_MS(1300));
    T_ERR(-ECANCELED, call.result);
    weft_call_close(&call);
    weft_ignore(weft_sleep(WEFT_SEC(2))); /* what was left behind ends by itself */
    t_leak_end();
}
