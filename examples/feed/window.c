/*
 * window.c - windows of values, and tables of windows.
 */
#include "window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Windows -------------------------------------------------------------------------------- */

/* 0 to n - 1, by xorshift64*: always the same sequence, for a sample needs no secret. */
static uint64_t
dice(struct window *w, uint64_t n)
{
    if (w->random == 0)
        w->random = 0x9e3779b97f4a7c15u;
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (w->random * 0x2545f4914f6cdd1du >> 11) % n;
}

static size_t
sample_len(const struct window *w)
{
    return w->count < SAMPLE_MAX ? (size_t)w->count : SAMPLE_MAX;
}

/* Room for that many values in the sample; most windows have only a few. */
static int
sample_reserve(struct window *w, size_t len)
{
    unsigned cap = w->sample_cap > 0 ? w->sample_cap : 4;
    while (cap < len && cap < SAMPLE_MAX)
        cap *= 2;
    if (cap == w->sample_cap)
        return 0;
    double *sample = realloc(w->sample, cap * sizeof *sample);
    if (sample == NULL)
        return -ENOMEM;
    w->sample = sample;
    w->sample_cap = cap;
    return 0;
}

int
window_add(struct window *w, double value)
{
    if (sample_reserve(w, sample_len(w) + 1) < 0)
        return -ENOMEM;
    if (w->count == 0 || value < w->min)
        w->min = value;
    if (w->count == 0 || value > w->max)
        w->max = value;
    w->sum += value;
    uint64_t at = w->count < SAMPLE_MAX ? w->count : dice(w, w->count + 1);
    w->count++;
    if (at < SAMPLE_MAX)
        w->sample[at] = value;
    return 0;
}

static void
window_free(struct window *w)
{
    if (w != NULL)
        free(w->sample);
    free(w);
}

/* Takes one of the sample out. */
static double
draw(struct window *w, double *sample, size_t *len)
{
    size_t at = (size_t)dice(w, *len);
    double value = sample[at];
    sample[at] = sample[--*len];
    return value;
}

/* As if one after the other were drawn from all values of both: each comes from the one or the
 * other as likely as its values are among those that are left. Spoils the sample of `from`. */
static void
sample_merge(struct window *w, struct window *from)
{
    size_t len = sample_len(w), from_len = sample_len(from), n = 0;
    uint64_t left = w->count, from_left = from->count;
    double merged[SAMPLE_MAX] = {0};
    while (n < SAMPLE_MAX && left + from_left > 0) {
        if (dice(w, left + from_left) < left) {
            left--;
            merged[n++] = draw(w, w->sample, &len);
        } else {
            from_left--;
            merged[n++] = draw(w, from->sample, &from_len);
        }
    }
    memcpy(w->sample, merged, n * sizeof *merged);
}

static int
window_merge(struct window *w, struct window *from)
{
    if (sample_reserve(w, sample_len(w) + sample_len(from)) < 0)
        return -ENOMEM;
    if (from->min < w->min)
        w->min = from->min;
    if (from->max > w->max)
        w->max = from->max;
    sample_merge(w, from);
    w->count += from->count;
    w->sum += from->sum;
    return 0;
}

static int
by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The smallest value that 95 % are not above: nearest rank. Sorts the sample. */
static double
percentile_95(struct window *w)
{
    size_t len = sample_len(w);
    qsort(w->sample, len, sizeof *w->sample, by_value);
    return w->sample[(len * 95 + 99) / 100 - 1];
}

struct summary
window_summary(struct window *w, uint64_t number)
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
            window_free(w);
            rc = -ENOMEM;
            continue;
        }
        slot = slot_of(t, w->sensor);
        if (*slot == NULL) {
            *slot = w;
            t->n++;
        } else {
            if (window_merge(*slot, w) < 0)
                rc = -ENOMEM;
            window_free(w);
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
        window_free(t->slots[i]);
    free(t->slots);
    *t = (struct table){.slots = NULL};
}
