/*
 * test_dns.c - the resolver of libweft-dns against a server of our own on this machine, which
 * answers by the first label of what it is asked for. Time limits are c-ares's, on the real clock.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include <weft/connect.h>
#include <weft/dns.h>
#include <weft/udp.h>

#include "io/t_io.h"

TestSuite(dns, .timeout = 120);

/* ---- The server ----------------------------------------------------------------------------- */

#define TYPE_A 1
#define TYPE_TXT 16
#define TYPE_AAAA 28

struct server {
    weft_fd udp;
    weft_fd tcp;
    weft_address address;
    char where[64]; /* of both */
    weft_group group;
    unsigned asked;
    unsigned by_tcp;
};

static void
put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

/* An answer of len bytes in the question's name. */
static size_t
put_record(unsigned char *at, unsigned type, const void *data, size_t len)
{
    put16(at, 0xc00c); /* the name at 12 */
    put16(at + 2, type);
    put16(at + 4, 1);
    put16(at + 6, 0);
    put16(at + 8, 60);
    put16(at + 10, (unsigned)len);
    memcpy(at + 12, data, len);
    return 12 + len;
}

/* The reply to a question in out; 0: silence. */
static size_t
reply_to(struct server *server, const unsigned char *in, size_t len, unsigned char out[512],
         bool tcp)
{
    server->asked++;
    size_t end = 12;
    while (end < len && in[end] != 0)
        end += in[end] + 1u;
    end += 5;
    if (end > len)
        return 0;
    unsigned type = in[end - 4] << 8 | in[end - 3];
    char label[64];
    snprintf(label, sizeof label, "%.*s", in[12], (const char *)in + 13);

    memcpy(out, in, end);
    put16(out + 2, 0x8180);
    memset(out + 6, 0, 6);
    put16(out + 4, 1);
    if (strcmp(label, "silent") == 0)
        return 0;
    if (strcmp(label, "missing") == 0) {
        put16(out + 2, 0x8183);
    } else if (strcmp(label, "broken") == 0) {
        put16(out + 2, 0x8182);
    } else if (strcmp(label, "garbage") == 0) {
        put16(out + 6, 9); /* nine answers, of which there is nothing but noise */
        memset(out + end, 0xee, 40);
        return end + 40;
    } else if (strcmp(label, "large") == 0 && !tcp) {
        put16(out + 2, 0x8380); /* cut off: ask by TCP */
    } else if (type == TYPE_A && strcmp(label, "six") != 0) {
        static const unsigned char four[4] = {127, 0, 0, 44};
        put16(out + 6, 1);
        end += put_record(out + end, TYPE_A, four, 4);
    } else if (type == TYPE_AAAA && strcmp(label, "four") != 0) {
        static const unsigned char six[16] = {0x20, 1, 0xd, 0xb8, [15] = 66};
        put16(out + 6, 1);
        end += put_record(out + end, TYPE_AAAA, six, 16);
    } else if (type == TYPE_TXT) {
        put16(out + 6, 1);
        end += put_record(out + end, TYPE_TXT, "\5hello", 6);
    }
    return end;
}

static int
serve_udp(void *arg)
{
    struct server *server = arg;
    for (;;) {
        unsigned char in[512], out[600];
        weft_address from;
        ssize_t n = weft_udp_receive_from(&server->udp, in, sizeof in, &from, NULL);
        if (n < 0)
            return (int)n;
        size_t len = reply_to(server, in, (size_t)n, out, false);
        int rc = len > 0 ? weft_udp_send_to(&server->udp, out, len, &from) : 0;
        if (rc < 0)
            return rc;
    }
}

static int
serve_tcp(void *arg)
{
    struct server *server = arg;
    for (;;) {
        weft_fd connection;
        unsigned char in[514], out[602];
        int rc = weft_tcp_accept(&server->tcp, &connection, NULL);
        if (rc < 0)
            return rc;
        size_t have = 0;
        ssize_t n = 1;
        while (n > 0 && (have < 2 || have < 2u + (in[0] << 8 | in[1]))) {
            n = weft_fd_read(&connection, in + have, sizeof in - have);
            if (n > 0)
                have += (size_t)n;
        }
        if (n > 0) {
            server->by_tcp++;
            size_t len = reply_to(server, in + 2, have - 2, out + 2, true);
            put16(out, (unsigned)len);
            weft_ignore(weft_fd_write_all(&connection, out, len + 2, NULL));
            weft_ignore(weft_fd_read(&connection, in, sizeof in)); /* its end */
        }
        weft_fd_close(&connection);
        if (n < 0)
            return (int)n;
    }
}

/* The port is TCP's, and free for UDP as well, mostly. */
static int
server_open(struct server *server)
{
    int rc;
    weft_address any;
    T_OK(weft_address_parse(&any, "127.0.0.1:0"));
    *server = (struct server){.asked = 0};
    do {
        rc = weft_tcp_listen(&server->tcp, &any, NULL);
        if (rc < 0)
            return rc;
        rc = weft_fd_local_address(&server->tcp, &server->address);
        if (rc == 0)
            rc = weft_udp_open(&server->udp, &server->address, NULL);
        if (rc < 0)
            weft_fd_close(&server->tcp);
    } while (rc == -EADDRINUSE);
    if (rc < 0)
        return rc;
    weft_address_format(&server->address, server->where, sizeof server->where);
    weft_group_open(&server->group, &(weft_group_options){.keep_going = 1});
    weft_group_spawn(&server->group, serve_udp, server);
    weft_group_spawn(&server->group, serve_tcp, server);
    return 0;
}

static void
server_close(struct server *server)
{
    weft_group_cancel(&server->group);
    weft_ignore(weft_group_close(&server->group));
    weft_fd_close(&server->udp);
    weft_fd_close(&server->tcp);
}

/* A resolver that asks the server, and gives up soon. */
static weft_dns *
dns_for(const char *servers, weft_time timeout, unsigned tries)
{
    weft_dns *dns;
    T_OK(weft_dns_new(&dns, &(weft_dns_options){.servers = servers,
                                                .timeout = timeout,
                                                .tries = tries,
                                                .search = (const char *const[]){"test"},
                                                .n_search = 1}));
    return dns;
}

static int
ask(weft_dns *dns, const char *host, int family, weft_addresses *found)
{
    weft_resolver resolver = weft_dns_resolver(dns);
    return weft_resolve(host, "80",
                        &(weft_resolve_options){.family = family, .resolver = &resolver}, found);
}

/* What is found, as text, in any order. */
static void
assert_found(weft_dns *dns, const char *host, int family, const char *one, const char *other)
{
    weft_addresses found;
    T_OK(ask(dns, host, family, &found));
    cr_assert(found.n == 1u + (other != NULL), "%s has %zu addresses", host, found.n);
    for (size_t i = 0; i < found.n; i++) {
        char text[64];
        weft_address_format(&found.items[i], text, sizeof text);
        cr_assert(strcmp(text, one) == 0 || (other != NULL && strcmp(text, other) == 0),
                  "%s has %s", host, text);
    }
    weft_addresses_free(&found);
}

#define FOUR "127.0.0.44:80"
#define SIX "[2001:db8::42]:80"

/* ---- Answers -------------------------------------------------------------------------------- */

LOOPS_TEST(dns, addresses_of_both_kinds_are_found, 1)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_SEC(5), 2);
    assert_found(dns, "both.test", 0, FOUR, SIX);
    assert_found(dns, "both.test", AF_INET, FOUR, NULL);
    assert_found(dns, "both.test", AF_INET6, SIX, NULL);
    assert_found(dns, "four.test", 0, FOUR, NULL);
    assert_found(dns, "six.test", 0, SIX, NULL);
    assert_found(dns, "four", 0, FOUR, NULL); /* as four.test */
    weft_dns_free(dns);
    server_close(&server);
}

LOOPS_TEST(dns, what_is_cut_off_is_asked_for_again_by_tcp, 1)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_SEC(5), 2);
    assert_found(dns, "large.test", AF_INET, FOUR, NULL);
    cr_assert(server.by_tcp > 0);
    weft_dns_free(dns);
    server_close(&server);
}

LOOPS_TEST(dns, failures_are_told_apart, 1)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_MS(100), 1);
    weft_addresses found;
    T_ERR(WEFT_E_NAME, ask(dns, "missing.test", 0, &found));
    cr_assert(strstr(weft_error_text(), "'missing.test'") != NULL);
    T_ERR(WEFT_E_NAME, ask(dns, "six.test", AF_INET, &found));
    T_ERR(WEFT_E_NAME_AGAIN, ask(dns, "broken.test", 0, &found));
    T_ERR(WEFT_E_NAME_AGAIN, ask(dns, "silent.test", 0, &found));
    T_ERR(WEFT_E_NAME_AGAIN, ask(dns, "garbage.test", 0, &found));
    assert_found(dns, "four.test", 0, FOUR, NULL); /* and it goes on */
    weft_dns_free(dns);
    server_close(&server);
}

LOOPS_TEST(dns, numbers_and_hosts_need_no_server, 1)
{
    struct server server;
    T_OK(server_open(&server));
    char path[] = "/tmp/weft-hosts-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0 && dprintf(file, "10.9.8.7 listed.test listed\n") > 0);
    close(file);
    setenv("CARES_HOSTS", path, 1);
    weft_dns *dns = dns_for(server.where, WEFT_MS(100), 1);
    assert_found(dns, "listed.test", AF_INET, "10.9.8.7:80", NULL);
    assert_found(dns, "127.0.0.3", 0, "127.0.0.3:80", NULL);
    cr_assert(server.asked == 0);
    weft_dns_free(dns);
    unsetenv("CARES_HOSTS");
    unlink(path);
    server_close(&server);
}

LOOPS_TEST(dns, other_records_come_as_they_are, 1)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_SEC(5), 2);
    weft_buf answer = {.len = 0};
    T_OK(weft_dns_query(dns, "some.test", TYPE_TXT, &answer));
    cr_assert(answer.len > 6 && memcmp(answer.data + answer.len - 6, "\5hello", 6) == 0);
    weft_buf_free(&answer);
    T_ERR(WEFT_E_NAME, weft_dns_query(dns, "missing.test", TYPE_TXT, &answer));
    T_ERR(WEFT_E_NAME, weft_dns_query(dns, "some.test", 99, &answer));
    cr_assert(answer.len == 0);
    weft_dns_free(dns);
    server_close(&server);
}

/* ---- Many at once, and those who leave ------------------------------------------------------ */

struct asking {
    weft_dns *dns;
    const char *host;
    int rc;
    bool done;
};

static int
ask_task(void *arg)
{
    struct asking *asking = arg;
    weft_addresses found;
    asking->rc = ask(asking->dns, asking->host, AF_INET, &found);
    if (asking->rc == 0)
        weft_addresses_free(&found);
    asking->done = true;
    return 0;
}

LOOPS_TEST(dns, a_silent_server_holds_up_nobody_else, 1)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_SEC(30), 2);
    struct asking silent = {.dns = dns, .host = "silent.test"};
    struct asking others[100];
    weft_task *task = t_start(ask_task, &silent);
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 100; i++) {
        others[i] = (struct asking){.dns = dns, .host = "four.test"};
        weft_group_spawn(&group, ask_task, &others[i]);
    }
    T_OK(weft_group_close(&group));
    for (int i = 0; i < 100; i++)
        T_OK(others[i].rc);
    cr_assert(!silent.done);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL)); /* long before the server's time is over */
    T_ERR(-ECANCELED, silent.rc);
    assert_found(dns, "four.test", 0, FOUR, NULL);
    weft_dns_free(dns);
    server_close(&server);
}

LOOPS_TEST(dns, the_second_server_stands_in_for_a_dead_one, 1)
{
    struct server server, dead;
    T_OK(server_open(&dead));
    server_close(&dead);
    T_OK(server_open(&server));
    char servers[140];
    snprintf(servers, sizeof servers, "%s,%s", dead.where, server.where);
    weft_dns *dns = dns_for(servers, WEFT_MS(200), 2);
    assert_found(dns, "four.test", AF_INET, FOUR, NULL);
    weft_dns_free(dns);
    server_close(&server);
}

LOOPS_TEST(dns, freeing_ends_all_look_ups, 1)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_SEC(30), 2);
    struct asking asking[3];
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        asking[i] = (struct asking){.dns = dns, .host = "silent.test"};
        tasks[i] = t_start(ask_task, &asking[i]);
    }
    weft_dns_free(dns);
    for (int i = 0; i < 3; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        T_ERR(-ECANCELED, asking[i].rc);
    }
    weft_dns_free(NULL);
    server_close(&server);
}

LOOPS_TEST(dns, other_loops_are_served, 2)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_SEC(5), 2);
    struct asking good = {.dns = dns, .host = "four.test"},
                  bad = {.dns = dns, .host = "missing.test"},
                  cancelled = {.dns = dns, .host = "silent.test"};
    weft_task_options there = {.on = WEFT_ON(1)};
    weft_task *tasks[3];
    T_OK(weft_task_spawn(&tasks[0], ask_task, &good, &there));
    T_OK(weft_task_spawn(&tasks[1], ask_task, &bad, &there));
    T_OK(weft_task_spawn(&tasks[2], ask_task, &cancelled, &there));
    T_OK(weft_task_join(tasks[0], NULL));
    T_OK(weft_task_join(tasks[1], NULL));
    weft_task_cancel(tasks[2]);
    T_OK(weft_task_join(tasks[2], NULL));
    T_OK(good.rc);
    T_ERR(WEFT_E_NAME, bad.rc);
    T_ERR(-ECANCELED, cancelled.rc);
    weft_dns_free(dns);
    server_close(&server);
}

static void *
elsewhere(void *arg)
{
    weft_run_here(ask_task, arg);
    return NULL;
}

LOOPS_TEST(dns, other_runtimes_are_not, 1)
{
    weft_dns *dns = dns_for("127.0.0.1:9", WEFT_MS(50), 1);
    struct asking asking = {.dns = dns, .host = "four.test"};
    t_thread_join(t_thread(elsewhere, &asking));
    T_ERR(-EXDEV, asking.rc);
    weft_dns_free(dns);
}

LOOPS_TEST(dns, connecting_goes_through_it, 1)
{
    struct server server;
    T_OK(server_open(&server));
    weft_dns *dns = dns_for(server.where, WEFT_SEC(5), 2);
    weft_resolver resolver = weft_dns_resolver(dns);
    weft_address address;
    weft_fd listener;
    weft_stream stream;
    T_OK(weft_address_parse(&address, "127.0.0.44:0"));
    T_OK(weft_tcp_listen(&listener, &address, NULL));
    T_OK(weft_fd_local_address(&listener, &address));
    char where[64];
    snprintf(where, sizeof where, "four.test:%u",
             ntohs(((struct sockaddr_in *)(void *)&address.storage)->sin_port));
    T_OK(weft_connect(&stream, where, &(weft_connect_options){.resolver = &resolver}));
    weft_stream_close(&stream);
    weft_fd_close(&listener);
    weft_dns_free(dns);
    server_close(&server);
}

LOOPS_TEST(dns, options_out_of_range_are_refused, 1)
{
    weft_dns *dns;
    T_ERR(-EINVAL, weft_dns_new(&dns, &(weft_dns_options){.servers = "no.number"}));
    cr_assert(strstr(weft_error_text(), "no.number") != NULL);
    T_ERR(-EINVAL, weft_dns_new(&dns, &(weft_dns_options){.timeout = -1}));
    T_ERR(-EINVAL, weft_dns_new(&dns, &(weft_dns_options){.tries = 101}));
    T_OK(weft_dns_new(&dns, NULL));
    weft_dns_free(dns); /* its task has not run yet */
    T_OK(weft_dns_new(&dns, &(weft_dns_options){.rotate = 1}));
    T_OK(weft_yield());
    weft_dns_free(dns);
}

/* ---- Whatever goes wrong -------------------------------------------------------------------- */

static int
torn_main(void *arg)
{
    (void)arg;
    struct server server;
    weft_dns *dns;
    int rc = server_open(&server);
    if (rc < 0)
        return rc;
    rc = weft_dns_new(
        &dns, &(weft_dns_options){.servers = server.where, .timeout = WEFT_MS(20), .tries = 1});
    if (rc == 0) {
        static const char *const hosts[] = {"both.test", "large.test", "missing.test"};
        for (int i = 0; i < 3; i++) {
            weft_addresses found;
            if (ask(dns, hosts[i], 0, &found) == 0)
                weft_addresses_free(&found);
        }
        weft_buf answer = {.len = 0};
        rc = weft_dns_query(dns, "some.test", TYPE_TXT, &answer);
        weft_buf_free(&answer);
        weft_dns_free(dns);
    }
    server_close(&server);
    return rc;
}

static void
torn_run(void *arg)
{
    (void)arg;
    weft_ignore(
        weft_run(torn_main, NULL, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}

Test(dns, whatever_fails_it_ends_and_leaves_nothing)
{
    static const int errors[] = {EINTR, EMFILE, ENOMEM};
    struct t_torture torture = {.scenario = torn_run, .max = 60 / T_SLOW};
    for (int from_on = 0; from_on < 2; from_on++) {
        torture.from_on = from_on;
        for (int kind = 0; kind < WEFT__TORTURE_SYSCALL; kind++) {
            torture.kind = (enum weft__torture)kind;
            cr_assert(t_torture_run(&torture) >= 3);
        }
        torture.kind = WEFT__TORTURE_SYSCALL;
        for (size_t i = from_on; i < sizeof errors / sizeof errors[0]; i++) {
            torture.error = errors[i];
            cr_assert(t_torture_run(&torture) >= 5);
        }
    }
}
