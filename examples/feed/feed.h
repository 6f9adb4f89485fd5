/*
 * feed.h - what all parts share: the windows under way on each loop, and what is published.
 *
 * A value goes into the table of the loop on which its producer's connection is. At the end of each
 * window a task collects the tables of all loops, adds them up and sends one summary for each
 * sensor to all subscribers. One that lags behind misses the oldest and is told how many.
 */
#ifndef FEED_H
#define FEED_H

#include <weft.h>

#include "window.h"

struct args {
    const char *listen[2], *http[2]; /* for producers, for subscribers; NULL at the end */
    unsigned sensors_max;            /* on each loop, in a window */
    unsigned lag;                    /* windows that a subscriber may be late by */
    unsigned loops;                  /* 0: one per usable CPU */
    weft_time window, grace;
    unsigned demo; /* not 0: windows of the demonstration */
    uint64_t seed;
};

/* The table of one loop, touched by tasks of that loop alone. */
struct shard {
    struct table table;
} __attribute__((aligned(64)));

/* Written by all loops: sums, which order nothing. */
struct counts {
    uint64_t values, bad_lines, windows, summaries, subscribers, missed;
};

struct feed {
    struct args args;
    struct shard *shards; /* one for each loop */
    weft_broadcast *broadcast;
    struct counts counts;
    uint64_t window; /* number of the one under way; the collecting task's */
};

static inline void
count_add(uint64_t *count, uint64_t n)
{
    __atomic_add_fetch(count, n, __ATOMIC_RELAXED);
}

static inline unsigned long long
count_get(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

/* ---- feed.c --------------------------------------------------------------------------------- */

int feed_open(struct feed *feed);
void feed_close(struct feed *feed);

/* Ends the window under way on all loops, and publishes it. */
WEFT_WAITS int feed_collect(struct feed *feed);

/* Does so at the end of each, until cancelled. */
WEFT_WAITS int feed_collect_all(void *feed);

/* ---- ingest.c ------------------------------------------------------------------------------- */

/* Serves a producer: lines "SENSOR VALUE". What is wrong is answered, and ends it. For weft_server,
 * and for any other stream. */
WEFT_WAITS int ingest_serve(weft_stream *stream, void *feed);

/* ---- web.c ---------------------------------------------------------------------------------- */

WEFT_WAITS int web_open(weft_http_server **ret_server, struct feed *feed);

/* ---- page.c --------------------------------------------------------------------------------- */

extern const char page_html[];

/* ---- demo.c --------------------------------------------------------------------------------- */

/* Producers and subscribers in this process, on the virtual clock; prints what they get. */
WEFT_WAITS int demo_run(void *feed);

#endif
