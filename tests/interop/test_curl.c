/*
 * test_curl.c - libcurl's multi interface runs on a loop's base by libevent's events, as its
 * documentation shows: a task starts a transfer and waits for a future that curl's end sets.
 */
#include <curl/curl.h>

#include "t_interop.h"

#define ROUNDS 6
#define AT_ONCE 6

/* ---- A server of tasks ---------------------------------------------------------------------- */

/* GET /N gives N known bytes, at once; GET /late/N after a while; both keep the connection. */
static int
serve_requests(weft_fd *fd)
{
    char head[2048];
    size_t got = 0;
    for (;;) {
        char *end;
        head[got] = '\0';
        while ((end = strstr(head, "\r\n\r\n")) == NULL) {
            if (got == sizeof head - 1)
                return -EMSGSIZE;
            ssize_t n = weft_fd_read(fd, head + got, sizeof head - 1 - got);
            if (n <= 0)
                return (int)n;
            got += (size_t)n;
            head[got] = '\0';
        }
        bool late = strncmp(head, "GET /late/", 10) == 0;
        size_t len = strtoul(head + (late ? 10 : 5), NULL, 10);
        got -= (size_t)(end + 4 - head);
        memmove(head, end + 4, got);
        int rc = late ? weft_sleep(WEFT_MS(3)) : 0;
        if (rc < 0)
            return rc;
        char *reply = malloc(len + 128);
        int head_len = sprintf(reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
        t_bytes_make((unsigned char *)reply + head_len, len, len, 0);
        rc = weft_fd_write_all(fd, reply, (size_t)head_len + len, NULL);
        free(reply);
        if (rc < 0)
            return rc;
    }
}

static int
serve_http(void *arg)
{
    weft_fd *fd = arg;
    weft_ignore(serve_requests(fd)); /* a client that leaves is no failure */
    weft_fd_close(fd);
    free(fd);
    return 0;
}

/* ---- curl on libevent ----------------------------------------------------------------------- */

struct multi {
    CURLM *curl;
    struct event *timer;
    const weft_address *address;
};

/* One transfer: the task that started it waits for `done`. */
struct transfer {
    CURL *easy;
    weft_future done; /* curl's code */
    size_t len;       /* received */
    uint64_t seed;
    bool wrong;
};

static void
multi_finish(struct multi *multi)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(multi->curl, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        char *private;
        int code = (int)message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        weft_future_set(&((struct transfer *)(void *)private)->done, code);
    }
}

static void
on_socket_event(evutil_socket_t fd, short what, void *arg)
{
    struct multi *multi = arg;
    int running, flags = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
                         ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(multi->curl, fd, flags, &running);
    multi_finish(multi);
}

static void
on_timer_event(evutil_socket_t fd, short what, void *arg)
{
    struct multi *multi = arg;
    int running;
    (void)fd;
    (void)what;
    curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    multi_finish(multi);
}

static int
on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct multi *multi = arg;
    struct event *event = known;
    (void)easy;
    if (event != NULL)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short events = (short)(((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                               ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0) | EV_PERSIST);
        event = event_new(weft_loop_base(), fd, events, on_socket_event, multi);
        event_add(event, NULL);
    }
    curl_multi_assign(multi->curl, fd, event);
    return 0;
}

static int
on_curl_timer(CURLM *curl, long timeout_ms, void *arg)
{
    struct multi *multi = arg;
    (void)curl;
    if (timeout_ms < 0) {
        event_del(multi->timer);
    } else {
        const struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
        event_add(multi->timer, &timeout);
    }
    return 0;
}

static int
multi_open(struct multi *multi, const weft_address *address)
{
    multi->address = address;
    multi->curl = curl_multi_init();
    multi->timer = event_new(weft_loop_base(), -1, 0, on_timer_event, multi);
    T_EXPECT(multi->curl != NULL && multi->timer != NULL);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    return 0;
}

static void
multi_close(struct multi *multi)
{
    curl_multi_cleanup(multi->curl);
    event_free(multi->timer);
}

/* ---- Transfers that are awaited ------------------------------------------------------------- */

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *transfer = arg;
    if (!t_bytes_match((unsigned char *)bytes, size * n, transfer->seed, transfer->len))
        transfer->wrong = true;
    transfer->len += size * n;
    return size * n;
}

/* Gives curl's code, or a negative errno when the wait was ended: the transfer is taken back. */
static int
fetch(struct multi *multi, const char *path, size_t len)
{
    struct transfer transfer = {.easy = curl_easy_init(), .seed = len};
    char url[128];
    int code;
    T_EXPECT(transfer.easy != NULL);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s%zu", t_port(multi->address), path, len);
    weft_future_open(&transfer.done);
    curl_easy_setopt(transfer.easy, CURLOPT_URL, url);
    curl_easy_setopt(transfer.easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer.easy, CURLOPT_PROXY, "");
    curl_easy_setopt(transfer.easy, CURLOPT_PRIVATE, (char *)&transfer);
    curl_easy_setopt(transfer.easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(transfer.easy, CURLOPT_WRITEDATA, &transfer);
    T_EXPECT(curl_multi_add_handle(multi->curl, transfer.easy) == CURLM_OK);
    int rc = weft_future_wait(&transfer.done, &code);
    T_EXPECT(curl_multi_remove_handle(multi->curl, transfer.easy) == CURLM_OK);
    curl_easy_cleanup(transfer.easy);
    weft_future_close(&transfer.done);
    if (rc < 0)
        return rc;
    if (code == CURLE_OK)
        T_EXPECT(!transfer.wrong && transfer.len == len);
    return code;
}

static int
fetch_several(void *arg)
{
    for (size_t i = 0; i < ROUNDS; i++) {
        int rc = fetch(arg, i % 2 == 0 ? "" : "late/", i * i * 4000);
        T_EXPECT(rc == CURLE_OK);
    }
    return 0;
}

static int
fetch_at_once(void *arg)
{
    struct multi multi;
    int rc = multi_open(&multi, arg);
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < AT_ONCE; i++)
        weft_group_spawn(&group, fetch_several, &multi);
    rc = weft_group_close(&group);
    multi_close(&multi);
    return rc;
}

static void
beside(unsigned busy)
{
    struct t_server server;
    t_server_open(&server, serve_http);
    t_beside(&(struct t_beside){fetch_at_once, &server.address, busy});
    t_server_close(&server);
}

/* curl's own set-up, once a process, on the main thread and its large stack. */
static void
curl_begin(void)
{
    cr_assert(curl_global_init(CURL_GLOBAL_ALL) == 0);
}

TestSuite(curl, .init = curl_begin, .fini = curl_global_cleanup);

LOOPS_TEST(curl, transfers_of_many_tasks_end, 1)
{
    beside(0);
}

LOOPS_TEST(curl, transfers_end_beside_busy_tasks, 1)
{
    beside(3);
}

LOOPS_TEST(curl, each_of_two_loops_has_its_own_transfers, 2)
{
    beside(4);
}

LOOPS_TEST(curl, a_refused_connection_is_curls_error, 1)
{
    weft_fd listener;
    weft_address address = t_listen(&listener, NULL);
    weft_fd_close(&listener);
    struct multi multi;
    T_OK(multi_open(&multi, &address));
    cr_assert(fetch(&multi, "", 1) == CURLE_COULDNT_CONNECT);
    multi_close(&multi);
}

LOOPS_TEST(curl, a_deadline_takes_a_transfer_back_and_the_next_one_goes_on, 1)
{
    struct t_server server;
    struct multi multi;
    t_server_open(&server, serve_http);
    T_OK(multi_open(&multi, &server.address));
    for (int i = 0; i < ROUNDS; i++) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(500) * i);
        int rc = fetch(&multi, "late/", 10);
        cr_assert(rc == -ETIMEDOUT || rc == CURLE_OK, "the transfer gave %d", rc);
        T_ERR(rc, weft_scope_close(&scope));
        cr_assert(fetch(&multi, "", 5000) == CURLE_OK);
    }
    multi_close(&multi);
    t_server_close(&server);
}
