/*
 * test_hist.c - percentiles within 1 % over the whole range.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "t.h"
#include "base/hist.h"
#include "base/random.h"

TestSuite(hist, .timeout = 20);

static struct weft__hist hist;

static void
assert_near(int64_t value, int64_t wanted)
{
    double off = fabs((double)value - (double)wanted);
    cr_assert(off <= 0.01 * (double)wanted, "%ld, not %ld", (long)value, (long)wanted);
}

Test(hist, an_empty_one_is_all_zero)
{
    cr_assert(weft__hist_count(&hist) == 0);
    cr_assert(weft__hist_min(&hist) == 0 && weft__hist_max(&hist) == 0);
    cr_assert(weft__hist_percentile(&hist, 50) == 0);
}

Test(hist, every_value_is_found_again_within_one_percent)
{
    struct weft__random random;
    weft__random_seed(&random, 1);
    for (int shift = 1; shift < 64; shift++)
        for (int i = 0; i < 200; i++) {
            int64_t value = (int64_t)(weft__random_next(&random) >> shift);
            weft__hist_reset(&hist);
            weft__hist_add(&hist, 0);
            weft__hist_add(&hist, value);
            weft__hist_add(&hist, value);
            weft__hist_add(&hist, INT64_MAX);
            assert_near(weft__hist_percentile(&hist, 75), value);
        }
}

Test(hist, the_edges_of_powers_of_two_have_their_place)
{
    for (int power = 0; power < 63; power++)
        for (int64_t value = (INT64_C(1) << power) - 1, i = 0; i < 3; i++, value++) {
            if (value < 0)
                continue;
            weft__hist_reset(&hist);
            weft__hist_add(&hist, 0);
            weft__hist_add(&hist, value);
            weft__hist_add(&hist, INT64_MAX);
            assert_near(weft__hist_percentile(&hist, 60), value);
        }
}

Test(hist, small_values_and_extremes_are_exact)
{
    for (int64_t value = 0; value < 128; value++) {
        weft__hist_reset(&hist);
        weft__hist_add(&hist, value);
        cr_assert(weft__hist_percentile(&hist, 50) == value);
    }
    weft__hist_reset(&hist);
    weft__hist_add(&hist, 1234567);
    weft__hist_add(&hist, 7654321);
    cr_assert(weft__hist_percentile(&hist, 0) == 1234567);
    cr_assert(weft__hist_percentile(&hist, 100) == 7654321);
    cr_assert(weft__hist_min(&hist) == 1234567 && weft__hist_max(&hist) == 7654321);
}

static int
ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

Test(hist, percentiles_match_a_sorted_list)
{
    static int64_t values[10000];
    struct weft__random random;
    weft__random_seed(&random, 2);
    for (int i = 0; i < 10000; i++) {
        values[i] = (int64_t)(weft__random_next(&random) >> (20 + weft__random_below(&random, 40)));
        weft__hist_add(&hist, values[i]);
    }
    qsort(values, 10000, sizeof *values, ascending);
    double percents[] = {0.01, 1, 10, 50, 90, 99, 99.9, 99.99};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        size_t rank = (size_t)ceil(percents[i] / 100 * 10000);
        assert_near(weft__hist_percentile(&hist, percents[i]), values[rank - 1]);
    }
    cr_assert(weft__hist_count(&hist) == 10000);
}

Test(hist, negative_values_count_as_zero)
{
    weft__hist_add(&hist, -5);
    cr_assert(weft__hist_count(&hist) == 1 && weft__hist_max(&hist) == 0);
    cr_assert(weft__hist_percentile(&hist, 50) == 0);
}

Test(hist, merging_is_adding_all)
{
    static struct weft__hist other, empty, all;
    for (int64_t value = 1; value < 1000; value++) {
        weft__hist_add(value % 3 == 0 ? &hist : &other, value * value);
        weft__hist_add(&all, value * value);
    }
    weft__hist_merge(&hist, &empty);
    weft__hist_merge(&hist, &other);
    weft__hist_merge(&empty, &hist);
    cr_assert(memcmp(&hist, &all, sizeof all) == 0);
    cr_assert(memcmp(&empty, &all, sizeof all) == 0);
}
