/*
 * test_broadcast.c - every subscriber gets every item in order, or is told how many it missed.
 */
#include <errno.h>

#include <weft/broadcast.h>
#include <weft/group.h>
#include <weft/select.h>

#include "base/t_child.h"
#include "task/t_core.h"
#include "base/random.h"

TestSuite(broadcast, .timeout = 120);

static weft_broadcast *
broadcast_of(size_t capacity, weft_lag lag)
{
    weft_broadcast *broadcast;
    T_OK(weft_broadcast_new(&broadcast, sizeof(int),
                            &(weft_broadcast_options){.capacity = capacity, .lag = lag}));
    return broadcast;
}

static void
expect(weft_subscription *subscription, int wanted, uint64_t wanted_missed)
{
    int item = -1;
    uint64_t missed = 77;
    T_OK(weft_subscription_try_recv(subscription, &item, &missed));
    cr_assert(item == wanted && missed == wanted_missed, "%d (%u missed), not %d", item,
              (unsigned)missed, wanted);
}

static void
expect_none(weft_subscription *subscription)
{
    int item;
    T_ERR(-EAGAIN, weft_subscription_try_recv(subscription, &item, NULL));
}

struct party {
    weft_broadcast *broadcast;
    weft_subscription *subscription;
    int item;
    uint64_t missed;
    int rc;
};

static int
send_one(void *arg)
{
    struct party *party = arg;
    return party->rc = weft_broadcast_send(party->broadcast, &party->item);
}

static int
recv_one(void *arg)
{
    struct party *party = arg;
    return party->rc = weft_subscription_recv(party->subscription, &party->item, &party->missed);
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

TASK_TEST(broadcast, every_subscriber_gets_every_item)
{
    weft_broadcast *broadcast = broadcast_of(4, WEFT_LAG_WAITS);
    weft_subscription subscriptions[3];
    for (int i = 0; i < 3; i++)
        T_OK(weft_broadcast_subscribe(broadcast, &subscriptions[i]));
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++)
            T_OK(weft_broadcast_send(broadcast, &(int){10 * round + i}));
        for (int k = 0; k < 3; k++) {
            for (int i = 0; i < 4; i++)
                expect(&subscriptions[k], 10 * round + i, 0);
            expect_none(&subscriptions[k]);
        }
    }
    for (int i = 0; i < 3; i++)
        weft_unsubscribe(&subscriptions[i]);
    weft_broadcast_free(broadcast);
}

TASK_TEST(broadcast, who_comes_later_gets_what_comes_later)
{
    weft_broadcast *broadcast = broadcast_of(4, WEFT_LAG_WAITS);
    weft_subscription early, late;
    for (int i = 0; i < 100; i++)
        T_OK(weft_broadcast_send(broadcast, &i)); /* to nobody */
    T_OK(weft_broadcast_subscribe(broadcast, &early));
    expect_none(&early);
    T_OK(weft_broadcast_send(broadcast, &(int){1}));
    T_OK(weft_broadcast_subscribe(broadcast, &late));
    T_OK(weft_broadcast_send(broadcast, &(int){2}));
    expect(&early, 1, 0);
    expect(&early, 2, 0);
    expect(&late, 2, 0);
    weft_unsubscribe(&early);
    weft_unsubscribe(&late);
    weft_broadcast_free(broadcast);
}

TASK_TEST(broadcast, senders_wait_for_the_slowest)
{
    weft_broadcast *broadcast = broadcast_of(2, WEFT_LAG_WAITS);
    weft_subscription fast, slow;
    T_OK(weft_broadcast_subscribe(broadcast, &fast));
    T_OK(weft_broadcast_subscribe(broadcast, &slow));
    T_OK(weft_broadcast_send(broadcast, &(int){1}));
    T_OK(weft_broadcast_send(broadcast, &(int){2}));
    expect(&fast, 1, 0);
    expect(&fast, 2, 0);
    T_ERR(-EAGAIN, weft_broadcast_try_send(broadcast, &(int){9}));
    struct party senders[2] = {{.broadcast = broadcast, .item = 3},
                               {.broadcast = broadcast, .item = 4}};
    weft_task *tasks[] = {start(send_one, &senders[0]), start(send_one, &senders[1])};
    cr_assert(senders[0].rc == 1);
    expect_none(&fast);
    expect(&slow, 1, 0); /* one is let in, the older */
    expect(&fast, 3, 0);
    expect_none(&fast);
    T_ERR(-EAGAIN, weft_broadcast_try_send(broadcast, &(int){9})); /* nobody is overtaken */
    for (int i = 2; i <= 4; i++)
        expect(&slow, i, 0);
    expect(&fast, 4, 0);
    for (int i = 0; i < 2; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        T_OK(senders[i].rc);
    }
    weft_unsubscribe(&fast);
    weft_unsubscribe(&slow);
    weft_broadcast_free(broadcast);
}

TASK_TEST(broadcast, who_unsubscribes_holds_nobody_up)
{
    weft_broadcast *broadcast = broadcast_of(2, WEFT_LAG_WAITS);
    weft_subscription fast, slow;
    T_OK(weft_broadcast_subscribe(broadcast, &fast));
    T_OK(weft_broadcast_subscribe(broadcast, &slow));
    struct party senders[4];
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        senders[i] = (struct party){.broadcast = broadcast, .item = i};
        tasks[i] = start(send_one, &senders[i]);
    }
    expect(&fast, 0, 0);
    expect(&fast, 1, 0);
    expect_none(&fast);
    weft_unsubscribe(&slow);
    expect(&fast, 2, 0);
    expect(&fast, 3, 0);
    for (int i = 0; i < 4; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        T_OK(senders[i].rc);
    }
    weft_unsubscribe(&fast);
    weft_broadcast_free(broadcast);
}

TASK_TEST(broadcast, one_that_drops_tells_how_many)
{
    weft_broadcast *broadcast = broadcast_of(3, WEFT_LAG_DROPS);
    weft_subscription fast, slow;
    T_OK(weft_broadcast_subscribe(broadcast, &fast));
    T_OK(weft_broadcast_subscribe(broadcast, &slow));
    for (int i = 0; i < 10; i++) {
        T_OK(weft_broadcast_send(broadcast, &i));
        expect(&fast, i, 0);
    }
    expect(&slow, 7, 7);
    T_OK(weft_broadcast_send(broadcast, &(int){10}));
    expect(&slow, 8, 0); /* just in time */
    expect(&slow, 9, 0);
    expect(&slow, 10, 0);
    expect_none(&slow);
    weft_unsubscribe(&fast);
    weft_unsubscribe(&slow);
    weft_broadcast_free(broadcast);
}

TASK_TEST(broadcast, an_item_goes_straight_to_all_who_wait)
{
    for (int drops = 0; drops < 2; drops++) {
        weft_broadcast *broadcast = broadcast_of(1, drops ? WEFT_LAG_DROPS : WEFT_LAG_WAITS);
        weft_subscription subscriptions[3];
        struct party parties[3];
        weft_task *tasks[3];
        for (int i = 0; i < 3; i++) {
            T_OK(weft_broadcast_subscribe(broadcast, &subscriptions[i]));
            parties[i] = (struct party){.subscription = &subscriptions[i], .missed = 9};
            tasks[i] = start(recv_one, &parties[i]);
        }
        T_OK(weft_broadcast_try_send(broadcast, &(int){6}));
        /* Nobody is left who has yet to take it. */
        T_OK(weft_broadcast_try_send(broadcast, &(int){7}));
        for (int i = 0; i < 3; i++) {
            T_OK(weft_task_join(tasks[i], NULL));
            cr_assert(parties[i].rc == 0 && parties[i].item == 6 && parties[i].missed == 0);
            expect(&subscriptions[i], 7, 0);
            weft_unsubscribe(&subscriptions[i]);
        }
        weft_broadcast_free(broadcast);
    }
}

TASK_TEST(broadcast, one_who_is_ended_has_taken_or_given_nothing)
{
    weft_broadcast *broadcast = broadcast_of(1, WEFT_LAG_WAITS);
    weft_subscription subscription;
    T_OK(weft_broadcast_subscribe(broadcast, &subscription));
    int item = 5;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(1));
    T_ERR(-ETIMEDOUT, weft_subscription_recv(&subscription, &item, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_OK(weft_broadcast_send(broadcast, &(int){1}));
    weft_scope_open(&scope, weft_now() + WEFT_MS(1));
    T_ERR(-ETIMEDOUT, weft_broadcast_send(broadcast, &(int){2}));
    T_ERR(-ETIMEDOUT, weft_broadcast_send(broadcast, &(int){2}));
    T_ERR(-ETIMEDOUT, weft_subscription_recv(&subscription, &item, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    expect(&subscription, 1, 0);
    expect_none(&subscription);

    /* Cancelled but still in line: the item stays for the subscription. */
    struct party party = {.subscription = &subscription};
    weft_task *task = start(recv_one, &party);
    weft_task_cancel(task);
    T_OK(weft_broadcast_send(broadcast, &(int){3}));
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECANCELED, party.rc);
    expect(&subscription, 3, 0);
    weft_unsubscribe(&subscription);
    weft_broadcast_free(broadcast);
}

TASK_TEST(broadcast, a_closed_one_still_gives_what_is_left)
{
    weft_broadcast *broadcast = broadcast_of(1, WEFT_LAG_WAITS);
    weft_subscription behind, waiting, late;
    T_OK(weft_broadcast_subscribe(broadcast, &behind));
    T_OK(weft_broadcast_subscribe(broadcast, &waiting));
    T_OK(weft_broadcast_send(broadcast, &(int){1}));
    expect(&waiting, 1, 0);
    struct party sender = {.broadcast = broadcast, .item = 2},
                 receiver = {.subscription = &waiting};
    weft_task *tasks[] = {start(send_one, &sender), start(recv_one, &receiver)};
    weft_broadcast_close(broadcast);
    weft_broadcast_close(broadcast);
    for (int i = 0; i < 2; i++)
        T_OK(weft_task_join(tasks[i], NULL));
    T_ERR(-EPIPE, sender.rc);
    T_ERR(-EPIPE, receiver.rc);
    T_ERR(-EPIPE, weft_broadcast_send(broadcast, &(int){3}));
    T_ERR(-EPIPE, weft_broadcast_subscribe(broadcast, &late));
    expect(&behind, 1, 0);
    T_ERR(-EPIPE, weft_subscription_recv(&behind, &receiver.item, NULL));
    weft_unsubscribe(&behind);
    weft_unsubscribe(&waiting);
    weft_broadcast_free(broadcast);
}

TASK_TEST(broadcast, may_be_a_branch_of_a_select)
{
    weft_broadcast *broadcast = broadcast_of(2, WEFT_LAG_DROPS);
    weft_subscription subscription;
    T_OK(weft_broadcast_subscribe(broadcast, &subscription));
    int item = 0;
    uint64_t missed = 0;
    weft_case cases[] = {weft_case_until(weft_now() + WEFT_MS(1)),
                         weft_case_subscription(&subscription, &item, &missed)};
    cr_assert(weft_select(cases, 2) == 0);
    cases[0] = weft_case_until(WEFT_FOREVER);
    for (int i = 0; i < 5; i++)
        T_OK(weft_broadcast_send(broadcast, &i));
    cr_assert(weft_select(cases, 2) == 1 && item == 3 && missed == 3);
    cr_assert(weft_select(cases, 2) == 1 && item == 4 && missed == 0);
    missed = 5;
    struct party sender = {.broadcast = broadcast, .item = 8};
    weft_task *task;
    T_OK(weft_task_spawn(&task, send_one, &sender, NULL));
    cr_assert(weft_select(cases, 2) == 1 && item == 8 && missed == 0 && cases[1].result == 0);
    T_OK(weft_task_join(task, NULL));
    weft_broadcast_close(broadcast);
    cr_assert(weft_select(cases, 2) == 1);
    T_ERR(-EPIPE, cases[1].result);
    weft_unsubscribe(&subscription);
    weft_broadcast_free(broadcast);
}

Test(broadcast, impossible_ones_are_refused)
{
    weft_broadcast *broadcast = NULL;
    T_ERR(-EOVERFLOW, weft_broadcast_new(&broadcast, SIZE_MAX / 8, NULL));
    T_ERR(-EINVAL,
          weft_broadcast_new(&broadcast, 1, &(weft_broadcast_options){.lag = (weft_lag)7}));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    T_ERR(-ENOMEM, weft_broadcast_new(&broadcast, 8, NULL));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    cr_assert(broadcast == NULL);
    weft_broadcast_free(NULL);
}

static void
free_with_a_subscriber(void)
{
    weft_broadcast *broadcast;
    weft_subscription subscription;
    if (weft_broadcast_new(&broadcast, 1, NULL) == 0 &&
        weft_broadcast_subscribe(broadcast, &subscription) == 0)
        weft_broadcast_free(broadcast);
}

static int
unsubscribe_while_one_waits(void *arg)
{
    (void)arg;
    weft_broadcast *broadcast = broadcast_of(1, WEFT_LAG_WAITS);
    weft_subscription subscription;
    T_OK(weft_broadcast_subscribe(broadcast, &subscription));
    struct party party = {.subscription = &subscription};
    start(recv_one, &party);
    weft_unsubscribe(&subscription);
    return 0;
}

static void
unsubscribe_too_early(void)
{
    weft_ignore(weft_run(unsubscribe_while_one_waits, NULL,
                         &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}

Test(broadcast, broken_promises_abort_with_a_sentence)
{
    char text[512];
    int status = t_child_run(free_with_a_subscriber, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && strstr(text, "it has subscribers") != NULL, "%s", text);
    status = t_child_run(unsubscribe_too_early, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && strstr(text, "while somebody waits") != NULL, "%s", text);
}

/* ---- Several loops, threads, and torture ----------------------------------------------------- */

#define SENDERS 2
#define READERS 3

/* Senders number their items; a reader must see each sender's in order, and together with what it
 * is told it missed, all of them. */
struct crowd {
    weft_broadcast *broadcast;
    weft_subscription subscriptions[READERS];
    uint64_t sent[SENDERS]; /* each sender's own */
    uint64_t got[READERS], missed[READERS], left[READERS];
    uint32_t wrong;
    uint32_t done; /* threads that are through */
    int each;
    weft_options options;
    weft_lag lag;
};

struct member {
    struct crowd *crowd;
    int index;
};

static int
crowd_send(void *arg)
{
    const struct member *member = arg;
    struct crowd *crowd = member->crowd;
    int rc = 0;
    for (int i = 0; i < crowd->each && rc == 0; i++) {
        uint64_t item = (uint64_t)member->index << 32 | (uint64_t)crowd->sent[member->index];
        rc = weft_broadcast_send(crowd->broadcast, &item);
        if (rc == 0)
            crowd->sent[member->index]++;
    }
    return rc;
}

static void
crowd_note(struct crowd *crowd, int index, uint64_t next[SENDERS], uint64_t item, uint64_t missed)
{
    uint64_t sender = item >> 32, number = (uint32_t)item;
    if (sender >= SENDERS || number < next[sender] ||
        (crowd->lag == WEFT_LAG_WAITS && (missed > 0 || number != next[sender]))) {
        weft__fetch_add(&crowd->wrong, 1);
        return;
    }
    next[sender] = number + 1;
    crowd->got[index]++;
    crowd->missed[index] += missed;
}

static int
crowd_read(void *arg)
{
    const struct member *member = arg;
    struct crowd *crowd = member->crowd;
    weft_subscription *subscription = &crowd->subscriptions[member->index];
    uint64_t next[SENDERS] = {0}, item, missed;
    int rc;
    while ((rc = weft_subscription_recv(subscription, &item, &missed)) == 0)
        crowd_note(crowd, member->index, next, item, missed);
    /* What one who was ended has not taken is all still there; but others may not wait for it. */
    while (weft_subscription_try_recv(subscription, &item, &missed) == 0)
        crowd_note(crowd, member->index, next, item, missed);
    if (rc != -EPIPE)
        crowd->left[member->index] = 1;
    weft_unsubscribe(subscription);
    return rc == -EPIPE ? 0 : rc;
}

static void *
crowd_read_thread(void *arg)
{
    const struct member *member = arg;
    if (crowd_read(arg) != 0)
        weft__fetch_add(&member->crowd->wrong, 1);
    weft__fetch_add(&member->crowd->done, 1);
    return NULL;
}

static int
crowd_main(void *arg)
{
    struct crowd *crowd = arg;
    int n = (int)weft_loop_count();
    struct member senders[SENDERS], readers[READERS];
    weft_group reading, sending;
    weft_group_open(&reading, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct member){crowd, i};
        T_OK(weft_broadcast_subscribe(crowd->broadcast, &crowd->subscriptions[i]));
        int rc = weft_group_spawn_with(&reading, crowd_read, &readers[i],
                                       &(weft_task_options){.on = WEFT_ON(i % n)});
        if (rc < 0) {
            crowd->left[i] = 1;
            weft_unsubscribe(&crowd->subscriptions[i]);
        }
    }
    weft_group_open(&sending, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct member){crowd, i};
        weft_group_spawn_with(&sending, crowd_send, &senders[i],
                              &(weft_task_options){.on = WEFT_ON((i + 1) % n)});
    }
    int rc = weft_group_close(&sending);
    weft_broadcast_close(crowd->broadcast);
    int closed = weft_group_close(&reading);
    return rc < 0 ? rc : closed;
}

static void
crowd_check(const struct crowd *crowd)
{
    uint64_t sent = 0;
    for (int i = 0; i < SENDERS; i++)
        sent += crowd->sent[i];
    cr_assert(crowd->wrong == 0);
    for (int i = 0; i < READERS; i++)
        cr_assert(crowd->left[i] ? crowd->got[i] + crowd->missed[i] <= sent
                                 : crowd->got[i] + crowd->missed[i] == sent,
                  "reader %d: %u and %u missed of %u", i, (unsigned)crowd->got[i],
                  (unsigned)crowd->missed[i], (unsigned)sent);
}

static void
crowd_once(void *arg)
{
    struct crowd *crowd = arg;
    memset(crowd->sent, 0, sizeof crowd->sent);
    memset(crowd->got, 0, sizeof crowd->got);
    memset(crowd->missed, 0, sizeof crowd->missed);
    memset(crowd->left, 0, sizeof crowd->left);
    if (weft_broadcast_new(&crowd->broadcast, sizeof(uint64_t),
                           &(weft_broadcast_options){.capacity = 2, .lag = crowd->lag}) < 0)
        return;
    int rc = weft_run(crowd_main, crowd, &crowd->options);
    /* One who was cancelled before it began has not ended its subscription. */
    if (rc == 0)
        crowd_check(crowd);
    cr_assert(crowd->wrong == 0);
    weft_broadcast_free(crowd->broadcast);
}

Test(broadcast, is_right_in_any_order)
{
    for (uint64_t seed = 1; seed <= 100 / T_SLOW; seed++) {
        struct crowd crowd = {.each = 6,
                              .lag = seed % 2 == 0 ? WEFT_LAG_WAITS : WEFT_LAG_DROPS,
                              .options = {.loops = 3,
                                          .seed = seed,
                                          .clock = WEFT_CLOCK_VIRTUAL,
                                          .signals = WEFT_SIGNALS_NONE}};
        weft__buggify_seed(seed % 4 < 2 ? seed : 0);
        crowd_once(&crowd);
    }
    weft__buggify_seed(0);
}

/* Sends and receives in one task, with each wait ended once: what was not sent is received by
 * nobody, and what was is received by all. */
static int
ended_main(void *arg)
{
    struct crowd *crowd = arg;
    struct member senders[SENDERS] = {{crowd, 0}, {crowd, 1}};
    weft_subscription *subscription = &crowd->subscriptions[0];
    T_OK(weft_broadcast_subscribe(crowd->broadcast, subscription));
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < SENDERS; i++)
        weft_group_spawn_with(&group, crowd_send, &senders[i],
                              &(weft_task_options){.on = WEFT_ON(i % (int)weft_loop_count())});
    uint64_t next[SENDERS] = {0}, item, missed;
    int rc = 0;
    weft_scope scope; /* there may be nobody who sends */
    weft_scope_open(&scope, weft_now() + WEFT_SEC(1));
    for (int i = 0; i < 4 && rc == 0; i++) {
        rc = weft_subscription_recv(subscription, &item, &missed);
        if (rc == 0)
            crowd_note(crowd, 0, next, item, missed);
    }
    weft_ignore(weft_scope_close(&scope));
    weft_group_cancel(&group);
    int closed = weft_group_close(&group);
    while (weft_subscription_try_recv(subscription, &item, &missed) == 0)
        crowd_note(crowd, 0, next, item, missed);
    weft_unsubscribe(subscription);
    for (int i = 1; i < READERS; i++)
        crowd->left[i] = 1;
    crowd_check(crowd);
    return rc < 0 ? rc : closed;
}

static void
ended_once(void *arg)
{
    struct crowd *crowd = arg;
    memset(crowd->sent, 0, sizeof crowd->sent);
    memset(crowd->got, 0, sizeof crowd->got);
    memset(crowd->missed, 0, sizeof crowd->missed);
    if (weft_broadcast_new(&crowd->broadcast, sizeof(uint64_t),
                           &(weft_broadcast_options){.capacity = 1, .lag = crowd->lag}) < 0)
        return;
    weft_ignore(weft_run(ended_main, crowd, &crowd->options));
    weft_broadcast_free(crowd->broadcast);
}

Test(broadcast, loses_and_doubles_nothing_whatever_is_ended)
{
    t_log_begin();
    for (unsigned loops = 1; loops <= 3; loops += 2) {
        for (int drops = 0; drops < 2; drops++) {
            struct crowd crowd = {.each = 5,
                                  .lag = drops ? WEFT_LAG_DROPS : WEFT_LAG_WAITS,
                                  .options = {.loops = loops,
                                              .seed = loops == 1 ? 0 : 3,
                                              .clock = WEFT_CLOCK_VIRTUAL,
                                              .signals = WEFT_SIGNALS_NONE}};
            for (int i = 0; i < 6; i++)
                t_torture_run(&(struct t_torture){.kind = i / 2 == 0   ? WEFT__TORTURE_CANCEL
                                                          : i / 2 == 1 ? WEFT__TORTURE_DEADLINE
                                                                       : WEFT__TORTURE_ALLOC,
                                                  .from_on = i % 2 != 0,
                                                  .max = T_SLOW > 1 ? 60 : 0,
                                                  .scenario = ended_once,
                                                  .arg = &crowd});
        }
    }
}

LOOPS_TEST(broadcast, joins_loops_and_threads, 2)
{
    for (int drops = 0; drops < 2; drops++) {
        struct crowd crowd = {.each = 2000 / T_SLOW,
                              .lag = drops ? WEFT_LAG_DROPS : WEFT_LAG_WAITS};
        T_OK(weft_broadcast_new(&crowd.broadcast, sizeof(uint64_t),
                                &(weft_broadcast_options){.capacity = 8, .lag = crowd.lag}));
        struct member members[READERS] = {{&crowd, 0}, {&crowd, 1}, {&crowd, 2}};
        for (int i = 0; i < READERS; i++)
            T_OK(weft_broadcast_subscribe(crowd.broadcast, &crowd.subscriptions[i]));
        pthread_t thread = t_thread(crowd_read_thread, &members[2]);
        weft_task *tasks[4];
        for (int i = 0; i < 2; i++) {
            T_OK(weft_task_spawn(&tasks[i], crowd_send, &members[i],
                                 &(weft_task_options){.on = WEFT_ON(i)}));
            T_OK(weft_task_spawn(&tasks[2 + i], crowd_read, &members[i],
                                 &(weft_task_options){.on = WEFT_ON(i)}));
        }
        for (int i = 0; i < 2; i++)
            T_OK(weft_task_join(tasks[i], NULL));
        weft_broadcast_close(crowd.broadcast);
        for (int i = 2; i < 4; i++)
            T_OK(weft_task_join(tasks[i], NULL));
        while (!weft__load(&crowd.done))
            T_OK(weft_sleep(WEFT_MS(1)));
        t_thread_join(thread);
        crowd_check(&crowd);
        weft_broadcast_free(crowd.broadcast);
    }
}
