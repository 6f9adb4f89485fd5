/*
 * test_stress_queue.c - a queue between two loops and two plain threads, with cancellations at
 * random: each item put comes out once, those of one producer in their order, and what a call
 * that failed would have put is never seen.
 *
 * Orders and ways to be full take turns, a short while each, all with the same invariants.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/queue.h>

#include "t_stress.h"

TestSuite(stress_queue, .timeout = 120);

#define PUTTERS 6 /* the last two are threads; so with the takers */
#define THREADS 2

struct item {
    int64_t key; /* the same for all: FIFO among equals holds for priorities */
    uint32_t putter;
    uint32_t number;
};

struct side {
    uint64_t random;
    uint32_t putter;
    uint32_t done;
    uint64_t n;         /* put, or taken */
    uint64_t sum;       /* of what was put, or taken */
    uint64_t ended;     /* waits that a scope ended */
    uint64_t unordered; /* items of one putter that came in the wrong order */
};

static weft_queue *queue;
static bool ordered; /* what one putter puts is taken in this order by each taker */
static weft_time end;
static uint64_t dropped_n, dropped_sum; /* atomic */

static uint64_t
worth(const struct item *item)
{
    return ((uint64_t)item->putter + 1) * 1000003 * (item->number + 1);
}

static void
drop(void *item, void *arg)
{
    (void)arg;
    weft__fetch_add(&dropped_n, 1);
    weft__fetch_add(&dropped_sum, worth(item));
}

/* One call, inside whatever scope there is: 0 or more when it went well. */
static ssize_t
put_some(struct side *side)
{
    struct item items[3];
    for (uint32_t i = 0; i < 3; i++)
        items[i] = (struct item){.putter = side->putter, .number = (uint32_t)side->n + i};
    ssize_t n = 1;
    int rc = 0;
    uint32_t how = stress_below(&side->random, 4);
    if (how == 0)
        n = weft_queue_put_many(queue, items, 3);
    else
        rc = how == 1 ? weft_queue_try_put(queue, items) : weft_queue_put(queue, items);
    if (rc < 0 || n < 0)
        return rc < 0 ? rc : n;
    for (ssize_t i = 0; i < n; i++)
        side->sum += worth(&items[i]);
    side->n += (uint64_t)n;
    return n;
}

static ssize_t
take_some(struct side *side, uint32_t *last)
{
    struct item items[5];
    ssize_t n = 1;
    int rc = 0;
    uint32_t how = stress_below(&side->random, 4);
    if (how == 0)
        n = weft_queue_get_many(queue, items, 5);
    else
        rc = how == 1 ? weft_queue_try_get(queue, items) : weft_queue_get(queue, items);
    if (rc < 0 || n < 0)
        return rc < 0 ? rc : n;
    for (ssize_t i = 0; i < n; i++) {
        side->sum += worth(&items[i]);
        if (ordered && items[i].number + 1 <= last[items[i].putter])
            side->unordered++;
        last[items[i].putter] = items[i].number + 1;
        weft_queue_task_done(queue);
    }
    side->n += (uint64_t)n;
    return n;
}

/* Each call in a scope that may end at any moment. */
static int
put_from_task(void *arg)
{
    struct side *side = arg;
    while (stress_goes_on(end)) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&side->random, 60)));
        ssize_t n = put_some(side);
        side->ended += n == -ETIMEDOUT;
        weft_ignore(weft_scope_close(&scope));
        if (stress_below(&side->random, 8) == 0)
            weft_ignore(weft_yield());
    }
    return 0;
}

static int
take_from_task(void *arg)
{
    struct side *side = arg;
    uint32_t last[PUTTERS] = {0};
    for (;;) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&side->random, 60)));
        ssize_t n = take_some(side, last);
        side->ended += n == -ETIMEDOUT;
        weft_ignore(weft_scope_close(&scope));
        if (n == -EPIPE)
            return 0;
        if (n == -EAGAIN || stress_below(&side->random, 8) == 0)
            weft_ignore(weft_yield());
    }
}

static void *
put_from_thread(void *arg)
{
    struct side *side = arg;
    while (stress_goes_on(end))
        if (put_some(side) == -EAGAIN)
            sched_yield();
    weft__store(&side->done, 1);
    return NULL;
}

static void *
take_from_thread(void *arg)
{
    struct side *side = arg;
    uint32_t last[PUTTERS] = {0};
    ssize_t n;
    while ((n = take_some(side, last)) != -EPIPE)
        if (n == -EAGAIN)
            sched_yield();
    weft__store(&side->done, 1);
    return NULL;
}

static struct side putters[PUTTERS], takers[PUTTERS];
static uint64_t seed;
static uint64_t total, ended;

static void
round_of(weft_queue_options options, weft_close_mode mode, weft_time ns)
{
    options.drop = drop;
    T_OK(weft_queue_new(&queue, sizeof(struct item), &options));
    ordered = options.order != WEFT_LIFO;
    dropped_n = dropped_sum = 0;
    end = weft__sys_monotonic() + ns;
    pthread_t handles[2 * THREADS];
    weft_group put_group, take_group;
    weft_group_open(&take_group, NULL);
    weft_group_open(&put_group, NULL);
    for (uint32_t i = 0; i < PUTTERS; i++) {
        putters[i] = (struct side){.random = seed++, .putter = i};
        takers[i] = (struct side){.random = seed++};
        if (i >= PUTTERS - THREADS) {
            handles[2 * (i - (PUTTERS - THREADS))] = t_thread(put_from_thread, &putters[i]);
            handles[2 * (i - (PUTTERS - THREADS)) + 1] = t_thread(take_from_thread, &takers[i]);
            continue;
        }
        weft_task_options on = {.on = WEFT_ON((int)i % 2)};
        weft_group_spawn_with(&put_group, put_from_task, &putters[i], &on);
        weft_group_spawn_with(&take_group, take_from_task, &takers[i], &on);
    }
    T_OK(weft_group_close(&put_group));
    for (uint32_t i = 0; i < THREADS; i++)
        stress_join(handles[2 * i], &putters[PUTTERS - THREADS + i].done);
    if (mode == WEFT_DRAIN)
        T_OK(weft_queue_join(queue));
    weft_queue_shutdown(queue, mode);
    T_OK(weft_group_close(&take_group));
    for (uint32_t i = 0; i < THREADS; i++)
        stress_join(handles[2 * i + 1], &takers[PUTTERS - THREADS + i].done);
    T_OK(weft_queue_join(queue));

    uint64_t n = 0, sum = 0;
    for (uint32_t i = 0; i < PUTTERS; i++) {
        n += putters[i].n - takers[i].n;
        sum += putters[i].sum - takers[i].sum;
        total += takers[i].n;
        ended += putters[i].ended + takers[i].ended;
        cr_assert(takers[i].unordered == 0, "%" PRIu64 " items overtaken", takers[i].unordered);
    }
    cr_assert(n == dropped_n && sum == dropped_sum, "order %d: %" PRIi64 " items lost or doubled",
              options.order, (int64_t)(n - dropped_n));
    weft_queue_free(queue);
}

static int
all_rounds(void *arg)
{
    (void)arg;
    static const weft_queue_options kinds[] = {
        {.capacity = 1},
        {.capacity = 16},
        {.capacity = WEFT_UNBOUNDED},
        {.capacity = 4, .order = WEFT_LIFO},
        {.capacity = 4, .order = WEFT_PRIORITY},
        {.capacity = 8, .overflow = WEFT_OVERFLOW_REJECT},
        {.capacity = 8, .overflow = WEFT_OVERFLOW_DROP_OLDEST},
    };
    size_t n = sizeof kinds / sizeof kinds[0];
    for (size_t i = 0; i < n; i++)
        round_of(kinds[i], i % 2 == 0 ? WEFT_DRAIN : WEFT_CANCEL, stress_ns() / (int64_t)n);
    return 0;
}

Test(stress_queue, gives_out_what_was_put_in_once)
{
    seed = stress_seed("queue");
    stress_run(all_rounds, NULL);
    fprintf(stderr, "stress: %" PRIu64 " items taken, %" PRIu64 " waits ended\n", total, ended);
    cr_assert(total > 100 && ended > 0);
}
