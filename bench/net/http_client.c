/*
 * http_client.c - many HTTP requests at once, each answered after a second: how long all take, and
 * how much memory the client needs for them.
 *
 * The server is a process of its own, made of tasks; the client another one, with a client on each
 * of its two loops and a task for each request. Memory is the kernel's account of the client's
 * process at its peak.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/fd.h>
#include <weft/group.h>
#include <weft/http_client.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/task.h>

#include "micro/micro.h"
#include "rivals/rivals.h"

#define DELAY WEFT_SEC(1)
#define BODY_BYTES 512
#define LOOPS 2

static struct micro m = {
    .program = "http_client",
    .what = "simultaneous requests, each answered after 1 s; two loops, a task for each request",
    .repeats = 3};

static pid_t
start(void)
{
    fflush(stdout);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        micro_fail(&m, "fork", -errno);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

/* ---- The server ----------------------------------------------------------------------------- */

static char answer[BODY_BYTES + 256];
static size_t answer_len;

static int
serve(void *arg)
{
    weft_fd *fd = arg;
    char request[1024];
    size_t have = 0;
    ssize_t n;
    while ((n = weft_fd_read(fd, request + have, sizeof request - have)) > 0) {
        have += (size_t)n;
        if (memmem(request, have, "\r\n\r\n", 4) == NULL)
            continue;
        have = 0;
        if (weft_sleep(DELAY) < 0 || weft_fd_write_all(fd, answer, answer_len, NULL) < 0)
            break;
    }
    weft_fd_close(fd);
    free(fd);
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
        if (rc == 0 && weft_task_spawn(NULL, serve, connection, NULL) == 0)
            continue;
        if (rc == 0)
            weft_fd_close(connection);
        free(connection);
    }
    weft_fd_close(&listener);
    return rc;
}

static pid_t
server_start(uint16_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 65535) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        micro_fail(&m, "listen", -errno);
    *ret_port = ntohs(address.sin_port);
    pid_t pid = start();
    if (pid == 0) {
        int n = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                         BODY_BYTES);
        memset(answer + n, 'x', BODY_BYTES);
        answer_len = (size_t)n + BODY_BYTES;
        int rc = weft_run(accept_all, &fd, &(weft_options){.loops = 1});
        _exit(rc < 0 && rc != -ECANCELED);
    }
    close(fd);
    return pid;
}

/* ---- The client ----------------------------------------------------------------------------- */

struct half {
    char url[64];
    long requests;
    weft_http_client *client;
    int rc;
};

static int
fetch(void *arg)
{
    struct half *half = arg;
    weft_http_response response;
    int rc = weft_http_fetch(half->client, &(weft_http_request){.url = half->url}, &response);
    if (rc == 0 && (response.status != 200 || response.body.len != BODY_BYTES))
        rc = -EBADMSG;
    weft_http_response_free(&response);
    return rc;
}

static int
fetch_half(void *arg)
{
    struct half *half = arg;
    int rc = weft_http_client_new(&half->client, NULL);
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    for (long i = 0; i < half->requests; i++)
        weft_group_spawn(&group, fetch, half);
    rc = weft_group_close(&group);
    if (rc < 0)
        fprintf(stderr, "http_client: %s %s\n", weft_strerror(rc), weft_error_text());
    weft_http_client_free(half->client);
    return rc;
}

static int
fetch_all(void *arg)
{
    struct half *halves = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < LOOPS; i++)
        weft_group_spawn_with(&group, fetch_half, &halves[i],
                              &(weft_task_options){.on = WEFT_ON(i)});
    return weft_group_close(&group);
}

static int
run_weft(struct half *halves)
{
    return weft_run(fetch_all, halves, &(weft_options){.loops = LOOPS});
}

/* ---- libcurl by itself ---------------------------------------------------------------------- */

static void *
fetch_half_bare(void *arg)
{
    struct half *half = arg;
    long bytes = 0;
    half->rc = rival_curl_fetch(half->url, half->requests, &bytes);
    if (half->rc == 0 && bytes != half->requests * BODY_BYTES)
        half->rc = -EBADMSG;
    return NULL;
}

static int
run_bare(struct half *halves)
{
    pthread_t threads[LOOPS];
    int rc = 0;
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    for (int i = 0; i < LOOPS; i++)
        if (pthread_create(&threads[i], NULL, fetch_half_bare, &halves[i]) != 0)
            return -EAGAIN;
    for (int i = 0; i < LOOPS; i++) {
        (void)pthread_join(threads[i], NULL);
        rc = halves[i].rc < 0 ? halves[i].rc : rc;
    }
    return rc;
}

/* ---- All runs ------------------------------------------------------------------------------- */

/* Seconds for all requests, and MiB at the peak. */
static void
measure(int (*run)(struct half *halves), long requests, double *ret_seconds, double *ret_mib)
{
    uint16_t port;
    int result[2];
    pid_t server = server_start(&port);
    if (pipe2(result, O_CLOEXEC) < 0)
        micro_fail(&m, "pipe", -errno);
    pid_t client = start();
    if (client == 0) {
        struct half halves[LOOPS];
        for (int i = 0; i < LOOPS; i++) {
            halves[i].requests = requests / LOOPS;
            snprintf(halves[i].url, sizeof halves[i].url, "http://127.0.0.1:%u/", port);
        }
        int64_t begun = micro_now();
        int rc = run(halves);
        double seconds = (double)(micro_now() - begun) / 1e9;
        if (rc == 0 && write(result[1], &seconds, sizeof seconds) != sizeof seconds)
            rc = -EIO;
        _exit(rc < 0);
    }
    struct rusage usage;
    int status;
    if (wait4(client, &status, 0, &usage) != client || !WIFEXITED(status) || status != 0)
        micro_fail(&m, "the client", -EIO);
    if (read(result[0], ret_seconds, sizeof *ret_seconds) != sizeof *ret_seconds)
        micro_fail(&m, "the client's result", -EIO);
    *ret_mib = (double)usage.ru_maxrss / 1024;
    close(result[0]);
    close(result[1]);
    kill(server, SIGTERM);
    waitpid(server, &status, 0);
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, NULL);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    static const struct {
        long requests;
        const char *names[4];
        double wall_limit, memory_limit;
    } settings[] = {{1000,
                     {"1,000 requests, wall", "1,000 requests, peak memory",
                      "1,000, libcurl by itself, wall", "1,000, libcurl by itself, memory"},
                     0,
                     0},
                    {10000,
                     {"10,000 requests, wall", "10,000 requests, peak memory",
                      "10,000, libcurl by itself, wall", "10,000, libcurl by itself, memory"},
                     1.8,
                     120}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        double seconds[2][MICRO_REPEATS_MAX], mib[2][MICRO_REPEATS_MAX];
        size_t n = (size_t)m.repeats;
        for (size_t k = 0; k < n; k++) {
            measure(run_weft, settings[i].requests, &seconds[0][k], &mib[0][k]);
            measure(run_bare, settings[i].requests, &seconds[1][k], &mib[1][k]);
        }
        const char *const *names = settings[i].names;
        if (settings[i].wall_limit > 0) {
            micro_row(&m, names[0], "s", settings[i].wall_limit, "", seconds[0], n);
            micro_row(&m, names[1], "MiB", settings[i].memory_limit, "", mib[0], n);
        } else {
            micro_note(&m, names[0], "s", "", seconds[0], n);
            micro_note(&m, names[1], "MiB", "", mib[0], n);
        }
        micro_note(&m, names[2], "s", "", seconds[1], n);
        micro_note(&m, names[3], "MiB", "", mib[1], n);
    }
    return micro_end(&m);
}
