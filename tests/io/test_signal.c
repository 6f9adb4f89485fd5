/*
 * test_signal.c - signals as events: none lost, each to everybody who wants it, and the program's
 * own dispositions as they were.
 */
#include <sys/wait.h>

#include <weft/signal.h>

#include "io/t_io.h"

TestSuite(signal, .timeout = 120);

static const int usr1[] = {SIGUSR1};

struct waiting {
    weft_signals *signals;
    weft_signal signal;
    int rc;
    bool done;
};

static int
wait_one(void *arg)
{
    struct waiting *waiting = arg;
    waiting->rc = weft_signals_wait(waiting->signals, &waiting->signal);
    waiting->done = true;
    return 0;
}

/* ---- Arrival --------------------------------------------------------------------------------- */

TASK_TEST(signal, one_that_came_before_the_wait_is_had_at_once)
{
    weft_signals signals;
    weft_signal signal;
    T_OK(weft_signals_open(&signals, usr1, 1));
    T_ERR(-EAGAIN, weft_signals_try_wait(&signals, NULL));
    raise(SIGUSR1);
    T_ERR(SIGUSR1, weft_signals_wait(&signals, &signal));
    cr_assert(signal.number == SIGUSR1 && signal.count == 1);
    cr_assert(signal.sender == getpid() && signal.user == getuid());
    raise(SIGUSR1);
    T_ERR(SIGUSR1, weft_signals_try_wait(&signals, NULL));
    T_ERR(-EAGAIN, weft_signals_try_wait(&signals, NULL));
    weft_signals_close(&signals);
    weft_signals_close(&signals);
}

TASK_TEST(signal, a_task_that_waits_is_woken)
{
    weft_signals signals;
    T_OK(weft_signals_open(&signals, usr1, 1));
    for (int round = 0; round < 20; round++) {
        struct waiting waiting = {.signals = &signals};
        weft_task *task = t_start(wait_one, &waiting);
        cr_assert(!waiting.done);
        T_ERR(-EBUSY, weft_signals_wait(&signals, NULL));
        kill(getpid(), SIGUSR1);
        T_OK(weft_task_join(task, NULL));
        T_ERR(SIGUSR1, waiting.rc);
        cr_assert(waiting.signal.count == 1);
    }
    weft_signals_close(&signals);
}

TASK_TEST(signal, several_of_a_kind_are_counted)
{
    weft_signals signals;
    weft_signal signal;
    T_OK(weft_signals_open(&signals, usr1, 1));
    for (int i = 0; i < 5; i++)
        raise(SIGUSR1);
    T_ERR(SIGUSR1, weft_signals_wait(&signals, &signal));
    cr_assert(signal.count == 5, "count %u", signal.count);
    T_ERR(-EAGAIN, weft_signals_try_wait(&signals, NULL));
    weft_signals_close(&signals);
}

TASK_TEST(signal, each_number_has_its_turn)
{
    const int numbers[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGUSR1};
    weft_signals signals;
    T_OK(weft_signals_open(&signals, numbers, 4));
    int seen[3] = {0};
    raise(SIGUSR1), raise(SIGUSR2), raise(SIGHUP);
    for (int i = 0; i < 30; i++) {
        int number = weft_signals_wait(&signals, NULL);
        cr_assert(number > 0);
        seen[number == SIGUSR1 ? 0 : number == SIGUSR2 ? 1 : 2]++;
        raise(number);
    }
    cr_assert(seen[0] == 10 && seen[1] == 10 && seen[2] == 10);
    weft_signals_close(&signals);
}

TASK_TEST(signal, everybody_who_wants_it_gets_it)
{
    const int both[] = {SIGUSR1, SIGUSR2};
    weft_signals first, second, third;
    T_OK(weft_signals_open(&first, usr1, 1));
    T_OK(weft_signals_open(&second, both, 2));
    T_OK(weft_signals_open(&third, &both[1], 1));
    raise(SIGUSR1);
    T_ERR(SIGUSR1, weft_signals_wait(&first, NULL));
    T_ERR(SIGUSR1, weft_signals_wait(&second, NULL));
    T_ERR(-EAGAIN, weft_signals_try_wait(&third, NULL));
    weft_signals_close(&second); /* from the middle */
    raise(SIGUSR1);
    raise(SIGUSR2);
    T_ERR(SIGUSR1, weft_signals_wait(&first, NULL));
    T_ERR(SIGUSR2, weft_signals_wait(&third, NULL));
    weft_signals_close(&first);
    weft_signals_close(&third);
}

static uint32_t n_open, n_heard;

static int
hear_on_its_loop(void *arg)
{
    (void)arg;
    weft_signals signals;
    T_OK(weft_signals_open(&signals, usr1, 1));
    weft__fetch_add(&n_open, 1);
    for (int i = 0; i < 3; i++) {
        T_ERR(SIGUSR1, weft_signals_wait(&signals, NULL));
        weft__fetch_add(&n_heard, 1);
    }
    weft_signals_close(&signals);
    return 0;
}

LOOPS_TEST(signal, objects_on_several_loops_all_get_it, 3)
{
    n_open = n_heard = 0;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 6; i++)
        weft_group_spawn_with(&group, hear_on_its_loop, NULL,
                              &(weft_task_options){.on = WEFT_ON(i % 3)});
    while (weft__load(&n_open) < 6)
        T_OK(weft_sleep(WEFT_MS(1)));
    for (uint32_t i = 1; i <= 3; i++) {
        kill(getpid(), SIGUSR1);
        while (weft__load(&n_heard) < 6 * i)
            T_OK(weft_sleep(WEFT_MS(1)));
    }
    T_OK(weft_group_close(&group));
}

#define QUEUED 2000

static void *
send_queued(void *arg)
{
    for (int i = 0; i < QUEUED / T_SLOW; i++) {
        while (sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i}) < 0)
            sched_yield(); /* as many are queued as may be */
    }
    return arg;
}

/* The kernel keeps every single one of these. */
LOOPS_TEST(signal, none_of_many_from_other_threads_is_lost, 2)
{
#ifdef WEFT__SAN_THREAD
    cr_skip_test("ThreadSanitizer holds signals back, and makes one of several");
#endif
    weft_signals signals;
    weft_signal signal;
    const int number = SIGRTMIN + 3;
    T_OK(weft_signals_open(&signals, &number, 1));
    pthread_t threads[2] = {t_thread(send_queued, NULL), t_thread(send_queued, NULL)};
    unsigned count = 0;
    while (count < 2 * (QUEUED / T_SLOW)) {
        T_ERR(number, weft_signals_wait(&signals, &signal));
        cr_assert(signal.sender == getpid() && signal.count > 0);
        count += signal.count;
    }
    t_thread_join(threads[0]);
    t_thread_join(threads[1]);
    cr_assert(count == 2 * (QUEUED / T_SLOW));
    weft_signals_close(&signals);
}

TASK_TEST(signal, of_a_child_tells_which)
{
    weft_signals signals;
    weft_signal signal;
    const int number = SIGCHLD;
    T_OK(weft_signals_open(&signals, &number, 1));
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    T_ERR(SIGCHLD, weft_signals_wait(&signals, &signal));
    cr_assert(signal.sender == pid);
    cr_assert(waitpid(pid, NULL, 0) == pid);
    weft_signals_close(&signals);
}

static int
here_main(void *arg)
{
    weft_signals signals;
    (void)arg;
    T_OK(weft_signals_open(&signals, usr1, 1));
    raise(SIGUSR1);
    T_ERR(SIGUSR1, weft_signals_wait(&signals, NULL));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        usleep(20000);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    weft_signal signal;
    T_ERR(SIGUSR1, weft_signals_wait(&signals, &signal));
    cr_assert(signal.sender == pid);
    cr_assert(waitpid(pid, NULL, 0) == pid);
    weft_signals_close(&signals);
    return 0;
}

static void *
here_thread(void *arg)
{
    *(int *)arg = weft_run_here(here_main, NULL);
    return NULL;
}

Test(signal, a_private_loop_hears_them)
{
    int rc = -1;
    t_leak_begin();
    t_thread_join(t_thread(here_thread, &rc));
    T_OK(rc);
    t_leak_end();
}

/* ---- Refusals, ends -------------------------------------------------------------------------- */

TASK_TEST(signal, what_cannot_be_waited_for_is_refused_by_name)
{
    const int numbers[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL,
                           SIGABRT, 0,       -1,      32,     65};
    weft_signals signals;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const int pair[] = {SIGUSR1, numbers[i]};
        T_ERR(-EINVAL, weft_signals_open(&signals, pair, 2));
        char number[32];
        snprintf(number, sizeof number, "signal %d ", numbers[i]);
        cr_assert(strstr(weft_error_text(), number) != NULL, "%s", weft_error_text());
    }
    T_ERR(-EINVAL, weft_signals_open(&signals, usr1, 0));
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    cr_assert(now.sa_handler == SIG_DFL);
}

TASK_TEST(signal, closing_tells_who_waits)
{
    weft_signals signals;
    T_OK(weft_signals_open(&signals, usr1, 1));
    struct waiting waiting = {.signals = &signals};
    weft_task *task = t_start(wait_one, &waiting);
    weft_signals_close(&signals);
    memset(&signals, 0, sizeof signals);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-EBADF, waiting.rc);
    T_ERR(-EBADF, weft_signals_wait(&signals, NULL));
}

TASK_TEST(signal, a_wait_that_was_ended_takes_none)
{
    weft_signals signals;
    T_OK(weft_signals_open(&signals, usr1, 1));
    for (int round = 0; round < 20; round++) {
        struct waiting waiting = {.signals = &signals};
        weft_task *task = t_start(wait_one, &waiting);
        if (round % 2 == 0)
            weft_task_cancel(task);
        raise(SIGUSR1);
        if (round % 4 >= 2)
            T_OK(weft_sleep(1));
        weft_task_cancel(task);
        T_OK(weft_task_join(task, NULL));
        if (waiting.rc == -ECANCELED)
            T_ERR(SIGUSR1, weft_signals_wait(&signals, NULL));
        else
            T_ERR(SIGUSR1, waiting.rc);
        T_ERR(-EAGAIN, weft_signals_try_wait(&signals, NULL));
    }
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_signals_wait(&signals, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    weft_signals_close(&signals);
}

/* ---- Dispositions ---------------------------------------------------------------------------- */

static void
users_handler(int number)
{
    (void)number;
}

TASK_TEST(signal, closing_restores_what_was_there)
{
    weft_signals signals, second;
    struct sigaction mine = {.sa_handler = users_handler}, now;
    sigaction(SIGUSR1, &mine, NULL);
    signal(SIGUSR2, SIG_IGN);
    const int both[] = {SIGUSR1, SIGUSR2};
    T_OK(weft_signals_open(&signals, both, 2));
    raise(SIGUSR2);
    T_ERR(SIGUSR2, weft_signals_wait(&signals, NULL));
    T_OK(weft_signals_open(&second, usr1, 1));
    weft_signals_close(&signals);
    sigaction(SIGUSR2, NULL, &now);
    cr_assert(now.sa_handler == SIG_IGN);
    sigaction(SIGUSR1, NULL, &now);
    cr_assert(now.sa_handler != users_handler && (now.sa_flags & SA_ONSTACK));
    weft_signals_close(&second);
    sigaction(SIGUSR1, NULL, &now);
    cr_assert(now.sa_handler == users_handler);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

TASK_TEST(signal, a_handler_put_over_ours_stays)
{
    weft_signals signals, second;
    struct sigaction now;
    T_OK(weft_signals_open(&signals, usr1, 1));
    signal(SIGUSR1, users_handler);
    T_OK(weft_signals_open(&second, usr1, 1)); /* opened later, and wants to hear */
    raise(SIGUSR1);
    T_ERR(SIGUSR1, weft_signals_wait(&second, NULL));
    T_ERR(SIGUSR1, weft_signals_wait(&signals, NULL));
    weft_signals_close(&second);
    signal(SIGUSR1, users_handler);
    weft_signals_close(&signals);
    sigaction(SIGUSR1, NULL, &now);
    cr_assert(now.sa_handler == users_handler);
    signal(SIGUSR1, SIG_DFL);
}

static int
before_cancel_main(void *arg)
{
    const int number = SIGINT;
    weft_signals signals;
    (void)arg;
    T_OK(weft_signals_open(&signals, &number, 1));
    for (int i = 0; i < 3; i++) {
        raise(SIGINT);
        T_ERR(SIGINT, weft_signals_wait(&signals, NULL));
    }
    weft_signals_close(&signals);
    raise(SIGINT); /* the first one that is for the runtime */
    return weft_sleep(WEFT_SEC(60));
}

Test(signal, goes_before_the_cancelling_of_the_main_task)
{
    struct sigaction now;
    signal(SIGINT, SIG_DFL);
    t_leak_begin();
    T_ERR(-ECANCELED, weft_run(before_cancel_main, NULL, &(weft_options){.loops = 1}));
    t_leak_end();
    sigaction(SIGINT, NULL, &now);
    cr_assert(now.sa_handler == SIG_DFL);
}

static int
nothing_main(void *arg)
{
    (void)arg;
    return 0;
}

static void *
nothing_thread(void *arg)
{
    *(int *)arg = weft_run(nothing_main, NULL, &(weft_options){.loops = 1});
    return NULL;
}

/* Runtimes come and go while it is open, and it goes while one of them stays. */
static int
outlives_main(void *arg)
{
    const int number = SIGTERM;
    weft_signals signals;
    int rc = -1;
    (void)arg;
    T_OK(weft_signals_open(&signals, &number, 1));
    t_thread_join(t_thread(nothing_thread, &rc));
    T_OK(rc);
    raise(SIGTERM);
    T_ERR(SIGTERM, weft_signals_wait(&signals, NULL));
    weft_signals_close(&signals);
    return 0;
}

Test(signal, runtimes_that_come_and_go_leave_it_alone)
{
    for (int mode = 0; mode < 2; mode++) {
        struct sigaction mine = {.sa_handler = users_handler}, now;
        sigaction(SIGTERM, &mine, NULL);
        T_OK(weft_run(outlives_main, NULL,
                      &(weft_options){.loops = 1, .signals = (weft_signal_mode)mode}));
        sigaction(SIGTERM, NULL, &now);
        cr_assert(now.sa_handler == users_handler);
    }
    signal(SIGTERM, SIG_DFL);
}

/* ---- Select ---------------------------------------------------------------------------------- */

TASK_TEST(signal, is_a_branch_of_a_select)
{
    const int two[] = {SIGUSR2};
    weft_signals first, second;
    weft_signal signal = {0};
    T_OK(weft_signals_open(&first, usr1, 1));
    T_OK(weft_signals_open(&second, two, 1));
    weft_case cases[] = {weft_case_signal(&first, &signal), weft_case_signal(&second, NULL),
                         weft_case_until(weft_now() + WEFT_SEC(5)), weft_case_signal(NULL, NULL)};
    T_ERR(-EAGAIN, weft_select_try(cases, 4));
    raise(SIGUSR1);
    T_ERR(0, weft_select(cases, 4));
    T_ERR(SIGUSR1, cases[0].result);
    cr_assert(signal.number == SIGUSR1 && signal.count == 1);
    raise(SIGUSR2);
    T_ERR(1, weft_select_try(cases, 4));
    T_ERR(SIGUSR2, cases[1].result);
    T_ERR(2, weft_select(cases, 4));
    raise(SIGUSR1); /* nothing of the select before stands in the way */
    T_ERR(SIGUSR1, weft_signals_wait(&first, NULL));
    weft_signals_close(&first);
    T_ERR(0, weft_select_try(cases, 2));
    T_ERR(-EBADF, cases[0].result);
    weft_signals_close(&second);
}

struct selecting {
    weft_signals *signals;
    int rc, result;
    weft_signal signal;
};

static int
select_one(void *arg)
{
    struct selecting *selecting = arg;
    weft_case cases[] = {weft_case_signal(selecting->signals, &selecting->signal),
                         weft_case_until(weft_now() + WEFT_SEC(500))};
    selecting->rc = weft_select(cases, 2);
    selecting->result = cases[0].result;
    return 0;
}

LOOPS_TEST(signal, wakes_a_select_and_so_does_closing, 1)
{
    weft_signals signals;
    T_OK(weft_signals_open(&signals, usr1, 1));
    for (int round = 0; round < 10; round++) {
        struct selecting selecting = {.signals = &signals};
        weft_task *task = t_start(select_one, &selecting);
        T_ERR(-EBUSY, weft_signals_wait(&signals, NULL));
        raise(SIGUSR1);
        T_OK(weft_task_join(task, NULL));
        T_ERR(0, selecting.rc);
        T_ERR(SIGUSR1, selecting.result);
        cr_assert(selecting.signal.count == 1);
    }
    struct selecting selecting = {.signals = &signals};
    weft_task *task = t_start(select_one, &selecting);
    weft_signals_close(&signals);
    memset(&signals, 0, sizeof signals);
    T_OK(weft_task_join(task, NULL));
    T_ERR(0, selecting.rc);
    T_ERR(-EBADF, selecting.result);
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int
tortured_main(void *arg)
{
    const int both[] = {SIGUSR1, SIGUSR2};
    weft_signals first, second = {{0}};
    (void)arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    int rc = weft_signals_open(&first, both, 2);
    if (rc < 0)
        goto out;
    rc = weft_signals_open(&second, both, 1);
    struct selecting selecting = {.signals = &first};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, select_one, &selecting);
    if (rc == 0)
        rc = weft_yield();
    raise(SIGUSR1);
    if (rc == 0)
        rc = weft_signals_wait(&second, NULL);
    weft_signals_close(&first);
    weft_ignore(weft_group_close(&group));
    weft_signals_close(&second);
out:
    weft_scope_close(&scope);
    return rc < 0 ? rc : 0;
}

static void
tortured_run(void *arg)
{
    signal(SIGUSR1, SIG_IGN);
    weft_ignore(
        weft_run(tortured_main, arg, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    cr_assert(now.sa_handler == SIG_IGN);
    sigaction(SIGUSR2, NULL, &now);
    cr_assert(now.sa_handler == SIG_DFL);
}

Test(signal, any_wait_allocation_or_system_call_goes_wrong)
{
    for (int from_on = 0; from_on < 2; from_on++) {
        for (int kind = 0; kind < WEFT__TORTURE_KINDS; kind++) {
            uint64_t visited = t_torture_run(&(struct t_torture){.kind = (enum weft__torture)kind,
                                                                 .from_on = from_on,
                                                                 .error = EMFILE,
                                                                 .max = 100,
                                                                 .scenario = tortured_run});
            cr_assert(visited >= 2);
        }
    }
    signal(SIGUSR1, SIG_DFL);
}
