/*
 * window.c - windows of values, and tables of windows.
 */
#include "window.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GROWTH 1.04 /* of a bucket over the one before */

/* ---- Windows -------------------------------------------------------------------------------- */

static size_t
bucket_of(double value)
{
    double size = fabs(value);
    if (size < VALUE_NEAR_ZERO)
        return BUCKETS;
    size_t i = (size_t)(log(size / VALUE_NEAR_ZERO) / log(GROWTH));
    if (i >= BUCKETS)
        i = BUCKETS - 1;
    return value > 0 ? BUCKETS + 1 + i : BUCKETS - 1 - i;
}

/* The value in a bucket that is as far from both of its ends, in proportion. */
static double
bucket_value(size_t at)
{
    if (at == BUCKETS)
        return 0;
    double i = at > BUCKETS ? (double)(at - BUCKETS - 1) : (double)(BUCKETS - 1 - at);
    double size = VALUE_NEAR_ZERO * pow(GROWTH, i + 0.5);
    return at > BUCKETS ? size : -size;
}

void
window_add(struct window *w, double value)
{
    if (w->count == 0 || value < w->min)
        w->min = value;
    if (w->count == 0 || value > w->max)
        w->max = value;
    w->count++;
    w->sum += value;
    w->buckets[bucket_of(value)]++;
}

static void
window_merge(struct window *w, const struct window *from)
{
    if (from->min < w->min)
        w->min = from->min;
    if (from->max > w->max)
        w->max = from->max;
    w->count += from->count;
    w->sum += from->sum;
    for (size_t i = 0; i < 2 * BUCKETS + 1; i++)
        w->buckets[i] += from->buckets[i];
}

/* The smallest value that 95 % are not above: nearest rank. */
static double
percentile_95(const struct window *w)
{
    uint64_t rank = (w->count * 95 + 99) / 100, seen = 0;
    size_t at = 0;
    while (at < 2 * BUCKETS && (seen += w->buckets[at]) < rank)
        at++;
    double value = bucket_value(at);
    return value < w->min ? w->min : value > w->max ? w->max : value;
}

struct summary
window_summary(const struct window *w, uint64_t number)
{
    struct summary s = {.window = number,
                        .count = w->count,
                        .min = w->min,
                        .max = w->max,
                        .mean = w->sum / (double)w->count,
                        .p95 = percentile_95(w)};
    memcpy(s.sensor, w->sensor, sizeof s.sensor);
    return s;
}

/* ---- Tables --------------------------------------------------------------------------------- */

/* FNV-1a; nobody gains from collisions while the table is limited to some thousands. */
static size_t
hash_of(const char *sensor)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *sensor != '\0'; sensor++)
        hash = (hash ^ (unsigned char)*sensor) * 0x100000001b3u;
    return (size_t)(hash ^ hash >> 32);
}

/* The sensor's slot, or the free one where it belongs. */
static struct window **
slot_of(const struct table *t, const char *sensor)
{
    size_t i = hash_of(sensor);
    for (;; i++) {
        struct window **slot = &t->slots[i & (t->n_slots - 1)];
        if (*slot == NULL || strcmp((*slot)->sensor, sensor) == 0)
            return slot;
    }
}

static int
table_grow(struct table *t)
{
    struct table larger = {.n_slots = t->n_slots > 0 ? t->n_slots * 2 : 16, .n = t->n};
    larger.slots = calloc(larger.n_slots, sizeof(struct window *));
    if (larger.slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i] != NULL)
            *slot_of(&larger, t->slots[i]->sensor) = t->slots[i];
    free(t->slots);
    *t = larger;
    return 0;
}

int
table_find(struct table *t, const char *sensor, size_t max, struct window **ret_window)
{
    struct window **slot = t->n_slots > 0 ? slot_of(t, sensor) : NULL;
    if (slot == NULL || *slot == NULL) {
        if (t->n >= max)
            return -ENOSPC;
        if (t->n * 2 >= t->n_slots && table_grow(t) < 0)
            return -ENOMEM;
        struct window *w = calloc(1, sizeof *w);
        if (w == NULL)
            return -ENOMEM;
        strncpy(w->sensor, sensor, SENSOR_MAX);
        slot = slot_of(t, sensor);
        *slot = w;
        t->n++;
    }
    *ret_window = *slot;
    return 0;
}

int
table_merge(struct table *t, struct table *from)
{
    int rc = 0;
    for (size_t i = 0; i < from->n_slots; i++) {
        struct window *w = from->slots[i], **slot;
        if (w == NULL)
            continue;
        from->slots[i] = NULL;
        if (t->n * 2 >= t->n_slots && table_grow(t) < 0) {
            free(w);
            rc = -ENOMEM;
            continue;
        }
        slot = slot_of(t, w->sensor);
        if (*slot == NULL) {
            *slot = w;
            t->n++;
        } else {
            window_merge(*slot, w);
            free(w);
        }
    }
    table_free(from);
    return rc;
}

static int
by_name(const void *a, const void *b)
{
    const struct window *const *x = a, *const *y = b;
    return strcmp((*x)->sensor, (*y)->sensor);
}

struct window **
table_sorted(struct table *t)
{
    size_t n = 0;
    if (t->n == 0)
        return NULL;
    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i] != NULL)
            t->slots[n++] = t->slots[i];
    memset(t->slots + n, 0, (t->n_slots - n) * sizeof *t->slots);
    qsort(t->slots, n, sizeof *t->slots, by_name);
    return t->slots;
}

void
table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_slots; i++)
        free(t->slots[i]);
    free(t->slots);
    *t = (struct table){.slots = NULL};
}
