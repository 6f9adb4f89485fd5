/*
 * test_stat.c - the statistics behind every table of weft-compare.
 */
#include <criterion/criterion.h>

#include "bench/stat.h"

TestSuite(stat, .timeout = 10);

Test(stat, the_median_of_an_odd_number_is_the_middle_value)
{
    double values[] = {5, 1, 3};
    cr_assert_eq(bench_median(values, 3), 3.0);
}

Test(stat, the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle)
{
    double values[] = {4, 1, 3, 2};
    cr_assert_eq(bench_median(values, 4), 2.5);
}

Test(stat, nothing_measured_gives_zero)
{
    double values[1] = {7};
    struct bench_spread spread = bench_spread_of(values, 0);
    cr_assert_eq(bench_median(values, 0), 0.0);
    cr_assert_eq(bench_percentile(values, 0, 50), 0.0);
    cr_assert_eq(spread.max, 0.0);
    cr_assert_eq(bench_overlap_peak(values, values, 0), 0);
}

Test(stat, percentiles_are_nearest_ranks)
{
    double values[10];
    for (int i = 0; i < 10; i++)
        values[i] = i + 1;
    cr_assert_eq(bench_percentile(values, 10, 0), 1.0);
    cr_assert_eq(bench_percentile(values, 10, 50), 5.0);
    cr_assert_eq(bench_percentile(values, 10, 90), 9.0);
    cr_assert_eq(bench_percentile(values, 10, 91), 10.0);
    cr_assert_eq(bench_percentile(values, 10, 100), 10.0);
}

Test(stat, every_percentile_of_one_value_is_that_value)
{
    double value = 42;
    cr_assert_eq(bench_percentile(&value, 1, 1), 42.0);
    cr_assert_eq(bench_percentile(&value, 1, 99), 42.0);
}

Test(stat, the_spread_has_least_median_and_greatest)
{
    double values[] = {9, 2, 4};
    struct bench_spread spread = bench_spread_of(values, 3);
    cr_assert_eq(spread.min, 2.0);
    cr_assert_eq(spread.median, 4.0);
    cr_assert_eq(spread.max, 9.0);
}

Test(stat, intervals_that_overlap_are_counted_at_their_peak)
{
    double begins[] = {0, 1, 5, 2};
    double ends[] = {3, 4, 6, 6};
    cr_assert_eq(bench_overlap_peak(begins, ends, 4), 3);
}

Test(stat, intervals_that_only_touch_do_not_overlap)
{
    double begins[] = {2, 0, 1};
    double ends[] = {3, 1, 2};
    cr_assert_eq(bench_overlap_peak(begins, ends, 3), 1);
}
