/*
 * channel.c - a producer, two workers and a collector, joined by channels; a select.
 *
 * asyncio has queues for this, and a sentinel or task_done() to tell that nothing more comes. A
 * channel is closed instead: receivers take what it holds, and are told so after that.
 */
#include <errno.h>
#include <stdio.h>

#include <weft.h>

static struct shop {
    weft_chan *orders;  /* room for two: the producer cannot run ahead of the workers */
    weft_chan *results; /* none: a worker goes on once its result has been taken */
} shop;

struct result {
    int order;
    int square;
};

static int
produce(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int order = 1; order <= 6 && rc == 0; order++)
        rc = weft_chan_send(shop.orders, &order);
    weft_chan_close(shop.orders);
    return rc;
}

static int
work(void *arg)
{
    const int *ms = arg;
    int order, rc;
    while ((rc = weft_chan_recv(shop.orders, &order)) == 0) {
        rc = weft_sleep(WEFT_MS(*ms));
        struct result result = {order, order * order};
        if (rc == 0)
            rc = weft_chan_send(shop.results, &result);
        if (rc < 0)
            return rc;
    }
    return rc == -EPIPE ? 0 : rc; /* closed, and all taken */
}

static int
collect(void *arg)
{
    (void)arg;
    struct result result;
    weft_case cases[] = {weft_case_recv(shop.results, &result),
                         weft_case_until(weft_now() + WEFT_MS(35))};
    for (;;) {
        int chosen = weft_select(cases, 2);
        if (chosen < 0)
            return chosen;
        if (chosen == 0 && cases[0].result < 0)
            return 0;
        if (chosen == 0) {
            printf("%d squared is %d\n", result.order, result.square);
        } else {
            printf("35 ms have passed\n");
            cases[1] = weft_case_until(WEFT_FOREVER);
        }
    }
}

static int
run_shop(void *arg)
{
    static int fast = 10, slow = 45;
    weft_group collector, workers;
    (void)arg;
    weft_group_open(&collector, NULL);
    weft_group_spawn(&collector, collect, NULL);
    weft_group_open(&workers, NULL);
    weft_group_spawn(&workers, produce, NULL);
    weft_group_spawn(&workers, work, &fast);
    weft_group_spawn(&workers, work, &slow);
    int rc = weft_group_close(&workers);
    weft_chan_close(shop.results);
    int collected = weft_group_close(&collector);
    return rc < 0 ? rc : collected;
}

int
main(void)
{
    int rc = weft_chan_new(&shop.orders, sizeof(int), 2);
    if (rc == 0)
        rc = weft_chan_new(&shop.results, sizeof(struct result), 0);
    if (rc == 0)
        rc = weft_run(run_shop, NULL, &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL});
    weft_chan_free(shop.orders);
    weft_chan_free(shop.results);
    return rc < 0;
}
