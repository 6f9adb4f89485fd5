/*
 * async_generator.c - a producer that waits between values, consumed in a loop.
 *
 * Python: async for. The generator's waits suspend the consumer's task, others run meanwhile, and
 * the consumer's deadline holds inside. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static weft_time started;

static double
seconds(void)
{
    return (double)(weft_now() - started) / 1e9;
}

struct reading {
    int number;
    double value;
};

static void
switch_off(void *arg)
{
    printf("%.1f s  %s switched off\n", seconds(), (const char *)arg);
}

/* A sensor: a value every half a second. */
static int
readings(weft_gen *gen, void *arg)
{
    int rc = weft_defer(switch_off, arg); /* at its end, however it comes */
    for (struct reading r = {.value = 20}; rc >= 0; r.number++, r.value += 0.5) {
        rc = weft_sleep(WEFT_MS(500));
        if (rc >= 0)
            rc = weft_gen_yield(gen, &r, NULL);
    }
    return rc;
}

/* Every other value of another generator. */
static int
every_other(weft_gen *gen, void *arg)
{
    struct reading r;
    int rc;
    for (int i = 0; (rc = weft_gen_next(arg, &r)) > 0; i++) {
        if (i % 2 == 0 && (rc = weft_gen_yield(gen, &r, NULL)) < 0)
            break;
    }
    return rc;
}

static int
heartbeat(void *arg)
{
    (void)arg;
    printf("%.1f s      (another task runs)\n", seconds());
    return 0;
}

static int
consume(void *arg)
{
    weft_periodic beat = {.period = WEFT_MS(800), .fn = heartbeat};
    weft_gen sensor, some;
    struct reading r;
    (void)arg;
    started = weft_now();
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, weft_periodic_run, &beat);
    int rc = weft_gen_open(&sensor, sizeof r, readings, "the sensor", NULL);
    if (rc == 0 && (rc = weft_gen_open(&some, sizeof r, every_other, &sensor, NULL)) == 0) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_MS(2800));
        while ((rc = weft_gen_next(&some, &r)) > 0)
            printf("%.1f s  reading %d: %.1f degrees\n", seconds(), r.number, r.value);
        printf("%.1f s  the next one was not waited for: %s\n", seconds(), weft_errname(rc));
        if (weft_scope_close(&scope) == -ETIMEDOUT)
            rc = 0;
        weft_gen_close(&some);
        weft_gen_close(&sensor);
    }
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(consume, NULL, &options) < 0;
}
