/*
 * report.h - results as tables, as JSON, as a figure, and in words.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "env.h"
#include "results.h"

/* Two tables: time, and what it cost. colour: terminal sequences may be used. */
void bench_report_text(FILE *to, const struct bench_results *results, int colour);

/* Which model suited the workload, and why, from the figures. */
void bench_report_verdict(FILE *to, const struct bench_results *results);

/* Writes everything that was measured. Returns 0; or -errno. */
int bench_report_json(const char *path, const struct bench_results *results,
                      const struct bench_env *env);

/* Draws time and memory by model with gnuplot. Returns 0; 1 when there is no gnuplot; -errno. */
int bench_report_figure(const char *path, const struct bench_results *results);

/* "1.00 s", "250 ms", "13 us": 3 digits. text has room for 16 bytes. Returns text. */
const char *bench_show_seconds(double seconds, char text[16]);

/* "12 KB", "1.5 MB", in units of 1024; as bench_show_seconds. */
const char *bench_show_bytes(double bytes, char text[16]);

/* "100 jobs of 1.00 s", what a job of the workload amounts to. */
void bench_show_load(FILE *to, const struct bench_plan *plan);

#endif
