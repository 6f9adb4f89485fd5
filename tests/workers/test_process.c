/*
 * test_process.c - the process model: what every model must do, and what it alone promises.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft/group.h>
#include <weft/scope.h>
#include <weft/task.h>
#include <weft/worker.h>

#include "base/san.h"
#include "pool/pool_priv.h"
#include "t.h"
#include "t_jobs.h"
#include "tests/conformance/worker_kit.h"

/* The helper may be forked although the test framework has a thread, which sleeps. */
static void
count_framework(void)
{
    DIR *folder = opendir("/proc/self/task");
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(folder);
#if defined(WEFT__SAN_THREAD)
    n--; /* TSan's own; the pool knows of that one */
#endif
    weft__zygote_threads_besides = n - 1;
}

TestSuite(workers_process, .init = count_framework, .timeout = 120);
WORKER_KIT_TESTS(workers_process, "process", WORKER_KIT_TEST)

/* Runs a body as the main task of a runtime that has a helper, on two loops. */
static void
run_with_helper(weft_task_fn *body, unsigned processes)
{
    t_leak_begin();
    T_OK(weft_run(
        body, NULL,
        &(weft_options){.loops = 2, .processes = processes, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}

struct outcome {
    weft_workers *workers;
    const char *job;
    const char *input;
    int result;
    weft_buf out;
};

static int
outcome_main(void *arg)
{
    struct outcome *outcome = arg;
    outcome->result =
        weft_workers_run(outcome->workers, outcome->job, t_text(outcome->input), &outcome->out);
    return 0;
}

static int
in_tasks_body(void *arg)
{
    (void)arg;
    weft_workers *w = NULL;
    int rc = weft_workers_open(&w, "process:2", NULL);
    if (rc < 0)
        return rc;
    struct outcome outcomes[] = {
        {w, "t.echo", "one", -1, {0}},   {w, "t.abort", "", -1, {0}},
        {w, "t.sleep_ms", "5", -1, {0}}, {w, "t.group", "3", -1, {0}},
        {w, "t.fail", "why", -1, {0}},   {w, "t.echo", "two", -1, {0}},
    };
    static const int expected[] = {0, -EOWNERDEAD, 0, 0, -EILSEQ, 0};
    weft_group group;
    weft_group_open(&group, NULL);
    for (size_t i = 0; rc >= 0 && i < sizeof outcomes / sizeof *outcomes; i++)
        rc = weft_group_spawn(&group, outcome_main, &outcomes[i]);
    int closed = weft_group_close(&group);
    rc = rc < 0 ? rc : closed; /* rc was a child's number */
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        if (rc == 0 && outcomes[i].result != expected[i])
            rc = outcomes[i].result < 0 ? outcomes[i].result : -EBADE;
        weft_buf_free(&outcomes[i].out);
    }
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    return rc;
}

Test(workers_process, tasks_of_a_runtime_with_a_helper_share_it)
{
    run_with_helper(in_tasks_body, 2);
}

static int
refused_body(void *arg)
{
    (void)arg;
    weft_workers *w = NULL;
    return weft_workers_open(&w, "process:2", NULL) == -ENOTSUP ? 0 : -EBADE;
}

Test(workers_process, without_a_helper_a_runtime_is_told_what_to_do)
{
    run_with_helper(refused_body, 0);
}

static int
killed_by_scope_body(void *arg)
{
    (void)arg;
    weft_workers *w = NULL;
    int rc = weft_workers_open(&w, "process:1", NULL);
    if (rc < 0)
        return rc;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(50));
    rc = weft_workers_run(w, "t.burn_ms", t_text("60000"), NULL);
    int ended = weft_scope_close(&scope);
    weft_buf out = {0};
    int after = weft_workers_run(w, "t.echo", t_text("next"), &out);
    weft_buf_free(&out);
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    return rc == -ETIMEDOUT && ended == -ETIMEDOUT && after == 0 ? 0 : -EBADE;
}

Test(workers_process, a_scope_that_ends_kills_a_job_that_never_waits)
{
    run_with_helper(killed_by_scope_body, 1);
}

static int
nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int
spawn_one(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    int rc = weft_group_spawn(&group, nothing, NULL);
    int closed = weft_group_close(&group);
    int slept = weft_sleep(WEFT_MS(1));
    return rc < 0 ? rc : closed < 0 ? closed : slept;
}

Test(workers_process, a_private_loop_of_the_parent_is_not_the_childs)
{
    T_OK(weft_run_here(spawn_one, NULL)); /* its poller stays with this thread */
    t_leak_begin();
    weft_workers *w = NULL;
    T_OK(weft_workers_open(&w, "process:2", NULL));
    weft_buf out = {0};
    T_OK(weft_workers_run(w, "t.group", t_text("5"), &out));
    weft_buf_free(&out);
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    T_OK(weft_run_here(spawn_one, NULL));
    t_leak_end();
}

Test(workers_process, the_figures_say_how_many_crashed)
{
    t_leak_begin();
    weft_workers *w = worker_kit_open("process", 2, NULL);
    for (int i = 0; i < 5; i++)
        T_ERR(-EOWNERDEAD, weft_workers_run(w, "t.abort", t_text(""), NULL));
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert_eq(stats.crashed, 5u);
    cr_assert_eq(stats.failed, 5u);
    cr_assert_leq(stats.workers, 2u);
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    t_leak_end();
}

Test(workers_process, a_program_that_is_not_there_is_refused_by_name)
{
    weft_workers *w = NULL;
    T_ERR(-ENOENT,
          weft_workers_open(&w, "process:2", &(weft_workers_options){.exec = "no-such-program"}));
    cr_assert_str_eq(weft_error_text(), "process: no program no-such-program in PATH");
}

Test(workers_process, weft_worker_serves_beside_threads)
{
    char exec[4096];
    ssize_t len = readlink("/proc/self/exe", exec, sizeof exec - 32);
    cr_assert_gt(len, 0);
    exec[len] = '\0';
    strcpy(strrchr(exec, '/'), "/weft-worker");
    if (access(exec, X_OK) < 0)
        cr_skip_test("weft-worker is not built");
    weft__zygote_threads_besides = 0; /* as if there were no helper to be had */
    t_leak_begin();
    weft_workers *w = NULL;
    T_OK(weft_workers_open(&w, "process:2", &(weft_workers_options){.exec = exec}));
    /* The test's jobs are not among those of the program. */
    T_ERR(WEFT_E_JOB_UNKNOWN, weft_workers_run(w, "t.echo", t_text("x"), NULL));
    weft_workers_stats stats;
    weft_workers_stats_get(w, &stats);
    cr_assert_eq(stats.crashed, 0u);
    weft_workers_close(w, WEFT_DRAIN, WEFT_FOREVER);
    t_leak_end();
}
