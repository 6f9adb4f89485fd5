/*
 * test_worker.c - what all models share: specs, options, the life of a call, a user's own model.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/scope.h>
#include <weft/task.h>
#include <weft/worker.h>

#include "t.h"
#include "t_jobs.h"

TestSuite(worker, .timeout = 60);

static void
refused(int code, const char *spec, const char *text)
{
    weft_workers *w = NULL;
    T_ERR(code, weft_workers_open(&w, spec, NULL));
    cr_assert_str_eq(weft_error_text(), text);
    cr_assert_null(w);
}

Test(worker, a_bad_spec_is_refused_with_a_sentence)
{
    t_leak_begin();
    refused(WEFT_E_SPEC, "thread:0", "thread:0: the number must be 1 to 20000");
    refused(WEFT_E_SPEC, "thread:-1", "thread:-1: the number must be 1 to 20000");
    refused(WEFT_E_SPEC, "thread:99999999", "thread:99999999: the number must be 1 to 20000");
    refused(WEFT_E_SPEC, "thread:18446744073709551617",
            "thread:18446744073709551617: the number must be 1 to 20000");
    refused(WEFT_E_SPEC, "process:1025", "process:1025: the number must be 1 to 1024");
    refused(WEFT_E_SPEC, "async:1025", "async:1025: the number must be 1 to 1024");
    refused(WEFT_E_SPEC, "hybrid:1025", "hybrid:1025: the number must be 1 to 1024");
    refused(WEFT_E_SPEC, "thread:x", "thread:x: \"x\" is not a number");
    refused(WEFT_E_SPEC, "thread: 3", "thread: 3: \" 3\" is not a number");
    refused(WEFT_E_SPEC, "thread:+3", "thread:+3: \"+3\" is not a number");
    refused(WEFT_E_SPEC, "thread:3x", "thread:3x: \"3x\" is not a number");
    refused(WEFT_E_SPEC, "thread:-", "thread:-: \"-\" is not a number");
    refused(WEFT_E_SPEC, "thread:", "thread: a number must follow the colon, 1 to 20000");
    refused(WEFT_E_SPEC, "sync:2", "sync:2: sync takes no number");
    refused(WEFT_E_SPEC, ":3",
            ":3: no model before the colon; there are: sync, thread, process, async, hybrid");
    refused(WEFT_E_SPEC, "",
            "an empty worker spec; there are: sync, thread, process, async, hybrid");
    refused(WEFT_E_SPEC, NULL,
            "an empty worker spec; there are: sync, thread, process, async, hybrid");
    refused(WEFT_E_MODEL_UNKNOWN, "thred",
            "no worker model \"thred\"; there are: sync, thread, process, async, hybrid");
    refused(WEFT_E_MODEL_UNKNOWN, "threads:3",
            "no worker model \"threads\"; there are: sync, thread, process, async, hybrid");
    t_leak_end();
}

Test(worker, a_spec_of_any_length_is_refused_in_time)
{
    char *spec = malloc(1 << 20);
    memset(spec, '9', 1 << 20);
    memcpy(spec, "thread:", 7);
    spec[(1 << 20) - 1] = '\0';
    weft_workers *w;
    T_ERR(WEFT_E_SPEC, weft_workers_open(&w, spec, NULL));
    memset(spec, 'm', 7);
    T_ERR(WEFT_E_MODEL_UNKNOWN, weft_workers_open(&w, spec, NULL));
    free(spec);
}

Test(worker, without_a_number_there_is_one_worker_for_each_usable_cpu)
{
    char expected[32];
    snprintf(expected, sizeof expected, "thread:%u", weft_usable_cpus());
    weft_workers *w;
    T_OK(weft_workers_open(&w, "thread", NULL));
    cr_assert_str_eq(weft_workers_spec(w), expected);
    weft_workers_close(w, WEFT_DRAIN, 0);
    T_OK(weft_workers_open(&w, "sync", NULL));
    cr_assert_str_eq(weft_workers_spec(w), "sync");
    weft_workers_close(w, WEFT_DRAIN, 0);
}

Test(worker, options_out_of_range_are_refused)
{
    weft_workers *w;
    T_ERR(-EINVAL, weft_workers_open(&w, "thread:1",
                                     &(weft_workers_options){.max_in_flight = (size_t)1 << 40}));
    cr_assert(strstr(weft_error_text(), "max_in_flight") != NULL, "%s", weft_error_text());
    T_ERR(WEFT_E_STACK,
          weft_workers_open(&w, "thread:1", &(weft_workers_options){.stack_size = 100}));
    cr_assert(strstr(weft_error_text(), "stack_size") != NULL, "%s", weft_error_text());
}

Test(worker, closing_nothing_does_nothing)
{
    weft_workers_close(NULL, WEFT_DRAIN, 0);
}

Test(worker, two_models_of_a_kind_stand_side_by_side)
{
    t_leak_begin();
    weft_workers *a, *b;
    T_OK(weft_workers_open(&a, "async:1", NULL));
    T_OK(weft_workers_open(&b, "async:1", NULL));
    T_OK(weft_workers_run(a, "t.echo", t_text("x"), NULL));
    T_OK(weft_workers_run(b, "t.echo", t_text("x"), NULL));
    weft_workers_close(a, WEFT_DRAIN, 0);
    T_OK(weft_workers_run(b, "t.echo", t_text("x"), NULL));
    weft_workers_close(b, WEFT_DRAIN, 0);
    t_leak_end();
}

static weft_workers *
open_sync(void)
{
    weft_workers *w;
    T_OK(weft_workers_open(&w, "sync", NULL));
    return w;
}

Test(worker, output_is_appended_and_may_be_taken_over)
{
    weft_workers *w = open_sync();
    weft_buf out = {0};
    T_OK(weft_workers_run(w, "t.echo", t_text(""), NULL)); /* makes the private loop, to stay */
    weft_workers_close(w, WEFT_DRAIN, 0);
    t_leak_begin();
    w = open_sync();
    T_OK(weft_workers_run(w, "t.echo", t_text("one"), &out));
    T_OK(weft_workers_run(w, "t.echo", t_text("two"), &out));
    cr_assert_eq(out.len, 6u);
    cr_assert_eq(memcmp(out.data, "onetwo", 6), 0);
    weft_buf_free(&out);

    weft_call call;
    T_OK(weft_call_open(&call, "t.echo", t_text("mine")));
    T_OK(weft_workers_submit(w, &call));
    T_OK(weft_call_wait(&call));
    out = call.out;
    call.out = (weft_buf){0};
    weft_call_close(&call);
    cr_assert_eq(memcmp(out.data, "mine", 4), 0);
    weft_buf_free(&out);
    weft_workers_close(w, WEFT_DRAIN, 0);
    t_leak_end();
}

Test(worker, a_call_is_submitted_once, .signal = SIGABRT)
{
    weft_workers *w = open_sync();
    weft_call call;
    T_OK(weft_call_open(&call, "t.echo", t_text("")));
    T_OK(weft_workers_submit(w, &call));
    weft_ignore(weft_workers_submit(w, &call));
}

Test(worker, a_call_that_was_not_accepted_is_not_waited_for, .signal = SIGABRT)
{
    weft_call call;
    T_OK(weft_call_open(&call, "t.echo", t_text("")));
    weft_ignore(weft_call_wait(&call));
}

Test(worker, a_call_in_flight_is_not_closed, .signal = SIGABRT)
{
    weft_workers *w;
    T_OK(weft_workers_open(&w, "thread:1", NULL));
    weft_call call;
    T_OK(weft_call_open(&call, "t.sleep_ms", t_text("5000")));
    T_OK(weft_workers_submit(w, &call));
    weft_call_close(&call);
}

static int
cancelled_task(void *arg)
{
    weft_call call;
    T_OK(weft_call_open(&call, "t.echo", t_text("")));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_workers_submit(arg, &call));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    /* Refused, so it may be submitted again. */
    T_OK(weft_workers_submit(arg, &call));
    T_OK(weft_call_wait(&call));
    T_OK(call.result);
    weft_call_close(&call);
    return 0;
}

Test(worker, submitting_looks_for_cancellation_first)
{
    weft_workers *w;
    T_OK(weft_workers_open(&w, "thread:1", NULL));
    T_OK(weft_run(cancelled_task, w, &(weft_options){.loops = 1}));
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert_eq(stats.submitted, 1u);
    weft_workers_close(w, WEFT_DRAIN, 0);
}

static int
line_task(void *arg)
{
    weft_call call;
    T_OK(weft_call_open(&call, "t.echo", t_text("")));
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(20));
    T_ERR(-ETIMEDOUT, weft_workers_submit(arg, &call));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    weft_call_close(&call);
    return 0;
}

Test(worker, a_submitter_in_line_gives_up_with_its_scope)
{
    t_leak_begin();
    weft_workers *w;
    T_OK(weft_workers_open(&w, "thread:1", &(weft_workers_options){.max_in_flight = 1}));
    weft_call call;
    T_OK(weft_call_open(&call, "t.sleep_ms", t_text("200")));
    T_OK(weft_workers_submit(w, &call));
    T_OK(weft_run(line_task, w, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    T_OK(weft_call_wait(&call));
    weft_call_close(&call);
    T_OK(weft_workers_run(w, "t.echo", t_text(""), NULL)); /* its place in line cost no permit */
    weft_workers_close(w, WEFT_DRAIN, 0);
    t_leak_end();
}

/* A model of a user's own: refuses every other call, and ends the rest when it is closed. */
struct keeper {
    weft_call *kept[8];
    unsigned n;
    unsigned asked;
    unsigned cancelled;
};

static struct keeper *seen;

static int
keeper_open(void *state, weft_workers *workers, unsigned width, const weft_workers_options *options)
{
    (void)workers;
    if (options->stack_size != 0)
        return -EPERM;
    cr_assert_eq(width, 5u);
    seen = state;
    cr_assert_eq(seen->n, 0u);
    return 0;
}

static int
keeper_submit(void *state, weft_call *call)
{
    struct keeper *keeper = state;
    if (keeper->asked++ % 2 == 1)
        return -ENOMEM;
    keeper->kept[keeper->n++] = call;
    return 0;
}

static void
keeper_cancel(void *state, weft_call *call)
{
    struct keeper *keeper = state;
    keeper->cancelled++;
    /* Completed inside cancel: the call must still be there when this returns. */
    weft_call_done(call, -ECANCELED);
    call->slot = keeper;
    keeper->n--;
}

static void
keeper_close(void *state, weft_close_mode mode, weft_time grace)
{
    struct keeper *keeper = state;
    (void)grace;
    for (unsigned i = 0; i < keeper->n; i++) {
        weft_call_begin(keeper->kept[i]);
        weft_call_done(keeper->kept[i], mode == WEFT_DRAIN ? 7 : -ECANCELED);
    }
}

static const weft_worker_model keeper_model = {.name = "keeper",
                                               .state_size = sizeof(struct keeper),
                                               .open = keeper_open,
                                               .submit = keeper_submit,
                                               .cancel = keeper_cancel,
                                               .close = keeper_close};

Test(worker, a_model_of_ones_own_has_the_same_rights)
{
    t_leak_begin();
    weft_workers *w;
    T_ERR(-EINVAL, weft_workers_open_model(&w, &keeper_model, 0, NULL));
    T_ERR(-EINVAL, weft_workers_open_model(&w, &(weft_worker_model){.name = "half"}, 1, NULL));
    T_ERR(-EPERM, weft_workers_open_model(&w, &keeper_model, 5,
                                          &(weft_workers_options){.stack_size = 65536}));
    T_OK(weft_workers_open_model(&w, &keeper_model, 5, NULL));
    cr_assert_str_eq(weft_workers_spec(w), "keeper:5");

    weft_call first, second;
    T_OK(weft_call_open(&first, "t.echo", t_text("")));
    T_OK(weft_call_open(&second, "t.echo", t_text("")));
    T_OK(weft_workers_submit(w, &first));
    T_ERR(-ENOMEM, weft_workers_submit(w, &second));
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert_eq(stats.submitted, 1u);
    cr_assert_eq(stats.in_flight, 1u);
    cr_assert_eq(stats.workers, 5u);
    T_OK(weft_workers_submit(w, &second)); /* refused once, accepted now */
    weft_call_cancel(&second);
    cr_assert_eq(seen->cancelled, 1u);
    T_OK(weft_call_wait(&second));
    T_ERR(-ECANCELED, second.result);
    weft_call_close(&second);

    cr_assert(!weft_future_done(&first.done));
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    T_OK(weft_call_wait(&first));
    cr_assert_eq(first.result, 7);
    weft_call_close(&first);
    t_leak_end();
}

static int
twice_submit(void *state, weft_call *call)
{
    (void)state;
    weft_call_done(call, 0);
    weft_call_done(call, 0);
    return 0;
}

Test(worker, a_model_that_completes_a_call_twice_is_stopped, .signal = SIGABRT)
{
    static const weft_worker_model twice = {.name = "twice", .submit = twice_submit};
    weft_workers *w;
    T_OK(weft_workers_open_model(&w, &twice, 1, NULL));
    weft_call call;
    T_OK(weft_call_open(&call, "t.echo", t_text("")));
    weft_ignore(weft_workers_submit(w, &call));
}

static int
parked_submit_task(void *arg)
{
    weft_workers **w = arg;
    weft_workers *workers = *w;
    int rc = weft_workers_run(workers, "t.sleep_ms", t_text("100"), NULL);
    return rc;
}

static int
sync_close_task(void *arg)
{
    weft_workers *w = arg;
    weft_task *task;
    int rc = weft_task_spawn(&task, parked_submit_task, &w, NULL);
    if (rc < 0)
        return rc;
    rc = weft_sleep(WEFT_MS(10)); /* its job is on its way, on this very thread */
    if (rc < 0)
        return rc;
    weft_workers_close(w, WEFT_DRAIN, WEFT_MS(20));
    int result;
    rc = weft_task_join(task, &result);
    return rc < 0 ? rc : result;
}

Test(worker, closing_sync_beside_a_job_of_the_same_thread_ends_with_its_grace)
{
    t_leak_begin();
    weft_workers *w = open_sync();
    T_OK(weft_run(sync_close_task, w, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}
