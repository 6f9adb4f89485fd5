/*
 * udp.c - datagram sockets.
 *
 * A datagram goes out whole or not at all, so several tasks may send through one socket: the first
 * that finds no room waits for it, the others come back a little later. How many datagrams a call
 * gave tells nothing about those left behind: only EAGAIN does.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <weft/task.h>
#include <weft/udp.h>

#include "base/assert.h"
#include "io/fd_priv.h"
#include "task/task_priv.h"

#define BATCH 32           /* datagrams of one system call */
#define NO_BUFFERS_TRIES 8 /* a quarter of a second, all in all */
#define PAUSE_MAX WEFT_MS(32)

/* ---- Opening -------------------------------------------------------------------------------- */

static int
set_options(int raw, sa_family_t family, const weft_udp_options *options)
{
    int rc = 0;
    if (family == AF_INET6) /* said either way: the system's default is an administrator's */
        rc = weft__sys_setsockopt_int(raw, IPPROTO_IPV6, IPV6_V6ONLY, options->v6only != 0);
    if (rc == 0 && options->reuse_address)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && options->reuse_port)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && options->broadcast)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_BROADCAST, 1);
    if (rc == 0 && options->send_buffer != 0)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_SNDBUF, options->send_buffer);
    if (rc == 0 && options->receive_buffer != 0)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_RCVBUF, options->receive_buffer);
    return rc;
}

int
weft_udp_open(weft_fd *public, const weft_address *address, const weft_udp_options *given)
{
    weft__assert(weft__task_self() != NULL, "a datagram socket is opened by a task");
    static const weft_udp_options defaults;
    const weft_udp_options *options = given != NULL ? given : &defaults;
    sa_family_t family = address->storage.ss_family;
    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    int raw = weft__sys_socket(family, SOCK_DGRAM, 0);
    if (raw < 0)
        return raw;
    int rc = set_options(raw, family, options);
    if (rc == 0)
        rc = weft__sys_bind(raw, (const struct sockaddr *)&address->storage, address->len);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    weft__fd_init((struct weft__fd *)(void *)public, raw, WEFT__FD_OTHER);
    return 0;
}

int
weft_udp_connect(weft_fd *public, const weft_address *peer)
{
    const struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    static const weft_address nobody = {.storage.ss_family = AF_UNSPEC,
                                        .len = sizeof(struct sockaddr)};
    if (peer == NULL)
        peer = &nobody;
    int rc;
    do
        rc = weft__sys_connect(fd->raw, (const struct sockaddr *)&peer->storage, peer->len);
    while (rc == -EINTR);
    return rc;
}

static int
membership(const weft_fd *public, const weft_address *group, unsigned interface, bool join)
{
    const struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    int family;
    int rc = weft__sys_getsockopt_int(fd->raw, SOL_SOCKET, SO_DOMAIN, &family);
    if (rc < 0)
        return rc;
    if (family != group->storage.ss_family)
        return -EAFNOSUPPORT;
    if (family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&group->storage;
        struct ip_mreqn request = {.imr_multiaddr = in->sin_addr, .imr_ifindex = (int)interface};
        return weft__sys_setsockopt(fd->raw, IPPROTO_IP,
                                    join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request,
                                    sizeof request);
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&group->storage;
    struct ipv6_mreq request = {.ipv6mr_multiaddr = in6->sin6_addr, .ipv6mr_interface = interface};
    return weft__sys_setsockopt(fd->raw, IPPROTO_IPV6,
                                join ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, &request,
                                sizeof request);
}

int
weft_udp_join(weft_fd *socket, const weft_address *group, unsigned interface)
{
    return membership(socket, group, interface, true);
}

int
weft_udp_leave(weft_fd *socket, const weft_address *group, unsigned interface)
{
    return membership(socket, group, interface, false);
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* Until it may be worth while to try again, after the kernel said `error`. No edge tells of an end
 * of ENOBUFS, nor a second sender of room. */
static int
wait_for_room(weft_fd *public, int error, unsigned *tries)
{
    struct weft__fd *fd = weft__fd_of(public);
    if (error == -EAGAIN && fd->writer == NULL) {
        fd->writable = false;
        return weft__fd_wait(fd, WEFT__WRITABLE);
    }
    if (error == -ENOBUFS && *tries >= NO_BUFFERS_TRIES)
        return error;
    weft_time pause = *tries < 6 ? WEFT_MS(1) << *tries : PAUSE_MAX;
    (*tries)++;
    return weft_sleep(pause);
}

/* Puts up to n, at most BATCH, datagrams to the kernel, waiting for the first: how many it took. */
static ssize_t
send_some(weft_fd *public, struct mmsghdr *messages, size_t n)
{
    unsigned tries = 0;
    for (;;) {
        const struct weft__fd *fd = weft__fd_of(public);
        if (fd == NULL)
            return -EBADF;
        int error = -EAGAIN;
        if (fd->writable || fd->writer != NULL) {
            ssize_t sent = n == 1 ? weft__sys_sendmsg(fd->raw, &messages[0].msg_hdr, 0)
                                  : weft__sys_sendmmsg(fd->raw, messages, (unsigned)n, 0);
            if (sent >= 0)
                return n == 1 ? 1 : sent;
            error = (int)sent;
        }
        if (error != -EAGAIN && error != -ENOBUFS)
            return error;
        int rc = wait_for_room(public, error, &tries);
        if (rc < 0)
            return rc;
    }
}

static void
address_message(struct msghdr *header, const weft_address *to)
{
    if (to != NULL && to->len > 0) {
        header->msg_name = (void *)(uintptr_t)&to->storage;
        header->msg_namelen = to->len;
    }
}

int
weft_udp_send_to(weft_fd *socket, const void *buf, size_t len, const weft_address *to)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
    address_message(&message.msg_hdr, to);
    ssize_t sent = send_some(socket, &message, 1);
    return sent < 0 ? (int)sent : 0;
}

int
weft_udp_send(weft_fd *socket, const void *buf, size_t len)
{
    return weft_udp_send_to(socket, buf, len, NULL);
}

int
weft_udp_send_many(weft_fd *socket, const weft_datagram *datagrams, size_t n, size_t *ret_sent)
{
    size_t sent = 0;
    int rc;
    do {
        rc = weft_checkpoint();
        if (rc < 0 || n == 0)
            break;
        struct mmsghdr messages[BATCH] = {{.msg_len = 0}};
        struct iovec vectors[BATCH];
        size_t some = n - sent < BATCH ? n - sent : BATCH;
        for (size_t i = 0; i < some; i++) {
            const weft_datagram *datagram = &datagrams[sent + i];
            vectors[i] = (struct iovec){.iov_base = datagram->data, .iov_len = datagram->len};
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            address_message(&messages[i].msg_hdr, &datagram->peer);
        }
        ssize_t taken = send_some(socket, messages, some);
        if (taken < 0)
            rc = (int)taken;
        else
            sent += (size_t)taken;
    } while (rc == 0 && sent < n);
    if (ret_sent != NULL)
        *ret_sent = sent;
    return rc;
}

/* ---- Receiving ------------------------------------------------------------------------------ */

/* Takes up to n, at most BATCH, datagrams, waiting for the first: how many. */
static ssize_t
receive_some(weft_fd *public, struct mmsghdr *messages, size_t n)
{
    struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    if (fd->reader != NULL)
        return -EBUSY;
    for (;;) {
        if (fd->readable) {
            ssize_t got;
            if (n == 1) {
                got = weft__sys_recvmsg(fd->raw, &messages[0].msg_hdr, MSG_TRUNC);
                if (got >= 0) {
                    messages[0].msg_len = (unsigned)got;
                    got = 1;
                }
            } else {
                got = weft__sys_recvmmsg(fd->raw, messages, (unsigned)n, MSG_TRUNC);
            }
            if (got != -EAGAIN)
                return got;
            fd->readable = false;
        }
        int rc = weft__fd_wait(fd, WEFT__READABLE);
        if (rc < 0)
            return rc;
    }
}

static void
prepare_message(struct msghdr *header, struct iovec *vector, weft_address *peer)
{
    *header = (struct msghdr){.msg_iov = vector, .msg_iovlen = 1};
    if (peer != NULL) {
        header->msg_name = &peer->storage;
        header->msg_namelen = sizeof peer->storage;
    }
}

ssize_t
weft_udp_receive_from(weft_fd *socket, void *buf, size_t len, weft_address *ret_from,
                      size_t *ret_size)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct iovec vector = {.iov_base = buf, .iov_len = len};
    struct mmsghdr message = {.msg_len = 0};
    prepare_message(&message.msg_hdr, &vector, ret_from);
    ssize_t got = receive_some(socket, &message, 1);
    if (got < 0)
        return got;
    size_t size = message.msg_len;
    if (ret_from != NULL)
        ret_from->len = message.msg_hdr.msg_namelen;
    if (ret_size != NULL)
        *ret_size = size;
    else if (size > len)
        return -EMSGSIZE;
    return (ssize_t)(size < len ? size : len);
}

ssize_t
weft_udp_receive(weft_fd *socket, void *buf, size_t len)
{
    return weft_udp_receive_from(socket, buf, len, NULL, NULL);
}

ssize_t
weft_udp_receive_many(weft_fd *socket, weft_datagram *datagrams, size_t n)
{
    weft__assert(n > 0, "datagrams are received into one or more of them");
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    if (n > BATCH)
        n = BATCH;
    for (size_t i = 0; i < n; i++) {
        vectors[i] = (struct iovec){.iov_base = datagrams[i].data, .iov_len = datagrams[i].len};
        messages[i].msg_len = 0;
        prepare_message(&messages[i].msg_hdr, &vectors[i], &datagrams[i].peer);
    }
    ssize_t got = receive_some(socket, messages, n);
    for (ssize_t i = 0; i < got; i++) {
        weft_datagram *datagram = &datagrams[i];
        datagram->size = messages[i].msg_len;
        if (datagram->size < datagram->len)
            datagram->len = datagram->size;
        datagram->peer.len = messages[i].msg_hdr.msg_namelen;
    }
    return got;
}
