/*
 * test_queues.c - items come out in their order, each once, and nobody is overtaken.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/group.h>
#include <weft/queue.h>

#include "base/random.h"
#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(queues, .timeout = 60);

/* Adds the letter of a number. */
static void
add_letter(char *text, int number)
{
    size_t len = strlen(text);
    text[len] = (char)('a' + number);
    text[len + 1] = '\0';
}

static weft_queue *
queue_of(size_t item_size, weft_queue_options options)
{
    weft_queue *queue;
    T_OK(weft_queue_new(&queue, item_size, &options));
    return queue;
}

static weft_queue *
numbers(weft_queue_options options)
{
    return queue_of(sizeof(int), options);
}

static void
put(weft_queue *queue, int number)
{
    T_OK(weft_queue_put(queue, &number));
}

static int
try_put(weft_queue *queue, int number)
{
    return weft_queue_try_put(queue, &number);
}

static int
get(weft_queue *queue)
{
    int number;
    T_OK(weft_queue_get(queue, &number));
    return number;
}

/* Takes all there is, and says it in letters. */
static const char *
rest(weft_queue *queue)
{
    static char text[256];
    size_t n = 0;
    int number;
    while (weft_queue_try_get(queue, &number) == 0)
        text[n++] = (char)('a' + number);
    text[n] = '\0';
    return text;
}

/* ---- Orders --------------------------------------------------------------------------------- */

TASK_TEST(queues, first_in_first_out)
{
    weft_queue *queue = numbers((weft_queue_options){.capacity = 3});
    for (int i = 0; i < 10; i++) {
        put(queue, i);
        put(queue, i + 1);
        cr_assert(get(queue) == i && get(queue) == i + 1);
    }
    weft_queue_free(queue);
}

TASK_TEST(queues, last_in_first_out)
{
    weft_queue *queue = numbers((weft_queue_options){.order = WEFT_LIFO});
    for (int i = 0; i < 4; i++)
        put(queue, i);
    cr_assert(get(queue) == 3);
    put(queue, 5);
    cr_assert_str_eq(rest(queue), "fcba");
    weft_queue_free(queue);
}

struct urgent {
    int64_t key;
    int number;
};

TASK_TEST(queues, the_smallest_key_first_and_equals_in_order)
{
    weft_queue *queue =
        queue_of(sizeof(struct urgent), (weft_queue_options){.order = WEFT_PRIORITY});
    static const int keys[] = {5, -1, 5, 0, -1, 5, 0, -7};
    static const int expected[] = {7, 1, 4, 3, 6, 0, 2, 5};
    for (int i = 0; i < 8; i++)
        T_OK(weft_queue_put(queue, &(struct urgent){keys[i], i}));
    for (int i = 0; i < 8; i++) {
        struct urgent item;
        T_OK(weft_queue_get(queue, &item));
        cr_assert(item.number == expected[i] && item.key == keys[item.number]);
    }
    weft_queue_free(queue);
}

static int
by_tens_downwards(const void *a, const void *b)
{
    return *(const int *)b / 10 - *(const int *)a / 10;
}

TASK_TEST(queues, a_function_may_say_what_comes_first)
{
    weft_queue *queue =
        numbers((weft_queue_options){.order = WEFT_PRIORITY, .compare = by_tens_downwards});
    static const int in[] = {11, 32, 15, 30, 10, 39, 4};
    static const int out[] = {32, 30, 39, 11, 15, 10, 4};
    for (int i = 0; i < 7; i++)
        put(queue, in[i]);
    for (int i = 0; i < 7; i++)
        cr_assert(get(queue) == out[i]);
    weft_queue_free(queue);
}

TASK_TEST(queues, items_of_any_size_are_copied_whole)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++)
        for (size_t size = 8; size <= WEFT_QUEUE_ITEM_MAX; size += size < 40 ? 1 : 123) {
            weft_queue *queue =
                queue_of(size, (weft_queue_options){.order = (weft_queue_order)order});
            unsigned char in[WEFT_QUEUE_ITEM_MAX] = {0}, out[WEFT_QUEUE_ITEM_MAX + 1];
            for (unsigned char round = 0; round < 3; round++) {
                memset(in + 7, round + 1, size - 7);
                T_OK(weft_queue_put(queue, in));
            }
            memset(out, 0xee, sizeof out);
            for (unsigned char round = 0; round < 3; round++) {
                T_OK(weft_queue_get(queue, out));
                memset(in + 7, order == WEFT_LIFO ? 3 - round : round + 1, size - 7);
                cr_assert(memcmp(in, out, size) == 0 && out[size] == 0xee);
            }
            weft_queue_free(queue);
        }
}

/* Against an array that is searched. */
static void
like_a_simple_one(weft_queue_order order, size_t capacity, uint64_t random, bool local)
{
    struct urgent model[64], item;
    size_t n = 0;
    weft_queue *queue = queue_of(
        sizeof item, (weft_queue_options){.capacity = capacity, .order = order, .local = local});
    for (int i = 0; i < 2000; i++) {
        if (weft__splitmix(&random) % 2 == 0) {
            item = (struct urgent){(int64_t)(weft__splitmix(&random) % 5), i};
            int rc = weft_queue_try_put(queue, &item);
            cr_assert(rc == (n < capacity ? 0 : -EAGAIN));
            if (rc == 0)
                model[n++] = item;
        } else {
            size_t next = order == WEFT_LIFO ? n - 1 : 0;
            for (size_t k = 1; order == WEFT_PRIORITY && k < n; k++)
                next = model[k].key < model[next].key ? k : next;
            int rc = weft_queue_try_get(queue, &item);
            cr_assert(rc == (n > 0 ? 0 : -EAGAIN));
            if (rc < 0)
                continue;
            cr_assert(item.number == model[next].number && item.key == model[next].key);
            memmove(model + next, model + next + 1, (--n - next) * sizeof item);
        }
        cr_assert(weft_queue_size(queue) == n);
    }
    weft_queue_free(queue);
}

TASK_TEST(queues, all_orders_do_what_a_simple_array_does)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++)
        for (size_t capacity = 1; capacity < 40; capacity += 6)
            for (int local = 0; local < 2; local++)
                like_a_simple_one((weft_queue_order)order, capacity, capacity, local);
}

/* The same with rare paths taken, where the quick ways are left at random. */
TASK_TEST(queues, the_quick_way_and_the_long_one_agree)
{
    weft__buggify_seed(7);
    for (size_t capacity = 1; capacity < 40; capacity += 3)
        like_a_simple_one(WEFT_FIFO, capacity, capacity, capacity % 2);
    weft__buggify_seed(0);
}

/* ---- Making --------------------------------------------------------------------------------- */

Test(queues, what_cannot_be_is_refused)
{
    weft_queue *queue = NULL;
    T_ERR(-EINVAL, weft_queue_new(&queue, 0, NULL));
    T_ERR(-EINVAL, weft_queue_new(&queue, WEFT_QUEUE_ITEM_MAX + 1, NULL));
    T_ERR(-EINVAL, weft_queue_new(&queue, 4, &(weft_queue_options){.order = WEFT_PRIORITY}));
    T_ERR(-EINVAL, weft_queue_new(&queue, 4, &(weft_queue_options){.order = (weft_queue_order)3}));
    T_ERR(-EINVAL, weft_queue_new(&queue, 4,
                                  &(weft_queue_options){.order = WEFT_PRIORITY,
                                                        .compare = by_tens_downwards,
                                                        .overflow = WEFT_OVERFLOW_DROP_OLDEST}));
    T_ERR(-EINVAL, weft_queue_new(&queue, 4, &(weft_queue_options){.capacity = SIZE_MAX - 1}));
    T_ERR(-EINVAL, weft_queue_new(&queue, 4, &(weft_queue_options){.local = 1}));
    cr_assert(queue == NULL);
    weft_queue_free(NULL);
}

TASK_TEST(queues, have_a_capacity_unless_told_otherwise)
{
    weft_queue *queue = numbers((weft_queue_options){0});
    cr_assert(weft_queue_capacity(queue) == WEFT_QUEUE_CAPACITY);
    for (int i = 0; i < WEFT_QUEUE_CAPACITY; i++)
        T_OK(try_put(queue, i));
    T_ERR(-EAGAIN, try_put(queue, 0));
    cr_assert(weft_queue_size(queue) == WEFT_QUEUE_CAPACITY);
    weft_queue_free(queue);
}

TASK_TEST(queues, without_a_limit_grow_in_every_order)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++) {
        weft_queue *queue =
            queue_of(sizeof(int64_t), (weft_queue_options){.capacity = WEFT_UNBOUNDED,
                                                           .order = (weft_queue_order)order});
        cr_assert(weft_queue_capacity(queue) == WEFT_UNBOUNDED);
        int64_t got, taken = 0;
        for (int64_t i = 0; i < 5000; i++) {
            T_OK(weft_queue_put(queue, &i));
            if (i % 3 == 0 && order != WEFT_LIFO) {
                T_OK(weft_queue_get(queue, &got));
                cr_assert(got == taken++);
            }
        }
        for (int64_t i = taken; i < 5000; i++) {
            T_OK(weft_queue_try_get(queue, &got));
            cr_assert(got == (order == WEFT_LIFO ? 4999 - i : i));
        }
        T_ERR(-EAGAIN, weft_queue_try_get(queue, &got));
        weft_queue_free(queue);
    }
}

TASK_TEST(queues, what_finds_no_memory_is_not_put)
{
    weft_queue *queue = numbers((weft_queue_options){.capacity = WEFT_UNBOUNDED});
    int n = 0, one = 1;
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    while (weft_queue_put(queue, &n) == 0)
        n++;
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    cr_assert(weft_queue_size(queue) == (size_t)n);
    T_OK(weft_queue_put(queue, &n));
    for (int i = 0; i <= n; i++)
        cr_assert(get(queue) == i);
    weft_queue_free(queue);
    for (uint64_t k = 1; k <= 2; k++) {
        weft__torture_arm(WEFT__TORTURE_ALLOC, k, false, 0);
        T_ERR(-ENOMEM, weft_queue_new(&queue, sizeof one, NULL));
        weft__torture_disarm(WEFT__TORTURE_ALLOC);
    }
}

/* ---- Waiting -------------------------------------------------------------------------------- */

struct hand {
    weft_queue *queue;
    int number;
    int rc;
    size_t n; /* of many */
    int items[8];
    char *trail;
};

static void
note(struct hand *hand)
{
    if (hand->trail != NULL)
        add_letter(hand->trail, hand->number);
}

static int
put_one(void *arg)
{
    struct hand *hand = arg;
    hand->rc = weft_queue_put(hand->queue, &hand->number);
    if (hand->rc == 0)
        note(hand);
    return 0;
}

static int
get_one(void *arg)
{
    struct hand *hand = arg;
    hand->rc = weft_queue_get(hand->queue, &hand->number);
    if (hand->rc == 0)
        note(hand);
    return 0;
}

static int
get_some(void *arg)
{
    struct hand *hand = arg;
    hand->rc = (int)weft_queue_get_many(hand->queue, hand->items, hand->n);
    return 0;
}

static int
put_some(void *arg)
{
    struct hand *hand = arg;
    hand->rc = (int)weft_queue_put_many(hand->queue, hand->items, hand->n);
    return 0;
}

static weft_task *
start(weft_task_fn *fn, struct hand *hand)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, fn, hand, NULL));
    T_OK(weft_yield());
    return task;
}

static void
end(weft_task *task)
{
    T_OK(weft_task_join(task, NULL));
}

TASK_TEST(queues, getters_are_served_in_the_order_of_coming)
{
    weft_queue *queue = numbers((weft_queue_options){0});
    struct hand hands[4];
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        hands[i] = (struct hand){.queue = queue};
        tasks[i] = start(get_one, &hands[i]);
    }
    for (int i = 0; i < 4; i++)
        put(queue, i);
    int number;
    T_ERR(-EAGAIN, weft_queue_try_get(queue, &number)); /* nobody is overtaken */
    for (int i = 0; i < 4; i++) {
        end(tasks[i]);
        cr_assert(hands[i].rc == 0 && hands[i].number == i);
    }
    weft_queue_free(queue);
}

TASK_TEST(queues, putters_are_served_in_the_order_of_coming)
{
    weft_queue *queue = numbers((weft_queue_options){.capacity = 1});
    struct hand hands[4];
    weft_task *tasks[4];
    put(queue, 9);
    for (int i = 0; i < 4; i++) {
        hands[i] = (struct hand){.queue = queue, .number = i};
        tasks[i] = start(put_one, &hands[i]);
    }
    cr_assert(get(queue) == 9);
    T_ERR(-EAGAIN, try_put(queue, 8)); /* the place is the first putter's */
    for (int i = 0; i < 4; i++)
        cr_assert(get(queue) == i);
    for (int i = 0; i < 4; i++)
        end(tasks[i]);
    weft_queue_free(queue);
}

TASK_TEST(queues, of_priorities_hand_the_most_urgent_to_who_waits)
{
    weft_queue *queue = numbers(
        (weft_queue_options){.capacity = 2, .order = WEFT_PRIORITY, .compare = by_tens_downwards});
    put(queue, 20);
    put(queue, 10);
    struct hand hand = {.queue = queue, .number = 30};
    weft_task *putter = start(put_one, &hand);
    cr_assert(get(queue) == 20);
    cr_assert(get(queue) == 30); /* it had come in */
    cr_assert(get(queue) == 10);
    end(putter);
    weft_queue_free(queue);
}

TASK_TEST(queues, a_burst_wakes_one_getter_who_takes_it_all)
{
    weft_queue *queue = numbers((weft_queue_options){0});
    struct hand hand = {.queue = queue, .n = 8};
    weft_task *task = start(get_some, &hand);
    put(queue, 0); /* handed over at once */
    put(queue, 1);
    put(queue, 2);
    end(task);
    cr_assert(hand.rc == 1 && hand.items[0] == 0);
    hand.n = 8;
    end(start(get_some, &hand));
    cr_assert(hand.rc == 2 && hand.items[0] == 1 && hand.items[1] == 2);
    weft_queue_free(queue);
}

TASK_TEST(queues, many_are_put_as_far_as_there_is_room)
{
    for (int order = WEFT_FIFO; order <= WEFT_LIFO; order++) {
        weft_queue *queue =
            numbers((weft_queue_options){.capacity = 5, .order = (weft_queue_order)order});
        static const int items[] = {0, 1, 2, 3, 4, 5, 6, 7};
        T_ERR(3, weft_queue_put_many(queue, items, 3));
        T_ERR(2, weft_queue_put_many(queue, items + 3, 5));
        struct hand hand = {.queue = queue, .n = 3, .items = {5, 6, 7}};
        weft_task *task = start(put_some, &hand);
        int got[8];
        T_ERR(2, weft_queue_get_many(queue, got, 2));
        end(task);
        cr_assert(hand.rc == 2); /* for two of its three there was room */
        T_ERR(5, weft_queue_get_many(queue, got, 8));
        cr_assert(order == WEFT_LIFO ? got[0] == 6 && got[4] == 0 : got[0] == 2 && got[4] == 6);
        weft_queue_free(queue);
    }
}

TASK_TEST(queues, a_getter_that_waits_for_many_gets_what_there_is)
{
    weft_queue *queue = numbers((weft_queue_options){0});
    struct hand hand = {.queue = queue, .n = 3};
    weft_task *task = start(get_some, &hand);
    T_ERR(5, weft_queue_put_many(queue, (int[]){0, 1, 2, 3, 4}, 5));
    end(task);
    cr_assert(hand.rc == 3 && hand.items[2] == 2);
    cr_assert_str_eq(rest(queue), "de");
    weft_queue_free(queue);
}

TASK_TEST(queues, cancellation_is_looked_for_even_when_an_item_is_there)
{
    weft_queue *queue = numbers((weft_queue_options){0});
    put(queue, 1);
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    int number = 7;
    T_ERR(-ECANCELED, weft_queue_get(queue, &number));
    T_ERR(-ECANCELED, weft_queue_get_many(queue, &number, 1));
    T_ERR(-ECANCELED, weft_queue_put(queue, &number));
    T_ERR(-ECANCELED, weft_queue_put_many(queue, &number, 1));
    T_ERR(-ECANCELED, weft_queue_join(queue));
    T_OK(weft_queue_try_put(queue, &number)); /* what never waits does not look */
    weft_ignore(weft_scope_close(&scope));
    cr_assert_str_eq(rest(queue), "bh");
    weft_queue_free(queue);
}

TASK_TEST(queues, a_deadline_takes_no_item_and_gives_none)
{
    weft_queue *queue = numbers((weft_queue_options){.capacity = 1});
    weft_scope soon;
    int number = 7;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_queue_get(queue, &number));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    put(queue, 1);
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_queue_put(queue, &number));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    cr_assert_str_eq(rest(queue), "b");
    weft_queue_stats stats;
    weft_queue_stats_get(queue, &stats);
    cr_assert(stats.getters == 0 && stats.putters == 0 && stats.put == 1 && stats.taken == 1);
    weft_queue_free(queue);
}

static void
getters_that_leave(bool local)
{
    char trail[16] = "";
    weft_queue *queue = numbers((weft_queue_options){.local = local});
    struct hand hands[5];
    weft_task *tasks[5];
    for (int i = 0; i < 5; i++) {
        hands[i] = (struct hand){.queue = queue, .trail = trail};
        tasks[i] = start(get_one, &hands[i]);
    }
    /* Cancelled but still in line: items must go to the next ones alive. */
    weft_task_cancel(tasks[0]);
    weft_task_cancel(tasks[2]);
    for (int i = 0; i < 4; i++)
        put(queue, i);
    for (int i = 0; i < 5; i++)
        end(tasks[i]);
    cr_assert(hands[0].rc == -ECANCELED && hands[2].rc == -ECANCELED);
    cr_assert(hands[1].number == 0 && hands[3].number == 1 && hands[4].number == 2);
    cr_assert_str_eq(trail, "abc");
    cr_assert_str_eq(rest(queue), "d");
    weft_queue_free(queue);
}

TASK_TEST(queues, a_getter_that_leaves_the_line_is_passed_over)
{
    getters_that_leave(false);
    getters_that_leave(true);
}

TASK_TEST(queues, a_putter_that_leaves_the_line_has_put_nothing)
{
    weft_queue *queue = numbers((weft_queue_options){.capacity = 1});
    struct hand hands[4];
    weft_task *tasks[4];
    put(queue, 9);
    for (int i = 0; i < 4; i++) {
        hands[i] = (struct hand){.queue = queue, .number = i};
        tasks[i] = start(put_one, &hands[i]);
    }
    weft_task_cancel(tasks[0]);
    weft_task_cancel(tasks[2]);
    cr_assert_str_eq(rest(queue), "jbd");
    for (int i = 0; i < 4; i++) {
        end(tasks[i]);
        cr_assert(hands[i].rc == (i % 2 == 0 ? -ECANCELED : 0));
    }
    weft_queue_free(queue);
}

TASK_TEST(queues, who_was_served_cannot_leave_any_more)
{
    weft_queue *queue = numbers((weft_queue_options){.capacity = 1});
    struct hand getter = {.queue = queue}, putter = {.queue = queue, .number = 4};
    weft_task *task = start(get_one, &getter);
    put(queue, 3);
    weft_task_cancel(task); /* too late: the item is its own */
    end(task);
    cr_assert(getter.rc == 0 && getter.number == 3);
    put(queue, 5);
    task = start(put_one, &putter);
    cr_assert(get(queue) == 5);
    weft_task_cancel(task);
    end(task);
    cr_assert(putter.rc == 0 && get(queue) == 4);
    weft_queue_free(queue);
}

static int
count_rounds(void *arg)
{
    for (int *rounds = arg;; ++*rounds) {
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
}

TASK_TEST(queues, calls_that_never_wait_let_others_run)
{
    weft_queue *queue = numbers((weft_queue_options){0});
    weft_task *task;
    int rounds = 0;
    T_OK(weft_task_spawn(&task, count_rounds, &rounds, NULL));
    for (int i = 0; i < 10000; i++) {
        put(queue, i);
        get(queue);
    }
    cr_assert(rounds > 10 && rounds < 1000, "%d", rounds);
    weft_task_cancel(task);
    end(task);
    weft_queue_free(queue);
}

static void
put_from_callback(void *arg)
{
    (void)try_put(arg, 6);
}

TASK_TEST(queues, callbacks_of_the_loop_may_try)
{
    weft_queue *queue = numbers((weft_queue_options){.local = 1});
    weft_callback callback;
    weft_call_later(&callback, WEFT_MS(3), put_from_callback, queue);
    cr_assert(get(queue) == 6);
    cr_assert(weft_now() == WEFT_MS(3));
    weft_queue_free(queue);
}

/* ---- When it is full ------------------------------------------------------------------------ */

struct dropped {
    char text[64];
    weft_queue *queue;
};

static void
drop(void *item, void *arg)
{
    struct dropped *dropped = arg;
    if (dropped->queue != NULL)
        cr_assert(weft_queue_capacity(dropped->queue) > 0 && weft_queue_size(dropped->queue) < 99);
    add_letter(dropped->text, *(int *)item);
}

TASK_TEST(queues, may_refuse_what_does_not_fit)
{
    weft_queue *queue =
        numbers((weft_queue_options){.capacity = 2, .overflow = WEFT_OVERFLOW_REJECT});
    int number = 7;
    put(queue, 1);
    put(queue, 2);
    T_ERR(-EAGAIN, weft_queue_put(queue, &number));
    T_ERR(-EAGAIN, weft_queue_put_many(queue, &number, 1));
    cr_assert_str_eq(rest(queue), "bc");
    weft_queue_free(queue);
}

TASK_TEST(queues, may_drop_the_oldest_for_what_does_not_fit)
{
    for (int order = WEFT_FIFO; order <= WEFT_LIFO; order++) {
        struct dropped dropped = {.text = ""};
        weft_queue *queue = numbers((weft_queue_options){.capacity = 3,
                                                         .order = (weft_queue_order)order,
                                                         .overflow = WEFT_OVERFLOW_DROP_OLDEST,
                                                         .drop = drop,
                                                         .drop_arg = &dropped});
        dropped.queue = queue; /* which is not locked then */
        for (int i = 0; i < 8; i++)
            put(queue, i);
        T_ERR(1, weft_queue_put_many(queue, (int[]){8, 9}, 2));
        cr_assert_str_eq(dropped.text, "abcdef");
        weft_queue_stats stats;
        weft_queue_stats_get(queue, &stats);
        cr_assert(stats.size == 3 && stats.put == 9 && stats.dropped == 6 && stats.taken == 0 &&
                  stats.pending == 3);
        cr_assert_str_eq(rest(queue), order == WEFT_LIFO ? "ihg" : "ghi");
        weft_queue_free(queue);
    }
}

TASK_TEST(queues, what_is_left_at_the_end_is_dropped)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++) {
        struct dropped dropped = {.text = ""};
        weft_queue *queue = numbers((weft_queue_options){.capacity = 3,
                                                         .order = (weft_queue_order)order,
                                                         .compare = by_tens_downwards,
                                                         .drop = drop,
                                                         .drop_arg = &dropped});
        for (int i = 0; i < 3; i++)
            put(queue, i);
        cr_assert(get(queue) == (order == WEFT_LIFO ? 2 : 0));
        weft_queue_free(queue);
        cr_assert(strlen(dropped.text) == 2);
    }
}

/* ---- Shutting down -------------------------------------------------------------------------- */

TASK_TEST(queues, that_drain_can_be_emptied_but_not_filled)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++) {
        weft_queue *queue = numbers(
            (weft_queue_options){.order = (weft_queue_order)order, .compare = by_tens_downwards});
        int number = 7;
        put(queue, 1);
        put(queue, 2);
        weft_queue_shutdown(queue, WEFT_DRAIN);
        weft_queue_shutdown(queue, WEFT_DRAIN);
        T_ERR(-EPIPE, weft_queue_put(queue, &number));
        T_ERR(-EPIPE, weft_queue_try_put(queue, &number));
        T_ERR(-EPIPE, weft_queue_put_many(queue, &number, 1));
        T_OK(weft_queue_get(queue, &number));
        T_OK(weft_queue_try_get(queue, &number));
        T_ERR(-EPIPE, weft_queue_try_get(queue, &number));
        T_ERR(-EPIPE, weft_queue_get(queue, &number));
        T_ERR(-EPIPE, weft_queue_get_many(queue, &number, 1));
        weft_queue_stats stats;
        weft_queue_stats_get(queue, &stats);
        cr_assert(stats.shut && stats.taken == 2 && stats.dropped == 0);
        weft_queue_free(queue);
    }
}

TASK_TEST(queues, that_are_cancelled_drop_their_items)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++) {
        struct dropped dropped = {.text = ""};
        weft_queue *queue = numbers((weft_queue_options){.order = (weft_queue_order)order,
                                                         .compare = by_tens_downwards,
                                                         .drop = drop,
                                                         .drop_arg = &dropped});
        for (int i = 0; i < 5; i++)
            put(queue, i);
        int number = get(queue);
        dropped.queue = queue;
        weft_queue_shutdown(queue, WEFT_DRAIN);
        weft_queue_shutdown(queue, WEFT_CANCEL);
        weft_queue_shutdown(queue, WEFT_CANCEL);
        cr_assert(strlen(dropped.text) == 4);
        T_ERR(-EPIPE, weft_queue_get(queue, &number));
        T_ERR(-EPIPE, weft_queue_try_get(queue, &number));
        T_ERR(-EPIPE, weft_queue_put(queue, &number));
        T_ERR(-EPIPE, weft_queue_try_put(queue, &number));
        weft_queue_stats stats;
        weft_queue_stats_get(queue, &stats);
        cr_assert(stats.size == 0 && stats.dropped == 4 && stats.pending == 1);
        dropped.queue = NULL;
        weft_queue_free(queue);
        cr_assert(strlen(dropped.text) == 4);
    }
}

TASK_TEST(queues, that_are_shut_down_let_nobody_wait)
{
    for (int mode = WEFT_DRAIN; mode <= WEFT_CANCEL; mode++) {
        weft_queue *empty = numbers((weft_queue_options){0});
        weft_queue *full = numbers((weft_queue_options){.capacity = 1});
        put(full, 1);
        struct hand hands[6];
        weft_task *tasks[6];
        for (int i = 0; i < 6; i++) {
            hands[i] = (struct hand){.queue = i < 3 ? empty : full, .n = 2};
            tasks[i] = start(i == 0  ? get_some
                             : i < 3 ? get_one
                             : i < 5 ? put_one
                                     : put_some,
                             &hands[i]);
        }
        weft_queue_shutdown(empty, (weft_close_mode)mode);
        weft_queue_shutdown(full, (weft_close_mode)mode);
        for (int i = 0; i < 6; i++) {
            end(tasks[i]);
            T_ERR(-EPIPE, hands[i].rc);
        }
        cr_assert(weft_queue_size(full) == (mode == WEFT_DRAIN ? 1 : 0));
        weft_queue_free(empty);
        weft_queue_free(full);
    }
}

/* ---- Work on the items ---------------------------------------------------------------------- */

static int
join_queue(void *arg)
{
    struct hand *hand = arg;
    hand->rc = weft_queue_join(hand->queue);
    hand->number = 1;
    return 0;
}

TASK_TEST(queues, are_joined_when_all_work_is_done)
{
    for (int order = WEFT_FIFO; order <= WEFT_LIFO; order++) {
        weft_queue *queue = numbers((weft_queue_options){.order = (weft_queue_order)order});
        T_OK(weft_queue_join(queue)); /* nothing was put */
        put(queue, 1);
        put(queue, 2);
        struct hand hands[2] = {{.queue = queue}, {.queue = queue}};
        weft_task *tasks[2] = {start(join_queue, &hands[0]), start(join_queue, &hands[1])};
        get(queue);
        weft_queue_task_done(queue);
        get(queue);
        put(queue, 3);
        weft_queue_task_done(queue);
        T_OK(weft_yield());
        cr_assert(hands[0].number == 0 && hands[1].number == 0); /* the third came meanwhile */
        get(queue);
        T_OK(weft_yield());
        cr_assert(hands[0].number == 0);
        weft_queue_task_done(queue);
        for (int i = 0; i < 2; i++) {
            end(tasks[i]);
            T_OK(hands[i].rc);
        }
        T_OK(weft_queue_join(queue));
        weft_queue_free(queue);
    }
}

TASK_TEST(queues, a_joiner_may_give_up)
{
    weft_queue *queue = numbers((weft_queue_options){0});
    put(queue, 1);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_queue_join(queue));
    weft_ignore(weft_scope_close(&soon));
    get(queue);
    weft_queue_task_done(queue);
    T_OK(weft_queue_join(queue));
    weft_queue_free(queue);
}

TASK_TEST(queues, what_is_dropped_needs_no_work)
{
    weft_queue *queue =
        numbers((weft_queue_options){.capacity = 2, .overflow = WEFT_OVERFLOW_DROP_OLDEST});
    for (int i = 0; i < 5; i++)
        put(queue, i);
    struct hand hand = {.queue = queue};
    weft_task *task = start(join_queue, &hand);
    get(queue);
    weft_queue_shutdown(queue, WEFT_CANCEL);
    T_OK(weft_yield());
    cr_assert(hand.number == 0); /* one is in our hand */
    weft_queue_task_done(queue);
    end(task);
    T_OK(hand.rc);
    weft_queue_free(queue);

    queue = numbers((weft_queue_options){0});
    put(queue, 1);
    hand = (struct hand){.queue = queue};
    task = start(join_queue, &hand);
    weft_queue_shutdown(queue, WEFT_CANCEL);
    end(task);
    T_OK(hand.rc);
    weft_queue_free(queue);
}

TASK_TEST(queues, say_what_they_hold)
{
    weft_queue *queue = numbers((weft_queue_options){.capacity = 2});
    struct hand hand = {.queue = queue, .number = 3};
    put(queue, 1);
    put(queue, 2);
    weft_task *task = start(put_one, &hand);
    weft_queue_stats stats;
    weft_queue_stats_get(queue, &stats);
    cr_assert(stats.size == 2 && stats.capacity == 2 && stats.putters == 1 && stats.getters == 0 &&
              stats.put == 2 && stats.taken == 0 && stats.pending == 2 && !stats.shut);
    get(queue);
    weft_queue_stats_get(queue, &stats);
    cr_assert(stats.size == 2 && stats.putters == 0 && stats.put == 3 && stats.taken == 1 &&
              stats.pending == 3);
    end(task);
    weft_queue_free(queue);
}

/* ---- Misuse --------------------------------------------------------------------------------- */

static void
aborts_with(void (*fn)(void), const char *sentence)
{
    char text[2048];
    int status = t_child_run(fn, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d", status);
    cr_assert(strstr(text, sentence) != NULL, "%s", text);
}

static void
done_too_often(void)
{
    weft_queue *queue;
    int number = 1;
    if (weft_queue_new(&queue, sizeof number, NULL) < 0 || weft_queue_put(queue, &number) < 0 ||
        weft_queue_put(queue, &number) < 0 || weft_queue_get(queue, &number) < 0)
        return;
    weft_queue_task_done(queue);
    weft_queue_task_done(queue);
}

Test(queues, work_done_more_often_than_items_were_taken_aborts)
{
    aborts_with(done_too_often, "weft_queue_task_done was called more often than items were taken");
}

static int
free_while_waited_for(void *arg)
{
    (void)arg;
    weft_queue *queue;
    int number = 1;
    if (weft_queue_new(&queue, sizeof number, NULL) < 0)
        return 0;
    struct hand hand = {.queue = queue};
    weft_ignore(weft_task_spawn(NULL, get_one, &hand, NULL));
    weft_ignore(weft_yield());
    weft_queue_free(queue);
    return 0;
}

static void
run_free_while_waited_for(void)
{
    weft_run(free_while_waited_for, NULL, &(weft_options){.loops = 1});
}

Test(queues, freeing_one_that_somebody_waits_for_aborts)
{
    aborts_with(run_free_while_waited_for, "a queue was freed while somebody waits for it");
}

static int
make_local(void *arg)
{
    return weft_queue_new(arg, sizeof(int), &(weft_queue_options){.local = 1});
}

static int
use_from_other_loop(void *arg)
{
    weft_queue *queue = NULL;
    int rc = weft_loop_call(weft_loop_at(1), make_local, &queue);
    int number = 1;
    (void)arg;
    return rc < 0 ? rc : weft_queue_try_put(queue, &number);
}

static void
run_use_from_other_loop(void)
{
    weft_run(use_from_other_loop, NULL,
             &(weft_options){.loops = 2, .clock = WEFT_CLOCK_VIRTUAL}); /* on one thread */
}

static void
use_from_thread(void)
{
    weft_queue *queue = NULL;
    int number;
    if (weft_run(make_local, &queue, &(weft_options){.loops = 1}) == 0)
        weft_ignore(weft_queue_get(queue, &number));
}

static void
use_slowly_from_thread(void)
{
    weft_queue *queue = NULL;
    if (weft_run(make_local, &queue, &(weft_options){.loops = 1}) == 0)
        weft_queue_size(queue);
}

Test(queues, using_a_local_one_from_elsewhere_aborts)
{
    static const char sentence[] = "a local queue was used from elsewhere than its loop";
    aborts_with(run_use_from_other_loop, sentence);
    aborts_with(use_from_thread, sentence);
    aborts_with(use_slowly_from_thread, sentence);
}

Test(queues, a_local_one_may_be_freed_when_its_loop_has_ended)
{
    weft_queue *queue;
    t_leak_begin();
    T_OK(weft_run(make_local, &queue, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    weft_queue_free(queue);
    t_leak_end();
}

static void
wait_in_callback(void *arg)
{
    int number;
    weft_ignore(weft_queue_get(arg, &number));
}

static int
call_that_waits(void *arg)
{
    (void)arg;
    weft_queue *queue;
    int rc = weft_queue_new(&queue, sizeof(int), NULL);
    weft_callback callback;
    weft_call_soon(&callback, wait_in_callback, queue);
    return rc < 0 ? rc : weft_sleep(1);
}

static void
run_call_that_waits(void)
{
    weft_run(call_that_waits, NULL, &(weft_options){.loops = 1});
}

Test(queues, a_callback_that_waits_aborts)
{
    aborts_with(run_call_that_waits, "must not wait");
}

/* ---- Across loops and threads --------------------------------------------------------------- */

#define ITEMS (2000 / T_SLOW)

static int
put_all(void *arg)
{
    weft_queue *queue = arg;
    for (int i = 0; i < ITEMS; i++) {
        int rc = weft_queue_put(queue, &i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

struct sum {
    weft_queue *queue;
    uint64_t total; /* atomic */
    uint32_t done;  /* atomic */
};

static int
take_all(void *arg)
{
    struct sum *sum = arg;
    int items[5];
    for (;;) {
        ssize_t n = weft_queue_get_many(sum->queue, items, 5);
        if (n < 0)
            return n == -EPIPE ? 0 : (int)n;
        for (ssize_t i = 0; i < n; i++) {
            weft__fetch_add(&sum->total, (uint64_t)items[i]);
            weft_queue_task_done(sum->queue);
        }
    }
}

static void *
put_all_thread(void *arg)
{
    struct sum *sum = arg;
    if (put_all(sum->queue) == 0)
        weft__fetch_add(&sum->done, 1);
    return NULL;
}

static void *
take_all_thread(void *arg)
{
    struct sum *sum = arg;
    if (take_all(sum) == 0)
        weft__fetch_add(&sum->done, 1);
    return NULL;
}

static void
everybody(weft_queue_options options)
{
    options.compare = by_tens_downwards;
    struct sum sum = {.queue = numbers(options)};
    pthread_t threads[2] = {t_thread(put_all_thread, &sum), t_thread(take_all_thread, &sum)};
    weft_group putters, takers;
    weft_group_open(&takers, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&takers, take_all, &sum, &(weft_task_options){.on = WEFT_ON(i % 2)});
    weft_group_open(&putters, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&putters, put_all, sum.queue,
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    T_OK(weft_group_close(&putters));
    while (weft__load(&sum.done) < 1)
        T_OK(weft_sleep(WEFT_MS(1)));
    T_OK(weft_queue_join(sum.queue));
    weft_queue_shutdown(sum.queue, WEFT_DRAIN);
    T_OK(weft_group_close(&takers));
    for (int i = 0; i < 2; i++)
        t_thread_join(threads[i]);
    cr_assert(weft__load(&sum.done) == 2);
    cr_assert(weft__load(&sum.total) == (uint64_t)4 * ITEMS * (ITEMS - 1) / 2);
    weft_queue_free(sum.queue);
}

LOOPS_TEST(queues, connect_tasks_of_loops_and_threads, 2)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++)
        for (size_t capacity = 1; capacity <= 64; capacity *= 8)
            everybody((weft_queue_options){.capacity = capacity, .order = (weft_queue_order)order});
}

static int
put_one_and_leave(void *arg)
{
    int number = 1;
    return weft_queue_put(arg, &number);
}

/* Who got the last item frees the queue while the putter may not have returned yet. */
LOOPS_TEST(queues, may_be_freed_by_who_got_the_last_item, 2)
{
    for (int i = 0; i < 2000 / T_SLOW; i++) {
        weft_queue *queue = numbers(
            (weft_queue_options){.order = (weft_queue_order)(i % 3), .compare = by_tens_downwards});
        weft_task *task;
        T_OK(weft_task_spawn(&task, put_one_and_leave, queue,
                             &(weft_task_options){.on = WEFT_ON(1)}));
        int number = 0;
        if (i % 2 == 0)
            while (weft_queue_try_get(queue, &number) < 0)
                continue;
        else
            T_OK(weft_queue_get(queue, &number));
        weft_queue_free(queue);
        end(task);
    }
}

static int
take_and_do(void *arg)
{
    int number;
    int rc = weft_queue_get(arg, &number);
    if (rc == 0)
        weft_queue_task_done(arg);
    return rc;
}

LOOPS_TEST(queues, may_be_freed_by_who_joined, 2)
{
    for (int i = 0; i < 2000 / T_SLOW; i++) {
        weft_queue *queue = numbers(
            (weft_queue_options){.order = (weft_queue_order)(i % 3), .compare = by_tens_downwards});
        weft_task *task;
        put(queue, 1);
        T_OK(weft_task_spawn(&task, take_and_do, queue, &(weft_task_options){.on = WEFT_ON(1)}));
        if (i % 2 == 0)
            T_OK(weft_yield());
        T_OK(weft_queue_join(queue));
        weft_queue_free(queue);
        end(task);
    }
}
