/*
 * gen.c - what it costs to pull a value from a generator: two switches.
 */
#include <weft/gen.h>
#include <weft/run.h>

#include "micro/micro.h"

static struct micro m = {.program = "gen",
                         .what = "one value, one loop bound to one CPU",
                         .repeats = 9,
                         .count = 2000000};

static double values[MICRO_REPEATS_MAX];

static int
numbers(weft_gen *gen, void *arg)
{
    long n = *(const long *)arg;
    for (long i = 0; i < n; i++) {
        int rc = weft_gen_yield(gen, &i, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
echo(weft_gen *gen, void *arg)
{
    long value = 0;
    (void)arg;
    for (;;) {
        int rc = weft_gen_yield(gen, &value, &value);
        if (rc < 0)
            return rc;
    }
}

/* Delegates to a generator that delegates, as deep as `depth` says. */
struct level {
    int depth;
    long n;
};

static int
deep(weft_gen *gen, void *arg)
{
    const struct level *level = arg;
    struct level below = {level->depth - 1, level->n};
    weft_gen inner;
    int rc = below.depth > 0 ? weft_gen_open(&inner, sizeof(long), deep, &below, NULL)
                             : weft_gen_open(&inner, sizeof(long), numbers, &below.n, NULL);
    if (rc < 0)
        return rc;
    rc = weft_gen_delegate(gen, &inner);
    weft_gen_close(&inner);
    return rc;
}

/* Pulls all there are; nanoseconds each. */
static double
pull_ns(weft_gen_fn *fn, void *arg, long n)
{
    weft_gen gen;
    micro_check(&m, "open", weft_gen_open(&gen, sizeof(long), fn, arg, NULL));
    long value, sum = 0;
    int rc;
    int64_t start = micro_now();
    while ((rc = weft_gen_next(&gen, &value)) > 0)
        sum += value;
    int64_t ns = micro_now() - start;
    micro_check(&m, "next", rc);
    if (sum != n * (n - 1) / 2)
        micro_fail(&m, "the sum of the values", 0);
    weft_gen_close(&gen);
    return (double)ns / (double)n;
}

static double
send_ns(long n)
{
    weft_gen gen;
    micro_check(&m, "open",
                weft_gen_open(&gen, sizeof(long), echo, NULL,
                              &(weft_gen_options){.sent_bytes = sizeof(long)}));
    long value;
    micro_check(&m, "next", weft_gen_next(&gen, &value));
    int64_t start = micro_now();
    for (long i = 0; i < n; i++) {
        int rc = weft_gen_send(&gen, &i, &value);
        if (rc != 1 || value != i)
            micro_fail(&m, "send", rc < 0 ? rc : 0);
    }
    int64_t ns = micro_now() - start;
    weft_gen_close(&gen);
    return (double)ns / (double)n;
}

/* A generator opened, asked for one value and closed. */
static double
life_ns(long n)
{
    int64_t start = micro_now();
    long one = 1, value;
    for (long i = 0; i < n; i++) {
        weft_gen gen;
        micro_check(&m, "open", weft_gen_open(&gen, sizeof(long), numbers, &one, NULL));
        micro_check(&m, "next", weft_gen_next(&gen, &value));
        weft_gen_close(&gen);
    }
    return (double)(micro_now() - start) / (double)n;
}

static int
measure(void *arg)
{
    (void)arg;
    long n = m.count;
    struct level levels = {10, n};
    for (long i = -1; i < m.repeats; i++) /* the first one warms up */
        values[i < 0 ? 0 : i] = pull_ns(numbers, &n, n);
    micro_row(&m, "next", "ns", 30, "", values, (size_t)m.repeats);
    for (long i = 0; i < m.repeats; i++)
        values[i] = send_ns(n);
    micro_row(&m, "send", "ns", 30, "", values, (size_t)m.repeats);
    for (long i = 0; i < m.repeats; i++)
        values[i] = pull_ns(deep, &levels, n);
    micro_row(&m, "next, delegated ten deep", "ns", 60, "", values, (size_t)m.repeats);
    for (long i = 0; i < m.repeats; i++)
        values[i] = life_ns(n / 10);
    micro_row(&m, "open, next, close", "ns", 150, "", values, (size_t)m.repeats);
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "values of each measurement");
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    return micro_end(&m);
}
