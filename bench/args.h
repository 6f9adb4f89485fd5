/*
 * args.h - the command line of weft-compare: what was asked for, or what was wrong with it.
 */
#ifndef BENCH_ARGS_H
#define BENCH_ARGS_H

#include "case.h"

#define BENCH_WIDTHS_MAX 32u

struct bench_args {
    struct bench_plan plan;
    const char *url, *json, *svg;
    int no_progress;
    const char *out; /* suite: folder for JSON and SVG */
    int suite;
};

/* Reads a duration, "250ms", "1s", "1.5s", 0 < duration <= 1 h. Returns 0; -1 when it is none. */
int bench_duration_read(const char *text, int64_t *ret_ns);

/* Reads a whole number from least to most. Returns 0; -1 when it is none. */
int bench_number_read(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number);

/* Reads the arguments behind the command; the workload is argv[1], or "suite". Returns 0; 2 after
 * the error went to standard error. */
int bench_args_read(struct bench_args *args, int argc, char **argv);

/* Says what was wrong on standard error, in one line; returns code. */
int bench_complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
