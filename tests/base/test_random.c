/*
 * test_random.c - the generator repeats with its seed and spreads evenly.
 */
#include "t.h"
#include "base/random.h"

TestSuite(random, .timeout = 20);

Test(random, splitmix_gives_the_published_numbers)
{
    uint64_t state = 1234567;
    cr_assert(weft__splitmix(&state) == UINT64_C(6457827717110365317));
    cr_assert(weft__splitmix(&state) == UINT64_C(3203168211198807973));
}

Test(random, xoshiro_gives_the_published_numbers)
{
    struct weft__random random = {{1, 2, 3, 4}};
    cr_assert(weft__random_next(&random) == UINT64_C(41943041));
    cr_assert(weft__random_next(&random) == UINT64_C(58720359));
}

Test(random, a_seed_gives_the_same_numbers_again)
{
    struct weft__random a, b, c;
    weft__random_seed(&a, 0);
    weft__random_seed(&b, 0);
    weft__random_seed(&c, 1);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t x = weft__random_next(&a);
        cr_assert(x == weft__random_next(&b));
        same += x == weft__random_next(&c);
    }
    cr_assert(same == 0);
}

Test(random, below_n_stays_below_and_is_even)
{
    struct weft__random random;
    weft__random_seed(&random, 3);
    int counts[6] = {0};
    for (int i = 0; i < 60000; i++) {
        uint64_t x = weft__random_below(&random, 6);
        cr_assert(x < 6);
        counts[x]++;
    }
    for (int i = 0; i < 6; i++)
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%d", counts[i]);
    for (int i = 0; i < 10; i++)
        cr_assert(weft__random_below(&random, 1) == 0);
    cr_assert(weft__random_below(&random, UINT64_MAX) < UINT64_MAX);
}
