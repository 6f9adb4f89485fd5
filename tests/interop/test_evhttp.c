/*
 * test_evhttp.c - libevent's HTTP server runs on a loop's base: it is asked by tasks and by its own
 * client, and has tasks answer.
 */
#include <event2/buffer.h>
#include <event2/http.h>

#include "t_interop.h"

#define ROUNDS 20

struct site {
    struct evhttp *http;
    weft_address address;
    int served;
    int late; /* requests a task is at work on */
};

/* ---- The server ----------------------------------------------------------------------------- */

static void
reply(struct evhttp_request *request, const char *how)
{
    struct evbuffer *body = evbuffer_new();
    evbuffer_add_printf(body, "%s %s", how, evhttp_request_get_uri(request));
    evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

static void
answer_now(struct evhttp_request *request, void *arg)
{
    struct site *site = arg;
    site->served++;
    reply(request, "now");
}

struct late {
    struct site *site;
    struct evhttp_request *request;
};

/* A task that waits, and then answers for libevent. */
static int
answer_late(void *arg)
{
    struct late *late = arg;
    int rc = weft_sleep(WEFT_MS(1));
    reply(late->request, "late");
    late->site->served++;
    late->site->late--;
    free(late);
    return rc;
}

static void
answer_by_task(struct evhttp_request *request, void *arg)
{
    struct late *late = malloc(sizeof *late);
    *late = (struct late){arg, request};
    late->site->late++;
    if (weft_task_spawn(NULL, answer_late, late, NULL) < 0) {
        late->site->late--;
        free(late);
        evhttp_send_error(request, 503, NULL);
    }
}

static int
site_open(struct site *site)
{
    *site = (struct site){.http = evhttp_new(weft_loop_base())};
    T_EXPECT(site->http != NULL);
    evhttp_set_gencb(site->http, answer_now, site);
    T_EXPECT(evhttp_set_cb(site->http, "/late", answer_by_task, site) == 0);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(site->http, "127.0.0.1", 0);
    T_EXPECT(bound != NULL);
    site->address.len = sizeof site->address.storage;
    T_EXPECT(getsockname(evhttp_bound_socket_get_fd(bound),
                         (struct sockaddr *)&site->address.storage, &site->address.len) == 0);
    return 0;
}

/* ---- Who asks ------------------------------------------------------------------------------- */

/* One request on a connection of its own, by a task with weft's descriptors. */
static int
get(const weft_address *address, const char *path, const char *expected)
{
    weft_fd fd;
    char text[1024];
    int rc = weft_tcp_connect(&fd, address);
    if (rc < 0)
        return rc;
    int len = snprintf(text, sizeof text,
                       "GET %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", path);
    rc = weft_fd_write_all(&fd, text, (size_t)len, NULL);
    size_t got = 0;
    ssize_t n = 1;
    while (rc == 0 && n > 0 && got < sizeof text - 1) {
        n = weft_fd_read(&fd, text + got, sizeof text - 1 - got);
        if (n > 0)
            got += (size_t)n;
        else
            rc = (int)n;
    }
    weft_fd_close(&fd);
    text[got] = '\0';
    if (rc < 0)
        return rc;
    T_EXPECT(strncmp(text, "HTTP/1.1 200 OK\r\n", 17) == 0);
    const char *body = strstr(text, "\r\n\r\n");
    T_EXPECT(body != NULL && strcmp(body + 4, expected) == 0);
    return 0;
}

static int
ask_as_task(void *arg)
{
    int rc = 0;
    for (int i = 0; i < ROUNDS / T_SLOW && rc == 0; i++)
        rc = i % 2 == 0 ? get(arg, "/here", "now /here") : get(arg, "/late", "late /late");
    return rc;
}

/* The reply to evhttp's own client. */
struct answer {
    weft_future come;
    char body[64];
};

static void
on_answer(struct evhttp_request *request, void *arg)
{
    struct answer *answer = arg;
    int status = request != NULL ? evhttp_request_get_response_code(request) : -EPIPE;
    if (request != NULL)
        evbuffer_copyout(evhttp_request_get_input_buffer(request), answer->body,
                         sizeof answer->body - 1);
    weft_future_set(&answer->come, status);
}

static int
ask_as_foreigner(void *arg)
{
    struct evhttp_connection *connection =
        evhttp_connection_base_new(weft_loop_base(), NULL, "127.0.0.1", (uint16_t)t_port(arg));
    T_EXPECT(connection != NULL);
    for (int i = 0; i < ROUNDS / T_SLOW; i++) {
        struct answer answer = {.body = ""};
        int status;
        weft_future_open(&answer.come);
        struct evhttp_request *request = evhttp_request_new(on_answer, &answer);
        T_EXPECT(request != NULL);
        evhttp_add_header(evhttp_request_get_output_headers(request), "Host", "here");
        T_EXPECT(evhttp_make_request(connection, request, EVHTTP_REQ_GET, "/late") == 0);
        T_EXPECT(weft_future_wait(&answer.come, &status) == 0 && status == 200);
        T_EXPECT(strcmp(answer.body, "late /late") == 0);
        weft_future_close(&answer.come);
    }
    evhttp_connection_free(connection);
    return 0;
}

static int
site_and_visitors(void *arg)
{
    (void)arg;
    struct site site;
    int rc = site_open(&site);
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++)
        weft_group_spawn(&group, i % 2 == 0 ? ask_as_task : ask_as_foreigner, &site.address);
    rc = weft_group_close(&group);
    if (rc < 0)
        return rc;
    T_EXPECT(site.late == 0 && site.served == 4 * (ROUNDS / T_SLOW));
    evhttp_free(site.http);
    return 0;
}

LOOPS_TEST(evhttp, answers_tasks_and_has_tasks_answer, 1)
{
    t_beside(&(struct t_beside){site_and_visitors, NULL, 0});
}

LOOPS_TEST(evhttp, answers_beside_busy_tasks, 1)
{
    t_beside(&(struct t_beside){site_and_visitors, NULL, 3});
}

LOOPS_TEST(evhttp, serves_on_each_of_two_loops, 2)
{
    t_beside(&(struct t_beside){site_and_visitors, NULL, 4});
}

/* A server on one loop is asked by a task of the other. */
struct away {
    struct site site;
    weft_future open, over;
};

static int
serve_away(void *arg)
{
    struct away *away = arg;
    int rc = site_open(&away->site);
    weft_future_set(&away->open, rc);
    if (rc == 0) {
        rc = weft_future_wait(&away->over, NULL);
        evhttp_free(away->site.http);
    }
    return rc;
}

LOOPS_TEST(evhttp, is_asked_by_a_task_of_another_loop, 2)
{
    struct away away;
    weft_task *server;
    int rc;
    weft_future_open(&away.open);
    weft_future_open(&away.over);
    T_OK(weft_task_spawn(&server, serve_away, &away, &(weft_task_options){.on = WEFT_ON(1)}));
    T_OK(weft_future_wait(&away.open, &rc));
    T_OK(rc);
    T_OK(ask_as_task(&away.site.address));
    weft_future_set(&away.over, 0);
    T_OK(weft_task_join(server, &rc));
    T_OK(rc);
    weft_future_close(&away.open);
    weft_future_close(&away.over);
}
