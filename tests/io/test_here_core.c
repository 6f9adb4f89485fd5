/*
 * test_here_core.c - on a thread's private loop, alone: servers, names, datagrams, children,
 * signals, files' events, memory.
 */
#include <string.h>
#include <sys/stat.h>

#include <weft/connect.h>
#include <weft/dir.h>
#include <weft/file.h>
#include <weft/notify.h>
#include <weft/process.h>
#include <weft/resolve.h>
#include <weft/scope.h>
#include <weft/signal.h>
#include <weft/stream.h>
#include <weft/task.h>
#include <weft/udp.h>

#include "io/t_server.h"

TestSuite(here_core, .timeout = 60);

#define HERE_TEST(name)                                                                            \
    static void name##_body(void);                                                                 \
    static int name##_task(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    Test(here_core, name)                                                                          \
    {                                                                                              \
        T_OK(weft_run_here(name##_task, NULL));                                                    \
        T_OK(weft_run_here(name##_task, NULL)); /* the loop is used again */                       \
    }                                                                                              \
    static void name##_body(void)

/* ---- Servers and connections ---------------------------------------------------------------- */

static int
ask_and_stop(void *arg)
{
    struct t_served *served = arg;
    weft_stream stream;
    char bytes[8];
    T_OK(weft_connect_addresses(&stream, &served->address, 1, NULL));
    T_OK(weft_stream_write_all(&stream, "hello", 5, NULL));
    T_OK(weft_stream_read_exact(&stream, bytes, 5, NULL));
    cr_assert(memcmp(bytes, "hello", 5) == 0);
    weft_stream_close(&stream);
    weft_server_stop(served->server, WEFT_SERVER_GRACE);
    return 0;
}

HERE_TEST(a_server_serves)
{
    struct t_served served;
    weft_group group;
    T_OK(weft_server_new(&served.server,
                         &(weft_server_options){.listen = t_anywhere(), .serve = t_serve_echo}));
    T_OK(weft_server_address(served.server, 0, &served.address));
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, ask_and_stop, &served);
    T_OK(weft_server_run(served.server));
    T_OK(weft_group_close(&group));
    weft_server_free(served.server);
}

static void *
stop_soon(void *arg)
{
    usleep(20000);
    weft_server_stop(arg, WEFT_SERVER_GRACE);
    return NULL;
}

/* Nothing has been spawned by the task itself; the bell is rung by another thread. */
HERE_TEST(a_server_is_stopped_by_another_thread)
{
    weft_server *server;
    pthread_t thread;
    T_OK(weft_server_new(&server,
                         &(weft_server_options){.listen = t_anywhere(), .serve = t_serve_echo}));
    T_OK(pthread_create(&thread, NULL, stop_soon, server));
    T_OK(weft_server_run(server));
    T_OK(pthread_join(thread, NULL));
    weft_server_free(server);
}

static void *
accept_one(void *arg)
{
    int raw = accept(*(int *)arg, NULL, NULL);
    cr_assert(raw >= 0);
    cr_assert_eq(write(raw, "hello", 5), 5);
    close(raw);
    return NULL;
}

HERE_TEST(names_are_connected_to)
{
    weft_fd listener;
    weft_stream stream;
    pthread_t thread;
    char where[32], bytes[8];
    weft_address address = t_listen(&listener, NULL);
    int raw = weft_fd_release(&listener);
    T_OK(fcntl(raw, F_SETFL, 0));
    T_OK(pthread_create(&thread, NULL, accept_one, &raw));
    snprintf(where, sizeof where, "localhost:%u",
             ntohs(((struct sockaddr_in *)(void *)&address.storage)->sin_port));
    T_OK(weft_connect(&stream, where, NULL));
    T_OK(weft_stream_read_exact(&stream, bytes, 5, NULL));
    T_OK(weft_stream_read(&stream, bytes, 5));
    weft_stream_close(&stream);
    T_OK(pthread_join(thread, NULL));
    close(raw);
}

HERE_TEST(datagrams_come)
{
    weft_fd a, b;
    weft_address address;
    char bytes[8];
    T_OK(weft_address_parse(&address, "127.0.0.1:0"));
    T_OK(weft_udp_open(&a, &address, NULL));
    T_OK(weft_udp_open(&b, &address, NULL));
    T_OK(weft_fd_local_address(&b, &address));
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_udp_receive(&b, bytes, sizeof bytes));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    T_OK(weft_udp_send_to(&a, "abc", 3, &address));
    T_ERR(3, weft_udp_receive(&b, bytes, sizeof bytes));
    weft_fd_close(&a);
    weft_fd_close(&b);
}

/* ---- Children, signals ---------------------------------------------------------------------- */

HERE_TEST(children_are_waited_for)
{
    static const char *const arguments[] = {"sh", "-c", "sleep 0.02; echo out; exit 3", NULL};
    weft_process process;
    weft_process_status status;
    weft_bytes line;
    T_OK(weft_process_spawn(
        &process, &(weft_process_options){.arguments = arguments, .out.kind = WEFT_STDIO_PIPE}));
    T_ERR(1, weft_stream_read_line(&process.out, &line));
    cr_assert(line.len == 3 && memcmp(line.data, "out", 3) == 0);
    T_OK(weft_process_wait(&process, &status));
    cr_assert_eq(status.code, 3);
    weft_process_close(&process);
    weft_process_result result;
    T_OK(weft_process_run(&(weft_process_options){.arguments = arguments}, (weft_bytes){0},
                          &result));
    cr_assert_eq(result.status.code, 3);
    weft_process_result_free(&result);
}

static void *
kill_soon(void *arg)
{
    (void)arg;
    usleep(10000);
    kill(getpid(), SIGUSR2);
    return NULL;
}

HERE_TEST(signals_come)
{
    weft_signals signals;
    weft_signal signal;
    pthread_t thread;
    T_OK(weft_signals_open(&signals, (int[]){SIGUSR2}, 1));
    raise(SIGUSR2);
    T_ERR(SIGUSR2, weft_signals_wait(&signals, &signal));
    T_OK(pthread_create(&thread, NULL, kill_soon, NULL));
    T_ERR(SIGUSR2, weft_signals_wait(&signals, &signal));
    T_OK(pthread_join(thread, NULL));
    weft_signals_close(&signals);
}

/* ---- Files ---------------------------------------------------------------------------------- */

static void *
touch_soon(void *arg)
{
    usleep(10000);
    int file = open(arg, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert(file >= 0);
    close(file);
    return NULL;
}

HERE_TEST(events_of_files_come)
{
    char folder[] = "/tmp/weft-here-XXXXXX", path[64];
    weft_notify notify;
    weft_notify_event event;
    pthread_t thread;
    T_OK(weft_path_mkdir_temp(folder));
    snprintf(path, sizeof path, "%s/x", folder);
    T_OK(weft_notify_open(&notify));
    T_OK(weft_notify_add(&notify, folder, 0));
    T_OK(pthread_create(&thread, NULL, touch_soon, path));
    T_OK(weft_notify_next(&notify, &event));
    cr_assert_eq(event.kind, WEFT_NOTIFY_CREATED);
    cr_assert_str_eq(event.path, path);
    T_OK(pthread_join(thread, NULL));
    weft_notify_close(&notify);
    T_OK(weft_path_remove_tree(folder));
}

/* ---- Memory --------------------------------------------------------------------------------- */

static int
write_word(void *arg)
{
    return weft_stream_write_all(arg, "word", 4, NULL);
}

HERE_TEST(memory_streams_wait)
{
    weft_stream a, b;
    char bytes[4];
    weft_scope soon;
    T_OK(weft_stream_open_pair(&a, &b, 2));
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_stream_read(&b, bytes, 4));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, write_word, &a);
    T_OK(weft_stream_read_exact(&b, bytes, 4, NULL));
    T_OK(weft_group_close(&group));
    weft_stream_close(&a);
    weft_stream_close(&b);
}
