/*
 * test_rate.c - tokens come at their rate, in turn, and none is taken by who leaves; and events
 * that are close together count as one.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/rate.h>

#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(rate, .timeout = 60);
TestSuite(debounce, .timeout = 60);

TASK_TEST(rate, tokens_come_evenly)
{
    weft_rate rate;
    T_OK(weft_rate_open(&rate, &(weft_rate_options){.tokens = 10}));
    for (int i = 0; i < 25; i++) {
        T_OK(weft_rate_acquire(&rate, 1));
        cr_assert(weft_now() == WEFT_MS(100) * i);
    }
    weft_rate_close(&rate);
}

TASK_TEST(rate, is_exact_where_nanoseconds_are_not)
{
    weft_rate rate;
    T_OK(weft_rate_open(&rate, &(weft_rate_options){.tokens = 7}));
    for (int64_t i = 0; i < 1000; i++) {
        T_OK(weft_rate_acquire(&rate, 1));
        int64_t exact = (i * WEFT_SEC(1) + 6) / 7; /* rounded up */
        cr_assert(weft_now() == exact, "token %lld: %lld", (long long)i, (long long)weft_now());
    }
    weft_rate_close(&rate);
}

TASK_TEST(rate, a_burst_gathers_and_no_more)
{
    weft_rate rate;
    T_OK(weft_rate_open(&rate,
                        &(weft_rate_options){.tokens = 60, .period = WEFT_SEC(60), .burst = 5}));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++)
            T_OK(weft_rate_try_acquire(&rate, 1));
        T_ERR(-EAGAIN, weft_rate_try_acquire(&rate, 1));
        T_OK(weft_rate_acquire(&rate, 3));
        cr_assert(weft_now() == WEFT_SEC(3 + round * 1000));
        T_OK(weft_sleep_until(WEFT_SEC(1000)));
    }
    weft_rate_close(&rate);
}

TASK_TEST(rate, more_than_the_burst_is_refused)
{
    weft_rate rate;
    T_ERR(-EINVAL, weft_rate_open(&rate, &(weft_rate_options){.tokens = 0}));
    T_ERR(-EINVAL, weft_rate_open(&rate, &(weft_rate_options){.tokens = 1, .period = -1}));
    T_ERR(-EINVAL,
          weft_rate_open(&rate, &(weft_rate_options){
                                    .tokens = 1, .period = WEFT_SEC(1000000), .burst = 1000000}));
    T_OK(weft_rate_open(&rate, &(weft_rate_options){.tokens = 10, .burst = 2}));
    T_ERR(-EINVAL, weft_rate_acquire(&rate, 3));
    T_ERR(-EINVAL, weft_rate_try_acquire(&rate, 3));
    T_OK(weft_rate_acquire(&rate, 2));
    T_OK(weft_rate_acquire(&rate, 0));
    cr_assert(weft_now() == 0);
    weft_rate_close(&rate);
}

struct queue {
    weft_rate rate;
    char trail[64];
};

struct place {
    struct queue *queue;
    uint64_t tokens;
    weft_time at;
    char name;
};

static int
get_tokens(void *arg)
{
    struct place *place = arg;
    int rc = weft_rate_acquire(&place->queue->rate, place->tokens);
    if (rc < 0)
        return rc;
    place->at = weft_now();
    strncat(place->queue->trail, &place->name, 1);
    return 0;
}

TASK_TEST(rate, first_come_first_served_whatever_they_ask_for)
{
    static const uint64_t asked[] = {3, 1, 5, 1, 2};
    static const int at[] = {3, 4, 9, 10, 12};
    struct queue queue = {.trail = ""};
    struct place places[5];
    T_OK(weft_rate_open(&queue.rate, &(weft_rate_options){.tokens = 1, .burst = 5}));
    T_OK(weft_rate_acquire(&queue.rate, 5));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 5; i++) {
        places[i] = (struct place){&queue, asked[i], 0, (char)('a' + i)};
        weft_group_spawn(&group, get_tokens, &places[i]);
    }
    T_OK(weft_sleep(WEFT_MS(2500)));
    T_ERR(-EAGAIN, weft_rate_try_acquire(&queue.rate, 1)); /* there are two: nobody overtakes */
    T_OK(weft_group_close(&group));
    cr_assert_str_eq(queue.trail, "abcde");
    for (int i = 0; i < 5; i++)
        cr_assert(places[i].at == WEFT_SEC(at[i]), "%d: %lld", i, (long long)places[i].at);
    weft_rate_close(&queue.rate);
}

TASK_TEST(rate, who_leaves_takes_nothing)
{
    struct queue queue = {.trail = ""};
    struct place places[4];
    weft_task *tasks[4];
    T_OK(weft_rate_open(&queue.rate, &(weft_rate_options){.tokens = 1, .burst = 4}));
    T_OK(weft_rate_acquire(&queue.rate, 4));
    for (int i = 0; i < 4; i++) {
        places[i] = (struct place){&queue, (uint64_t)(4 - i), 0, (char)('a' + i)};
        T_OK(weft_task_spawn(&tasks[i], get_tokens, &places[i], NULL));
    }
    T_OK(weft_sleep(WEFT_MS(3500)));
    weft_task_cancel(tasks[0]); /* whose turn it is, with three tokens there */
    weft_task_cancel(tasks[2]); /* who stands in line */
    for (int i = 0; i < 4; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_ERR(i % 2 == 0 ? -ECANCELED : 0, result);
    }
    cr_assert_str_eq(queue.trail, "bd");
    cr_assert(places[1].at == WEFT_MS(3500) && places[3].at == WEFT_SEC(4));
    T_ERR(-EAGAIN, weft_rate_try_acquire(&queue.rate, 1));
    weft_rate_close(&queue.rate);
}

TASK_TEST(rate, cancellation_is_looked_for_even_when_there_are_tokens)
{
    weft_rate rate;
    weft_scope scope;
    T_OK(weft_rate_open(&rate, &(weft_rate_options){.tokens = 1}));
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_rate_acquire(&rate, 1));
    weft_ignore(weft_scope_close(&scope));
    T_OK(weft_rate_try_acquire(&rate, 1));
    weft_rate_close(&rate);
}

static int
acquire_forever(void *arg)
{
    return weft_rate_acquire(arg, 1);
}

static int
close_while_waiting(void *arg)
{
    (void)arg;
    static weft_rate rate;
    T_OK(weft_rate_open(&rate, &(weft_rate_options){.tokens = 1, .period = WEFT_SEC(1000)}));
    T_OK(weft_rate_acquire(&rate, 1));
    T_OK(weft_task_spawn(NULL, acquire_forever, &rate, NULL));
    T_OK(weft_yield());
    weft_rate_close(&rate);
    return 0;
}

static void
close_while_waiting_run(void)
{
    weft_ignore(weft_run(close_while_waiting, NULL, &(weft_options){.loops = 1}));
}

Test(rate, closing_while_tasks_wait_aborts)
{
    char text[512];
    int status = t_child_run(close_while_waiting_run, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "a rate limiter was closed while tasks wait") != NULL, "%s", text);
}

/* ---- Torture -------------------------------------------------------------------------------- */

static struct queue q;

static int
take_some(void *arg)
{
    intptr_t tokens = (intptr_t)arg;
    int taken = 0;
    for (int i = 0; i < 2; i++) {
        int rc = weft_rate_acquire(&q.rate, (uint64_t)tokens);
        if (rc < 0)
            return rc;
        taken += (int)tokens;
        q.trail[strlen(q.trail)] = (char)('0' + tokens);
    }
    return taken;
}

static int
take_in_a_group(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (intptr_t i = 1; i <= 3; i++)
        weft_group_spawn(&group, take_some, T_NUMBER(i));
    return weft_group_close(&group);
}

/* Whatever ends whom: nobody waits longer than for the tokens that were taken. */
static int
take_and_count(void *arg)
{
    (void)arg;
    weft_scope shield;
    weft_time start = weft_now();
    memset(q.trail, 0, sizeof q.trail);
    T_OK(weft_rate_open(&q.rate, &(weft_rate_options){.tokens = 1, .burst = 4}));
    weft_task *task;
    int rc = weft_task_spawn(&task, take_in_a_group, NULL, NULL);
    if (rc < 0)
        return rc;
    weft_shield_open(&shield, WEFT_FOREVER);
    rc = weft_task_join(task, NULL);
    weft_scope_close(&shield);
    if (rc < 0) {
        weft_task_cancel(task);
        weft_task_close(task);
        return rc;
    }
    int taken = 0;
    for (size_t i = 0; i < strlen(q.trail); i++)
        taken += q.trail[i] - '0';
    cr_assert(taken <= 4 + weft_now() / WEFT_SEC(1), "%s after %lld", q.trail,
              (long long)(weft_now() - start));
    cr_assert(weft_now() - start <= WEFT_SEC(8));
    /* What nobody took is there, and the rest will be in time. */
    weft_scope_open(&shield, WEFT_FOREVER);
    rc = weft_rate_acquire(&q.rate, 4);
    weft_ignore(weft_scope_close(&shield));
    cr_assert(rc < 0 || weft_now() - start <= WEFT_SEC(taken), "%s", q.trail);
    return rc;
}

static void
scenario(void *arg)
{
    (void)arg;
    T_OK(weft_rate_open(&q.rate, &(weft_rate_options){.tokens = 1, .burst = 4}));
    weft_ignore(weft_run(
        take_and_count, NULL,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
    weft_rate_close(&q.rate);
}

Test(rate, leaves_nobody_in_line_wherever_it_is_ended)
{
    for (int from_on = 0; from_on < 2; from_on++)
        for (int kind = WEFT__TORTURE_CANCEL; kind <= WEFT__TORTURE_ALLOC; kind++)
            t_torture_run(&(struct t_torture){
                .kind = (enum weft__torture)kind, .from_on = from_on, .scenario = scenario});
}

/* ---- Debouncing ----------------------------------------------------------------------------- */

static int
hit_at_times(void *arg)
{
    static const int at[] = {10, 20, 25, 100, 500, 520, 540, 560, 580, 600, 620, 640};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        int rc = weft_sleep_until(WEFT_MS(at[i]));
        if (rc < 0)
            return rc;
        weft_debounce_hit(arg);
    }
    return 0;
}

TASK_TEST(debounce, events_close_together_count_as_one)
{
    weft_debounce debounce;
    weft_group group;
    weft_debounce_open(&debounce, WEFT_MS(30), 0);
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, hit_at_times, &debounce);
    T_ERR(3, weft_debounce_wait(&debounce));
    cr_assert(weft_now() == WEFT_MS(55));
    T_ERR(1, weft_debounce_wait(&debounce));
    cr_assert(weft_now() == WEFT_MS(130));
    T_ERR(8, weft_debounce_wait(&debounce));
    cr_assert(weft_now() == WEFT_MS(670));
    T_OK(weft_group_close(&group));
    weft_debounce_close(&debounce);
}

TASK_TEST(debounce, not_longer_than_the_longest)
{
    weft_debounce debounce;
    weft_group group;
    weft_debounce_open(&debounce, WEFT_MS(30), WEFT_MS(70));
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, hit_at_times, &debounce);
    T_OK(weft_sleep_until(WEFT_MS(300)));
    T_ERR(4, weft_debounce_wait(&debounce)); /* they were long over */
    cr_assert(weft_now() == WEFT_MS(300));
    int n = weft_debounce_wait(&debounce);
    cr_assert(n == 4 && weft_now() == WEFT_MS(570), "%d at %lld", n, (long long)weft_now());
    T_OK(weft_group_close(&group));
    weft_debounce_close(&debounce);
}

TASK_TEST(debounce, events_still_count_after_a_wait_that_was_ended)
{
    weft_debounce debounce;
    weft_scope scope;
    weft_debounce_open(&debounce, WEFT_MS(30), 0);
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    T_ERR(-ETIMEDOUT, weft_debounce_wait(&debounce)); /* while there is none */
    weft_ignore(weft_scope_close(&scope));
    weft_debounce_hit(&debounce);
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    T_ERR(-ETIMEDOUT, weft_debounce_wait(&debounce)); /* while it is not quiet yet */
    weft_ignore(weft_scope_close(&scope));
    T_ERR(1, weft_debounce_wait(&debounce));
    cr_assert(weft_now() == WEFT_MS(40));
    weft_debounce_close(&debounce);
}

static int
debounce_twice(void *arg)
{
    weft_debounce debounce;
    (void)arg;
    weft_debounce_open(&debounce, WEFT_MS(30), 0);
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, hit_at_times, &debounce);
    int events = 0, rc = 0;
    while (events < 12 && (rc = weft_debounce_wait(&debounce)) > 0)
        events += rc;
    if (rc < 0)
        weft_group_cancel(&group);
    int closed = weft_group_close(&group);
    weft_debounce_close(&debounce);
    return rc < 0 ? rc : closed;
}

static void
debounce_scenario(void *arg)
{
    (void)arg;
    weft_ignore(weft_run(debounce_twice, NULL,
                         &(weft_options){.loops = 1,
                                         .clock = WEFT_CLOCK_VIRTUAL,
                                         .signals = WEFT_SIGNALS_NONE,
                                         .grace = WEFT_SEC(1)}));
}

Test(debounce, leaves_nobody_in_line_wherever_it_is_ended)
{
    /* A child that is ended alone leaves its parent without events: the parent then waits for
     * ever, until it is ended too. */
    t_torture_run(&(struct t_torture){
        .kind = WEFT__TORTURE_CANCEL, .from_on = true, .scenario = debounce_scenario});
    t_torture_run(&(struct t_torture){
        .kind = WEFT__TORTURE_DEADLINE, .from_on = true, .scenario = debounce_scenario});
}
