/*
 * test_faulty_proxy.c - streams, TLS and HTTP through a proxy that delays, splits, joins,
 * truncates, resets and stalls, each time as its seed says.
 *
 * Whatever it does, what arrives is a beginning of what was sent, in order and once, errors are
 * those that the calls are said to have, and a deadline ends what would wait for ever. Time is
 * real: so is TCP. A failure names the seed it happened with.
 */
#include <stdio.h>
#include <string.h>

#include <weft/connect.h>
#include <weft/http_client.h>
#include <weft/http_server.h>
#include <weft/retry.h>
#include <weft/scope.h>
#include <weft/tls.h>

#include "base/random.h"
#include "io/t_server.h"
#include "t_cert.h"

#define SEEDS 24
#define LEN ((size_t)150000)
/* For what ought to end, on a machine that has other things to do; and for what never would. */
#define ENOUGH WEFT_SEC(60)
#define STALLED WEFT_MS(200)

TestSuite(faulty_proxy, .timeout = 300);

/* ---- The proxy ------------------------------------------------------------------------------ */

enum fault { PASS, DROP, RESET, HALF, STALL, N_FAULTS };

static const char *const fault_names[] = {"passes", "drops", "resets", "ends a direction",
                                          "stalls"};

/* What happens to one direction of a connection. */
struct plan {
    enum fault fault;
    size_t at;       /* after so many bytes */
    size_t piece;    /* most bytes of a write */
    size_t gather;   /* bytes that are waited for before any is passed on; 0: none */
    unsigned one_in; /* so many writes one is late; 0: none */
};

struct proxy {
    weft_fd listener;
    weft_address address, target;
    weft_group group;
    uint64_t seed;
    unsigned connections;
    unsigned faulty;     /* connections that something happens to, from the first on */
    size_t within;       /* bytes after which it has happened */
    struct plan plan[2]; /* of the first connection: from the client, to the client */
};

struct relay {
    struct proxy *proxy;
    weft_fd end[2]; /* client, server */
    struct plan plan[2];
    uint64_t seed;
};

struct pump {
    struct relay *relay;
    weft_fd *from, *to;
    const struct plan *plan;
    struct weft__random random;
    size_t passed;
    bool swallow; /* the other end was told that this is all */
};

static void
plan_make(struct plan *plan, struct weft__random *random, bool faulty, size_t within)
{
    static const size_t pieces[] = {1, 3, 17, 200, 1448, 4096, 65536};
    plan->fault = faulty ? (enum fault)weft__random_below(random, N_FAULTS) : PASS;
    plan->at = weft__random_below(random, within);
    plan->piece = pieces[weft__random_below(random, sizeof pieces / sizeof *pieces)];
    plan->gather = weft__random_below(random, 3) == 0 ? weft__random_below(random, 30000) : 0;
    /* Late enough to tell, and not so often that a byte at a time takes for ever. */
    plan->one_in = weft__random_below(random, 2) == 0 ? 0 : plan->piece < 200 ? 2000 : 50;
}

/* What a connection's number leads to, in both directions: one is only slow. */
static uint64_t
plans_make(const struct proxy *proxy, unsigned connection, struct plan plans[2])
{
    struct weft__random random;
    uint64_t seed = proxy->seed * 1000 + connection;
    weft__random_seed(&random, seed);
    int which = (int)weft__random_below(&random, 2);
    for (int i = 0; i < 2; i++)
        plan_make(&plans[i], &random, connection < proxy->faulty && i == which, proxy->within);
    return seed;
}

static void
relay_cut(struct relay *relay, bool reset)
{
    for (int i = 0; i < 2; i++) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        int raw = weft_fd_raw(&relay->end[i]);
        if (reset && raw >= 0)
            cr_assert(setsockopt(raw, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
        weft_fd_close(&relay->end[i]);
    }
}

/* 0: go on; else this direction is over. */
static int
pump_fault(struct pump *pump)
{
    switch (pump->plan->fault) {
    case DROP:
    case RESET:
        relay_cut(pump->relay, pump->plan->fault == RESET);
        return -EPIPE;
    case HALF:
        pump->swallow = true;
        shutdown(weft_fd_raw(pump->to), SHUT_WR);
        return 0;
    case STALL:
        return weft_sleep(WEFT_FOREVER);
    default:
        return 0;
    }
}

/* In pieces, some of them late. */
static int
pump_pass(struct pump *pump, const unsigned char *bytes, size_t len)
{
    const struct plan *plan = pump->plan;
    int rc = 0;
    while (rc == 0 && len > 0 && !pump->swallow) {
        size_t n = len < plan->piece ? len : plan->piece;
        if (plan->fault != PASS && n > plan->at - pump->passed)
            n = plan->at - pump->passed;
        if (plan->one_in > 0 && weft__random_below(&pump->random, plan->one_in) == 0)
            rc = weft_sleep((weft_time)weft__random_below(&pump->random, WEFT_MS(2)));
        if (rc == 0 && n > 0)
            rc = weft_fd_write_all(pump->to, bytes, n, NULL);
        bytes += n;
        len -= n;
        pump->passed += n;
        if (rc == 0 && plan->fault != PASS && pump->passed == plan->at)
            rc = pump_fault(pump);
    }
    return rc;
}

static int
pump_run(void *arg)
{
    struct pump *pump = arg;
    unsigned char bytes[32768];
    int rc = 0;
    if (pump->plan->fault != PASS && pump->plan->at == 0)
        rc = pump_fault(pump);
    while (rc == 0) {
        ssize_t n = weft_fd_read(pump->from, bytes, sizeof bytes);
        /* More of it, as long as more comes soon. */
        while (n > 0 && (size_t)n < pump->plan->gather && (size_t)n < sizeof bytes) {
            weft_scope soon;
            weft_scope_open(&soon, weft_now() + WEFT_MS(1));
            ssize_t more = weft_fd_read(pump->from, bytes + n, sizeof bytes - (size_t)n);
            weft_ignore(weft_scope_close(&soon));
            if (more <= 0)
                break;
            n += more;
        }
        if (n <= 0) {
            if (n == 0 && weft_fd_raw(pump->to) >= 0)
                shutdown(weft_fd_raw(pump->to), SHUT_WR);
            else
                relay_cut(pump->relay, n == -ECONNRESET);
            rc = -EPIPE;
        } else {
            rc = pump_pass(pump, bytes, (size_t)n);
            if (rc < 0 && rc != -ECANCELED)
                relay_cut(pump->relay, rc == -ECONNRESET);
        }
    }
    return rc;
}

static int
relay_run(void *arg)
{
    struct relay *relay = arg;
    int rc = weft_tcp_connect(&relay->end[1], &relay->proxy->target);
    if (rc == 0) {
        struct pump pumps[2];
        weft_group group;
        weft_group_open(&group, &(weft_group_options){.keep_going = 1});
        for (int i = 0; i < 2; i++) {
            pumps[i] = (struct pump){.relay = relay,
                                     .from = &relay->end[i],
                                     .to = &relay->end[1 - i],
                                     .plan = &relay->plan[i]};
            weft__random_seed(&pumps[i].random, relay->seed + (uint64_t)i);
            weft_group_spawn_with(&group, pump_run, &pumps[i],
                                  &(weft_task_options){.stack_size = 131072});
        }
        weft_ignore(weft_group_close(&group));
    }
    relay_cut(relay, false);
    free(relay);
    return 0;
}

static int
proxy_run(void *arg)
{
    struct proxy *proxy = arg;
    for (;;) {
        weft_fd fd;
        int rc = weft_tcp_accept(&proxy->listener, &fd, NULL);
        if (rc < 0)
            return rc;
        struct relay *relay = calloc(1, sizeof *relay);
        cr_assert(relay != NULL);
        relay->proxy = proxy;
        relay->seed = plans_make(proxy, proxy->connections, relay->plan);
        proxy->connections++;
        T_OK(weft_fd_open(&relay->end[0], weft_fd_release(&fd)));
        weft_group_spawn(&proxy->group, relay_run, relay);
    }
}

/* In front of target; the first `faulty` connections come to grief. */
static void
proxy_begin(struct proxy *proxy, const weft_address *target, uint64_t seed, unsigned faulty,
            size_t within)
{
    *proxy = (struct proxy){.target = *target, .seed = seed, .faulty = faulty, .within = within};
    plans_make(proxy, 0, proxy->plan);
    proxy->address = t_listen(&proxy->listener, NULL);
    weft_group_open(&proxy->group, &(weft_group_options){.keep_going = 1});
    weft_group_spawn(&proxy->group, proxy_run, proxy);
}

static void
proxy_end(struct proxy *proxy)
{
    weft_group_cancel(&proxy->group);
    T_ERR(-ECANCELED, weft_group_close(&proxy->group));
    weft_fd_close(&proxy->listener);
}

/* What happens to the first connection. */
static const struct plan *
proxy_fault(const struct proxy *proxy)
{
    return proxy->plan[0].fault != PASS ? &proxy->plan[0] : &proxy->plan[1];
}

/* ---- Two who talk at once ------------------------------------------------------------------- */

/* An end: sends known bytes, and knows those that it shall get. */
struct side {
    weft_stream *stream;
    weft_tls_context *tls; /* NULL: plain */
    uint64_t seed;         /* of what it sends; the other side's is one more, or one less */
    uint64_t expected;
    weft_time patience;
    size_t sent, received;
    int open_rc, send_rc, receive_rc;
    bool wrong, done;
};

static int
side_send(void *arg)
{
    struct side *side = arg;
    unsigned char bytes[7000];
    while (side->sent < LEN && side->send_rc == 0) {
        size_t n = LEN - side->sent < sizeof bytes ? LEN - side->sent : sizeof bytes, written = 0;
        t_bytes_make(bytes, n, side->seed, side->sent);
        side->send_rc = weft_stream_write_all(side->stream, bytes, n, &written);
        side->sent += written;
    }
    if (side->send_rc == 0)
        side->send_rc = weft_stream_shutdown(side->stream);
    return 0;
}

static int
side_receive(void *arg)
{
    struct side *side = arg;
    unsigned char bytes[5000];
    ssize_t n;
    while ((n = weft_stream_read(side->stream, bytes, sizeof bytes)) > 0) {
        if (!t_bytes_match(bytes, (size_t)n, side->expected, side->received))
            side->wrong = true;
        side->received += (size_t)n;
    }
    side->receive_rc = (int)n;
    return 0;
}

static void
side_exchange(struct side *side)
{
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, side_send, side);
    weft_group_spawn(&group, side_receive, side);
    weft_ignore(weft_group_close(&group));
}

/* Over inner, with TLS where it was asked for. Closes it. */
static void
side_talk(struct side *side, weft_stream *inner, bool server)
{
    weft_stream tls;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + side->patience);
    side->stream = inner;
    if (side->tls != NULL) {
        side->open_rc = server ? weft_tls_server(&tls, inner, side->tls)
                               : weft_tls_client(&tls, inner, side->tls, "localhost");
        if (side->open_rc == 0)
            side->stream = &tls;
    }
    if (side->open_rc == 0)
        side_exchange(side);
    weft_stream_close(side->stream);
    weft_ignore(weft_scope_close(&scope));
    side->done = true;
}

static int
serve_side(weft_stream *connection, void *arg)
{
    side_talk(arg, connection, true);
    return 0;
}

/* What a call may say of a connection that something has happened to. Who is cut off in the middle
 * of TLS says so to the other end, as long as it is heard. */
static bool
defined(const struct side *side, const struct plan *plan, int rc)
{
    return rc == 0 || rc == -EPIPE || rc == -ECONNRESET || rc == -ETIMEDOUT ||
           (side->tls != NULL && rc == WEFT_E_TLS_CUT) ||
           (side->tls != NULL && plan->fault == HALF && rc == WEFT_E_TLS);
}

static void
side_assert(const struct side *side, const struct side *other, const struct proxy *proxy)
{
    const struct plan *plan = proxy_fault(proxy);
    char what[200];
    snprintf(what, sizeof what, "seed %llu: %s after %zu bytes %s; open %d, send %d, receive %d",
             (unsigned long long)proxy->seed, fault_names[plan->fault], plan->at,
             plan == &proxy->plan[0] ? "from the client" : "to the client", side->open_rc,
             side->send_rc, side->receive_rc);
    cr_assert(!side->wrong, "a byte is not in its place; %s", what);
    cr_assert(side->received <= other->sent, "%zu of %zu bytes; %s", side->received, other->sent,
              what);
    cr_assert(defined(side, plan, side->open_rc) && defined(side, plan, side->send_rc) &&
                  defined(side, plan, side->receive_rc),
              "what is that? %s", what);
    if (plan->fault == PASS || plan->at > 2 * LEN)
        cr_assert(side->open_rc == 0 && side->send_rc == 0 && side->receive_rc == 0 &&
                      side->received == LEN,
                  "%zu bytes came; %s", side->received, what);
    /* Nobody can cut a TLS connection and make it look whole. */
    if (side->tls != NULL && side->open_rc == 0 && side->receive_rc == 0)
        cr_assert(side->received == LEN, "%zu bytes came; %s", side->received, what);
}

struct contexts {
    weft_tls_context *client, *server;
};

static void
talk_once(uint64_t seed, const struct contexts *tls)
{
    struct side client = {.tls = tls != NULL ? tls->client : NULL,
                          .seed = 2 * seed,
                          .expected = 2 * seed + 1,
                          .patience = ENOUGH};
    struct side server = {.tls = tls != NULL ? tls->server : NULL,
                          .seed = 2 * seed + 1,
                          .expected = 2 * seed,
                          .patience = ENOUGH};
    struct t_served served;
    struct proxy proxy;
    weft_stream stream;
    t_served_begin(&served, &(weft_server_options){.listen = t_anywhere(),
                                                   .serve = serve_side,
                                                   .arg = &server,
                                                   .stack_size = 131072});
    proxy_begin(&proxy, &served.address, seed, 1, LEN + LEN / 4);
    if (proxy_fault(&proxy)->fault == STALL)
        client.patience = server.patience = STALLED;
    T_OK(weft_connect_addresses(&stream, &proxy.address, 1, NULL));
    side_talk(&client, &stream, false);
    while (!server.done)
        T_OK(weft_sleep(WEFT_MS(1)));
    proxy_end(&proxy);
    t_served_end(&served);
    side_assert(&client, &server, &proxy);
    side_assert(&server, &client, &proxy);
}

/* ---- Running -------------------------------------------------------------------------------- */

static int
warm_up(void *arg)
{
    weft_http_client *client;
    (void)arg;
    T_OK(weft_http_client_new(&client, NULL));
    weft_http_client_free(client);
    return 0;
}

/* One runtime for each seed: what it leaves behind is found at once. */
static void
for_seeds(weft_task_fn *fn)
{
    T_OK(weft_run(warm_up, NULL, &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    (void)t_certs();
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        t_leak_begin();
        T_OK(weft_run(fn, &seed,
                      &(weft_options){.loops = 1, .seed = seed, .signals = WEFT_SIGNALS_NONE}));
        t_leak_end();
    }
}

static int
plain_task(void *arg)
{
    talk_once(*(uint64_t *)arg, NULL);
    return 0;
}

Test(faulty_proxy, what_arrives_over_tcp_is_a_beginning_of_what_was_sent)
{
    for_seeds(plain_task);
}

static int
tls_task(void *arg)
{
    struct contexts tls;
    T_OK(weft_tls_context_new(&tls.client,
                              &(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca)}));
    T_OK(weft_tls_context_new(
        &tls.server, &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                         .cert_pem = t_cert_with_key(&t_certs()->server)}));
    talk_once(*(uint64_t *)arg, &tls);
    weft_tls_context_unref(tls.client);
    weft_tls_context_unref(tls.server);
    return 0;
}

Test(faulty_proxy, what_arrives_over_tls_is_a_beginning_and_a_cut_is_noticed)
{
    for_seeds(tls_task);
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

struct web {
    weft_http_server *server;
    weft_task *task;
    weft_address address;
    weft_http_route routes[3];
    size_t posted; /* bytes of the last body, in their places */
    bool wrong;
};

/* GET /bytes/{n}: with its length where n is even, else in chunks. */
static int
give_bytes(weft_http_exchange *exchange, void *arg)
{
    unsigned char bytes[6000];
    weft_bytes digits = weft_http_request_param(exchange, "n");
    (void)arg;
    size_t n = strtoul(digits.data, NULL, 10);
    int rc = weft_http_response_begin(exchange, 200, "application/octet-stream",
                                      n % 2 == 0 ? (int64_t)n : -1);
    for (size_t at = 0; rc == 0 && at < n;) {
        size_t len = n - at < sizeof bytes ? n - at : sizeof bytes;
        t_bytes_make(bytes, len, n, at);
        rc = weft_http_response_write(exchange, bytes, len);
        at += len;
    }
    return rc;
}

/* POST /take: says how many bytes of the body came. */
static int
take_bytes(weft_http_exchange *exchange, void *arg)
{
    struct web *web = arg;
    unsigned char bytes[6000];
    char text[32];
    ssize_t n;
    web->posted = 0;
    while ((n = weft_http_request_read(exchange, bytes, sizeof bytes)) > 0) {
        if (!t_bytes_match(bytes, (size_t)n, 5, web->posted))
            web->wrong = true;
        web->posted += (size_t)n;
    }
    if (n < 0)
        return (int)n;
    snprintf(text, sizeof text, "%zu", web->posted);
    return weft_http_reply(exchange, 200, "text/plain", text, strlen(text));
}

static int
web_run(void *arg)
{
    struct web *web = arg;
    return weft_http_server_run(web->server);
}

static void
web_begin(struct web *web)
{
    *web = (struct web){.routes = {{"GET /bytes/{n}", give_bytes, NULL},
                                   {"POST /take", take_bytes, web},
                                   {NULL, NULL, NULL}}};
    T_OK(weft_http_server_new(
        &web->server,
        &(weft_http_server_options){
            .net = {.listen = t_anywhere(), .grace = WEFT_MS(100), .stack_size = 131072},
            .routes = web->routes}));
    T_OK(weft_server_address(weft_http_server_net(web->server), 0, &web->address));
    T_OK(weft_task_spawn(&web->task, web_run, web, NULL));
}

static void
web_end(struct web *web)
{
    weft_http_server_stop(web->server, WEFT_SERVER_GRACE);
    T_OK(weft_task_join(web->task, NULL));
    weft_http_server_free(web->server);
}

/* A request through the proxy whose body, one way or the other, is looked at byte by byte. */
struct asking {
    weft_http_client *client;
    struct proxy *proxy;
    size_t n;   /* bytes to get */
    bool post;  /* or to post */
    size_t got; /* of the response's body */
    int status;
    bool wrong;
    weft_time patience;
    char answer[32];
};

static int
ask_call(struct asking *asking, weft_http_call *call)
{
    unsigned char bytes[5000];
    int rc = 0;
    for (size_t at = 0; asking->post && rc == 0 && at < asking->n;) {
        size_t len = asking->n - at < sizeof bytes ? asking->n - at : sizeof bytes;
        t_bytes_make(bytes, len, 5, at);
        rc = weft_http_call_write(call, bytes, len);
        at += len;
    }
    if (asking->post && rc == 0)
        rc = weft_http_call_finish(call);
    if (rc < 0 && rc != -EPIPE) /* after that the response may be there all the same */
        return rc;
    asking->status = weft_http_call_head(call, NULL);
    if (asking->status < 0)
        return asking->status;
    ssize_t n;
    while ((n = weft_http_call_read(call, bytes, sizeof bytes)) > 0) {
        if (asking->post)
            snprintf(asking->answer, sizeof asking->answer, "%.*s", (int)n, (char *)bytes);
        else if (!t_bytes_match(bytes, (size_t)n, asking->n, asking->got))
            asking->wrong = true;
        asking->got += (size_t)n;
    }
    return (int)n;
}

static int
ask(void *arg)
{
    struct asking *asking = arg;
    char where[64], url[128];
    weft_http_call *call;
    weft_scope scope;
    asking->got = 0;
    asking->status = 0;
    snprintf(url, sizeof url, "http://%s/%s",
             weft_address_format(&asking->proxy->address, where, sizeof where),
             asking->post ? "take" : "bytes");
    if (!asking->post)
        snprintf(url + strlen(url), sizeof url - strlen(url), "/%zu", asking->n);
    bool good = asking->proxy->connections >= asking->proxy->faulty;
    weft_scope_open(&scope, weft_now() + (good ? ENOUGH : asking->patience));
    int rc = weft_http_call_open(asking->client,
                                 &(weft_http_request){.url = url, .upload = asking->post}, &call);
    if (rc == 0) {
        rc = ask_call(asking, call);
        weft_http_call_close(call);
    }
    weft_ignore(weft_scope_close(&scope));
    return rc;
}

/* Seeds for which a fault comes in the head, and some for which it comes later. */
static void
ask_once(uint64_t seed, bool post)
{
    struct web web;
    struct proxy proxy;
    struct asking asking = {.proxy = &proxy, .n = LEN + seed % 2, .post = post};
    web_begin(&web);
    proxy_begin(&proxy, &web.address, seed, 1, seed % 3 == 0 ? 300 : LEN + LEN / 4);
    T_OK(weft_http_client_new(&asking.client, NULL));
    asking.patience = proxy_fault(&proxy)->fault == STALL ? STALLED : ENOUGH;
    int rc = ask(&asking);
    weft_http_client_free(asking.client);
    proxy_end(&proxy);
    web_end(&web);

    const struct plan *plan = proxy_fault(&proxy);
    char what[160];
    snprintf(what, sizeof what, "seed %llu: %s after %zu bytes %s; %d (%s), status %d",
             (unsigned long long)seed, fault_names[plan->fault], plan->at,
             plan == &proxy.plan[0] ? "from the client" : "to the client", rc, weft_errname(rc),
             asking.status);
    cr_assert(!asking.wrong && !web.wrong, "a byte is not in its place; %s", what);
    cr_assert(rc == 0 || rc == WEFT_E_END || rc == -ECONNRESET || rc == -ETIMEDOUT || rc == -EPIPE,
              "what is that? %s", what);
    if (plan->fault == PASS)
        cr_assert(rc == 0 && asking.status == 200, "%s", what);
    if (rc == 0 && asking.status == 200 && !post)
        cr_assert(asking.got == asking.n, "%zu of %zu bytes; %s", asking.got, asking.n, what);
    if (rc == 0 && asking.status == 200 && post)
        cr_assert(strtoul(asking.answer, NULL, 10) == asking.n && web.posted == asking.n, "'%s' %s",
                  asking.answer, what);
}

static int
get_task(void *arg)
{
    ask_once(*(uint64_t *)arg, false);
    return 0;
}

Test(faulty_proxy, a_response_is_whole_or_an_error)
{
    for_seeds(get_task);
}

static int
post_task(void *arg)
{
    ask_once(*(uint64_t *)arg, true);
    return 0;
}

Test(faulty_proxy, a_request_is_whole_or_not_answered_as_if_it_were)
{
    for_seeds(post_task);
}

static int
retry_task(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    struct web web;
    struct proxy proxy;
    unsigned faulty = 1 + (unsigned)(seed % 4);
    struct asking asking = {.proxy = &proxy, .n = 20000 + seed % 2, .patience = STALLED};
    web_begin(&web);
    proxy_begin(&proxy, &web.address, seed, faulty, 200);
    T_OK(weft_http_client_new(&asking.client, NULL));
    int rc = weft_retry(ask, &asking,
                        &(weft_retry_options){.attempts = 30, .base = WEFT_MS(1), .seed = seed});
    cr_assert(rc == 0 && asking.status == 200 && asking.got == asking.n && !asking.wrong,
              "seed %llu: %d (%s), status %d, %zu bytes by %u connections",
              (unsigned long long)seed, rc, weft_errname(rc), asking.status, asking.got,
              proxy.connections);
    weft_http_client_free(asking.client);
    proxy_end(&proxy);
    web_end(&web);
    return 0;
}

Test(faulty_proxy, trying_again_gets_there_in_the_end)
{
    for_seeds(retry_task);
}
