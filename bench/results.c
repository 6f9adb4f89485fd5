/*
 * results.c - medians, and the check that all models did the same work.
 *
 * The measure is thread-plain, which is in every plan and has nothing of weft in it: every other
 * model has to have found the same, job for job.
 */
#include "results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
bench_results_open(struct bench_results *results, const struct bench_plan *plan)
{
    memset(results, 0, sizeof *results);
    results->plan = plan;
    results->models = calloc(plan->n_models, sizeof *results->models);
    if (results->models == NULL)
        return -ENOMEM;
    for (size_t m = 0; m < plan->n_models; m++) {
        results->models[m].model = &plan->models[m];
        results->models[m].runs = calloc(plan->repeats, sizeof *results->models[m].runs);
        if (results->models[m].runs == NULL) {
            bench_results_close(results);
            return -ENOMEM;
        }
    }
    return 0;
}

void
bench_results_close(struct bench_results *results)
{
    for (size_t m = 0; results->models != NULL && m < results->plan->n_models; m++)
        free(results->models[m].runs);
    free(results->models);
    results->models = NULL;
}

static const struct bench_figures *
measure_of(const struct bench_results *results)
{
    for (int plain = 1; plain >= 0; plain--) {
        for (size_t m = 0; m < results->plan->n_models; m++) {
            const struct bench_result *r = &results->models[m];
            if (plain && r->model->kind->id != BENCH_THREAD_PLAIN)
                continue;
            for (unsigned i = 0; i < r->n_runs; i++) {
                if (r->runs[i].failure[0] == '\0' && r->runs[i].failed == 0)
                    return &r->runs[i];
            }
        }
    }
    return NULL;
}

static void
compare(struct bench_figures *run, const struct bench_figures *measure)
{
    if (run->failure[0] != '\0' || run->failed > 0)
        return; /* a failed job found nothing to compare */
    if (run->checksum_head != measure->checksum_head)
        snprintf(run->failure, sizeof run->failure,
                 "its results differ: checksum %016llx of the jobs that %s did too, with %016llx",
                 (unsigned long long)run->checksum_head, measure->spec,
                 (unsigned long long)measure->checksum_head);
    else if (run->jobs == measure->jobs && run->checksum != measure->checksum)
        snprintf(run->failure, sizeof run->failure,
                 "its results differ: checksum %016llx, but %016llx of %s",
                 (unsigned long long)run->checksum, (unsigned long long)measure->checksum,
                 measure->spec);
}

static uint64_t
median_of(double *values, size_t n)
{
    return (uint64_t)(bench_median(values, n) + 0.5);
}

static void
medians(struct bench_result *r)
{
    double values[BENCH_REPEATS_MAX];
    size_t n;
#define BENCH_FIGURE_MEDIAN(name)                                                                  \
    n = 0;                                                                                         \
    for (unsigned i = 0; i < r->n_runs; i++) {                                                     \
        if (r->runs[i].failure[0] == '\0')                                                         \
            values[n++] = (double)r->runs[i].name;                                                 \
    }                                                                                              \
    r->median.name = median_of(values, n);
    BENCH_FIGURES(BENCH_FIGURE_MEDIAN)
#undef BENCH_FIGURE_MEDIAN

    double rates[BENCH_REPEATS_MAX];
    n = 0;
    for (unsigned i = 0; i < r->n_runs; i++) {
        const struct bench_figures *f = &r->runs[i];
        if (f->failure[0] != '\0')
            continue;
        /* Sums do not have a median; each good run has the same. */
        r->median.checksum = f->checksum;
        r->median.checksum_head = f->checksum_head;
        r->median.first_value = f->first_value;
        values[n] = (double)f->wall_ns / 1e9;
        rates[n] = values[n] > 0 ? (double)f->jobs / values[n] : 0;
        n++;
    }
    r->n_good = (unsigned)n;
    r->wall_s = bench_spread_of(values, n);
    r->rate = bench_spread_of(rates, n);
}

void
bench_results_settle(struct bench_results *results)
{
    const struct bench_figures *measure = measure_of(results);
    for (size_t m = 0; m < results->plan->n_models; m++) {
        struct bench_result *r = &results->models[m];
        for (unsigned i = 0; i < r->n_runs; i++) {
            struct bench_figures *f = &r->runs[i];
            if (measure != NULL)
                compare(f, measure);
            results->listen_drops += f->listen_drops;
            r->n_failed += f->failed;
            if (f->failed > 0 && r->errors == NULL)
                r->errors = f->errors;
            if (f->failure[0] != '\0' && r->failure == NULL)
                r->failure = f->failure;
        }
        medians(r);
        if (results->wrong[0] != '\0')
            continue;
        if (r->failure != NULL)
            snprintf(results->wrong, sizeof results->wrong, "%s: %s", r->model->spec, r->failure);
        else if (r->n_failed > 0)
            snprintf(results->wrong, sizeof results->wrong, "%s: %llu of %llu jobs failed (%s)",
                     r->model->spec, (unsigned long long)r->n_failed,
                     (unsigned long long)r->model->jobs * r->n_runs, r->errors);
    }
}

double
bench_all_jobs_s(const struct bench_results *results, const struct bench_result *result)
{
    return result->wall_s.median * results->plan->jobs / result->model->jobs;
}

double
bench_bytes_per_job(const struct bench_result *result)
{
    const struct bench_figures *f = &result->median;
    if (f->jobs == 0 || f->peak_bytes <= f->base_bytes)
        return 0;
    return (double)(f->peak_bytes - f->base_bytes) / (double)f->jobs;
}
