/*
 * test_udp.c - datagrams: whole, cut, empty, many at once; peers that are not there; no room; and
 * whatever goes wrong in an exchange.
 */
#include <net/if.h>

#include <weft/udp.h>

#include "io/t_io.h"

TestSuite(udp, .timeout = 120);

/* A socket on a free port of this machine. */
static weft_address
open_udp(weft_fd *fd, const weft_udp_options *options)
{
    weft_address address;
    T_OK(weft_address_parse(&address, "127.0.0.1:0"));
    T_OK(weft_udp_open(fd, &address, options));
    T_OK(weft_fd_local_address(fd, &address));
    return address;
}

static bool
same_address(const weft_address *a, const weft_address *b)
{
    char one[64], other[64];
    return strcmp(weft_address_format(a, one, sizeof one),
                  weft_address_format(b, other, sizeof other)) == 0;
}

struct receiving {
    weft_fd *fd;
    char buf[64];
    weft_address from;
    size_t size;
    ssize_t rc;
    bool done;
};

static int
receive_one(void *arg)
{
    struct receiving *receiving = arg;
    receiving->rc = weft_udp_receive_from(receiving->fd, receiving->buf, sizeof receiving->buf,
                                          &receiving->from, &receiving->size);
    receiving->done = true;
    return 0;
}

TASK_TEST(udp, a_datagram_arrives_with_its_sender)
{
    weft_fd a, b;
    weft_address at_a = open_udp(&a, NULL), at_b = open_udp(&b, NULL), from;
    char buf[16];
    T_OK(weft_udp_send_to(&a, "hello", 5, &at_b));
    cr_assert(weft_udp_receive_from(&b, buf, sizeof buf, &from, NULL) == 5);
    cr_assert(memcmp(buf, "hello", 5) == 0 && same_address(&from, &at_a));
    T_OK(weft_udp_send_to(&b, "hi", 2, &from));
    cr_assert(weft_udp_receive(&a, buf, sizeof buf) == 2);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(udp, receiving_waits_and_one_receives_at_a_time)
{
    weft_fd a, b;
    weft_address at_a = open_udp(&a, NULL);
    open_udp(&b, NULL);
    for (int round = 0; round < 3; round++) {
        struct receiving receiving = {.fd = &a};
        weft_task *task = t_start(receive_one, &receiving);
        cr_assert(!receiving.done);
        char buf[4];
        T_ERR(-EBUSY, weft_udp_receive(&a, buf, sizeof buf));
        T_OK(weft_udp_send_to(&b, "x", 1, &at_a));
        T_OK(weft_task_join(task, NULL));
        cr_assert(receiving.rc == 1 && receiving.size == 1);
    }
    struct receiving receiving = {.fd = &a};
    weft_task *task = t_start(receive_one, &receiving);
    weft_fd_close(&a);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-EBADF, receiving.rc);
    T_ERR(-EBADF, weft_udp_send_to(&a, "x", 1, &at_a));
    weft_fd_close(&b);
}

TASK_TEST(udp, an_empty_datagram_is_a_datagram)
{
    weft_fd a, b;
    weft_address at_a = open_udp(&a, NULL), from;
    weft_address at_b = open_udp(&b, NULL);
    size_t size = 99;
    T_OK(weft_udp_send_to(&b, NULL, 0, &at_a));
    T_OK(weft_udp_send_to(&b, "", 0, &at_a));
    cr_assert(weft_udp_receive_from(&a, NULL, 0, &from, &size) == 0);
    cr_assert(size == 0 && same_address(&from, &at_b));
    char buf[4];
    cr_assert(weft_udp_receive(&a, buf, sizeof buf) == 0);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(udp, what_does_not_fit_is_reported)
{
    weft_fd a, b;
    weft_address at_a = open_udp(&a, NULL), from = {.len = 0};
    weft_address at_b = open_udp(&b, NULL);
    char buf[4];
    size_t size;
    T_OK(weft_udp_send_to(&b, "0123456789", 10, &at_a));
    cr_assert(weft_udp_receive_from(&a, buf, sizeof buf, NULL, &size) == 4 && size == 10);
    T_OK(weft_udp_send_to(&b, "0123456789", 10, &at_a));
    T_ERR(-EMSGSIZE, weft_udp_receive_from(&a, buf, sizeof buf, &from, NULL));
    cr_assert(memcmp(buf, "0123", 4) == 0 && same_address(&from, &at_b));
    T_OK(weft_udp_send_to(&b, "0123", 4, &at_a));
    cr_assert(weft_udp_receive(&a, buf, sizeof buf) == 4);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(udp, too_long_a_datagram_is_refused)
{
    static char large[70000];
    weft_fd a;
    weft_address at_a = open_udp(&a, NULL);
    T_ERR(-EMSGSIZE, weft_udp_send_to(&a, large, sizeof large, &at_a));
    T_ERR(-EDESTADDRREQ, weft_udp_send(&a, "x", 1));
    weft_fd_close(&a);
}

TASK_TEST(udp, a_refusal_is_told_once_and_the_socket_goes_on)
{
    weft_fd a, b;
    open_udp(&a, NULL);
    weft_address at_b = open_udp(&b, NULL);
    weft_fd_close(&b);
    T_OK(weft_udp_connect(&a, &at_b));
    char buf[8];
    for (int round = 0; round < 3; round++) {
        T_OK(weft_udp_send(&a, "x", 1)); /* the refusal comes back */
        T_ERR(-ECONNREFUSED, weft_udp_receive(&a, buf, sizeof buf));
    }
    T_OK(weft_udp_open(&b, &at_b, NULL));
    T_OK(weft_udp_send(&a, "x", 1));
    weft_address from;
    cr_assert(weft_udp_receive_from(&b, buf, sizeof buf, &from, NULL) == 1);
    T_OK(weft_udp_send_to(&b, "yz", 2, &from));
    cr_assert(weft_udp_receive(&a, buf, sizeof buf) == 2);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(udp, a_waiting_receiver_is_told_of_a_refusal)
{
    weft_fd a, b;
    open_udp(&a, NULL);
    weft_address at_b = open_udp(&b, NULL);
    weft_fd_close(&b);
    T_OK(weft_udp_connect(&a, &at_b));
    struct receiving receiving = {.fd = &a};
    weft_task *task = t_start(receive_one, &receiving);
    cr_assert(!receiving.done);
    T_OK(weft_udp_send(&a, "x", 1));
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECONNREFUSED, receiving.rc);
    weft_fd_close(&a);
}

TASK_TEST(udp, a_connected_socket_hears_its_peer_alone)
{
    weft_fd a, b, c;
    weft_address at_a = open_udp(&a, NULL), at_b = open_udp(&b, NULL);
    open_udp(&c, NULL);
    T_OK(weft_udp_connect(&a, &at_b));
    T_OK(weft_udp_send_to(&c, "from c", 6, &at_a));
    T_OK(weft_udp_send_to(&b, "from b", 6, &at_a));
    char buf[8];
    cr_assert(weft_udp_receive(&a, buf, sizeof buf) == 6 && memcmp(buf, "from b", 6) == 0);
    T_OK(weft_udp_connect(&a, NULL));
    T_ERR(-EDESTADDRREQ, weft_udp_send(&a, "x", 1));
    weft_fd_close(&a);
    weft_fd_close(&b);
    weft_fd_close(&c);
}

TASK_TEST(udp, many_go_out_and_come_in)
{
    enum { N = 100 };
    weft_fd a, b;
    weft_address at_a = open_udp(&a, &(weft_udp_options){.receive_buffer = 1 << 20});
    weft_address at_b = open_udp(&b, NULL);
    static weft_datagram out[N], in[N];
    static char bytes[N][12], room[N][4];
    for (int i = 0; i < N; i++) {
        snprintf(bytes[i], sizeof bytes[i], "%d", i);
        out[i] = (weft_datagram){.data = bytes[i], .len = strlen(bytes[i]), .peer = at_a};
    }
    out[7].len = 8; /* more than there will be room for */
    size_t sent;
    T_OK(weft_udp_send_many(&b, out, N, &sent));
    cr_assert(sent == N);
    for (size_t got = 0; got < N;) {
        for (int i = 0; i < N; i++)
            in[i] = (weft_datagram){.data = room[i], .len = sizeof room[i]};
        ssize_t n = weft_udp_receive_many(&a, in, N);
        cr_assert(n > 0);
        for (ssize_t i = 0; i < n; i++, got++) {
            cr_assert(in[i].size == out[got].len && same_address(&in[i].peer, &at_b));
            cr_assert(in[i].len == (got == 7 ? 4 : in[i].size));
            cr_assert(memcmp(in[i].data, bytes[got], in[i].len) == 0);
        }
    }
    T_OK(weft_udp_send_many(&b, out, 0, &sent));
    cr_assert(sent == 0);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(udp, sending_many_stops_at_the_first_that_cannot_go)
{
    static char large[70000];
    weft_fd a, b;
    weft_address at_a = open_udp(&a, NULL);
    open_udp(&b, NULL);
    weft_datagram out[3] = {{.data = large, .len = 10, .peer = at_a},
                            {.data = large, .len = sizeof large, .peer = at_a},
                            {.data = large, .len = 10, .peer = at_a}};
    size_t sent;
    T_ERR(-EMSGSIZE, weft_udp_send_many(&b, out, 3, &sent));
    cr_assert(sent == 1);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

/* ---- No room -------------------------------------------------------------------------------- */

TASK_TEST(udp, without_room_the_sender_waits)
{
    static const int errors[] = {EAGAIN, ENOBUFS};
    weft_fd a;
    weft_address at_a = open_udp(&a, NULL);
    char buf[4];
    for (int i = 0; i < 2; i++) {
        weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, false, errors[i]);
        int rc = weft_udp_send_to(&a, "x", 1, &at_a);
        weft__torture_disarm(WEFT__TORTURE_SYSCALL);
        T_OK(rc);
        cr_assert(weft_udp_receive(&a, buf, sizeof buf) == 1);
    }
    weft_fd_close(&a);
}

TASK_TEST(udp, no_buffers_for_long_is_an_error)
{
    weft_fd a;
    weft_address at_a = open_udp(&a, NULL);
    weft_time start = weft_now();
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, true, ENOBUFS);
    int rc = weft_udp_send_to(&a, "x", 1, &at_a);
    weft__torture_disarm(WEFT__TORTURE_SYSCALL);
    T_ERR(-ENOBUFS, rc);
    cr_assert(weft_now() - start >= WEFT_MS(100));
    weft_fd_close(&a);
}

/* ---- Options -------------------------------------------------------------------------------- */

TASK_TEST(udp, options_reach_the_socket)
{
    weft_fd fd, other;
    weft_udp_options options = {.reuse_port = 1,
                                .reuse_address = 1,
                                .broadcast = 1,
                                .send_buffer = 50000,
                                .receive_buffer = 60000};
    weft_address address = open_udp(&fd, &options);
    static const int names[] = {SO_REUSEPORT, SO_REUSEADDR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF};
    for (int i = 0; i < 5; i++) {
        int value = 0;
        socklen_t len = sizeof value;
        cr_assert(getsockopt(weft_fd_raw(&fd), SOL_SOCKET, names[i], &value, &len) == 0);
        cr_assert(value >= (i < 3 ? 1 : 50000));
    }
    T_OK(weft_udp_open(&other, &address, &options));
    weft_fd_close(&other);
    weft_fd_close(&fd);
    address = open_udp(&fd, NULL);
    T_ERR(-EADDRINUSE, weft_udp_open(&other, &address, NULL));
    weft_fd_close(&fd);
    address = (weft_address){.storage.ss_family = AF_UNIX, .len = 4};
    T_ERR(-EAFNOSUPPORT, weft_udp_open(&fd, &address, NULL));
}

TASK_TEST(udp, version_6_alone_leaves_the_port_to_version_4)
{
    weft_fd six, four;
    weft_address address;
    T_OK(weft_address_parse(&address, "[::]:0"));
    int rc = weft_udp_open(&six, &address, &(weft_udp_options){.v6only = 1});
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        return;
    T_OK(rc);
    T_OK(weft_fd_local_address(&six, &address));
    weft_address other;
    T_OK(weft_address_parse(&other, ":0"));
    ((struct sockaddr_in *)(void *)&other.storage)->sin_port =
        ((struct sockaddr_in6 *)(void *)&address.storage)->sin6_port;
    T_OK(weft_udp_open(&four, &other, NULL));
    weft_fd_close(&four);
    weft_fd_close(&six);
}

TASK_TEST(udp, a_group_is_joined_and_left)
{
    weft_fd fd, sender;
    weft_address address, group, none;
    T_OK(weft_address_parse(&address, ":0"));
    T_OK(weft_address_parse(&group, "239.255.77.77:0"));
    T_OK(weft_address_parse(&none, "127.0.0.1:0"));
    T_OK(weft_udp_open(&fd, &address, NULL));
    unsigned loopback = if_nametoindex("lo");
    T_ERR(-EINVAL, weft_udp_join(&fd, &none, loopback));
    T_ERR(-EADDRNOTAVAIL, weft_udp_leave(&fd, &group, loopback));
    T_OK(weft_udp_join(&fd, &group, loopback));
    T_ERR(-EADDRINUSE, weft_udp_join(&fd, &group, loopback));
    open_udp(&sender, NULL);
    struct ip_mreqn through = {.imr_ifindex = (int)loopback};
    cr_assert(setsockopt(weft_fd_raw(&sender), IPPROTO_IP, IP_MULTICAST_IF, &through,
                         sizeof through) == 0);
    T_OK(weft_fd_local_address(&fd, &address));
    ((struct sockaddr_in *)(void *)&group.storage)->sin_port =
        ((struct sockaddr_in *)(void *)&address.storage)->sin_port;
    if (weft_udp_send_to(&sender, "all", 3, &group) == 0) {
        char buf[8];
        cr_assert(weft_udp_receive(&fd, buf, sizeof buf) == 3);
    }
    T_OK(weft_udp_leave(&fd, &group, loopback));
    T_OK(weft_address_parse(&none, "[ff02::1]:0"));
    T_ERR(-EAFNOSUPPORT, weft_udp_join(&fd, &none, loopback));
    weft_fd_close(&fd);
    weft_fd_close(&sender);
}

/* ---- Whatever goes wrong -------------------------------------------------------------------- */

/* Answers each datagram until it fails. */
static int
answer(void *arg)
{
    weft_fd *fd = arg;
    char room[4][32];
    for (;;) {
        weft_datagram datagrams[4];
        for (int i = 0; i < 4; i++)
            datagrams[i] = (weft_datagram){.data = room[i], .len = sizeof room[i]};
        ssize_t n = weft_udp_receive_many(fd, datagrams, 4);
        if (n < 0)
            return (int)n;
        int rc = weft_udp_send_many(fd, datagrams, (size_t)n, NULL);
        if (rc < 0)
            return rc;
    }
}

static int
exchange_main(void *arg)
{
    (void)arg;
    weft_fd client, server;
    weft_address any, at_server;
    T_OK(weft_address_parse(&any, "127.0.0.1:0"));
    int rc = weft_udp_open(&server, &any, &(weft_udp_options){.receive_buffer = 100000});
    if (rc < 0)
        return rc;
    rc = weft_fd_local_address(&server, &at_server);
    if (rc == 0)
        rc = weft_udp_open(&client, &any, NULL);
    if (rc < 0) {
        weft_fd_close(&server);
        return rc;
    }
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_SEC(2)});
    weft_group_spawn(&group, answer, &server);
    rc = weft_udp_connect(&client, &at_server);
    for (int i = 0; i < 10 && rc == 0; i++) {
        char buf[8];
        rc = weft_udp_send(&client, "abc", 3);
        if (rc == 0)
            rc = weft_udp_send_to(&client, "", 0, NULL);
        for (int k = 0; k < 2 && rc == 0; k++) {
            ssize_t n = weft_udp_receive(&client, buf, sizeof buf);
            rc = n < 0 ? (int)n : 0;
        }
    }
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    weft_fd_close(&client);
    weft_fd_close(&server);
    return rc;
}

static void
exchange_run(void *arg)
{
    (void)arg;
    weft_options options = {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE};
    weft_ignore(weft_run(exchange_main, NULL, &options));
}

Test(udp, whatever_fails_it_ends_and_leaves_nothing)
{
    static const int errors[] = {EINTR, EMFILE, ENOBUFS, ECONNREFUSED, ENOMEM};
    struct t_torture torture = {.scenario = exchange_run, .max = 200 / T_SLOW};
    for (int from_on = 0; from_on < 2; from_on++) {
        torture.from_on = from_on;
        for (int kind = 0; kind < WEFT__TORTURE_SYSCALL; kind++) {
            torture.kind = (enum weft__torture)kind;
            t_torture_run(&torture);
        }
        torture.kind = WEFT__TORTURE_SYSCALL;
        for (size_t i = from_on; i < sizeof errors / sizeof errors[0]; i++) {
            torture.error = errors[i];
            cr_assert(t_torture_run(&torture) >= 5);
        }
    }
}
