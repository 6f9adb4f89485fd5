/*
 * test_dump.c - all tasks as text: whole, bounded in time, from anywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <weft/debug.h>
#include <weft/executor.h>
#include <weft/fd.h>
#include <weft/future.h>
#include <weft/group.h>
#include <weft/sync.h>

#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(dump, .timeout = 120);

/* ThreadSanitizer lets no child of a test have threads. */
#ifdef WEFT__SAN_THREAD
#define SKIP_WITHOUT_THREADS_IN_CHILDREN() cr_skip_test("a child cannot have threads here")
#else
#define SKIP_WITHOUT_THREADS_IN_CHILDREN() ((void)0)
#endif

/* The text of a dump, until the next one. */
static const char *
dump(void)
{
    static __thread char text[65536];
    weft_buf buf = {0};
    T_OK(weft_dump_buf(&buf));
    size_t len = buf.len < sizeof text ? buf.len : sizeof text - 1;
    memcpy(text, buf.data, len);
    text[len] = '\0';
    weft_buf_free(&buf);
    return text;
}

/* The line on which the words stand, with everything before them in the line; NULL when nowhere. */
static const char *
line_with(const char *text, const char *words)
{
    static __thread char line[512];
    const char *at = strstr(text, words);
    if (at == NULL)
        return NULL;
    const char *from = at;
    while (from > text && from[-1] != '\n')
        from--;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(from, "\n"), from);
    return line;
}

#define ASSERT_LINE(text, words, more)                                                             \
    do {                                                                                           \
        const char *t_line = line_with(text, words);                                               \
        cr_assert(t_line != NULL && strstr(t_line, more) != NULL, "no %s with %s in:\n%s", words,  \
                  more, text);                                                                     \
    } while (0)

static void
finish(weft_group *group)
{
    weft_group_cancel(group);
    weft_ignore(weft_group_close(group));
}

static void
spawn(weft_group *group, weft_task_fn *fn, void *arg, const char *name)
{
    cr_assert(weft_group_spawn_with(group, fn, arg, &(weft_task_options){.name = name}) >= 0);
}

static int
open_inner_group(void *arg)
{
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_SEC(100)});
    spawn(&group, t_forever, NULL, "grandchild");
    (void)arg;
    return weft_group_close(&group);
}

TASK_TEST(dump, children_stand_under_their_group_and_groups_under_who_opened_them)
{
    weft_group group;
    weft_task *loner;
    weft_group_open(&group, NULL);
    spawn(&group, open_inner_group, NULL, "child");
    spawn(&group, t_forever, NULL, "sibling");
    T_OK(weft_task_spawn(&loner, t_forever, NULL, &(weft_task_options){.name = "loner"}));
    T_OK(weft_sleep(WEFT_MS(1)));
    const char *text = dump();
    ASSERT_LINE(text, "weft: 1 loop, 5 tasks", "virtual clock");
    const char *rest = text;
    static const char *const order[] = {"\n\"main\" on loop 0 is running",
                                        "\n  group 0x",
                                        ": 2 alive\n",
                                        "\n    \"child\" on loop 0 waits for children of group 0x",
                                        "\n      group 0x",
                                        ": 1 alive; deadline in 99.9 s\n",
                                        "\n        \"grandchild\" on loop 0 sleeps",
                                        "\n    \"sibling\" on loop 0 sleeps",
                                        "\n\"loner\" on loop 0 sleeps"};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const char *at = strstr(rest, order[i]);
        cr_assert(at != NULL, "%s is missing, or at another place, in:\n%s", order[i], text);
        rest = at + strlen(order[i]) - 1;
    }
    ASSERT_LINE(text, "\"grandchild\"", "deadline in 99.9 s");
    ASSERT_LINE(text, "\"grandchild\"", "spawned at spawn");
    ASSERT_LINE(text, "\"main\"", " KiB");
    finish(&group);
    weft_task_cancel(loner);
    T_OK(weft_task_join(loner, NULL));
}

/* ---- What tasks wait for -------------------------------------------------------------------- */

static struct {
    weft_semaphore sem;
    weft_future future;
    weft_task *task;
    weft_fd fd;
    bool called;
} objects;

static int
wait_semaphore(void *arg)
{
    (void)arg;
    return weft_semaphore_acquire(&objects.sem);
}

static int
wait_future(void *arg)
{
    (void)arg;
    return weft_future_wait(&objects.future, NULL);
}

static int
wait_task(void *arg)
{
    (void)arg;
    return weft_task_await(objects.task, NULL);
}

static int
wait_readable(void *arg)
{
    (void)arg;
    return weft_fd_wait_readable(&objects.fd);
}

static int
block_a_moment(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    return 0;
}

static int
wait_call(void *arg)
{
    return weft_blocking(block_a_moment, arg);
}

LOOPS_TEST(dump, it_says_what_each_task_waits_for, 1)
{
    int raw[2];
    char wanted[64];
    T_OK(weft_semaphore_open(&objects.sem, 0));
    weft_future_open(&objects.future);
    cr_assert(pipe(raw) == 0);
    T_OK(weft_fd_open(&objects.fd, raw[0]));
    T_OK(weft_task_spawn(&objects.task, t_forever, NULL, &(weft_task_options){.name = "late"}));
    weft_group group;
    weft_group_open(&group, NULL);
    spawn(&group, wait_semaphore, NULL, "a");
    spawn(&group, wait_future, NULL, "b");
    spawn(&group, wait_task, NULL, "c");
    spawn(&group, wait_readable, NULL, "d");
    spawn(&group, wait_call, NULL, "e");
    T_OK(weft_yield());
    spawn(&group, t_forever, NULL, "f");
    const char *text = dump();
    snprintf(wanted, sizeof wanted, "waits for semaphore %p", (void *)&objects.sem);
    ASSERT_LINE(text, "\"a\" on", wanted);
    snprintf(wanted, sizeof wanted, "waits for future %p", (void *)&objects.future);
    ASSERT_LINE(text, "\"b\" on", wanted);
    ASSERT_LINE(text, "\"c\" on", "waits for task \"late\"");
    snprintf(wanted, sizeof wanted, "waits for descriptor %d (readable)", raw[0]);
    ASSERT_LINE(text, "\"d\" on", wanted);
    ASSERT_LINE(text, "\"e\" on", "waits for call on an executor");
    ASSERT_LINE(text, "\"f\" on", "has not started");
    finish(&group);
    weft_task_cancel(objects.task);
    T_OK(weft_task_join(objects.task, NULL));
    weft_fd_close(&objects.fd);
    close(raw[1]);
}

static int
wait_far(void *arg)
{
    (void)arg;
    weft_ignore(weft_task_await(objects.task, NULL));
    return 0;
}

LOOPS_TEST(dump, tasks_of_other_loops_are_there, 3)
{
    T_OK(weft_task_spawn(&objects.task, t_forever, NULL, &(weft_task_options){.name = "late"}));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_task_options options = {.name = "far", .on = WEFT_ON(2)};
    cr_assert(weft_group_spawn_with(&group, wait_far, NULL, &options) >= 0);
    const char *text;
    for (int i = 0; i < 5000; i++) {
        text = dump();
        if (strstr(text, "\n    \"far\" on loop 2 waits for task \"late\"") != NULL)
            break;
        T_OK(weft_sleep(WEFT_MS(1)));
    }
    cr_assert(strstr(text, "\n    \"far\" on loop 2 waits for task \"late\"") != NULL, "%s", text);
    cr_assert(strstr(text, "does not answer") == NULL, "%s", text);
    finish(&group);
    weft_task_cancel(objects.task);
    T_OK(weft_task_join(objects.task, NULL));
}

TASK_TEST(dump, children_held_back_by_a_limit_are_counted)
{
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 1});
    for (int i = 0; i < 4; i++)
        cr_assert(weft_group_spawn(&group, t_forever, NULL) >= 0);
    ASSERT_LINE(dump(), "group 0x", "4 alive, 3 of them held back by its limit");
    finish(&group);
}

TASK_TEST(dump, tasks_that_no_loop_has_taken_yet)
{
    weft_task *task;
    weft_task_options options = {.name = "anywhere", .on = WEFT_LOOP_ANY};
    T_OK(weft_task_spawn(&task, t_give, NULL, &options));
    ASSERT_LINE(dump(), "\"anywhere\"", "has not started");
    T_OK(weft_task_join(task, NULL));
}

static int
dump_after_a_while(void *arg)
{
    (void)arg;
    T_OK(weft_semaphore_open(&objects.sem, 0));
    weft_group group;
    weft_group_open(&group, NULL);
    spawn(&group, wait_semaphore, NULL, "patient");
    T_OK(weft_sleep(WEFT_SEC(5)));
    ASSERT_LINE(dump(), "\"patient\"", ", for 5000 ms");
    finish(&group);
    return 0;
}

Test(dump, in_debug_mode_it_says_for_how_long)
{
    T_OK(weft_run(dump_after_a_while, NULL,
                  &(weft_options){.loops = 1,
                                  .clock = WEFT_CLOCK_VIRTUAL,
                                  .debug = 1,
                                  .slow = WEFT_SEC(30),
                                  .signals = WEFT_SIGNALS_NONE}));
}

TASK_TEST(dump, a_cancelled_task_can_still_dump)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    ASSERT_LINE(dump(), "\"main\"", "is running");
    weft_ignore(weft_scope_close(&scope));
}

TASK_TEST(dump, of_very_many_tasks_some)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 10100; i++)
        cr_assert(weft_group_spawn(&group, t_forever, NULL) >= 0);
    weft_buf buf = {0};
    T_OK(weft_dump_buf(&buf));
    T_OK(weft_buf_append(&buf, "", 1));
    ASSERT_LINE((const char *)buf.data, "loop 0: 101 of its tasks", "are not shown");
    weft_buf_free(&buf);
    finish(&group);
}

static int
deeper(void *arg)
{
    int depth = (int)(intptr_t)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    if (depth > 0)
        cr_assert(weft_group_spawn(&group, deeper, T_NUMBER(depth - 1)) >= 0);
    else
        cr_assert(weft_group_spawn(&group, t_forever, NULL) >= 0);
    return weft_group_close(&group);
}

static int
dump_on_small_stack(void *arg)
{
    (void)arg;
    weft_buf buf = {0};
    T_OK(weft_dump_buf(&buf));
    size_t lines = 0;
    for (size_t i = 0; i < buf.len; i++)
        lines += buf.data[i] == '\n';
    cr_assert(lines > 200);
    weft_buf_free(&buf);
    return 0;
}

TASK_TEST(dump, of_a_deep_tree_from_a_small_stack)
{
    weft_group group;
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, deeper, T_NUMBER(100)) >= 0);
    T_OK(weft_sleep(WEFT_MS(1)));
    weft_task *task;
    T_OK(weft_task_spawn(&task, dump_on_small_stack, NULL,
                         &(weft_task_options){.stack_size = 16 << 10}));
    T_OK(weft_task_join(task, NULL));
    finish(&group);
}

/* ---- From where ----------------------------------------------------------------------------- */

Test(dump, nothing_runs)
{
    cr_assert_str_eq(dump(), "weft: nothing runs\n");
}

static int
dump_here(void *arg)
{
    (void)arg;
    ASSERT_LINE(dump(), "\"here\" on loop 0", "is running");
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_forever, NULL, &(weft_task_options){.name = "guest"}));
    T_OK(weft_yield());
    ASSERT_LINE(dump(), "\"guest\" on loop 0", "sleeps");
    weft_task_cancel(task);
    return weft_task_join(task, NULL);
}

Test(dump, the_task_of_weft_run_here)
{
    T_OK(weft_run_here(dump_here, NULL));
}

static void *
dump_from_thread(void *arg)
{
    (void)arg;
    weft_buf buf = {0};
    int rc = weft_dump_buf(&buf);
    bool good = rc == 0 && weft_buf_append(&buf, "", 1) == 0 &&
                strstr((char *)buf.data, "\"main\" on loop 0 waits for future 0x") != NULL &&
                strstr((char *)buf.data, "does not answer") == NULL;
    if (!good)
        fprintf(stderr, "%d %.*s", rc, (int)buf.len, (char *)buf.data);
    weft_buf_free(&buf);
    weft_ignore(weft_future_set(&objects.future, good ? 0 : -EIO));
    return NULL;
}

static int
wait_for_dumper(void *arg)
{
    (void)arg;
    weft_future_open(&objects.future);
    pthread_t thread = t_thread(dump_from_thread, NULL);
    int result = -1;
    T_OK(weft_future_wait(&objects.future, &result));
    t_thread_join(thread);
    return result;
}

Test(dump, a_plain_thread_sees_whatever_runs)
{
    t_run_loops(wait_for_dumper, NULL, 2);
    t_run_virtual(wait_for_dumper, NULL, 2, 0);
}

static void
dump_in_callback(void *arg)
{
    (void)arg;
    weft_buf buf = {0};
    weft_ignore(weft_dump_buf(&buf));
}

static int
post_dump(void *arg)
{
    T_OK(weft_loop_post(weft_loop_current(), dump_in_callback, arg));
    return weft_sleep(WEFT_MS(1));
}

static void
run_post_dump(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    weft_ignore(weft_run(post_dump, NULL, &(weft_options){.loops = 1}));
}

Test(dump, a_callback_cannot_wait_for_the_answers)
{
    char text[512];
    int status = t_child_run(run_post_dump, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "must not wait") != NULL, "%s", text);
}

/* ---- Loops that do not answer --------------------------------------------------------------- */

static uint32_t blocked, released;

static int
block_loop(void *arg)
{
    (void)arg;
    weft__store(&blocked, 1);
    while (!weft__load(&released))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return 0;
}

LOOPS_TEST(dump, a_blocked_loop_does_not_answer_and_is_not_waited_for, 2)
{
    blocked = released = 0;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_task_options options = {.name = "blocker", .on = WEFT_ON(1)};
    cr_assert(weft_group_spawn_with(&group, block_loop, NULL, &options) >= 0);
    while (!weft__load(&blocked))
        T_OK(weft_sleep(WEFT_MS(1)));
    const char *text = dump();
    cr_assert(strstr(text, "loop 1 does not answer") != NULL, "%s", text);
    ASSERT_LINE(text, "\"main\"", "is running");
    weft__store(&released, 1);
    T_OK(weft_group_close(&group));
}

static void *
dump_blocked(void *arg)
{
    while (!weft__load(&blocked))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    weft_buf buf = {0};
    *(bool *)arg = weft_dump_buf(&buf) == 0 && weft_buf_append(&buf, "", 1) == 0 &&
                   strstr((char *)buf.data, "loop 0 does not answer") != NULL;
    weft_buf_free(&buf);
    weft__store(&released, 1);
    return NULL;
}

Test(dump, nor_by_a_plain_thread)
{
    bool good = false;
    blocked = released = 0;
    pthread_t thread = t_thread(dump_blocked, &good);
    T_OK(weft_run(block_loop, NULL, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    t_thread_join(thread);
    cr_assert(good);
}

/* Each waits for the other's answer, and gives its own meanwhile. */
static int
dump_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100 / T_SLOW; i++) {
        const char *text = dump();
        cr_assert(strstr(text, "does not answer") == NULL, "%s", text);
    }
    return 0;
}

LOOPS_TEST(dump, on_two_loops_at_the_same_time, 2)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 2; i++) {
        weft_task_options options = {.on = WEFT_ON(i)};
        cr_assert(weft_group_spawn_with(&group, dump_often, NULL, &options) >= 0);
    }
    T_OK(weft_group_close(&group));
}

/* ---- Where to ------------------------------------------------------------------------------- */

TASK_TEST(dump, to_a_descriptor)
{
    int raw[2];
    char text[1024];
    cr_assert(pipe2(raw, O_NONBLOCK) == 0);
    T_OK(weft_dump(raw[1]));
    ssize_t n = read(raw[0], text, sizeof text - 1);
    cr_assert(n > 0);
    text[n] = '\0';
    ASSERT_LINE(text, "\"main\"", "is running");
    close(raw[0]);
    close(raw[1]);
    T_ERR(-EBADF, weft_dump(raw[1]));
}

static void
dump_scenario(void *arg)
{
    (void)arg;
    weft_buf buf = {0};
    weft_ignore(weft_dump_buf(&buf));
    weft_buf_free(&buf);
}

TASK_TEST(dump, without_memory_it_fails_and_leaves_nothing)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        cr_assert(weft_group_spawn(&group, open_inner_group, NULL) >= 0);
    T_OK(weft_sleep(WEFT_MS(1)));
    struct t_torture torture = {.kind = WEFT__TORTURE_ALLOC, .scenario = dump_scenario};
    cr_assert(t_torture_run(&torture) > 5);
    finish(&group);
}

/* ---- On a signal ---------------------------------------------------------------------------- */

static int
raise_and_wait(void *arg)
{
    (void)arg;
    raise(SIGUSR1);
    return weft_sleep(WEFT_MS(500));
}

static void
run_raise(void)
{
    unsetenv("WEFT_LOG");
    weft_ignore(weft_run(raise_and_wait, NULL,
                         &(weft_options){.loops = 1, .debug = 1, .slow = WEFT_SEC(30)}));
}

Test(dump, on_sigusr1_in_debug_mode)
{
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    char text[2048];
    int status = t_child_run(run_raise, text, sizeof text);
    cr_assert(WIFEXITED(status));
    ASSERT_LINE(text, "\"main\" on loop 0", "sleeps, for ");
}

static void
own_handler(int number)
{
    (void)number;
    static const char text[] = "mine";
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
}

static void
run_raise_with_handler(void)
{
    signal(SIGUSR1, own_handler);
    run_raise();
}

Test(dump, the_programs_own_handler_comes_first)
{
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    char text[2048];
    int status = t_child_run(run_raise_with_handler, text, sizeof text);
    cr_assert(WIFEXITED(status));
    cr_assert_str_eq(text, "mine");
}

static void
run_then_raise(void)
{
    weft_ignore(weft_run(t_give, NULL, &(weft_options){.loops = 1, .debug = 1}));
    raise(SIGUSR1);
}

Test(dump, the_disposition_is_restored)
{
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    char text[512];
    int status = t_child_run(run_then_raise, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

/* ---- While everything moves ----------------------------------------------------------------- */

static int
churn(void *arg)
{
    long rounds = (long)(intptr_t)arg;
    for (long i = 0; i < rounds; i++) {
        weft_group group;
        weft_group_open(&group, NULL);
        for (int k = 0; k < 6; k++) {
            weft_task_options options = {.on = k % 3 == 0 ? WEFT_LOOP_ANY : WEFT_ON(k % 2)};
            int rc = weft_group_spawn_with(&group, k % 2 ? t_give : t_sleep_ms, NULL, &options);
            cr_assert(rc >= 0);
        }
        T_OK(weft_group_close(&group));
    }
    return 0;
}

static void *
dump_until_told(void *arg)
{
    long *dumps = arg;
    while (!weft__load(&released)) {
        weft_buf buf = {0};
        if (weft_dump_buf(&buf) < 0)
            return NULL;
        ++*dumps;
        weft_buf_free(&buf);
    }
    return NULL;
}

Test(dump, runtimes_that_come_and_go_are_looked_at_by_threads)
{
    long dumps[2] = {0, 0};
    t_leak_begin();
    released = 0;
    pthread_t threads[2] = {t_thread(dump_until_told, &dumps[0]),
                            t_thread(dump_until_told, &dumps[1])};
    for (int i = 0; i < 200 / T_SLOW; i++)
        T_OK(weft_run(churn, T_NUMBER(5),
                      &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
    weft__store(&released, 1);
    t_thread_join(threads[0]);
    t_thread_join(threads[1]);
    t_leak_end();
    cr_assert(dumps[0] > 0 && dumps[1] > 0);
}

static int
dump_a_few(void *arg)
{
    for (int i = 0; i < 10; i++) {
        weft_buf buf = {0};
        T_OK(weft_dump_buf(&buf));
        weft_buf_free(&buf);
        T_OK(weft_yield());
    }
    return churn(arg);
}

static int
churn_and_dump(void *arg)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++) {
        weft_task_options options = {.on = WEFT_ON(i % 2)};
        cr_assert(weft_group_spawn_with(&group, dump_a_few, arg, &options) >= 0);
    }
    return weft_group_close(&group);
}

Test(dump, in_any_order_of_steps)
{
    for (uint64_t seed = 1; seed <= 100 / T_SLOW; seed++)
        t_run_virtual(churn_and_dump, T_NUMBER(3), 2, seed);
}
