/*
 * generator.c - from generators to tasks: values out, values in, delegation, and what a task is.
 *
 * Python: yield, send(), yield from, close(). A generator has a stack of its own and runs when its
 * consumer pulls; a task has one too, and runs when the loop comes to it.
 */
#include <stdio.h>

#include <weft.h>

static int
countdown(weft_gen *gen, void *arg)
{
    int rc = 0;
    for (int i = *(int *)arg; i > 0 && rc >= 0; i--)
        rc = weft_gen_yield(gen, &i, NULL);
    if (rc < 0)
        printf(" (closed)");
    return rc < 0 ? rc : 100; /* for who delegates to it */
}

/* Gives the average of what it was sent so far. */
static int
average(weft_gen *gen, void *arg)
{
    double sum = 0, mean = 0, sent;
    (void)arg;
    int rc;
    for (int n = 1; (rc = weft_gen_yield(gen, &mean, &sent)) >= 0; n++) {
        sum += sent;
        mean = sum / n;
    }
    return rc;
}

/* What another one gives, and then its result. */
static int
with_result(weft_gen *gen, void *arg)
{
    weft_gen inner;
    int rc = weft_gen_open(&inner, sizeof(int), countdown, arg, NULL);
    if (rc < 0)
        return rc;
    rc = weft_gen_delegate(gen, &inner);
    weft_gen_close(&inner);
    return rc < 0 ? rc : weft_gen_yield(gen, &rc, NULL);
}

/* Pulls at most so many values from a generator of ints; the result of its function. */
static int
print_all(const char *what, weft_gen_fn *fn, int from, int at_most)
{
    weft_gen gen;
    int value, rc = weft_gen_open(&gen, sizeof value, fn, &from, NULL);
    if (rc < 0)
        return rc;
    printf("%s:", what);
    while (at_most-- > 0 && (rc = weft_gen_next(&gen, &value)) > 0)
        printf(" %d", value);
    int result = weft_gen_result(&gen); /* -EBUSY when it has not ended */
    weft_gen_close(&gen);
    printf("%s\n", result >= 0 ? ", and that was all" : "");
    return rc < 0 ? rc : result;
}

static int
count_as_a_task(void *arg)
{
    return print_all("in a task of its own", countdown, *(int *)arg, 10);
}

static int
tour(void *arg)
{
    int three = 3;
    double mean;
    weft_gen gen;
    (void)arg;
    print_all("counting down", countdown, three, 10);
    print_all("leaving early", countdown, three, 2);
    print_all("delegating", with_result, three, 10);
    int rc = weft_gen_open(&gen, sizeof mean, average, NULL,
                           &(weft_gen_options){.sent_bytes = sizeof(double)});
    if (rc < 0)
        return rc;
    rc = weft_gen_next(&gen, &mean); /* to its first yield */
    printf("averages:");
    for (double x = 10; rc > 0 && x <= 30 && (rc = weft_gen_send(&gen, &x, &mean)) > 0; x += 10)
        printf(" %g", mean);
    printf("\n");
    weft_gen_close(&gen);
    return rc < 0 ? rc : weft_loop_call(weft_loop_current(), count_as_a_task, &three);
}

int
main(void)
{
    return weft_run(tour, NULL, &(weft_options){.clock = WEFT_CLOCK_VIRTUAL}) < 0;
}
