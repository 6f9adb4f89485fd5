/*
 * test_process.c - programs started with just what they were given, waited for, stopped and killed;
 * none left running and none left as a zombie, whatever goes wrong.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <weft/process.h>
#include <weft/signal.h>

#include "io/t_io.h"

TestSuite(process, .timeout = 120);

#define SH(script) ((const char *const[]){"sh", "-c", script, NULL})
#define NO_INPUT ((weft_bytes){NULL, 0})

/* These programs live on real time. */
#define PROCESS_TEST(name) LOOPS_TEST(process, name, 1)

static void
assert_output(const weft_buf *buf, const char *text)
{
    cr_assert(buf->len == strlen(text) && (buf->len == 0 || !memcmp(buf->data, text, buf->len)),
              "%.*s instead of %s", (int)buf->len, (const char *)buf->data, text);
}

/* What the script prints. */
static void
assert_prints(const char *text, const weft_process_options *options)
{
    weft_process_result result;
    T_OK(weft_process_run(options, NO_INPUT, &result));
    assert_output(&result.err, "");
    assert_output(&result.out, text);
    weft_process_result_free(&result);
}

static void
assert_gone(pid_t pid)
{
    cr_assert(kill(pid, 0) < 0 && errno == ESRCH);
}

/* ---- Its end --------------------------------------------------------------------------------- */

PROCESS_TEST(an_exit_code_is_told_as_often_as_asked)
{
    weft_process process;
    weft_process_status status;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("exit 7")}));
    pid_t pid = weft_process_pid(&process);
    cr_assert(pid > 0);
    for (int i = 0; i < 3; i++) {
        T_OK(weft_process_wait(&process, &status));
        cr_assert(status.code == 7 && status.signal == 0);
    }
    T_ERR(-ESRCH, weft_process_kill(&process, SIGTERM));
    T_ERR(WEFT_E_EXIT, weft_process_check("sh", &status));
    cr_assert_str_eq(weft_error_text(), "sh exited with code 7");
    assert_gone(pid);
    weft_process_close(&process);
    weft_process_close(&process);
    T_ERR(-EBADF, weft_process_wait(&process, NULL));
    T_ERR(-EBADF, weft_process_pid(&process));
}

PROCESS_TEST(a_signal_is_told)
{
    weft_process process;
    weft_process_status status;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("kill -9 $$")}));
    T_OK(weft_process_wait(&process, &status));
    cr_assert(status.code == -1 && status.signal == SIGKILL && status.core_dumped == 0);
    T_ERR(WEFT_E_EXIT, weft_process_check("sh", &status));
    cr_assert(strstr(weft_error_text(), "signal 9") != NULL);
    weft_process_close(&process);
}

static int
wait_for(void *arg)
{
    weft_process_status status;
    int rc = weft_process_wait(arg, &status);
    return rc < 0 ? rc : status.code;
}

PROCESS_TEST(any_number_of_tasks_may_wait)
{
    weft_process process;
    weft_task *tasks[5];
    int result;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("read x; exit 3"),
                                                              .in = {WEFT_STDIO_PIPE, 0}}));
    for (int i = 0; i < 5; i++)
        tasks[i] = t_start(wait_for, &process);
    weft_task_cancel(tasks[2]);
    T_OK(weft_task_join(tasks[2], &result));
    T_ERR(-ECANCELED, result);
    weft_stream_close(&process.in);
    for (int i = 0; i < 5; i++) {
        if (i == 2)
            continue;
        T_OK(weft_task_join(tasks[i], &result));
        cr_assert(result == 3);
    }
    weft_process_close(&process);
}

PROCESS_TEST(a_deadline_leaves_it_running)
{
    weft_process process;
    weft_process_status status;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("read x; exit $x"),
                                                              .in = {WEFT_STDIO_PIPE, 0}}));
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(20));
    T_ERR(-ETIMEDOUT, weft_process_wait(&process, &status));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_OK(weft_process_kill(&process, 0));
    T_OK(weft_stream_write_all(&process.in, "5\n", 2, NULL));
    T_OK(weft_process_wait(&process, &status));
    cr_assert(status.code == 5);
    weft_process_close(&process);
}

PROCESS_TEST(closing_kills_and_ends_every_wait)
{
    weft_process process;
    int result;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("exec sleep 1000")}));
    pid_t pid = weft_process_pid(&process);
    weft_task *task = t_start(wait_for, &process);
    weft_process_close(&process);
    assert_gone(pid);
    memset(&process, 0x55, sizeof process);
    T_OK(weft_task_join(task, &result));
    cr_assert(result == -1 || result == -EBADF); /* its end was seen, or just missed */
}

/* In the middle of a cancelled scope, too. */
PROCESS_TEST(closing_works_where_everything_is_cancelled)
{
    weft_process process;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("exec sleep 1000")}));
    pid_t pid = weft_process_pid(&process);
    weft_scope scope;
    weft_scope_open(&scope, weft_now());
    T_ERR(-ETIMEDOUT, weft_process_wait(&process, NULL));
    weft_process_close(&process);
    assert_gone(pid);
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

PROCESS_TEST(stopping_asks_first)
{
    weft_process process;
    weft_process_status status;
    char line[8];
    T_OK(weft_process_spawn(
        &process, &(weft_process_options){
                      .arguments = SH("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"),
                      .out = {WEFT_STDIO_PIPE, 0}}));
    cr_assert(weft_stream_read(&process.out, line, sizeof line) == 3);
    T_OK(weft_process_stop(&process, WEFT_SEC(60), &status));
    cr_assert(status.code == 9, "code %d signal %d", status.code, status.signal);
    T_OK(weft_process_stop(&process, WEFT_SEC(60), &status));
    weft_process_close(&process);
}

PROCESS_TEST(stopping_kills_what_does_not_listen)
{
    weft_process process;
    weft_process_status status;
    char line[8];
    T_OK(weft_process_spawn(
        &process, &(weft_process_options){
                      .arguments = SH("trap '' TERM; echo up; while :; do sleep 0.01; done"),
                      .out = {WEFT_STDIO_PIPE, 0}}));
    cr_assert(weft_stream_read(&process.out, line, sizeof line) == 3);
    T_OK(weft_process_stop(&process, WEFT_MS(50), &status));
    cr_assert(status.code == -1 && status.signal == SIGKILL);
    weft_process_close(&process);
}

PROCESS_TEST(stopping_reaches_one_that_stands_still)
{
    weft_process process;
    weft_process_status status;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("exec sleep 1000")}));
    T_OK(weft_process_kill(&process, SIGSTOP));
    T_OK(weft_process_stop(&process, WEFT_SEC(60), &status));
    cr_assert(status.signal == SIGTERM);
    weft_process_close(&process);
}

PROCESS_TEST(a_detached_one_goes_on)
{
    weft_process process;
    int status;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("exec sleep 1000")}));
    pid_t pid = weft_process_detach(&process);
    cr_assert(pid > 0 && kill(pid, 0) == 0);
    T_ERR(-EBADF, weft_process_detach(&process));
    weft_process_close(&process);
    kill(pid, SIGKILL);
    cr_assert(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH(":")}));
    T_OK(weft_process_wait(&process, NULL));
    T_ERR(-ESRCH, weft_process_detach(&process));
}

PROCESS_TEST(a_status_that_somebody_else_took_is_said_so)
{
    weft_process process;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH(":")}));
    cr_assert(waitpid(-1, NULL, 0) == weft_process_pid(&process));
    T_ERR(-ECHILD, weft_process_wait(&process, NULL));
    cr_assert(strstr(weft_error_text(), "somebody else") != NULL);
    T_ERR(-ESRCH, weft_process_kill(&process, SIGKILL));
    weft_process_close(&process);
}

PROCESS_TEST(a_group_of_its_own_is_killed_as_a_whole)
{
    for (int kind = WEFT_PROCESS_GROUP_NEW; kind <= WEFT_PROCESS_GROUP_SESSION; kind++) {
        weft_process process;
        char line[32] = "";
        T_OK(weft_process_spawn(
            &process, &(weft_process_options){.arguments = SH("sleep 1000 & echo $!; wait"),
                                              .out = {WEFT_STDIO_PIPE, 0},
                                              .group = (weft_process_group)kind}));
        pid_t pid = weft_process_pid(&process);
        cr_assert(getpgid(pid) == pid);
        cr_assert(kind == WEFT_PROCESS_GROUP_NEW ? getsid(pid) == getsid(0) : getsid(pid) == pid);
        cr_assert(weft_stream_read(&process.out, line, sizeof line - 1) > 0);
        T_OK(weft_process_kill(&process, SIGTERM));
        /* The grandchild held the other end, too. */
        cr_assert(weft_stream_read(&process.out, line, sizeof line) == 0);
        weft_process_close(&process);
    }
}

/* ---- How it starts --------------------------------------------------------------------------- */

PROCESS_TEST(a_program_that_is_none_is_named)
{
    weft_process process;
    const char *const missing[] = {"no-such-program", NULL};
    T_ERR(-ENOENT, weft_process_spawn(&process, &(weft_process_options){.arguments = missing}));
    cr_assert(strstr(weft_error_text(), "no-such-program") != NULL, "%s", weft_error_text());
    T_ERR(-EBADF, weft_process_wait(&process, NULL));
    const char *const closed[] = {"/etc/passwd", NULL};
    T_ERR(-EACCES,
          weft_process_spawn(&process, &(weft_process_options){.arguments = closed,
                                                               .in = {WEFT_STDIO_PIPE, 0},
                                                               .out = {WEFT_STDIO_PIPE, 0},
                                                               .err = {WEFT_STDIO_PIPE, 0}}));
    cr_assert(strstr(weft_error_text(), "/etc/passwd") != NULL);
    T_ERR(-ENOENT,
          weft_process_spawn(&process, &(weft_process_options){.arguments = SH(":"), .exact = 1}));
    T_ERR(-ENOENT, weft_process_spawn(&process, &(weft_process_options){.arguments = SH(":"),
                                                                        .directory = "/nowhere"}));
    cr_assert(strstr(weft_error_text(), "/nowhere") != NULL);
}

PROCESS_TEST(options_that_contradict_each_other_are_refused)
{
    weft_process process;
    const char *const none[] = {NULL};
    const weft_process_fd low = {1, 2}, high = {1, 1024}, twice[] = {{1, 5}, {2, 5}}, bad = {-1, 5};
    T_ERR(-EINVAL, weft_process_spawn(&process, &(weft_process_options){0}));
    T_ERR(-EINVAL, weft_process_spawn(&process, &(weft_process_options){.arguments = none}));
    weft_process_options options = {.arguments = SH(":"), .out = {WEFT_STDIO_STDOUT, 0}};
    T_ERR(-EINVAL, weft_process_spawn(&process, &options));
    options.out = (weft_stdio){WEFT_STDIO_FD, -1};
    T_ERR(-EBADF, weft_process_spawn(&process, &options));
    options.out = (weft_stdio){WEFT_STDIO_FD, 987};
    T_ERR(-EBADF, weft_process_spawn(&process, &options));
    options.out = (weft_stdio){WEFT_STDIO_NULL, 0};
    options.fds = &low, options.n_fds = 1;
    T_ERR(-EINVAL, weft_process_spawn(&process, &options));
    options.fds = &high;
    T_ERR(-EINVAL, weft_process_spawn(&process, &options));
    options.fds = &bad;
    T_ERR(-EBADF, weft_process_spawn(&process, &options));
    options.fds = twice, options.n_fds = 2;
    T_ERR(-EINVAL, weft_process_spawn(&process, &options));
    weft_process_result result;
    T_ERR(-EINVAL, weft_process_run(
                       &(weft_process_options){.arguments = SH(":"), .in = {WEFT_STDIO_NULL, 0}},
                       (weft_bytes){"x", 1}, &result));
    cr_assert(result.status.code == -1);
}

PROCESS_TEST(it_has_the_environment_directory_and_name_it_was_given)
{
    const char *const environment[] = {"WORD=weft", NULL};
    const char *const named[] = {"other", "-c", "echo $0", NULL};
    assert_prints("weft /\n", &(weft_process_options){.arguments = SH("echo $WORD $(pwd)"),
                                                      .environment = environment,
                                                      .directory = "/"});
    assert_prints("other\n", &(weft_process_options){.arguments = named, .program = "/bin/sh"});
}

/* Which descriptors below 1024 a process has, as text. */
static const char *
descriptors_of(pid_t pid, char text[256])
{
    text[0] = '\0';
    for (int fd = 0; fd < 1024; fd++) {
        char path[64];
        struct stat status;
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        if (lstat(path, &status) == 0)
            snprintf(text + strlen(text), 256 - strlen(text), "%d ", fd);
    }
    return text;
}

/* Leaky descriptors do not go with it; those listed do, crossed over if need be. */
PROCESS_TEST(it_has_the_descriptors_it_was_given_and_no_others)
{
    int leaked[2], given[2];
    cr_assert(pipe(leaked) == 0); /* without O_CLOEXEC */
    int far = fcntl(leaked[0], F_DUPFD, 500);
    cr_assert(far >= 500);
    t_pipe(given);
    const weft_process_fd fds[] = {{given[1], 3}, {leaked[1], given[1]}, {given[1], 77}};
    weft_process process;
    char text[256], expected[256];
    T_OK(weft_process_spawn(&process,
                            &(weft_process_options){.arguments = SH("echo hello >&3; exec cat"),
                                                    .in = {WEFT_STDIO_PIPE, 0},
                                                    .out = {WEFT_STDIO_PIPE, 0},
                                                    .fds = fds,
                                                    .n_fds = 3}));
    T_OK(weft_stream_write_all(&process.in, "up", 2, NULL));
    T_OK(weft_stream_read_exact(&process.out, text, 2, NULL)); /* it is cat by now */
    snprintf(expected, sizeof expected, "0 1 2 3 %d 77 ", given[1]);
    cr_assert(given[1] > 3 && given[1] < 77);
    cr_assert_str_eq(descriptors_of(weft_process_pid(&process), text), expected);
    cr_assert(read(given[0], text, sizeof text) == 6 && memcmp(text, "hello\n", 6) == 0);
    weft_process_close(&process);
    close(leaked[0]), close(leaked[1]), close(given[0]), close(given[1]), close(far);
}

PROCESS_TEST(standard_descriptors_go_where_they_were_sent)
{
    weft_process_result result;
    assert_prints("both\nboth\n",
                  &(weft_process_options){.arguments = SH("echo both; echo both >&2"),
                                          .err = {WEFT_STDIO_STDOUT, 0}});
    T_OK(weft_process_run(&(weft_process_options){.arguments = SH("echo lost; echo kept >&2"),
                                                  .out = {WEFT_STDIO_NULL, 0}},
                          NO_INPUT, &result));
    assert_output(&result.out, "");
    assert_output(&result.err, "kept\n");
    weft_process_result_free(&result);

    int ends[2];
    char text[16];
    t_pipe(ends);
    T_OK(weft_process_run(&(weft_process_options){.arguments = SH("cat >&2; echo x"),
                                                  .out = {WEFT_STDIO_FD, ends[1]}},
                          (weft_bytes){"in", 2}, &result));
    assert_output(&result.err, "in");
    weft_process_result_free(&result);
    cr_assert(read(ends[0], text, sizeof text) == 2 && memcmp(text, "x\n", 2) == 0);
    close(ends[0]), close(ends[1]);
    /* A child's own end blocks, as programs expect. */
    assert_prints(
        "blocks\n",
        &(weft_process_options){
            .arguments = SH("case $(grep flags /proc/self/fdinfo/1) in "
                            "*[4-7][0-7][0-7][0-7]) echo non-blocking;; *) echo blocks;; esac")});
}

PROCESS_TEST(works_when_the_caller_has_no_standard_descriptors)
{
    int saved[3];
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
        close(i);
    }
    weft_process_result result;
    int rc = weft_process_run(&(weft_process_options){.arguments = SH("cat; echo err >&2")},
                              (weft_bytes){"text", 4}, &result);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    T_OK(rc);
    assert_output(&result.out, "text");
    assert_output(&result.err, "err\n");
    weft_process_result_free(&result);
}

PROCESS_TEST(signals_are_as_new_in_the_child)
{
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    weft_process_result result;
    T_OK(weft_process_run(
        &(weft_process_options){.arguments =
                                    (const char *const[]){"cat", "/proc/self/status", NULL}},
        NO_INPUT, &result));
    T_OK(weft_buf_append(&result.out, "", 1));
    /* Without two that are the C library's own affair. */
    const char *text = (const char *)result.out.data;
    cr_assert((strtoull(strstr(text, "SigBlk:") + 7, NULL, 16) & ~(3ull << 31)) == 0);
    cr_assert((strtoull(strstr(text, "SigIgn:") + 7, NULL, 16) & ~(3ull << 31)) == 0);
    weft_process_result_free(&result);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
}

/* ---- Input and outputs ----------------------------------------------------------------------- */

PROCESS_TEST(its_pipes_are_streams)
{
    weft_process process;
    weft_bytes line;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("cat; echo e >&2"),
                                                              .in = {WEFT_STDIO_PIPE, 0},
                                                              .out = {WEFT_STDIO_PIPE, 0},
                                                              .err = {WEFT_STDIO_PIPE, 0}}));
    for (int i = 0; i < 10; i++) {
        T_OK(weft_stream_write_all(&process.in, "ping\n", 5, NULL));
        T_ERR(1, weft_stream_read_line(&process.out, &line));
        cr_assert(line.len == 4 && memcmp(line.data, "ping", 4) == 0);
    }
    T_OK(weft_stream_shutdown(&process.in));
    T_ERR(0, weft_stream_read_line(&process.out, &line));
    T_ERR(1, weft_stream_read_line(&process.err, &line));
    T_OK(weft_process_wait(&process, NULL));
    weft_process_close(&process);
}

PROCESS_TEST(much_goes_through_in_both_directions)
{
    size_t len = (size_t)(4 << 20) / T_SLOW;
    unsigned char *bytes = malloc(len);
    t_bytes_make(bytes, len, 1, 0);
    weft_process_result result;
    T_OK(weft_process_run(&(weft_process_options){.arguments = SH("tee /dev/fd/2"), .check = 1},
                          (weft_bytes){bytes, len}, &result));
    cr_assert(result.out.len == len && t_bytes_match(result.out.data, len, 1, 0));
    cr_assert(result.err.len == len && t_bytes_match(result.err.data, len, 1, 0));
    weft_process_result_free(&result);
    free(bytes);
}

PROCESS_TEST(input_that_is_not_read_is_no_failure)
{
    size_t len = 1 << 20;
    unsigned char *bytes = calloc(1, len);
    weft_process_result result;
    T_OK(weft_process_run(&(weft_process_options){.arguments = SH("exec <&-; echo done")},
                          (weft_bytes){bytes, len}, &result));
    assert_output(&result.out, "done\n");
    weft_process_result_free(&result);
    free(bytes);
}

PROCESS_TEST(output_over_the_limit_ends_it)
{
    weft_process_result result;
    T_ERR(-EMSGSIZE,
          weft_process_run(&(weft_process_options){.arguments = SH("exec yes"), .max_output = 1000},
                           NO_INPUT, &result));
    cr_assert(result.out.len == 1000);
    cr_assert(strstr(weft_error_text(), "1000 bytes") != NULL);
    cr_assert(result.status.signal != 0);
    weft_process_result_free(&result);
    T_OK(weft_process_run(&(weft_process_options){.arguments = SH("printf 12345"), .max_output = 5},
                          NO_INPUT, &result));
    weft_process_result_free(&result);
}

PROCESS_TEST(a_run_can_be_asked_to_check)
{
    weft_process_result result;
    weft_process_options options = {.arguments = SH("echo why >&2; exit 4")};
    T_OK(weft_process_run(&options, NO_INPUT, &result));
    cr_assert(result.status.code == 4);
    weft_process_result_free(&result);
    options.check = 1;
    T_ERR(WEFT_E_EXIT, weft_process_run(&options, NO_INPUT, &result));
    cr_assert_str_eq(weft_error_text(), "sh exited with code 4");
    assert_output(&result.err, "why\n");
    weft_process_result_free(&result);
}

PROCESS_TEST(a_run_past_its_deadline_is_stopped_and_says_why)
{
    weft_process_result result;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(300));
    T_ERR(-ETIMEDOUT,
          weft_process_run(&(weft_process_options){.arguments = SH("echo part; exec sleep 1000")},
                           NO_INPUT, &result));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    cr_assert(result.status.signal == SIGTERM || result.status.signal == SIGPIPE);
    weft_process_result_free(&result);
    weft_scope_open(&scope, weft_now() + WEFT_MS(300));
    T_ERR(-ETIMEDOUT, weft_process_run(
                          &(weft_process_options){
                              .arguments = SH("trap '' TERM; echo part; while :; do sleep 1; done"),
                              .grace = WEFT_MS(50)},
                          NO_INPUT, &result));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    cr_assert(result.status.signal == SIGKILL || result.status.signal == SIGTERM);
    weft_process_result_free(&result);
}

static int
run_true(void *arg)
{
    weft_process_result result;
    (void)arg;
    int rc = weft_process_run(&(weft_process_options){.arguments = SH("cat; exit 0"), .check = 1},
                              (weft_bytes){"abc", 3}, &result);
    cr_assert(rc < 0 || result.out.len == 3);
    weft_process_result_free(&result);
    return rc;
}

LOOPS_TEST(process, many_run_at_once_on_several_loops, 3)
{
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 12});
    for (int i = 0; i < 60 / T_SLOW; i++)
        weft_group_spawn_with(&group, run_true, NULL, &(weft_task_options){.on = WEFT_ON(i % 3)});
    T_OK(weft_group_close(&group));
}

static void *
here_thread(void *arg)
{
    *(int *)arg = weft_run_here(run_true, NULL);
    return NULL;
}

Test(process, runs_on_a_private_loop)
{
    int rc = -1;
    t_leak_begin();
    t_thread_join(t_thread(here_thread, &rc));
    T_OK(rc);
    t_leak_end();
}

static int
wait_here(void *arg)
{
    weft_process process;
    (void)arg;
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("sleep 0.05")}));
    T_OK(weft_process_wait(&process, NULL)); /* still alone: polled without a poller */
    weft_process_close(&process);
    T_OK(weft_process_spawn(&process, &(weft_process_options){.arguments = SH("exec sleep 1000")}));
    weft_process_close(&process);
    return 0;
}

static void *
wait_here_thread(void *arg)
{
    *(int *)arg = weft_run_here(wait_here, NULL);
    return NULL;
}

Test(process, is_waited_for_without_a_poller)
{
    int rc = -1;
    t_leak_begin();
    t_thread_join(t_thread(wait_here_thread, &rc));
    T_OK(rc);
    t_leak_end();
}

TASK_TEST(process, works_with_the_virtual_clock)
{
    T_OK(run_true(NULL));
}

/* ---- Without pidfds -------------------------------------------------------------------------- */

/* From here on this process has a kernel that knows none. */
static void
forbid_pidfds(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    cr_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    cr_assert(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
    cr_assert(syscall(SYS_pidfd_open, getpid(), 0) < 0 && errno == ENOSYS);
}

static int
without_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        process_an_exit_code_is_told_as_often_as_asked_body();
    process_any_number_of_tasks_may_wait_body();
    process_a_deadline_leaves_it_running_body();
    process_closing_kills_and_ends_every_wait_body();
    process_stopping_asks_first_body();
    process_stopping_kills_what_does_not_listen_body();
    process_a_group_of_its_own_is_killed_as_a_whole_body();
    process_a_run_can_be_asked_to_check_body();
    /* Other children's ends are told of as well. */
    weft_process first, second;
    T_OK(weft_process_spawn(
        &first, &(weft_process_options){.arguments = SH("read x"), .in = {WEFT_STDIO_PIPE, 0}}));
    weft_task *task = t_start(wait_for, &first);
    T_OK(weft_process_spawn(&second, &(weft_process_options){.arguments = SH(":")}));
    T_OK(weft_process_wait(&second, NULL));
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert(weft_task_get_state(task) == WEFT_TASK_WAITING);
    weft_process_close(&first);
    T_OK(weft_task_join(task, NULL));
    weft_process_close(&second);
    return 0;
}

Test(process, is_waited_for_where_there_are_no_pidfds)
{
    struct sigaction now;
    int rc = -1;
    signal(SIGCHLD, SIG_IGN); /* which would have the kernel throw every status away */
    forbid_pidfds();
    t_run_loops(without_main, NULL, 1);
    t_leak_begin();
    t_thread_join(t_thread(wait_here_thread, &rc));
    T_OK(rc);
    t_leak_end();
    sigaction(SIGCHLD, NULL, &now);
    cr_assert(now.sa_handler == SIG_IGN);
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int
tortured_main(void *arg)
{
    (void)arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    int rc = run_true(NULL);
    weft_process process;
    if (weft_process_spawn(&process, &(weft_process_options){.arguments = SH("exec sleep 1000"),
                                                             .out = {WEFT_STDIO_PIPE, 0}}) == 0) {
        weft_task *task = NULL;
        weft_ignore(weft_task_spawn(&task, wait_for, &process, NULL));
        weft_ignore(weft_yield());
        weft_ignore(weft_process_stop(&process, WEFT_SEC(10), NULL));
        weft_process_close(&process);
        if (task != NULL && weft_task_join(task, NULL) < 0)
            weft_task_close(task);
    }
    weft_scope_close(&scope);
    return rc;
}

static void
tortured_run(void *arg)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    weft_ignore(
        weft_run(tortured_main, arg, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    clock_gettime(CLOCK_MONOTONIC, &now);
    cr_assert(now.tv_sec - start.tv_sec < 9, "a wait that nothing ended");
}

static void
torture(enum weft__torture kind, bool from_on, int error)
{
    uint64_t visited = t_torture_run(&(struct t_torture){.kind = kind,
                                                         .from_on = from_on,
                                                         .error = error,
                                                         .max = 200 / T_SLOW,
                                                         .scenario = tortured_run});
    cr_assert(visited >= 5, "only %lu points", (unsigned long)visited);
}

Test(process, any_wait_is_cancelled_or_runs_into_a_deadline)
{
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_CANCEL, true, 0);
    torture(WEFT__TORTURE_DEADLINE, false, 0);
    torture(WEFT__TORTURE_DEADLINE, true, 0);
}

Test(process, any_allocation_fails)
{
    torture(WEFT__TORTURE_ALLOC, false, 0);
    torture(WEFT__TORTURE_ALLOC, true, 0);
}

Test(process, any_system_call_fails)
{
    torture(WEFT__TORTURE_SYSCALL, false, EMFILE);
    torture(WEFT__TORTURE_SYSCALL, false, EAGAIN);
    torture(WEFT__TORTURE_SYSCALL, false, EINTR);
    torture(WEFT__TORTURE_SYSCALL, true, EMFILE);
    torture(WEFT__TORTURE_SYSCALL, true, ENOMEM);
}

Test(process, any_system_call_fails_where_there_are_no_pidfds)
{
    forbid_pidfds();
    torture(WEFT__TORTURE_SYSCALL, false, EMFILE);
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_SYSCALL, true, ENOMEM);
    struct sigaction now;
    sigaction(SIGCHLD, NULL, &now);
    cr_assert(now.sa_handler == SIG_DFL);
}
