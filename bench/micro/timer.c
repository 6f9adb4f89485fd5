/*
 * timer.c - what a timeout costs that is set and taken back, as nearly all are.
 *
 * All are added and then all are cancelled, in the order in which they were made. The deadlines
 * lie at least an hour ahead, so none fires.
 */
#include <weft/run.h>
#include <weft/time.h>

#include "micro/micro.h"

static struct micro m = {.program = "timer",
                         .what = "add and cancel a timer, one loop bound to one CPU",
                         .repeats = 7,
                         .count = 1000000};

static weft_callback *callbacks;
static weft_time *delays;
static double values[MICRO_REPEATS_MAX];
static long fired;

static void
fire(void *arg)
{
    (void)arg;
    fired++;
}

static void
delays_random(void)
{
    uint64_t random = 0x9e3779b97f4a7c15u;
    for (long i = 0; i < m.count; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        delays[i] = WEFT_SEC(3600) + (weft_time)(random % (uint64_t)WEFT_SEC(3600));
    }
}

static void
delays_ascending(void)
{
    for (long i = 0; i < m.count; i++)
        delays[i] = WEFT_SEC(3600) + WEFT_US(i);
}

static void
delays_equal(void)
{
    for (long i = 0; i < m.count; i++)
        delays[i] = WEFT_SEC(3600);
}

static void
cancel(weft_callback *callback)
{
    if (weft_callback_cancel(callback) != 1)
        micro_fail(&m, "cancel", 0);
}

static void
at(void)
{
    weft_time now = weft_now();
    for (long i = 0; i < m.count; i++)
        weft_call_at(&callbacks[i], now + delays[i], fire, NULL);
    for (long i = 0; i < m.count; i++)
        cancel(&callbacks[i]);
}

static void
later(void)
{
    for (long i = 0; i < m.count; i++)
        weft_call_later(&callbacks[i], delays[i], fire, NULL);
    for (long i = 0; i < m.count; i++)
        cancel(&callbacks[i]);
}

static void
churn(void)
{
    weft_time now = weft_now();
    for (long i = 0; i < m.count; i++) {
        weft_call_at(&callbacks[i], now + delays[i], fire, NULL);
        cancel(&callbacks[i]);
    }
}

static double
timer_ns(void (*way)(void))
{
    int64_t begun = micro_now();
    way();
    int64_t ended = micro_now();
    if (fired != 0)
        micro_fail(&m, "a timer fired", 0);
    return (double)(ended - begun) / (double)m.count;
}

static int
measure(void *arg)
{
    (void)arg;
    static const struct {
        const char *name;
        void (*deadlines)(void);
        void (*way)(void);
        double limit;
        const char *peers;
    } rows[] = {
        {"all live, random", delays_random, at, 60, "libevent 149, Go 372, libuv 378, tokio 853"},
        {"all live, ascending", delays_ascending, at, 60, "as above"},
        {"all live, equal", delays_equal, at, 60, "as above"},
        {"all live, random, call_later", delays_random, later, 60, "as above; reads the clock"},
        {"all live, ascending, call_later", delays_ascending, later, 60, "as above"},
        {"cancelled straight after the add", delays_random, churn, 0,
         "libevent 43.1, libuv 73, Go 183, tokio 456"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        rows[row].deadlines();
        timer_ns(rows[row].way); /* touches the memory */
        for (long i = 0; i < m.repeats; i++)
            values[i] = timer_ns(rows[row].way);
        if (rows[row].limit > 0)
            micro_row(&m, rows[row].name, "ns", rows[row].limit, rows[row].peers, values,
                      (size_t)m.repeats);
        else
            micro_note(&m, rows[row].name, "ns", rows[row].peers, values, (size_t)m.repeats);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "timers pending at the same time");
    callbacks = calloc((size_t)m.count, sizeof *callbacks);
    delays = calloc((size_t)m.count, sizeof *delays);
    if (callbacks == NULL || delays == NULL)
        micro_fail(&m, "memory for timers", -ENOMEM);
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    free(callbacks);
    free(delays);
    return micro_end(&m);
}
