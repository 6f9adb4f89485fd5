/*
 * compare.c - prepares what a plan needs, runs it, reports it.
 *
 * Everything that can be found out beforehand is: limits, server, report files. Nobody should
 * wait for minutes of measuring to learn that a folder does not exist.
 */
#include "compare.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "delay_server.h"
#include "measure.h"
#include "report.h"
#include "url.h"

#define FILES_MARGIN 64u /* descriptors a process needs beside one for each job */

/* Rounds that one cpu job needs for BENCH_CPU_NS: the best of several measurements. */
static uint64_t
calibrate(void)
{
    char input[64];
    weft_sample_result result;
    uint64_t rounds = 1000000;
    double fastest = 0;
    for (int i = 0; i < 7; i++) {
        int n = snprintf(input, sizeof input, "0 %llu", (unsigned long long)rounds);
        if (weft_sample_cpu_plain((weft_bytes){input, (size_t)n}, &result) < 0)
            break;
        double rate = (double)rounds / (double)(result.took_ns > 0 ? result.took_ns : 1);
        fastest = rate > fastest ? rate : fastest;
        rounds = (uint64_t)(fastest * (double)BENCH_CPU_NS);
    }
    return rounds > 0 ? rounds : 1;
}

static int
check_files(const struct bench_plan *plan)
{
    uint64_t limit = bench_raise_files();
    if (!(plan->kase->flags & BENCH_SERVER))
        return 0;
    unsigned most = 0;
    const char *spec = "";
    for (size_t i = 0; i < plan->n_models; i++) {
        unsigned at_once = bench_at_once(plan, &plan->models[i]);
        if (at_once > most) {
            most = at_once;
            spec = plan->models[i].spec;
        }
    }
    if (most + FILES_MARGIN > limit)
        return bench_complain(3,
                              "%s needs %u descriptors at once (%u jobs and %u more), the limit is "
                              "%llu: raise it with ulimit -Hn, or ask for fewer --jobs",
                              spec, most + FILES_MARGIN, most, FILES_MARGIN,
                              (unsigned long long)limit);
    return 0;
}

static int
check_place(const char *option, const char *path)
{
    char copy[PATH_MAX];
    struct stat there;
    if (path == NULL)
        return 0;
    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = dirname(copy);
    if (stat(path, &there) == 0 && S_ISDIR(there.st_mode))
        return bench_complain(2, "%s: %s is a folder", option, path);
    if (stat(path, &there) == 0 ? access(path, W_OK) < 0 : access(folder, W_OK | X_OK) < 0)
        return bench_complain(3, "%s: %s cannot be written: %s", option, path, strerror(errno));
    return 0;
}

static int
server_ready(struct bench_plan *plan, const char *url, struct bench_server *server)
{
    if (!(plan->kase->flags & BENCH_SERVER))
        return 0;
    if (url != NULL) {
        int rc = bench_url_read(plan, url);
        return rc != 0 ? rc : bench_url_try(plan, &plan->delay_ns);
    }
    int rc = bench_server_start(server, plan->delay_ns);
    if (rc < 0)
        return bench_complain(3, "the delay server does not start: %s", strerror(-rc));
    plan->own_server = 1;
    snprintf(plan->address, sizeof plan->address, "127.0.0.1:%u", server->port);
    snprintf(plan->host, sizeof plan->host, "127.0.0.1:%u", server->port);
    snprintf(plan->path, sizeof plan->path, "/");
    return 0;
}

static int
write_reports(const struct bench_args *args, const struct bench_results *results)
{
    int code = 0;
    if (args->json != NULL) {
        struct bench_env env;
        bench_env_read(&env);
        int rc = bench_report_json(args->json, results, &env);
        if (rc < 0)
            code = bench_complain(1, "--json: %s cannot be written: %s", args->json, strerror(-rc));
    }
    if (args->svg != NULL) {
        int rc = bench_report_figure(args->svg, results);
        if (rc == 1)
            bench_complain(0, "--svg: there is no gnuplot, so no figure was drawn");
        else if (rc == -ENODATA)
            code = bench_complain(1, "--svg: nothing was measured, so no figure was drawn");
        else if (rc < 0)
            code = bench_complain(1, "--svg: %s cannot be drawn: %s", args->svg, strerror(-rc));
    }
    return code;
}

static int
colours(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0');
}

/* Runs the plan and prints its tables; the results are the caller's to close unless the code is
 * 3. The verdict is left to the caller too. */
static int
run_plan(struct bench_args *args, struct bench_results *results)
{
    struct bench_plan *plan = &args->plan;
    struct bench_server server = {0, -1, 0};
    bench_plan_share(plan);
    int code = check_files(plan);
    if (code == 0)
        code = server_ready(plan, args->url, &server);
    if (code != 0)
        return code;
    if (plan->kase->flags & BENCH_CPU)
        plan->rounds = calibrate();
    int progress = !args->no_progress && isatty(STDERR_FILENO);
    int rc = bench_run_plan(plan, &server, progress, results);
    bench_server_stop(&server);
    if (rc < 0)
        return bench_complain(3, "no memory for the results");

    bench_report_text(stdout, results, colours());
    fflush(stdout);
    code = write_reports(args, results);
    if (results->wrong[0] != '\0')
        code = bench_complain(1, "%s: %s", plan->kase->name, results->wrong);
    if (results->interrupted)
        code = bench_complain(130, "interrupted: the tables hold the runs that were finished");
    if (fflush(stdout) != 0 || ferror(stdout))
        code = code != 0 ? code : bench_complain(1, "standard output: %s", strerror(errno));
    return code;
}

int
bench_compare(struct bench_args *args)
{
    struct bench_results results = {.models = NULL};
    int code = check_place("--json", args->json);
    if (code == 0)
        code = check_place("--svg", args->svg);
    if (code != 0)
        return code;
    code = run_plan(args, &results);
    if (results.models != NULL && !results.interrupted) {
        putchar('\n');
        bench_report_verdict(stdout, &results);
    }
    if (results.models != NULL)
        bench_results_close(&results);
    return code;
}

static const struct suite_part {
    const char *name;
    unsigned jobs, jobs_sync, repeats;
    int64_t delay_ns;
} suite[] = {
    {"fetch", 100, 5, 3, INT64_C(1000000000)},
    {"sleep", 1000, 4, 3, INT64_C(250000000)},
    {"cpu", 24, 0, 3, 0},
    {"sleep_blocking", 40, 5, 3, INT64_C(50000000)},
};
#define SUITE_PARTS (sizeof suite / sizeof *suite)

static void
suite_plan(struct bench_args *args, const struct suite_part *part, unsigned cpus)
{
    struct bench_plan *plan = &args->plan;
    memset(plan, 0, sizeof *plan);
    plan->kase = bench_case_find(part->name);
    plan->jobs = part->jobs;
    plan->jobs_sync = part->jobs_sync;
    plan->repeats = part->repeats;
    plan->delay_ns = part->delay_ns;
    plan->cpus = cpus;
    bench_plan_defaults(plan);
}

int
bench_suite(struct bench_args *args)
{
    struct bench_results results[SUITE_PARTS];
    static struct bench_plan plans[SUITE_PARTS]; /* the results point to theirs */
    char json[PATH_MAX], svg[PATH_MAX];
    struct bench_env env;
    int code = 0;
    size_t done = 0;
    int64_t begun = bench_clock_ns();

    if (args->out != NULL && mkdir(args->out, 0777) < 0 && errno != EEXIST)
        return bench_complain(3, "--out: %s cannot be made: %s", args->out, strerror(errno));
    bench_raise_files();
    bench_env_read(&env);
    printf("%s, %u CPUs usable, %s, load %.2f\n\n", env.cpu, env.cpus, env.kernel, env.load);
    memset(results, 0, sizeof results);
    for (; done < SUITE_PARTS && code != 130; done++) {
        suite_plan(args, &suite[done], env.cpus);
        if (args->out != NULL) {
            snprintf(json, sizeof json, "%s/%s.json", args->out, suite[done].name);
            snprintf(svg, sizeof svg, "%s/%s.svg", args->out, suite[done].name);
            args->json = json;
            args->svg = svg;
        }
        int rc = run_plan(args, &results[done]);
        putchar('\n');
        if (rc != 0 && (code == 0 || rc == 130))
            code = rc;
        plans[done] = args->plan;
        for (size_t m = 0; results[done].models != NULL && m < plans[done].n_models; m++)
            results[done].models[m].model = &plans[done].models[m];
        results[done].plan = &plans[done];
    }
    if (code != 130)
        printf("Which model suited which workload, and why (measured in %.0f s)\n\n",
               (double)(bench_clock_ns() - begun) / 1e9);
    for (size_t i = 0; i < done; i++) {
        if (results[i].models == NULL)
            continue;
        if (code != 130) {
            bench_report_verdict(stdout, &results[i]);
            putchar('\n');
        }
        bench_results_close(&results[i]);
    }
    if (args->out != NULL && code != 130)
        printf("Every run is in %s/*.json, the figures are in %s/*.svg.\n", args->out, args->out);
    return code;
}
