/*
 * test_chan.c - items pass once, in order, to whoever came first, and never to or from the dead.
 */
#include <errno.h>

#include <weft/chan.h>
#include <weft/group.h>

#include "base/t_child.h"
#include "flow/t_ledger.h"

TestSuite(chan, .timeout = 120);

static weft_chan *
chan_of(size_t capacity)
{
    weft_chan *chan;
    T_OK(weft_chan_new(&chan, sizeof(int), capacity));
    return chan;
}

static weft_chan_stats
stats_of(weft_chan *chan)
{
    weft_chan_stats stats;
    weft_chan_stats_get(chan, &stats);
    return stats;
}

static void
expect(weft_chan *chan, int wanted)
{
    int item = -1;
    T_OK(weft_chan_try_recv(chan, &item));
    cr_assert(item == wanted, "%d, not %d", item, wanted);
}

/* One who sends or receives a number, and tells how that went. */
struct party {
    weft_chan *chan;
    int item;
    int rc;
    char *trail;
    char name[2];
};

static int
send_one(void *arg)
{
    struct party *party = arg;
    party->rc = weft_chan_send(party->chan, &party->item);
    if (party->rc == 0 && party->trail != NULL)
        strcat(party->trail, party->name);
    return party->rc;
}

static int
recv_one(void *arg)
{
    struct party *party = arg;
    party->rc = weft_chan_recv(party->chan, &party->item);
    if (party->rc == 0 && party->trail != NULL)
        strcat(party->trail, party->name);
    return party->rc;
}

static weft_task *
start(weft_task_fn *fn, struct party *party)
{
    weft_task *task;
    party->rc = 1; /* not through */
    T_OK(weft_task_spawn(&task, fn, party, NULL));
    T_OK(weft_yield());
    return task;
}

/* ---- Items ----------------------------------------------------------------------------------- */

TASK_TEST(chan, gives_items_in_the_order_in_which_it_got_them)
{
    weft_chan *chan = chan_of(3);
    int next = 0;
    for (int i = 0; i < 100; i++) {
        T_OK(weft_chan_send(chan, &i));
        if (i % 3 == 2)
            for (int k = 0; k < 3; k++)
                expect(chan, next++);
    }
    expect(chan, 99);
    weft_chan_free(chan);
}

TASK_TEST(chan, holds_as_many_as_there_is_room_for)
{
    for (int capacity = 0; capacity < 5; capacity++) {
        weft_chan *chan = chan_of((size_t)capacity);
        int item = 0;
        for (; item < capacity; item++)
            T_OK(weft_chan_try_send(chan, &item));
        T_ERR(-EAGAIN, weft_chan_try_send(chan, &item));
        cr_assert(stats_of(chan).len == (size_t)capacity);
        for (int i = 0; i < capacity; i++)
            expect(chan, i);
        T_ERR(-EAGAIN, weft_chan_try_recv(chan, &item));
        weft_chan_free(chan);
    }
}

TASK_TEST(chan, items_may_have_any_size)
{
    static const size_t sizes[] = {0, 1, 3, 4, 7, 8, 16, 100, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        static unsigned char in[5000], out[5001];
        weft_chan *chan;
        T_OK(weft_chan_new(&chan, sizes[i], 2));
        for (int round = 0; round < 5; round++) {
            memset(in, 'a' + round, sizeof in);
            memset(out, 0, sizeof out);
            T_OK(weft_chan_send(chan, sizes[i] > 0 ? in : NULL));
            T_OK(weft_chan_recv(chan, sizes[i] > 0 ? out : NULL));
            cr_assert(memcmp(in, out, sizes[i]) == 0 && out[sizes[i]] == 0);
        }
        weft_chan_free(chan);
    }
}

Test(chan, impossible_sizes_are_refused)
{
    weft_chan *chan = NULL;
    T_ERR(-EOVERFLOW, weft_chan_new(&chan, SIZE_MAX / 2, 3));
    T_ERR(-EOVERFLOW, weft_chan_new(&chan, SIZE_MAX, 1));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    T_ERR(-ENOMEM, weft_chan_new(&chan, 8, 2));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    cr_assert(chan == NULL);
    weft_chan_free(NULL);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

TASK_TEST(chan, without_room_a_send_returns_once_a_receiver_has_the_item)
{
    weft_chan *chan = chan_of(0);
    struct party sender = {.chan = chan, .item = 7};
    weft_task *task = start(send_one, &sender);
    cr_assert(sender.rc == 1 && stats_of(chan).waiting_senders == 1);
    expect(chan, 7);
    T_OK(weft_task_join(task, NULL));
    T_OK(sender.rc);
    weft_chan_free(chan);
}

TASK_TEST(chan, an_item_goes_straight_to_one_who_waits)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        weft_chan *chan = chan_of(capacity);
        struct party receiver = {.chan = chan};
        weft_task *task = start(recv_one, &receiver);
        int item = 5, other;
        T_OK(weft_chan_try_send(chan, &item));
        cr_assert(stats_of(chan).len == 0);
        T_ERR(-EAGAIN, weft_chan_try_recv(chan, &other)); /* nobody is overtaken */
        T_OK(weft_task_join(task, NULL));
        cr_assert(receiver.rc == 0 && receiver.item == 5);
        weft_chan_free(chan);
    }
}

TASK_TEST(chan, receivers_are_served_in_line)
{
    char trail[16] = "";
    weft_chan *chan = chan_of(0);
    struct party parties[6];
    weft_task *tasks[6];
    for (int i = 0; i < 6; i++) {
        parties[i] = (struct party){.chan = chan, .trail = trail, .name = {(char)('a' + i), 0}};
        tasks[i] = start(recv_one, &parties[i]);
    }
    for (int i = 0; i < 6; i++)
        T_OK(weft_chan_send(chan, &i));
    for (int i = 0; i < 6; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        cr_assert(parties[i].item == i);
    }
    cr_assert_str_eq(trail, "abcdef");
    weft_chan_free(chan);
}

TASK_TEST(chan, senders_are_served_in_line)
{
    for (int capacity = 0; capacity < 3; capacity++) {
        char trail[16] = "";
        weft_chan *chan = chan_of((size_t)capacity);
        struct party parties[6];
        weft_task *tasks[6];
        for (int i = 0; i < capacity; i++)
            T_OK(weft_chan_send(chan, &i));
        for (int i = 0; i < 6; i++) {
            parties[i] = (struct party){
                .chan = chan, .item = capacity + i, .trail = trail, .name = {(char)('a' + i), 0}};
            tasks[i] = start(send_one, &parties[i]);
        }
        int item = -1;
        expect(chan, 0);
        /* Where there is a ring, the oldest has moved in: there is no room to overtake into. */
        T_ERR(-EAGAIN, weft_chan_try_send(chan, &item));
        for (int i = 1; i < 6 + capacity; i++)
            expect(chan, i);
        for (int i = 0; i < 6; i++)
            T_OK(weft_task_join(tasks[i], NULL));
        cr_assert_str_eq(trail, "abcdef");
        weft_chan_free(chan);
    }
}

/* ---- Being ended ----------------------------------------------------------------------------- */

TASK_TEST(chan, a_timed_out_sender_has_given_nothing)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        weft_chan *chan = chan_of(capacity);
        int first = 1, second = 2;
        if (capacity > 0)
            T_OK(weft_chan_send(chan, &first));
        weft_scope soon;
        weft_scope_open(&soon, weft_now() + WEFT_MS(5));
        T_ERR(-ETIMEDOUT, weft_chan_send(chan, &second));
        T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
        cr_assert(stats_of(chan).waiting_senders == 0);
        if (capacity > 0)
            expect(chan, 1);
        T_ERR(-EAGAIN, weft_chan_try_recv(chan, &first));
        weft_chan_free(chan);
    }
}

TASK_TEST(chan, a_timed_out_receiver_has_taken_nothing)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        weft_chan *chan = chan_of(capacity);
        int item = 4;
        weft_scope soon;
        weft_scope_open(&soon, weft_now() + WEFT_MS(5));
        T_ERR(-ETIMEDOUT, weft_chan_recv(chan, &item));
        T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
        cr_assert(item == 4 && stats_of(chan).waiting_receivers == 0);
        cr_assert(weft_chan_try_send(chan, &item) == (capacity > 0 ? 0 : -EAGAIN));
        weft_chan_free(chan);
    }
}

TASK_TEST(chan, cancellation_is_looked_for_even_when_nobody_need_wait)
{
    weft_chan *chan = chan_of(2);
    int item = 3;
    T_OK(weft_chan_send(chan, &item));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_chan_send(chan, &item));
    T_ERR(-ECANCELED, weft_chan_recv(chan, &item));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    cr_assert(stats_of(chan).len == 1);
    weft_chan_free(chan);
}

TASK_TEST(chan, those_who_left_the_line_are_passed_over)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        weft_chan *chan = chan_of(capacity);
        struct party receivers[4], senders[4];
        weft_task *tasks[4];
        for (int i = 0; i < 4; i++) {
            receivers[i] = (struct party){.chan = chan, .item = -1};
            tasks[i] = start(recv_one, &receivers[i]);
        }
        weft_task_cancel(tasks[0]); /* they are still in line when the items come */
        weft_task_cancel(tasks[2]);
        int items[] = {10, 11};
        T_OK(weft_chan_try_send(chan, &items[0]));
        T_OK(weft_chan_try_send(chan, &items[1]));
        for (int i = 0; i < 4; i++) {
            T_OK(weft_task_join(tasks[i], NULL));
            cr_assert(receivers[i].rc == (i % 2 == 0 ? -ECANCELED : 0));
            cr_assert(receivers[i].item == (i % 2 == 0 ? -1 : 10 + i / 2));
        }

        if (capacity > 0)
            T_OK(weft_chan_try_send(chan, &items[0]));
        for (int i = 0; i < 4; i++) {
            senders[i] = (struct party){.chan = chan, .item = 20 + i};
            tasks[i] = start(send_one, &senders[i]);
        }
        weft_task_cancel(tasks[0]);
        weft_task_cancel(tasks[2]);
        if (capacity > 0)
            expect(chan, 10);
        expect(chan, 21);
        expect(chan, 23);
        T_ERR(-EAGAIN, weft_chan_try_recv(chan, &items[0]));
        for (int i = 0; i < 4; i++) {
            T_OK(weft_task_join(tasks[i], NULL));
            cr_assert(senders[i].rc == (i % 2 == 0 ? -ECANCELED : 0));
        }
        weft_chan_free(chan);
    }
}

TASK_TEST(chan, nothing_is_given_to_a_line_of_which_all_have_left)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        weft_chan *chan = chan_of(capacity);
        struct party receiver = {.chan = chan}, sender = {.chan = chan, .item = 4};
        int item = 3;
        weft_task *task = start(recv_one, &receiver);
        weft_task_cancel(task); /* still in line */
        cr_assert(weft_chan_try_send(chan, &item) == (capacity > 0 ? 0 : -EAGAIN));
        T_OK(weft_task_join(task, NULL));
        T_ERR(-ECANCELED, receiver.rc);
        cr_assert(stats_of(chan).len == capacity && stats_of(chan).sent == capacity);

        task = start(send_one, &sender);
        weft_task_cancel(task);
        if (capacity > 0)
            expect(chan, 3);
        T_ERR(-EAGAIN, weft_chan_try_recv(chan, &item));
        T_OK(weft_task_join(task, NULL));
        T_ERR(-ECANCELED, sender.rc);
        cr_assert(stats_of(chan).len == 0);
        weft_chan_free(chan);
    }
}

TASK_TEST(chan, one_who_was_served_cannot_leave_any_more)
{
    weft_chan *chan = chan_of(0);
    struct party receiver = {.chan = chan}, sender = {.chan = chan, .item = 9};
    weft_task *task = start(recv_one, &receiver);
    int item = 8;
    T_OK(weft_chan_try_send(chan, &item));
    weft_task_cancel(task); /* too late: it has the item */
    T_OK(weft_task_join(task, NULL));
    cr_assert(receiver.rc == 0 && receiver.item == 8);
    task = start(send_one, &sender);
    expect(chan, 9);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    T_OK(sender.rc);
    weft_chan_free(chan);
}

/* ---- Closing --------------------------------------------------------------------------------- */

TASK_TEST(chan, a_closed_one_still_gives_what_it_holds)
{
    weft_chan *chan = chan_of(3);
    int item;
    for (item = 0; item < 2; item++)
        T_OK(weft_chan_send(chan, &item));
    weft_chan_close(chan);
    weft_chan_close(chan);
    T_ERR(-EPIPE, weft_chan_send(chan, &item));
    T_ERR(-EPIPE, weft_chan_try_send(chan, &item));
    T_OK(weft_chan_recv(chan, &item));
    cr_assert(item == 0);
    expect(chan, 1);
    T_ERR(-EPIPE, weft_chan_recv(chan, &item));
    T_ERR(-EPIPE, weft_chan_try_recv(chan, &item));
    cr_assert(stats_of(chan).closed);
    weft_chan_free(chan);
}

TASK_TEST(chan, closing_wakes_all_who_wait)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        for (int sending = 0; sending < 2; sending++) {
            weft_chan *chan = chan_of(capacity);
            struct party parties[3];
            weft_task *tasks[3];
            int item = 6;
            if (sending && capacity > 0)
                T_OK(weft_chan_send(chan, &item));
            for (int i = 0; i < 3; i++) {
                parties[i] = (struct party){.chan = chan, .item = i};
                tasks[i] = start(sending ? send_one : recv_one, &parties[i]);
            }
            weft_chan_close(chan);
            for (int i = 0; i < 3; i++) {
                T_OK(weft_task_join(tasks[i], NULL));
                T_ERR(-EPIPE, parties[i].rc);
                cr_assert(parties[i].item == i);
            }
            if (sending && capacity > 0)
                expect(chan, 6); /* and none of theirs */
            T_ERR(-EPIPE, weft_chan_try_recv(chan, &item));
            weft_chan_free(chan);
        }
    }
}

TASK_TEST(chan, knows_what_has_passed_and_who_waits)
{
    weft_chan *chan = chan_of(1);
    struct party senders[3];
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        senders[i] = (struct party){.chan = chan, .item = i};
        tasks[i] = start(send_one, &senders[i]);
    }
    weft_chan_stats stats = stats_of(chan);
    cr_assert(stats.capacity == 1 && stats.len == 1 && !stats.closed);
    cr_assert(stats.waiting_senders == 2 && stats.waiting_receivers == 0);
    cr_assert(stats.sent == 1 && stats.received == 0);
    for (int i = 0; i < 3; i++)
        expect(chan, i);
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_join(tasks[i], NULL));
    struct party receiver = {.chan = chan};
    weft_task *task = start(recv_one, &receiver);
    cr_assert(stats_of(chan).waiting_receivers == 1);
    T_OK(weft_chan_send(chan, &senders[0].item));
    T_OK(weft_task_join(task, NULL));
    stats = stats_of(chan);
    cr_assert(stats.sent == 4 && stats.received == 4 && stats.len == 0);
    weft_chan_free(chan);
}

/* ---- Manners --------------------------------------------------------------------------------- */

static int
count_turns(void *arg)
{
    for (;;) {
        ++*(int *)arg;
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
}

TASK_TEST(chan, a_loop_that_never_waits_lets_others_run)
{
    weft_chan *chan = chan_of(1);
    weft_task *task;
    int turns = 0, item = 0;
    T_OK(weft_task_spawn(&task, count_turns, &turns, NULL));
    for (int i = 0; i < 5000; i++) {
        T_OK(weft_chan_send(chan, &item));
        T_OK(weft_chan_recv(chan, &item));
    }
    cr_assert(turns >= 10, "%d turns", turns);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    weft_chan_free(chan);
}

static int
free_while_someone_waits(void *arg)
{
    (void)arg;
    weft_chan *chan = chan_of(0);
    struct party receiver = {.chan = chan};
    start(recv_one, &receiver);
    weft_chan_free(chan);
    return 0;
}

static void
free_too_early(void)
{
    weft_ignore(weft_run(free_while_someone_waits, NULL,
                         &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}

static void
receive(void *arg)
{
    int item;
    weft_ignore(weft_chan_recv(arg, &item));
}

static int
receive_in_a_callback(void *arg)
{
    (void)arg;
    weft_callback callback;
    weft_chan *chan = chan_of(1);
    int item = 1;
    T_OK(weft_chan_send(chan, &item)); /* it would not even have to wait */
    weft_call_soon(&callback, receive, chan);
    return weft_sleep(WEFT_MS(10));
}

static void
wait_in_a_callback(void)
{
    weft_ignore(weft_run(receive_in_a_callback, NULL,
                         &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}

Test(chan, broken_promises_abort_with_a_sentence)
{
    char text[512];
    int status = t_child_run(free_too_early, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && strstr(text, "freed while somebody waits") != NULL, "%s",
              text);
    status = t_child_run(wait_in_a_callback, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && strstr(text, "must not wait") != NULL, "%s", text);
}

static void
try_both(void *arg)
{
    int item = 3;
    T_OK(weft_chan_try_send(arg, &item)); /* to one who waits */
    T_OK(weft_chan_try_send(arg, &item));
    T_ERR(-EAGAIN, weft_chan_try_send(arg, &item));
}

TASK_TEST(chan, callbacks_of_the_loop_may_try)
{
    weft_callback callback;
    weft_chan *chan = chan_of(1);
    int item = 0;
    weft_call_soon(&callback, try_both, chan);
    T_OK(weft_chan_recv(chan, &item));
    cr_assert(item == 3);
    weft_chan_free(chan);
}

/* ---- Between loops and threads --------------------------------------------------------------- */

#define ROUND 2000

struct stream {
    weft_chan *chan;
    uint32_t wrong;
    uint32_t done;
};

static int
send_stream(void *arg)
{
    struct stream *stream = arg;
    int rc = 0;
    for (int i = 0; i < ROUND && rc == 0; i++)
        rc = weft_chan_send(stream->chan, &i);
    weft_chan_close(stream->chan);
    return rc;
}

static int
recv_stream(void *arg)
{
    struct stream *stream = arg;
    int rc, item, next = 0;
    while ((rc = weft_chan_recv(stream->chan, &item)) == 0)
        if (item != next++)
            weft__fetch_add(&stream->wrong, 1);
    if (rc != -EPIPE || next != ROUND)
        weft__fetch_add(&stream->wrong, 1);
    return 0;
}

static void *
send_stream_thread(void *arg)
{
    struct stream *stream = arg;
    if (send_stream(stream) != 0)
        weft__fetch_add(&stream->wrong, 1);
    weft__store(&stream->done, 1);
    return NULL;
}

static void *
recv_stream_thread(void *arg)
{
    struct stream *stream = arg;
    recv_stream(stream);
    weft__store(&stream->done, 1);
    return NULL;
}

LOOPS_TEST(chan, a_stream_keeps_its_order_between_loops_and_threads, 2)
{
    static const size_t capacities[] = {0, 1, 2, 100};
    for (int i = 0; i < 12; i++) {
        struct stream stream = {.done = 0};
        T_OK(weft_chan_new(&stream.chan, sizeof(int), capacities[i % 4]));
        weft_task *tasks[2] = {NULL, NULL};
        pthread_t thread = {0};
        if (i / 4 == 1)
            thread = t_thread(send_stream_thread, &stream);
        else
            T_OK(weft_task_spawn(&tasks[0], send_stream, &stream,
                                 &(weft_task_options){.on = WEFT_ON(0)}));
        if (i / 4 == 2)
            thread = t_thread(recv_stream_thread, &stream);
        else
            T_OK(weft_task_spawn(&tasks[1], recv_stream, &stream,
                                 &(weft_task_options){.on = WEFT_ON(1)}));
        for (int k = 0; k < 2; k++)
            if (tasks[k] != NULL)
                T_OK(weft_task_join(tasks[k], NULL));
        if (i / 4 > 0) {
            while (!weft__load(&stream.done))
                T_OK(weft_sleep(WEFT_MS(1)));
            t_thread_join(thread);
        }
        cr_assert(weft__load(&stream.wrong) == 0);
        weft_chan_free(stream.chan);
    }
}

Test(chan, joins_two_plain_threads)
{
    struct stream in = {.done = 0};
    T_OK(weft_chan_new(&in.chan, sizeof(int), 4));
    pthread_t threads[] = {t_thread(send_stream_thread, &in), t_thread(recv_stream_thread, &in)};
    t_thread_join(threads[0]);
    t_thread_join(threads[1]);
    cr_assert(in.wrong == 0);
    weft_chan_free(in.chan);
}

/* The address of a channel that the receiver frees is sent to the sender through another. */
static int
answer_and_forget(void *arg)
{
    weft_chan *requests = arg, *reply;
    int rc;
    while ((rc = weft_chan_recv(requests, &reply)) == 0) {
        int answer = 42;
        rc = weft_chan_send(reply, &answer);
        if (rc < 0)
            return rc;
    }
    return rc == -EPIPE ? 0 : rc;
}

LOOPS_TEST(chan, who_has_the_item_may_free_the_channel_at_once, 2)
{
    weft_chan *requests;
    weft_task *task;
    int result;
    T_OK(weft_chan_new(&requests, sizeof(weft_chan *), 1));
    T_OK(weft_task_spawn(&task, answer_and_forget, requests,
                         &(weft_task_options){.on = WEFT_ON(1)}));
    for (int i = 0; i < 3000 / T_SLOW; i++) {
        weft_chan *reply = chan_of((size_t)i % 2);
        int answer = 0;
        T_OK(weft_chan_send(requests, &reply));
        if (i % 3 == 0) {
            int rc;
            while ((rc = weft_chan_try_recv(reply, &answer)) == -EAGAIN)
                T_OK(weft_yield());
            T_OK(rc);
        } else {
            T_OK(weft_chan_recv(reply, &answer));
        }
        weft_chan_free(reply);
        cr_assert(answer == 42);
    }
    weft_chan_close(requests);
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    weft_chan_free(requests);
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int
sends(void *arg)
{
    struct t_exchange *exchange = arg;
    weft__fetch_add(&exchange->alive, 1);
    int rc = 0;
    for (int i = 0; i < 5 && rc == 0; i++) {
        uint64_t item = t_ledger_item(exchange->ledger);
        rc = weft_chan_send(exchange->chans[i % 2], &item);
        if (rc == 0)
            t_ledger_sent(exchange->ledger, item);
    }
    weft__fetch_sub(&exchange->alive, 1);
    return rc;
}

/* A part of them under a deadline of its own. */
static int
receives(void *arg)
{
    struct t_exchange *exchange = arg;
    weft__fetch_add(&exchange->alive, 1);
    int rc = 0;
    for (int i = 0; rc == 0; i++) {
        uint64_t item;
        weft_scope scope;
        weft_scope_open(&scope, i % 4 == 1 ? weft_now() + WEFT_MS(1) : WEFT_FOREVER);
        rc = weft_chan_recv(exchange->chans[i % 2], &item);
        if (rc == 0)
            t_ledger_got(exchange->ledger, item);
        if (weft_scope_close(&scope) == -ETIMEDOUT)
            rc = 0;
    }
    weft__fetch_sub(&exchange->alive, 1);
    return rc == -EPIPE ? 0 : rc;
}

static int
exchange_main(void *arg)
{
    struct t_exchange *exchange = arg;
    int n = (int)weft_loop_count();
    weft_group receivers, senders;
    weft_group_open(&receivers, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 2; i++)
        weft_group_spawn_with(&receivers, receives, exchange,
                              &(weft_task_options){.on = WEFT_ON(i % n)});
    weft_group_open(&senders, &(weft_group_options){.keep_going = 1, .timeout = WEFT_SEC(1)});
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&senders, sends, exchange,
                              &(weft_task_options){.on = WEFT_ON((i + 1) % n)});
    int rc = weft_group_close(&senders);
    weft_chan_close(exchange->chans[0]);
    weft_chan_close(exchange->chans[1]);
    int closed = weft_group_close(&receivers);
    return rc < 0 ? rc : closed;
}

Test(chan, loses_and_doubles_nothing_whatever_is_ended)
{
    for (size_t capacity = 0; capacity < 3; capacity++)
        t_exchange_torture(exchange_main, capacity);
}

Test(chan, loses_and_doubles_nothing_in_any_order)
{
    for (size_t capacity = 0; capacity < 3; capacity++)
        t_exchange_seeds(exchange_main, capacity);
}
