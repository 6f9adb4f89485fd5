/*
 * test_semaphore.c - permits are conserved, handed on in line, and never to the dead.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/sync.h>

#include "task/t_core.h"

TestSuite(semaphore, .timeout = 60);

TASK_TEST(semaphore, as_many_as_there_are_permits)
{
    weft_semaphore sem;
    T_OK(weft_semaphore_open(&sem, 2));
    T_OK(weft_semaphore_acquire(&sem));
    T_OK(weft_semaphore_try_acquire(&sem));
    T_ERR(-EAGAIN, weft_semaphore_try_acquire(&sem));
    weft_semaphore_release(&sem);
    T_OK(weft_semaphore_try_acquire(&sem));
    weft_semaphore_release(&sem);
    weft_semaphore_release(&sem);
    weft_semaphore_close(&sem);
}

Test(semaphore, too_many_permits_are_refused)
{
    weft_semaphore sem;
    T_ERR(-EINVAL, weft_semaphore_open(&sem, UINT32_MAX));
    T_OK(weft_semaphore_open(&sem, UINT32_MAX / 2));
    weft_semaphore_close(&sem);
}

TASK_TEST(semaphore, a_timed_out_waiter_takes_no_permit)
{
    weft_semaphore sem;
    T_OK(weft_semaphore_open(&sem, 1));
    T_OK(weft_semaphore_acquire(&sem));
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_semaphore_acquire(&sem));
    weft_scope_close(&soon);
    weft_semaphore_release(&sem);
    T_OK(weft_semaphore_acquire(&sem));
    weft_semaphore_close(&sem);
}

TASK_TEST(semaphore, cancellation_is_looked_for_even_when_a_permit_is_free)
{
    weft_semaphore sem;
    T_OK(weft_semaphore_open(&sem, 1));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_semaphore_acquire(&sem));
    weft_ignore(weft_scope_close(&scope));
    T_OK(weft_semaphore_try_acquire(&sem));
    weft_semaphore_close(&sem);
}

struct line {
    weft_semaphore sem;
    char trail[64];
};

struct place {
    struct line *line;
    char name[2];
};

static int
stand_in_line(void *arg)
{
    struct place *place = arg;
    int rc = weft_semaphore_acquire(&place->line->sem);
    if (rc < 0)
        return rc;
    strcat(place->line->trail, place->name);
    weft_semaphore_release(&place->line->sem);
    return 0;
}

TASK_TEST(semaphore, first_come_first_served)
{
    struct line line = {.trail = ""};
    struct place places[8];
    weft_group group;
    T_OK(weft_semaphore_open(&line.sem, 0));
    weft_group_open(&group, NULL);
    for (int i = 0; i < 8; i++) {
        places[i] = (struct place){&line, {(char)('a' + i), '\0'}};
        weft_group_spawn(&group, stand_in_line, &places[i]);
    }
    T_OK(weft_yield());
    weft_semaphore_release(&line.sem);
    T_ERR(-EAGAIN, weft_semaphore_try_acquire(&line.sem)); /* nobody is overtaken */
    T_OK(weft_group_close(&group));
    cr_assert_str_eq(line.trail, "abcdefgh");
    weft_semaphore_close(&line.sem);
}

TASK_TEST(semaphore, one_who_leaves_the_line_is_passed_over)
{
    struct line line = {.trail = ""};
    struct place places[5];
    weft_task *tasks[5];
    T_OK(weft_semaphore_open(&line.sem, 0));
    for (int i = 0; i < 5; i++) {
        places[i] = (struct place){&line, {(char)('a' + i), '\0'}};
        T_OK(weft_task_spawn(&tasks[i], stand_in_line, &places[i], NULL));
    }
    T_OK(weft_yield());
    /* Cancelled but still in line: the permit must go to the next one alive. */
    weft_task_cancel(tasks[0]);
    weft_task_cancel(tasks[2]);
    weft_semaphore_release(&line.sem);
    for (int i = 0; i < 5; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        cr_assert(result == (i == 0 || i == 2 ? -ECANCELED : 0), "%d: %d", i, result);
    }
    cr_assert_str_eq(line.trail, "bde");
    T_OK(weft_semaphore_try_acquire(&line.sem));
    weft_semaphore_close(&line.sem);
}

TASK_TEST(semaphore, one_who_was_served_cannot_leave_any_more)
{
    struct line line = {.trail = ""};
    struct place place = {&line, "a"};
    weft_task *task;
    int result;
    T_OK(weft_semaphore_open(&line.sem, 0));
    T_OK(weft_task_spawn(&task, stand_in_line, &place, NULL));
    T_OK(weft_yield());
    weft_semaphore_release(&line.sem);
    weft_task_cancel(task); /* too late: the permit is its own */
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    cr_assert_str_eq(line.trail, "a");
    T_OK(weft_semaphore_try_acquire(&line.sem));
    weft_semaphore_close(&line.sem);
}

TASK_TEST(semaphore, all_in_line_may_leave)
{
    struct line line = {.trail = ""};
    struct place place = {&line, "a"};
    T_OK(weft_semaphore_open(&line.sem, 0));
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(1)});
    for (int i = 0; i < 5; i++)
        weft_group_spawn(&group, stand_in_line, &place);
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
    weft_semaphore_release(&line.sem);
    T_OK(weft_semaphore_try_acquire(&line.sem));
    weft_semaphore_close(&line.sem);
}

/* ---- Exclusion across loops and threads ----------------------------------------------------- */

struct crowd {
    weft_semaphore sem;
    uint32_t inside;
    uint32_t most;
    uint32_t turns;
    uint32_t wrong;
    uint32_t left;
    uint32_t limit;
};

static void
be_inside(struct crowd *crowd)
{
    uint32_t now = weft__fetch_add(&crowd->inside, 1) + 1;
    if (now > crowd->limit)
        weft__fetch_add(&crowd->wrong, 1);
    weft__fetch_add(&crowd->turns, 1);
    weft__fetch_sub(&crowd->inside, 1);
}

#define TURNS (500 / T_SLOW)

static int
go_in_and_out(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < TURNS; i++) {
        int rc = weft_semaphore_acquire(&crowd->sem);
        if (rc < 0)
            return rc;
        be_inside(crowd);
        if (i % 8 == 0)
            rc = weft_yield();
        weft_semaphore_release(&crowd->sem);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void *
go_in_and_out_thread(void *arg)
{
    struct crowd *crowd = arg;
    if (go_in_and_out(crowd) != 0)
        weft__fetch_add(&crowd->wrong, 1);
    weft__fetch_sub(&crowd->left, 1);
    return NULL;
}

static void
crowd_of(uint32_t permits)
{
    struct crowd crowd = {.limit = permits, .left = 2};
    T_OK(weft_semaphore_open(&crowd.sem, permits));
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = t_thread(go_in_and_out_thread, &crowd);
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 6; i++)
        weft_group_spawn_with(&group, go_in_and_out, &crowd,
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    T_OK(weft_group_close(&group));
    while (weft__load(&crowd.left) > 0)
        T_OK(weft_sleep(WEFT_MS(1)));
    for (int i = 0; i < 2; i++)
        t_thread_join(threads[i]);
    cr_assert(weft__load(&crowd.wrong) == 0);
    cr_assert(weft__load(&crowd.turns) == 8 * TURNS);
    for (uint32_t i = 0; i < permits; i++)
        T_OK(weft_semaphore_try_acquire(&crowd.sem));
    T_ERR(-EAGAIN, weft_semaphore_try_acquire(&crowd.sem));
    weft_semaphore_close(&crowd.sem);
}

LOOPS_TEST(semaphore, one_permit_excludes_tasks_loops_and_threads, 2)
{
    crowd_of(1);
}

LOOPS_TEST(semaphore, three_permits_let_three_in, 2)
{
    crowd_of(3);
}
