/*
 * worker_kit.c - what every worker model must do.
 *
 * Each test looks at what the process holds before and after. What other threads see is noted
 * there and asserted here.
 */
#include "worker_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft/group.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "t.h"
#include "t_jobs.h"
#include "workers/worker_priv.h"

#ifdef WEFT_VALGRIND
#define LARGE ((size_t)4 << 20)
#else
#define LARGE ((size_t)64 << 20)
#endif

static bool
is_sync(const char *model)
{
    return strcmp(model, "sync") == 0;
}

weft_workers *
worker_kit_open(const char *model, unsigned width, const weft_workers_options *options)
{
    char spec[32];
    if (is_sync(model))
        snprintf(spec, sizeof spec, "%s", model);
    else
        snprintf(spec, sizeof spec, "%s:%u", model, width);
    weft_workers *w = NULL;
    T_OK(weft_workers_open(&w, spec, options));
    cr_assert_str_eq(weft_workers_spec(w), spec);
    return w;
}

static int
warm_up_task(void *arg)
{
    weft_buf out = {0};
    int rc = weft_job_find("t.group")->run(t_text("8"), &out);
    weft_buf_free(&out);
    (void)arg;
    return rc;
}

/* The test's own thread keeps the private loop that sync runs jobs on, by contract: it is made
 * first. */
static void
leak_begin(void)
{
    T_OK(weft_run_here(warm_up_task, NULL));
    t_leak_begin();
}

static bool
has(weft_workers *w, unsigned trait)
{
    return (weft_workers_traits(w) & trait) != 0;
}

static void
nap_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void
close_drained(weft_workers *w)
{
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
}

/* Opened and submitted. */
static void
start(weft_workers *w, weft_call *call, const char *job, const char *in)
{
    T_OK(weft_call_open(call, job, t_text(in)));
    T_OK(weft_workers_submit(w, call));
}

/* Waited for and closed; the result. */
static int
end(weft_call *call)
{
    T_OK(weft_call_wait(call));
    int result = call->result;
    weft_call_close(call);
    return result;
}

void
worker_kit_a_thousand_small_calls_each_give_their_result(const char *model)
{
    enum { N = 1000 };
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    weft_call *calls = calloc(N, sizeof *calls);
    int *inputs = calloc(N, sizeof *inputs);
    for (int i = 0; i < N; i++) {
        inputs[i] = i;
        T_OK(weft_call_open(&calls[i], "t.echo", (weft_bytes){&inputs[i], sizeof inputs[i]}));
        T_OK(weft_workers_submit(w, &calls[i]));
    }
    for (int i = 0; i < N; i++) {
        weft_call *call = &calls[i];
        T_OK(weft_call_wait(call));
        T_OK(call->result);
        cr_assert_eq(call->out.len, sizeof inputs[i]);
        cr_assert_eq(memcmp(call->out.data, &i, sizeof i), 0, "call %d got another's result", i);
        cr_assert(call->submitted > 0 && call->started >= call->submitted &&
                      call->ended >= call->started,
                  "call %d: submitted %ld, started %ld, ended %ld", i, (long)call->submitted,
                  (long)call->started, (long)call->ended);
        weft_call_close(call);
    }
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert_eq(stats.submitted, (uint64_t)N);
    cr_assert_eq(stats.done, (uint64_t)N);
    close_drained(w);
    free(inputs);
    free(calls);
    t_leak_end();
}

void
worker_kit_a_failing_job_hands_over_its_result_and_its_output(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    weft_call call;
    start(w, &call, "t.fail", "so far");
    T_OK(weft_call_wait(&call));
    T_ERR(-EILSEQ, call.result);
    cr_assert_eq(call.out.len, 6u);
    cr_assert_eq(memcmp(call.out.data, "so far", 6), 0);
    weft_call_close(&call);

    weft_buf out = {0};
    T_ERR(-EILSEQ, weft_workers_run(w, "t.fail", t_text("again"), &out));
    cr_assert_eq(out.len, 5u);
    weft_buf_free(&out);
    close_drained(w);
    t_leak_end();
}

void
worker_kit_a_job_nobody_registered_is_refused_by_name(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    weft_call call;
    T_ERR(WEFT_E_JOB_UNKNOWN, weft_call_open(&call, "t.nowhere", t_text("")));
    cr_assert(strstr(weft_error_text(), "t.nowhere") != NULL, "%s", weft_error_text());
    T_ERR(WEFT_E_JOB_UNKNOWN, weft_workers_run(w, "t.nowhere", t_text(""), NULL));
    T_OK(weft_workers_run(w, "t.echo", t_text(""), NULL));
    close_drained(w);
    t_leak_end();
}

void
worker_kit_a_large_payload_goes_both_ways(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    unsigned char *in = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i += 4096)
        memset(in + i, (int)(i >> 12) & 0xff, 4096);
    in[0] = 'a';
    in[LARGE - 1] = 'z';
    weft_buf out = {0};
    T_OK(weft_workers_run(w, "t.reverse", (weft_bytes){in, LARGE}, &out));
    cr_assert_eq(out.len, LARGE);
    size_t wrong = 0;
    for (size_t i = 0; i < LARGE; i++)
        wrong += out.data[i] != in[LARGE - 1 - i];
    cr_assert_eq(wrong, 0u);
    weft_buf_free(&out);
    free(in);
    close_drained(w);
    t_leak_end();
}

void
worker_kit_nothing_in_and_nothing_out_is_a_call_like_any_other(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    weft_call call;
    T_OK(weft_call_open(&call, "t.echo", (weft_bytes){NULL, 0}));
    T_OK(weft_workers_submit(w, &call));
    T_OK(weft_call_wait(&call));
    T_OK(call.result);
    cr_assert_eq(call.out.len, 0u);
    weft_call_close(&call);
    close_drained(w);
    t_leak_end();
}

void
worker_kit_no_more_calls_are_in_flight_than_allowed(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 4, &(weft_workers_options){.max_in_flight = 2});
    weft_call calls[3];
    start(w, &calls[0], "t.sleep_ms", "200");
    start(w, &calls[1], "t.sleep_ms", "200");
    T_OK(weft_call_open(&calls[2], "t.echo", t_text("")));
    if (!is_sync(model))
        T_ERR(-EAGAIN, weft_workers_try_submit(w, &calls[2]));
    T_OK(weft_workers_submit(w, &calls[2])); /* waits for room */
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert(stats.done >= 1, "a third call was accepted while two were in flight");
    for (int i = 0; i < 3; i++)
        T_OK(end(&calls[i]));
    close_drained(w);
    t_leak_end();
}

struct submitter {
    weft_workers *w;
    int calls;
    int wrong;
};

static void *
submitter_main(void *arg)
{
    struct submitter *s = arg;
    for (int i = 0; i < s->calls; i++) {
        weft_buf out = {0};
        char in[24];
        int len = snprintf(in, sizeof in, "%d!", i);
        int rc = weft_workers_run(s->w, "t.reverse", t_text(in), &out);
        s->wrong += rc != 0 || out.len != (size_t)len || out.data[0] != '!';
        weft_buf_free(&out);
    }
    return NULL;
}

void
worker_kit_several_threads_may_submit_at_once(const char *model)
{
    enum { THREADS = 4 };
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, &(weft_workers_options){.max_in_flight = 3});
    struct submitter submitters[THREADS];
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++) {
        submitters[i] = (struct submitter){.w = w, .calls = 200};
        cr_assert_eq(pthread_create(&ids[i], NULL, submitter_main, &submitters[i]), 0);
    }
    int wrong = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        wrong += submitters[i].wrong;
    }
    cr_assert_eq(wrong, 0);
    close_drained(w);
    t_leak_end();
}

static int
submitter_task(void *arg)
{
    submitter_main(arg);
    return 0;
}

struct submitters {
    struct submitter each[20];
};

static int
submitters_task(void *arg)
{
    struct submitters *all = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 20; i++)
        weft_group_spawn_with(&group, submitter_task, &all->each[i],
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    return weft_group_close(&group);
}

void
worker_kit_tasks_may_submit_at_once(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, &(weft_workers_options){.max_in_flight = 5});
    struct submitters all;
    for (int i = 0; i < 20; i++)
        all.each[i] = (struct submitter){.w = w, .calls = 20};
    T_OK(
        weft_run(submitters_task, &all, &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
    int wrong = 0;
    for (int i = 0; i < 20; i++)
        wrong += all.each[i].wrong;
    cr_assert_eq(wrong, 0);
    close_drained(w);
    t_leak_end();
}

void
worker_kit_a_call_that_waits_in_line_can_be_taken_back(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 1, NULL);
    if (!is_sync(model) && !has(w, WEFT_WORKER_CONCURRENT)) {
        weft_call first, second, third;
        start(w, &first, "t.sleep_ms", "300");
        start(w, &second, "t.echo", "");
        start(w, &third, "t.echo", "");
        weft_call_cancel(&second);
        T_ERR(-ECANCELED, end(&second));
        cr_assert(!weft_future_done(&first.done), "the first call was waited for");
        T_OK(end(&third));
        T_OK(end(&first));
    }
    /* Twice, and after the end, it changes nothing. */
    weft_call call;
    start(w, &call, "t.echo", "");
    weft_call_cancel(&call);
    weft_call_cancel(&call);
    T_OK(weft_call_wait(&call));
    cr_assert(call.result == 0 || call.result == -ECANCELED, "result %d", call.result);
    int result = call.result;
    weft_call_cancel(&call);
    cr_assert_eq(call.result, result);
    weft_call_close(&call);
    close_drained(w);
    t_leak_end();
}

void
worker_kit_cancelling_a_running_job_does_what_the_traits_say(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    weft_call call;
    if (has(w, WEFT_WORKER_KILLABLE | WEFT_WORKER_COOPERATIVE)) {
        start(w, &call, "t.spin_until_cancelled", "");
        nap_ms(50);
        weft_call_cancel(&call);
        T_ERR(-ECANCELED, end(&call));
    } else {
        start(w, &call, "t.sleep_ms", "100");
        nap_ms(30);
        weft_call_cancel(&call);
        T_OK(end(&call));
    }
    T_OK(weft_workers_run(w, "t.echo", t_text(""), NULL));
    close_drained(w);
    t_leak_end();
}

/* Opened with a deadline from now, submitted, waited for and closed; the result. */
static int
run_until(weft_workers *w, const char *job, const char *in, weft_time left)
{
    weft_call call;
    T_OK(weft_call_open(&call, job, t_text(in)));
    weft_call_set_deadline(&call, weft_now() + left);
    T_OK(weft_workers_submit(w, &call));
    return end(&call);
}

void
worker_kit_a_deadline_ends_a_job_that_waits(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    weft_time before = weft_now();
    T_ERR(-ETIMEDOUT, run_until(w, "t.spin_until_cancelled", "", WEFT_MS(50)));
    cr_assert(weft_now() - before >= WEFT_MS(50));
    T_OK(run_until(w, "t.sleep_ms", "1", WEFT_SEC(60)));
    T_ERR(-EILSEQ, run_until(w, "t.fail", "", WEFT_SEC(60)));
    close_drained(w);
    t_leak_end();
}

void
worker_kit_a_deadline_in_the_past_ends_the_call(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    T_ERR(-ETIMEDOUT, run_until(w, "t.echo", "", -WEFT_MS(1)));
    T_OK(weft_workers_run(w, "t.echo", t_text(""), NULL));
    close_drained(w);
    t_leak_end();
}

void
worker_kit_a_job_that_never_waits_is_killed_where_the_model_can(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    if (has(w, WEFT_WORKER_KILLABLE)) {
        T_ERR(-ETIMEDOUT, run_until(w, "t.burn_ms", "60000", WEFT_MS(100)));
        weft_call call;
        start(w, &call, "t.burn_ms", "60000");
        nap_ms(50);
        weft_call_cancel(&call);
        T_ERR(-ECANCELED, end(&call));
        T_OK(weft_workers_run(w, "t.echo", t_text(""), NULL));
    } else {
        T_OK(run_until(w, "t.burn_ms", "60", WEFT_MS(20)));
    }
    close_drained(w);
    t_leak_end();
}

void
worker_kit_closing_by_draining_runs_what_was_accepted(const char *model)
{
    enum { N = 20 };
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    weft_call calls[N];
    for (int i = 0; i < N; i++)
        start(w, &calls[i], "t.sleep_ms", "10");
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    for (int i = 0; i < N; i++) {
        cr_assert(weft_future_done(&calls[i].done), "call %d is not done", i);
        T_OK(end(&calls[i]));
    }
    t_leak_end();
}

void
worker_kit_closing_by_cancelling_completes_every_call(const char *model)
{
    enum { N = 50 };
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    bool now = is_sync(model);
    weft_call calls[N];
    for (int i = 0; i < N; i++)
        start(w, &calls[i], "t.sleep_ms", now ? "1" : "100");
    weft_time before = weft_now();
    weft_workers_close(w, WEFT_CANCEL, WEFT_SEC(60));
    cr_assert(weft_now() - before < WEFT_SEC(2), "jobs that had not begun were run");
    int cancelled = 0;
    for (int i = 0; i < N; i++) {
        cr_assert(weft_future_done(&calls[i].done), "call %d is not done", i);
        int result = end(&calls[i]);
        cr_assert(result == 0 || result == -ECANCELED, "call %d: %d", i, result);
        cancelled += result == -ECANCELED;
    }
    cr_assert(now || cancelled >= N - 4, "only %d of %d were cancelled", cancelled, N);
    t_leak_end();
}

void
worker_kit_a_close_out_of_patience_completes_calls_whose_jobs_go_on(const char *model)
{
    if (is_sync(model))
        return; /* there is nobody else whom a job could be left to */
    leak_begin();
    weft_workers *w = worker_kit_open(model, 1, NULL);
    static const char ms[] = "1500"; /* outlives this test's frame, as the job may */
    weft_call running, waiting;
    start(w, &running, "t.burn_ms", ms);
    start(w, &waiting, "t.burn_ms", ms);
    nap_ms(100);
    weft_time before = weft_now();
    weft_workers_close(w, WEFT_DRAIN, WEFT_MS(50));
    weft_time took = weft_now() - before;
    T_ERR(-ECANCELED, end(&running));
    T_ERR(-ECANCELED, end(&waiting));
    cr_assert(took < WEFT_MS(1300), "the close took %ld ms", (long)(took / 1000000));
    nap_ms(2000); /* what was left behind ends by itself */
    t_leak_end();
}

struct in_line {
    weft_workers *w;
    weft_call call;
    int rc;
    bool asked;
};

static void *
in_line_main(void *arg)
{
    struct in_line *line = arg;
    __atomic_store_n(&line->asked, true, __ATOMIC_SEQ_CST);
    line->rc = weft_workers_submit(line->w, &line->call);
    return NULL;
}

void
worker_kit_a_submitter_in_line_is_turned_away_by_the_close(const char *model)
{
    if (is_sync(model))
        return; /* the job in flight is on the submitter's stack */
    leak_begin();
    weft_workers *w = worker_kit_open(model, 1, &(weft_workers_options){.max_in_flight = 1});
    weft_call call;
    start(w, &call, "t.sleep_ms", "200");
    struct in_line line = {.w = w};
    T_OK(weft_call_open(&line.call, "t.echo", t_text("")));
    pthread_t id;
    cr_assert_eq(pthread_create(&id, NULL, in_line_main, &line), 0);
    while (!__atomic_load_n(&line.asked, __ATOMIC_SEQ_CST))
        nap_ms(1);
    nap_ms(50); /* long enough to be in line */
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    pthread_join(id, NULL);
    T_ERR(-ESHUTDOWN, line.rc);
    weft_call_close(&line.call); /* refused: still the caller's, and may be closed */
    T_OK(end(&call));
    t_leak_end();
}

/* Submits until turned away; then every accepted call must be done. */
struct racer {
    weft_workers *w;
    int accepted;
    int wrong;
};

enum { RACE_CALLS = 4000 };

static void *
racer_main(void *arg)
{
    struct racer *racer = arg;
    weft_call *calls = calloc(RACE_CALLS, sizeof *calls);
    int rc = 0;
    int n = 0;
    for (; n < RACE_CALLS && rc == 0; n++) {
        if (weft_call_open(&calls[n], "t.echo", t_text("x")) != 0)
            racer->wrong++;
        rc = weft_workers_submit(racer->w, &calls[n]);
        racer->accepted += rc == 0;
    }
    racer->wrong += rc != 0 && rc != -ESHUTDOWN;
    for (int i = 0; i < n; i++) {
        if (i < racer->accepted) {
            racer->wrong += weft_call_wait(&calls[i]) != 0;
            racer->wrong += calls[i].result != 0 && calls[i].result != -ECANCELED;
        }
        weft_call_close(&calls[i]);
    }
    free(calls);
    weft__workers_unref(racer->w);
    return NULL;
}

void
worker_kit_submitting_while_another_thread_closes_loses_no_call(const char *model)
{
    leak_begin();
    for (int round = 0; round < 10; round++) {
        weft_workers *w = worker_kit_open(model, 2, &(weft_workers_options){.max_in_flight = 8});
        struct racer racers[3];
        pthread_t ids[3];
        for (int i = 0; i < 3; i++) {
            racers[i] = (struct racer){.w = w};
            weft__workers_ref(w); /* so that it may still be asked after the close */
            cr_assert_eq(pthread_create(&ids[i], NULL, racer_main, &racers[i]), 0);
        }
        nap_ms(round);
        weft_workers_close(w, round % 2 == 0 ? WEFT_DRAIN : WEFT_CANCEL, WEFT_SEC(60));
        int wrong = 0;
        for (int i = 0; i < 3; i++) {
            pthread_join(ids[i], NULL);
            wrong += racers[i].wrong;
        }
        cr_assert_eq(wrong, 0);
    }
    t_leak_end();
}

void
worker_kit_a_job_may_spawn_groups_and_wait(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    for (int i = 0; i < 10; i++) {
        weft_buf out = {0};
        T_OK(weft_workers_run(w, "t.group", t_text("8"), &out));
        /* Each waits for a moment of its own; close ones may end in another order. */
        cr_assert_eq(out.len, 16u);
        for (char c = '1'; c <= '8'; c++)
            cr_assert(memchr(out.data, c, out.len) != NULL);
        weft_buf_free(&out);
    }
    close_drained(w);
    t_leak_end();
}

void
worker_kit_the_figures_add_up(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    for (int i = 0; i < 10; i++) {
        T_OK(weft_workers_run(w, "t.echo", t_text("in"), NULL));
        T_ERR(-EILSEQ, weft_workers_run(w, "t.fail", t_text("in"), NULL));
    }
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert_eq(stats.submitted, 20u);
    cr_assert_eq(stats.done, 20u);
    cr_assert_eq(stats.failed, 10u);
    cr_assert_eq(stats.in_flight, 0u);
    cr_assert_eq(stats.crashed, 0u);
    cr_assert(stats.workers >= 1);

    if (!is_sync(model)) {
        weft_call call;
        start(w, &call, "t.sleep_ms", "100");
        weft_workers_stats_get(w, &stats);
        cr_assert_eq(stats.submitted, 21u);
        cr_assert_eq(stats.in_flight, 1u);
        T_OK(end(&call));
    }
    close_drained(w);
    t_leak_end();
}

void
worker_kit_a_crash_costs_only_its_own_job_where_the_model_says_so(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 2, NULL);
    if (has(w, WEFT_WORKER_ISOLATED)) {
        weft_call bystander;
        start(w, &bystander, "t.sleep_ms", "100");
        T_ERR(-EOWNERDEAD, weft_workers_run(w, "t.abort", t_text(""), NULL));
        T_OK(end(&bystander));
        for (int i = 0; i < 10; i++)
            T_OK(weft_workers_run(w, "t.echo", t_text("in"), NULL));
        weft_workers_stats stats;
        weft_workers_stats_get(w, &stats);
        cr_assert_eq(stats.crashed, 1u);
        cr_assert_eq(stats.failed, 1u);
    }
    close_drained(w);
    t_leak_end();
}

static int
impatient_task(void *arg)
{
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(50));
    int rc = weft_workers_run(arg, "t.sleep_ms", t_text("400"), NULL);
    int ended = weft_scope_close(&soon);
    return rc == -ETIMEDOUT && ended == -ETIMEDOUT ? 0 : -EBADMSG;
}

void
worker_kit_an_ended_scope_cancels_the_call_it_waits_for(const char *model)
{
    leak_begin();
    weft_workers *w = worker_kit_open(model, 1, NULL);
    weft_time before = weft_now();
    T_OK(weft_run(impatient_task, w, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    if (has(w, WEFT_WORKER_KILLABLE | WEFT_WORKER_COOPERATIVE))
        cr_assert(weft_now() - before < WEFT_MS(350), "the job was waited for");
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert_eq(stats.in_flight, 0u);
    close_drained(w);
    t_leak_end();
}

void
worker_kit_opening_and_closing_without_a_call_leaves_nothing(const char *model)
{
    leak_begin();
    for (int i = 0; i < 5; i++) {
        weft_workers *w = worker_kit_open(model, 3, NULL);
        weft_workers_close(w, i % 2 == 0 ? WEFT_DRAIN : WEFT_CANCEL, 0);
    }
    t_leak_end();
}
