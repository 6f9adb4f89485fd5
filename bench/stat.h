/*
 * stat.h - the few statistics that benchmarks need: median, percentiles, spread.
 *
 * Stands alone, so that the micro benchmarks can use it without the rest of weft-compare.
 */
#ifndef BENCH_STAT_H
#define BENCH_STAT_H

#include <stddef.h>

/* What repeats of one measurement say together; all zero when there were none. */
struct bench_spread {
    double median;
    double min;
    double max;
};

/* Sorts upwards, in place. */
void bench_sort(double *values, size_t n);

/* The nearest rank: the smallest of the sorted values that at least p percent do not exceed.
 * p from 0 to 100; 0 when there are no values. */
double bench_percentile(const double *sorted, size_t n, double p);

/* The middle value, or the mean of the two in the middle; values are reordered. */
double bench_median(double *values, size_t n);

/* Median, least and greatest; values are reordered. */
struct bench_spread bench_spread_of(double *values, size_t n);

/* The greatest number of intervals [begins[i], ends[i]) that overlap; both arrays are sorted. An
 * interval that ends where another begins does not overlap it. */
size_t bench_overlap_peak(double *begins, double *ends, size_t n);

#endif
