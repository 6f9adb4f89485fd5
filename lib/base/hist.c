/*
 * hist.c - a histogram of parts that grow with their values.
 */
#include <string.h>

#include "base/hist.h"

/* log2 of WEFT__HIST_PARTS */
#define PART_BITS 6

static unsigned
slot_of(int64_t value)
{
    uint64_t v = (uint64_t)value;
    if (v < WEFT__HIST_PARTS)
        return (unsigned)v;
    unsigned power = 63 - (unsigned)__builtin_clzll(v);
    unsigned part = (unsigned)(v >> (power - PART_BITS)) & (WEFT__HIST_PARTS - 1);
    return (power - PART_BITS + 1) * WEFT__HIST_PARTS + part;
}

static int64_t
slot_middle(unsigned slot)
{
    if (slot < WEFT__HIST_PARTS)
        return slot;
    unsigned shift = slot / WEFT__HIST_PARTS - 1;
    int64_t low = (int64_t)(WEFT__HIST_PARTS + slot % WEFT__HIST_PARTS) << shift;
    return low + ((INT64_C(1) << shift) - 1) / 2;
}

void
weft__hist_reset(struct weft__hist *hist)
{
    memset(hist, 0, sizeof *hist);
}

void
weft__hist_add(struct weft__hist *hist, int64_t value)
{
    if (value < 0)
        value = 0;
    if (hist->n == 0 || value < hist->min)
        hist->min = value;
    if (value > hist->max)
        hist->max = value;
    hist->n++;
    hist->slots[slot_of(value)]++;
}

void
weft__hist_merge(struct weft__hist *into, const struct weft__hist *from)
{
    if (from->n == 0)
        return;
    if (into->n == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->n += from->n;
    for (unsigned i = 0; i < WEFT__HIST_SLOTS; i++)
        into->slots[i] += from->slots[i];
}

int64_t
weft__hist_percentile(const struct weft__hist *hist, double percent)
{
    if (hist->n == 0 || !(percent > 0))
        return hist->min;
    if (percent >= 100)
        return hist->max;

    /* The first value with at least that share at or below it: a count rounded up, 1 or more. */
    double share = percent / 100 * (double)hist->n;
    uint64_t rank = (uint64_t)share;
    if ((double)rank < share || rank == 0)
        rank++;

    uint64_t seen = 0;
    for (unsigned i = 0; i < WEFT__HIST_SLOTS; i++) {
        seen += hist->slots[i];
        if (seen >= rank) {
            int64_t value = slot_middle(i);
            if (value < hist->min)
                return hist->min;
            return value > hist->max ? hist->max : value;
        }
    }
    return hist->max;
}
