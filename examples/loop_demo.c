/*
 * loop_demo.c - what a loop is good for: waiting at once, but not computing at once.
 *
 * asyncio: the event-loop demonstration. Three waits of 1 s take 1 s; two computations that yield
 * take turns, and cost the loop's one thread what both cost. Virtual clock unless --real.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weft.h>

#define SQUARES 500000u
#define BETWEEN_YIELDS 100000u
static int quiet; /* while measuring */

static int
wait_for_io(void *arg)
{
    printf("  %s waits\n", (const char *)arg);
    int rc = weft_sleep(WEFT_SEC(1));
    if (rc == 0)
        printf("  %s has its answer\n", (const char *)arg);
    return rc;
}

static int
compute(void *arg)
{
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= SQUARES; i++) {
        sum += i * i;
        if (i % BETWEEN_YIELDS == 0) {
            if (!quiet)
                printf("  %s is at %u: %llu\n", (char *)arg, (unsigned)i, (unsigned long long)sum);
            int rc = weft_yield();
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int
run_all(weft_task_fn *fn, char *const *names)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (; *names != NULL; names++)
        weft_group_spawn(&group, fn, *names);
    return weft_group_close(&group);
}

/* CPU time of this thread for some computations; the best of five, others may disturb it. */
static int64_t
cost(char *const *names)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        weft_ignore(run_all(compute, names));
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        int64_t took = WEFT_SEC(b.tv_sec - a.tv_sec) + b.tv_nsec - a.tv_nsec;
        best = took < best ? took : best;
    }
    return best;
}

static int
demonstrate(void *arg)
{
    static char *const waits[] = {"A", "B", "C", NULL};
    static char *const one[] = {"X", NULL}, *const two[] = {"X", "Y", NULL};
    (void)arg;
    char thread[16];
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    printf("loop %u of %u, on thread \"%s\"\n", weft_loop_index(weft_loop_current()),
           weft_loop_count(), thread);

    weft_time start = weft_now();
    int rc = run_all(wait_for_io, waits);
    printf("three waits of 1 s: %.2f s\n", (double)(weft_now() - start) / 1e9);
    if (rc == 0)
        rc = run_all(compute, two);
    quiet = 1;
    printf("two computations: %s\n",
           cost(two) > cost(one) ? "no faster for being tasks" : "faster, who would think");
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(demonstrate, NULL, &options) < 0;
}
