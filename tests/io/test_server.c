/*
 * test_server.c - servers: how connections are spread, limited, drained, and what goes wrong.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "io/t_server.h"

TestSuite(server, .timeout = 120);

/* ---- Serving -------------------------------------------------------------------------------- */

#define CLIENTS 60

static int
ask_once(void *arg)
{
    return t_client_ask(t_client(arg));
}

static void
serve_many(weft_server_sharing sharing)
{
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){
                                .listen = t_anywhere(), .serve = t_serve_echo, .sharing = sharing});
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < CLIENTS; i++)
        weft_group_spawn_with(&group, ask_once, &served.address,
                              &(weft_task_options){.on = WEFT_ON(i % weft_loop_count())});
    T_OK(weft_group_close(&group));
    T_SERVED_UNTIL(&served, active, 0);
    cr_assert(t_served_stats(&served, -1).accepted == CLIENTS);
    cr_assert(t_served_stats(&served, -1).failed == 0);
    t_served_end(&served);
}

LOOPS_TEST(server, serves_on_one_loop, 1)
{
    serve_many(WEFT_SERVER_PER_LOOP);
}

LOOPS_TEST(server, serves_on_several_loops, 3)
{
    serve_many(WEFT_SERVER_PER_LOOP);
}

LOOPS_TEST(server, one_acceptor_serves_on_several_loops, 3)
{
    serve_many(WEFT_SERVER_IN_TURN);
    serve_many(WEFT_SERVER_LEAST_LOADED);
}

static void
spread_evenly(weft_server_sharing sharing)
{
    weft_event go;
    struct t_served served;
    int raw[9];
    weft_event_open(&go);
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = t_serve_until,
                                                   .arg = &go,
                                                   .sharing = sharing});
    for (int i = 0; i < 9; i++)
        raw[i] = t_client(&served.address);
    T_SERVED_UNTIL(&served, active, 9);
    for (int i = 0; i < 3; i++)
        cr_assert(t_served_stats(&served, i).active == 3, "loop %d has %lu", i,
                  (unsigned long)t_served_stats(&served, i).active);
    weft_event_set(&go);
    for (int i = 0; i < 9; i++)
        cr_assert(t_client_read_end(raw[i]) == 4);
    t_served_end(&served);
    weft_event_close(&go);
}

LOOPS_TEST(server, connections_are_dealt_out_in_turn, 3)
{
    spread_evenly(WEFT_SERVER_IN_TURN);
}

LOOPS_TEST(server, connections_go_where_there_are_fewest, 3)
{
    spread_evenly(WEFT_SERVER_LEAST_LOADED);
}

static int
serve_who(weft_stream *connection, void *arg)
{
    weft_address *peer = arg;
    size_t listener;
    cr_assert(weft_server_of(connection, &listener) != NULL && listener == 1);
    cr_assert(!weft_server_draining(weft_server_of(connection, NULL)));
    return weft_server_peer(connection, peer);
}

LOOPS_TEST(server, a_connection_knows_where_it_comes_from, 1)
{
    const char *listen[] = {"127.0.0.1:0", "127.0.0.1:0", NULL};
    weft_address peer, second, own = {.len = sizeof own.storage};
    struct t_served served;
    t_served_begin(&served,
                   &(weft_server_options){.listen = listen, .serve = serve_who, .arg = &peer});
    T_OK(weft_server_address(served.server, 1, &second));
    T_ERR(-ENOENT, weft_server_address(served.server, 2, &second));
    int raw = t_client(&second);
    cr_assert(getsockname(raw, (struct sockaddr *)&own.storage, &own.len) == 0);
    cr_assert(t_client_read_end(raw) == 0);
    cr_assert(own.len == peer.len && memcmp(&own.storage, &peer.storage, own.len) == 0);
    t_served_end(&served);
}

static int
serve_badly(weft_stream *connection, void *arg)
{
    (void)connection;
    (void)arg;
    return weft_error_note(-EPROTO, "nonsense");
}

static void
note_error(void *arg, weft_stream *connection, int rc)
{
    int *errors = arg;
    if (connection != NULL && rc == -EPROTO && strcmp(weft_error_text(), "nonsense") == 0)
        errors[0]++;
    else if (connection == NULL)
        errors[1]++;
}

LOOPS_TEST(server, a_connection_that_fails_is_reported_and_no_more, 1)
{
    int errors[2] = {0, 0};
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = serve_badly,
                                                   .arg = errors,
                                                   .on_error = note_error});
    for (int i = 0; i < 3; i++)
        cr_assert(t_client_read_end(t_client(&served.address)) == 0);
    T_SERVED_UNTIL(&served, failed, 3);
    t_served_end(&served);
    cr_assert(errors[0] == 3 && errors[1] == 0);
}

/* ---- Opening -------------------------------------------------------------------------------- */

struct probing {
    int on, idle, interval;
};

static int
serve_probing(weft_stream *connection, void *arg)
{
    struct probing *probing = arg;
    int raw = weft_stream_raw(connection);
    socklen_t len = sizeof(int);
    getsockopt(raw, SOL_SOCKET, SO_KEEPALIVE, &probing->on, &len);
    getsockopt(raw, IPPROTO_TCP, TCP_KEEPIDLE, &probing->idle, &len);
    return getsockopt(raw, IPPROTO_TCP, TCP_KEEPINTVL, &probing->interval, &len) == 0 ? 0 : -errno;
}

static struct probing
probing_with(weft_time keep_alive)
{
    struct probing probing = {0};
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = serve_probing,
                                                   .arg = &probing,
                                                   .keep_alive = keep_alive});
    cr_assert(t_client_read_end(t_client(&served.address)) == 0);
    t_served_end(&served);
    return probing;
}

TASK_TEST(server, silent_peers_are_probed_as_often_as_was_asked_for)
{
    struct probing probing = probing_with(0);
    cr_assert(probing.on == 0);
    probing = probing_with(WEFT_MS(1500));
    cr_assert(probing.on == 1 && probing.idle == 2 && probing.interval == 2);
    probing = probing_with(WEFT_SEC(600));
    cr_assert(probing.on == 1 && probing.idle == 600 && probing.interval == 75);
}

TASK_TEST(server, options_that_make_no_sense_are_refused)
{
    weft_server *server;
    const char *nowhere[] = {NULL}, *nonsense[] = {"127.0.0.1:0", "there", NULL};
    const char *empty[] = {"unix:", NULL}, *no_fd[] = {"fd:nobody", NULL};
    T_ERR(-EINVAL, weft_server_new(&server, &(weft_server_options){.listen = t_anywhere()}));
    T_ERR(-EINVAL, weft_server_new(&server, &(weft_server_options){.serve = t_serve_echo}));
    weft_server_options options = {.serve = t_serve_echo, .listen = nowhere};
    T_ERR(-EINVAL, weft_server_new(&server, &options));
    options.listen = nonsense;
    T_ERR(WEFT_E_ADDRESS, weft_server_new(&server, &options));
    options.listen = empty;
    T_ERR(WEFT_E_ADDRESS, weft_server_new(&server, &options));
    options.listen = no_fd;
    T_ERR(-ENOENT, weft_server_new(&server, &options));
    cr_assert(strstr(weft_error_text(), "fd:nobody") != NULL);
    options.listen = t_anywhere();
    options.stack_size = 1;
    T_ERR(WEFT_E_STACK, weft_server_new(&server, &options));
    weft_server_free(NULL);
}

LOOPS_TEST(server, a_second_one_on_the_same_address_is_refused, 3)
{
    weft_server *first, *second;
    weft_address address;
    char text[64];
    T_OK(weft_server_new(&first,
                         &(weft_server_options){.listen = t_anywhere(), .serve = t_serve_echo}));
    T_OK(weft_server_address(first, 0, &address));
    const char *listen[] = {weft_address_format(&address, text, sizeof text), NULL};
    weft_server_options options = {.listen = listen, .serve = t_serve_echo};
    T_ERR(-EADDRINUSE, weft_server_new(&second, &options));
    cr_assert(strstr(weft_error_text(), text) != NULL, "%s", weft_error_text());
    weft_server_free(first);
    options.share_port = 1;
    T_OK(weft_server_new(&first, &options));
    T_OK(weft_server_new(&second, &options));
    weft_server_free(first);
    weft_server_free(second);
}

static void
set_path(char path[64], char text[80], const char *name)
{
    snprintf(path, 64, "/tmp/weft-test-%d-%s", (int)getpid(), name);
    snprintf(text, 80, "unix:%s", path);
}

LOOPS_TEST(server, serves_a_unix_socket_and_removes_its_file, 2)
{
    char path[64], text[80];
    struct stat status;
    set_path(path, text, "plain");
    const char *listen[] = {text, NULL};
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){
                                .listen = listen, .serve = t_serve_echo, .unix_mode = 0640});
    cr_assert(stat(path, &status) == 0 && (status.st_mode & 0777) == 0640);
    for (int i = 0; i < 10; i++)
        T_OK(t_client_ask(t_client(&served.address)));
    t_served_end(&served);
    cr_assert(stat(path, &status) < 0);
}

LOOPS_TEST(server, one_that_drains_leaves_the_path_of_its_unix_socket_to_another, 2)
{
    char path[64], text[80];
    set_path(path, text, "drains");
    const char *listen[] = {text, NULL};
    weft_event go;
    weft_event_open(&go);
    struct t_served first, second;
    t_served_begin(
        &first, &(weft_server_options){
                    .listen = listen, .serve = t_serve_until, .arg = &go, .grace = WEFT_FOREVER});
    int served = t_client(&first.address);
    T_SERVED_UNTIL(&first, active, 1);
    weft_server_stop(first.server, WEFT_SERVER_GRACE);
    int rc;
    for (;;) {
        int raw = t_client_socket(&first.address);
        rc = t_client_connect(raw, &first.address);
        close(raw);
        if (rc < 0)
            break;
        T_OK(weft_sleep(WEFT_MS(1)));
    }
    /* Its number must not be another's before we have looked at it for the last time. */
    T_ERR(-ENOENT, rc);
    t_served_begin(&second, &(weft_server_options){.listen = listen, .serve = t_serve_echo});
    weft_event_set(&go);
    cr_assert(t_client_read_end(served) == 4);
    t_served_join(&first);
    weft_server_free(first.server);
    T_OK(t_client_ask(t_client(&second.address)));
    t_served_end(&second);
    cr_assert(access(path, F_OK) < 0);
    weft_event_close(&go);
}

LOOPS_TEST(server, serves_an_abstract_unix_socket, 1)
{
    char text[80];
    snprintf(text, sizeof text, "unix:@weft-test-%d", (int)getpid());
    const char *listen[] = {text, NULL};
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = listen, .serve = t_serve_echo});
    T_OK(t_client_ask(t_client(&served.address)));
    t_served_end(&served);
}

LOOPS_TEST(server, only_a_stale_unix_socket_is_replaced, 1)
{
    char path[64], text[80];
    set_path(path, text, "stale");
    const char *listen[] = {text, NULL};
    weft_server_options options = {.listen = listen, .serve = t_serve_echo};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(stale, (struct sockaddr *)&address, sizeof address) == 0);
    close(stale);
    weft_server *server, *other;
    T_OK(weft_server_new(&server, &options));
    T_ERR(-EADDRINUSE, weft_server_new(&other, &options)); /* it lives */
    weft_server_free(server);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert(file >= 0);
    close(file);
    T_ERR(-EADDRINUSE, weft_server_new(&other, &options)); /* no socket at all */
    cr_assert(unlink(path) == 0);
}

static int
listening_raw(int at)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(raw >= 0 && bind(raw, (struct sockaddr *)&address, sizeof address) == 0);
    cr_assert(listen(raw, 10) == 0);
    if (at >= 0 && at != raw) {
        cr_assert(dup2(raw, at) == at);
        close(raw);
        raw = at;
    }
    return raw;
}

LOOPS_TEST(server, serves_a_socket_it_is_given, 2)
{
    char text[32];
    int raw = listening_raw(-1);
    snprintf(text, sizeof text, "fd:%d", raw);
    const char *listen[] = {text, NULL}, *both[] = {text, "nowhere", NULL};
    weft_server *server;
    T_ERR(WEFT_E_ADDRESS,
          weft_server_new(&server, &(weft_server_options){.listen = both, .serve = t_serve_echo}));
    struct t_served served; /* it still is ours then */
    t_served_begin(&served, &(weft_server_options){.listen = listen, .serve = t_serve_echo});
    for (int i = 0; i < 5; i++)
        T_OK(t_client_ask(t_client(&served.address)));
    t_served_end(&served);

    int pair[2];
    t_socketpair(pair);
    snprintf(text, sizeof text, "fd:%d", pair[0]);
    T_ERR(-EINVAL, weft_server_new(
                       &server, &(weft_server_options){.listen = listen, .serve = t_serve_echo}));
    close(pair[0]);
    close(pair[1]);
}

/* In a child, whose descriptors 3 to 5 are free to be what a manager passes. */
static int
activated(void *arg)
{
    (void)arg;
    const char *web[] = {"fd:web", NULL}, *all[] = {"fd:*", NULL};
    struct t_served first, second;
    weft_server *server;
    weft_address address;
    t_served_begin(&first, &(weft_server_options){.listen = web, .serve = t_serve_echo});
    T_OK(weft_server_address(first.server, 1, &address));
    T_ERR(-ENOENT, weft_server_address(first.server, 2, &address));
    cr_assert(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL);
    t_served_begin(&second, &(weft_server_options){.listen = all, .serve = t_serve_echo});
    T_ERR(-ENOENT,
          weft_server_new(&server, &(weft_server_options){.listen = all, .serve = t_serve_echo}));
    cr_assert(fcntl(3, F_GETFD) == FD_CLOEXEC);
    T_OK(t_client_ask(t_client(&first.address)));
    T_OK(t_client_ask(t_client(&address)));
    T_OK(t_client_ask(t_client(&second.address)));
    t_served_end(&first);
    t_served_end(&second);
    return 0;
}

static int
not_activated(void *arg)
{
    (void)arg;
    weft_server *server;
    const char *all[] = {"fd:*", NULL};
    return weft_server_new(&server, &(weft_server_options){.listen = all, .serve = t_serve_echo});
}

Test(server, sockets_of_a_service_manager_are_found_by_name)
{
    int old[3];
    char pid[16];
    for (int i = 0; i < 3; i++)
        old[i] = fcntl(3 + i, F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < 3; i++) {
        listening_raw(3 + i);
        fcntl(3 + i, F_SETFD, 0);
    }
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "web:admin:web", 1);
    setenv("LISTEN_PID", "1", 1); /* of somebody else */
    T_ERR(-ENOENT, weft_run(not_activated, NULL, NULL));
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    T_OK(weft_run(activated, NULL, &(weft_options){.loops = 2}));
    for (int i = 0; i < 3; i++) {
        if (old[i] >= 0) {
            dup2(old[i], 3 + i);
            close(old[i]);
        }
    }
}

/* ---- Limits --------------------------------------------------------------------------------- */

struct crowd {
    uint32_t present, most; /* atomic */
};

static int
serve_in_crowd(weft_stream *connection, void *arg)
{
    struct crowd *crowd = arg;
    uint32_t n = weft__fetch_add(&crowd->present, 1) + 1;
    uint32_t most = weft__load(&crowd->most);
    while (n > most && !weft__cas(&crowd->most, most, n))
        most = weft__load(&crowd->most);
    int rc = weft_sleep(WEFT_MS(2));
    if (rc == 0)
        rc = t_serve_echo(connection, NULL);
    weft__fetch_sub(&crowd->present, 1);
    return rc;
}

static void
serve_limited(weft_server_sharing sharing)
{
    struct crowd crowd = {.present = 0};
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = serve_in_crowd,
                                                   .arg = &crowd,
                                                   .sharing = sharing,
                                                   .max_connections = 2});
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 30; i++)
        weft_group_spawn(&group, ask_once, &served.address);
    T_OK(weft_group_close(&group));
    cr_assert(crowd.most <= 2, "%u at once", crowd.most);
    cr_assert(t_served_stats(&served, -1).accepted == 30);
    cr_assert(t_served_stats(&served, -1).full > 0);
    t_served_end(&served);
}

LOOPS_TEST(server, no_more_than_the_limit_are_served_at_once, 3)
{
    serve_limited(WEFT_SERVER_PER_LOOP);
    serve_limited(WEFT_SERVER_IN_TURN);
}

LOOPS_TEST(server, a_shortage_of_descriptors_pauses_accepting, 2)
{
    int errors[2] = {0, 0};
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = t_serve_echo,
                                                   .arg = errors,
                                                   .on_error = note_error,
                                                   .sharing = WEFT_SERVER_IN_TURN});
    T_OK(t_client_ask(t_client(&served.address))); /* pollers are open */
    T_OK(t_client_ask(t_client(&served.address)));
    T_SERVED_UNTIL(&served, active, 0);
    int raw = t_client_socket(&served.address), other = t_client_socket(&served.address);
    rlim_t old = t_forbid_descriptors();
    T_OK(t_client_connect(raw, &served.address));
    T_OK(t_client_connect(other, &served.address));
    T_SERVED_UNTIL(&served, starved, 1);
    T_OK(weft_sleep(WEFT_MS(100)));
    cr_assert(t_served_stats(&served, -1).accepted == 2);
    cr_assert(t_served_stats(&served, -1).starved == 1, "told once");
    t_allow_descriptors(old);
    T_OK(t_client_ask(raw));
    T_OK(t_client_ask(other));
    t_served_end(&served);
    cr_assert(errors[1] == 1);
}

LOOPS_TEST(server, many_idle_connections_keep_nobody_from_being_served, 2)
{
    size_t room = (t_raise_nofile() - 200) / 2;
    size_t n = 10000 / T_SLOW < room ? 10000 / T_SLOW : room;
    int *idle = malloc(n * sizeof *idle);
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(), .serve = t_serve_echo});
    for (size_t i = 0; i < n; i++) {
        idle[i] = t_client(&served.address);
        if (i % 100 == 0)
            T_OK(t_client_ask(t_client(&served.address)));
    }
    T_SERVED_UNTIL(&served, active, n);
    T_OK(t_client_ask(t_client(&served.address)));
    for (size_t i = 0; i < n; i++)
        close(idle[i]);
    free(idle);
    t_served_end(&served);
}

LOOPS_TEST(server, a_listening_socket_that_fails_ends_the_server, 2)
{
    char text[32];
    int raw = listening_raw(-1);
    snprintf(text, sizeof text, "fd:%d", raw);
    const char *listen[] = {text, NULL};
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = listen, .serve = t_serve_echo});
    T_OK(t_client_ask(t_client(&served.address)));
    cr_assert(shutdown(raw, SHUT_RDWR) == 0);
    t_served_join(&served);
    T_ERR(-EINVAL, served.rc);
    weft_server_free(served.server);
}

/* ---- Stopping ------------------------------------------------------------------------------- */

static int
set_soon(void *arg)
{
    int rc = weft_sleep(WEFT_MS(30));
    weft_event_set(arg);
    return rc;
}

LOOPS_TEST(server, what_is_under_way_is_finished, 2)
{
    weft_event go;
    struct t_served served;
    int raw[6];
    weft_event_open(&go);
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = t_serve_until,
                                                   .arg = &go,
                                                   .grace = WEFT_SEC(60)});
    for (int i = 0; i < 6; i++)
        raw[i] = t_client(&served.address);
    T_SERVED_UNTIL(&served, active, 6);
    weft_task *setter;
    T_OK(weft_task_spawn(&setter, set_soon, &go, NULL));
    weft_server_stop(served.server, WEFT_SERVER_GRACE);
    t_served_join(&served);
    T_OK(served.rc);
    T_OK(weft_task_join(setter, NULL));
    cr_assert(weft_server_draining(served.server) == 1);
    for (int i = 0; i < 6; i++)
        cr_assert(t_client_read_end(raw[i]) == 4);
    int late = t_client_socket(&served.address);
    T_ERR(-ECONNREFUSED, t_client_connect(late, &served.address));
    close(late);
    weft_server_free(served.server);
    weft_event_close(&go);
}

static int
serve_for_ever(weft_stream *connection, void *arg)
{
    (void)connection;
    (void)arg;
    return weft_sleep_until(WEFT_FOREVER);
}

LOOPS_TEST(server, who_outlives_the_grace_is_cancelled, 2)
{
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = serve_for_ever,
                                                   .grace = WEFT_MS(20)});
    int raw = t_client(&served.address);
    T_SERVED_UNTIL(&served, active, 1);
    weft_server_stop(served.server, WEFT_SERVER_GRACE);
    t_served_join(&served);
    T_OK(served.rc);
    cr_assert(t_served_stats(&served, -1).cancelled == 1);
    cr_assert(t_served_stats(&served, -1).failed == 0);
    cr_assert(t_client_read_end(raw) == 0);
    weft_server_free(served.server);
}

LOOPS_TEST(server, a_second_stop_shortens_the_grace, 2)
{
    struct t_served served;
    t_served_begin(&served,
                   &(weft_server_options){.listen = t_anywhere(), .serve = serve_for_ever});
    int raw = t_client(&served.address);
    T_SERVED_UNTIL(&served, active, 1);
    weft_server_stop(served.server, WEFT_FOREVER);
    T_OK(weft_sleep(WEFT_MS(20)));
    cr_assert(t_served_stats(&served, -1).active == 1);
    weft_server_stop(served.server, 0);
    t_served_join(&served);
    T_OK(served.rc);
    close(raw);
    weft_server_free(served.server);
}

LOOPS_TEST(server, who_has_queued_up_before_the_stop_is_served, 3)
{
    struct t_served served;
    int raw[40];
    T_OK(weft_server_new(&served.server,
                         &(weft_server_options){.listen = t_anywhere(), .serve = t_serve_echo}));
    T_OK(weft_server_address(served.server, 0, &served.address));
    for (int i = 0; i < 40; i++)
        raw[i] = t_client(&served.address);
    weft_server_stop(served.server, WEFT_SERVER_GRACE);
    T_OK(weft_task_spawn(&served.task, t_served_run, &served, NULL));
    for (int i = 0; i < 40; i++)
        T_OK(t_client_ask(raw[i]));
    t_served_join(&served);
    T_OK(served.rc);
    weft_server_free(served.server);
}

LOOPS_TEST(server, cancelling_who_runs_it_drains_it, 2)
{
    weft_event go;
    struct t_served served;
    weft_event_open(&go);
    t_served_begin(&served, &(weft_server_options){
                                .listen = t_anywhere(), .serve = t_serve_until, .arg = &go});
    int raw = t_client(&served.address);
    T_SERVED_UNTIL(&served, active, 1);
    weft_task_cancel(served.task);
    T_OK(weft_sleep(WEFT_MS(10)));
    cr_assert(t_served_stats(&served, -1).active == 1);
    weft_event_set(&go);
    cr_assert(t_client_read_end(raw) == 4);
    t_served_join(&served);
    T_ERR(-ECANCELED, served.rc);
    weft_server_free(served.server);
    weft_event_close(&go);
}

static void *
stop_from_thread(void *arg)
{
    weft_server_stop(arg, WEFT_SERVER_GRACE);
    return NULL;
}

LOOPS_TEST(server, any_thread_can_stop_it, 3)
{
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(), .serve = t_serve_echo});
    T_OK(t_client_ask(t_client(&served.address)));
    pthread_t thread = t_thread(stop_from_thread, served.server);
    t_served_join(&served);
    t_thread_join(thread);
    T_OK(served.rc);
    weft_server_free(served.server);
}

static int
serve_and_idle(weft_stream *connection, void *arg)
{
    char byte;
    (void)arg;
    int rc = weft_stream_read_exact(connection, &byte, 1, NULL);
    if (rc < 0)
        return rc;
    weft_server_idle_open(connection, WEFT_FOREVER);
    ssize_t n = weft_stream_read(connection, &byte, 1);
    rc = weft_server_idle_close(connection);
    if (n != -ECANCELED || rc != -ECANCELED ||
        !weft_server_draining(weft_server_of(connection, NULL)))
        return -EPROTO;
    return weft_stream_write_all(connection, "bye", 3, NULL);
}

LOOPS_TEST(server, who_is_idle_ends_when_it_stops, 2)
{
    struct t_served served;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = serve_and_idle,
                                                   .grace = WEFT_FOREVER});
    int raw = t_client(&served.address);
    cr_assert(write(raw, "x", 1) == 1);
    T_SERVED_UNTIL(&served, active, 1);
    T_OK(weft_sleep(WEFT_MS(10)));
    weft_server_stop(served.server, WEFT_SERVER_GRACE);
    cr_assert(t_client_read_end(raw) == 3);
    t_served_join(&served);
    T_OK(served.rc);
    cr_assert(t_served_stats(&served, -1).failed == 0);
    weft_server_free(served.server);
}

static void *
terminate(void *arg)
{
    (void)arg;
    kill(getpid(), SIGTERM);
    return NULL;
}

static int
serve_until_signalled(void *arg)
{
    struct t_served served;
    T_OK(weft_server_new(&served.server,
                         &(weft_server_options){.listen = t_anywhere(), .serve = t_serve_echo}));
    *(pthread_t *)arg = t_thread(terminate, NULL);
    int rc = weft_server_run(served.server);
    weft_server_free(served.server);
    return rc == -ECANCELED ? 7 : rc;
}

Test(server, sigterm_drains_it)
{
    pthread_t thread;
    t_leak_begin();
    cr_assert(weft_run(serve_until_signalled, &thread, &(weft_options){.loops = 2}) == 7);
    t_thread_join(thread);
    t_leak_end();
}

/* ---- Torture -------------------------------------------------------------------------------- */

static int
torture_client(void *arg)
{
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (raw < 0)
        return -errno;
    int rc = t_client_connect(raw, arg);
    if (rc < 0) {
        close(raw);
        return rc;
    }
    return t_client_ask(raw);
}

static int
torture_main(void *arg)
{
    const weft_server_options *options = arg;
    struct t_served served = {.rc = 0};
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    int rc = weft_server_new(&served.server, options);
    if (rc == 0)
        rc = weft_server_address(served.server, 0, &served.address);
    if (rc == 0) {
        rc = weft_task_spawn(&served.task, t_served_run, &served, NULL);
        if (rc == 0) {
            weft_group group;
            weft_group_open(&group, &(weft_group_options){.keep_going = 1, .timeout = WEFT_SEC(2)});
            for (int i = 0; i < 3; i++)
                weft_group_spawn(&group, torture_client, &served.address);
            rc = weft_group_close(&group);
            weft_server_stop(served.server, WEFT_MS(10));
            weft_scope shield;
            weft_shield_open(&shield, WEFT_FOREVER);
            weft_ignore(weft_task_join(served.task, NULL));
            weft_scope_close(&shield);
        }
        weft_server_free(served.server);
    }
    weft_scope_close(&scope);
    return rc;
}

static void
torture_run(void *arg)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    weft_ignore(
        weft_run(torture_main, arg, &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
    clock_gettime(CLOCK_MONOTONIC, &now);
    cr_assert(now.tv_sec - start.tv_sec < 10, "a wait that nothing ended");
}

static void
torture(enum weft__torture kind, bool from_on, int error)
{
    for (int i = 0; i < 2; i++) {
        weft_server_options options = {.listen = t_anywhere(),
                                       .serve = t_serve_echo,
                                       .sharing =
                                           i == 0 ? WEFT_SERVER_PER_LOOP : WEFT_SERVER_IN_TURN,
                                       .max_connections = 2};
        t_torture_run(&(struct t_torture){.kind = kind,
                                          .from_on = from_on,
                                          .error = error,
                                          .max = 60 / T_SLOW,
                                          .scenario = torture_run,
                                          .arg = &options});
    }
}

TestSuite(server_torture, .timeout = 300);

Test(server_torture, any_wait_is_cancelled)
{
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_CANCEL, true, 0);
    torture(WEFT__TORTURE_DEADLINE, false, 0);
}

Test(server_torture, any_allocation_fails)
{
    torture(WEFT__TORTURE_ALLOC, false, 0);
    torture(WEFT__TORTURE_ALLOC, true, 0);
}

Test(server_torture, any_system_call_fails)
{
    static const int errors[] = {EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOBUFS, EINTR, EIO};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        torture(WEFT__TORTURE_SYSCALL, false, errors[i]);
}
