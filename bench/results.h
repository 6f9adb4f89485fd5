/*
 * results.h - from the runs of a plan to one result for each model, and whether they agree.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include "runner.h"

/* Makes room for all runs of the plan. Returns 0 or -ENOMEM. */
int bench_results_open(struct bench_results *results, const struct bench_plan *plan);

/* Compares the runs with each other and computes each model's medians. */
void bench_results_settle(struct bench_results *results);

/* How long all jobs of the plan take at the model's measured rate, in seconds. */
double bench_all_jobs_s(const struct bench_results *results, const struct bench_result *result);

/* Memory above what the process had before the model was opened, for each job, in bytes. */
double bench_bytes_per_job(const struct bench_result *result);

#endif
