/*
 * test_happy.c - attempts that race: when each starts, who wins, what becomes of the others. The
 * attempts are made up, and time is virtual.
 */
#include "io/happy.h"
#include "io/t_io.h"

TestSuite(happy, .timeout = 60);

#define MAX 8

/* What attempt i does: succeeds or fails after a time; and when it was seen to. */
struct plan {
    weft_time after[MAX];
    int rc[MAX];
    weft_time started[MAX]; /* -1: never */
    int ended[MAX];         /* what its wait gave */
    int discarded;          /* how many were */
    struct weft__attempt attempts[MAX];
    struct weft__happy happy;
    weft_time begin;
};

static int
plan_attempt(void *arg, size_t i)
{
    struct plan *plan = arg;
    plan->started[i] = weft_now() - plan->begin;
    plan->ended[i] = weft_sleep(plan->after[i]);
    return plan->ended[i] < 0 ? plan->ended[i] : plan->rc[i];
}

static void
plan_discard(void *arg, int got)
{
    struct plan *plan = arg;
    cr_assert(got >= 0);
    plan->discarded++;
}

static int
race(struct plan *plan, size_t n)
{
    plan->happy = (struct weft__happy){.n = n,
                                       .attempts = plan->attempts,
                                       .delay = WEFT_MS(250),
                                       .attempt = plan_attempt,
                                       .discard = plan_discard,
                                       .arg = plan};
    for (size_t i = 0; i < MAX; i++)
        plan->started[i] = -1;
    plan->begin = weft_now();
    return weft__happy_race(&plan->happy);
}

TASK_TEST(happy, the_first_wins_before_the_second_starts)
{
    struct plan plan = {.after = {WEFT_MS(249)}, .rc = {7, 8}};
    cr_assert(race(&plan, 2) == 7);
    cr_assert(plan.started[0] == 0 && plan.started[1] == -1);
    cr_assert(weft_now() - plan.begin == WEFT_MS(249) && plan.discarded == 0);
}

TASK_TEST(happy, silent_attempts_are_joined_one_by_one)
{
    struct plan plan = {.after = {WEFT_SEC(9), WEFT_SEC(9), WEFT_SEC(9), WEFT_MS(100)},
                        .rc = {1, 2, 3, 4, 5}};
    cr_assert(race(&plan, 5) == 4);
    for (int i = 0; i < 4; i++)
        cr_assert(plan.started[i] == WEFT_MS(250) * i);
    cr_assert(plan.started[4] == -1);
    cr_assert(weft_now() - plan.begin == WEFT_MS(850)); /* nobody waited for the losers */
    for (int i = 0; i < 3; i++)
        T_ERR(-ECANCELED, plan.ended[i]);
}

TASK_TEST(happy, a_failure_starts_the_next_at_once)
{
    struct plan plan = {.after = {WEFT_MS(30), WEFT_SEC(9), WEFT_MS(10), WEFT_MS(5)},
                        .rc = {-ECONNREFUSED, -EIO, -ENETUNREACH, 6}};
    cr_assert(race(&plan, 4) == 6);
    cr_assert(plan.started[1] == WEFT_MS(30));
    cr_assert(plan.started[2] == WEFT_MS(280));
    cr_assert(plan.started[3] == WEFT_MS(290));
    T_ERR(-ECONNREFUSED, plan.attempts[0].result);
    T_ERR(-ENETUNREACH, plan.attempts[2].result);
}

TASK_TEST(happy, an_earlier_attempt_may_still_win)
{
    struct plan plan = {.after = {WEFT_MS(400), WEFT_SEC(9)}, .rc = {1, 2}};
    cr_assert(race(&plan, 2) == 1);
    T_ERR(-ECANCELED, plan.ended[1]);
}

TASK_TEST(happy, when_all_fail_the_last_says_why)
{
    struct plan plan = {.after = {WEFT_SEC(2), 0, 0},
                        .rc = {-EHOSTUNREACH, -ECONNREFUSED, -EACCES}};
    T_ERR(-EACCES, race(&plan, 3));
    cr_assert(weft_now() - plan.begin == WEFT_SEC(2));
    T_ERR(-EHOSTUNREACH, plan.attempts[0].result);
    T_ERR(-ECONNREFUSED, plan.attempts[1].result);
}

TASK_TEST(happy, two_that_succeed_at_once_leave_one)
{
    struct plan plan = {.after = {WEFT_MS(300), WEFT_MS(50)}, .rc = {1, 2}};
    int won = race(&plan, 2);
    cr_assert(won == 1 || won == 2);
    cr_assert(plan.discarded == (plan.ended[0] == 0 && plan.ended[1] == 0));
}

TASK_TEST(happy, a_deadline_ends_all)
{
    struct plan plan = {.after = {WEFT_SEC(9), WEFT_SEC(9), WEFT_SEC(9)}, .rc = {1, 2, 3}};
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(300));
    T_ERR(-ETIMEDOUT, race(&plan, 3));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    cr_assert(plan.started[1] >= 0 && plan.started[2] == -1);
    T_ERR(-ETIMEDOUT, plan.ended[0]);
    cr_assert(weft_now() - plan.begin == WEFT_MS(300));
}

TASK_TEST(happy, never_is_a_delay_too)
{
    struct plan plan = {.after = {WEFT_SEC(1000)}, .rc = {-EIO, 2}};
    weft_time begin = weft_now();
    plan.begin = begin;
    plan.happy = (struct weft__happy){.n = 2,
                                      .attempts = plan.attempts,
                                      .delay = WEFT_FOREVER,
                                      .attempt = plan_attempt,
                                      .discard = plan_discard,
                                      .arg = &plan};
    cr_assert(weft__happy_race(&plan.happy) == 2);
    cr_assert(plan.started[1] == WEFT_SEC(1000));
}

/* ---- Order ---------------------------------------------------------------------------------- */

/* Families in, "6" or "4"; which address comes when. */
static void
assert_order(const char *families, const char *order)
{
    weft_address addresses[16];
    const weft_address *sorted[16];
    size_t n = strlen(families);
    memset(addresses, 0, sizeof addresses);
    for (size_t i = 0; i < n; i++)
        addresses[i].storage.ss_family = families[i] == '6' ? AF_INET6 : AF_INET;
    weft__happy_order(addresses, n, sorted);
    for (size_t i = 0; i < n; i++)
        cr_assert(sorted[i] - addresses == order[i] - 'a', "%s: place %zu has %c, not %c", families,
                  i, (char)('a' + (sorted[i] - addresses)), order[i]);
}

Test(happy, families_take_turns_version_6_first)
{
    assert_order("4", "a");
    assert_order("46", "ba");
    assert_order("64", "ab");
    assert_order("6644", "acbd");
    assert_order("4466", "cadb");
    assert_order("666", "abc");
    assert_order("4446", "dabc");
    assert_order("66664", "aebcd");
    assert_order("", "");
}

/* ---- Whatever goes wrong -------------------------------------------------------------------- */

static int
torture_main(void *arg)
{
    (void)arg;
    struct plan plan = {.after = {WEFT_MS(30), WEFT_MS(900), WEFT_MS(600), WEFT_MS(300)},
                        .rc = {-ECONNREFUSED, -EIO, 3, 4}};
    int rc = race(&plan, 4);
    cr_assert(rc < 0 || rc == 3 || rc == 4);
    return rc;
}

static void
torture_run(void *arg)
{
    (void)arg;
    weft_options options = {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE};
    weft_ignore(weft_run(torture_main, NULL, &options));
}

Test(happy, whatever_fails_it_ends_and_leaves_nothing)
{
    struct t_torture torture = {.scenario = torture_run};
    for (int from_on = 0; from_on < 2; from_on++) {
        torture.from_on = from_on;
        for (int kind = 0; kind < WEFT__TORTURE_SYSCALL; kind++) {
            torture.kind = (enum weft__torture)kind;
            cr_assert(t_torture_run(&torture) >= 3);
        }
    }
}
