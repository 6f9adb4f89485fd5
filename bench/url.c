/*
 * url.c - a URL of the user's own server: its parts, its address, and whether it answers.
 *
 * Names are looked up here, once and before anything is measured: that is not what is compared.
 */
#include "url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/error.h>

#include "args.h"
#include "child.h"

#define TRY_MS 60000 /* how long the server may take to answer the trial */

/* Splits what is behind "http://"; 0, or -1 when it is not of that form. */
static int
split(struct bench_plan *plan, const char *rest, char *name, size_t name_cap, char *port,
      size_t port_cap)
{
    size_t authority = strcspn(rest, "/?#");
    if (authority == 0 || authority >= sizeof plan->host)
        return -1;
    snprintf(plan->host, sizeof plan->host, "%.*s", (int)authority, rest);
    const char *slash = rest + authority;
    size_t path_len = strcspn(slash, "#");
    if (path_len + 2 > sizeof plan->path)
        return -1;
    snprintf(plan->path, sizeof plan->path, "%s%.*s", *slash == '/' ? "" : "/", (int)path_len,
             slash);
    for (const unsigned char *c = (const unsigned char *)rest; *c != '\0'; c++) {
        if (*c <= ' ' || *c == 127)
            return -1;
    }

    const char *begin = plan->host, *end, *colon;
    if (*begin == '[') {
        begin++;
        end = strchr(begin, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return -1;
        colon = end[1] == ':' ? end + 1 : NULL;
    } else {
        colon = strchr(begin, ':');
        end = colon != NULL ? colon : begin + strlen(begin);
    }
    uint64_t number = 80;
    if (colon != NULL && bench_number_read(colon + 1, 1, 65535, &number) < 0)
        return -1;
    if (end == begin || (size_t)(end - begin) >= name_cap ||
        memchr(begin, '@', (size_t)(end - begin)))
        return -1;
    snprintf(name, name_cap, "%.*s", (int)(end - begin), begin);
    snprintf(port, port_cap, "%u", (unsigned)number);
    return 0;
}

int
bench_url_read(struct bench_plan *plan, const char *url)
{
    char name[300], port[8], numeric[INET6_ADDRSTRLEN];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (strncasecmp(url, "https://", 8) == 0)
        return bench_complain(2, "--url: only http:// is spoken, got '%s'", url);
    if (strncasecmp(url, "http://", 7) != 0 ||
        split(plan, url + 7, name, sizeof name, port, sizeof port) < 0)
        return bench_complain(2, "--url must be http://HOST[:PORT][/PATH], got '%s'", url);
    int rc = getaddrinfo(name, port, &hints, &found);
    if (rc != 0)
        return bench_complain(3, "--url: %s cannot be resolved: %s", name, gai_strerror(rc));
    rc = getnameinfo(found->ai_addr, found->ai_addrlen, numeric, sizeof numeric, NULL, 0,
                     NI_NUMERICHOST);
    int v6 = found->ai_family == AF_INET6;
    freeaddrinfo(found);
    if (rc != 0)
        return bench_complain(3, "--url: the address of %s cannot be written: %s", name,
                              gai_strerror(rc));
    snprintf(plan->address, sizeof plan->address, v6 ? "[%s]:%s" : "%s:%s", numeric, port);
    return 0;
}

/* The trial runs in a child, so that a server that never answers can be given up. */
static void
try_in_child(const struct bench_plan *plan, int to)
{
    char input[1100];
    weft_sample_result result;
    int n = bench_input(plan, 0, input, sizeof input);
    int rc = weft_sample_fetch_plain((weft_bytes){input, (size_t)n}, &result);
    int64_t report[2] = {rc, rc < 0 ? 0 : (int64_t)result.took_ns};
    _exit(write(to, report, sizeof report) == (ssize_t)sizeof report ? 0 : 3);
}

int
bench_url_try(const struct bench_plan *plan, int64_t *ret_ns)
{
    int ends[2];
    int64_t report[2] = {-ETIMEDOUT, 0};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return bench_complain(3, "no pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        return bench_complain(3, "no process: %s", strerror(errno));
    if (pid == 0)
        try_in_child(plan, ends[1]);
    close(ends[1]);
    struct pollfd ready = {.fd = ends[0], .events = POLLIN};
    int n = poll(&ready, 1, TRY_MS);
    if (n > 0 && read(ends[0], report, sizeof report) != (ssize_t)sizeof report)
        report[0] = -EIO;
    else if (n < 0)
        report[0] = -EINTR;
    close(ends[0]);
    bench_child_kill(pid);
    if (bench_interrupted())
        return 130;
    if (report[0] < 0)
        return bench_complain(3, "http://%s%s does not answer: %s (%s)", plan->host, plan->path,
                              weft_strerror((int)report[0]), weft_errname((int)report[0]));
    *ret_ns = report[1];
    return 0;
}
