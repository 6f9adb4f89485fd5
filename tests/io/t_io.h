/*
 * t_io.h - what the tests of descriptors share: pairs of ends, streams whose every byte is known
 * by its place, tasks that read and note what they got.
 */
#ifndef WEFT_TESTS_IO_T_IO_H
#define WEFT_TESTS_IO_T_IO_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/fd.h>
#include <weft/group.h>
#include <weft/net.h>

#include "task/t_core.h"

/* ---- Streams whose bytes are known ---------------------------------------------------------- */

static inline unsigned char
t_byte(uint64_t seed, uint64_t at)
{
    return (unsigned char)((at * 2654435761u + (at >> 13) + seed) >> 5);
}

static inline void
t_bytes_make(unsigned char *bytes, size_t len, uint64_t seed, uint64_t at)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = t_byte(seed, at + i);
}

static inline bool
t_bytes_match(const unsigned char *bytes, size_t len, uint64_t seed, uint64_t at)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != t_byte(seed, at + i))
            return false;
    }
    return true;
}

/* One direction of a connection: sent by one task, received by another. */
struct t_stream {
    weft_fd *from;
    weft_fd *to;
    uint64_t seed;
    size_t len;      /* to send */
    size_t chunk;    /* bytes per call */
    size_t sent;     /* reported as written */
    size_t received; /* in their places */
    int send_rc;
    int receive_rc; /* 0 after the end of file */
    bool wrong;     /* a byte that is not in its place */
};

static inline int
t_stream_send(void *arg)
{
    struct t_stream *stream = arg;
    unsigned char *bytes = malloc(stream->chunk);
    stream->send_rc = 0;
    while (stream->sent < stream->len && stream->send_rc == 0) {
        size_t len = stream->len - stream->sent;
        if (len > stream->chunk)
            len = stream->chunk;
        t_bytes_make(bytes, len, stream->seed, stream->sent);
        size_t written = 0;
        stream->send_rc = weft_fd_write_all(stream->from, bytes, len, &written);
        stream->sent += written;
    }
    free(bytes);
    if (stream->send_rc == 0)
        shutdown(weft_fd_raw(stream->from), SHUT_WR);
    return stream->send_rc;
}

static inline int
t_stream_receive(void *arg)
{
    struct t_stream *stream = arg;
    unsigned char *bytes = malloc(stream->chunk);
    ssize_t n;
    while ((n = weft_fd_read(stream->to, bytes, stream->chunk)) > 0) {
        if (!t_bytes_match(bytes, (size_t)n, stream->seed, stream->received))
            stream->wrong = true;
        stream->received += (size_t)n;
    }
    free(bytes);
    stream->receive_rc = (int)n;
    return (int)n;
}

/* All of it arrived, in its place. */
static inline void
t_stream_assert(const struct t_stream *stream)
{
    cr_assert(stream->send_rc == 0 && stream->receive_rc == 0, "sending gave %d, receiving %d",
              stream->send_rc, stream->receive_rc);
    cr_assert(!stream->wrong);
    cr_assert(stream->sent == stream->len && stream->received == stream->len,
              "%zu of %zu bytes arrived", stream->received, stream->len);
}

/* ---- Ends ----------------------------------------------------------------------------------- */

static inline void
t_socketpair(int raw[2])
{
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw) == 0);
}

static inline void
t_pipe(int raw[2])
{
    cr_assert(pipe2(raw, O_CLOEXEC) == 0);
}

/* Of the sender alone: TCP with a small buffer to receive into waits for its own timers. */
static inline void
t_send_buffer(int raw, int bytes)
{
    cr_assert(setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0);
}

/* A listener on a free port of this machine. */
static inline weft_address
t_listen(weft_fd *listener, const weft_listen_options *options)
{
    weft_address address;
    T_OK(weft_address_parse(&address, "127.0.0.1:0"));
    T_OK(weft_tcp_listen(listener, &address, options));
    T_OK(weft_fd_local_address(listener, &address));
    return address;
}

/* Both ends of a TCP connection on this loop. */
static inline void
t_tcp_pair(weft_fd *client, weft_fd *server)
{
    weft_fd listener;
    weft_address address = t_listen(&listener, NULL);
    T_OK(weft_tcp_connect(client, &address));
    T_OK(weft_tcp_accept(&listener, server, NULL));
    weft_fd_close(&listener);
}

/* A TCP connection of which this loop has one end, and the test the other. */
static inline int
t_tcp_half(weft_fd *server)
{
    weft_fd listener;
    weft_address address = t_listen(&listener, NULL);
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(raw >= 0);
    cr_assert(connect(raw, (struct sockaddr *)&address.storage, address.len) == 0);
    T_OK(weft_tcp_accept(&listener, server, NULL));
    weft_fd_close(&listener);
    return raw;
}

/* Closes a socket so that the other end is reset. */
static inline void
t_reset(int raw)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    cr_assert(setsockopt(raw, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(raw);
}

/* Room for many descriptors, where the machine allows it. How many there may be. */
static inline size_t
t_raise_nofile(void)
{
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit.rlim_cur;
}

/* No descriptor can be opened until the old limit, which is returned, is set again. */
static inline rlim_t
t_forbid_descriptors(void)
{
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert(next >= 0);
    close(next);
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t old = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)next;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return old;
}

static inline void
t_allow_descriptors(rlim_t old)
{
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = old;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* ---- Tasks that do one thing and note the result -------------------------------------------- */

struct t_one {
    weft_fd *fd;
    char bytes[64];
    size_t len; /* to read or write; 0: as many as there is room for */
    ssize_t rc;
    bool done;
};

static inline int
t_one_read(void *arg)
{
    struct t_one *one = arg;
    one->rc = weft_fd_read(one->fd, one->bytes, one->len != 0 ? one->len : sizeof one->bytes);
    one->done = true;
    return 0;
}

/* Writes until that fails. */
static inline int
t_one_fill(void *arg)
{
    struct t_one *one = arg;
    static const char zeros[4096];
    do
        one->rc = weft_fd_write(one->fd, zeros, sizeof zeros);
    while (one->rc > 0);
    one->done = true;
    return 0;
}

static inline int
t_one_wait_readable(void *arg)
{
    struct t_one *one = arg;
    one->rc = weft_fd_wait_readable(one->fd);
    one->done = true;
    return 0;
}

static inline int
t_one_wait_writable(void *arg)
{
    struct t_one *one = arg;
    one->rc = weft_fd_wait_writable(one->fd);
    one->done = true;
    return 0;
}

/* Starts one and lets it come to its wait. */
static inline weft_task *
t_start(weft_task_fn *fn, void *arg)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, fn, arg, NULL));
    T_OK(weft_yield());
    return task;
}

#endif
