/*
 * test_io_torture.c - echo scenarios in which one thing goes wrong, each time another one: a wait
 * is cancelled or runs into its deadline, an allocation or a system call fails, once or from then
 * on.
 *
 * Whatever happens, a scenario ends, long before its own deadline, and leaves nothing behind.
 * Bytes that were reported as written arrive, and each of them once: what the tasks did not come
 * to read is read from the raw descriptor afterwards.
 */
#include "io/t_io.h"

TestSuite(io_torture, .timeout = 120);

#define TOO_LONG WEFT_SEC(20) /* of real time; reached only by a wait that nothing ends */

static const weft_options one_loop = {.loops = 1, .signals = WEFT_SIGNALS_NONE};
static const weft_options virtual_loop = {
    .loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .hold_for_io = 1, .signals = WEFT_SIGNALS_NONE};

/* The one scenario that sleeps beside readers needs time to pass while they wait. */
static const weft_options passing_time = {
    .loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE};

static void
finish_in_time(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    cr_assert(now.tv_sec - start->tv_sec < 10, "a wait that nothing ended");
}

/* ---- A stream through a socket pair --------------------------------------------------------- */

struct piped {
    const weft_options *options;
    bool here; /* in weft_run_here instead */
    int raw[2];
    struct t_stream stream;
};

static int
piped_main(void *arg)
{
    struct piped *piped = arg;
    weft_fd from, to;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + TOO_LONG);
    int rc = weft_fd_open(&from, piped->raw[0]);
    if (rc < 0) {
        close(piped->raw[0]);
        goto out;
    }
    int copy = dup(piped->raw[1]);
    rc = weft_fd_open(&to, copy);
    if (rc < 0) {
        close(copy);
        weft_fd_close(&from);
        goto out;
    }
    piped->stream.from = &from;
    piped->stream.to = &to;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, t_stream_receive, &piped->stream);
    weft_group_spawn(&group, t_stream_send, &piped->stream);
    rc = weft_group_close(&group);
    weft_fd_close(&from);
    weft_fd_close(&to);
out:
    weft_scope_close(&scope);
    return rc;
}

static void
piped_run(void *arg)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    struct piped piped = *(struct piped *)arg;
    int fds[2];
    t_socketpair(fds);
    t_send_buffer(fds[0], 4096);
    memcpy(piped.raw, fds, sizeof fds);
    struct t_stream *stream = &piped.stream;
    *stream = (struct t_stream){.len = 60000, .chunk = 7000, .seed = 3};
    int rc = piped.here ? weft_run_here(piped_main, &piped)
                        : weft_run(piped_main, &piped, piped.options);
    if (stream->from == NULL && rc < 0 && fcntl(fds[0], F_GETFD) >= 0)
        close(fds[0]); /* nobody came to take it over */
    finish_in_time(&start);

    /* The rest, which nobody has read. */
    unsigned char bytes[4096];
    ssize_t n;
    cr_assert(fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    while ((n = read(fds[1], bytes, sizeof bytes)) > 0) {
        if (!t_bytes_match(bytes, (size_t)n, stream->seed, stream->received))
            stream->wrong = true;
        stream->received += (size_t)n;
    }
    close(fds[1]);
    cr_assert(!stream->wrong, "a byte out of its place");
    cr_assert(stream->received == stream->sent, "%zu bytes written, %zu arrived", stream->sent,
              stream->received);
}

/* ---- A server and its clients over TCP ------------------------------------------------------ */

#define CLIENTS 3
#define SAYS 3000 /* bytes each client sends and gets back */

struct echo {
    const weft_options *options;
    weft_fd listener;
    weft_fd connections[CLIENTS]; /* zeroed is closed */
    weft_address address;
    size_t said[CLIENTS], heard[CLIENTS];
    bool wrong;
    unsigned next;
};

static int
echo_serve_one(void *arg)
{
    weft_fd *fd = arg;
    unsigned char bytes[1000];
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = weft_fd_read(fd, bytes, sizeof bytes)) > 0)
        rc = weft_fd_write_all(fd, bytes, (size_t)n, NULL);
    weft_fd_close(fd);
    return rc < 0 ? rc : (int)n;
}

static int
echo_serve(void *arg)
{
    struct echo *echo = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    int rc = 0;
    for (int i = 0; i < CLIENTS && rc == 0; i++) {
        rc = weft_tcp_accept(&echo->listener, &echo->connections[i], NULL);
        if (rc == 0)
            weft_group_spawn(&group, echo_serve_one, &echo->connections[i]);
    }
    int closed = weft_group_close(&group);
    for (int i = 0; i < CLIENTS; i++)
        weft_fd_close(
            &echo->connections[i]); /* a child cancelled before its start closes nothing */
    return rc < 0 ? rc : closed;
}

static int
echo_ask(void *arg)
{
    struct echo *echo = arg;
    unsigned self = echo->next++;
    weft_fd fd;
    int rc = weft_tcp_connect(&fd, &echo->address);
    if (rc < 0)
        return rc;
    unsigned char bytes[SAYS];
    t_bytes_make(bytes, SAYS, self, 0);
    rc = weft_fd_write_all(&fd, bytes, SAYS, &echo->said[self]);
    while (rc == 0 && echo->heard[self] < SAYS) {
        ssize_t n = weft_fd_wait_readable(&fd);
        if (n == 0)
            n = weft_fd_read(&fd, bytes, sizeof bytes);
        if (n <= 0) {
            rc = n < 0 ? (int)n : -EPIPE;
            break;
        }
        if (!t_bytes_match(bytes, (size_t)n, self, echo->heard[self]))
            echo->wrong = true;
        echo->heard[self] += (size_t)n;
    }
    if (rc == 0)
        rc = weft_fd_wait_writable(&fd);
    weft_fd_close(&fd);
    return rc;
}

static int
echo_main(void *arg)
{
    struct echo *echo = arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + TOO_LONG);
    weft_address any;
    T_OK(weft_address_parse(&any, "127.0.0.1:0"));
    int rc = weft_tcp_listen(&echo->listener, &any, NULL);
    if (rc == 0) {
        rc = weft_fd_local_address(&echo->listener, &echo->address);
        if (rc == 0) {
            weft_group group;
            weft_group_open(&group, NULL);
            weft_group_spawn(&group, echo_serve, echo);
            for (int i = 0; i < CLIENTS; i++)
                weft_group_spawn(&group, echo_ask, echo);
            rc = weft_group_close(&group);
        }
        weft_fd_close(&echo->listener);
    }
    weft_scope_close(&scope);
    return rc;
}

static void
echo_run(void *arg)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    struct echo echo = {.options = *(const weft_options **)arg};
    int rc = weft_run(echo_main, &echo, echo.options);
    finish_in_time(&start);
    cr_assert(!echo.wrong, "a byte out of its place");
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert(echo.heard[i] <= echo.said[i], "%zu bytes said, %zu heard", echo.said[i],
                  echo.heard[i]);
        cr_assert(rc < 0 || echo.heard[i] == SAYS);
    }
}

/* ---- Connections refused, reset, closed under a reader -------------------------------------- */

static int
read_to_the_end(void *arg)
{
    char buf[100];
    ssize_t n;
    while ((n = weft_fd_read(arg, buf, sizeof buf)) > 0)
        continue;
    return (int)n;
}

static int
broken_main(void *arg)
{
    (void)arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + TOO_LONG);
    weft_address address;
    weft_fd listener, client, server;
    T_OK(weft_address_parse(&address, "127.0.0.1:0"));
    int rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc < 0)
        goto out;
    rc = weft_fd_local_address(&listener, &address);
    if (rc < 0)
        goto out_listener;
    rc = weft_tcp_connect(&client, &address);
    if (rc < 0)
        goto out_listener;
    rc = weft_tcp_accept(&listener, &server, NULL);
    if (rc < 0)
        goto out_client;

    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    weft_group_spawn(&group, read_to_the_end, &client);
    weft_group_spawn(&group, read_to_the_end, &server);
    rc = weft_yield();
    if (rc == 0)
        rc = weft_fd_write_all(&server, "hello", 5, NULL);
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(1));
    weft_fd_close(&server); /* with a reader: one is told, the other sees the end */
    weft_ignore(weft_group_close(&group));
    if (rc == 0) {
        weft_fd_close(&listener);
        rc = weft_tcp_connect(&server, &address);
        if (rc == 0)
            weft_fd_close(&server);
    }
out_client:
    weft_fd_close(&client);
out_listener:
    weft_fd_close(&listener);
out:
    weft_scope_close(&scope);
    return rc;
}

static void
broken_run(void *arg)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    weft_ignore(weft_run(broken_main, NULL, *(const weft_options **)arg));
    finish_in_time(&start);
}

/* ---- The torture ---------------------------------------------------------------------------- */

static uint64_t
torture(enum weft__torture kind, bool from_on, int error, void (*scenario)(void *arg), void *arg)
{
    uint64_t visited = t_torture_run(&(struct t_torture){.kind = kind,
                                                         .from_on = from_on,
                                                         .error = error,
                                                         .max = 300 / T_SLOW,
                                                         .scenario = scenario,
                                                         .arg = arg});
    cr_assert(visited >= 5, "only %lu points", (unsigned long)visited);
    return visited;
}

static void
torture_all(enum weft__torture kind, bool from_on, int error)
{
    struct piped piped[] = {{.options = &one_loop}, {.options = &virtual_loop}};
    const weft_options *options[] = {&one_loop, &virtual_loop};
    const weft_options *broken_options[] = {&one_loop, &passing_time};
    for (int i = 0; i < 2; i++) {
        torture(kind, from_on, error, piped_run, &piped[i]);
        torture(kind, from_on, error, echo_run, &options[i]);
        /* An interrupted connect goes on, unless the interruption was made up: nobody to accept. */
        if (error != EINTR)
            torture(kind, from_on, error, broken_run, &broken_options[i]);
    }
}

Test(io_torture, any_wait_is_cancelled)
{
    torture_all(WEFT__TORTURE_CANCEL, false, 0);
    torture_all(WEFT__TORTURE_CANCEL, true, 0);
}

Test(io_torture, any_wait_runs_into_a_deadline)
{
    torture_all(WEFT__TORTURE_DEADLINE, false, 0);
    torture_all(WEFT__TORTURE_DEADLINE, true, 0);
}

Test(io_torture, any_allocation_fails)
{
    torture_all(WEFT__TORTURE_ALLOC, false, 0);
    torture_all(WEFT__TORTURE_ALLOC, true, 0);
}

/* From then on without EINTR, EAGAIN and ECONNABORTED, after which one tries again: the kernel
 * never says so for ever. */
Test(io_torture, any_system_call_fails)
{
    static const int errors[] = {EINTR,      EAGAIN, EMFILE, ENOBUFS,
                                 ECONNRESET, ENOMEM, EPIPE,  ECONNABORTED};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        torture_all(WEFT__TORTURE_SYSCALL, false, errors[i]);
}

Test(io_torture, any_system_call_fails_from_then_on)
{
    static const int errors[] = {EMFILE, ENOBUFS, ECONNRESET, ENOMEM, EPIPE};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        torture_all(WEFT__TORTURE_SYSCALL, true, errors[i]);
}

/* On a plain thread's private loop, which is new each time. */
static void *
here_thread(void *arg)
{
    piped_run(arg);
    return NULL;
}

static void
here_run(void *arg)
{
    t_thread_join(t_thread(here_thread, arg));
}

Test(io_torture, waits_of_run_here_are_cancelled)
{
    struct piped piped = {.here = true};
    torture(WEFT__TORTURE_CANCEL, false, 0, here_run, &piped);
    torture(WEFT__TORTURE_DEADLINE, false, 0, here_run, &piped);
    torture(WEFT__TORTURE_ALLOC, false, 0, here_run, &piped);
    torture(WEFT__TORTURE_ALLOC, true, 0, here_run, &piped);
    torture(WEFT__TORTURE_SYSCALL, false, EMFILE, here_run, &piped);
    torture(WEFT__TORTURE_SYSCALL, false, EINTR, here_run, &piped);
}
