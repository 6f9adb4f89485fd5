/*
 * test_queue.c - many producers, one consumer: order, completeness, and the sleep protocol.
 */
#include <pthread.h>

#include "t.h"
#include "base/queue.h"
#include "base/sys.h"

TestSuite(queue, .timeout = 60);

struct message {
    struct weft__mpsc_node node;
    int producer;
    int number;
};

static struct message *
message_of(struct weft__mpsc_node *node)
{
    return weft__container(node, struct message, node);
}

Test(queue, an_empty_queue_gives_nothing)
{
    struct weft__mpsc queue = {0};
    cr_assert(weft__mpsc_empty(&queue));
    cr_assert(weft__mpsc_take_all_fifo(&queue) == NULL);
}

Test(queue, messages_come_out_in_the_order_they_went_in)
{
    struct weft__mpsc queue = {0};
    struct message messages[5];
    for (int round = 0; round < 2; round++) { /* nodes may be used again at once */
        for (int i = 0; i < 5; i++) {
            messages[i].number = i;
            weft__mpsc_push(&queue, &messages[i].node);
            cr_assert(!weft__mpsc_empty(&queue));
        }
        struct weft__mpsc_node *node = weft__mpsc_take_all_fifo(&queue);
        cr_assert(weft__mpsc_empty(&queue));
        for (int i = 0; i < 5; i++, node = weft__mpsc_next(node))
            cr_assert(node != NULL && message_of(node)->number == i);
        cr_assert(node == NULL);
    }
}

#define PRODUCERS 4
#define EACH 20000

static struct weft__mpsc shared;
static struct message pool[PRODUCERS][EACH];

static void *
produce(void *arg)
{
    int producer = (int)(intptr_t)arg;
    for (int i = 0; i < EACH; i++) {
        pool[producer][i].producer = producer;
        pool[producer][i].number = i;
        weft__mpsc_push(&shared, &pool[producer][i].node);
    }
    return NULL;
}

Test(queue, no_message_is_lost_and_each_producers_order_is_kept)
{
    pthread_t threads[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        T_OK(weft__sys_thread_create(&threads[i], NULL, produce, (void *)(intptr_t)i));
    int next[PRODUCERS] = {0};
    bool in_order = true;
    for (int got = 0; got < PRODUCERS * EACH;) {
        struct weft__mpsc_node *node = weft__mpsc_take_all_fifo(&shared);
        for (; node != NULL; node = weft__mpsc_next(node), got++) {
            struct message *message = message_of(node);
            in_order &= message->number == next[message->producer]++;
        }
    }
    for (int i = 0; i < PRODUCERS; i++)
        T_OK(pthread_join(threads[i], NULL));
    cr_assert(in_order);
    cr_assert(weft__mpsc_empty(&shared));
}

static uint32_t sleeping;

/* Pushes one message at a time, each after the last was answered; rings only who sleeps. */
static uint32_t answered;

static void *
push_and_ring(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < EACH; i++) {
        weft__mpsc_push(&shared, &pool[0][i].node);
        if (weft__load(&sleeping) && weft__exchange(&sleeping, 0))
            weft__sys_futex_wake(&sleeping, 1);
        while (weft__load(&answered) <= i)
            sched_yield();
    }
    return NULL;
}

Test(queue, either_the_producer_sees_the_sleeper_or_the_sleeper_the_message)
{
    pthread_t thread;
    T_OK(weft__sys_thread_create(&thread, NULL, push_and_ring, NULL));
    int slept_too_long = 0;
    for (uint32_t got = 0; got < EACH;) {
        if (weft__mpsc_take_all_fifo(&shared) != NULL) {
            weft__store(&answered, ++got);
            continue;
        }
        weft__store(&sleeping, 1); /* pairs with the push and the load after it */
        if (weft__mpsc_empty(&shared))
            slept_too_long += weft__sys_futex_wait(&sleeping, 1, 5000000000) == -ETIMEDOUT;
        weft__store(&sleeping, 0);
    }
    T_OK(pthread_join(thread, NULL));
    cr_assert(slept_too_long == 0);
}
