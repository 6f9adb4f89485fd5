/*
 * test_suspects.c - readers that wait after a short read: what they miss, and what they keep.
 */
#include <errno.h>
#include <string.h>

#include <weft/scope.h>
#include <weft/stream.h>
#include <weft/task.h>
#include <weft/time.h>

#include "io/t_io.h"

TestSuite(suspects, .timeout = 120);

#define DEEP ((size_t)40 << 10)
#define SHALLOW ((size_t)16 << 10)

/* What serving some earlier request left on the stack. */
__attribute__((noinline)) static void
go_deep(void)
{
    char bytes[DEEP];
    memset(bytes, 1, sizeof bytes);
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

struct idler {
    weft_stream stream;
    size_t received;
    ssize_t rc;
};

/* Reads bytes one by one into more room than they need. What it keeps on its stack must stay. */
static int
idle_task(void *arg)
{
    struct idler *idler = arg;
    unsigned char kept[256], bytes[64];
    t_bytes_make(kept, sizeof kept, 3, 0);
    go_deep();
    while ((idler->rc = weft_stream_read(&idler->stream, bytes, sizeof bytes)) > 0) {
        cr_assert(t_bytes_match(bytes, (size_t)idler->rc, 4, idler->received));
        idler->received += (size_t)idler->rc;
        cr_assert(t_bytes_match(kept, sizeof kept, 3, 0));
    }
    return 0;
}

static weft_task *
idler_start(struct idler *idler, int *ret_raw)
{
    weft_task *task;
    int raw[2];
    memset(idler, 0, sizeof *idler);
    t_socketpair(raw);
    T_OK(weft_stream_open_fd(&idler->stream, raw[0]));
    T_OK(weft_task_spawn(&task, idle_task, idler, NULL));
    *ret_raw = raw[1];
    return task;
}

static void
give_byte(struct idler *idler, int raw)
{
    size_t at = idler->received;
    char byte = (char)t_byte(4, at);
    cr_assert_eq(write(raw, &byte, 1), 1);
    while (idler->received == at)
        T_OK(weft_sleep(WEFT_MS(1)));
}

static void
idler_end(struct idler *idler, weft_task *task, int raw)
{
    close(raw);
    T_OK(weft_task_join(task, NULL));
    T_OK(idler->rc);
    weft_stream_close(&idler->stream);
}

LOOPS_TEST(suspects, the_deep_pages_of_an_idle_connection_are_given_back, 1)
{
    struct idler idler;
    int raw;
    weft_task *task = idler_start(&idler, &raw);
    give_byte(&idler, raw);
    cr_assert_geq(weft_task_stack_used(task), DEEP);
    while (weft_task_stack_used(task) > SHALLOW)
        T_OK(weft_sleep(WEFT_MS(10)));
    for (int i = 0; i < 3; i++)
        give_byte(&idler, raw);
    idler_end(&idler, task, raw);
}

LOOPS_TEST(suspects, a_busy_connection_keeps_its_pages, 1)
{
    struct idler idler;
    int raw;
    weft_task *task = idler_start(&idler, &raw);
    weft_time last = weft_now(), longest = 0;
    for (int i = 0; i < 30; i++) {
        give_byte(&idler, raw);
        T_OK(weft_sleep(WEFT_MS(60))); /* longer than until it is looked at */
        longest = weft_now() - last > longest ? weft_now() - last : longest;
        last = weft_now();
    }
    if (longest < WEFT_MS(400)) /* else the machine did not let it be busy */
        cr_assert_geq(weft_task_stack_used(task), DEEP);
    idler_end(&idler, task, raw);
}

LOOPS_TEST(suspects, an_idle_connection_may_be_closed_or_cancelled_at_any_time, 1)
{
    enum { N = 12 };
    static struct idler idlers[N];
    weft_task *tasks[N];
    int raw[N];
    for (int i = 0; i < N; i++) {
        tasks[i] = idler_start(&idlers[i], &raw[i]);
        give_byte(&idlers[i], raw[i]);
    }
    for (int i = 0; i < N; i++) { /* in each of the lists it goes through */
        T_OK(weft_sleep(WEFT_MS(i < 4 ? 12 : 150)));
        if (i % 2 == 0)
            weft_stream_close(&idlers[i].stream);
        else
            weft_task_cancel(tasks[i]);
    }
    for (int i = 0; i < N; i++) {
        weft_ignore(weft_task_join(tasks[i], NULL));
        T_ERR(i % 2 == 0 ? -EBADF : -ECANCELED, idlers[i].rc);
        weft_stream_close(&idlers[i].stream);
        close(raw[i]);
    }
}

/* A short read, then data and a reset which the edge that woke the reader already covered. */
LOOPS_TEST(suspects, a_reset_right_after_a_short_read_is_seen, 1)
{
    weft_fd fd;
    char bytes[64];
    for (int i = 0; i < 20 / T_SLOW + 1; i++) {
        int raw = t_tcp_half(&fd);
        cr_assert_eq(send(raw, "abc", 3, 0), 3);
        cr_assert_eq(weft_fd_read(&fd, bytes, 1), 1); /* the registration is there from here on */
        cr_assert_eq(weft_fd_read(&fd, bytes, sizeof bytes), 2);
        t_reset(raw);
        T_ERR(-ECONNRESET, weft_fd_read(&fd, bytes, sizeof bytes));
        weft_fd_close(&fd);
    }
}

/* Cut at a message that carries descriptors, a read is short although there is more. */
LOOPS_TEST(suspects, bytes_behind_passed_descriptors_are_seen, 1)
{
    weft_fd fd;
    int raw[2], passed = 0;
    char bytes[64];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof passed)];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = "abc", .iov_len = 3};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof passed);
    memcpy(CMSG_DATA(header), &passed, sizeof passed);
    t_socketpair(raw);
    T_OK(weft_fd_open(&fd, raw[0]));
    cr_assert_eq(send(raw[1], "12", 2, 0), 2);
    cr_assert_eq(weft_fd_read(&fd, bytes, 64), 2);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_fd_read(&fd, bytes, 64));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    cr_assert_eq(sendmsg(raw[1], &message, 0), 3);
    cr_assert_eq(send(raw[1], "def", 3, 0), 3);
    size_t n = 0;
    while (n < 6) {
        ssize_t some = weft_fd_read(&fd, bytes + n, sizeof bytes - n);
        cr_assert_gt(some, 0);
        n += (size_t)some;
    }
    cr_assert(memcmp(bytes, "abcdef", 6) == 0);
    weft_fd_close(&fd);
    close(raw[1]);
}
