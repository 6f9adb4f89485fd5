/*
 * test_rwlock.c - many readers or one writer, and neither keeps the other out.
 */
#include <errno.h>

#include "flow/t_locks.h"

TestSuite(rwlock, .timeout = 120);

static weft_rwlock lock;
static char trail[64];

TASK_TEST(rwlock, readers_share_it_and_a_writer_does_not)
{
    weft_rwlock_open(&lock, NULL);
    T_OK(weft_rwlock_try_read_lock(&lock));
    T_OK(weft_rwlock_try_read_lock(&lock));
    T_ERR(-EAGAIN, weft_rwlock_try_write_lock(&lock));
    weft_rwlock_read_unlock(&lock);
    T_ERR(-EAGAIN, weft_rwlock_try_write_lock(&lock));
    weft_rwlock_read_unlock(&lock);
    T_OK(weft_rwlock_write_lock(&lock));
    T_ERR(-EAGAIN, weft_rwlock_try_read_lock(&lock));
    T_ERR(-EAGAIN, weft_rwlock_try_write_lock(&lock));
    weft_rwlock_write_unlock(&lock);
    T_OK(weft_rwlock_read_lock(&lock));
    weft_rwlock_read_unlock(&lock);
    weft_rwlock_close(&lock);
}

TASK_TEST(rwlock, cancellation_is_looked_for_even_when_it_is_free)
{
    weft_rwlock_open(&lock, NULL);
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_rwlock_read_lock(&lock));
    T_ERR(-ECANCELED, weft_rwlock_write_lock(&lock));
    weft_ignore(weft_scope_close(&scope));
    weft_rwlock_close(&lock);
}

/* Each signs when it is in and when it leaves: capitals write. */
static int
pass(void *arg)
{
    const char *name = arg;
    bool writes = name[0] < 'a';
    int rc = writes ? weft_rwlock_write_lock(&lock) : weft_rwlock_read_lock(&lock);
    if (rc < 0)
        return rc;
    strcat(trail, name);
    rc = weft_yield();
    strcat(trail, ".");
    if (writes)
        weft_rwlock_write_unlock(&lock);
    else
        weft_rwlock_read_unlock(&lock);
    return rc;
}

static void
line_up(weft_task **tasks, const char *const *names, int n)
{
    trail[0] = '\0';
    for (int i = 0; i < n; i++)
        T_OK(weft_task_spawn(&tasks[i], pass, (void *)(uintptr_t)names[i], NULL));
    T_OK(weft_yield());
}

static void
join_all(weft_task **tasks, int n)
{
    for (int i = 0; i < n; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_OK(result);
    }
}

TASK_TEST(rwlock, readers_go_in_by_batches_between_writers)
{
    static const char *const names[] = {"a", "b", "X", "c", "d", "e", "Y", "Z", "f"};
    weft_task *tasks[9];
    weft_rwlock_open(&lock, NULL);
    T_OK(weft_rwlock_write_lock(&lock));
    line_up(tasks, names, 9);
    cr_assert_str_eq(trail, "");
    weft_rwlock_write_unlock(&lock);
    join_all(tasks, 9);
    cr_assert_str_eq(trail, "ab..X.cde...Y.Z.f.");
    weft_rwlock_close(&lock);
}

TASK_TEST(rwlock, a_reader_does_not_overtake_a_writer_that_waits)
{
    static const char *const names[] = {"X", "a"};
    weft_task *tasks[2];
    weft_rwlock_open(&lock, NULL);
    T_OK(weft_rwlock_read_lock(&lock));
    line_up(tasks, names, 2);
    T_ERR(-EAGAIN, weft_rwlock_try_read_lock(&lock));
    cr_assert_str_eq(trail, "");
    weft_rwlock_read_unlock(&lock);
    T_ERR(-EAGAIN, weft_rwlock_try_read_lock(&lock));
    join_all(tasks, 2);
    cr_assert_str_eq(trail, "X.a.");
    weft_rwlock_close(&lock);
}

TASK_TEST(rwlock, a_writer_that_leaves_the_line_lets_readers_behind_it_in)
{
    static const char *const names[] = {"X", "a", "b", "Y", "c"};
    weft_task *tasks[5];
    int result;
    weft_rwlock_open(&lock, NULL);
    T_OK(weft_rwlock_read_lock(&lock));
    line_up(tasks, names, 5);
    cr_assert_str_eq(trail, "");
    weft_task_cancel(tasks[0]);
    T_OK(weft_task_join(tasks[0], &result));
    T_ERR(-ECANCELED, result);
    T_OK(weft_yield());
    T_OK(weft_yield());
    cr_assert_str_eq(trail, "ab..", "%s", trail);
    weft_rwlock_read_unlock(&lock);
    join_all(tasks + 1, 4);
    cr_assert_str_eq(trail, "ab..Y.c.");
    weft_rwlock_close(&lock);
}

TASK_TEST(rwlock, who_was_cancelled_in_line_is_passed_over)
{
    static const char *const names[] = {"X", "a", "b", "Y"};
    weft_task *tasks[4];
    weft_rwlock_open(&lock, NULL);
    T_OK(weft_rwlock_write_lock(&lock));
    line_up(tasks, names, 4);
    /* Cancelled, and not run since: it still stands in line when the lock comes free. */
    weft_task_cancel(tasks[0]);
    weft_task_cancel(tasks[1]);
    weft_rwlock_write_unlock(&lock);
    for (int i = 0; i < 4; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_ERR(i < 2 ? -ECANCELED : 0, result);
    }
    cr_assert_str_eq(trail, "b.Y.");
    weft_rwlock_close(&lock);
}

TASK_TEST(rwlock, a_timed_out_waiter_takes_nothing)
{
    static const char *const names[] = {"X"};
    weft_task *task;
    weft_rwlock_open(&lock, NULL);
    T_OK(weft_rwlock_read_lock(&lock));
    line_up(&task, names, 1);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_rwlock_read_lock(&lock)); /* behind the writer, and behind itself */
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    weft_rwlock_read_unlock(&lock);
    join_all(&task, 1);
    weft_rwlock_close(&lock);
}

/* ---- Broken promises ------------------------------------------------------------------------- */

static const weft_rwlock_options named = {.name = "routes"};

static void
writes_twice(void)
{
    weft_rwlock_open(&lock, &named);
    weft_ignore(weft_rwlock_write_lock(&lock));
    weft_ignore(weft_rwlock_write_lock(&lock));
}

static void
reads_what_it_writes(void)
{
    weft_rwlock_open(&lock, &named);
    weft_ignore(weft_rwlock_write_lock(&lock));
    weft_ignore(weft_rwlock_read_lock(&lock));
}

static void
gives_back_what_it_does_not_write(void)
{
    weft_rwlock_open(&lock, &named);
    weft_ignore(weft_rwlock_read_lock(&lock));
    weft_rwlock_write_unlock(&lock);
}

static void
gives_back_what_it_does_not_read(void)
{
    weft_rwlock_open(&lock, NULL);
    weft_ignore(weft_rwlock_write_lock(&lock));
    weft_rwlock_read_unlock(&lock);
}

static void
closes_it_held(void)
{
    weft_rwlock_open(&lock, NULL);
    weft_ignore(weft_rwlock_read_lock(&lock));
    weft_rwlock_close(&lock);
}

Test(rwlock, broken_promises_are_named)
{
    t_breaks(writes_twice, "rwlock \"routes\": a plain thread locks it for writing, and holds it "
                           "already (a plain thread writes, 0 read)");
    t_breaks(reads_what_it_writes, "locks it for reading, and holds it for writing");
    t_breaks(gives_back_what_it_does_not_write,
             "unlocks it for writing, and does not hold it (nobody writes, 1 read)");
    t_breaks(gives_back_what_it_does_not_read,
             "a rwlock: a plain thread unlocks it for reading, and holds no read lock");
    t_breaks(closes_it_held, "an rwlock was closed while it is held");
}

static int
write_and_end(void *arg)
{
    (void)arg;
    weft_rwlock_open(&lock, &named);
    return weft_rwlock_write_lock(&lock);
}

static void
run_write_and_end(void)
{
    weft_ignore(weft_run_here(write_and_end, NULL));
}

static int
read_and_end(void *arg)
{
    (void)arg;
    weft_rwlock_open(&lock, &named);
    weft_ignore(weft_rwlock_read_lock(&lock));
    return weft_rwlock_read_lock(&lock);
}

static void
run_read_and_end(void)
{
    t_run_bare(read_and_end);
}

Test(rwlock, ending_with_it_is_named)
{
    t_breaks(run_write_and_end, "task \"here\" ended and still holds rwlock \"routes\"");
    t_breaks(run_read_and_end, "task \"main\" ended and still holds 2 read locks");
}

/* ---- Torture --------------------------------------------------------------------------------- */

static uint32_t reading, writing, wrong;

static int
use(void *arg)
{
    unsigned number = (unsigned)(intptr_t)arg;
    for (unsigned i = 0; i < 3; i++) {
        bool writes = (number + i) % 3 == 0;
        int rc = writes ? weft_rwlock_write_lock(&lock) : weft_rwlock_read_lock(&lock);
        if (rc < 0)
            return rc;
        uint32_t *mine = writes ? &writing : &reading;
        weft__fetch_add(mine, 1);
        if (weft__load(&writing) > (writes ? 1u : 0u) || (writes && weft__load(&reading) > 0))
            weft__fetch_add(&wrong, 1);
        rc = i % 2 == 0 ? weft_sleep(WEFT_MS(1)) : weft_yield();
        weft__fetch_sub(mine, 1);
        if (writes)
            weft_rwlock_write_unlock(&lock);
        else
            weft_rwlock_read_unlock(&lock);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
crowd(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 6; i++)
        t_spawn_round(&group, use, T_NUMBER(i), i);
    return weft_group_close(&group);
}

static void
open_it(void)
{
    weft_rwlock_open(&lock, NULL);
    reading = writing = wrong = 0;
}

static void
it_is_free(void)
{
    cr_assert(weft__load(&wrong) == 0 && reading == 0 && writing == 0);
    weft_rwlock_close(&lock); /* asserts that nobody holds it, or is in line */
}

Test(rwlock, is_free_in_the_end_wherever_waiters_are_ended)
{
    t_scenario_torture(crowd, open_it, it_is_free);
}

Test(rwlock, is_free_in_the_end_in_any_order)
{
    t_scenario_seeds(crowd, open_it, it_is_free);
}
