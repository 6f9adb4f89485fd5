/*
 * curl_http.c - many requests at once on libcurl's multi interface and epoll, nothing else.
 *
 * One multi handle, told of its sockets' events and its timer, an easy handle for each request: as
 * the examples of libcurl's manual have it. What a client on top of it starts from.
 */
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <curl/curl.h>

#include "rivals/rivals.h"

#define EVENTS_MAX 512

struct client {
    CURLM *multi;
    int poller;
    long timeout_ms; /* -1: none */
    int rc;
};

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *client_, void *known)
{
    (void)easy;
    struct client *client = client_;
    struct epoll_event event = {.data = {.fd = fd}};
    if ((what & CURL_POLL_IN) != 0)
        event.events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0)
        event.events |= EPOLLOUT;
    int operation = known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (what == CURL_POLL_REMOVE)
        operation = EPOLL_CTL_DEL;
    else if (known == NULL)
        (void)curl_multi_assign(client->multi, fd, client);
    if (epoll_ctl(client->poller, operation, fd, &event) < 0 && what != CURL_POLL_REMOVE)
        client->rc = -errno;
    return 0;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *client_)
{
    (void)multi;
    struct client *client = client_;
    client->timeout_ms = timeout_ms;
    return 0;
}

static size_t
on_body(char *data, size_t size, size_t n, void *bytes_)
{
    (void)data;
    long *bytes = bytes_;
    *bytes += (long)(size * n);
    return size * n;
}

static int
add(struct client *client, const char *url, long *bytes)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        return -ENOMEM;
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, bytes);
    return curl_multi_add_handle(client->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

/* Takes out what has ended; how many. */
static long
reap(struct client *client)
{
    long ended = 0;
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
        CURL *easy = message->easy_handle;
        if (message->data.result != CURLE_OK)
            client->rc = -EIO;
        (void)curl_multi_remove_handle(client->multi, easy);
        curl_easy_cleanup(easy);
        ended++;
    }
    return ended;
}

static void
turn(struct client *client)
{
    struct epoll_event events[EVENTS_MAX];
    int running;
    int wait_ms = client->timeout_ms < INT_MAX ? (int)client->timeout_ms : INT_MAX;
    int n = epoll_wait(client->poller, events, EVENTS_MAX, wait_ms);
    if (n < 0 && errno != EINTR)
        client->rc = -errno;
    if (n == 0)
        (void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    for (int i = 0; i < n; i++) {
        int what = (events[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;
        if ((events[i].events & EPOLLOUT) != 0)
            what |= CURL_CSELECT_OUT;
        if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0)
            what |= CURL_CSELECT_ERR;
        (void)curl_multi_socket_action(client->multi, events[i].data.fd, what, &running);
    }
}

int
rival_curl_fetch(const char *url, long requests, long *ret_bytes)
{
    struct client client = {.timeout_ms = -1};
    client.multi = curl_multi_init();
    client.poller = epoll_create1(EPOLL_CLOEXEC);
    if (client.multi == NULL || client.poller < 0)
        return -ENOMEM;
    (void)curl_multi_setopt(client.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(client.multi, CURLMOPT_SOCKETDATA, &client);
    (void)curl_multi_setopt(client.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(client.multi, CURLMOPT_TIMERDATA, &client);
    *ret_bytes = 0;
    for (long i = 0; i < requests && client.rc == 0; i++)
        client.rc = add(&client, url, ret_bytes);
    for (long left = requests; left > 0 && client.rc == 0;) {
        turn(&client);
        left -= reap(&client);
    }
    (void)curl_multi_cleanup(client.multi);
    close(client.poller);
    return client.rc;
}
