/*
 * libevent_timer.c - libevent code of one's own, on the loop's own base.
 *
 * weft_loop_base() is a real struct event_base: whatever is written for libevent runs on it, on
 * this loop's thread. Its callbacks run between tasks; a future connects them with one. Foreign
 * timers are real, whatever the clock.
 */
#include <stdio.h>

#include <event2/event.h>
#include <weft.h>

struct ticker {
    struct event *event;
    weft_future third;
    int ticks;
};

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct ticker *ticker = arg;
    (void)fd;
    (void)what;
    printf("libevent: tick %d\n", ++ticker->ticks);
    if (ticker->ticks == 3) {
        event_del(ticker->event);
        weft_future_set(&ticker->third, ticker->ticks);
    }
}

static int
wait_for_ticks(void *arg)
{
    (void)arg;
    struct ticker ticker = {.ticks = 0};
    struct event_base *base = weft_loop_base();
    if (base == NULL)
        return -ENOMEM;
    ticker.event = event_new(base, -1, EV_PERSIST, on_tick, &ticker);
    if (ticker.event == NULL)
        return -ENOMEM;
    weft_future_open(&ticker.third);
    const struct timeval interval = {.tv_usec = 10000};
    event_add(ticker.event, &interval);

    printf("weft: waiting for the third tick\n");
    int ticks;
    int rc = weft_future_wait(&ticker.third, &ticks);
    if (rc == 0)
        printf("weft: there have been %d\n", ticks);
    event_free(ticker.event); /* the callback cannot come any more */
    weft_future_close(&ticker.third);
    return rc;
}

int
main(void)
{
    return weft_run(wait_for_ticks, NULL, &(weft_options){.loops = 1}) < 0;
}
