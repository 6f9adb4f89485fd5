/*
 * test_here_io.c - the same calls in weft_run_here on plain threads: alone, where ppoll(2) waits
 * for the one descriptor, and after the task has company.
 */
#include "io/t_io.h"

TestSuite(here_io, .timeout = 120);

#define THREADS 8
#define LEN ((size_t)(1 << 20) / T_SLOW)

/* What a thread runs, and what came of it. */
struct here {
    weft_task_fn *fn;
    int raw[2];
    weft_address address;
    struct t_stream streams[2];
    int rc;
};

static void *
here_main(void *arg)
{
    struct here *here = arg;
    here->rc = weft_run_here(here->fn, here);
    return NULL;
}

/* The same on several threads at once. */
static void
on_threads(struct here *heres, unsigned n)
{
    pthread_t threads[2 * THREADS];
    for (unsigned i = 0; i < n; i++)
        threads[i] = t_thread(here_main, &heres[i]);
    for (unsigned i = 0; i < n; i++)
        t_thread_join(threads[i]);
    for (unsigned i = 0; i < n; i++)
        T_OK(heres[i].rc);
}

/* ---- Alone ---------------------------------------------------------------------------------- */

static int
send_alone(void *arg)
{
    struct here *here = arg;
    weft_fd fd;
    int rc = weft_fd_open(&fd, here->raw[0]);
    if (rc < 0)
        return rc;
    here->streams[0].from = &fd;
    rc = t_stream_send(&here->streams[0]);
    weft_fd_close(&fd);
    return rc;
}

static int
receive_alone(void *arg)
{
    struct here *here = arg;
    weft_fd fd;
    int rc = weft_fd_open(&fd, here->raw[1]);
    if (rc < 0)
        return rc;
    here->streams[0].to = &fd;
    rc = t_stream_receive(&here->streams[0]);
    weft_fd_close(&fd);
    return rc;
}

/* Senders and receivers, each a lone task on a thread of its own. */
static void
streams_between_threads(void (*open_ends)(int raw[2]))
{
    t_leak_begin();
    static struct here senders[THREADS];
    pthread_t threads[2 * THREADS];
    static struct here receivers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        senders[i] = (struct here){.fn = send_alone};
        open_ends(senders[i].raw);
        senders[i].streams[0] = (struct t_stream){.len = LEN, .chunk = 30000, .seed = i};
        receivers[i] = senders[i];
        receivers[i].fn = receive_alone;
        threads[i] = t_thread(here_main, &senders[i]);
        threads[THREADS + i] = t_thread(here_main, &receivers[i]);
    }
    for (unsigned i = 0; i < 2 * THREADS; i++)
        t_thread_join(threads[i]);
    for (unsigned i = 0; i < THREADS; i++) {
        T_OK(senders[i].rc);
        T_OK(receivers[i].rc);
        cr_assert(!receivers[i].streams[0].wrong);
        cr_assert(senders[i].streams[0].sent == LEN && receivers[i].streams[0].received == LEN);
    }
    t_leak_end();
}

static void
open_pipe_turned(int raw[2])
{
    int ends[2];
    t_pipe(ends);
    raw[0] = ends[1];
    raw[1] = ends[0];
}

Test(here_io, streams_through_pipes)
{
    streams_between_threads(open_pipe_turned);
}

Test(here_io, streams_through_sockets)
{
    streams_between_threads(t_socketpair);
}

static int
no_poller_while_alone(void *arg)
{
    struct here *here = arg;
    weft_fd fd;
    T_OK(weft_fd_open(&fd, here->raw[0]));
    int next = dup(0);
    close(next);
    char buf[4];
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(10));
    cr_assert(weft_fd_read(&fd, buf, 4) == -ETIMEDOUT);
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    int after = dup(0);
    close(after);
    cr_assert(next == after, "descriptors were opened");
    weft_fd_close(&fd);
    return 0;
}

Test(here_io, a_lone_task_opens_no_poller)
{
    struct here here;
    t_socketpair(here.raw);
    T_OK(weft_run_here(no_poller_while_alone, &here));
    close(here.raw[1]);
}

static void
close_it(void *arg)
{
    weft_fd_close(arg);
}

static int
closed_by_a_callback(void *arg)
{
    struct here *here = arg;
    weft_fd fd;
    T_OK(weft_fd_open(&fd, here->raw[0]));
    weft_callback callback;
    weft_call_later(&callback, WEFT_MS(5), close_it, &fd);
    char buf[4];
    cr_assert(weft_fd_read(&fd, buf, 4) == -EBADF);
    return 0;
}

Test(here_io, a_callback_may_close_what_a_lone_task_waits_for)
{
    struct here here;
    t_socketpair(here.raw);
    T_OK(weft_run_here(closed_by_a_callback, &here));
    close(here.raw[1]);
}

static int
ends_seen_alone(void *arg)
{
    (void)arg;
    weft_fd fd;
    char buf[64];
    int peer = t_tcp_half(&fd);
    cr_assert(send(peer, "abc", 3, 0) == 3);
    t_reset(peer);
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 3);
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == -ECONNRESET);
    weft_fd_close(&fd);

    peer = t_tcp_half(&fd);
    cr_assert(send(peer, "abc", 3, 0) == 3);
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 3);
    close(peer);
    cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 0);
    T_OK(weft_fd_wait_readable(&fd));
    T_OK(weft_fd_wait_writable(&fd));
    weft_fd_close(&fd);
    return 0;
}

Test(here_io, ends_and_resets_are_seen_alone)
{
    T_OK(weft_run_here(ends_seen_alone, NULL));
}

/* ---- Connections ---------------------------------------------------------------------------- */

static int
ask(struct here *here, int times)
{
    for (int i = 0; i < times; i++) {
        weft_fd fd;
        int rc = weft_tcp_connect(&fd, &here->address);
        if (rc < 0)
            return rc;
        char said[16], heard[16];
        int len = snprintf(said, sizeof said, "hello %d", i);
        rc = weft_fd_write_all(&fd, said, (size_t)len, NULL);
        ssize_t n = rc < 0 ? rc : weft_fd_read(&fd, heard, sizeof heard);
        weft_fd_close(&fd);
        if (n != len || memcmp(said, heard, (size_t)len) != 0)
            return n < 0 ? (int)n : -EILSEQ;
    }
    return 0;
}

static int
ask_alone(void *arg)
{
    return ask(arg, 50);
}

struct answering {
    weft_fd listener;
    int n;
};

static int
answer_one(void *arg)
{
    weft_fd *fd = arg;
    char buf[64];
    ssize_t n = weft_fd_read(fd, buf, sizeof buf);
    int rc = n < 0 ? (int)n : weft_fd_write_all(fd, buf, (size_t)n, NULL);
    if (rc == 0)
        rc = (int)weft_fd_read(fd, buf, sizeof buf); /* until the client has closed */
    weft_fd_close(fd);
    free(fd);
    return rc;
}

static int
answer(void *arg)
{
    struct answering *answering = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < answering->n; i++) {
        weft_fd *fd = malloc(sizeof *fd);
        T_OK(weft_tcp_accept(&answering->listener, fd, NULL));
        weft_group_spawn(&group, answer_one, fd);
    }
    int rc = weft_group_close(&group);
    weft_fd_close(&answering->listener);
    return rc;
}

static struct here callers[THREADS];

/* A server on the test's thread, in a runtime; lone tasks on plain threads connect to it. */
static int
serve_threads(void *arg)
{
    weft_task_fn *fn = *(weft_task_fn **)arg;
    struct answering answering = {.n = THREADS * 50};
    weft_address address = t_listen(&answering.listener, NULL);
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        callers[i] = (struct here){.fn = fn, .address = address};
        threads[i] = t_thread(here_main, &callers[i]);
    }
    T_OK(answer(&answering));
    for (unsigned i = 0; i < THREADS; i++)
        t_thread_join(threads[i]);
    for (unsigned i = 0; i < THREADS; i++)
        T_OK(callers[i].rc);
    return 0;
}

Test(here_io, lone_tasks_connect_from_many_threads)
{
    weft_task_fn *fn = ask_alone;
    t_run_loops(serve_threads, &fn, 1);
}

/* ---- Company -------------------------------------------------------------------------------- */

static int
ask_ten_times(void *arg)
{
    return ask(arg, 10);
}

/* Alone first, then with others, then alone again. */
static int
ask_in_company(void *arg)
{
    struct here *here = arg;
    int rc = ask(here, 10);
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, ask_ten_times, here);
    rc = weft_group_close(&group);
    return rc < 0 ? rc : ask(here, 10);
}

Test(here_io, tasks_spawned_in_the_middle)
{
    weft_task_fn *fn = ask_in_company;
    t_run_loops(serve_threads, &fn, 1);
}

static int
write_soon(void *arg)
{
    struct here *here = arg;
    int rc = weft_sleep(WEFT_MS(2));
    if (rc == 0 && write(here->raw[1], "company", 7) != 7)
        rc = -errno;
    return rc;
}

static void
spawn_it(void *arg)
{
    weft_ignore(weft_task_spawn(NULL, write_soon, arg, NULL));
}

/* The task waits for a descriptor, with ppoll(2), when a callback gives it company: from there on
 * the poller waits. */
static int
company_while_waiting(void *arg)
{
    struct here *here = arg;
    for (int i = 0; i < 3; i++) {
        weft_fd fd;
        t_socketpair(here->raw);
        T_OK(weft_fd_open(&fd, here->raw[0]));
        weft_callback callback;
        weft_call_later(&callback, WEFT_MS(2), spawn_it, here);
        char buf[16];
        weft_scope soon;
        weft_scope_open(&soon, weft_now() + WEFT_SEC(5));
        cr_assert(weft_fd_read(&fd, buf, sizeof buf) == 7);
        T_OK(weft_scope_close(&soon));
        weft_fd_close(&fd);
        close(here->raw[1]);
    }
    return 0;
}

Test(here_io, company_comes_while_a_lone_task_waits)
{
    struct here here = {.fn = NULL};
    T_OK(weft_run_here(company_while_waiting, &here));
}

/* Two of the calls one after the other, on the same thread, with descriptors of each. */
static int
both_ends(void *arg)
{
    struct here *here = arg;
    weft_fd a, b;
    t_socketpair(here->raw);
    T_OK(weft_fd_open(&a, here->raw[0]));
    T_OK(weft_fd_open(&b, here->raw[1]));
    here->streams[0] = (struct t_stream){.from = &a, .to = &b, .len = LEN, .chunk = 9999};
    here->streams[1] = (struct t_stream){.from = &b, .to = &a, .len = LEN, .chunk = 9999};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 2; i++) {
        weft_group_spawn(&group, t_stream_send, &here->streams[i]);
        weft_group_spawn(&group, t_stream_receive, &here->streams[i]);
    }
    int rc = weft_group_close(&group);
    weft_fd_close(&a);
    weft_fd_close(&b);
    return rc;
}

Test(here_io, a_thread_may_come_back)
{
    struct here here = {.fn = NULL};
    for (int i = 0; i < 3; i++) {
        T_OK(weft_run_here(ends_seen_alone, NULL));
        T_OK(weft_run_here(both_ends, &here));
        t_stream_assert(&here.streams[0]);
        t_stream_assert(&here.streams[1]);
    }
}

Test(here_io, both_ends_on_many_threads)
{
    t_leak_begin();
    static struct here heres[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        heres[i].fn = both_ends;
    on_threads(heres, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        t_stream_assert(&heres[i].streams[0]);
        t_stream_assert(&heres[i].streams[1]);
    }
    t_leak_end();
}
