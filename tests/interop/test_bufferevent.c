/*
 * test_bufferevent.c - libevent's listeners and buffered connections run on a loop's base, beside
 * tasks, and the two wake each other: on one loop, on several, and on a thread's private one.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "t_interop.h"

#define ROUNDS 40
#define BIG (256 * 1024)

/* ---- An echo server of bufferevents --------------------------------------------------------- */

struct echo {
    struct evconnlistener *listener;
    weft_address address;
    int open; /* connections */
};

static void
echo_on_read(struct bufferevent *bev, void *arg)
{
    (void)arg;
    bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void
echo_on_event(struct bufferevent *bev, short what, void *arg)
{
    struct echo *echo = arg;
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) {
        bufferevent_free(bev);
        echo->open--;
    }
}

static void
echo_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int len,
               void *arg)
{
    struct echo *echo = arg;
    (void)peer;
    (void)len;
    /* Deferred callbacks make libevent keep work of its own from one turn to the next. */
    struct bufferevent *bev = bufferevent_socket_new(
        evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    bufferevent_setcb(bev, echo_on_read, NULL, echo_on_event, echo);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    echo->open++;
}

static int
echo_open(struct echo *echo)
{
    *echo = (struct echo){.open = 0};
    T_EXPECT(weft_address_parse(&echo->address, "127.0.0.1:0") == 0);
    echo->listener = evconnlistener_new_bind(
        weft_loop_base(), echo_on_accept, echo, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
        (struct sockaddr *)&echo->address.storage, (int)echo->address.len);
    T_EXPECT(echo->listener != NULL);
    T_EXPECT(getsockname(evconnlistener_get_fd(echo->listener),
                         (struct sockaddr *)&echo->address.storage, &echo->address.len) == 0);
    return 0;
}

/* Its connections have been closed by their clients: waits until it has noticed that. */
static int
echo_close(struct echo *echo)
{
    while (echo->open > 0) {
        int rc = weft_sleep(WEFT_MS(1));
        if (rc < 0)
            return rc;
    }
    evconnlistener_free(echo->listener);
    return 0;
}

/* ---- A client that is a bufferevent --------------------------------------------------------- */

/* What a callback saw, for the task that waits for it. */
struct client {
    struct bufferevent *bev;
    weft_future *awaited; /* NULL: nobody waits */
    size_t wanted;        /* bytes to come before it is set */
};

static void
client_on_read(struct bufferevent *bev, void *arg)
{
    struct client *client = arg;
    if (client->awaited != NULL &&
        evbuffer_get_length(bufferevent_get_input(bev)) >= client->wanted) {
        weft_future *awaited = client->awaited;
        client->awaited = NULL;
        weft_future_set(awaited, 0);
    }
}

static void
client_on_event(struct bufferevent *bev, short what, void *arg)
{
    struct client *client = arg;
    (void)bev;
    weft_future *awaited = client->awaited;
    client->awaited = NULL;
    if (awaited != NULL)
        weft_future_set(awaited, what);
}

/* Waits for a callback: 0 for enough bytes, else libevent's flags. */
static int
client_wait(struct client *client, size_t wanted)
{
    weft_future future;
    int result;
    weft_future_open(&future);
    client->awaited = &future;
    client->wanted = wanted;
    int rc = weft_future_wait(&future, &result);
    client->awaited = NULL;
    weft_future_close(&future);
    return rc < 0 ? rc : result;
}

static int
client_open(struct client *client, const weft_address *address)
{
    *client =
        (struct client){.bev = bufferevent_socket_new(weft_loop_base(), -1, BEV_OPT_CLOSE_ON_FREE)};
    T_EXPECT(client->bev != NULL);
    bufferevent_setcb(client->bev, client_on_read, NULL, client_on_event, client);
    bufferevent_enable(client->bev, EV_READ | EV_WRITE);
    T_EXPECT(bufferevent_socket_connect(client->bev, (struct sockaddr *)&address->storage,
                                        (int)address->len) == 0);
    T_EXPECT(client_wait(client, 0) == BEV_EVENT_CONNECTED);
    return 0;
}

/* One message there and back, of which every byte is looked at. */
static int
client_round(struct client *client, size_t len, uint64_t seed)
{
    unsigned char *bytes = malloc(len);
    t_bytes_make(bytes, len, seed, 0);
    T_EXPECT(bufferevent_write(client->bev, bytes, len) == 0);
    T_EXPECT(client_wait(client, len) == 0);
    T_EXPECT(bufferevent_read(client->bev, bytes, len) == len);
    T_EXPECT(t_bytes_match(bytes, len, seed, 0));
    free(bytes);
    return 0;
}

static int
talk_as_foreigner(void *arg)
{
    struct client client;
    int rc = client_open(&client, arg);
    for (int i = 0; i < ROUNDS / T_SLOW && rc == 0; i++)
        rc = client_round(&client, 1 + (size_t)i * 100, (uint64_t)i);
    if (rc == 0)
        rc = client_round(&client, BIG, 99);
    bufferevent_free(client.bev);
    return rc;
}

/* The same with weft's own descriptors. */
static int
talk_as_task(void *arg)
{
    weft_fd fd;
    int rc = weft_tcp_connect(&fd, arg);
    if (rc < 0)
        return rc;
    for (int i = 0; i < ROUNDS / T_SLOW; i++) {
        unsigned char bytes[512];
        size_t got = 0;
        t_bytes_make(bytes, sizeof bytes, (uint64_t)i, 0);
        T_EXPECT(weft_fd_write_all(&fd, bytes, sizeof bytes, NULL) == 0);
        while (got < sizeof bytes) {
            ssize_t n = weft_fd_read(&fd, bytes + got, sizeof bytes - got);
            T_EXPECT(n > 0);
            got += (size_t)n;
        }
        T_EXPECT(t_bytes_match(bytes, sizeof bytes, (uint64_t)i, 0));
    }
    weft_fd_close(&fd);
    return 0;
}

/* A server on this loop, and clients of both kinds. */
static int
echo_and_clients(void *arg)
{
    (void)arg;
    struct echo echo;
    int rc = echo_open(&echo);
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++)
        weft_group_spawn(&group, i % 2 == 0 ? talk_as_foreigner : talk_as_task, &echo.address);
    rc = weft_group_close(&group);
    return rc < 0 ? rc : echo_close(&echo);
}

LOOPS_TEST(bufferevent, echoes_to_its_like_and_to_tasks, 1)
{
    t_beside(&(struct t_beside){echo_and_clients, NULL, 0});
}

LOOPS_TEST(bufferevent, echoes_beside_busy_tasks, 1)
{
    t_beside(&(struct t_beside){echo_and_clients, NULL, 3});
}

LOOPS_TEST(bufferevent, each_of_two_loops_has_its_own_base, 2)
{
    t_beside(&(struct t_beside){echo_and_clients, NULL, 4});
}

static void *
on_a_private_loop(void *arg)
{
    *(int *)arg = weft_run_here(echo_and_clients, NULL);
    return NULL;
}

Test(bufferevent, runs_on_the_private_loop_of_a_thread)
{
    t_leak_begin();
    int rc = 1;
    t_thread_join(t_thread(on_a_private_loop, &rc));
    T_OK(rc);
    t_leak_end();
}

/* ---- Time ----------------------------------------------------------------------------------- */

static int
time_out(void *arg)
{
    (void)arg;
    int ends[2];
    T_EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    struct client client = {
        .bev = bufferevent_socket_new(weft_loop_base(), ends[0], BEV_OPT_CLOSE_ON_FREE)};
    T_EXPECT(client.bev != NULL);
    bufferevent_setcb(client.bev, client_on_read, NULL, client_on_event, &client);
    const struct timeval soon = {.tv_usec = 3000};
    bufferevent_set_timeouts(client.bev, &soon, NULL);
    for (int i = 0; i < 3; i++) {
        bufferevent_enable(client.bev, EV_READ); /* the timeout has disabled it */
        T_EXPECT(client_wait(&client, 1) == (BEV_EVENT_READING | BEV_EVENT_TIMEOUT));
    }
    bufferevent_free(client.bev);
    close(ends[1]);
    return 0;
}

LOOPS_TEST(bufferevent, its_timeouts_come_on_an_idle_loop, 1)
{
    t_beside(&(struct t_beside){time_out, NULL, 0});
}

LOOPS_TEST(bufferevent, its_timeouts_come_beside_busy_tasks, 2)
{
    t_beside(&(struct t_beside){time_out, NULL, 4});
}

/* ---- Across loops --------------------------------------------------------------------------- */

/* A pair of bufferevents on one loop; what a task on another loop posts there, they carry. */
struct across {
    struct bufferevent *pair[2];
    weft_loop *home;
    weft_future ready, heard, over;
    char word[32];
};

static void
across_on_read(struct bufferevent *bev, void *arg)
{
    struct across *across = arg;
    size_t n = bufferevent_read(bev, across->word, sizeof across->word - 1);
    across->word[n] = '\0';
    weft_future_set(&across->heard, (int)n);
}

static int
across_host(void *arg)
{
    struct across *across = arg;
    across->home = weft_loop_current();
    T_EXPECT(bufferevent_pair_new(weft_loop_base(), 0, across->pair) == 0);
    bufferevent_setcb(across->pair[1], across_on_read, NULL, NULL, across);
    bufferevent_enable(across->pair[0], EV_WRITE);
    bufferevent_enable(across->pair[1], EV_READ);
    weft_future_set(&across->ready, 0);
    int rc = weft_future_wait(&across->over, NULL);
    bufferevent_free(across->pair[0]);
    bufferevent_free(across->pair[1]);
    return rc;
}

static void
across_say(void *arg)
{
    struct across *across = arg;
    bufferevent_write(across->pair[0], "from afar", 9);
}

LOOPS_TEST(bufferevent, a_task_of_another_loop_posts_to_it_and_is_woken_by_its_callback, 2)
{
    for (int i = 0; i < ROUNDS / T_SLOW; i++) {
        struct across across = {.word = ""};
        weft_task *host;
        int len, rc;
        weft_future_open(&across.ready);
        weft_future_open(&across.heard);
        weft_future_open(&across.over);
        T_OK(weft_task_spawn(&host, across_host, &across, &(weft_task_options){.on = WEFT_ON(1)}));
        T_OK(weft_future_wait(&across.ready, NULL));
        T_OK(weft_loop_post(across.home, across_say, &across));
        T_OK(weft_future_wait(&across.heard, &len));
        cr_assert(len == 9);
        cr_assert_str_eq(across.word, "from afar");
        weft_future_set(&across.over, 0);
        T_OK(weft_task_join(host, &rc));
        T_OK(rc);
        weft_future_close(&across.ready);
        weft_future_close(&across.heard);
        weft_future_close(&across.over);
    }
}
