/*
 * test_loop.c - loops as users see them: posting, calling, callbacks at a time, the event_base,
 * what is counted.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <weft/future.h>

#include "task/t_core.h"
#include "base/t_child.h"
#include "loop/loop_priv.h"

TestSuite(loop, .timeout = 60);

Test(loop, outside_there_is_none)
{
    cr_assert(weft_loop_current() == NULL);
    cr_assert(weft_loop_count() == 0);
    cr_assert(weft_loop_at(0) == NULL);
    cr_assert(weft_loop_base() == NULL);
    cr_assert(weft_now() > 0);
}

static int
tell_index(void *arg)
{
    (void)arg;
    return (int)weft_loop_index(weft_loop_current());
}

LOOPS_TEST(loop, they_are_numbered_from_the_callers, 3)
{
    cr_assert(weft_loop_count() == 3);
    cr_assert(weft_loop_current() == weft_loop_at(0));
    cr_assert(weft_loop_at(3) == NULL);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(weft_loop_index(weft_loop_at(i)) == i);
        T_ERR(i, weft_loop_call(weft_loop_at(i), tell_index, NULL));
    }
}

/* ---- Posting -------------------------------------------------------------------------------- */

struct order {
    weft_loop *loop;
    weft_future all;
    unsigned next; /* by the loop alone */
    unsigned wrong;
    unsigned n;
    int refused;
};

struct step {
    struct order *order;
    unsigned number;
};

static void
take_step(void *arg)
{
    struct step *step = arg;
    struct order *order = step->order;
    order->wrong += step->number != order->next;
    if (++order->next == order->n)
        weft_future_set(&order->all, 0);
    free(step);
}

static void *
post_steps(void *arg)
{
    struct order *order = arg;
    for (unsigned i = 0; i < order->n; i++) {
        struct step *step = malloc(sizeof *step);
        *step = (struct step){order, i};
        if (weft_loop_post(order->loop, take_step, step) < 0)
            order->refused++;
    }
    return NULL;
}

static void
posts_keep_order(weft_loop *loop)
{
    struct order order = {.loop = loop, .n = 5000 / T_SLOW};
    weft_future_open(&order.all);
    pthread_t thread = t_thread(post_steps, &order);
    T_OK(weft_future_wait(&order.all, NULL));
    weft_future_close(&order.all);
    t_thread_join(thread);
    cr_assert(order.wrong == 0 && order.refused == 0 && order.next == order.n);
}

LOOPS_TEST(loop, posts_of_a_thread_are_called_in_order, 1)
{
    posts_keep_order(weft_loop_current());
}

LOOPS_TEST(loop, posts_to_another_loop_are_called_in_order, 2)
{
    posts_keep_order(weft_loop_at(1));
}

TASK_TEST(loop, posts_of_a_task_to_its_own_loop_wait_for_it)
{
    struct order order = {.loop = weft_loop_current(), .n = 100};
    weft_future_open(&order.all);
    post_steps(&order);
    cr_assert(order.next == 0);
    T_OK(weft_future_wait(&order.all, NULL));
    cr_assert(order.wrong == 0);
    weft_future_close(&order.all);
}

static unsigned calls;

static void
count_call(void *arg)
{
    (void)arg;
    calls++;
}

static int
post_and_return(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        T_OK(weft_loop_post(weft_loop_at(i % 2), count_call, NULL));
    return 0;
}

static uint32_t atomic_calls;

static void
count_call_atomic(void *arg)
{
    (void)arg;
    weft__fetch_add(&atomic_calls, 1);
}

static int
post_everywhere_and_return(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 100; i++)
        T_OK(weft_loop_post(weft_loop_at(i % 2), count_call_atomic, NULL));
    return 0;
}

Test(loop, what_was_accepted_is_called_even_when_the_runtime_ends)
{
    t_run_loops(post_everywhere_and_return, NULL, 2);
    cr_assert(weft__load(&atomic_calls) == 100);
    t_run_virtual(post_and_return, NULL, 2, 0);
    cr_assert(calls == 100);
}

static void
spawn_from_callback(void *arg)
{
    weft_task **ret_task = arg;
    T_OK(weft_task_spawn(ret_task, t_give, T_NUMBER(5), NULL));
}

TASK_TEST(loop, a_posted_function_may_spawn)
{
    weft_task *task = NULL;
    T_OK(weft_loop_post(weft_loop_current(), spawn_from_callback, &task));
    while (task == NULL)
        T_OK(weft_yield());
    int result;
    T_OK(weft_task_join(task, &result));
    cr_assert(result == 5);
}

static void
wait_in_callback(void *arg)
{
    (void)arg;
    weft_ignore(weft_sleep(WEFT_MS(1)));
}

static int
post_a_waiter(void *arg)
{
    (void)arg;
    weft_loop_post(weft_loop_current(), wait_in_callback, NULL);
    return weft_sleep(WEFT_SEC(1));
}

static void
run_a_waiting_callback(void)
{
    weft_ignore(weft_run(post_a_waiter, NULL, &(weft_options){.loops = 1}));
}

Test(loop, a_callback_that_waits_is_a_broken_promise)
{
    char text[2048];
    int status = t_child_run(run_a_waiting_callback, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d: %s", status, text);
    cr_assert(strstr(text, "must not wait") != NULL, "%s", text);
}

/* ---- Calling -------------------------------------------------------------------------------- */

struct call {
    weft_loop *loop;
    unsigned ran_on;
    int inner; /* what the wait inside returned */
    int result;
    uint32_t began, ended;
};

static int
sleep_there(void *arg)
{
    struct call *call = arg;
    call->ran_on = weft_loop_index(weft_loop_current());
    weft__store(&call->began, 1);
    call->inner = weft_sleep(WEFT_MS(2));
    weft__store(&call->ended, 1);
    return call->inner < 0 ? call->inner : 42;
}

LOOPS_TEST(loop, a_call_runs_there_waits_and_returns_its_result, 2)
{
    struct call call = {0};
    T_ERR(42, weft_loop_call(weft_loop_at(1), sleep_there, &call));
    cr_assert(call.ran_on == 1);
    T_ERR(42, weft_loop_call(weft_loop_at(0), sleep_there, &call));
    cr_assert(call.ran_on == 0);
    T_ERR(-EDOM, weft_loop_call(weft_loop_at(1), t_give, T_NUMBER(-EDOM)));
}

static void *
call_from_thread(void *arg)
{
    struct call *call = arg;
    call->result = weft_loop_call(call->loop, sleep_there, call);
    return NULL;
}

LOOPS_TEST(loop, a_plain_thread_may_call, 2)
{
    struct call calls_[2] = {{.loop = weft_loop_at(0)}, {.loop = weft_loop_at(1)}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = t_thread(call_from_thread, &calls_[i]);
    while (!weft__load(&calls_[0].ended) || !weft__load(&calls_[1].ended))
        T_OK(weft_sleep(WEFT_MS(1)));
    for (int i = 0; i < 2; i++)
        t_thread_join(threads[i]);
    for (unsigned i = 0; i < 2; i++)
        cr_assert(calls_[i].result == 42 && calls_[i].ran_on == i);
}

static int
wait_until_ended(void *arg)
{
    struct call *call = arg;
    weft__store(&call->began, 1);
    call->inner = weft_sleep(WEFT_SEC(30));
    /* Clean-up that takes its time: the caller must not be back before it is over. */
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    call->result = weft_sleep(WEFT_MS(10));
    weft_scope_close(&shield);
    weft__store(&call->ended, 1);
    return 77;
}

/* Lets the deadline pass as soon as the call has begun. */
struct expiry {
    weft_callback callback;
    weft_scope *scope;
    struct call *call;
};

static void
expire_once_begun(void *arg)
{
    struct expiry *expiry = arg;
    if (weft__load(&expiry->call->began))
        weft_scope_set_deadline(expiry->scope, weft_now());
    else
        weft_call_later(&expiry->callback, WEFT_MS(1), expire_once_begun, expiry);
}

static void
call_within_deadline(weft_loop *loop)
{
    struct call call = {0};
    weft_scope soon;
    struct expiry expiry = {.scope = &soon, .call = &call};
    weft_scope_open(&soon, WEFT_FOREVER);
    weft_call_later(&expiry.callback, WEFT_MS(1), expire_once_begun, &expiry);
    T_ERR(-ETIMEDOUT, weft_loop_call(loop, wait_until_ended, &call));
    cr_assert(weft__load(&call.ended));
    T_ERR(-ETIMEDOUT, call.inner);
    T_OK(call.result);
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
}

LOOPS_TEST(loop, a_call_past_its_deadline_is_ended_and_waited_for, 2)
{
    call_within_deadline(weft_loop_at(1));
    call_within_deadline(weft_loop_at(0));
}

static int
call_elsewhere(void *arg)
{
    return weft_loop_call(weft_loop_at(1), wait_until_ended, arg);
}

LOOPS_TEST(loop, a_cancelled_call_is_ended_and_waited_for, 2)
{
    struct call call = {0};
    weft_task *task;
    T_OK(weft_task_spawn(&task, call_elsewhere, &call, NULL));
    while (!weft__load(&call.began))
        T_OK(weft_sleep(WEFT_MS(1)));
    weft_task_cancel(task);
    int result;
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    T_ERR(-ECANCELED, call.inner);
    cr_assert(weft__load(&call.ended));
}

LOOPS_TEST(loop, a_call_in_a_cancelled_scope_never_starts, 2)
{
    struct call call = {0};
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_loop_call(weft_loop_at(1), sleep_there, &call));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    cr_assert(!call.began);
}

struct calls {
    unsigned left;
    unsigned wrong;
};

static int
call_back_and_forth(void *arg)
{
    struct calls *counter = arg;
    for (int i = 0; i < 200 / T_SLOW; i++) {
        int wanted = i % 100;
        if (weft_loop_call(weft_loop_at((unsigned)i % weft_loop_count()), t_give,
                           T_NUMBER(wanted)) != wanted)
            counter->wrong++;
    }
    counter->left--;
    return 0;
}

LOOPS_TEST(loop, many_calls_at_once, 2)
{
    struct calls counter = {.left = 20};
    for (int i = 0; i < 20; i++)
        T_OK(weft_task_spawn(NULL, call_back_and_forth, &counter, NULL));
    while (counter.left > 0)
        T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(counter.wrong == 0);
}

static int call_result, spawn_result;

static void
use_closing_loop(void *arg)
{
    (void)arg;
    spawn_result = weft_task_spawn(NULL, t_give, NULL, NULL);
    call_result = weft_loop_call(weft_loop_current(), t_give, NULL);
}

static int
outlive_main(void *arg)
{
    (void)arg;
    T_OK(weft_defer(use_closing_loop, NULL));
    return weft_sleep(WEFT_FOREVER);
}

static int
leave_one_behind(void *arg)
{
    (void)arg;
    T_OK(weft_task_spawn(NULL, outlive_main, NULL, NULL));
    return weft_yield();
}

Test(loop, a_closing_runtime_refuses_calls_and_spawns)
{
    t_run_virtual(leave_one_behind, NULL, 1, 0);
    T_ERR(-ESHUTDOWN, spawn_result);
    T_ERR(-ESHUTDOWN, call_result);
}

/* ---- Callbacks at a time -------------------------------------------------------------------- */

static char trail[64];

static void
note(void *arg)
{
    strcat(trail, arg);
}

TASK_TEST(loop, soon_is_in_the_order_of_the_calls)
{
    weft_callback a, b, c;
    weft_call_soon(&a, note, "a");
    weft_call_soon(&b, note, "b");
    weft_call_later(&c, 0, note, "c");
    cr_assert_str_eq(trail, "");
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert_str_eq(trail, "abc");
}

static weft_callback again;

static void
note_and_again(void *arg)
{
    strcat(trail, "x");
    if (strlen(trail) < 5)
        weft_call_soon(&again, note_and_again, arg);
}

TASK_TEST(loop, a_callback_may_ask_for_itself_again)
{
    weft_call_soon(&again, note_and_again, NULL);
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert_str_eq(trail, "xxxxx");
}

TASK_TEST(loop, later_is_by_time_and_then_by_order)
{
    weft_callback a, b, c, d;
    weft_time now = weft_now();
    weft_call_at(&a, now + WEFT_MS(3), note, "3");
    weft_call_later(&b, WEFT_MS(1), note, "1");
    weft_call_later(&c, WEFT_MS(2), note, "2");
    weft_call_at(&d, now + WEFT_MS(1), note, "i");
    T_OK(weft_sleep(WEFT_MS(2)));
    cr_assert_str_eq(trail, "1i2");
    T_OK(weft_sleep(WEFT_MS(2)));
    cr_assert_str_eq(trail, "1i23");
}

TASK_TEST(loop, a_time_in_the_past_is_now)
{
    T_OK(weft_sleep(WEFT_MS(5)));
    weft_callback a, b;
    weft_call_at(&a, WEFT_MS(1), note, "a");
    weft_call_later(&b, -5, note, "b");
    T_OK(weft_yield());
    T_OK(weft_sleep(1));
    cr_assert(strlen(trail) == 2);
    cr_assert(weft_now() < WEFT_MS(6));
}

TASK_TEST(loop, a_cancelled_callback_does_not_run)
{
    weft_callback soon, later, at;
    weft_call_soon(&soon, note, "s");
    weft_call_later(&later, WEFT_MS(1), note, "l");
    weft_call_at(&at, WEFT_FOREVER, note, "a");
    cr_assert(weft_callback_cancel(&soon) == 1);
    cr_assert(weft_callback_cancel(&later) == 1);
    cr_assert(weft_callback_cancel(&at) == 1);
    cr_assert(weft_callback_cancel(&later) == 0);
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert_str_eq(trail, "");
}

TASK_TEST(loop, one_that_ran_is_not_cancelled)
{
    weft_callback soon, later;
    weft_call_soon(&soon, note, "s");
    weft_call_later(&later, WEFT_MS(1), note, "l");
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert(weft_callback_cancel(&soon) == 0);
    cr_assert(weft_callback_cancel(&later) == 0);
    weft_call_soon(&soon, note, "t"); /* its memory may be used again */
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert_str_eq(trail, "slt");
}

static void
cancel_other(void *arg)
{
    cr_assert(weft_callback_cancel(arg) == 1);
}

TASK_TEST(loop, a_callback_cancels_another_of_the_same_moment)
{
    weft_callback a, b, c, d;
    weft_call_soon(&a, cancel_other, &b);
    weft_call_soon(&b, note, "b");
    weft_call_at(&c, WEFT_MS(3), cancel_other, &d);
    weft_call_at(&d, WEFT_MS(3), note, "d");
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert_str_eq(trail, "");
}

static void
cancel_task(void *arg)
{
    weft_task_cancel(arg);
}

TASK_TEST(loop, a_callback_cancels_a_task)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_forever, NULL, NULL));
    weft_callback later;
    weft_call_later(&later, WEFT_MS(5), cancel_task, task);
    int result;
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    cr_assert(weft_now() == WEFT_MS(5));
}

static void
note_time(void *arg)
{
    *(weft_time *)arg = weft_now();
}

LOOPS_TEST(loop, callbacks_never_come_early_by_the_real_clock, 1)
{
    weft_callback later;
    weft_time start = weft_now(), came = 0;
    weft_call_later(&later, WEFT_MS(20), note_time, &came);
    while (came == 0)
        T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(came - start >= WEFT_MS(20));
}

/* ---- The event_base ------------------------------------------------------------------------- */

struct foreign {
    weft_future done;
    struct event *timer;
    struct event *pipe;
    int fired;
};

static void
foreign_timer(evutil_socket_t fd, short what, void *arg)
{
    struct foreign *foreign = arg;
    (void)fd;
    (void)what;
    cr_assert(weft_loop_current() != NULL);
    if (++foreign->fired == 3) {
        event_del(foreign->timer);
        weft_future_set(&foreign->done, foreign->fired);
    }
}

static void
use_foreign_timer(void)
{
    struct foreign foreign = {.fired = 0};
    weft_future_open(&foreign.done);
    struct event_base *base = weft_loop_base();
    cr_assert(base != NULL);
    foreign.timer = event_new(base, -1, EV_PERSIST, foreign_timer, &foreign);
    cr_assert(event_add(foreign.timer, &(struct timeval){.tv_usec = 2000}) == 0);
    int result;
    T_OK(weft_future_wait(&foreign.done, &result));
    cr_assert(result == 3);
    event_free(foreign.timer);
    weft_future_close(&foreign.done);
}

LOOPS_TEST(loop, a_libevent_timer_of_the_users_fires, 1)
{
    use_foreign_timer();
}

TASK_TEST(loop, a_libevent_timer_stays_real_beside_the_virtual_clock)
{
    use_foreign_timer();
}

static void
foreign_pipe(evutil_socket_t fd, short what, void *arg)
{
    struct foreign *foreign = arg;
    char byte;
    (void)what;
    cr_assert(read(fd, &byte, 1) == 1);
    weft_future_set(&foreign->done, byte);
}

LOOPS_TEST(loop, a_libevent_descriptor_of_the_users_is_served, 1)
{
    struct foreign foreign = {.fired = 0};
    int fds[2];
    weft_future_open(&foreign.done);
    cr_assert(pipe(fds) == 0);
    foreign.pipe = event_new(weft_loop_base(), fds[0], EV_READ, foreign_pipe, &foreign);
    cr_assert(event_add(foreign.pipe, NULL) == 0);
    T_OK(weft_sleep(WEFT_MS(2)));
    cr_assert(write(fds[1], "k", 1) == 1);
    int result;
    T_OK(weft_future_wait(&foreign.done, &result));
    cr_assert(result == 'k');
    event_free(foreign.pipe);
    close(fds[0]);
    close(fds[1]);
    weft_future_close(&foreign.done);
}

static int
spin_yielding(void *arg)
{
    const bool *stop = arg;
    while (!*stop) {
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

LOOPS_TEST(loop, busy_tasks_do_not_starve_foreign_events, 1)
{
    bool stop = false;
    weft_task *task;
    T_OK(weft_task_spawn(&task, spin_yielding, &stop, NULL));
    use_foreign_timer();
    stop = true;
    T_OK(weft_task_join(task, NULL));
}

/* ---- Counting ------------------------------------------------------------------------------- */

TASK_TEST(loop, stats_count_tasks_timers_and_switches)
{
    weft_loop_stats a, b;
    weft_loop_stats_get(weft_loop_current(), &a);
    cr_assert(a.live == 1 && a.ready == 0);
    weft_task *tasks[10];
    for (int i = 0; i < 10; i++)
        T_OK(weft_task_spawn(&tasks[i], t_sleep_ms, T_NUMBER(5), NULL));
    weft_loop_stats_get(weft_loop_current(), &b);
    cr_assert(b.spawned == a.spawned + 10 && b.live == 11 && b.ready == 10);
    cr_assert(b.stacks >= 11);
    T_OK(weft_sleep(WEFT_MS(1)));
    weft_loop_stats_get(weft_loop_current(), &b);
    cr_assert(b.timers == 10 && b.ready == 0);
    cr_assert(b.switches >= a.switches + 11);
    for (int i = 0; i < 10; i++)
        T_OK(weft_task_join(tasks[i], NULL));
    weft_loop_stats_get(weft_loop_current(), &b);
    cr_assert(b.live == 1 && b.timers == 0 && b.turns > a.turns);
}

LOOPS_TEST(loop, stats_count_messages_sleeps_and_rings, 2)
{
    for (int i = 0; i < 10; i++) {
        T_ERR(3, weft_loop_call(weft_loop_at(1), t_give, T_NUMBER(3)));
        T_OK(weft_sleep(WEFT_MS(2))); /* long enough for the other one to fall asleep */
    }
    weft_loop_stats stats;
    weft_loop_stats_get(weft_loop_at(1), &stats);
    cr_assert(stats.messages >= 10, "%lu", (unsigned long)stats.messages);
    cr_assert(stats.sleeps >= 1, "%lu", (unsigned long)stats.sleeps);
    cr_assert(stats.rings >= 1 && stats.rings <= stats.sleeps, "%lu rings, %lu sleeps",
              (unsigned long)stats.rings, (unsigned long)stats.sleeps);
}

static double
cpu_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

LOOPS_TEST(loop, idle_loops_use_no_cpu, 2)
{
    /* After a burst of messages, when spinning might be thought to pay. */
    for (int i = 0; i < 50; i++)
        T_ERR(3, weft_loop_call(weft_loop_at(1), t_give, T_NUMBER(3)));
    double before = cpu_seconds();
    T_OK(weft_sleep(WEFT_MS(300)));
    double used = cpu_seconds() - before;
    cr_assert(used < 0.02, "%.3f s of 0.3 s", used);
}
