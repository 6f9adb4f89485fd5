/*
 * test_connect.c - streams to names, addresses and Unix sockets: the options they get, who wins
 * when several are tried, what is said when none answers.
 */
#include <netinet/tcp.h>

#include <weft/connect.h>

#include "io/t_io.h"

TestSuite(connect, .timeout = 120);

/* One byte from the stream to an accepted connection: they are each other's ends. */
static void
assert_connected(weft_stream *stream, weft_fd *listener)
{
    weft_fd server;
    char buf[4];
    T_OK(weft_tcp_accept(listener, &server, NULL));
    T_OK(weft_stream_write_all(stream, "x", 1, NULL));
    cr_assert(weft_fd_read(&server, buf, sizeof buf) == 1 && buf[0] == 'x');
    weft_fd_close(&server);
}

static unsigned
port_of(const weft_address *address)
{
    return ntohs(((const struct sockaddr_in *)(const void *)&address->storage)->sin_port);
}

/* A port of this machine that refuses. */
static weft_address
refusing(void)
{
    weft_fd listener;
    weft_address address = t_listen(&listener, NULL);
    weft_fd_close(&listener);
    return address;
}

/* A listener that answers no more, as its queue is full; and those who fill it. */
struct hole {
    weft_fd listener;
    weft_address address;
    int raw[4];
};

static void
hole_open(struct hole *hole)
{
    hole->address = t_listen(&hole->listener, NULL);
    cr_assert(listen(weft_fd_raw(&hole->listener), 0) == 0);
    for (int i = 0; i < 4; i++) {
        hole->raw[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(hole->raw[i], (struct sockaddr *)&hole->address.storage, hole->address.len);
    }
}

static void
hole_close(struct hole *hole)
{
    for (int i = 0; i < 4; i++)
        close(hole->raw[i]);
    weft_fd_close(&hole->listener);
}

/* ---- Places --------------------------------------------------------------------------------- */

TASK_TEST(connect, to_a_name_and_to_a_number)
{
    weft_fd listener;
    weft_address address = t_listen(&listener, NULL), peer, local;
    static const char *const hosts[] = {"localhost", "127.0.0.1", ""};
    for (size_t i = 0; i < 3; i++) {
        char where[64], text[64];
        snprintf(where, sizeof where, "%s:%u", hosts[i], port_of(&address));
        weft_stream stream;
        T_OK(weft_connect(&stream, where, NULL));
        assert_connected(&stream, &listener);
        T_OK(weft_stream_peer(&stream, &peer));
        T_OK(weft_stream_local(&stream, &local));
        snprintf(where, sizeof where, "127.0.0.1:%u", port_of(&address));
        cr_assert_str_eq(weft_address_format(&peer, text, sizeof text), where);
        cr_assert(port_of(&local) != port_of(&peer));
        weft_stream_close(&stream);
        T_ERR(-EBADF, weft_stream_peer(&stream, &peer));
    }
    weft_fd_close(&listener);
}

TASK_TEST(connect, to_an_address_of_version_6)
{
    weft_address address;
    weft_fd listener;
    weft_stream stream;
    T_OK(weft_address_parse(&address, "[::1]:0"));
    int rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
        return;
    T_OK(rc);
    T_OK(weft_fd_local_address(&listener, &address));
    char where[64];
    T_OK(weft_connect(&stream, weft_address_format(&address, where, sizeof where), NULL));
    assert_connected(&stream, &listener);
    weft_stream_close(&stream);
    T_ERR(WEFT_E_NAME, weft_connect(&stream, where, &(weft_connect_options){.family = AF_INET}));
    weft_fd_close(&listener);
}

TASK_TEST(connect, to_unix_sockets)
{
    char path[64], name[64];
    snprintf(path, sizeof path, "unix:/tmp/weft-connect-%d.sock", (int)getpid());
    snprintf(name, sizeof name, "unix:@weft-connect-%d", (int)getpid());
    const char *places[] = {path, name};
    for (int i = 0; i < 2; i++) {
        weft_address address, peer;
        weft_fd listener;
        weft_stream stream;
        char text[WEFT_ADDRESS_TEXT];
        T_OK(weft_address_parse(&address, places[i]));
        T_OK(weft_tcp_listen(&listener, &address, NULL));
        T_OK(weft_connect(&stream, places[i], NULL));
        assert_connected(&stream, &listener);
        T_OK(weft_stream_peer(&stream, &peer));
        cr_assert_str_eq(weft_address_format(&peer, text, sizeof text), places[i]);
        T_OK(weft_stream_local(&stream, &peer));
        cr_assert_str_eq(weft_address_format(&peer, text, sizeof text), "unix:");
        weft_stream_close(&stream);
        weft_fd_close(&listener);
        T_ERR(-ECONNREFUSED, weft_connect(&stream, places[i], NULL));
    }
    unlink(path + 5);
    weft_stream stream;
    T_ERR(-ENOENT, weft_connect(&stream, path, NULL));
    cr_assert(strstr(weft_error_text(), path) != NULL);
}

struct connecting {
    const char *where;
    const weft_address *addresses;
    size_t n;
    const weft_connect_options *options;
    weft_stream stream;
    int rc;
    bool done;
};

static int
connect_task(void *arg)
{
    struct connecting *connecting = arg;
    connecting->rc = connecting->where != NULL
                         ? weft_connect(&connecting->stream, connecting->where, connecting->options)
                         : weft_connect_addresses(&connecting->stream, connecting->addresses,
                                                  connecting->n, connecting->options);
    connecting->done = true;
    return 0;
}

TASK_TEST(connect, a_full_queue_of_a_unix_socket_is_waited_for)
{
    char name[64];
    snprintf(name, sizeof name, "unix:@weft-full-%d", (int)getpid());
    weft_address address;
    weft_fd listener, server;
    T_OK(weft_address_parse(&address, name));
    T_OK(weft_tcp_listen(&listener, &address, NULL));
    cr_assert(listen(weft_fd_raw(&listener), 0) == 0);
    struct connecting first = {.where = name}, second = {.where = name}, third = {.where = name};
    T_OK(weft_connect(&first.stream, name, NULL));
    weft_task *task = t_start(connect_task, &second);
    T_OK(weft_sleep(WEFT_MS(500)));
    cr_assert(!second.done);
    weft_task *cancelled = t_start(connect_task, &third);
    weft_task_cancel(cancelled);
    T_OK(weft_task_join(cancelled, NULL));
    T_ERR(-ECANCELED, third.rc);
    T_OK(weft_tcp_accept(&listener, &server, NULL));
    T_OK(weft_task_join(task, NULL));
    T_OK(second.rc);
    weft_fd_close(&server);
    assert_connected(&second.stream, &listener);
    weft_stream_close(&first.stream);
    weft_stream_close(&second.stream);
    weft_fd_close(&listener);
}

TASK_TEST(connect, places_that_cannot_be_read_are_refused)
{
    static const struct {
        const char *where;
        int rc;
        const char *reason;
    } bad[] = {
        {"", WEFT_E_ADDRESS, "ends in a colon and a port"},
        {"localhost", WEFT_E_ADDRESS, "ends in a colon and a port"},
        {"localhost:", WEFT_E_ADDRESS, "ends in a colon and a port"},
        {"::1:80", WEFT_E_ADDRESS, "IPv6 goes in brackets"},
        {"[::1:80", WEFT_E_ADDRESS, "not closed"},
        {"[:80", WEFT_E_ADDRESS, "not closed"},
        {"[]:80", WEFT_E_ADDRESS, "only IPv6"},
        {"[localhost]:80", WEFT_E_ADDRESS, "only IPv6"},
        {"unix:", WEFT_E_ADDRESS, "a path"},
        {"127.0.0.1:65536", WEFT_E_NAME, "0 to 65535"},
    };
    weft_stream stream;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        T_ERR(bad[i].rc, weft_connect(&stream, bad[i].where, NULL));
        cr_assert(strstr(weft_error_text(), bad[i].reason) != NULL, "%s: %s", bad[i].where,
                  weft_error_text());
    }
    char large[3000];
    memset(large, 'x', sizeof large);
    large[2999] = '\0';
    T_ERR(WEFT_E_ADDRESS, weft_connect(&stream, large, NULL));
    weft_address address = refusing();
    T_ERR(-EINVAL, weft_connect_addresses(&stream, &address, 0, NULL));
    T_ERR(-EINVAL,
          weft_connect_addresses(&stream, &address, 1, &(weft_connect_options){.keep_count = 128}));
    T_ERR(-EINVAL,
          weft_connect_addresses(&stream, &address, 1, &(weft_connect_options){.send_buffer = -1}));
}

/* ---- Options -------------------------------------------------------------------------------- */

static int
option_of(weft_stream *stream, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    cr_assert(getsockopt(weft_stream_raw(stream), level, name, &value, &len) == 0);
    return value;
}

TASK_TEST(connect, options_reach_the_socket)
{
    weft_fd listener, server;
    weft_address address = t_listen(&listener, NULL), source, peer;
    T_OK(weft_address_parse(&source, "127.0.0.5:0"));
    weft_stream stream;
    T_OK(weft_connect_addresses(&stream, &address, 1, NULL));
    cr_assert(option_of(&stream, IPPROTO_TCP, TCP_NODELAY) != 0);
    cr_assert(option_of(&stream, SOL_SOCKET, SO_KEEPALIVE) == 0);
    T_OK(weft_tcp_accept(&listener, &server, NULL));
    weft_fd_close(&server);
    weft_stream_close(&stream);

    weft_connect_options options = {.source = &source,
                                    .coalesce = 1,
                                    .keep_alive = 1,
                                    .keep_idle = WEFT_MS(20500),
                                    .keep_interval = WEFT_SEC(3),
                                    .keep_count = 4,
                                    .send_buffer = 50000,
                                    .receive_buffer = 60000};
    T_OK(weft_connect_addresses(&stream, &address, 1, &options));
    cr_assert(option_of(&stream, IPPROTO_TCP, TCP_NODELAY) == 0);
    cr_assert(option_of(&stream, SOL_SOCKET, SO_KEEPALIVE) == 1);
    cr_assert(option_of(&stream, IPPROTO_TCP, TCP_KEEPIDLE) == 21);
    cr_assert(option_of(&stream, IPPROTO_TCP, TCP_KEEPINTVL) == 3);
    cr_assert(option_of(&stream, IPPROTO_TCP, TCP_KEEPCNT) == 4);
    cr_assert(option_of(&stream, SOL_SOCKET, SO_SNDBUF) >= 50000);
    cr_assert(option_of(&stream, SOL_SOCKET, SO_RCVBUF) >= 60000);
    T_OK(weft_tcp_accept(&listener, &server, &peer));
    char text[64];
    cr_assert(strncmp(weft_address_format(&peer, text, sizeof text), "127.0.0.5:", 10) == 0);
    weft_fd_close(&server);
    weft_stream_close(&stream);

    T_OK(weft_address_parse(&source, "[::1]:0"));
    T_ERR(-EADDRNOTAVAIL, weft_connect_addresses(&stream, &address, 1, &options));
    T_OK(weft_address_parse(&source, "203.0.113.1:0"));
    T_ERR(-EADDRNOTAVAIL, weft_connect_addresses(&stream, &address, 1, &options));
    weft_fd_close(&listener);
}

TASK_TEST(connect, streams_without_a_socket_have_no_addresses)
{
    weft_stream a, b;
    weft_address address;
    T_OK(weft_stream_open_pair(&a, &b, 0));
    T_ERR(-EOPNOTSUPP, weft_stream_peer(&a, &address));
    T_ERR(-EOPNOTSUPP, weft_stream_local(&b, &address));
    weft_stream_close(&a);
    weft_stream_close(&b);
}

/* ---- Several addresses ---------------------------------------------------------------------- */

TASK_TEST(connect, an_address_that_refuses_costs_no_time)
{
    weft_fd listener;
    weft_address addresses[3] = {refusing(), refusing(), t_listen(&listener, NULL)}, peer;
    weft_stream stream;
    weft_time begin = weft_now();
    T_OK(weft_connect_addresses(&stream, addresses, 3, NULL));
    cr_assert(weft_now() - begin < WEFT_MS(250));
    T_OK(weft_stream_peer(&stream, &peer));
    cr_assert(port_of(&peer) == port_of(&addresses[2]));
    assert_connected(&stream, &listener);
    weft_stream_close(&stream);
    weft_fd_close(&listener);
}

TASK_TEST(connect, one_that_is_silent_is_joined_by_the_next)
{
    weft_fd listener;
    struct hole hole;
    hole_open(&hole);
    weft_address addresses[2] = {hole.address, t_listen(&listener, NULL)}, peer;
    weft_stream stream;
    weft_time begin = weft_now();
    weft_connect_options options = {.attempt_delay = WEFT_MS(700)};
    T_OK(weft_connect_addresses(&stream, addresses, 2, &options));
    cr_assert(weft_now() - begin >= WEFT_MS(700));
    T_OK(weft_stream_peer(&stream, &peer));
    cr_assert(port_of(&peer) == port_of(&addresses[1]));
    assert_connected(&stream, &listener);
    weft_stream_close(&stream);
    weft_fd_close(&listener);
    hole_close(&hole);
}

TASK_TEST(connect, when_all_fail_each_is_named)
{
    weft_address addresses[3] = {refusing(), refusing()};
    T_OK(weft_address_parse(&addresses[2], "255.255.255.255:80"));
    weft_stream stream;
    T_ERR(-ENETUNREACH, weft_connect_addresses(&stream, addresses, 3, NULL));
    char text[64];
    cr_assert(strstr(weft_error_text(), "255.255.255.255:80: ") != NULL);
    for (int i = 0; i < 2; i++)
        cr_assert(strstr(weft_error_text(),
                         weft_address_format(&addresses[i], text, sizeof text)) != NULL);
    cr_assert(strstr(weft_error_text(), weft_strerror(-ECONNREFUSED)) != NULL);
    T_ERR(-ECONNREFUSED, weft_connect_addresses(&stream, addresses, 1, NULL));
    cr_assert(strstr(weft_error_text(), weft_address_format(&addresses[0], text, sizeof text)));
}

TASK_TEST(connect, a_deadline_ends_all_attempts)
{
    struct hole hole;
    hole_open(&hole);
    weft_address addresses[3] = {hole.address, hole.address, hole.address};
    weft_stream stream;
    for (size_t n = 1; n <= 3; n++) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_MS(400));
        T_ERR(-ETIMEDOUT, weft_connect_addresses(&stream, addresses, n, NULL));
        T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    }
    struct connecting connecting = {.addresses = addresses, .n = 3};
    weft_task *task = t_start(connect_task, &connecting);
    T_OK(weft_sleep(WEFT_MS(300)));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECANCELED, connecting.rc);
    hole_close(&hole);
}

/* ---- Whatever goes wrong -------------------------------------------------------------------- */

static int
three_places(void *arg, const char *host, uint16_t port, const weft_resolve_options *options,
             weft_addresses *ret)
{
    (void)host, (void)port, (void)options;
    const weft_address *addresses = arg;
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = weft_addresses_add(ret, &addresses[i]);
    return rc;
}

/* arg: three addresses, one that refuses, one that is silent, one that answers. */
static int
torn_main(void *arg)
{
    weft_resolver resolver = {.resolve = three_places, .arg = arg};
    weft_connect_options options = {.resolver = &resolver, .keep_alive = 1};
    weft_stream stream;
    weft_scope scope; /* when the one that answers was not reached, the silent one is left */
    weft_scope_open(&scope, weft_now() + WEFT_SEC(5));
    int rc = weft_connect(&stream, "somewhere:7", &options);
    if (rc == 0) {
        rc = weft_stream_write_all(&stream, "x", 1, NULL);
        weft_stream_close(&stream);
    }
    weft_scope_close(&scope);
    return rc;
}

static void
torn_run(void *arg)
{
    weft_ignore(weft_run(
        torn_main, arg,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
}

/* Listeners of the process, not of a run, so that each run finds them. */
Test(connect, whatever_fails_it_ends_and_leaves_nothing)
{
    weft_address addresses[3];
    int raw[7];
    for (int i = 0; i < 3; i++) {
        addresses[i].len = sizeof addresses[i].storage;
        T_OK(weft_address_parse(&addresses[i], "127.0.0.1:0"));
        raw[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert(bind(raw[i], (struct sockaddr *)&addresses[i].storage, addresses[i].len) == 0);
        cr_assert(
            getsockname(raw[i], (struct sockaddr *)&addresses[i].storage, &addresses[i].len) == 0);
        cr_assert(i == 0 || listen(raw[i], i == 1 ? 0 : 4096) == 0);
    }
    for (int i = 3; i < 7; i++) {
        raw[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(raw[i], (struct sockaddr *)&addresses[1].storage, addresses[1].len);
    }
    /* The first two once alone: the kernel never says so for ever. */
    static const int errors[] = {EINTR, EAGAIN, EMFILE, ENOBUFS, ECONNREFUSED, ENOMEM};
    struct t_torture torture = {.scenario = torn_run, .arg = addresses, .max = 150 / T_SLOW};
    for (int from_on = 0; from_on < 2; from_on++) {
        torture.from_on = from_on;
        for (int kind = 0; kind < WEFT__TORTURE_SYSCALL; kind++) {
            torture.kind = (enum weft__torture)kind;
            cr_assert(t_torture_run(&torture) >= 3);
        }
        torture.kind = WEFT__TORTURE_SYSCALL;
        for (size_t i = 2 * from_on; i < sizeof errors / sizeof errors[0]; i++) {
            torture.error = errors[i];
            cr_assert(t_torture_run(&torture) >= 5);
        }
    }
    for (int i = 0; i < 7; i++)
        close(raw[i]);
}
