/*
 * inbox.c - what a message costs that a plain thread posts to a loop.
 *
 * A producer keeps at most WINDOW messages under way, as any program with back-pressure would;
 * without a bound one would measure the allocator. The loop counts what it is handed, so every
 * message is known to have arrived once.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/loop.h>
#include <weft/run.h>

#include "micro/micro.h"

#define PRODUCERS_MAX 4
#define WINDOW 4096
#define LOOK_EVERY 64 /* messages between two looks at how far the loop is */

static struct micro m = {.program = "inbox",
                         .what = "post a message from plain threads, on two CPUs",
                         .repeats = 9,
                         .count = 2000000};

struct producer {
    _Alignas(128) long done; /* written by the loop, read by the producer */
    _Alignas(128) long posts;
    weft_loop *loop;
    pthread_t thread;
    int rc;
};

static struct producer producers[PRODUCERS_MAX];
static int left; /* the loop's: producers with messages to come */
static weft_future arrived;
static int64_t begun, ended;
static double values[MICRO_REPEATS_MAX];

static void
take(void *arg)
{
    struct producer *p = arg;
    long done = p->done + 1;
    __atomic_store_n(&p->done, done, __ATOMIC_RELEASE);
    if (done == p->posts && --left == 0) {
        ended = micro_now();
        weft_future_set(&arrived, 0);
    }
}

static void *
produce(void *arg)
{
    struct producer *p = arg;
    for (long i = 0; i < p->posts; i++) {
        if (i % LOOK_EVERY == 0)
            while (i - __atomic_load_n(&p->done, __ATOMIC_ACQUIRE) > WINDOW - LOOK_EVERY)
                sched_yield();
        p->rc = weft_loop_post(p->loop, take, p);
        if (p->rc < 0)
            break;
    }
    return NULL;
}

static double
message_ns(int n)
{
    weft_future_open(&arrived);
    left = n;
    for (int i = 0; i < n; i++)
        producers[i] = (struct producer){.posts = m.count / n, .loop = weft_loop_current()};
    begun = micro_now();
    for (int i = 0; i < n; i++)
        micro_check(&m, "thread",
                    -pthread_create(&producers[i].thread, NULL, produce, &producers[i]));
    micro_check(&m, "wait", weft_future_wait(&arrived, NULL));
    for (int i = 0; i < n; i++) {
        pthread_join(producers[i].thread, NULL);
        micro_check(&m, "post", producers[i].rc);
        if (producers[i].done != producers[i].posts)
            micro_fail(&m, "messages that arrived", 0);
    }
    weft_future_close(&arrived);
    return (double)(ended - begun) / ((double)(m.count / n) * n);
}

static double
eventfd_write_ns(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        micro_fail(&m, "eventfd", -errno);
    enum { WRITES = 200000 };
    uint64_t one = 1;
    int64_t start = micro_now();
    for (int i = 0; i < WRITES; i++)
        if (write(fd, &one, sizeof one) != sizeof one)
            micro_fail(&m, "write to an eventfd", -errno);
    int64_t end = micro_now();
    close(fd);
    return (double)(end - start) / WRITES;
}

static int
measure(void *arg)
{
    (void)arg;
    static const struct {
        int producers;
        const char *name;
        const char *peers;
    } rows[] = {
        {1, "post, 1 producer", "Go 68.1, pthread queue 173, tokio 189, libuv 193"},
        {4, "post, 4 producers", "Go 85, libuv 161, libevent 193, tokio 1025"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        message_ns(rows[row].producers);
        for (long i = 0; i < m.repeats; i++)
            values[i] = message_ns(rows[row].producers);
        micro_row(&m, rows[row].name, "ns", 60, rows[row].peers, values, (size_t)m.repeats);
    }
    for (long i = 0; i < m.repeats; i++)
        values[i] = eventfd_write_ns();
    micro_note(&m, "eventfd write, what a ring costs", "ns", "", values, (size_t)m.repeats);
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "messages in a repeat");
    if (m.count < PRODUCERS_MAX)
        m.count = PRODUCERS_MAX;
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    return micro_end(&m);
}
