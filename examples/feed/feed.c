/*
 * feed.c - collects the windows of all loops and publishes them.
 */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct taking {
    struct shard *shard;
    struct table table;
};

/* On the loop of the shard: what comes from now on is in the next window. */
static int
take_table(void *arg)
{
    struct taking *t = arg;
    t->table = t->shard->table;
    t->shard->table = (struct table){.slots = NULL};
    return 0;
}

static int
take_all(struct feed *feed, struct taking *takings, struct table *sum)
{
    weft_group group;
    unsigned n = weft_loop_count();
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < n; i++) {
        takings[i] = (struct taking){.shard = &feed->shards[i]};
        weft_group_spawn_with(&group, take_table, &takings[i],
                              &(weft_task_options){.name = "take", .on = WEFT_ON(i)});
    }
    int rc = weft_group_close(&group);
    for (unsigned i = 0; i < n; i++) {
        int merged = table_merge(sum, &takings[i].table);
        if (rc == 0)
            rc = merged;
    }
    return rc;
}

int
feed_collect(struct feed *feed)
{
    struct table sum = {.slots = NULL};
    struct taking *takings = calloc(weft_loop_count(), sizeof *takings);
    if (takings == NULL)
        return -ENOMEM;
    int rc = take_all(feed, takings, &sum);
    struct window **windows = table_sorted(&sum);
    for (size_t i = 0; rc == 0 && i < sum.n; i++) {
        struct summary summary = window_summary(windows[i], feed->window);
        rc = weft_broadcast_send(feed->broadcast, &summary);
        if (rc == 0)
            count_add(&feed->counts.summaries, 1);
    }
    feed->window++;
    count_add(&feed->counts.windows, 1);
    table_free(&sum);
    free(takings);
    return rc;
}

int
feed_collect_all(void *arg)
{
    struct feed *feed = arg;
    weft_ticker ticker;
    int rc = weft_ticker_start(&ticker, 0, feed->args.window, WEFT_MISSED_SKIP);
    while (rc >= 0 && (rc = weft_ticker_wait(&ticker)) >= 0) {
        feed->window += (uint64_t)rc; /* left out, because the last one was too much to do */
        rc = feed_collect(feed);
        if (rc == -ENOMEM) { /* the next one may be luckier */
            fprintf(stderr, "feed: window %llu was lost: out of memory\n",
                    (unsigned long long)feed->window - 1);
            rc = 0;
        }
    }
    return rc;
}

int
feed_open(struct feed *feed)
{
    unsigned n = weft_loop_count();
    feed->shards = aligned_alloc(64, n * sizeof *feed->shards);
    if (feed->shards == NULL)
        return -ENOMEM;
    memset(feed->shards, 0, n * sizeof *feed->shards);
    return weft_broadcast_new(
        &feed->broadcast, sizeof(struct summary),
        &(weft_broadcast_options){.capacity = (size_t)feed->args.lag * feed->args.sensors_max,
                                  .lag = WEFT_LAG_DROPS});
}

void
feed_close(struct feed *feed)
{
    for (unsigned i = 0; feed->shards != NULL && i < weft_loop_count(); i++)
        table_free(&feed->shards[i].table);
    free(feed->shards);
    weft_broadcast_free(feed->broadcast);
}
