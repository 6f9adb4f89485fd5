/*
 * test_select.c - exactly one branch happens, whichever comes first, and nothing of the others.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/fd.h>
#include <weft/group.h>
#include <weft/select.h>

#include "base/t_child.h"
#include "flow/t_ledger.h"

TestSuite(select, .timeout = 120);

static weft_chan *
chan_of(size_t capacity)
{
    weft_chan *chan;
    T_OK(weft_chan_new(&chan, sizeof(int), capacity));
    return chan;
}

static void
expect_nobody(weft_chan *chan)
{
    weft_chan_stats stats;
    weft_chan_stats_get(chan, &stats);
    cr_assert(stats.waiting_senders == 0 && stats.waiting_receivers == 0);
}

/* A select in a task of its own. */
struct chooser {
    weft_case cases[4];
    size_t n;
    int chosen;
};

static int
choose(void *arg)
{
    struct chooser *chooser = arg;
    chooser->chosen = weft_select(chooser->cases, chooser->n);
    return chooser->chosen;
}

static weft_task *
start(struct chooser *chooser)
{
    weft_task *task;
    chooser->chosen = -1;
    T_OK(weft_task_spawn(&task, choose, chooser, NULL));
    T_OK(weft_yield());
    return task;
}

/* ---- What is possible at once ---------------------------------------------------------------- */

TASK_TEST(select, takes_a_branch_that_is_possible)
{
    weft_chan *empty = chan_of(1), *full = chan_of(1);
    int in = 1, out = 2, item = 5;
    T_OK(weft_chan_send(full, &item));
    weft_case recv[] = {weft_case_recv(empty, &in), weft_case_recv(full, &in)};
    cr_assert(weft_select(recv, 2) == 1 && recv[1].result == 0 && in == 5);
    T_OK(weft_chan_send(full, &item));
    weft_case send[] = {weft_case_send(full, &out), weft_case_send(empty, &out)};
    cr_assert(weft_select(send, 2) == 1 && send[1].result == 0);
    T_OK(weft_chan_try_recv(empty, &in));
    cr_assert(in == 2);
    weft_chan_free(empty);
    weft_chan_free(full);
}

TASK_TEST(select, tells_what_is_wrong_with_the_branch_it_took)
{
    weft_chan *closed = chan_of(1), *open = chan_of(0);
    int item = 0;
    weft_chan_close(closed);
    weft_case recv[] = {weft_case_recv(open, &item), weft_case_recv(closed, &item)};
    cr_assert(weft_select(recv, 2) == 1);
    T_ERR(-EPIPE, recv[1].result);
    weft_case send[] = {weft_case_recv(open, &item), weft_case_send(closed, &item)};
    cr_assert(weft_select(send, 2) == 1);
    T_ERR(-EPIPE, send[1].result);
    weft_chan_free(closed);
    weft_chan_free(open);
}

TASK_TEST(select, trying_takes_one_or_none)
{
    weft_chan *chan = chan_of(1);
    weft_future future;
    weft_future_open(&future);
    int item = 3, result = 0;
    weft_case cases[] = {weft_case_recv(chan, &item), weft_case_future(&future, &result),
                         weft_case_until(weft_now() + WEFT_MS(1))};
    T_ERR(-EAGAIN, weft_select_try(cases, 3));
    expect_nobody(chan);
    T_OK(weft_chan_send(chan, &item));
    cr_assert(weft_select_try(cases, 3) == 0);
    T_ERR(-EAGAIN, weft_select_try(cases, 3));
    T_OK(weft_future_set(&future, 9));
    cr_assert(weft_select_try(cases, 3) == 1 && result == 9);
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(weft_select_try(&cases[2], 1) == 0);
    weft_future_close(&future);
    weft_chan_free(chan);
}

TASK_TEST(select, a_branch_without_an_object_is_never_taken)
{
    int item;
    weft_case cases[] = {weft_case_recv(NULL, &item),
                         weft_case_send(NULL, &item),
                         weft_case_future(NULL, &item),
                         weft_case_readable(NULL),
                         weft_case_writable(NULL),
                         weft_case_watch(NULL, NULL, NULL),
                         weft_case_subscription(NULL, &item, NULL),
                         weft_case_until(WEFT_FOREVER),
                         weft_case_until(weft_now() + WEFT_MS(3))};
    T_ERR(-EAGAIN, weft_select_try(cases, 9));
    cr_assert(weft_select(cases, 9) == 8);
}

TASK_TEST(select, refuses_none_and_too_many)
{
    static weft_case cases[WEFT_SELECT_MAX + 1];
    for (size_t i = 0; i < WEFT_SELECT_MAX + 1; i++)
        cases[i] = weft_case_until(0);
    T_ERR(-EINVAL, weft_select(cases, 0));
    T_ERR(-EINVAL, weft_select_try(cases, 0));
    T_ERR(-EINVAL, weft_select(cases, WEFT_SELECT_MAX + 1));
    cr_assert(weft_select(cases, WEFT_SELECT_MAX) >= 0);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

TASK_TEST(select, waits_for_whichever_comes_first)
{
    for (int first = 0; first < 4; first++) {
        weft_chan *in = chan_of(0), *out = chan_of(0), *other = chan_of(1);
        weft_future future;
        weft_future_open(&future);
        int received = 0, sent = 6, never = 0, result = 0, item = 4;
        T_OK(weft_chan_send(other, &item)); /* full: it takes no more */
        struct chooser chooser = {
            .n = 4,
            .cases = {weft_case_recv(in, &received), weft_case_send(out, &sent),
                      weft_case_future(&future, &result), weft_case_send(other, &never)}};
        weft_task *task = start(&chooser);
        cr_assert(chooser.chosen == -1);
        switch (first) {
        case 0:
            T_OK(weft_chan_try_send(in, &item));
            break;
        case 1:
            T_OK(weft_chan_try_recv(out, &item));
            cr_assert(item == 6);
            break;
        case 2:
            T_OK(weft_future_set(&future, 8));
            break;
        case 3:
            T_OK(weft_chan_try_recv(other, &item));
            T_OK(weft_chan_try_recv(other, &never));
            break;
        }
        /* The others find nobody any more. */
        if (first != 0)
            T_ERR(-EAGAIN, weft_chan_try_send(in, &item));
        if (first != 1)
            T_ERR(-EAGAIN, weft_chan_try_recv(out, &item));
        T_OK(weft_task_join(task, NULL));
        cr_assert(chooser.chosen == first && chooser.cases[first].result == 0);
        cr_assert(received == (first == 0 ? 4 : 0) && result == (first == 2 ? 8 : 0));
        expect_nobody(in);
        expect_nobody(out);
        expect_nobody(other);
        weft_future_close(&future);
        weft_chan_free(in);
        weft_chan_free(out);
        weft_chan_free(other);
    }
}

TASK_TEST(select, closing_a_channel_takes_its_branch)
{
    for (int sending = 0; sending < 2; sending++) {
        weft_chan *one = chan_of(0), *two = chan_of(0);
        int item = 1;
        struct chooser chooser = {
            .n = 2,
            .cases = {weft_case_recv(one, &item),
                      sending ? weft_case_send(two, &item) : weft_case_recv(two, &item)}};
        weft_task *task = start(&chooser);
        weft_chan_close(two);
        T_OK(weft_task_join(task, NULL));
        cr_assert(chooser.chosen == 1);
        T_ERR(-EPIPE, chooser.cases[1].result);
        expect_nobody(one);
        weft_chan_free(one);
        weft_chan_free(two);
    }
}

TASK_TEST(select, a_deadline_of_its_own_is_a_branch)
{
    weft_chan *chan = chan_of(0);
    int item = 0;
    weft_time begun = weft_now();
    weft_case cases[] = {weft_case_recv(chan, &item), weft_case_until(begun + WEFT_MS(20)),
                         weft_case_until(begun + WEFT_MS(10))};
    cr_assert(weft_select(cases, 3) == 2 && cases[2].result == 0);
    cr_assert(weft_now() == begun + WEFT_MS(10));
    expect_nobody(chan);
    weft_chan_free(chan);
}

TASK_TEST(select, of_one_that_is_ended_no_branch_was_taken)
{
    weft_chan *in = chan_of(0), *out = chan_of(0);
    weft_future future;
    weft_future_open(&future);
    int item = 2;
    weft_case cases[] = {weft_case_recv(in, &item), weft_case_send(out, &item),
                         weft_case_future(&future, NULL),
                         weft_case_until(weft_now() + WEFT_SEC(1))};
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_select(cases, 4));
    T_ERR(-ETIMEDOUT, weft_select(cases, 4));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    expect_nobody(in);
    expect_nobody(out);
    T_ERR(-EAGAIN, weft_chan_try_send(in, &item));
    T_ERR(-EAGAIN, weft_chan_try_recv(out, &item));
    weft_future_close(&future);
    weft_chan_free(in);
    weft_chan_free(out);
}

TASK_TEST(select, cancellation_is_looked_for_even_when_a_branch_is_possible)
{
    weft_chan *chan = chan_of(1);
    int item = 2;
    T_OK(weft_chan_send(chan, &item));
    weft_case cases[] = {weft_case_recv(chan, &item)};
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_select(cases, 1));
    weft_ignore(weft_scope_close(&scope));
    T_OK(weft_chan_try_recv(chan, &item));
    weft_chan_free(chan);
}

TASK_TEST(select, a_channel_may_be_there_twice)
{
    weft_chan *chan = chan_of(0);
    int items[2] = {0, 0}, item = 7;
    struct chooser chooser = {
        .n = 2, .cases = {weft_case_recv(chan, &items[0]), weft_case_recv(chan, &items[1])}};
    weft_task *task = start(&chooser);
    T_OK(weft_chan_try_send(chan, &item));
    T_ERR(-EAGAIN, weft_chan_try_send(chan, &item));
    T_OK(weft_task_join(task, NULL));
    cr_assert(chooser.chosen >= 0 && items[chooser.chosen] == 7 && items[!chooser.chosen] == 0);
    expect_nobody(chan);
    weft_chan_free(chan);
}

TASK_TEST(select, never_hands_an_item_to_itself)
{
    weft_chan *chan = chan_of(0);
    int in = 0, out = 3, item = 4;
    struct chooser chooser = {.n = 2,
                              .cases = {weft_case_recv(chan, &in), weft_case_send(chan, &out)}};
    weft_task *task = start(&chooser);
    cr_assert(chooser.chosen == -1);
    T_OK(weft_chan_send(chan, &item));
    T_OK(weft_task_join(task, NULL));
    cr_assert(chooser.chosen == 0 && in == 4);
    task = start(&chooser);
    T_OK(weft_chan_recv(chan, &item));
    T_OK(weft_task_join(task, NULL));
    cr_assert(chooser.chosen == 1 && item == 3);
    expect_nobody(chan);
    weft_chan_free(chan);
}

TASK_TEST(select, two_that_face_each_other_meet_on_one_channel)
{
    for (int round = 0; round < 20; round++) {
        weft_chan *a = chan_of(0), *b = chan_of(0);
        int out[2] = {1, 2}, in[2] = {0, 0};
        struct chooser one = {.n = 2,
                              .cases = {weft_case_send(a, &out[0]), weft_case_recv(b, &in[0])}};
        struct chooser two = {.n = 2,
                              .cases = {weft_case_send(b, &out[1]), weft_case_recv(a, &in[1])}};
        weft_task *tasks[] = {start(&one), start(&two)};
        T_OK(weft_task_join(tasks[0], NULL));
        T_OK(weft_task_join(tasks[1], NULL));
        cr_assert((one.chosen == 0 && two.chosen == 1 && in[1] == 1 && in[0] == 0) ||
                  (one.chosen == 1 && two.chosen == 0 && in[0] == 2 && in[1] == 0));
        expect_nobody(a);
        expect_nobody(b);
        weft_chan_free(a);
        weft_chan_free(b);
    }
}

TASK_TEST(select, cases_can_be_used_again)
{
    weft_chan *chan = chan_of(0);
    int item = -1;
    struct chooser chooser = {
        .n = 2, .cases = {weft_case_recv(chan, &item), weft_case_until(weft_now() + WEFT_SEC(5))}};
    for (int i = 0; i < 10; i++) {
        weft_task *task = start(&chooser);
        T_OK(weft_chan_send(chan, &i));
        T_OK(weft_task_join(task, NULL));
        cr_assert(chooser.chosen == 0 && item == i);
    }
    weft_chan_free(chan);
}

/* ---- Fairness -------------------------------------------------------------------------------- */

static int
count_choices(void *arg)
{
    uint32_t *trace = arg;
    weft_chan *chans[3];
    weft_case cases[3];
    int counts[3] = {0}, item = 0;
    for (int i = 0; i < 3; i++) {
        chans[i] = chan_of(1);
        T_OK(weft_chan_send(chans[i], &item));
        cases[i] = weft_case_recv(chans[i], &item);
    }
    for (int i = 0; i < 900; i++) {
        int chosen = weft_select(cases, 3);
        cr_assert(chosen >= 0);
        counts[chosen]++;
        *trace = *trace * 31 + (uint32_t)chosen;
        T_OK(weft_chan_send(chans[chosen], &item));
    }
    for (int i = 0; i < 3; i++) {
        cr_assert(counts[i] > 200, "branch %d was taken %d times of 900", i, counts[i]);
        weft_chan_free(chans[i]);
    }
    return 0;
}

Test(select, takes_each_possible_branch_as_often_and_by_the_seed)
{
    uint32_t traces[4] = {0};
    t_run_virtual(count_choices, &traces[0], 1, 5);
    t_run_virtual(count_choices, &traces[1], 1, 5);
    t_run_virtual(count_choices, &traces[2], 1, 6);
    t_run_virtual(count_choices, &traces[3], 1, 0);
    cr_assert(traces[0] == traces[1] && traces[0] != traces[2]);
}

static int
wait_and_read(void *arg)
{
    int rc = choose(arg);
    return rc < 0 ? rc : strcmp(weft_error_text(), "no such page") == 0;
}

TASK_TEST(select, tells_why_a_future_failed)
{
    weft_future future;
    weft_future_open(&future);
    int result = 0;
    struct chooser chooser = {
        .n = 2, .cases = {weft_case_recv(NULL, NULL), weft_case_future(&future, &result)}};
    weft_task *task;
    int told = 0;
    T_OK(weft_task_spawn(&task, wait_and_read, &chooser, NULL));
    T_OK(weft_yield());
    T_OK(weft_future_fail(&future, -ENOENT, "no such page"));
    T_OK(weft_task_join(task, &told));
    cr_assert(told == 1 && result == -ENOENT, "%d", told);

    cr_assert(weft_error_text()[0] == 0);
    cr_assert(weft_select(chooser.cases, 2) == 1);
    cr_assert_str_eq(weft_error_text(), "no such page");
    weft_future_close(&future);
}

/* Beside each other, with others that are not possible around them. */
TASK_TEST(select, what_is_impossible_makes_nothing_else_more_likely)
{
    weft_chan *empty = chan_of(1);
    int counts[WEFT_SELECT_MAX] = {0}, item;
    weft_case cases[WEFT_SELECT_MAX];
    for (int i = 0; i < WEFT_SELECT_MAX; i++)
        cases[i] = i == 20 || i == 21 ? weft_case_until(0) : weft_case_recv(empty, &item);
    for (int i = 0; i < 1000; i++)
        counts[weft_select(cases, WEFT_SELECT_MAX)]++;
    cr_assert(counts[20] > 400 && counts[21] > 400, "%d and %d times of 1000", counts[20],
              counts[21]);
    weft_chan_free(empty);
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

static void
open_pair(weft_fd fds[2])
{
    int raw[2];
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, raw) == 0);
    T_OK(weft_fd_open(&fds[0], raw[0]));
    T_OK(weft_fd_open(&fds[1], raw[1]));
}

static void
descriptors(void)
{
    weft_fd fds[2];
    weft_chan *chan = chan_of(0);
    char byte = 'x';
    int item = 1;
    open_pair(fds);
    weft_case cases[] = {weft_case_recv(chan, &item), weft_case_readable(&fds[0])};
    T_ERR(-EAGAIN, weft_select_try(cases, 2));
    cr_assert(weft_fd_write(&fds[1], &byte, 1) == 1);
    cr_assert(weft_select(cases, 2) == 1 && cases[1].result == 0);
    cr_assert(weft_fd_read(&fds[0], &byte, 1) == 1);
    weft_case writable[] = {weft_case_readable(&fds[0]), weft_case_writable(&fds[0])};
    cr_assert(weft_select(writable, 2) == 1);

    /* Ended by a channel, the descriptor is free for the next. */
    struct chooser chooser = {.n = 2, .cases = {cases[0], cases[1]}};
    weft_task *task = start(&chooser);
    T_ERR(-EBUSY, weft_fd_wait_readable(&fds[0]));
    T_OK(weft_chan_send(chan, &item));
    T_OK(weft_task_join(task, NULL));
    cr_assert(chooser.chosen == 0);

    /* Ended by the descriptor. */
    task = start(&chooser);
    cr_assert(weft_fd_write(&fds[1], &byte, 1) == 1);
    T_OK(weft_task_join(task, NULL));
    cr_assert(chooser.chosen == 1 && chooser.cases[1].result == 0);
    cr_assert(weft_fd_read(&fds[0], &byte, 1) == 1);

    /* Ended by neither. */
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(2));
    T_ERR(-ETIMEDOUT, weft_select(cases, 2));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));

    /* Closed meanwhile, and before. */
    task = start(&chooser);
    weft_fd_close(&fds[0]);
    T_OK(weft_task_join(task, NULL));
    cr_assert(chooser.chosen == 1);
    T_ERR(-EBADF, chooser.cases[1].result);
    cr_assert(weft_select(cases, 2) == 1);
    T_ERR(-EBADF, cases[1].result);
    weft_fd_close(&fds[1]);
    expect_nobody(chan);
    weft_chan_free(chan);
}

TASK_TEST(select, a_descriptor_may_be_a_branch)
{
    descriptors();
}

LOOPS_TEST(select, a_descriptor_may_be_a_branch_on_real_loops, 2)
{
    descriptors();
}

TASK_TEST(select, a_descriptor_in_two_branches_is_busy)
{
    weft_fd fds[2];
    open_pair(fds);
    weft_case cases[] = {weft_case_readable(&fds[0]), weft_case_readable(&fds[0])};
    cr_assert(weft_select(cases, 2) == 1);
    T_ERR(-EBUSY, cases[1].result);
    cases[1] = weft_case_until(weft_now() + WEFT_MS(1));
    cr_assert(weft_select(cases, 2) == 1 && cases[1].result == 0);
    weft_fd_close(&fds[0]);
    weft_fd_close(&fds[1]);
}

/* ---- Threads --------------------------------------------------------------------------------- */

struct on_thread {
    weft_chan *in, *out;
    weft_future future;
    uint32_t step; /* atomic */
    int wrong;
};

static void *
select_on_thread(void *arg)
{
    struct on_thread *t = arg;
    int item = 0, answer = 5, result = 0;
    weft_case cases[] = {weft_case_recv(t->in, &item), weft_case_send(t->out, &answer),
                         weft_case_future(&t->future, &result),
                         weft_case_until(weft_now() + WEFT_SEC(50))};
    for (int i = 0; i < 3; i++) {
        int chosen = weft_select(cases, 4);
        if (chosen != i || cases[i].result != 0)
            t->wrong = 1;
        weft__store(&t->step, (uint32_t)i + 1);
    }
    if (item != 1 || result != 7)
        t->wrong = 1;
    cases[0] = weft_case_until(weft_now() + WEFT_MS(3));
    weft_time begun = weft_now();
    if (weft_select(cases, 2) != 0 || weft_now() < begun + WEFT_MS(3))
        t->wrong = 1;
    weft__store(&t->step, 4);
    return NULL;
}

static void
reach(struct on_thread *t, uint32_t step)
{
    while (weft__load(&t->step) < step)
        T_OK(weft_sleep(WEFT_MS(1)));
}

LOOPS_TEST(select, works_on_plain_threads, 1)
{
    struct on_thread t = {.in = chan_of(0), .out = chan_of(0)};
    int item = 1;
    weft_future_open(&t.future);
    pthread_t thread = t_thread(select_on_thread, &t);
    T_OK(weft_chan_send(t.in, &item));
    reach(&t, 1);
    T_OK(weft_chan_recv(t.out, &item));
    cr_assert(item == 5);
    reach(&t, 2);
    T_OK(weft_future_set(&t.future, 7));
    reach(&t, 4);
    t_thread_join(thread);
    cr_assert(!t.wrong);
    weft_future_close(&t.future);
    expect_nobody(t.in);
    weft_chan_free(t.in);
    weft_chan_free(t.out);
}

static int
select_here(void *arg)
{
    struct on_thread *t = arg;
    weft_fd fds[2];
    int item = 0;
    char byte = 'a';
    open_pair(fds);
    weft_case cases[] = {weft_case_readable(&fds[0]), weft_case_recv(t->in, &item)};
    /* Neither of the two must be deaf while it waits for the other. */
    int first = weft_select(cases, 2);
    cr_assert(weft_fd_write(&fds[1], &byte, 1) == 1);
    weft__store(&t->step, 1);
    int second = weft_select(cases, 2);
    weft_fd_close(&fds[0]);
    weft_fd_close(&fds[1]);
    return first == 1 && item == 3 && second == 0 ? 0 : -EBADMSG;
}

static void *
send_to_here(void *arg)
{
    struct on_thread *t = arg;
    int item = 3;
    usleep(5000);
    t->wrong = weft_chan_send(t->in, &item);
    return NULL;
}

Test(select, a_lone_task_hears_both_a_descriptor_and_a_channel)
{
    struct on_thread t = {.in = chan_of(0)};
    pthread_t thread = t_thread(send_to_here, &t);
    T_OK(weft_run_here(select_here, &t));
    t_thread_join(thread);
    cr_assert(!t.wrong);
    weft_chan_free(t.in);
}

static void
select_a_descriptor_on_a_thread(void)
{
    weft_fd fd = {{0}};
    int raw[2];
    if (pipe(raw) != 0)
        return;
    memset(&fd, 1, sizeof fd); /* open, as far as anyone here can tell */
    weft_case cases[] = {weft_case_readable(&fd)};
    weft_ignore(weft_select(cases, 1));
}

Test(select, broken_promises_abort_with_a_sentence)
{
    char text[512];
    int status = t_child_run(select_a_descriptor_on_a_thread, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && strstr(text, "on another loop") != NULL, "%s", text);
}

/* ---- Nobody is forgotten --------------------------------------------------------------------- */

#define ROUND 400

/* Nothing but the other end ever ends these waits: one that is lost stays lost. */
struct line {
    weft_chan *chans[2];
    uint32_t wrong;
};

static int
select_to_send(void *arg)
{
    struct line *line = arg;
    for (int i = 0; i < ROUND; i++) {
        weft_case cases[] = {weft_case_send(line->chans[0], &i),
                             weft_case_send(line->chans[1], &i)};
        int chosen = weft_select(cases, 2);
        if (chosen < 0 || cases[chosen].result != 0)
            weft__fetch_add(&line->wrong, 1);
    }
    return 0;
}

static int
select_to_receive(void *arg)
{
    struct line *line = arg;
    int item = -1;
    weft_case cases[] = {weft_case_recv(line->chans[0], &item),
                         weft_case_recv(line->chans[1], &item)};
    for (int i = 0; i < ROUND; i++) {
        int chosen = weft_select(cases, 2);
        if (chosen < 0 || cases[chosen].result != 0 || item < 0 || item >= ROUND)
            weft__fetch_add(&line->wrong, 1);
    }
    return 0;
}

static int
select_at_both_ends(void *arg)
{
    struct line line = {.chans = {chan_of((size_t)(intptr_t)arg), chan_of((size_t)(intptr_t)arg)}};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 2; i++) {
        weft_group_spawn_with(&group, select_to_send, &line,
                              &(weft_task_options){.on = WEFT_ON(i)});
        weft_group_spawn_with(&group, select_to_receive, &line,
                              &(weft_task_options){.on = WEFT_ON(!i)});
    }
    int rc = weft_group_close(&group);
    cr_assert(line.wrong == 0);
    for (int i = 0; i < 2; i++)
        weft_chan_free(line.chans[i]);
    return rc;
}

Test(select, forgets_nobody_in_any_order)
{
    for (uint64_t seed = 1; seed <= 20 / T_SLOW; seed++)
        t_run_virtual(select_at_both_ends, T_NUMBER(seed % 2), 2, seed);
}

Test(select, forgets_nobody_on_real_loops)
{
    for (int i = 0; i < 20 / T_SLOW; i++)
        t_run_loops(select_at_both_ends, T_NUMBER(i % 2), 2);
}

/* ---- Torture --------------------------------------------------------------------------------- */

/* Each round sends on one channel or receives from the other, whichever comes first; half of the
 * parties face the other half. */
static int
trade(struct t_exchange *exchange, int facing)
{
    weft__fetch_add(&exchange->alive, 1);
    int rc = 0;
    for (int i = 0; i < 6 && rc >= 0; i++) {
        uint64_t in, out = t_ledger_item(exchange->ledger);
        weft_case cases[] = {weft_case_send(exchange->chans[facing], &out),
                             weft_case_recv(exchange->chans[!facing], &in),
                             weft_case_until(weft_now() + WEFT_MS(2)),
                             weft_case_recv(exchange->chans[!facing], &in)};
        rc = weft_select(cases, 4);
        if (rc == 0 && cases[0].result == 0)
            t_ledger_sent(exchange->ledger, out);
        if ((rc == 1 || rc == 3) && cases[rc].result == 0)
            t_ledger_got(exchange->ledger, in);
    }
    weft__fetch_sub(&exchange->alive, 1);
    return rc < 0 ? rc : 0;
}

static int
trade_one_way(void *arg)
{
    return trade(arg, 0);
}

static int
trade_the_other_way(void *arg)
{
    return trade(arg, 1);
}

static int
plain_sender(void *arg)
{
    struct t_exchange *exchange = arg;
    weft__fetch_add(&exchange->alive, 1);
    int rc = 0;
    for (int i = 0; i < 4 && rc == 0; i++) {
        uint64_t item = t_ledger_item(exchange->ledger);
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_MS(1));
        rc = weft_chan_send(exchange->chans[i % 2], &item);
        if (rc == 0)
            t_ledger_sent(exchange->ledger, item);
        if (weft_scope_close(&scope) == -ETIMEDOUT)
            rc = 0;
    }
    weft__fetch_sub(&exchange->alive, 1);
    return rc;
}

static int
trade_main(void *arg)
{
    struct t_exchange *exchange = arg;
    int n = (int)weft_loop_count();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1, .timeout = WEFT_SEC(1)});
    for (int i = 0; i < 4; i++)
        weft_group_spawn_with(&group, i % 2 == 0 ? trade_one_way : trade_the_other_way, exchange,
                              &(weft_task_options){.on = WEFT_ON(i / 2 % n)});
    weft_group_spawn_with(&group, plain_sender, exchange,
                          &(weft_task_options){.on = WEFT_ON(n - 1)});
    return weft_group_close(&group);
}

Test(select, loses_and_doubles_nothing_whatever_is_ended)
{
    for (size_t capacity = 0; capacity < 2; capacity++)
        t_exchange_torture(trade_main, capacity);
}

Test(select, loses_and_doubles_nothing_in_any_order)
{
    for (size_t capacity = 0; capacity < 2; capacity++)
        t_exchange_seeds(trade_main, capacity);
}
