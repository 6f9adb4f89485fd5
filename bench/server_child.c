/*
 * server_child.c - the delay server as its parent sees it: started, asked for counts, ended.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "delay_server.h"

/* One line, which ends in a zero byte afterwards. */
static int
read_line(int fd, char *line, size_t cap)
{
    size_t len = 0;
    while (len + 1 < cap) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int n = poll(&ready, 1, 5000);
        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0)
            return -errno;
        ssize_t got = read(fd, line + len, 1);
        if (got <= 0)
            return got == 0 ? -EPIPE : -errno;
        if (line[len] == '\n') {
            line[len] = '\0';
            return 0;
        }
        len++;
    }
    return -EPROTO;
}

int
bench_server_start(struct bench_server *server, int64_t delay_ns)
{
    int ends[2];
    char delay[48], control[32], line[64];
    server->pid = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    snprintf(delay, sizeof delay, "--delay-ns=%lld", (long long)delay_ns);
    snprintf(control, sizeof control, "--control=%d", ends[1]);
    char *argv[] = {"weft-compare", "delay-server", delay, control, NULL};
    pid_t pid = bench_child_start(argv, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return pid;
    }
    server->pid = pid;
    server->control = ends[0];
    int rc = read_line(server->control, line, sizeof line);
    if (rc == 0 && sscanf(line, "%u", &server->port) != 1)
        rc = -EPROTO;
    if (rc < 0)
        bench_server_stop(server);
    return rc;
}

int
bench_server_ask(struct bench_server *server, struct bench_server_counts *ret_counts)
{
    char line[128];
    unsigned long long n[4];
    if (send(server->control, "?", 1, MSG_NOSIGNAL) != 1)
        return -errno;
    int rc = read_line(server->control, line, sizeof line);
    if (rc < 0)
        return rc;
    if (sscanf(line, "%llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3]) != 4)
        return -EPROTO;
    *ret_counts = (struct bench_server_counts){n[0], n[1], n[2], n[3]};
    return 0;
}

void
bench_server_stop(struct bench_server *server)
{
    if (server->pid == 0)
        return;
    close(server->control);
    bench_child_kill(server->pid);
    server->pid = 0;
}
