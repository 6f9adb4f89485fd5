/*
 * test_torture.c - every call that waits, cancelled at each suspension, run into a deadline at
 * each, and with each allocation and system call failing.
 *
 * A scenario is a main task that uses some of the calls, looks at no result but to clean up, and
 * may be ended anywhere. Whatever happens, afterwards every task that began has ended, all permits
 * are there, nobody is in any line (closing a primitive asserts that), nobody outlived the grace
 * period, and the process holds what it held before.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <weft/executor.h>
#include <weft/fd.h>
#include <weft/future.h>
#include <weft/group.h>
#include <weft/net.h>
#include <weft/sync.h>

#include "task/t_core.h"
#include "base/random.h"

TestSuite(torture_core, .timeout = 300);

/* What tasks of a scenario share. They may outlive the main task, so it is not on its stack. */
#define PERMITS 2
#define FUTURES 3
static struct world {
    uint32_t alive; /* task functions entered and not left */
    uint32_t held;  /* permits */
    weft_semaphore sem;
    weft_future futures[FUTURES];
    int fds[2];
    weft_address address;
    weft_callback callback;
    weft_task *tasks[4];
} w;

/* ---- Parts ---------------------------------------------------------------------------------- */

static int
enter(void)
{
    weft__fetch_add(&w.alive, 1);
    return 0;
}

static int
leave(int rc)
{
    weft__fetch_sub(&w.alive, 1);
    return rc;
}

static int
nap(void *arg)
{
    enter();
    int rc = weft_sleep(WEFT_MS((intptr_t)arg));
    if (rc == 0)
        rc = weft_yield();
    if (rc == 0)
        rc = weft_checkpoint();
    return leave(rc);
}

static int
nap_and_fail(void *arg)
{
    int rc = nap(arg);
    return rc < 0 ? rc : -EIO;
}

/* Joins, and when that cannot be waited for, cancels and lets go. */
static int
end_task(weft_task *task)
{
    if (task == NULL)
        return 0;
    int rc = weft_task_join(task, NULL);
    if (rc < 0) {
        weft_task_cancel(task);
        weft_task_close(task);
    }
    return rc;
}

static int
use_permit(void *arg)
{
    enter();
    int rc = weft_semaphore_acquire(&w.sem);
    if (rc == 0) {
        weft__fetch_add(&w.held, 1);
        rc = weft_sleep(WEFT_MS((intptr_t)arg));
        weft__fetch_sub(&w.held, 1);
        weft_semaphore_release(&w.sem);
    }
    return leave(rc);
}

static int
wait_for_future(void *arg)
{
    enter();
    int result;
    int rc = weft_future_wait(arg, &result);
    return leave(rc < 0 ? rc : result);
}

static int
set_future(void *arg)
{
    enter();
    int rc = weft_sleep(WEFT_MS(1));
    weft_future_set(arg, 5);
    return leave(rc);
}

static void
set_future_soon(void *arg)
{
    weft_future_set(arg, 6);
}

static int
call_further(void *arg)
{
    enter();
    intptr_t depth = (intptr_t)arg;
    int rc = weft_sleep(WEFT_MS(1));
    if (rc == 0 && depth > 0)
        rc = weft_loop_call(weft_loop_at((unsigned)depth % weft_loop_count()), call_further,
                            T_NUMBER(depth - 1));
    return leave(rc);
}

/* ---- Scenarios on one loop ------------------------------------------------------------------ */

static int
sleeping(void *arg)
{
    (void)arg;
    enter();
    int rc = weft_sleep(WEFT_MS(1));
    rc |= weft_yield();
    rc |= weft_checkpoint();
    rc |= weft_sleep(0);
    rc |= weft_sleep_until(weft_now() + 5);
    rc |= weft_sleep_until(0);
    return leave(rc);
}

static int
awaiting(void *arg)
{
    (void)arg;
    enter();
    for (int i = 0; i < 3; i++)
        weft_task_spawn(&w.tasks[i], i == 1 ? nap_and_fail : nap, T_NUMBER(i), NULL);
    weft_task_spawn(NULL, nap, T_NUMBER(1), NULL);
    int rc = 0;
    if (w.tasks[0] != NULL)
        rc = weft_task_await(w.tasks[0], NULL);
    if (w.tasks[2] != NULL)
        weft_task_cancel(w.tasks[2]);
    for (int i = 0; i < 3; i++) {
        int ended = end_task(w.tasks[i]);
        rc = rc == 0 ? ended : rc;
    }
    return leave(rc);
}

static int
permits(void *arg)
{
    (void)arg;
    enter();
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 5; i++)
        weft_group_spawn(&group, use_permit, T_NUMBER(1 + i % 2));
    int rc = weft_semaphore_acquire(&w.sem);
    if (rc == 0)
        weft_semaphore_release(&w.sem);
    int closed = weft_group_close(&group);
    return leave(rc < 0 ? rc : closed);
}

static int
futures(void *arg)
{
    (void)arg;
    enter();
    weft_call_later(&w.callback, WEFT_MS(2), set_future_soon, &w.futures[1]);
    weft_group group;
    /* A setter that was cancelled before it started sets nothing: then time ends it. */
    weft_group_open(&group, &(weft_group_options){.keep_going = 1, .timeout = WEFT_MS(100)});
    weft_group_spawn(&group, wait_for_future, &w.futures[0]);
    weft_group_spawn(&group, wait_for_future, &w.futures[1]);
    weft_group_spawn(&group, set_future, &w.futures[0]);
    int rc = weft_future_wait(&w.futures[0], NULL);
    int closed = weft_group_close(&group);
    weft_callback_cancel(&w.callback);
    return leave(rc < 0 ? rc : closed);
}

static int
run_subgroup(void *arg)
{
    enter();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(2)});
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, nap, T_NUMBER((intptr_t)arg * i));
    return leave(weft_group_close(&group));
}

static int
groups(void *arg)
{
    (void)arg;
    enter();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 2, .keep_going = 1});
    weft_group_spawn(&group, nap, T_NUMBER(1));
    weft_group_spawn(&group, run_subgroup, T_NUMBER(1));
    weft_group_spawn(&group, run_subgroup, T_NUMBER(4));
    weft_group_spawn(&group, nap_and_fail, T_NUMBER(1));
    int rc = weft_group_wait(&group);
    weft_group_spawn(&group, nap, T_NUMBER(1));
    int closed = weft_group_close(&group);
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, nap_and_fail, T_NUMBER(1));
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, nap, T_NUMBER(5));
    closed |= weft_group_close(&group);
    return leave(rc | closed);
}

static void
clean_up_waiting(void *arg)
{
    (void)arg;
    weft_ignore(weft_sleep(WEFT_MS(1)));
    weft__fetch_sub(&w.alive, 1);
}

static int
scopes(void *arg)
{
    (void)arg;
    enter();
    weft_scope outer, inner, shield;
    weft_scope_open(&outer, weft_now() + WEFT_MS(20));
    weft__fetch_add(&w.alive, 1);
    if (weft_defer(clean_up_waiting, NULL) < 0)
        weft__fetch_sub(&w.alive, 1);
    weft_scope_open(&inner, weft_now() + WEFT_MS(2));
    weft__fetch_add(&w.alive, 1);
    if (weft_defer(clean_up_waiting, NULL) < 0)
        weft__fetch_sub(&w.alive, 1);
    int rc = weft_sleep(WEFT_MS(1));
    rc |= weft_sleep(WEFT_MS(5));
    weft_shield_open(&shield, weft_now() + WEFT_MS(3));
    rc |= weft_sleep(WEFT_MS(1));
    rc |= weft_scope_close(&shield);
    rc |= weft_scope_close(&inner);
    weft_scope_cancel(&outer);
    rc |= weft_yield();
    rc |= weft_scope_close(&outer);
    weft__fetch_add(&w.alive, 1);
    if (weft_defer(clean_up_waiting, NULL) < 0)
        weft__fetch_sub(&w.alive, 1);
    rc |= weft_sleep(WEFT_MS(1));
    return leave(rc);
}

static int
block_shortly(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    return 3;
}

static int
call_blocking(void *arg)
{
    enter();
    return leave(weft_blocking(block_shortly, arg));
}

static int
blocking(void *arg)
{
    (void)arg;
    enter();
    weft_executor *executor;
    int rc = weft_executor_new(&executor, &(weft_executor_options){.threads = 1, .queue = 1});
    if (rc < 0)
        return leave(rc);
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, call_blocking, NULL);
    void *heap = malloc(1);
    rc =
        weft_executor_run(executor, block_shortly, heap, &(weft_blocking_options){.abandon = free});
    int again =
        weft_executor_run(executor, block_shortly, NULL, &(weft_blocking_options){.no_wait = 1});
    int closed = weft_group_close(&group);
    weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER);
    return leave(rc | again | closed);
}

static int
echo(void *arg)
{
    (void)arg;
    enter();
    weft_fd fd;
    int rc = weft_fd_open(&fd, w.fds[0]);
    if (rc < 0)
        return leave(rc);
    w.fds[0] = -1;
    char buf[16];
    ssize_t n;
    while ((n = weft_fd_read(&fd, buf, sizeof buf)) > 0) {
        rc = weft_fd_write_all(&fd, buf, (size_t)n, NULL);
        if (rc < 0)
            break;
    }
    weft_fd_close(&fd);
    return leave(n < 0 ? (int)n : rc);
}

static int
descriptors(void *arg)
{
    (void)arg;
    enter();
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, echo, NULL);
    weft_fd fd;
    int rc = weft_fd_open(&fd, w.fds[1]);
    if (rc == 0) {
        w.fds[1] = -1;
        char buf[16];
        for (int i = 0; i < 3 && rc == 0; i++) {
            rc = weft_fd_wait_writable(&fd);
            if (rc == 0)
                rc = weft_fd_write_all(&fd, "ping", 4, NULL);
            if (rc == 0)
                rc = weft_fd_wait_readable(&fd);
            if (rc == 0 && weft_fd_read(&fd, buf, sizeof buf) < 0)
                rc = -EPIPE;
        }
        weft_fd_close(&fd);
    } else {
        weft_group_cancel(&group);
    }
    int closed = weft_group_close(&group);
    return leave(rc < 0 ? rc : closed);
}

static int
fill_until_full(void *arg)
{
    (void)arg;
    enter();
    weft_fd fd;
    int rc = weft_fd_open(&fd, w.fds[0]);
    if (rc < 0)
        return leave(rc);
    w.fds[0] = -1;
    static char much[1 << 20];
    size_t written;
    rc = weft_fd_write_all(&fd, much, sizeof much, &written);
    weft_fd_close(&fd);
    return leave(rc);
}

static int
full_descriptors(void *arg)
{
    (void)arg;
    enter();
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, fill_until_full, NULL);
    weft_fd fd;
    int rc = weft_fd_open(&fd, w.fds[1]);
    if (rc == 0) {
        w.fds[1] = -1;
        static char buf[1 << 17];
        ssize_t n;
        while ((n = weft_fd_read(&fd, buf, sizeof buf)) > 0)
            continue;
        rc = (int)n;
        weft_fd_close(&fd);
    } else {
        weft_group_cancel(&group);
    }
    int closed = weft_group_close(&group);
    return leave(rc < 0 ? rc : closed);
}

static int
connect_and_ask(void *arg)
{
    (void)arg;
    enter();
    weft_fd fd;
    int rc = weft_tcp_connect(&fd, &w.address);
    if (rc < 0)
        return leave(rc);
    char byte;
    rc = weft_fd_write_all(&fd, "?", 1, NULL);
    if (rc == 0)
        rc = (int)weft_fd_read(&fd, &byte, 1);
    weft_fd_close(&fd);
    return leave(rc < 0 ? rc : 0);
}

static int
connections(void *arg)
{
    (void)arg;
    enter();
    weft_fd listener, connection;
    int rc = weft_address_parse(&w.address, "127.0.0.1:0");
    if (rc == 0)
        rc = weft_tcp_listen(&listener, &w.address, NULL);
    if (rc < 0)
        return leave(rc);
    rc = weft_fd_local_address(&listener, &w.address);
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_SEC(1)});
    for (int i = 0; i < 2 && rc == 0; i++)
        weft_group_spawn(&group, connect_and_ask, NULL);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = weft_tcp_accept(&listener, &connection, NULL);
        if (rc < 0)
            break;
        char byte;
        if (weft_fd_read(&connection, &byte, 1) == 1)
            rc = weft_fd_write_all(&connection, "!", 1, NULL);
        weft_fd_close(&connection);
    }
    if (rc < 0)
        weft_group_cancel(&group);
    int closed = weft_group_close(&group);
    weft_fd_close(&listener);
    return leave(rc < 0 ? rc : closed);
}

/* ---- Scenarios over several loops ----------------------------------------------------------- */

static int
awaiting_far(void *arg)
{
    (void)arg;
    enter();
    for (int i = 0; i < 4; i++) {
        int on = i == 3 ? WEFT_LOOP_ANY : WEFT_ON(i % (int)weft_loop_count());
        weft_task_spawn(&w.tasks[i], i == 1 ? nap_and_fail : nap, T_NUMBER(1 + i),
                        &(weft_task_options){.on = on});
    }
    weft_task_spawn(NULL, nap, T_NUMBER(1), &(weft_task_options){.on = WEFT_LOOP_ANY});
    int rc = 0;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(2));
    for (int i = 0; i < 4; i++)
        if (w.tasks[i] != NULL)
            rc |= weft_task_await(w.tasks[i], NULL);
    weft_ignore(weft_scope_close(&scope));
    if (w.tasks[2] != NULL)
        weft_task_cancel(w.tasks[2]);
    for (int i = 0; i < 4; i++)
        rc |= end_task(w.tasks[i]);
    return leave(rc);
}

static int
calls(void *arg)
{
    (void)arg;
    enter();
    int rc = weft_loop_call(weft_loop_at(weft_loop_count() - 1), call_further, T_NUMBER(3));
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(2));
    rc |= weft_loop_call(weft_loop_at(weft_loop_count() - 1), call_further, T_NUMBER(4));
    weft_ignore(weft_scope_close(&scope));
    rc |= weft_loop_call(weft_loop_at(0), nap, T_NUMBER(1));
    return leave(rc);
}

static int
permits_far(void *arg)
{
    (void)arg;
    enter();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 7; i++)
        weft_group_spawn_with(
            &group, use_permit, T_NUMBER(1 + i % 2),
            &(weft_task_options){.on =
                                     i == 6 ? WEFT_LOOP_ANY : WEFT_ON(i % (int)weft_loop_count())});
    int rc = use_permit(T_NUMBER(1));
    int closed = weft_group_close(&group);
    return leave(rc < 0 ? rc : closed);
}

static int
futures_far(void *arg)
{
    (void)arg;
    enter();
    int n = (int)weft_loop_count();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1, .timeout = WEFT_SEC(1)});
    for (int i = 0; i < 6; i++)
        weft_group_spawn_with(&group, wait_for_future, &w.futures[i % 2],
                              &(weft_task_options){.on = WEFT_ON(i % n)});
    for (int i = 0; i < 3; i++)
        weft_group_spawn_with(&group, set_future, &w.futures[i % 2],
                              &(weft_task_options){.on = WEFT_ON((i + 1) % n)});
    int rc = weft_future_wait(&w.futures[0], NULL);
    int waited = weft_group_wait(&group);
    int closed = weft_group_close(&group);
    return leave(rc | waited | closed);
}

static int
groups_far(void *arg)
{
    (void)arg;
    enter();
    int n = (int)weft_loop_count();
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 3, .timeout = WEFT_MS(20)});
    for (int i = 0; i < 6; i++)
        weft_group_spawn_with(&group, i == 4 ? run_subgroup : nap, T_NUMBER(i % 3),
                              &(weft_task_options){.on = i == 5 ? WEFT_LOOP_ANY : WEFT_ON(i % n)});
    int rc = weft_group_wait(&group);
    weft_group_spawn_with(&group, nap_and_fail, T_NUMBER(1),
                          &(weft_task_options){.on = WEFT_ON(n - 1)});
    weft_group_spawn_with(&group, nap, T_NUMBER(50), &(weft_task_options){.on = WEFT_ON(n - 1)});
    int closed = weft_group_close(&group);
    return leave(rc | closed);
}

/* ---- The harness ---------------------------------------------------------------------------- */

struct run {
    const char *name;
    weft_task_fn *main;
    weft_options options;
    bool here;  /* by weft_run_here, on a thread of its own */
    bool moves; /* transfers bytes: where the kernel says EAGAIN an edge follows, and here none */
};

static char doing[160]; /* told when a run does not end */

static void
on_alarm(int number)
{
    (void)number;
    ssize_t rc = write(STDERR_FILENO, doing, strlen(doing));
    (void)rc;
    abort();
}

static void *
run_here(void *arg)
{
    const struct run *run = arg;
    weft_ignore(weft_run_here(run->main, NULL));
    return NULL;
}

static void
run_once(void *arg)
{
    const struct run *run = arg;
    static struct t_leak before;
    memset(&w, 0, sizeof w);
    T_OK(weft_semaphore_open(&w.sem, PERMITS));
    for (int i = 0; i < FUTURES; i++)
        weft_future_open(&w.futures[i]);
    t_leak_take(&before);
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, w.fds) == 0);
    t_log_begin();
    alarm(30 * (T_SLOW > 1 ? 2 : 1));
    if (run->here) {
        /* Threads are started past the counters: this one is the test's. */
        pthread_t thread;
        cr_assert(pthread_create(&thread, NULL, run_here, arg) == 0);
        pthread_join(thread, NULL);
    } else {
        weft_ignore(weft_run(run->main, NULL, &run->options));
    }
    alarm(0);
    for (int i = 0; i < 2; i++)
        if (w.fds[i] >= 0)
            close(w.fds[i]);
    for (int i = 0; i < FUTURES; i++)
        weft_future_close(&w.futures[i]);
    cr_assert(weft__load(&w.alive) == 0, "%s: %u task functions were entered and not left", doing,
              w.alive);
    cr_assert(weft__load(&w.held) == 0);
    for (int i = 0; i < PERMITS; i++)
        T_OK(weft_semaphore_try_acquire(&w.sem));
    T_ERR(-EAGAIN, weft_semaphore_try_acquire(&w.sem));
    weft_semaphore_close(&w.sem);
    cr_assert(!t_logged("outlived"), "%s: %s", doing, t_log_text);
    char text[1024];
    bool clean = t_leak_check(&before, text, sizeof text);
    cr_assert(clean, "%s: left behind: %s", doing, text);
}

static uint64_t points;

static void
visit(const struct run *run, enum weft__torture kind, bool from_on, int error, uint64_t max)
{
    static const char *const kinds[] = {"cancel", "deadline", "alloc", "syscall"};
    /* Counted once without a hit, then each of the points. */
    uint64_t n = 0;
    uint64_t step = 1;
    for (uint64_t k = 0; k == 0 || k <= n; k += k == 0 ? 1 : step) {
        snprintf(doing, sizeof doing, "torture: %s: %s%s %" PRIu64 " of %" PRIu64 " (errno %d)\n",
                 run->name, kinds[kind], from_on ? " from" : "", k, n, error);
        weft__torture_arm(kind, k, from_on, error);
        run_once((void *)(uintptr_t)run);
        uint64_t events = weft__torture_disarm(kind);
        if (k == 0) {
            n = events;
            if (max > 0 && n > max)
                step = (n + max - 1) / max;
        } else {
            points++;
        }
    }
}

static void
torture_all(const struct run *run)
{
    uint64_t max = T_SLOW > 1 ? 40 : 0;
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    points = 0;
    for (int from_on = 0; from_on < 2; from_on++) {
        visit(run, WEFT__TORTURE_CANCEL, from_on, 0, max);
        visit(run, WEFT__TORTURE_DEADLINE, from_on, 0, max);
        visit(run, WEFT__TORTURE_ALLOC, from_on, 0, max);
        visit(run, WEFT__TORTURE_SYSCALL, from_on, EMFILE, max);
    }
    visit(run, WEFT__TORTURE_SYSCALL, false, ECONNRESET, max);
    visit(run, WEFT__TORTURE_SYSCALL, false, EINTR, max);
    if (!run->moves)
        visit(run, WEFT__TORTURE_SYSCALL, false, EAGAIN, max);
    fprintf(stderr, "torture: %s: %" PRIu64 " points\n", run->name, points);
    cr_assert(points >= 10);
}

/* On one loop with the virtual clock, and on the loop of a thread alone: every run the same. */
static void
on_one_loop(const char *name, weft_task_fn *main, bool here, bool moves)
{
    torture_all(&(struct run){
        .name = name,
        .main = main,
        .here = here,
        .moves = moves,
        .options = {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}});
}

#define ON_ONE_LOOP(scenario, moves)                                                               \
    Test(torture_core, scenario)                                                                   \
    {                                                                                              \
        on_one_loop(#scenario, scenario, false, moves);                                            \
    }                                                                                              \
    Test(torture_core, scenario##_here)                                                            \
    {                                                                                              \
        on_one_loop(#scenario " here", scenario, true, moves);                                     \
    }

ON_ONE_LOOP(sleeping, false)
ON_ONE_LOOP(awaiting, false)
ON_ONE_LOOP(permits, false)
ON_ONE_LOOP(futures, false)
ON_ONE_LOOP(groups, false)
ON_ONE_LOOP(scopes, false)
ON_ONE_LOOP(blocking, false)
ON_ONE_LOOP(descriptors, true)
ON_ONE_LOOP(full_descriptors, true)
ON_ONE_LOOP(connections, true)

/* On three loops of one thread, in an order that a seed gives. */
#define ON_THREE_LOOPS(scenario)                                                                   \
    Test(torture_core, scenario)                                                                   \
    {                                                                                              \
        torture_all(&(struct run){.name = #scenario,                                               \
                                  .main = scenario,                                                \
                                  .options = {.loops = 3,                                          \
                                              .seed = 1,                                           \
                                              .clock = WEFT_CLOCK_VIRTUAL,                         \
                                              .signals = WEFT_SIGNALS_NONE}});                     \
    }                                                                                              \
    Test(torture_core, scenario##_seeds)                                                           \
    {                                                                                              \
        many_seeds(#scenario, scenario);                                                           \
    }                                                                                              \
    Test(torture_core, scenario##_threads)                                                         \
    {                                                                                              \
        on_threads(#scenario, scenario);                                                           \
    }

#define SEEDS (200 / T_SLOW)

/* Each seed undisturbed, then cancelled somewhere, then everywhere from somewhere on; every other
 * one with rare paths taken. */
static void
many_seeds(const char *name, weft_task_fn *main)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    uint64_t random = 1;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct run run = {.name = name,
                          .main = main,
                          .options = {.loops = 3,
                                      .seed = seed,
                                      .clock = WEFT_CLOCK_VIRTUAL,
                                      .signals = WEFT_SIGNALS_NONE}};
        uint64_t n = 0;
        for (int round = 0; round < 4; round++) {
            uint64_t k = round == 0 ? 0 : 1 + weft__splitmix(&random) % (n > 0 ? n : 1);
            enum weft__torture kind = round == 2 ? WEFT__TORTURE_DEADLINE : WEFT__TORTURE_CANCEL;
            snprintf(doing, sizeof doing,
                     "torture: %s: seed %" PRIu64 " round %d, %" PRIu64 " of %" PRIu64 "\n", name,
                     seed, round, k, n);
            weft__buggify_seed(seed % 2 == 0 ? seed : 0);
            weft__torture_arm(kind, k, round == 3, 0);
            run_once(&run);
            uint64_t events = weft__torture_disarm(kind);
            n = round == 0 ? events : n;
        }
    }
    weft__buggify_seed(0);
    fprintf(stderr, "torture: %s: %d seeds\n", name, SEEDS);
}

/* The same with real threads: another order each time. */
static void
on_threads(const char *name, weft_task_fn *main)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct run run = {
        .name = name, .main = main, .options = {.loops = 2, .signals = WEFT_SIGNALS_NONE}};
    points = 0;
    for (int from_on = 0; from_on < 2; from_on++) {
        visit(&run, WEFT__TORTURE_CANCEL, from_on, 0, 25);
        visit(&run, WEFT__TORTURE_DEADLINE, from_on, 0, 25);
        visit(&run, WEFT__TORTURE_ALLOC, from_on, 0, 25);
    }
    visit(&run, WEFT__TORTURE_SYSCALL, false, EMFILE, 25);
    fprintf(stderr, "torture: %s on threads: %" PRIu64 " points\n", name, points);
}

ON_THREE_LOOPS(awaiting_far)
ON_THREE_LOOPS(calls)
ON_THREE_LOOPS(permits_far)
ON_THREE_LOOPS(futures_far)
ON_THREE_LOOPS(groups_far)
