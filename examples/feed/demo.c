/*
 * demo.c - producers and subscribers in one process, on the virtual clock: the same each time.
 *
 * Producers speak through streams in memory, and are served by what serves connections. One
 * subscriber takes all there is, the other one is too slow.
 */
#include "feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_PAUSE WEFT_MS(1700)

struct demo_producer {
    struct feed *feed;
    const char *sensor;
    weft_time period;
    double middle, spread; /* values are evenly spread around the middle */
    uint64_t random;
    unsigned loop;
    weft_stream near, far; /* what it writes to, what is served */
    uint64_t sent;
};

struct demo_subscriber {
    struct feed *feed;
    weft_subscription subscription;
    weft_time pause;
    bool prints;
    uint64_t got, missed;
};

/* xorshift64*; 0 up to and without 1. */
static double
next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)(*state * 0x2545f4914f6cdd1du >> 11) / (double)(1ull << 53);
}

static int
serve_far(void *arg)
{
    struct demo_producer *p = arg;
    return ingest_serve(&p->far, p->feed);
}

/* Values in the middle of each period, so that none falls on the end of a window. */
static int
send_values(struct demo_producer *p, weft_time end)
{
    char line[80];
    int rc = 0;
    for (weft_time at = p->period / 2; rc == 0 && at < end; at += p->period) {
        rc = weft_sleep_until(at);
        double value = p->middle + p->spread * (2 * next_random(&p->random) - 1);
        int n = snprintf(line, sizeof line, "%s %.3f\n", p->sensor, value);
        if (rc == 0)
            rc = weft_stream_write_all(&p->near, line, (size_t)n, NULL);
        if (rc == 0)
            p->sent++;
    }
    return rc;
}

static int
produce(void *arg)
{
    struct demo_producer *p = arg;
    weft_group group;
    int rc = weft_stream_open_pair(&p->near, &p->far, 0);
    if (rc < 0)
        return rc;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, serve_far, p);
    rc = send_values(p, (weft_time)p->feed->args.demo * p->feed->args.window);
    if (rc == 0)
        rc = weft_stream_shutdown(&p->near);
    if (rc < 0)
        weft_group_cancel(&group);
    int closed = weft_group_close(&group);
    weft_stream_close(&p->near);
    weft_stream_close(&p->far);
    return rc < 0 ? rc : closed;
}

static int
subscribe(void *arg)
{
    struct demo_subscriber *s = arg;
    struct summary e;
    uint64_t missed;
    int rc;
    while ((rc = weft_subscription_recv(&s->subscription, &e, &missed)) == 0) {
        s->got++;
        s->missed += missed;
        if (s->prints)
            printf("%3llu  %-18s %5llu %9.2f %9.2f %9.2f %9.2f\n", (unsigned long long)e.window,
                   e.sensor, (unsigned long long)e.count, e.min, e.max, e.mean, e.p95);
        if (s->pause > 0 && (rc = weft_sleep(s->pause)) < 0)
            break;
    }
    weft_unsubscribe(&s->subscription);
    return rc == -EPIPE ? 0 : rc;
}

/* A producer that errs is told, and left. */
static int
err(struct feed *feed)
{
    static const char lines[] = "door 1\ndoor ajar\n";
    struct demo_producer p = {.feed = feed};
    weft_group group;
    weft_bytes answer;
    int rc = weft_stream_open_pair(&p.near, &p.far, 0);
    if (rc < 0)
        return rc;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, serve_far, &p);
    rc = weft_stream_write_all(&p.near, lines, strlen(lines), NULL);
    if (rc == 0)
        rc = weft_stream_read_line(&p.near, &answer);
    if (rc > 0)
        printf("a producer was told: %.*s\n", (int)answer.len, (const char *)answer.data);
    if (rc >= 0)
        rc = weft_stream_shutdown(&p.near);
    int closed = weft_group_close(&group);
    weft_stream_close(&p.near);
    weft_stream_close(&p.far);
    return rc < 0 ? rc : closed;
}

static int
run_windows(struct feed *feed)
{
    int rc = 0;
    for (unsigned i = 1; rc == 0 && i <= feed->args.demo; i++) {
        rc = weft_sleep_until((weft_time)i * feed->args.window);
        if (rc == 0)
            rc = feed_collect(feed);
    }
    return rc;
}

int
demo_run(void *arg)
{
    struct feed *feed = arg;
    struct demo_producer producers[] = {
        {.sensor = "north.temperature", .period = WEFT_MS(10), .middle = -4, .spread = 3},
        {.sensor = "south.temperature", .period = WEFT_MS(20), .middle = 18, .spread = 5},
        {.sensor = "power", .period = WEFT_MS(4), .middle = 900, .spread = 400},
        {.sensor = "power", .period = WEFT_MS(50), .middle = 1500, .spread = 10}};
    enum { N = sizeof producers / sizeof *producers };
    struct demo_subscriber keen = {.feed = feed, .prints = true};
    struct demo_subscriber slow = {.feed = feed, .pause = SLOW_PAUSE};
    weft_group group;
    uint64_t sent = 0;

    printf("%3s  %-18s %5s %9s %9s %9s %9s\n", "", "sensor", "count", "min", "max", "mean", "p95");
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < N; i++) {
        producers[i].feed = feed;
        producers[i].random = feed->args.seed * N + i + 1;
        weft_group_spawn_with(
            &group, produce, &producers[i],
            &(weft_task_options){.name = "producer", .on = WEFT_ON(i % weft_loop_count())});
    }
    int rc = weft_broadcast_subscribe(feed->broadcast, &keen.subscription);
    if (rc == 0)
        weft_group_spawn(&group, subscribe, &keen);
    if (rc == 0 && (rc = weft_broadcast_subscribe(feed->broadcast, &slow.subscription)) == 0)
        weft_group_spawn(&group, subscribe, &slow);
    if (rc == 0)
        rc = err(feed);
    if (rc == 0)
        rc = run_windows(feed);
    weft_broadcast_close(feed->broadcast);
    if (rc < 0)
        weft_group_cancel(&group);
    int closed = weft_group_close(&group);
    for (unsigned i = 0; i < N; i++)
        sent += producers[i].sent;
    printf("sent %llu values, took %llu, in %llu windows; %llu bad line\n",
           (unsigned long long)sent, count_get(&feed->counts.values),
           count_get(&feed->counts.windows), count_get(&feed->counts.bad_lines));
    printf("keen subscriber: got %llu, missed %llu\nslow subscriber: got %llu, missed %llu\n",
           (unsigned long long)keen.got, (unsigned long long)keen.missed,
           (unsigned long long)slow.got, (unsigned long long)slow.missed);
    return rc < 0 ? rc : closed;
}
