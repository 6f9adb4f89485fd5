/*
 * fetch.c - a job that gets one HTTP response: as a task, and with a socket that blocks.
 *
 * The request's bytes, the socket's options and the ramp are the same in both. The ramp: no more
 * connects in progress at once, in one process, than half of what a listener's queue holds, so
 * that ten thousand jobs do not overflow it and wait for the kernel to send SYN again.
 */
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include <weft/fd.h>
#include <weft/net.h>
#include <weft/sync.h>

#include "http.h"

static pthread_once_t ramp_once = PTHREAD_ONCE_INIT;
static weft_semaphore ramp;
static sem_t ramp_plain;

unsigned
weft_sample_connects_max(void)
{
    char text[16];
    uint64_t limit = 0;
    int fd = open("/proc/sys/net/core/somaxconn", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (n > 0 && text[n - 1] == '\n')
        n--;
    weft_bytes digits = {text, n > 0 ? (size_t)n : 0};
    if (weft_sample_number(&digits, &limit) < 0 || limit > 65536)
        limit = 4096;
    return limit < 2 ? 1 : (unsigned)limit / 2;
}

static void
ramp_open(void)
{
    unsigned connects = weft_sample_connects_max();
    weft_ignore(weft_semaphore_open(&ramp, connects)); /* fails for billions only */
    sem_init(&ramp_plain, 0, connects);
}

static int
fetch_begin(weft_bytes in, weft_sample_result *result, struct sample_target *target)
{
    pthread_once(&ramp_once, ramp_open);
    int rc = weft_sample_begin(result, "fetch", &in);
    return rc < 0 ? rc : sample_target_read(target, &in);
}

static void
fetch_end(weft_sample_result *result, const struct sample_http *http)
{
    result->status = http->status;
    result->length = http->seen;
    result->value = http->hash;
    weft_sample_end(result);
}

static int
exchange(weft_fd *fd, const struct sample_target *target, struct sample_http *http)
{
    /* Holds the request, then the response: a frame that stays within the task's first page. */
    char buf[1024];
    ssize_t n = sample_http_request(target, buf, sizeof buf);
    if (n < 0)
        return (int)n;
    int rc = weft_fd_write_all(fd, buf, (size_t)n, NULL);
    if (rc < 0)
        return rc;
    sample_http_begin(http);
    do {
        n = weft_fd_read(fd, buf, sizeof buf);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return sample_http_eof(http);
        rc = sample_http_feed(http, buf, (size_t)n);
    } while (rc == 0);
    return rc < 0 ? rc : 0;
}

static int
connect_in_turn(weft_fd *fd, const struct sample_target *target)
{
    weft_address address;
    address.storage = target->address;
    address.len = target->address_len;
    int rc = weft_semaphore_acquire(&ramp);
    if (rc < 0)
        return rc;
    rc = weft_tcp_connect(fd, &address);
    weft_semaphore_release(&ramp);
    return rc;
}

int
weft_sample_fetch(weft_bytes in, weft_buf *out)
{
    weft_sample_result result;
    struct sample_target target;
    struct sample_http http;
    weft_fd fd;
    int rc = fetch_begin(in, &result, &target);
    if (rc == 0)
        rc = connect_in_turn(&fd, &target);
    if (rc < 0)
        return rc;
    rc = exchange(&fd, &target, &http);
    weft_fd_close(&fd);
    if (rc < 0)
        return rc;
    fetch_end(&result, &http);
    return weft_sample_result_write(out, &result);
}

static int
exchange_plain(int fd, const struct sample_target *target, struct sample_http *http)
{
    char buf[1024];
    ssize_t n = sample_http_request(target, buf, sizeof buf);
    if (n < 0)
        return (int)n;
    for (size_t sent = 0, len = (size_t)n; sent < len; sent += (size_t)n) {
        n = send(fd, buf + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0)
            return -errno;
    }
    sample_http_begin(http);
    int rc;
    do {
        n = recv(fd, buf, sizeof buf, 0);
        if (n < 0)
            return -errno;
        if (n == 0)
            return sample_http_eof(http);
        rc = sample_http_feed(http, buf, (size_t)n);
    } while (rc == 0);
    return rc < 0 ? rc : 0;
}

int
weft_sample_fetch_plain(weft_bytes in, weft_sample_result *ret_result)
{
    struct sample_target target;
    struct sample_http http;
    int rc = fetch_begin(in, ret_result, &target);
    if (rc < 0)
        return rc;

    while (sem_wait(&ramp_plain) < 0 && errno == EINTR)
        continue;
    int one = 1;
    int fd = socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        rc = -errno;
    if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        rc = -errno;
    if (rc == 0 && connect(fd, (struct sockaddr *)&target.address, target.address_len) < 0)
        rc = -errno;
    sem_post(&ramp_plain);

    if (rc == 0)
        rc = exchange_plain(fd, &target, &http);
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        return rc;
    fetch_end(ret_result, &http);
    return 0;
}

int
weft_sample_fetch_blocking(weft_bytes in, weft_buf *out)
{
    weft_sample_result result;
    int rc = weft_sample_fetch_plain(in, &result);
    return rc < 0 ? rc : weft_sample_result_write(out, &result);
}
