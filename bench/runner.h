/*
 * runner.h - all runs of a plan, each in a fresh process, repeats interleaved.
 */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include "case.h"
#include "delay_server.h"
#include "figures.h"
#include "stat.h"

#define BENCH_REPEATS_MAX 100u

/* What the repeats of one model came to. */
struct bench_result {
    const struct bench_model *model;
    struct bench_figures *runs; /* in order; failed ones included */
    unsigned n_runs;
    unsigned n_good; /* runs with a result that can be true; the figures below are theirs */
    struct bench_spread wall_s;
    struct bench_spread rate;    /* jobs per second */
    struct bench_figures median; /* each figure's own median */
    const char *failure;         /* of the first run that failed; NULL when none did */
    uint64_t n_failed;           /* jobs, in all runs */
    const char *errors;          /* of the first run with failed jobs; NULL when none */
};

struct bench_results {
    const struct bench_plan *plan;
    struct bench_result *models; /* in the plan's order */
    int interrupted;
    uint64_t listen_drops;
    char wrong[400]; /* the first reason why the comparison counts as failed; or empty */
};

/* Runs the plan. progress: lines on standard error. Returns 0, or -ENOMEM. */
int bench_run_plan(const struct bench_plan *plan, struct bench_server *server, int progress,
                   struct bench_results *ret_results);

void bench_results_close(struct bench_results *results);

#endif
