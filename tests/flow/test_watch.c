/*
 * test_watch.c - the latest value, and waiting for a newer one.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/select.h>
#include <weft/watch.h>

#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(watch, .timeout = 120);

static weft_watch *
watch_of(int value)
{
    weft_watch *watch;
    T_OK(weft_watch_new(&watch, sizeof value, &value));
    return watch;
}

struct viewer {
    weft_watch *watch;
    uint64_t version;
    int value;
    int rc;
};

static int
view(void *arg)
{
    struct viewer *viewer = arg;
    return viewer->rc = weft_watch_wait(viewer->watch, &viewer->version, &viewer->value);
}

static weft_task *
start(struct viewer *viewer)
{
    weft_task *task;
    viewer->rc = 1; /* not through */
    T_OK(weft_task_spawn(&task, view, viewer, NULL));
    T_OK(weft_yield());
    return task;
}

TASK_TEST(watch, the_first_value_is_version_one)
{
    weft_watch *watch = watch_of(5);
    int value = 0;
    uint64_t version = 0;
    cr_assert(weft_watch_get(watch, &value) == 1 && value == 5);
    value = 0;
    T_OK(weft_watch_wait(watch, &version, &value));
    cr_assert(version == 1 && value == 5);
    weft_watch_free(watch);
    T_OK(weft_watch_new(&watch, sizeof value, NULL));
    cr_assert(weft_watch_get(watch, &value) == 1 && value == 0);
    weft_watch_free(watch);
}

TASK_TEST(watch, who_looks_late_sees_the_latest_alone)
{
    weft_watch *watch = watch_of(0);
    uint64_t version = 1;
    int value = 0;
    for (int i = 1; i <= 5; i++)
        T_OK(weft_watch_set(watch, &i));
    T_OK(weft_watch_wait(watch, &version, &value));
    cr_assert(version == 6 && value == 5);
    cr_assert(weft_watch_get(watch, NULL) == 6);
    weft_watch_free(watch);
}

TASK_TEST(watch, all_who_wait_see_the_change)
{
    weft_watch *watch = watch_of(0);
    struct viewer viewers[4];
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        viewers[i] = (struct viewer){.watch = watch, .version = 1};
        tasks[i] = start(&viewers[i]);
        cr_assert(viewers[i].rc == 1);
    }
    T_OK(weft_watch_set(watch, &(int){3}));
    T_OK(weft_watch_set(watch, &(int){4})); /* before they come to look */
    for (int i = 0; i < 4; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        cr_assert(viewers[i].rc == 0 && viewers[i].value == 4 && viewers[i].version == 3);
    }
    weft_watch_free(watch);
}

TASK_TEST(watch, one_who_is_ended_has_seen_nothing)
{
    weft_watch *watch = watch_of(7);
    struct viewer viewer = {.watch = watch, .version = 1, .value = -1};
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(1));
    T_ERR(-ETIMEDOUT, view(&viewer));
    T_OK(weft_watch_set(watch, &(int){8}));
    T_ERR(-ETIMEDOUT, view(&viewer)); /* also when there is something new */
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    cr_assert(viewer.version == 1 && viewer.value == -1);
    T_OK(view(&viewer));
    cr_assert(viewer.version == 2 && viewer.value == 8);
    weft_task *task = start(&viewer);
    weft_task_cancel(task);
    T_OK(weft_watch_set(watch, &(int){9}));
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECANCELED, viewer.rc);
    cr_assert(viewer.version == 2);
    weft_watch_free(watch);
}

TASK_TEST(watch, closing_ends_the_waiting)
{
    weft_watch *watch = watch_of(1);
    struct viewer viewer = {.watch = watch, .version = 1}, late = {.watch = watch};
    weft_task *task = start(&viewer);
    weft_watch_close(watch);
    weft_watch_close(watch);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-EPIPE, viewer.rc);
    T_ERR(-EPIPE, weft_watch_set(watch, &(int){2}));
    T_OK(view(&late)); /* the last value can be seen */
    cr_assert(late.value == 1);
    T_ERR(-EPIPE, view(&late));
    weft_watch_free(watch);
}

static void
close_it(void *arg)
{
    weft_watch_close(arg);
}

TASK_TEST(watch, may_be_a_branch_of_a_select)
{
    weft_watch *watch = watch_of(1);
    uint64_t version = 0;
    int value = 0;
    weft_case cases[] = {weft_case_until(weft_now() + WEFT_SEC(1)),
                         weft_case_watch(watch, &version, &value)};
    cr_assert(weft_select(cases, 2) == 1 && version == 1 && value == 1);
    T_ERR(-EAGAIN, weft_select_try(cases, 2));
    struct viewer other = {.watch = watch, .version = 1};
    weft_task *task = start(&other);
    weft_callback callback;
    weft_call_soon(&callback, close_it, watch);
    cr_assert(weft_select(cases, 2) == 1);
    T_ERR(-EPIPE, cases[1].result);
    T_OK(weft_task_join(task, NULL));
    weft_watch_free(watch);
}

static int
set_ten(void *arg)
{
    for (int i = 1; i <= 10; i++) {
        int rc = weft_watch_set(arg, &i);
        if (rc == 0)
            rc = weft_sleep(WEFT_MS(1));
        if (rc < 0)
            return rc;
    }
    return 0;
}

TASK_TEST(watch, a_select_sees_each_change)
{
    weft_watch *watch = watch_of(0);
    weft_task *task;
    uint64_t version = 1;
    int value = 0;
    weft_case cases[] = {weft_case_watch(watch, &version, &value)};
    T_OK(weft_task_spawn(&task, set_ten, watch, NULL));
    for (int i = 1; i <= 10; i++)
        cr_assert(weft_select(cases, 1) == 0 && value == i && version == (uint64_t)i + 1);
    T_OK(weft_task_join(task, NULL));
    weft_watch_free(watch);
}

static int
wait_for_change(void *arg)
{
    struct viewer viewer = {.watch = arg, .version = 1};
    return view(&viewer);
}

static int
free_while_one_waits(void *arg)
{
    (void)arg;
    weft_watch *watch = watch_of(0);
    weft_task *task;
    T_OK(weft_task_spawn(&task, wait_for_change, watch, NULL));
    T_OK(weft_yield());
    weft_watch_free(watch);
    return 0;
}

static void
free_too_early(void)
{
    weft_ignore(weft_run(free_while_one_waits, NULL,
                         &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}

Test(watch, broken_promises_abort_with_a_sentence)
{
    char text[512];
    int status = t_child_run(free_too_early, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && strstr(text, "while somebody waits") != NULL, "%s", text);
}

Test(watch, impossible_ones_are_refused)
{
    weft_watch *watch = NULL;
    T_ERR(-ENOMEM, weft_watch_new(&watch, SIZE_MAX, NULL));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    T_ERR(-ENOMEM, weft_watch_new(&watch, 8, NULL));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    cr_assert(watch == NULL);
    weft_watch_free(NULL);
}

/* ---- Several loops, threads, and torture ----------------------------------------------------- */

/* A value whose halves must agree. */
struct pair {
    uint64_t number, same;
};

struct crowd {
    weft_watch *watch;
    uint32_t wrong;
    uint32_t done;
    uint64_t last;
    weft_options options;
};

static int
set_numbers(void *arg)
{
    struct crowd *crowd = arg;
    int rc = 0;
    for (uint64_t i = 1; i <= crowd->last && rc == 0; i++) {
        rc = weft_watch_set(crowd->watch, &(struct pair){i, i});
        if (rc == 0 && i % 3 == 0)
            rc = weft_yield();
    }
    return rc;
}

static int
see_numbers(void *arg)
{
    struct crowd *crowd = arg;
    uint64_t version = 0, before;
    struct pair pair = {0, 0};
    int rc;
    for (;;) {
        before = version;
        rc = weft_watch_wait(crowd->watch, &version, &pair);
        if (rc < 0)
            break;
        if (pair.number != pair.same || pair.number + 1 != version || version <= before)
            weft__fetch_add(&crowd->wrong, 1);
    }
    /* Whoever stays to the end sees the last value. */
    if (rc == -EPIPE && weft_watch_get(crowd->watch, NULL) != version)
        weft__fetch_add(&crowd->wrong, 1);
    return rc == -EPIPE ? 0 : rc;
}

static void *
see_numbers_thread(void *arg)
{
    struct crowd *crowd = arg;
    if (see_numbers(arg) != 0)
        weft__fetch_add(&crowd->wrong, 1);
    weft__store(&crowd->done, 1);
    return NULL;
}

static int
crowd_main(void *arg)
{
    struct crowd *crowd = arg;
    int n = (int)weft_loop_count();
    weft_group group, setting;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&group, see_numbers, crowd,
                              &(weft_task_options){.on = WEFT_ON(i % n)});
    weft_group_open(&setting, &(weft_group_options){.keep_going = 1});
    weft_group_spawn_with(&setting, set_numbers, crowd, &(weft_task_options){.on = WEFT_ON(n - 1)});
    int rc = weft_group_close(&setting);
    weft_watch_close(crowd->watch);
    int closed = weft_group_close(&group);
    return rc < 0 ? rc : closed;
}

static void
crowd_once(void *arg)
{
    struct crowd *crowd = arg;
    if (weft_watch_new(&crowd->watch, sizeof(struct pair), NULL) < 0)
        return;
    weft_ignore(weft_run(crowd_main, crowd, &crowd->options));
    cr_assert(weft__load(&crowd->wrong) == 0);
    weft_watch_free(crowd->watch);
}

Test(watch, is_right_whatever_is_ended)
{
    t_log_begin();
    for (unsigned loops = 1; loops <= 3; loops += 2) {
        struct crowd crowd = {.last = 9,
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
                                              .scenario = crowd_once,
                                              .arg = &crowd});
    }
    for (uint64_t seed = 1; seed <= 100 / T_SLOW; seed++) {
        struct crowd crowd = {.last = 9,
                              .options = {.loops = 3,
                                          .seed = seed,
                                          .clock = WEFT_CLOCK_VIRTUAL,
                                          .signals = WEFT_SIGNALS_NONE}};
        crowd_once(&crowd);
    }
}

LOOPS_TEST(watch, joins_loops_and_threads, 2)
{
    struct crowd crowd = {.last = 3000 / T_SLOW};
    T_OK(weft_watch_new(&crowd.watch, sizeof(struct pair), NULL));
    pthread_t thread = t_thread(see_numbers_thread, &crowd);
    T_OK(crowd_main(&crowd));
    while (!weft__load(&crowd.done))
        T_OK(weft_sleep(WEFT_MS(1)));
    t_thread_join(thread);
    cr_assert(weft__load(&crowd.wrong) == 0);
    weft_watch_free(crowd.watch);
}
