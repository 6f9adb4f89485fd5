/*
 * test_queue_torture.c - every wait of a queue's users ended at every place: no item is lost, none
 * comes twice, and a call that failed has put or taken nothing.
 *
 * A scenario's items are numbered. Who puts one notes whether the call said so; who takes one, or
 * is told that it was dropped, notes that. Afterwards, whatever was hit: noted as put once means
 * out once, by one of the ways; not put means never seen.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <weft/group.h>
#include <weft/queue.h>

#include "base/random.h"
#include "task/t_core.h"

TestSuite(queues_torture, .timeout = 300);

#define PUTTERS 3
#define EACH 6
#define ITEMS (PUTTERS * EACH)

struct item {
    int64_t key;
    int number;
};

/* What the tasks of a run share. They may outlive the main task, so it is not on its stack. */
static struct world {
    weft_queue *queue;
    uint32_t put[ITEMS]; /* atomic, as all counts here */
    uint32_t out[ITEMS];
    uint32_t alive;
    uint32_t taken, done;
} w;

static void
note(uint32_t *count)
{
    weft__fetch_add(count, 1);
}

static void
drop(void *item, void *arg)
{
    (void)arg;
    note(&w.out[((struct item *)item)->number]);
}

/* One by one, then what is left together. */
static int
put_items(void *arg)
{
    note(&w.alive);
    int first = (int)(intptr_t)arg * EACH, n = 0, rc = 0;
    struct item items[EACH];
    for (int i = 0; i < EACH; i++)
        items[i] = (struct item){.key = i % 3, .number = first + i};
    while (n < EACH / 2 && (rc = weft_queue_put(w.queue, &items[n])) == 0)
        note(&w.put[first + n++]);
    while (n < EACH && rc >= 0) {
        rc = (int)weft_queue_put_many(w.queue, &items[n], (size_t)(EACH - n));
        for (int i = 0; i < rc; i++)
            note(&w.put[first + n++]);
    }
    weft__fetch_sub(&w.alive, 1);
    return rc < 0 ? rc : 0;
}

static int
take_items(void *arg)
{
    note(&w.alive);
    struct item items[4];
    ssize_t n;
    for (;;) {
        n = arg != NULL ? weft_queue_get_many(w.queue, items, 4) : weft_queue_get(w.queue, items);
        n = n == 0 ? 1 : n;
        if (n < 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            note(&w.out[items[i].number]);
            note(&w.taken);
        }
        int rc = weft_yield();
        for (ssize_t i = 0; i < n; i++) { /* what was taken is done, come what may */
            weft_queue_task_done(w.queue);
            note(&w.done);
        }
        if (rc < 0) {
            n = rc;
            break;
        }
    }
    weft__fetch_sub(&w.alive, 1);
    return n == -EPIPE ? 0 : (int)n;
}

/* All takers may have been hit: then nobody does the work. (Nor makes room: so the group of the
 * putters has a timeout.) */
static int
join_for_a_while(void)
{
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(20));
    int rc = weft_queue_join(w.queue);
    weft_ignore(weft_scope_close(&soon));
    return rc;
}

/* Everything: putters, takers, a joiner; the queue is shut down in the end. */
static int
use_queue(void *arg)
{
    (void)arg;
    int n = (int)weft_loop_count();
    weft_group takers, putters;
    weft_group_open(&takers, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&takers, take_items, T_NUMBER(i % 2),
                              &(weft_task_options){.on = WEFT_ON(i % n)});
    weft_group_open(&putters, &(weft_group_options){.keep_going = 1, .timeout = WEFT_MS(20)});
    for (int i = 0; i < PUTTERS; i++)
        weft_group_spawn_with(&putters, put_items, T_NUMBER(i),
                              &(weft_task_options){.on = WEFT_ON((i + 1) % n)});
    int rc = weft_group_close(&putters);
    int joined = join_for_a_while();
    weft_queue_shutdown(w.queue, joined == 0 ? WEFT_DRAIN : WEFT_CANCEL);
    int closed = weft_group_close(&takers);
    return rc < 0 ? rc : closed;
}

/* Shut down while all are at it. */
static int
shut_queue(void *arg)
{
    int n = (int)weft_loop_count();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 4; i++)
        weft_group_spawn_with(&group, i % 2 == 0 ? put_items : take_items, T_NUMBER(i / 2),
                              &(weft_task_options){.on = WEFT_ON(i % n)});
    weft_ignore(weft_yield());
    weft_ignore(weft_yield());
    weft_queue_shutdown(w.queue, (weft_close_mode)(intptr_t)arg);
    int rc = join_for_a_while();
    int closed = weft_group_close(&group);
    return rc < 0 ? rc : closed;
}

struct run {
    const char *name;
    weft_task_fn *main;
    void *arg;
    weft_options options;
    weft_queue_options queue;
    weft_close_mode end;
};

static int
make_and_run(void *arg)
{
    const struct run *run = arg;
    int rc = weft_queue_new(&w.queue, sizeof(struct item), &run->queue);
    return rc < 0 ? rc : run->main(run->arg);
}

static void
run_once(void *arg)
{
    const struct run *run = arg;
    memset(&w, 0, sizeof w);
    weft_ignore(weft_run(make_and_run, arg, &run->options));
    if (w.queue == NULL)
        return;
    weft_queue_stats stats;
    cr_assert(weft__load(&w.alive) == 0);
    if (!run->queue.local) { /* whose loop has ended */
        weft_queue_stats_get(w.queue, &stats);
        cr_assert(stats.getters == 0 && stats.putters == 0);
        cr_assert(stats.taken == w.taken && w.taken == w.done);
        cr_assert(stats.pending == stats.size &&
                  stats.put == stats.taken + stats.dropped + stats.size);
    }
    weft_queue_free(w.queue); /* asserts that no one is in any line; drops the rest */
    for (int i = 0; i < ITEMS; i++)
        cr_assert(w.put[i] == w.out[i] && w.put[i] <= 1,
                  "%s: item %d: put %u times, came out %u times", run->name, i, w.put[i], w.out[i]);
}

static uint64_t
torture(const struct run *run, enum weft__torture kind, bool from_on)
{
    return t_torture_run(&(struct t_torture){.kind = kind,
                                             .from_on = from_on,
                                             .max = T_SLOW > 1 ? 30 : 0,
                                             .scenario = run_once,
                                             .arg = (void *)(uintptr_t)run});
}

static void
torture_all(const struct run *run)
{
    uint64_t points = 0;
    for (int from_on = 0; from_on < 2; from_on++) {
        points += torture(run, WEFT__TORTURE_CANCEL, from_on);
        points += torture(run, WEFT__TORTURE_DEADLINE, from_on);
        points += torture(run, WEFT__TORTURE_ALLOC, from_on);
    }
    cr_assert(points > 10);
}

/* All ways of being full and all orders; on one loop local too. */
static void
all_kinds(weft_task_fn *main, void *arg, unsigned loops, uint64_t seed)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++)
        for (int local = 0; local <= (loops == 1); local++) {
            struct run run = {.name = "queue",
                              .main = main,
                              .arg = arg,
                              .options = {.loops = loops,
                                          .seed = seed,
                                          .clock = WEFT_CLOCK_VIRTUAL,
                                          .signals = WEFT_SIGNALS_NONE},
                              .queue = {.capacity = 2,
                                        .order = (weft_queue_order)order,
                                        .local = (unsigned)local,
                                        .drop = drop}};
            torture_all(&run);
            run.queue.capacity = WEFT_UNBOUNDED;
            torture_all(&run);
            run.queue.capacity = 3;
            run.queue.overflow = WEFT_OVERFLOW_REJECT;
            torture_all(&run);
            run.queue.overflow = WEFT_OVERFLOW_DROP_OLDEST;
            if (order != WEFT_PRIORITY)
                torture_all(&run);
        }
}

Test(queues_torture, on_one_loop)
{
    all_kinds(use_queue, NULL, 1, 0);
}

Test(queues_torture, on_three_loops)
{
    all_kinds(use_queue, NULL, 3, 1);
}

Test(queues_torture, drained_in_the_middle)
{
    all_kinds(shut_queue, T_NUMBER(WEFT_DRAIN), 1, 0);
    all_kinds(shut_queue, T_NUMBER(WEFT_DRAIN), 3, 1);
}

Test(queues_torture, cancelled_in_the_middle)
{
    all_kinds(shut_queue, T_NUMBER(WEFT_CANCEL), 1, 0);
    all_kinds(shut_queue, T_NUMBER(WEFT_CANCEL), 3, 1);
}

#define SEEDS (300 / T_SLOW)

/* Each seed undisturbed, cancelled somewhere, timed out somewhere, and everywhere from somewhere
 * on; every other one with rare paths taken. */
Test(queues_torture, in_many_orders)
{
    uint64_t random = 1;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct run run = {.name = "queue",
                          .main = seed % 3 == 0 ? shut_queue : use_queue,
                          .arg = T_NUMBER(seed % 2),
                          .options = {.loops = 3,
                                      .seed = seed,
                                      .clock = WEFT_CLOCK_VIRTUAL,
                                      .signals = WEFT_SIGNALS_NONE},
                          .queue = {.capacity = 1 + seed % 4,
                                    .order = (weft_queue_order)(seed % 5 % 3),
                                    .drop = drop}};
        uint64_t n = 0;
        for (int round = 0; round < 4; round++) {
            uint64_t k = round == 0 ? 0 : 1 + weft__splitmix(&random) % (n > 0 ? n : 1);
            enum weft__torture kind = round == 2 ? WEFT__TORTURE_DEADLINE : WEFT__TORTURE_CANCEL;
            weft__buggify_seed(seed % 2 == 0 ? seed : 0);
            weft__torture_arm(kind, k, round == 3, 0);
            run_once(&run);
            uint64_t events = weft__torture_disarm(kind);
            n = round == 0 ? events : n;
        }
    }
    weft__buggify_seed(0);
}

/* With real threads: another order each time. */
Test(queues_torture, on_two_threads)
{
    for (int order = WEFT_FIFO; order <= WEFT_LIFO; order++) {
        struct run run = {.name = "queue",
                          .main = use_queue,
                          .options = {.loops = 2, .signals = WEFT_SIGNALS_NONE},
                          .queue = {.capacity = 2, .order = (weft_queue_order)order, .drop = drop}};
        for (int from_on = 0; from_on < 2; from_on++) {
            for (int kind = WEFT__TORTURE_CANCEL; kind <= WEFT__TORTURE_ALLOC; kind++)
                t_torture_run(&(struct t_torture){.kind = (enum weft__torture)kind,
                                                  .from_on = from_on,
                                                  .max = 25,
                                                  .scenario = run_once,
                                                  .arg = &run});
        }
    }
}
