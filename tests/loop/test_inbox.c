/*
 * test_inbox.c - messages keep their order, the bell is rung once per sleep, a ticket is claimed
 * once.
 */
#include <errno.h>

#include "task/t_core.h"
#include "base/mem.h"
#include "loop/loop_priv.h"

TestSuite(inbox, .timeout = 60);
TestSuite(waiter, .timeout = 60);

/* A loop without tasks: it runs messages, and stops when one says so. */

static bool
no_ready(struct weft_loop *loop)
{
    (void)loop;
    return false;
}

static struct weft__clock real_clock;
static struct weft_loop *loop;

static void
open_loop(void)
{
    loop = weft__alloc_lines(sizeof *loop);
    cr_assert(loop != NULL);
    weft__loop_init(loop, 0, &real_clock);
    loop->run_ready = no_ready;
    loop->has_ready = no_ready;
    loop->has_work_elsewhere = no_ready;
}

static void
close_loop(void)
{
    weft__loop_close(loop);
    weft__free_lines(loop);
}

static void
run_loop(void)
{
    loop->stop = false;
    weft__loop_self = loop;
    weft__loop_run(loop);
    weft__loop_self = NULL;
}

struct note {
    struct weft__message message;
    unsigned sender;
    unsigned number;
    bool last;
};

static struct note *seen[100000];
static unsigned n_seen;

static void
note_arrives(struct weft__message *message)
{
    struct note *note = weft__container(message, struct note, message);
    seen[n_seen++] = note;
    if (note->last)
        loop->stop = true;
}

Test(inbox, messages_come_in_the_order_of_posting)
{
    open_loop();
    static struct note notes[100];
    for (unsigned i = 0; i < 100; i++) {
        notes[i] = (struct note){.message.fn = note_arrives, .number = i, .last = i == 99};
        weft__inbox_post(loop, &notes[i].message);
    }
    run_loop();
    cr_assert(n_seen == 100);
    for (unsigned i = 0; i < 100; i++)
        cr_assert(seen[i]->number == i);
    cr_assert(loop->messages == 100);
    close_loop();
}

Test(inbox, one_of_a_burst_rings)
{
    open_loop();
    struct note notes[3] = {{.message.fn = note_arrives},
                            {.message.fn = note_arrives},
                            {.message.fn = note_arrives, .last = true}};
    weft__store(&loop->bell->sleeping, 1);
    weft__inbox_post(loop, &notes[0].message);
    cr_assert(weft__load(&loop->bell->sleeping) == 0);
    /* Awake as far as posters know: nobody else goes to the kernel. */
    weft__inbox_post(loop, &notes[1].message);
    weft__inbox_post(loop, &notes[2].message);
    cr_assert(weft__load(&loop->bell->sleeping) == 0);
    run_loop();
    cr_assert(n_seen == 3);
    close_loop();
}

#define SENDERS 4
#define EACH (20000 / T_SLOW)
static struct note *storm;

static void *
send_storm(void *arg)
{
    unsigned sender = (unsigned)(intptr_t)arg;
    for (unsigned i = 0; i < EACH; i++) {
        struct note *note = &storm[sender * EACH + i];
        *note = (struct note){.message.fn = note_arrives, .sender = sender, .number = i};
        weft__inbox_post(loop, &note->message);
    }
    return NULL;
}

static void
stop_when_all(struct weft__timer *timer)
{
    if (n_seen == SENDERS * EACH)
        loop->stop = true;
    else
        weft__timers_add(&loop->timers, timer, weft__sys_monotonic() + WEFT_MS(1));
}

static void
storm_in_order(void)
{
    storm = calloc(SENDERS * EACH, sizeof *storm);
    cr_assert(storm != NULL);
    pthread_t threads[SENDERS];
    for (intptr_t i = 0; i < SENDERS; i++)
        threads[i] = t_thread(send_storm, T_NUMBER(i));
    struct weft__timer timer = {.fire = stop_when_all};
    weft__timers_add(&loop->timers, &timer, weft__sys_monotonic());
    run_loop();
    for (int i = 0; i < SENDERS; i++)
        t_thread_join(threads[i]);
    unsigned next[SENDERS] = {0};
    for (unsigned i = 0; i < n_seen; i++)
        cr_assert(seen[i]->number == next[seen[i]->sender]++);
    cr_assert(n_seen == SENDERS * EACH);
    free(storm);
}

Test(inbox, each_of_several_threads_keeps_its_order_and_nothing_is_lost)
{
    open_loop();
    storm_in_order();
    close_loop();
}

Test(inbox, the_same_with_poller_and_eventfd)
{
    open_loop();
    T_OK(weft__loop_share(loop));
    storm_in_order();
    close_loop();
}

Test(inbox, the_same_when_turns_take_one_message)
{
    open_loop();
    weft__buggify_seed(11);
    storm_in_order();
    close_loop();
}

Test(inbox, a_seed_mixes_senders_but_not_the_order_of_each)
{
    open_loop();
    loop->random = 99;
    static struct note notes[200];
    bool mixed = false;
    int dummy_senders[2];
    for (unsigned i = 0; i < 200; i++) {
        notes[i] = (struct note){
            .message.fn = note_arrives, .sender = i % 2, .number = i / 2, .last = false};
        weft__inbox_post(loop, &notes[i].message);
        notes[i].message.from = &dummy_senders[i % 2];
    }
    weft__loop_self = loop;
    while (weft__inbox_run(loop))
        continue;
    weft__loop_self = NULL;
    unsigned next[2] = {0, 0};
    cr_assert(n_seen == 200);
    for (unsigned i = 0; i < 200; i++) {
        mixed |= seen[i] != &notes[i];
        cr_assert(seen[i]->number == next[seen[i]->sender]++);
    }
    cr_assert(mixed);
    close_loop();
}

static void *
post_late(void *arg)
{
    while (!weft__load(&loop->bell->sleeping))
        sched_yield();
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    weft__inbox_post(loop, arg);
    return NULL;
}

static void
sleeper_is_woken(void)
{
    struct note note = {.message.fn = note_arrives, .last = true};
    pthread_t thread = t_thread(post_late, &note.message);
    run_loop(); /* would sleep for ever */
    t_thread_join(thread);
    cr_assert(n_seen == 1 && loop->sleeps >= 1);
}

Test(inbox, a_loop_asleep_on_the_futex_is_woken)
{
    open_loop();
    sleeper_is_woken();
    close_loop();
}

Test(inbox, a_loop_asleep_in_the_poller_is_woken)
{
    open_loop();
    T_OK(weft__loop_share(loop));
    sleeper_is_woken();
    close_loop();
}

/* A poster that is held up between its push and its look at the bell. */

static uint32_t in_between, go_on, quiesced;

static void
hold_up(enum weft__point point)
{
    if (point != WEFT__POINT_INBOX_PUSHED)
        return;
    weft__store(&in_between, 1);
    while (!weft__load(&go_on))
        sched_yield();
}

static void *
post_slowly(void *arg)
{
    weft__inbox_post(loop, arg);
    return NULL;
}

static void *
close_quickly(void *arg)
{
    weft__threads_quiesce(arg);
    weft__store(&quiesced, 1);
    return NULL;
}

Test(inbox, a_loop_stays_until_its_posters_have_left)
{
    open_loop();
    struct note note = {.message.fn = note_arrives};
    weft__store(&weft__point_hook, hold_up);
    pthread_t poster = t_thread(post_slowly, &note.message);
    while (!weft__load(&in_between))
        sched_yield();
    pthread_t closer = t_thread(close_quickly, loop);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    bool early = weft__load(&quiesced);
    weft__store(&go_on, 1);
    t_thread_join(poster);
    t_thread_join(closer);
    weft__store(&weft__point_hook, NULL);
    cr_assert(!early && weft__load(&quiesced));
    close_loop();
}

static void
count_call(void *arg)
{
    ++*(unsigned *)arg;
}

Test(inbox, a_closing_loop_refuses_what_users_post)
{
    open_loop();
    unsigned calls = 0;
    T_OK(weft_loop_post(loop, count_call, &calls));
    weft__store(&loop->refuses, 1);
    for (int i = 0; i < 200; i++)
        T_ERR(-ESHUTDOWN, weft_loop_post(loop, count_call, &calls));
    weft__loop_self = loop;
    weft__inbox_run(loop);
    weft__loop_self = NULL;
    cr_assert(calls == 1);
    close_loop();
}

Test(inbox, a_post_without_memory_says_so)
{
    open_loop();
    unsigned calls = 0;
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, 0);
    int rc = weft_loop_post(loop, count_call, &calls);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, rc);
    T_OK(weft_loop_post(loop, count_call, &calls));
    weft__loop_self = loop;
    weft__inbox_run(loop);
    weft__loop_self = NULL;
    cr_assert(calls == 1);
    close_loop();
}

static void
post_again(void *arg)
{
    unsigned *left = arg;
    if (--*left > 0)
        T_OK(weft_loop_post(loop, post_again, left));
    else
        loop->stop = true;
}

Test(inbox, a_posted_function_may_post)
{
    open_loop();
    unsigned left = 1000;
    T_OK(weft_loop_post(loop, post_again, &left));
    run_loop();
    cr_assert(left == 0);
    close_loop();
}

/* Tickets. */

static unsigned resumed;

static void
count_resume(struct weft__waiter *waiter)
{
    (void)waiter;
    resumed++;
}

Test(waiter, a_ticket_is_claimed_once)
{
    struct weft__waiter waiter = {.resume = count_resume};
    struct weft__ticket ticket = weft__waiter_arm(&waiter, 8);
    cr_assert(weft__claim(ticket));
    cr_assert(!weft__claim(ticket));
    cr_assert(!weft__claim_local(ticket));
}

Test(waiter, an_old_ticket_claims_nothing)
{
    struct weft__waiter waiter = {.resume = count_resume};
    struct weft__ticket old = weft__waiter_arm(&waiter, 8);
    cr_assert(weft__claim(old));
    struct weft__ticket new = weft__waiter_arm(&waiter, 12);
    cr_assert(!weft__claim(old));
    cr_assert(!weft__claim_local(old));
    cr_assert(weft__claim(new));
}

static struct weft__waiter contended;
static struct weft__ticket contended_ticket;
static uint32_t round_number, claims, finished;

#define ROUNDS (20000 / T_SLOW)

static void *
claim_rounds(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        while (weft__load(&round_number) != i)
            sched_yield();
        if (weft__claim(contended_ticket))
            weft__fetch_add(&claims, 1);
        weft__fetch_add(&finished, 1);
    }
    return NULL;
}

Test(waiter, of_several_threads_one_claims)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = t_thread(claim_rounds, NULL);
    unsigned wrong = 0;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        contended_ticket = weft__waiter_arm(&contended, (uint64_t)i * WEFT__ID_STEP);
        weft__store(&claims, 0);
        weft__store(&finished, 0);
        weft__store(&round_number, i);
        while (weft__load(&finished) != 2)
            sched_yield();
        wrong += weft__load(&claims) != 1;
    }
    for (int i = 0; i < 2; i++)
        t_thread_join(threads[i]);
    cr_assert(wrong == 0, "%u of %u", wrong, ROUNDS);
}

Test(waiter, delivering_on_the_own_loop_resumes_at_once)
{
    open_loop();
    struct weft__waiter waiter = {.resume = count_resume, .loop = loop};
    struct weft__ticket ticket = weft__waiter_arm(&waiter, 8);
    weft__loop_self = loop;
    cr_assert(weft__wake(ticket, -5));
    weft__loop_self = NULL;
    cr_assert(resumed == 1 && waiter.result == -5);
    close_loop();
}

static void
resume_by_message(struct weft__message *message)
{
    struct weft__waiter *waiter = (struct weft__waiter *)(void *)message;
    waiter->resume(waiter);
}

Test(waiter, delivering_from_elsewhere_takes_a_message)
{
    open_loop();
    struct weft__waiter waiter = {
        .resume = count_resume, .loop = loop, .message.fn = resume_by_message};
    struct weft__ticket ticket = weft__waiter_arm(&waiter, 8);
    cr_assert(weft__wake(ticket, 7));
    cr_assert(resumed == 0);
    weft__loop_self = loop;
    weft__inbox_run(loop);
    weft__loop_self = NULL;
    cr_assert(resumed == 1 && waiter.result == 7);
    close_loop();
}

Test(waiter, ids_of_loops_and_threads_differ)
{
    uint64_t a = weft__id_space(), b = weft__id_space();
    cr_assert(a != b && (a & 0xffffffffffff) == 0 && (b & 0xffffffffffff) == 0);
}
