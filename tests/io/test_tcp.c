/*
 * test_tcp.c - listening, accepting and connecting, and what happens when descriptors run out,
 * peers refuse or reset, and tasks are cancelled in the middle.
 */
#include "io/t_io.h"

TestSuite(tcp, .timeout = 120);

TASK_TEST(tcp, a_connection_carries_bytes_both_ways)
{
    weft_fd client, server;
    t_tcp_pair(&client, &server);
    char buf[16];
    T_OK(weft_fd_write_all(&client, "ping", 4, NULL));
    cr_assert(weft_fd_read(&server, buf, sizeof buf) == 4);
    T_OK(weft_fd_write_all(&server, "pong!", 5, NULL));
    cr_assert(weft_fd_read(&client, buf, sizeof buf) == 5);
    weft_fd_close(&client);
    cr_assert(weft_fd_read(&server, buf, sizeof buf) == 0);
    weft_fd_close(&server);
}

TASK_TEST(tcp, addresses_of_both_ends_are_known)
{
    weft_fd listener, client, server;
    weft_address address = t_listen(&listener, NULL), peer, local;
    char text[64], other[64];
    cr_assert(strcmp(weft_address_format(&address, text, sizeof text), "127.0.0.1:0") != 0);
    T_OK(weft_tcp_connect(&client, &address));
    T_OK(weft_tcp_accept(&listener, &server, &peer));
    T_OK(weft_fd_local_address(&client, &local));
    cr_assert_str_eq(weft_address_format(&local, text, sizeof text),
                     weft_address_format(&peer, other, sizeof other));
    T_OK(weft_fd_local_address(&server, &local));
    cr_assert_str_eq(weft_address_format(&local, text, sizeof text),
                     weft_address_format(&address, other, sizeof other));
    weft_fd_close(&client);
    weft_fd_close(&server);
    weft_fd_close(&listener);
}

TASK_TEST(tcp, sockets_are_non_blocking_close_on_exec_and_without_delay)
{
    weft_fd fds[3];
    weft_address address = t_listen(&fds[0], NULL);
    T_OK(weft_tcp_connect(&fds[1], &address));
    T_OK(weft_tcp_accept(&fds[0], &fds[2], NULL));
    for (int i = 0; i < 3; i++) {
        int raw = weft_fd_raw(&fds[i]);
        cr_assert(fcntl(raw, F_GETFL) & O_NONBLOCK);
        cr_assert(fcntl(raw, F_GETFD) & FD_CLOEXEC);
        int value = 0;
        socklen_t len = sizeof value;
        cr_assert(getsockopt(raw, IPPROTO_TCP, 1 /* TCP_NODELAY */, &value, &len) == 0);
        cr_assert(i == 0 || value != 0);
    }
    for (int i = 0; i < 3; i++)
        weft_fd_close(&fds[i]);
}

TASK_TEST(tcp, version_6_works_where_there_is_one)
{
    weft_address address;
    weft_fd listener, client, server;
    T_OK(weft_address_parse(&address, "[::1]:0"));
    int rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
        return;
    T_OK(rc);
    T_OK(weft_fd_local_address(&listener, &address));
    T_OK(weft_tcp_connect(&client, &address));
    T_OK(weft_tcp_accept(&listener, &server, &address));
    char text[64];
    cr_assert(strncmp(weft_address_format(&address, text, sizeof text), "[::1]:", 6) == 0);
    weft_fd_close(&client);
    weft_fd_close(&server);
    weft_fd_close(&listener);
}

/* ---- Refusals ------------------------------------------------------------------------------- */

TASK_TEST(tcp, nobody_listens)
{
    weft_fd listener, client;
    weft_address address = t_listen(&listener, NULL);
    weft_fd_close(&listener);
    for (int i = 0; i < 20; i++)
        T_ERR(-ECONNREFUSED, weft_tcp_connect(&client, &address));
}

TASK_TEST(tcp, bad_addresses_are_the_systems_errors)
{
    weft_fd fd;
    weft_address address = {.len = sizeof(struct sockaddr_in)};
    T_ERR(-EAFNOSUPPORT, weft_tcp_connect(&fd, &address));
    T_ERR(-EAFNOSUPPORT, weft_tcp_listen(&fd, &address, NULL));
    T_OK(weft_address_parse(&address, "203.0.113.1:80")); /* nobody's, so not ours */
    T_ERR(-EADDRNOTAVAIL, weft_tcp_listen(&fd, &address, NULL));
    T_OK(weft_address_parse(&address, "255.255.255.255:80"));
    T_ERR(-ENETUNREACH, weft_tcp_connect(&fd, &address));
}

TASK_TEST(tcp, an_address_has_one_listener_unless_they_share)
{
    weft_fd first, second;
    weft_address address = t_listen(&first, NULL);
    T_ERR(-EADDRINUSE, weft_tcp_listen(&second, &address, NULL));
    weft_fd_close(&first);
    weft_listen_options share = {.reuse_port = 1};
    T_OK(weft_tcp_listen(&first, &address, &share));
    T_OK(weft_tcp_listen(&second, &address, &share));
    weft_fd_close(&first);
    weft_fd_close(&second);
}

TASK_TEST(tcp, accepting_on_what_is_no_listener_is_an_error)
{
    weft_fd fd, connection;
    int raw = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    T_OK(weft_fd_open(&fd, raw));
    T_ERR(-EOPNOTSUPP, weft_tcp_accept(&fd, &connection, NULL));
    weft_fd_close(&fd);
    raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    T_OK(weft_fd_open(&fd, raw));
    T_ERR(-EINVAL, weft_tcp_accept(&fd, &connection, NULL));
    weft_fd_close(&fd);
}

/* ---- Accepting ------------------------------------------------------------------------------ */

struct accepting {
    weft_fd *listener;
    weft_fd connection;
    int rc;
    bool done;
};

static int
accept_one(void *arg)
{
    struct accepting *accepting = arg;
    accepting->rc = weft_tcp_accept(accepting->listener, &accepting->connection, NULL);
    accepting->done = true;
    return 0;
}

TASK_TEST(tcp, accept_waits_and_one_accepts_at_a_time)
{
    weft_fd listener, client, other;
    weft_address address = t_listen(&listener, NULL);
    struct accepting accepting = {.listener = &listener};
    weft_task *task = t_start(accept_one, &accepting);
    cr_assert(!accepting.done);
    T_ERR(-EBUSY, weft_tcp_accept(&listener, &other, NULL));
    T_OK(weft_tcp_connect(&client, &address));
    T_OK(weft_task_join(task, NULL));
    T_OK(accepting.rc);
    weft_fd_close(&accepting.connection);
    weft_fd_close(&client);

    task = t_start(accept_one, &accepting);
    weft_fd_close(&listener);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-EBADF, accepting.rc);
}

/* Cancelled as the connection comes: it is either taken or left for the next. */
TASK_TEST(tcp, a_cancelled_accept_loses_no_connection)
{
    for (int round = 0; round < 40; round++) {
        weft_fd listener, connection;
        weft_address address = t_listen(&listener, NULL);
        struct accepting accepting = {.listener = &listener};
        weft_task *task = t_start(accept_one, &accepting);
        int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (round % 2 == 0)
            weft_task_cancel(task);
        cr_assert(connect(raw, (struct sockaddr *)&address.storage, address.len) == 0);
        if (round % 4 >= 2)
            T_OK(weft_sleep(1));
        weft_task_cancel(task);
        T_OK(weft_task_join(task, NULL));
        if (accepting.rc == 0) {
            connection = accepting.connection; /* nothing waits for it yet: it may move */
        } else {
            T_ERR(-ECANCELED, accepting.rc);
            T_OK(weft_tcp_accept(&listener, &connection, NULL));
        }
        cr_assert(send(raw, "x", 1, 0) == 1);
        char buf[4];
        cr_assert(weft_fd_read(&connection, buf, 4) == 1);
        weft_fd_close(&connection);
        weft_fd_close(&listener);
        close(raw);
    }
}

TASK_TEST(tcp, connections_that_broke_before_accept_are_passed_over)
{
    weft_fd listener, server;
    weft_address address = t_listen(&listener, NULL);
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(raw, (struct sockaddr *)&address.storage, address.len) == 0);
    static const int errors[] = {ECONNABORTED, EPROTO, EPERM, ENETDOWN};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, false, errors[i]);
        T_OK(weft_tcp_accept(&listener, &server, NULL));
        cr_assert(weft__torture_disarm(WEFT__TORTURE_SYSCALL) >= 2);
        weft_fd_close(&server);
        close(raw);
        raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert(connect(raw, (struct sockaddr *)&address.storage, address.len) == 0);
    }
    close(raw);
    weft_fd_close(&listener);
}

static int
accept_while_all_are_broken(void *arg)
{
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, true, ECONNABORTED);
    int rc = accept_one(arg);
    weft__torture_disarm(WEFT__TORTURE_SYSCALL);
    return rc;
}

/* A system that refuses every connection: others run, and the accept can be cancelled. */
TASK_TEST(tcp, accept_that_passes_over_all_lets_others_run)
{
    weft_fd listener;
    t_listen(&listener, NULL);
    struct accepting accepting = {.listener = &listener};
    weft_task *task = t_start(accept_while_all_are_broken, &accepting);
    T_OK(weft_yield());
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECANCELED, accepting.rc);
    weft_fd_close(&listener);
}

TASK_TEST(tcp, a_full_backlog_makes_connecting_wait)
{
    weft_fd listener, clients[2], servers[2], late;
    weft_address address = t_listen(&listener, &(weft_listen_options){.backlog = 1});
    for (int i = 0; i < 2; i++)
        T_OK(weft_tcp_connect(&clients[i], &address));
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(100));
    T_ERR(-ETIMEDOUT, weft_tcp_connect(&late, &address));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    for (int i = 0; i < 2; i++) {
        T_OK(weft_tcp_accept(&listener, &servers[i], NULL));
        weft_fd_close(&servers[i]);
        weft_fd_close(&clients[i]);
    }
    weft_fd_close(&listener);
}

/* ---- No descriptors left -------------------------------------------------------------------- */

TASK_TEST(tcp, accept_without_descriptors_leaves_the_connection_in_line)
{
    weft_fd listener, server;
    weft_address address = t_listen(&listener, NULL);
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(raw, (struct sockaddr *)&address.storage, address.len) == 0);
    rlim_t limit = t_forbid_descriptors();
    /* Memcheck imitates the limit: it accepts, closes the connection and says EMFILE. */
    for (int i = 0; i < 5 && T_SLOW < 20; i++)
        T_ERR(-EMFILE, weft_tcp_accept(&listener, &server, NULL));
    t_allow_descriptors(limit);
    T_OK(weft_tcp_accept(&listener, &server, NULL)); /* without another edge */
    cr_assert(send(raw, "x", 1, 0) == 1);
    char buf[4];
    cr_assert(weft_fd_read(&server, buf, 4) == 1);
    weft_fd_close(&server);
    weft_fd_close(&listener);
    close(raw);
}

TASK_TEST(tcp, connect_and_listen_without_descriptors_are_EMFILE)
{
    weft_fd listener, client;
    weft_address address = t_listen(&listener, NULL), any;
    T_OK(weft_address_parse(&any, "127.0.0.1:0"));
    rlim_t limit = t_forbid_descriptors();
    for (int i = 0; i < 5; i++) {
        T_ERR(-EMFILE, weft_tcp_connect(&client, &address));
        T_ERR(-EMFILE, weft_tcp_listen(&client, &any, NULL));
    }
    t_allow_descriptors(limit);
    T_OK(weft_tcp_connect(&client, &address));
    weft_fd_close(&client);
    weft_fd_close(&listener);
}

/* ---- Resets --------------------------------------------------------------------------------- */

TASK_TEST(tcp, a_reset_ends_a_writer_that_waits)
{
    signal(SIGPIPE, SIG_DFL);
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct t_one one = {.fd = &fd};
    weft_task *task = t_start(t_one_fill, &one);
    while (!one.done &&
           poll(&(struct pollfd){.fd = weft_fd_raw(&fd), .events = POLLOUT}, 1, 50) > 0)
        T_OK(weft_sleep(1));
    cr_assert(!one.done);
    t_reset(peer);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == -ECONNRESET || one.rc == -EPIPE, "%zd", one.rc);
    cr_assert(weft_fd_write(&fd, "x", 1) == -EPIPE);
    weft_fd_close(&fd);
}

TASK_TEST(tcp, a_reset_in_mid_stream_is_seen_by_both_sides_of_an_end)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct t_one reading = {.fd = &fd}, writing = {.fd = &fd};
    weft_task *reader = t_start(t_one_read, &reading);
    weft_task *writer = t_start(t_one_fill, &writing);
    while (poll(&(struct pollfd){.fd = weft_fd_raw(&fd), .events = POLLOUT}, 1, 50) > 0)
        T_OK(weft_sleep(1));
    t_reset(peer);
    T_OK(weft_task_join(reader, NULL));
    T_OK(weft_task_join(writer, NULL));
    /* The error is reported once; the other one sees what is left of the connection. */
    cr_assert(reading.rc == -ECONNRESET || reading.rc == 0);
    cr_assert(writing.rc == -ECONNRESET || writing.rc == -EPIPE);
    cr_assert(reading.rc == -ECONNRESET || writing.rc == -ECONNRESET);
    weft_fd_close(&fd);
}

/* ---- Connecting, cancelled ------------------------------------------------------------------ */

struct connecting {
    weft_fd fd;
    weft_address address;
    int rc;
};

static int
connect_one(void *arg)
{
    struct connecting *connecting = arg;
    connecting->rc = weft_tcp_connect(&connecting->fd, &connecting->address);
    return 0;
}

TASK_TEST(tcp, a_cancelled_connect_closes_its_socket)
{
    weft_fd listener, server;
    struct connecting connecting = {.address = t_listen(&listener, NULL)};
    for (int round = 0; round < 20; round++) {
        weft_task *task = t_start(connect_one, &connecting);
        weft_task_cancel(task);
        T_OK(weft_task_join(task, NULL));
        if (connecting.rc == 0) {
            weft_fd_close(&connecting.fd);
        } else {
            T_ERR(-ECANCELED, connecting.rc);
            T_ERR(-EBADF, weft_fd_raw(&connecting.fd));
        }
        char buf[4];
        T_OK(weft_tcp_accept(&listener, &server, NULL));
        cr_assert(weft_fd_read(&server, buf, 4) == 0);
        weft_fd_close(&server);
    }
    weft_fd_close(&listener);
}

TASK_TEST(tcp, a_connection_closed_while_it_is_made)
{
    weft_fd listener;
    struct connecting connecting = {.address =
                                        t_listen(&listener, &(weft_listen_options){.backlog = 1})};
    weft_fd others[2];
    for (int i = 0; i < 2; i++)
        T_OK(weft_tcp_connect(&others[i], &connecting.address));
    weft_task *task = t_start(connect_one, &connecting); /* has to wait */
    weft_fd_close(&connecting.fd);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-EBADF, connecting.rc);
    for (int i = 0; i < 2; i++)
        weft_fd_close(&others[i]);
    weft_fd_close(&listener);
}

/* ---- Many ----------------------------------------------------------------------------------- */

struct crowd {
    weft_fd listener;
    weft_address address;
    size_t n;
    size_t n_served;
    size_t n_answered;
};

static int
serve_one(void *arg)
{
    weft_fd *fd = arg;
    char buf[512];
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = weft_fd_read(fd, buf, sizeof buf)) > 0)
        rc = weft_fd_write_all(fd, buf, (size_t)n, NULL);
    weft_fd_close(fd);
    free(fd);
    return 0;
}

static int
serve_crowd(struct crowd *crowd, size_t n)
{
    weft_group group;
    weft_group_open(&group, NULL);
    int rc = 0;
    for (; crowd->n_served < n && rc == 0; crowd->n_served++) {
        weft_fd *fd = malloc(sizeof *fd);
        rc = weft_tcp_accept(&crowd->listener, fd, NULL);
        if (rc == 0)
            weft_group_spawn(&group, serve_one, fd);
        else
            free(fd);
    }
    int closed = weft_group_close(&group);
    return rc < 0 ? rc : closed;
}

static int
client_of_crowd(void *arg)
{
    struct crowd *crowd = arg;
    weft_fd fd;
    int rc = weft_tcp_connect(&fd, &crowd->address);
    if (rc < 0)
        return rc;
    char said[48], heard[48];
    int len = snprintf(said, sizeof said, "client %p of the crowd", (void *)&fd);
    rc = weft_fd_write_all(&fd, said, (size_t)len, NULL);
    size_t got = 0;
    while (rc == 0 && got < (size_t)len) {
        ssize_t n = weft_fd_read(&fd, heard + got, (size_t)len - got);
        if (n <= 0)
            rc = n < 0 ? (int)n : -EPIPE;
        else
            got += (size_t)n;
    }
    if (rc == 0 && memcmp(said, heard, (size_t)len) != 0)
        rc = -EILSEQ;
    if (rc == 0)
        crowd->n_answered++;
    weft_fd_close(&fd);
    return rc;
}

static int
clients(void *arg)
{
    struct crowd *crowd = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (size_t i = 0; i < crowd->n; i++)
        weft_group_spawn(&group, client_of_crowd, crowd);
    return weft_group_close(&group);
}

static void
crowd_run(int on)
{
    size_t room = t_raise_nofile();
    struct crowd crowd = {.n = room < 2200 ? (room - 100) / 2 : 1000};
    crowd.address = t_listen(&crowd.listener, NULL);
    weft_task *task;
    T_OK(weft_task_spawn(&task, clients, &crowd, &(weft_task_options){.on = on}));
    T_OK(serve_crowd(&crowd, crowd.n));
    int result;
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    cr_assert(crowd.n_answered == crowd.n);
    weft_fd_close(&crowd.listener);
}

LOOPS_TEST(tcp, a_thousand_connections_at_once, 1)
{
    crowd_run(0);
}

LOOPS_TEST(tcp, a_thousand_connections_between_two_loops, 2)
{
    crowd_run(WEFT_ON(1));
}

TASK_TEST(tcp, a_thousand_connections_on_the_virtual_clock)
{
    crowd_run(0);
}

/* One listener per loop at one address, and each connection goes to one of them. */
static int
serve_shared(void *arg)
{
    struct crowd *crowd = arg;
    int rc =
        weft_tcp_listen(&crowd->listener, &crowd->address, &(weft_listen_options){.reuse_port = 1});
    if (rc < 0)
        return rc;
    rc = serve_crowd(crowd, SIZE_MAX);
    weft_fd_close(&crowd->listener);
    return rc;
}

LOOPS_TEST(tcp, listeners_on_several_loops_share_a_port, 2)
{
    weft_fd reserved;
    weft_listen_options share = {.reuse_port = 1};
    struct crowd crowds[3] = {{.n = 64}, {.n = 64}, {.n = 64}};
    crowds[2].address = t_listen(&reserved, &share);
    weft_fd_close(&reserved);
    weft_task *servers[2];
    for (int i = 0; i < 2; i++) {
        crowds[i].address = crowds[2].address;
        T_OK(weft_task_spawn(&servers[i], serve_shared, &crowds[i],
                             &(weft_task_options){.on = WEFT_ON(i)}));
    }
    T_OK(weft_sleep(WEFT_MS(50)));
    T_OK(clients(&crowds[2]));
    cr_assert(crowds[2].n_answered == 64);
    for (int i = 0; i < 2; i++) {
        weft_task_cancel(servers[i]);
        T_OK(weft_task_join(servers[i], NULL));
        cr_assert(crowds[i].n_served > 1);
    }
    /* Each counts its accept that was cancelled as well. */
    cr_assert(crowds[0].n_served + crowds[1].n_served == 64 + 2, "%zu + %zu", crowds[0].n_served,
              crowds[1].n_served);
}
