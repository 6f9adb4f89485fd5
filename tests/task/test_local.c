/*
 * test_local.c - values of tasks: inherited as they were, set for oneself alone, destroyed once.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/executor.h>
#include <weft/gen.h>
#include <weft/group.h>
#include <weft/local.h>

#include "task/t_core.h"

TestSuite(local, .timeout = 60);

static weft_local plain;
static weft_local other;

/* Values on the heap, counted. */
static uint32_t alive;

static void *
boxed(int number)
{
    int *box = malloc(sizeof *box);
    *box = number;
    weft__fetch_add(&alive, 1);
    return box;
}

static void
unbox(void *box)
{
    weft__fetch_sub(&alive, 1);
    free(box);
}

static void *
copy_box(void *box)
{
    return boxed(*(int *)box + 1000);
}

static weft_local shared = {.destroy = unbox};
static weft_local copied = {.destroy = unbox, .copy = copy_box};

static int
number_in(const weft_local *key)
{
    const int *box = weft_local_get(key);
    return box != NULL ? *box : 0;
}

TASK_TEST(local, is_null_until_it_is_set)
{
    cr_assert_null(weft_local_get(&plain));
    T_OK(weft_local_set(&plain, NULL));
    T_OK(weft_local_set(&plain, T_NUMBER(5)));
    cr_assert(weft_local_get(&plain) == T_NUMBER(5));
    cr_assert_null(weft_local_get(&other));
    T_OK(weft_local_set(&plain, T_NUMBER(6)));
    cr_assert(weft_local_get(&plain) == T_NUMBER(6));
    T_OK(weft_local_set(&plain, NULL));
    cr_assert_null(weft_local_get(&plain));
}

TASK_TEST(local, there_may_be_many)
{
    static weft_local keys[50];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 50; i++)
            T_OK(weft_local_set(&keys[i], T_NUMBER(i + 1 + round)));
    for (int i = 0; i < 50; i += 2)
        T_OK(weft_local_set(&keys[i], NULL));
    for (int i = 0; i < 50; i++)
        cr_assert(weft_local_get(&keys[i]) == (i % 2 == 0 ? NULL : T_NUMBER(i + 2)));
}

static int
see_and_set(void *arg)
{
    (void)arg;
    int rc = weft_yield();
    if (rc < 0 || weft_local_get(&plain) != T_NUMBER(1))
        return -EPROTO;
    rc = weft_local_set(&plain, T_NUMBER(2));
    return rc < 0 ? rc : (int)(intptr_t)weft_local_get(&plain);
}

TASK_TEST(local, a_child_sees_what_was_set_when_it_was_spawned)
{
    weft_task *task;
    int result;
    T_OK(weft_local_set(&plain, T_NUMBER(1)));
    T_OK(weft_task_spawn(&task, see_and_set, NULL, NULL));
    T_OK(weft_local_set(&plain, T_NUMBER(3)));
    T_OK(weft_task_join(task, &result));
    T_ERR(2, result);
    cr_assert(weft_local_get(&plain) == T_NUMBER(3), "what the child set is the child's");
}

static int
grandchild(void *arg)
{
    (void)arg;
    return number_in(&shared) == 7 && number_in(&copied) == 2008 ? 0 : -EPROTO;
}

static int
child_with_child(void *arg)
{
    (void)arg;
    if (number_in(&shared) != 7 || number_in(&copied) != 1008)
        return -EPROTO;
    int rc = weft_loop_call(weft_loop_at(0), grandchild, NULL);
    return rc < 0 ? rc : weft_sleep(WEFT_MS(1));
}

static int
children_everywhere(void *arg)
{
    (void)arg;
    T_OK(weft_local_set(&shared, boxed(7)));
    T_OK(weft_local_set(&copied, boxed(8)));
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 3});
    for (int i = 0; i < 8; i++)
        weft_group_spawn_with(
            &group, child_with_child, NULL,
            &(weft_task_options){.on = i % 3 == 2 ? WEFT_LOOP_ANY : WEFT_ON(i % 2)});
    T_OK(weft_group_close(&group));
    cr_assert(weft__load(&alive) == 2, "%u", alive);
    T_OK(weft_local_set(&shared, boxed(9)));
    cr_assert(weft__load(&alive) == 2, "the old one is destroyed when nobody has it: %u", alive);
    return 0;
}

Test(local, goes_along_to_children_on_other_loops)
{
    t_run_loops(children_everywhere, NULL, 2);
    cr_assert(weft__load(&alive) == 0, "%u", alive);
    t_run_virtual(children_everywhere, NULL, 2, 5);
    cr_assert(weft__load(&alive) == 0, "%u", alive);
}

static int
keep_shared(void *arg)
{
    int rc = weft_sleep(WEFT_MS((intptr_t)arg));
    return rc < 0 ? rc : number_in(&shared);
}

TASK_TEST(local, a_shared_value_lives_as_long_as_somebody_has_it)
{
    weft_task *short_one, *long_one;
    int result;
    T_OK(weft_local_set(&shared, boxed(4)));
    T_OK(weft_task_spawn(&short_one, keep_shared, T_NUMBER(1), NULL));
    T_OK(weft_task_spawn(&long_one, keep_shared, T_NUMBER(5), NULL));
    T_OK(weft_local_set(&shared, NULL));
    T_OK(weft_task_join(short_one, &result));
    T_ERR(4, result);
    cr_assert(alive == 1);
    T_OK(weft_task_join(long_one, &result));
    T_ERR(4, result);
    cr_assert(alive == 0);
}

TASK_TEST(local, a_task_that_never_started_gives_its_values_back)
{
    T_OK(weft_local_set(&copied, boxed(4)));
    weft_task *task;
    T_OK(weft_task_spawn(&task, keep_shared, T_NUMBER(1), NULL));
    cr_assert(alive == 2);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    cr_assert(alive == 1);
    T_OK(weft_local_set(&copied, NULL));
    cr_assert(alive == 0);
}

static void *
copy_nothing(void *value)
{
    (void)value;
    return NULL;
}

static weft_local private_to_one = {.copy = copy_nothing};

static int
look_for_private(void *arg)
{
    (void)arg;
    return weft_local_get(&private_to_one) == NULL && weft_local_get(&plain) != NULL ? 0 : -EPROTO;
}

#define SET_BY_COPYING 5
static weft_local set_by_copying[SET_BY_COPYING];

static void *
copy_and_set_others(void *value)
{
    for (int i = 0; i < SET_BY_COPYING; i++)
        T_OK(weft_local_set(&set_by_copying[i], value));
    return value;
}

static weft_local busy = {.copy = copy_and_set_others};

static int
inherits_what_was_there_before(void *arg)
{
    (void)arg;
    cr_assert(weft_local_get(&busy) == T_NUMBER(7));
    cr_assert(weft_local_get(&plain) == T_NUMBER(1));
    for (int i = 0; i < SET_BY_COPYING; i++)
        cr_assert(weft_local_get(&set_by_copying[i]) == NULL);
    return 0;
}

TASK_TEST(local, a_copy_function_may_set_values_of_the_parent)
{
    T_OK(weft_local_set(&busy, T_NUMBER(7)));
    T_OK(weft_local_set(&plain, T_NUMBER(1)));
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, inherits_what_was_there_before, NULL, NULL));
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    for (int i = 0; i < SET_BY_COPYING; i++)
        cr_assert(weft_local_get(&set_by_copying[i]) == T_NUMBER(7));
}

TASK_TEST(local, a_copy_of_nothing_is_no_value)
{
    weft_task *task;
    int result;
    T_OK(weft_local_set(&private_to_one, T_NUMBER(1)));
    T_OK(weft_local_set(&plain, T_NUMBER(1)));
    T_OK(weft_task_spawn(&task, look_for_private, NULL, NULL));
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    cr_assert(weft_local_get(&private_to_one) == T_NUMBER(1));
}

static void
set_again(void *value)
{
    if ((intptr_t)value > 1)
        T_OK(weft_local_set(&plain, (void *)((intptr_t)value - 1)));
    ++alive;
}

static weft_local stubborn = {.destroy = set_again};

static int
set_stubborn(void *arg)
{
    (void)arg;
    return weft_local_set(&stubborn, T_NUMBER(3));
}

TASK_TEST(local, a_destroy_function_may_set_something)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, set_stubborn, NULL, NULL));
    T_OK(weft_task_join(task, NULL));
    cr_assert(alive == 1);
    alive = 0;
}

/* ---- Threads, calls, callbacks, generators -------------------------------------------------- */

static int
from_the_thread(void *arg)
{
    (void)arg;
    if (number_in(&shared) != 3)
        return -EPROTO;
    return weft_local_set(&shared, boxed(4)); /* the task's own */
}

static void *
plain_thread(void *arg)
{
    int *wrong = arg;
    *wrong = 0;
    if (weft_local_set(&shared, boxed(3)) < 0 || number_in(&shared) != 3)
        *wrong = 1;
    if (weft_run_here(from_the_thread, NULL) < 0 || number_in(&shared) != 3)
        *wrong = 2;
    if (weft_run(from_the_thread, NULL, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}) <
            0 ||
        number_in(&shared) != 3)
        *wrong = 3;
    return NULL; /* the value goes with the thread */
}

Test(local, a_plain_thread_has_values_and_its_runs_inherit_them)
{
    int wrong;
    t_leak_begin();
    t_thread_join(t_thread(plain_thread, &wrong));
    cr_assert(wrong == 0, "%d", wrong);
    cr_assert(weft__load(&alive) == 0, "%u", alive);
    t_leak_end();
}

static int
in_the_executor(void *arg)
{
    (void)arg;
    if (number_in(&shared) != 5 || weft_trace_get().low != 9)
        return -EPROTO;
    return weft_local_set(&shared, boxed(6));
}

static int
in_the_executor_later(void *arg)
{
    (void)arg;
    return number_in(&shared);
}

LOOPS_TEST(local, a_call_of_the_executor_sees_its_tasks_values, 1)
{
    T_OK(weft_local_set(&shared, boxed(5)));
    T_OK(weft_trace_set((weft_trace_id){0, 9}));
    for (int i = 0; i < 10; i++)
        T_OK(weft_blocking(in_the_executor, NULL));
    cr_assert(number_in(&shared) == 5);
    cr_assert(weft__load(&alive) == 1);
    T_OK(weft_local_set(&shared, NULL));
    T_OK(weft_blocking(in_the_executor_later, NULL)); /* none is left there */
}

static uint32_t called;

static void
no_task(void *arg)
{
    (void)arg;
    called = 1 + (weft_local_get(&plain) != NULL);
}

TASK_TEST(local, a_callback_has_none_of_the_task)
{
    weft_callback callback;
    T_OK(weft_local_set(&plain, T_NUMBER(1)));
    weft_call_soon(&callback, no_task, NULL);
    T_OK(weft_sleep(1));
    cr_assert(called == 1);
}

static int
give_local(weft_gen *gen, void *arg)
{
    (void)arg;
    T_OK(weft_local_set(&other, T_NUMBER(2)));
    return weft_gen_yield(gen, &(int){number_in(&shared)}, NULL);
}

TASK_TEST(local, a_generator_has_its_consumers)
{
    weft_gen gen;
    int value;
    T_OK(weft_local_set(&shared, boxed(11)));
    T_OK(weft_gen_open(&gen, sizeof value, give_local, NULL, NULL));
    T_ERR(1, weft_gen_next(&gen, &value));
    cr_assert(value == 11 && weft_local_get(&other) == T_NUMBER(2));
    T_OK(weft_gen_close(&gen));
}

static int
give_trace(void *arg)
{
    weft_trace_id *id = arg;
    *id = weft_trace_get();
    return weft_trace_set((weft_trace_id){7, 7});
}

TASK_TEST(local, a_trace_id_goes_along)
{
    weft_trace_id seen = {1, 1};
    weft_task *task;
    T_OK(weft_trace_set((weft_trace_id){0, 0}));
    cr_assert(weft_trace_get().high == 0 && weft_trace_get().low == 0);
    T_OK(weft_trace_set((weft_trace_id){3, 4}));
    T_OK(weft_task_spawn(&task, give_trace, &seen, NULL));
    T_OK(weft_trace_set((weft_trace_id){5, 6}));
    T_OK(weft_local_set(&copied, boxed(1)));
    T_OK(weft_task_join(task, NULL));
    cr_assert(seen.high == 3 && seen.low == 4);
    T_OK(weft_task_spawn(&task, give_trace, &seen, NULL));
    T_OK(weft_task_join(task, NULL));
    cr_assert(seen.high == 5 && seen.low == 6);
    cr_assert(weft_trace_get().high == 5);
}

/* ---- Torture -------------------------------------------------------------------------------- */

static int
tortured_child(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    int rc = weft_local_set(depth % 2 == 0 ? &shared : &copied, boxed(1));
    if (rc == 0)
        rc = weft_trace_set((weft_trace_id){1, (uint64_t)depth});
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(1));
    if (rc < 0 || depth == 0)
        return rc;
    if (depth == 2)
        return weft_loop_call(weft_loop_at(weft_loop_count() - 1), tortured_child, T_NUMBER(1));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 2; i++)
        weft_group_spawn_with(&group, tortured_child, T_NUMBER(depth - 1),
                              &(weft_task_options){.on = WEFT_ON(i % (int)weft_loop_count())});
    return weft_group_close(&group);
}

static void
scenario(void *arg)
{
    weft_ignore(weft_run(tortured_child, T_NUMBER(3), arg));
    cr_assert(weft__load(&alive) == 0, "%u values are alive", alive);
}

Test(local, values_are_destroyed_once_whatever_fails)
{
    for (unsigned loops = 1; loops <= 2; loops++) {
        weft_options options = {.loops = loops,
                                .seed = loops - 1,
                                .clock = WEFT_CLOCK_VIRTUAL,
                                .signals = WEFT_SIGNALS_NONE};
        for (int from_on = 0; from_on < 2; from_on++)
            for (int kind = WEFT__TORTURE_CANCEL; kind <= WEFT__TORTURE_ALLOC; kind++)
                t_torture_run(&(struct t_torture){.kind = (enum weft__torture)kind,
                                                  .from_on = from_on,
                                                  .max = T_SLOW > 1 ? 15 : 0,
                                                  .scenario = scenario,
                                                  .arg = &options});
    }
}
