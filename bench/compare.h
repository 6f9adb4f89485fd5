/*
 * compare.h - one comparison from its plan to its report, and the suite of several.
 */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "args.h"

/* Both return an exit code: 0; 1 when a result was wrong, a model failed or a report could not
 * be written; 3 when the machine or the server is not up to it; 130 when interrupted. */
int bench_compare(struct bench_args *args);
int bench_suite(struct bench_args *args);

#endif
