/*
 * echo.c - what an echo server on weft costs of CPU for each request, beside raw epoll and raw
 * libevent.
 *
 * Each server is a process of its own on the first CPU, the client is this process on the second
 * one. A fixed number of requests goes to each server in turn, again and again, so that whatever
 * else the machine does meets all of them alike. CPU is the kernel's account of the server's
 * process, all threads, between the warm-up and the last reply.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/fd.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/task.h>

#include "micro/micro.h"
#include "net/load.h"
#include "rivals/rivals.h"

#define WARM_UP 5000
#define END_WITHIN_NS 5000000000 /* a server that was told to end */

static struct micro m = {.program = "echo",
                         .what =
                             "server CPU for a 64-byte request, server and client on a CPU each",
                         .repeats = 5,
                         .count = 200000};

static int server_cpu;

/* ---- Ours --------------------------------------------------------------------------------- */

static int
serve(void *arg)
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
accept_all(void *arg)
{
    weft_fd listener;
    int rc = weft_fd_open(&listener, *(int *)arg);
    while (rc == 0) {
        weft_fd *connection = malloc(sizeof *connection);
        if (connection == NULL)
            return -ENOMEM;
        rc = weft_tcp_accept(&listener, connection, NULL);
        if (rc < 0) {
            free(connection);
            break;
        }
        rc = weft_task_spawn(NULL, serve, connection, NULL);
        if (rc < 0) {
            weft_fd_close(connection);
            free(connection);
        }
    }
    weft_fd_close(&listener);
    return rc;
}

static int
weft_echo(int listener)
{
    int rc = weft_run(accept_all, &listener, &(weft_options){.loops = 1});
    return rc == -ECANCELED ? 0 : rc; /* SIGTERM ends it */
}

/* ---- One run ------------------------------------------------------------------------------ */

struct server {
    const char *name;
    int (*run)(int listener);
    bool ends_itself; /* on SIGTERM, with status 0; the others are ended by it */
};

static const struct server servers[] = {
    {"raw epoll", rival_epoll_echo, false},
    {"raw libevent", rival_libevent_echo, false},
    {"weft", weft_echo, true},
};
#define N_SERVERS (int)(sizeof servers / sizeof servers[0])
#define EPOLL 0
#define WEFT 2

static int
listen_here(uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        micro_fail(&m, "listen", -errno);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static pid_t
server_start(const struct server *server, int listener)
{
    fflush(stdout);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        micro_fail(&m, "fork", -errno);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    micro_pin(&m, server_cpu);
    int rc = server->run(listener);
    if (rc < 0)
        fprintf(stderr, "echo: %s: %s\n", server->name, strerror(-rc));
    _exit(rc < 0);
}

static void
server_end(const struct server *server, pid_t pid)
{
    kill(pid, SIGTERM);
    int status = 0;
    int64_t give_up = micro_now() + END_WITHIN_NS;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && micro_now() < give_up)
        usleep(1000);
    if (ended == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        micro_fail(&m, "a server did not end on SIGTERM", -ETIMEDOUT);
    }
    bool well = server->ends_itself ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                                    : WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    if (!well)
        micro_fail(&m, "the end of a server", 0);
}

static double
cpu_ns(clockid_t clock)
{
    struct timespec ts;
    if (clock_gettime(clock, &ts) < 0)
        micro_fail(&m, "CPU clock of a server", -errno);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Microseconds of CPU a request, and thousands of requests a second. */
static void
measure(const struct server *server, int connections, long requests, double *ret_cpu,
        double *ret_rate)
{
    uint16_t port;
    int listener = listen_here(&port);
    pid_t pid = server_start(server, listener);
    close(listener);
    clockid_t clock;
    int rc = -clock_getcpuclockid(pid, &clock);
    struct load *load = NULL;
    if (rc == 0)
        rc = load_open(&load, port, connections);
    if (rc == 0)
        rc = load_run(load, connections > WARM_UP ? connections : WARM_UP);
    double cpu_begun = cpu_ns(clock);
    int64_t begun = micro_now();
    if (rc == 0)
        rc = load_run(load, requests);
    int64_t ended = micro_now();
    *ret_cpu = (cpu_ns(clock) - cpu_begun) / (double)requests / 1e3;
    *ret_rate = (double)requests * 1e6 / (double)(ended - begun);
    if (load != NULL)
        load_close(load);
    server_end(server, pid);
    micro_check(&m, server->name, rc);
}

/* ---- All runs ----------------------------------------------------------------------------- */

static double cpus[N_SERVERS][MICRO_REPEATS_MAX];
static double rates[N_SERVERS][MICRO_REPEATS_MAX];

struct setting {
    int connections;
    double limit; /* of weft's CPU over raw epoll's; 0: none */
    const char *cpu_names[N_SERVERS];
    const char *rate_name;
    const char *ratio_name;
    const char *peers[N_SERVERS];
};

static const struct setting settings[] = {
    {.connections = 1,
     .cpu_names = {"1 connection, raw epoll", "1 connection, raw libevent", "1 connection, weft"},
     .rate_name = "1 connection, weft, served",
     .ratio_name = "1 connection, weft / raw epoll",
     .peers = {"29.2 there", "31.8 there", "tokio 27.8, libdill 34.6, Go 36.7, asyncio 41.8"}},
    {.connections = 64,
     .limit = 1.08,
     .cpu_names = {"64 connections, raw epoll", "64 connections, raw libevent",
                   "64 connections, weft"},
     .rate_name = "64 connections, weft, served",
     .ratio_name = "64 connections, weft / raw epoll",
     .peers = {"3.82 there", "3.66 there", "tokio 3.71, libdill 3.78, Go 4.55, asyncio 8.87"}},
    {.connections = 1000,
     .limit = 1.08,
     .cpu_names = {"1,000 connections, raw epoll", "1,000 connections, raw libevent",
                   "1,000 connections, weft"},
     .rate_name = "1,000 connections, weft, served",
     .ratio_name = "1,000 connections, weft / raw epoll",
     .peers = {"3.96 there", "3.79 there", "tokio 4.07, libdill 4.17, Go 5.17, asyncio 9.86"}},
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

    for (int s = 0; s < N_SERVERS; s++)
        micro_note(&m, setting->cpu_names[s], "us", setting->peers[s], cpus[s], n);
    micro_note(&m, setting->rate_name, "k/s", "", rates[WEFT], n);

    /* Each row above has sorted its values, so this is the ratio of the two medians. */
    double ratio = bench_median(cpus[WEFT], n) / bench_median(cpus[EPOLL], n);
    if (setting->limit > 0)
        micro_row(&m, setting->ratio_name, "x", setting->limit, "", &ratio, 1);
    else
        micro_note(&m, setting->ratio_name, "x", "", &ratio, 1);
}

/* The client and each server are processes of their own: each needs one for a connection. */
static void
raise_files_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        micro_fail(&m, "limit of open files", -errno);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        micro_fail(&m, "raising the limit of open files", -errno);
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "requests in a run");
    raise_files_limit();
    server_cpu = micro_cpu(0);
    int client_cpu = micro_cpu(1);
    if (client_cpu < 0)
        printf("echo: this process may use one CPU only: server and client share it\n");
    micro_pin(&m, client_cpu < 0 ? server_cpu : client_cpu);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        compare(&settings[i]);
    return micro_end(&m);
}
