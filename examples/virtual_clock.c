/*
 * virtual_clock.c - a year in a moment: time jumps to the next deadline when all is idle.
 *
 * What waits for hours can be tested like what does not, and gives the same output each time. Here
 * a lease is renewed daily while its server, down for a month, is asked ever more rarely.
 */
#include <stdio.h>

#include <weft.h>

#define HOUR WEFT_SEC(3600)
#define DAY (24 * HOUR)

static weft_time down_from = 100 * DAY, down_until = 130 * DAY;
static unsigned asked;

/* A server that takes a second, and does not answer while it is down. */
static int
ask_server(void)
{
    asked++;
    weft_time now = weft_now();
    int down = now >= down_from && now < down_until;
    return weft_sleep_until(down ? WEFT_FOREVER : now + WEFT_SEC(1));
}

static int
renew(void)
{
    weft_time wait = WEFT_SEC(1);
    for (;;) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_SEC(30));
        int rc = ask_server();
        if (weft_scope_close(&scope) != -ETIMEDOUT)
            return rc;
        rc = weft_sleep(wait);
        if (rc < 0)
            return rc;
        if (wait < 6 * HOUR)
            wait *= 2;
    }
}

static int
keep_lease(void *arg)
{
    (void)arg;
    weft_time longest = 0;
    for (unsigned days = 0; days < 365; days = (unsigned)(weft_now() / DAY)) {
        weft_time start = weft_now();
        int rc = renew();
        if (rc < 0)
            return rc;
        if (weft_now() - start > longest)
            longest = weft_now() - start;
        rc = weft_sleep_until((weft_now() / DAY + 1) * DAY);
        if (rc < 0)
            return rc;
    }
    printf("day %d: asked %u times, the longest renewal took %.1f days\n", (int)(weft_now() / DAY),
           asked, (double)longest / (double)DAY);
    return 0;
}

int
main(void)
{
    return weft_run(keep_lease, NULL, &(weft_options){.clock = WEFT_CLOCK_VIRTUAL}) < 0;
}
