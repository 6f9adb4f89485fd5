/*
 * window.h - what is known of the values of one sensor in one window of time, and tables of these.
 *
 * Windows can be added up, so each loop keeps its own without a lock. Count, smallest, largest and
 * mean are exact. So is the 95th percentile of up to SAMPLE_MAX values; of more it is that of so
 * many of them, each as likely to be kept as any other: then 94 to 96 % are below it, about.
 */
#ifndef FEED_WINDOW_H
#define FEED_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENSOR_MAX 32   /* bytes of a sensor's name: letters, digits, '.', '_', '-' */
#define VALUE_MAX 1e12  /* values are between this and its negative */
#define SAMPLE_MAX 1024 /* values that a window keeps */

/* What is published. */
struct summary {
    char sensor[SENSOR_MAX + 1];
    uint64_t window; /* its number, from 0 */
    uint64_t count;
    double min, max, mean, p95;
};

struct window {
    char sensor[SENSOR_MAX + 1];
    uint64_t count;
    double min, max, sum;
    uint64_t random;     /* state of the dice; 0: not thrown yet */
    double *sample;      /* the first `count` of them are there */
    unsigned sample_cap; /* up to SAMPLE_MAX */
};

/* Returns 0; -ENOMEM: the value is not in it. */
int window_add(struct window *w, double value);

/* Of a window with at least one value; nothing is to be added to it afterwards. */
struct summary window_summary(struct window *w, uint64_t number);

/* Windows by their sensor's name. All zero is an empty table. */
struct table {
    struct window **slots; /* a power of two of them, or NULL; no more than half are used */
    size_t n_slots, n;
};

/*
 * Finds the window of a sensor, or adds one when there are fewer than `max`.
 *
 * Returns 0; -ENOSPC; -ENOMEM.
 */
int table_find(struct table *t, const char *sensor, size_t max, struct window **ret_window);

/* Adds the windows of `from` to those of `t`; `from` is empty afterwards. Returns 0; -ENOMEM: some
 * of them were lost. */
int table_merge(struct table *t, struct table *from);

/* Its n windows by name; NULL for none. Nothing is found in the table afterwards: free it. */
struct window **table_sorted(struct table *t);

void table_free(struct table *t);

#endif
