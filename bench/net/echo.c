/*
 * echo.c - what an echo server on weft costs of CPU for each request, by descriptors and by
 * streams, beside raw epoll and raw libevent.
 *
 * Each server is a process of its own on the first CPU, the client is this process on the second
 * one. A fixed number of requests goes to each server in turn, again and again, so that whatever
 * else the machine does meets all of them alike. CPU is the kernel's account of the server's
 * process, all threads, between the warm-up and the last reply.
 */
#include <weft/fd.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/stream.h>
#include <weft/task.h>

#include "net/load.h"
#include "net/serving.h"
#include "rivals/rivals.h"

#define WARM_UP 5000

static struct micro m = {.program = "echo",
                         .what =
                             "server CPU for a 64-byte request, server and client on a CPU each",
                         .repeats = 9,
                         .count = 100000};

static int server_cpu;

/* ---- Ours --------------------------------------------------------------------------------- */

static int
serve_fd(void *arg)
{
    weft_fd *connection = arg;
    char buf[RIVAL_BUF_BYTES];
    ssize_t n;
    while ((n = weft_fd_read(connection, buf, sizeof buf)) > 0) {
        n = weft_fd_write_all(connection, buf, (size_t)n, NULL);
        if (n < 0)
            break;
    }
    weft_fd_close(connection);
    free(connection);
    return 0; /* that a client went away is no failure of the server */
}

static int
serve_stream(void *arg)
{
    weft_stream *connection = arg;
    char buf[RIVAL_BUF_BYTES];
    ssize_t n;
    while ((n = weft_stream_read(connection, buf, sizeof buf)) > 0) {
        n = weft_stream_write_all(connection, buf, (size_t)n, NULL);
        if (n < 0)
            break;
    }
    weft_stream_close(connection);
    free(connection);
    return 0;
}

struct server {
    int listener;
    bool streams;
};

/* A connection handed to a task of its own. */
static int
take_over(const struct server *server, weft_fd *accepted)
{
    if (!server->streams)
        return weft_task_spawn(NULL, serve_fd, accepted, NULL);
    int raw = weft_fd_release(accepted);
    free(accepted);
    weft_stream *stream = malloc(sizeof *stream);
    int rc = stream != NULL ? weft_stream_open_fd(stream, raw) : -ENOMEM;
    return rc < 0 ? rc : weft_task_spawn(NULL, serve_stream, stream, NULL);
}

static int
accept_all(void *arg)
{
    const struct server *server = arg;
    weft_fd listener;
    int rc = weft_fd_open(&listener, server->listener);
    while (rc == 0) {
        weft_fd *connection = malloc(sizeof *connection);
        if (connection == NULL)
            return -ENOMEM;
        rc = weft_tcp_accept(&listener, connection, NULL);
        if (rc < 0)
            free(connection);
        else
            rc = take_over(server, connection);
    }
    weft_fd_close(&listener);
    return rc;
}

static int
run_server(int listener, bool streams)
{
    struct server server = {.listener = listener, .streams = streams};
    int rc = weft_run(accept_all, &server, &(weft_options){.loops = 1});
    return rc == -ECANCELED ? 0 : rc; /* SIGTERM ends it */
}

static int
weft_echo(int listener)
{
    return run_server(listener, false);
}

static int
weft_stream_echo(int listener)
{
    return run_server(listener, true);
}

/* ---- One run ------------------------------------------------------------------------------ */

static const struct serving servers[] = {
    {.name = "raw epoll", .run = rival_epoll_echo},
    {.name = "raw libevent", .run = rival_libevent_echo},
    {.name = "weft", .run = weft_echo, .ends_itself = true},
    {.name = "weft streams", .run = weft_stream_echo, .ends_itself = true},
};
#define N_SERVERS (int)(sizeof servers / sizeof servers[0])
enum { EPOLL, LIBEVENT, WEFT, STREAMS };

/* Microseconds of CPU a request, and thousands of requests a second. */
static void
measure(const struct serving *server, int connections, long requests, double *ret_cpu,
        double *ret_rate)
{
    struct serving_run run;
    serving_start(&m, &run, server, server_cpu);
    struct load *load = NULL;
    int rc = load_open(&load, run.port, connections);
    if (rc == 0)
        rc = load_run(load, connections > WARM_UP ? connections : WARM_UP);
    double cpu_begun = serving_cpu_ns(&m, &run);
    int64_t begun = micro_now();
    if (rc == 0)
        rc = load_run(load, requests);
    int64_t ended = micro_now();
    *ret_cpu = (serving_cpu_ns(&m, &run) - cpu_begun) / (double)requests / 1e3;
    *ret_rate = (double)requests * 1e6 / (double)(ended - begun);
    if (load != NULL)
        load_close(load);
    serving_end(&m, &run);
    micro_check(&m, server->name, rc);
}

/* ---- All runs ----------------------------------------------------------------------------- */

static double cpus[N_SERVERS][MICRO_REPEATS_MAX];
static double rates[N_SERVERS][MICRO_REPEATS_MAX];

struct setting {
    int connections;
    double limit;        /* of weft's CPU over raw epoll's; 0: none */
    double stream_limit; /* the same for streams */
    const char *cpu_names[N_SERVERS];
    const char *rate_name;
    const char *ratio_name, *stream_name;
    const char *peers[N_SERVERS];
};

static const struct setting settings[] = {
    {.connections = 1,
     .cpu_names = {"1 connection, raw epoll", "1 connection, raw libevent", "1 connection, weft",
                   "1 connection, weft streams"},
     .rate_name = "1 connection, weft, served",
     .ratio_name = "1 connection, weft / raw epoll",
     .stream_name = "1 connection, streams / raw epoll",
     .peers = {"29.2 there", "31.8 there", "tokio 27.8, libdill 34.6, Go 36.7, asyncio 41.8", ""}},
    {.connections = 64,
     .limit = 1.08,
     .stream_limit = 1.12,
     .cpu_names = {"64 connections, raw epoll", "64 connections, raw libevent",
                   "64 connections, weft", "64 connections, weft streams"},
     .rate_name = "64 connections, weft, served",
     .ratio_name = "64 connections, weft / raw epoll",
     .stream_name = "64 connections, streams / raw epoll",
     .peers = {"3.82 there", "3.66 there", "tokio 3.71, libdill 3.78, Go 4.55, asyncio 8.87", ""}},
    {.connections = 1000,
     .limit = 1.08,
     .stream_limit = 1.12,
     .cpu_names = {"1,000 connections, raw epoll", "1,000 connections, raw libevent",
                   "1,000 connections, weft", "1,000 connections, weft streams"},
     .rate_name = "1,000 connections, weft, served",
     .ratio_name = "1,000 connections, weft / raw epoll",
     .stream_name = "1,000 connections, streams / raw epoll",
     .peers = {"3.96 there", "3.79 there", "tokio 4.07, libdill 4.17, Go 5.17, asyncio 9.86", ""}},
    {.connections = 10000,
     .stream_limit = 1.12,
     .cpu_names = {"10,000 connections, raw epoll", "10,000 connections, raw libevent",
                   "10,000 connections, weft", "10,000 connections, streams"},
     .rate_name = "10,000 connections, weft, served",
     .ratio_name = "10,000 connections, weft / raw epoll",
     .stream_name = "10,000, streams / raw epoll",
     .peers = {"", "", "", ""}},
};

static void
compare(const struct setting *setting)
{
    /* A lone connection waits for the other CPU to wake each time: a tenth will do. */
    long requests = setting->connections == 1 ? m.count / 10 + 1 : m.count;
    size_t n = (size_t)m.repeats;
    for (size_t repeat = 0; repeat < n; repeat++)
        for (int s = 0; s < N_SERVERS; s++)
            measure(&servers[s], setting->connections, requests, &cpus[s][repeat],
                    &rates[s][repeat]);

    micro_ratio(&m, setting->ratio_name, setting->limit, cpus[WEFT], cpus[EPOLL], n);
    micro_ratio(&m, setting->stream_name, setting->stream_limit, cpus[STREAMS], cpus[EPOLL], n);
    for (int s = 0; s < N_SERVERS; s++)
        micro_note(&m, setting->cpu_names[s], "us", setting->peers[s], cpus[s], n);
    micro_note(&m, setting->rate_name, "k/s", "", rates[WEFT], n);
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "requests in a run");
    long files = serving_raise_files(&m);
    server_cpu = micro_cpu(0);
    int client_cpu = micro_cpu(1);
    if (client_cpu < 0)
        printf("echo: this process may use one CPU only: server and client share it\n");
    micro_pin(&m, client_cpu < 0 ? server_cpu : client_cpu);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (settings[i].connections + 64 <= files)
            compare(&settings[i]);
        else
            printf("echo: %d connections: not measured, %ld descriptors are allowed\n",
                   settings[i].connections, files);
    }
    return micro_end(&m);
}
