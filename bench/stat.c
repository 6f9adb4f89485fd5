/*
 * stat.c - median, percentiles, spread, and how many intervals overlap.
 */
#include "stat.h"

#include <stdlib.h>

static int
compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void
bench_sort(double *values, size_t n)
{
    if (n > 1)
        qsort(values, n, sizeof *values, compare_doubles);
}

double
bench_percentile(const double *sorted, size_t n, double p)
{
    if (n == 0)
        return 0;
    double exact = p / 100 * (double)n;
    size_t rank = (size_t)exact;
    /* 90 percent of 10 is 9 in arithmetic and may be 9.000000000000002 here: that is still 9. */
    if (exact - (double)rank > 1e-9 * (double)n)
        rank++;
    if (rank < 1)
        rank = 1;
    if (rank > n)
        rank = n;
    return sorted[rank - 1];
}

double
bench_median(double *values, size_t n)
{
    if (n == 0)
        return 0;
    bench_sort(values, n);
    if (n % 2 == 1)
        return values[n / 2];
    return (values[n / 2 - 1] + values[n / 2]) / 2;
}

struct bench_spread
bench_spread_of(double *values, size_t n)
{
    struct bench_spread spread = {0, 0, 0};
    if (n == 0)
        return spread;
    spread.median = bench_median(values, n);
    spread.min = values[0];
    spread.max = values[n - 1];
    return spread;
}

size_t
bench_overlap_peak(double *begins, double *ends, size_t n)
{
    bench_sort(begins, n);
    bench_sort(ends, n);
    size_t open = 0, peak = 0, ended = 0;
    for (size_t i = 0; i < n; i++) {
        open++;
        while (ended < n && ends[ended] <= begins[i]) {
            ended++;
            open--;
        }
        if (open > peak)
            peak = open;
    }
    return peak;
}
