/*
 * test_edge.c - what one edge may hide: data and the end of a stream that came together, short
 * reads, and streams too big for the socket.
 *
 * Tests that could wait for ever do so under a deadline, so that a lost edge is a failed test.
 */
#include <dirent.h>
#include <sys/syscall.h>

#include <weft/loop.h>

#include "io/t_io.h"

TestSuite(edge, .timeout = 120);

/* A deadline that only a lost edge reaches. */
#define SOON_ENOUGH WEFT_SEC(5)

static int
within_5_s(weft_task_fn *fn, void *arg)
{
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + SOON_ENOUGH);
    int rc = fn(arg);
    int own = weft_scope_close(&scope);
    cr_assert(own == 0, "an edge was lost");
    return rc;
}

/* Runs a body on the real clock, where short reads are looked at later, and on the virtual one,
 * where at once. */
#define BOTH_CLOCKS_TEST(suite, name)                                                              \
    static int suite##_##name##_scene(void *arg);                                                  \
    LOOPS_TEST(suite, name, 1)                                                                     \
    {                                                                                              \
        T_OK(within_5_s(suite##_##name##_scene, NULL));                                            \
    }                                                                                              \
    TASK_TEST(suite, name##_on_the_virtual_clock)                                                  \
    {                                                                                              \
        T_OK(suite##_##name##_scene(NULL));                                                        \
    }                                                                                              \
    static int suite##_##name##_scene(void *arg __attribute__((unused)))

/* A reader that waits, so that the registration is there; what comes next comes under one edge,
 * because the caller does not wait in between. */
struct reader {
    struct t_one one;
    weft_task *task;
};

static void
reader_start(struct reader *reader, weft_fd *fd)
{
    *reader = (struct reader){.one = {.fd = fd}};
    reader->task = t_start(t_one_read, &reader->one);
    cr_assert(!reader->one.done);
}

static ssize_t
reader_join(struct reader *reader)
{
    T_OK(weft_task_join(reader->task, NULL));
    return reader->one.rc;
}

/* ---- Data and an end under one edge --------------------------------------------------------- */

BOTH_CLOCKS_TEST(edge, data_and_the_end_of_a_socket)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct reader reader;
    reader_start(&reader, &fd);
    cr_assert(send(peer, "hello", 5, 0) == 5);
    close(peer);
    cr_assert(reader_join(&reader) == 5);
    char buf[64];
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 0);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, data_and_a_half_close)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct reader reader;
    reader_start(&reader, &fd);
    cr_assert(send(peer, "hello", 5, 0) == 5);
    shutdown(peer, SHUT_WR);
    cr_assert(reader_join(&reader) == 5);
    char buf[64];
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 0);
    /* The other direction is still there. */
    cr_assert(weft_fd_write(&fd, "answer", 6) == 6);
    cr_assert(recv(peer, buf, sizeof buf, 0) == 6);
    close(peer);
    weft_fd_close(&fd);
    return 0;
}

/* An end is told of by an edge of its own kind: nobody has to look for it later. */
LOOPS_TEST(edge, an_end_under_the_edge_of_data_is_seen_at_once, 1)
{
    weft_time best = WEFT_FOREVER;
    for (int i = 0; i < 10; i++) {
        weft_fd fd;
        int peer = t_tcp_half(&fd);
        struct reader reader;
        reader_start(&reader, &fd);
        cr_assert(send(peer, "hello", 5, 0) == 5);
        close(peer);
        cr_assert(reader_join(&reader) == 5);
        weft_time start = weft_now();
        char buf[64];
        cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 0);
        if (weft_now() - start < best)
            best = weft_now() - start;
        weft_fd_close(&fd);
    }
    cr_assert(best < WEFT_MS(15), "%ld us at best", (long)(best / 1000));
}

/* Linux tells of this edge as of an error, not as of an end: a short read must not end in a wait
 * for another one, and the reset must not look like an end of file. */
static void
data_then_reset(weft_fd *fd)
{
    int peer = t_tcp_half(fd);
    struct reader reader;
    reader_start(&reader, fd);
    cr_assert(send(peer, "hello", 5, 0) == 5);
    t_reset(peer);
    cr_assert(reader_join(&reader) == 5);
}

BOTH_CLOCKS_TEST(edge, data_and_a_reset)
{
    weft_fd fd;
    data_then_reset(&fd);
    char buf[64];
    weft_time before = weft_now();
    ssize_t n = weft_fd_read(&fd, buf, sizeof buf);
    cr_assert(n == -ECONNRESET, "the reset was read as %zd", n);
    cr_assert(weft_now() - before < WEFT_MS(1000));
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, data_and_a_reset_for_who_waits_for_readiness)
{
    weft_fd fd;
    data_then_reset(&fd);
    T_OK(weft_fd_wait_readable(&fd));
    char buf[64];
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == -ECONNRESET);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, data_and_a_reset_after_a_cancelled_read)
{
    weft_fd fd;
    data_then_reset(&fd);
    struct t_one one = {.fd = &fd};
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_one_read, &one, NULL));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    struct t_one again = {.fd = &fd};
    T_OK(weft_task_spawn(&task, t_one_read, &again, NULL));
    T_OK(weft_task_join(task, NULL));
    cr_assert(again.rc == -ECONNRESET);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, data_that_fills_the_buffer_and_a_reset)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct reader reader;
    reader_start(&reader, &fd);
    char bytes[64] = "";
    cr_assert(send(peer, bytes, sizeof bytes, 0) == sizeof bytes);
    t_reset(peer);
    cr_assert(reader_join(&reader) == sizeof bytes);
    cr_assert(weft_fd_read(&fd, bytes, sizeof bytes) == -ECONNRESET);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, a_reset_alone)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct reader reader;
    reader_start(&reader, &fd);
    t_reset(peer);
    cr_assert(reader_join(&reader) == -ECONNRESET);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, an_end_before_the_first_wait)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    cr_assert(send(peer, "hello", 5, 0) == 5);
    close(peer);
    char buf[64];
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 5); /* short, and nothing is registered yet */
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 0);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, a_reset_before_the_first_wait)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    cr_assert(send(peer, "hello", 5, 0) == 5);
    t_reset(peer);
    char buf[64];
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 5);
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == -ECONNRESET);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, a_pipe_with_its_writer_closed)
{
    int raw[2];
    weft_fd fd;
    t_pipe(raw);
    T_OK(weft_fd_open(&fd, raw[0]));
    struct reader reader;
    reader_start(&reader, &fd);
    cr_assert(write(raw[1], "hello", 5) == 5);
    close(raw[1]);
    cr_assert(reader_join(&reader) == 5);
    char buf[64];
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 0);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, many_pieces_under_one_edge)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct reader reader;
    reader_start(&reader, &fd);
    for (int i = 0; i < 100; i++)
        cr_assert(send(peer, "0123456789", 10, 0) == 10);
    size_t total = (size_t)reader_join(&reader);
    char buf[64];
    while (total < 1000) {
        ssize_t n = weft_fd_read(&fd, buf, sizeof buf);
        cr_assert(n > 0);
        total += (size_t)n;
    }
    cr_assert(total == 1000);
    cr_assert(send(peer, "x", 1, 0) == 1);
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 1);
    close(peer);
    weft_fd_close(&fd);
    return 0;
}

BOTH_CLOCKS_TEST(edge, a_short_read_and_then_more)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    char buf[64];
    for (int i = 0; i < 50; i++) {
        cr_assert(send(peer, "abc", 3, 0) == 3);
        cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 3);
        if (i % 3 == 0) { /* before the next wait, or in it */
            cr_assert(send(peer, "de", 2, 0) == 2);
            cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 2);
        } else {
            struct reader reader;
            reader_start(&reader, &fd);
            cr_assert(send(peer, "d", 1, 0) == 1);
            cr_assert(reader_join(&reader) == 1);
        }
    }
    close(peer);
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 0);
    weft_fd_close(&fd);
    return 0;
}

/* A byte sent out of band splits a stream: reads stop in front of it although more follows. */
BOTH_CLOCKS_TEST(edge, a_short_read_with_more_behind_it)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    struct reader reader;
    reader_start(&reader, &fd);
    cr_assert(send(peer, "abc", 3, 0) == 3);
    cr_assert(send(peer, "!", 1, MSG_OOB) == 1);
    cr_assert(send(peer, "def", 3, 0) == 3);
    size_t total = (size_t)reader_join(&reader);
    char buf[64];
    while (total < 6) {
        ssize_t n = weft_fd_read(&fd, buf, sizeof buf);
        cr_assert(n > 0, "%zd after %zu bytes", n, total);
        total += (size_t)n;
    }
    cr_assert(total == 6);
    close(peer);
    weft_fd_close(&fd);
    return 0;
}

LOOPS_TEST(edge, a_suspect_that_is_closed_is_looked_at_no_more, 1)
{
    for (int i = 0; i < 10; i++) {
        weft_fd *fd = malloc(sizeof *fd); /* so that a look at it later is seen by the tools */
        int peer = t_tcp_half(fd);
        cr_assert(send(peer, "abc", 3, 0) == 3);
        char buf[64];
        cr_assert(weft_fd_read(fd, buf, sizeof buf) == 3);
        struct reader reader;
        reader_start(&reader, fd);
        if (i % 2 == 0)
            T_OK(weft_sleep(WEFT_MS(25)));
        weft_fd_close(fd);
        cr_assert(reader_join(&reader) == -EBADF);
        free(fd);
        close(peer);
        T_OK(weft_sleep(WEFT_MS(5)));
    }
    T_OK(weft_sleep(WEFT_MS(60)));
}

LOOPS_TEST(edge, an_idle_connection_is_looked_at_once, 1)
{
    weft_fd fd;
    int peer = t_tcp_half(&fd);
    cr_assert(send(peer, "abc", 3, 0) == 3);
    char buf[64];
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 3);
    struct reader reader;
    reader_start(&reader, &fd);
    T_OK(weft_sleep(WEFT_MS(1300))); /* and its stack's deep pages are given back, once */
    weft_loop_stats before, after;
    weft_loop_stats_get(weft_loop_current(), &before);
    T_OK(weft_sleep(WEFT_MS(200)));
    weft_loop_stats_get(weft_loop_current(), &after);
    cr_assert(after.timers == 0, "%lu timers", (unsigned long)after.timers);
    cr_assert(after.sleeps - before.sleeps <= 3, "%lu sleeps",
              (unsigned long)(after.sleeps - before.sleeps));
    close(peer);
    cr_assert(reader_join(&reader) == 0);
    weft_fd_close(&fd);
}

/* ---- Big streams ---------------------------------------------------------------------------- */

enum ends { SOCKET_PAIR, TCP };

/* Both directions at once between two ends, through buffers much smaller than the streams. */
struct exchange {
    enum ends ends;
    size_t len;
    int other_loop; /* where the far end lives, as a task's `on` */
    int raw[2];
    struct t_stream streams[2];
};

static int
half_of_exchange(struct exchange *exchange, int end)
{
    weft_fd fd;
    int rc = weft_fd_open(&fd, exchange->raw[end]);
    if (rc < 0)
        return rc;
    exchange->streams[end].from = exchange->streams[!end].to = &fd;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, t_stream_send, &exchange->streams[end]);
    weft_group_spawn(&group, t_stream_receive, &exchange->streams[!end]);
    rc = weft_group_close(&group);
    weft_fd_close(&fd);
    return rc;
}

static int
far_half(void *arg)
{
    return half_of_exchange(arg, 1);
}

static void
exchange_run(enum ends ends, size_t len, int other_loop)
{
    struct exchange exchange = {.ends = ends, .len = len, .other_loop = other_loop};
    if (ends == SOCKET_PAIR) {
        t_socketpair(exchange.raw);
    } else {
        weft_fd client, server;
        t_tcp_pair(&client, &server);
        exchange.raw[0] = weft_fd_release(&client);
        exchange.raw[1] = weft_fd_release(&server);
    }
    for (int i = 0; i < 2; i++) {
        t_send_buffer(exchange.raw[i], 16384);
        exchange.streams[i] = (struct t_stream){
            .len = len, .chunk = i == 0 ? 65536 : 50001, .seed = (uint64_t)i * 77 + 1};
    }
    weft_task *task;
    T_OK(weft_task_spawn(&task, far_half, &exchange, &(weft_task_options){.on = other_loop}));
    T_OK(half_of_exchange(&exchange, 0));
    int result;
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    t_stream_assert(&exchange.streams[0]);
    t_stream_assert(&exchange.streams[1]);
}

#define BIG ((size_t)(64 << 20) / T_SLOW)

LOOPS_TEST(edge, big_streams_both_ways_through_a_small_socket, 1)
{
    exchange_run(SOCKET_PAIR, BIG, 0);
}

LOOPS_TEST(edge, big_streams_both_ways_over_tcp, 1)
{
    exchange_run(TCP, BIG, 0);
}

LOOPS_TEST(edge, big_streams_between_two_loops, 2)
{
    exchange_run(TCP, BIG, WEFT_ON(1));
    exchange_run(SOCKET_PAIR, BIG / 8, WEFT_ON(1));
}

TASK_TEST(edge, big_streams_on_the_virtual_clock)
{
    exchange_run(TCP, BIG / 8, 0);
}

/* Rare paths on purpose: reads and writes of one byte, yields at every other call. */
static int
buggified(void *arg)
{
    (void)arg;
    exchange_run(SOCKET_PAIR, (2 << 20) / T_SLOW, 0);
    exchange_run(TCP, (2 << 20) / T_SLOW, 0);
    return 0;
}

Test(edge, streams_in_odd_pieces)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        weft__buggify_seed(seed);
        t_run_loops(buggified, NULL, 1);
        t_run_virtual(buggified, NULL, 1, seed);
        weft__buggify_seed(0);
    }
}

/* ---- Signals -------------------------------------------------------------------------------- */

static uint32_t storm_over;
static uint32_t storm_hits;

static void
on_storm(int number)
{
    (void)number;
    weft__fetch_add(&storm_hits, 1);
}

/* SIGUSR1 to every other thread of this process, 5,000 times a second. */
static void *
storm_main(void *arg)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    while (!weft__load(&storm_over)) {
        DIR *dir = opendir("/proc/self/task");
        struct dirent *entry;
        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            pid_t tid = (pid_t)atoi(entry->d_name);
            if (tid > 0 && tid != self)
                syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
        }
        if (dir != NULL)
            closedir(dir);
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return arg;
}

static int
storm_exchanges(void *arg)
{
    (void)arg;
    exchange_run(TCP, BIG / 2, WEFT_ON(1));
    exchange_run(SOCKET_PAIR, BIG / 2, 0);
    return 0;
}

Test(edge, streams_in_a_storm_of_signals)
{
    /* Memcheck goes on using an alternate stack that has been given up. */
    struct sigaction action = {.sa_handler = on_storm, .sa_flags = T_SLOW == 20 ? 0 : SA_ONSTACK};
    struct sigaction old;
    cr_assert(sigaction(SIGUSR1, &action, &old) == 0); /* without SA_RESTART */
    pthread_t storm = t_thread(storm_main, NULL);
    T_OK(
        weft_run(storm_exchanges, NULL, &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
    weft__store(&storm_over, 1);
    t_thread_join(storm);
    cr_assert(sigaction(SIGUSR1, &old, NULL) == 0);
    cr_assert(weft__load(&storm_hits) > 100, "%u signals", weft__load(&storm_hits));
}
