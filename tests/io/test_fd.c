/*
 * test_fd.c - reading, writing and waiting on pipes and socket pairs; closing under a waiter.
 */
#include <sys/wait.h>

#include "base/t_child.h"
#include "io/t_io.h"

TestSuite(fd, .timeout = 60);

/* A pair of ends, opened on this loop. */
static void
open_pair(weft_fd *a, weft_fd *b)
{
    int raw[2];
    t_socketpair(raw);
    T_OK(weft_fd_open(a, raw[0]));
    T_OK(weft_fd_open(b, raw[1]));
}

static void
open_pipe(weft_fd *reader, weft_fd *writer)
{
    int raw[2];
    t_pipe(raw);
    T_OK(weft_fd_open(reader, raw[0]));
    T_OK(weft_fd_open(writer, raw[1]));
}

/* ---- Reading and writing -------------------------------------------------------------------- */

TASK_TEST(fd, bytes_go_through_a_pipe)
{
    weft_fd reader, writer;
    open_pipe(&reader, &writer);
    cr_assert(weft_fd_write(&writer, "hello", 5) == 5);
    char buf[16];
    cr_assert(weft_fd_read(&reader, buf, sizeof buf) == 5);
    cr_assert(memcmp(buf, "hello", 5) == 0);
    weft_fd_close(&reader);
    weft_fd_close(&writer);
}

TASK_TEST(fd, bytes_go_both_ways_through_a_socket)
{
    weft_fd a, b;
    open_pair(&a, &b);
    char buf[16];
    for (int i = 0; i < 100; i++) {
        cr_assert(weft_fd_write(&a, "ping", 4) == 4);
        cr_assert(weft_fd_read(&b, buf, sizeof buf) == 4);
        cr_assert(weft_fd_write(&b, "pong!", 5) == 5);
        cr_assert(weft_fd_read(&a, buf, sizeof buf) == 5);
    }
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_reader_waits_for_the_first_byte)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_read, &one);
    T_OK(weft_sleep(WEFT_SEC(10)));
    cr_assert(!one.done);
    cr_assert(weft_fd_write(&b, "x", 1) == 1);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == 1 && one.bytes[0] == 'x');
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_read_gives_what_there_is_and_no_more_than_asked)
{
    weft_fd a, b;
    open_pair(&a, &b);
    cr_assert(weft_fd_write(&b, "abcdef", 6) == 6);
    char buf[16] = "";
    cr_assert(weft_fd_read(&a, buf, 4) == 4);
    cr_assert(memcmp(buf, "abcd", 5) == 0);
    cr_assert(weft_fd_read(&a, buf, sizeof buf) == 2);
    cr_assert(memcmp(buf, "efcd", 5) == 0);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, the_end_of_file_is_0_each_time)
{
    weft_fd reader, writer, a, b;
    open_pipe(&reader, &writer);
    open_pair(&a, &b);
    cr_assert(weft_fd_write(&writer, "x", 1) == 1);
    cr_assert(weft_fd_write(&b, "x", 1) == 1);
    weft_fd_close(&writer);
    weft_fd_close(&b);
    char buf[16];
    cr_assert(weft_fd_read(&reader, buf, sizeof buf) == 1);
    cr_assert(weft_fd_read(&a, buf, sizeof buf) == 1);
    for (int i = 0; i < 3; i++) {
        cr_assert(weft_fd_read(&reader, buf, sizeof buf) == 0);
        cr_assert(weft_fd_read(&a, buf, sizeof buf) == 0);
    }
    weft_fd_close(&reader);
    weft_fd_close(&a);
}

TASK_TEST(fd, the_end_of_file_wakes_a_reader)
{
    weft_fd reader, writer, a, b;
    open_pipe(&reader, &writer);
    open_pair(&a, &b);
    struct t_one one = {.fd = &reader}, two = {.fd = &a};
    weft_task *first = t_start(t_one_read, &one);
    weft_task *second = t_start(t_one_read, &two);
    cr_assert(!one.done && !two.done);
    weft_fd_close(&writer);
    weft_fd_close(&b);
    T_OK(weft_task_join(first, NULL));
    T_OK(weft_task_join(second, NULL));
    cr_assert(one.rc == 0 && two.rc == 0);
    weft_fd_close(&reader);
    weft_fd_close(&a);
}

TASK_TEST(fd, writing_nothing_is_0)
{
    weft_fd a, b;
    open_pair(&a, &b);
    cr_assert(weft_fd_write(&a, "", 0) == 0);
    size_t written = 7;
    T_OK(weft_fd_write_all(&a, "", 0, &written));
    cr_assert(written == 0);
    T_OK(weft_fd_write_all(&a, "abc", 3, NULL));
    weft_fd_close(&a);
    weft_fd_close(&b);
}

static void
transfer(weft_fd *from, weft_fd *to, size_t len)
{
    struct t_stream stream = {.from = from, .to = to, .len = len, .chunk = 100000, .seed = 5};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, t_stream_receive, &stream);
    stream.send_rc = t_stream_send(&stream);
    weft_fd_close(from);
    T_OK(weft_group_close(&group));
    t_stream_assert(&stream);
}

TASK_TEST(fd, write_all_waits_for_room)
{
    weft_fd reader, writer, a, b;
    open_pipe(&reader, &writer);
    open_pair(&a, &b);
    transfer(&writer, &reader, 3 << 20);
    transfer(&a, &b, 3 << 20);
    weft_fd_close(&reader);
    weft_fd_close(&b);
}

TASK_TEST(fd, write_all_says_how_far_it_came)
{
    weft_fd a, b;
    open_pair(&a, &b);
    size_t written = 0;
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(10));
    char *bytes = calloc(1, 4 << 20);
    T_ERR(-ETIMEDOUT, weft_fd_write_all(&a, bytes, 4 << 20, &written));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    cr_assert(written > 0 && written < 4 << 20);
    weft_fd_close(&a);
    size_t read_bytes = 0;
    ssize_t n;
    while ((n = weft_fd_read(&b, bytes, 4 << 20)) > 0)
        read_bytes += (size_t)n;
    cr_assert(n == 0 && read_bytes == written, "%zu written, %zu read", written, read_bytes);
    free(bytes);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_broken_socket_is_EPIPE_without_a_signal)
{
    signal(SIGPIPE, SIG_DFL);
    weft_fd a, b;
    open_pair(&a, &b);
    weft_fd_close(&b);
    cr_assert(weft_fd_write(&a, "x", 1) == -EPIPE);
    size_t written = 9;
    T_ERR(-EPIPE, weft_fd_write_all(&a, "xyz", 3, &written));
    cr_assert(written == 0);
    weft_fd_close(&a);
}

TASK_TEST(fd, a_broken_pipe_wakes_a_writer)
{
    signal(SIGPIPE, SIG_IGN); /* pipes have no MSG_NOSIGNAL */
    weft_fd reader, writer;
    open_pipe(&reader, &writer);
    struct t_one one = {.fd = &writer};
    weft_task *task = t_start(t_one_fill, &one);
    cr_assert(!one.done);
    weft_fd_close(&reader);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == -EPIPE);
    weft_fd_close(&writer);
}

TASK_TEST(fd, a_device_needs_no_waiting)
{
    int raw = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    weft_fd zero;
    T_OK(weft_fd_open(&zero, raw));
    char buf[100] = "x";
    cr_assert(weft_fd_read(&zero, buf, sizeof buf) == sizeof buf && buf[0] == '\0');
    cr_assert(weft_fd_read(&zero, buf, sizeof buf) == sizeof buf);
    weft_fd_close(&zero);
}

/* ---- Waiting for readiness ------------------------------------------------------------------ */

TASK_TEST(fd, waiting_for_readiness_takes_nothing)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_wait_readable, &one);
    cr_assert(!one.done);
    cr_assert(weft_fd_write(&b, "abc", 3) == 3);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == 0);
    T_OK(weft_fd_wait_readable(&a)); /* still */
    char buf[16];
    cr_assert(weft_fd_read(&a, buf, sizeof buf) == 3);
    task = t_start(t_one_wait_readable, &one);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == -ECANCELED);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, writable_is_known_at_once_or_waited_for)
{
    weft_fd a, b;
    open_pair(&a, &b);
    T_OK(weft_fd_wait_writable(&a));
    static char bytes[65536];
    while (write(weft_fd_raw(&a), bytes, sizeof bytes) > 0)
        continue;
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_wait_writable, &one);
    cr_assert(!one.done);
    while (read(weft_fd_raw(&b), bytes, sizeof bytes) > 0)
        continue;
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == 0);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, readable_after_foreign_reads_is_found_out_anew)
{
    /* Somebody who uses the raw descriptor between two waits. */
    weft_fd a, b;
    open_pair(&a, &b);
    char buf[16];
    for (int i = 0; i < 20; i++) {
        cr_assert(write(weft_fd_raw(&b), "abcd", 4) == 4);
        T_OK(weft_fd_wait_readable(&a));
        cr_assert(read(weft_fd_raw(&a), buf, 2) == 2);
        T_OK(weft_fd_wait_readable(&a));
        cr_assert(read(weft_fd_raw(&a), buf, sizeof buf) == 2);
        struct t_one one = {.fd = &a};
        weft_task *task = t_start(t_one_wait_readable, &one);
        cr_assert(!one.done);
        cr_assert(write(weft_fd_raw(&b), "e", 1) == 1);
        T_OK(weft_task_join(task, NULL));
        cr_assert(one.rc == 0 && read(weft_fd_raw(&a), buf, sizeof buf) == 1);
    }
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, one_reads_while_another_writes)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one reading = {.fd = &a}, writing = {.fd = &a};
    weft_task *reader = t_start(t_one_read, &reading);
    weft_task *writer = t_start(t_one_fill, &writing);
    cr_assert(!reading.done && !writing.done);
    cr_assert(weft_fd_write(&b, "x", 1) == 1);
    T_OK(weft_task_join(reader, NULL));
    cr_assert(reading.rc == 1 && !writing.done);
    weft_fd_close(&b);
    T_OK(weft_task_join(writer, NULL));
    cr_assert(writing.rc == -EPIPE || writing.rc == -ECONNRESET);
    weft_fd_close(&a);
}

/* ---- Busy ----------------------------------------------------------------------------------- */

TASK_TEST(fd, a_second_reader_is_refused)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_read, &one);
    char buf[4];
    cr_assert(weft_fd_read(&a, buf, 4) == -EBUSY);
    T_ERR(-EBUSY, weft_fd_wait_readable(&a));
    T_OK(weft_fd_wait_writable(&a));
    cr_assert(weft_fd_write(&b, "x", 1) == 1);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == 1);

    task = t_start(t_one_wait_readable, &one);
    cr_assert(weft_fd_read(&a, buf, 4) == -EBUSY);
    T_ERR(-EBUSY, weft_fd_wait_readable(&a));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    cr_assert(weft_fd_write(&b, "y", 1) == 1);
    cr_assert(weft_fd_read(&a, buf, 4) == 1); /* free again */
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_second_writer_is_refused)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_fill, &one);
    cr_assert(weft_fd_write(&a, "x", 1) == -EBUSY);
    T_ERR(-EBUSY, weft_fd_wait_writable(&a));
    size_t written = 3;
    T_ERR(-EBUSY, weft_fd_write_all(&a, "x", 1, &written));
    cr_assert(written == 0);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == -ECANCELED);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_reader_that_was_woken_has_the_first_turn)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_read, &one);
    cr_assert(weft_fd_write(&b, "x", 1) == 1);
    while (!one.done) { /* until it has run, nobody takes its byte */
        char buf[4];
        cr_assert(weft_fd_read(&a, buf, 4) == -EBUSY);
        T_OK(weft_yield());
        T_OK(weft_sleep(1));
    }
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == 1);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

/* ---- Closing -------------------------------------------------------------------------------- */

TASK_TEST(fd, closing_wakes_who_waits)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one reading = {.fd = &a}, writing = {.fd = &a}, waiting = {.fd = &b};
    weft_task *reader = t_start(t_one_read, &reading);
    weft_task *writer = t_start(t_one_fill, &writing);
    weft_task *waiter = t_start(t_one_read, &waiting);
    T_OK(weft_yield());
    weft_fd_close(&a);
    T_OK(weft_task_join(reader, NULL));
    T_OK(weft_task_join(writer, NULL));
    cr_assert(reading.rc == -EBADF && writing.rc == -EBADF);
    weft_task_cancel(waiter);
    T_OK(weft_task_join(waiter, NULL));
    weft_fd_close(&b);
}

TASK_TEST(fd, a_closed_one_is_EBADF_for_every_call)
{
    weft_fd a, b;
    open_pair(&a, &b);
    weft_fd_close(&a);
    weft_fd_close(&a);
    char buf[4];
    weft_address address;
    weft_fd connection;
    cr_assert(weft_fd_read(&a, buf, 4) == -EBADF);
    cr_assert(weft_fd_write(&a, buf, 4) == -EBADF);
    T_ERR(-EBADF, weft_fd_write_all(&a, buf, 4, NULL));
    T_ERR(-EBADF, weft_fd_wait_readable(&a));
    T_ERR(-EBADF, weft_fd_wait_writable(&a));
    T_ERR(-EBADF, weft_fd_raw(&a));
    T_ERR(-EBADF, weft_fd_release(&a));
    T_ERR(-EBADF, weft_fd_local_address(&a, &address));
    T_ERR(-EBADF, weft_tcp_accept(&a, &connection, NULL));
    weft_fd_close(&b);
}

TASK_TEST(fd, a_released_one_is_the_callers_again)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_read, &one);
    int number = weft_fd_raw(&a);
    int raw = weft_fd_release(&a);
    cr_assert(raw == number && raw >= 0);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == -EBADF);
    weft_fd_close(&a); /* nothing to close any more */
    cr_assert(fcntl(raw, F_GETFL) & O_NONBLOCK);
    cr_assert(write(raw, "x", 1) == 1);
    T_OK(weft_fd_open(&a, raw)); /* and can be opened anew */
    cr_assert(weft_fd_write(&b, "y", 1) == 1);
    task = t_start(t_one_read, &one);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == 1 && one.bytes[0] == 'y');
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_number_used_again_is_another_descriptor)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one one = {.fd = &a};
    weft_task *task = t_start(t_one_read, &one);
    int number = weft_fd_raw(&a);
    int copy = dup(number); /* keeps what the poller may still have of it alive */
    weft_fd_close(&a);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == -EBADF);

    int raw[2];
    t_socketpair(raw);
    cr_assert(raw[0] == number);
    T_OK(weft_fd_open(&a, raw[0]));
    one.done = false;
    task = t_start(t_one_read, &one);
    cr_assert(weft_fd_write(&b, "old", 3) == 3); /* not for us */
    T_OK(weft_sleep(WEFT_MS(50)));
    cr_assert(!one.done);
    cr_assert(write(raw[1], "new!", 4) == 4);
    T_OK(weft_task_join(task, NULL));
    cr_assert(one.rc == 4 && memcmp(one.bytes, "new!", 4) == 0);
    weft_fd_close(&a);
    weft_fd_close(&b);
    close(copy);
    close(raw[1]);
}

/* Closes the descriptor, opens another one in its place and reads from that, all before the task
 * that waited for the first has run again. */
static void
take_the_place(bool cancelled_first)
{
    weft_fd a, b;
    open_pair(&a, &b);
    struct t_one old = {.fd = &a}, new = {.fd = &a};
    weft_task *first = t_start(t_one_read, &old);
    weft_task *second;
    T_OK(weft_task_spawn(&second, t_one_read, &new, NULL)); /* runs before the one that is woken */
    if (cancelled_first)
        weft_task_cancel(first);
    weft_fd_close(&a);
    weft_fd_close(&b);
    open_pair(&a, &b);
    T_OK(weft_task_join(first, NULL));
    cr_assert(old.rc < 0 && !new.done);
    cr_assert(weft_fd_write(&b, "x", 1) == 1);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_SEC(1));
    T_OK(weft_task_join(second, NULL));
    T_OK(weft_scope_close(&soon));
    cr_assert(new.rc == 1);
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_reader_of_the_past_leaves_the_next_one_alone)
{
    take_the_place(false);
}

TASK_TEST(fd, a_cancelled_reader_of_the_past_leaves_the_next_one_alone)
{
    take_the_place(true);
}

static void
close_it(void *arg)
{
    weft_fd_close(arg);
}

TASK_TEST(fd, a_callback_may_close)
{
    weft_fd a, b;
    open_pair(&a, &b);
    weft_callback callback;
    weft_call_later(&callback, WEFT_MS(5), close_it, &a);
    char buf[4];
    cr_assert(weft_fd_read(&a, buf, 4) == -EBADF);
    weft_fd_close(&b);
}

/* ---- Cancellation --------------------------------------------------------------------------- */

TASK_TEST(fd, a_cancelled_read_takes_nothing)
{
    weft_fd a, b;
    open_pair(&a, &b);
    for (int round = 0; round < 4; round++) {
        struct t_one one = {.fd = &a};
        weft_task *task = t_start(t_one_read, &one);
        if (round & 1)
            weft_task_cancel(task);
        cr_assert(weft_fd_write(&b, "x", 1) == 1);
        if (!(round & 1))
            weft_task_cancel(task);
        if (round & 2)
            T_OK(weft_sleep(1));
        T_OK(weft_task_join(task, NULL));
        cr_assert(one.rc == -ECANCELED || one.rc == 1);
        if (one.rc != 1)
            cr_assert(weft_fd_read(&a, one.bytes, 64) == 1);
        cr_assert(one.bytes[0] == 'x');
    }
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, cancellation_is_seen_although_data_is_there)
{
    weft_fd a, b;
    open_pair(&a, &b);
    cr_assert(weft_fd_write(&b, "x", 1) == 1);
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    char buf[4];
    cr_assert(weft_fd_read(&a, buf, 4) == -ECANCELED);
    cr_assert(weft_fd_write(&a, buf, 4) == -ECANCELED);
    T_ERR(-ECANCELED, weft_fd_write_all(&a, buf, 4, NULL));
    T_ERR(-ECANCELED, weft_fd_wait_readable(&a));
    T_ERR(-ECANCELED, weft_fd_wait_writable(&a));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    cr_assert(weft_fd_read(&a, buf, 4) == 1 && buf[0] == 'x');
    weft_fd_close(&a);
    weft_fd_close(&b);
}

TASK_TEST(fd, a_deadline_ends_a_read)
{
    weft_fd a, b;
    open_pair(&a, &b);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(30));
    char buf[4];
    cr_assert(weft_fd_read(&a, buf, 4) == -ETIMEDOUT);
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    cr_assert(weft_now() == WEFT_MS(30));
    weft_fd_close(&a);
    weft_fd_close(&b);
}

/* A loop over reads that never wait lets others run. */
TASK_TEST(fd, a_busy_reader_does_not_keep_the_loop)
{
    int raw = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    weft_fd zero;
    T_OK(weft_fd_open(&zero, raw));
    bool stop = false;
    weft_task *other;
    T_OK(weft_task_spawn(&other, t_give, T_NUMBER(0), NULL));
    char buf[8];
    size_t n = 0;
    while (!stop && n < 100000) {
        cr_assert(weft_fd_read(&zero, buf, 8) == 8);
        stop = weft_task_get_state(other) == WEFT_TASK_DONE;
        n++;
    }
    cr_assert(stop, "100,000 reads, and nobody else ran");
    T_OK(weft_task_join(other, NULL));
    weft_fd_close(&zero);
}

/* ---- Opening -------------------------------------------------------------------------------- */

TASK_TEST(fd, what_cannot_be_waited_for_is_refused)
{
    weft_fd fd;
    T_ERR(-EBADF, weft_fd_open(&fd, -1));
    FILE *file = tmpfile();
    T_ERR(-EPERM, weft_fd_open(&fd, fileno(file)));
    cr_assert((fcntl(fileno(file), F_GETFL) & O_NONBLOCK) == 0);
    fclose(file);
    int raw = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    T_ERR(-EPERM, weft_fd_open(&fd, raw));
    close(raw);
}

TASK_TEST(fd, is_made_non_blocking)
{
    int raw[2];
    t_socketpair(raw);
    weft_fd a;
    T_OK(weft_fd_open(&a, raw[0]));
    cr_assert(fcntl(raw[0], F_GETFL) & O_NONBLOCK);
    cr_assert((fcntl(raw[1], F_GETFL) & O_NONBLOCK) == 0);
    cr_assert(weft_fd_raw(&a) == raw[0]);
    weft_fd_close(&a);
    close(raw[1]);
}

static int
use_it(void *arg)
{
    char buf[4];
    return (int)weft_fd_read(arg, buf, 4);
}

static int
use_on_two_loops(void *arg)
{
    (void)arg;
    int raw[2];
    weft_fd fd;
    weft_task *task;
    if (pipe2(raw, O_CLOEXEC) < 0 || weft_fd_open(&fd, raw[0]) < 0 ||
        weft_task_spawn(&task, use_it, &fd, &(weft_task_options){.on = WEFT_ON(1)}) < 0)
        return -1;
    return weft_task_join(task, NULL);
}

static void
two_loops(void)
{
    weft_ignore(weft_run(
        use_on_two_loops, NULL,
        &(weft_options){.loops = 2, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
}

static void
open_outside(void)
{
    weft_fd fd;
    weft_ignore(weft_fd_open(&fd, 0));
}

Test(fd, use_on_another_loop_ends_with_a_sentence)
{
    char text[4096];
    int status = t_child_run(two_loops, text, sizeof text);
    cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    cr_assert(strstr(text, "a descriptor was used on another loop than the one it was opened on"),
              "%s", text);
    status = t_child_run(open_outside, text, sizeof text);
    cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    cr_assert(strstr(text, "a descriptor is opened by a task"), "%s", text);
}
