/*
 * plain.c - thread-plain, the baseline: POSIX threads, blocking calls, nothing of weft.
 *
 * All jobs are there from the start; each thread takes the next until none is left.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "measure.h"
#include "one.h"

struct pool {
    struct bench_one *one;
    unsigned next; /* first job not taken */
};

static void *
pool_main(void *arg)
{
    struct pool *pool = arg;
    struct bench_one *one = pool->one;
    for (;;) {
        unsigned i = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED); /* only a ticket */
        if (i >= one->model.jobs)
            return NULL;
        struct bench_record *r = &one->records[i];
        r->started = bench_clock_ns();
        r->result = one->plan.kase->plain((weft_bytes){r->input, r->input_len}, &r->found);
        r->ended = bench_clock_ns();
    }
}

int
bench_plain_run(struct bench_one *one)
{
    struct pool pool = {.one = one, .next = one->sabotage == BENCH_DROP_JOB};
    unsigned n = one->model.width < one->model.jobs ? one->model.width : one->model.jobs, made = 0;
    pthread_t *threads = calloc(n, sizeof *threads);
    pthread_attr_t attr;
    if (threads == NULL)
        return -ENOMEM;
    int rc = pthread_attr_init(&attr);
    if (rc == 0)
        rc = pthread_attr_setstacksize(&attr, 256 * 1024);
    if (one->sabotage == BENCH_FEW_FILES)
        bench_use_up_files();

    one->begun = bench_clock_ns();
    for (unsigned i = 0; i < one->model.jobs; i++)
        one->records[i].submitted = one->begun;
    while (rc == 0 && made < n) {
        rc = pthread_create(&threads[made], &attr, pool_main, &pool);
        made += rc == 0;
    }
    for (unsigned i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    one->ended = bench_clock_ns();

    pthread_attr_destroy(&attr);
    free(threads);
    if (rc != 0)
        bench_one_note("only %u of %u threads could be started", made, n);
    return -rc;
}
