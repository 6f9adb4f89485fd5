/*
 * hist.h - how often which value came, within 1 %.
 *
 * Each power of two is cut into 64 equal parts, so a part is at most 1/64 of its values wide and
 * its middle at most 0.8 % away from any of them; values below 128 are exact. One writer at a
 * time.
 */
#ifndef WEFT_LIB_BASE_HIST_H
#define WEFT_LIB_BASE_HIST_H

#include <stdint.h>

#define WEFT__HIST_PARTS 64
/* Values below 64 one by one, then 57 powers of two: 2^6 to 2^62. */
#define WEFT__HIST_SLOTS (WEFT__HIST_PARTS * (1 + 57))

/* All zero is empty. About 30 KiB. */
struct weft__hist {
    uint64_t n;
    int64_t min; /* exact; 0 when empty */
    int64_t max;
    uint64_t slots[WEFT__HIST_SLOTS];
};

void weft__hist_reset(struct weft__hist *hist);
void weft__hist_add(struct weft__hist *hist, int64_t value); /* below 0 counts as 0 */
void weft__hist_merge(struct weft__hist *into, const struct weft__hist *from);

/* The value that `percent` (0 to 100) of all do not pass; 0 when empty. 0 and 100 are exact. */
int64_t weft__hist_percentile(const struct weft__hist *hist, double percent);

static inline uint64_t
weft__hist_count(const struct weft__hist *hist)
{
    return hist->n;
}

static inline int64_t
weft__hist_min(const struct weft__hist *hist)
{
    return hist->min;
}

static inline int64_t
weft__hist_max(const struct weft__hist *hist)
{
    return hist->max;
}

#endif
