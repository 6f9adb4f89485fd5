/*
 * udp.h - datagrams.
 *
 * A UDP socket is a weft_fd: weft_fd_close ends it, weft_fd_local_address says where it is bound,
 * and it can be a branch of a select. A datagram arrives whole or not at all, and may be empty.
 * One task receives at a time; any number of them may send.
 */
#ifndef WEFT_UDP_H
#define WEFT_UDP_H

#include <weft/base.h>
#include <weft/fd.h>
#include <weft/net.h>

typedef struct weft_udp_options {
    unsigned reuse_port;    /* 1: several sockets share the address, one per loop say */
    unsigned reuse_address; /* 1: receivers of one multicast group share the port */
    unsigned broadcast;     /* 1: may send to broadcast addresses */
    unsigned v6only;        /* 1: an IPv6 socket does not take IPv4 as well */
    int send_buffer;        /* bytes the kernel keeps; 0: its default. It may round and limit */
    int receive_buffer;
} weft_udp_options;

/* One datagram of many. */
typedef struct weft_datagram {
    void *data;        /* to send; or where to receive into */
    size_t len;        /* bytes to send; or room at data, and after receiving: bytes there */
    size_t size;       /* out, of receiving: what was sent; more than len: the rest is lost */
    weft_address peer; /* whom to send to, .len 0: the connected peer; out: who sent it */
} weft_datagram;

WEFT_BEGIN_DECLS

/*
 * weft_udp_open - open a datagram socket on this loop, bound to an address
 *
 * address  IPv4 or IPv6; with port 0 the kernel chooses one
 * options  NULL for the defaults
 *
 * Returns  0; -EAFNOSUPPORT for another kind of address; -EADDRINUSE, -EACCES, -EMFILE… as
 *          socket(2), setsockopt(2) and bind(2)
 * Waits    no
 * Threads  tasks
 * Source   asyncio loop.create_datagram_endpoint
 */
int weft_udp_open(weft_fd *socket, const weft_address *address, const weft_udp_options *options);

/*
 * weft_udp_connect - send to, and receive from, one peer alone
 *
 * What the network reports about it (-ECONNREFUSED, -EHOSTUNREACH…) is the result of one of the
 * following calls, once; the socket goes on.
 *
 * peer     NULL: from anybody again
 *
 * Returns  0; -EBADF when closed; connect(2)'s errno, negated
 * Waits    no: nothing is sent
 * Threads  tasks of the loop that owns socket
 * Source   connect(2)
 */
int weft_udp_connect(weft_fd *socket, const weft_address *peer);

/*
 * weft_udp_join - receive what is sent to a multicast group
 *
 * group      its address; the port is not looked at
 * interface  number of the interface, as if_nametoindex(3) gives it; 0: the kernel chooses
 *
 * Returns  0; -EBADF when closed; -EINVAL when it is no multicast address; -EAFNOSUPPORT when it is
 *          of another kind than the socket's; -EADDRINUSE when joined already; setsockopt(2)'s
 *          errno, negated
 * Waits    no
 * Threads  tasks of the loop that owns socket
 * Source   ip(7) IP_ADD_MEMBERSHIP, ipv6(7) IPV6_ADD_MEMBERSHIP
 */
int weft_udp_join(weft_fd *socket, const weft_address *group, unsigned interface);

/*
 * weft_udp_leave - undo weft_udp_join
 *
 * Returns  0; -EADDRNOTAVAIL when it was not joined; else as weft_udp_join
 * Waits    no
 * Threads  tasks of the loop that owns socket
 * Source   ip(7) IP_DROP_MEMBERSHIP
 */
int weft_udp_leave(weft_fd *socket, const weft_address *group, unsigned interface);

/*
 * weft_udp_send_to - send a datagram, waiting for room in the socket's buffer
 *
 * to       NULL: the connected peer
 *
 * Returns  0: the kernel has it, which says nothing of its arrival; -EMSGSIZE when it is too long
 *          for a datagram; -EDESTADDRREQ without a peer; -ECONNREFUSED of an earlier datagram;
 *          -ENOBUFS when the system has no room for a quarter of a second; -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope ended first (nothing was sent); -EBADF when closed,
 *          meanwhile too; else sendmsg(2)'s errno, negated
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns socket
 * Source   asyncio DatagramTransport.sendto; sendto(2)
 */
WEFT_WAITS int weft_udp_send_to(weft_fd *socket, const void *buf, size_t len,
                                const weft_address *to);

/*
 * weft_udp_send - send a datagram to the connected peer
 *
 * Returns  as weft_udp_send_to
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns socket
 * Source   send(2)
 */
WEFT_WAITS int weft_udp_send(weft_fd *socket, const void *buf, size_t len);

/*
 * weft_udp_receive_from - wait for a datagram
 *
 * buf       out: up to len bytes of it; may be NULL when len is 0
 * ret_from  out: who sent it; may be NULL
 * ret_size  out: its size; more than what was returned when it was cut to len. NULL: a datagram
 *           that does not fit is an error
 *
 * Returns  bytes in buf, 0 to len; -EMSGSIZE when it did not fit and ret_size is NULL: what did not
 *          fit is lost (buf and ret_from are set); -ECONNREFUSED of a datagram sent before to the
 *          connected peer; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (none was
 *          taken); -EBUSY when another task waits to receive; -EBADF when closed, meanwhile too;
 *          else recvmsg(2)'s errno, negated
 * Waits    yes; looks for cancellation even when a datagram is there
 * Threads  tasks of the loop that owns socket
 * Source   asyncio DatagramProtocol.datagram_received; recvfrom(2)
 */
WEFT_WAITS ssize_t weft_udp_receive_from(weft_fd *socket, void *buf, size_t len,
                                         weft_address *ret_from, size_t *ret_size);

/*
 * weft_udp_receive - wait for a datagram, whoever sent it
 *
 * Returns  as weft_udp_receive_from without ret_from and ret_size
 * Waits    yes; looks for cancellation even when a datagram is there
 * Threads  tasks of the loop that owns socket
 * Source   recv(2)
 */
WEFT_WAITS ssize_t weft_udp_receive(weft_fd *socket, void *buf, size_t len);

/*
 * weft_udp_send_many - send several datagrams with few system calls
 *
 * n         0 or more; they are sent in order
 * ret_sent  out, also on failure: how many the kernel took; may be NULL
 *
 * Returns  0 when all were sent; else as weft_udp_send_to, about the first that was not
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns socket
 * Source   sendmmsg(2)
 */
WEFT_WAITS int weft_udp_send_many(weft_fd *socket, const weft_datagram *datagrams, size_t n,
                                  size_t *ret_sent);

/*
 * weft_udp_receive_many - take the datagrams that are there, waiting for the first
 *
 * datagrams  of n, more than 0, data and len are read; of those received all is written but data
 *
 * Returns  how many were received, 1 to n; errors of weft_udp_receive_from
 * Waits    yes; looks for cancellation even when a datagram is there
 * Threads  tasks of the loop that owns socket
 * Source   recvmmsg(2)
 */
WEFT_WAITS ssize_t weft_udp_receive_many(weft_fd *socket, weft_datagram *datagrams, size_t n);

WEFT_END_DECLS

#endif
