/*
 * chan.c - what it costs to hand a message from one task to another.
 *
 * Messages are 8 bytes. On one loop sender and receiver share a CPU, on two each has its own. The
 * peers' figures are of the same shape: one sender, one receiver, nothing else to do.
 */
#include <weft/chan.h>
#include <weft/loop.h>
#include <weft/run.h>
#include <weft/select.h>
#include <weft/task.h>

#include "micro/micro.h"

static struct micro m = {.program = "chan",
                         .what = "a message of 8 bytes through a channel",
                         .repeats = 9,
                         .count = 1000000};

static double values[MICRO_REPEATS_MAX];

static struct flow {
    weft_chan *chan;
    weft_chan *other; /* of a select */
} flow;

static int
send_all(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < (uint64_t)m.count; i++) {
        int rc = weft_chan_send(flow.chan, &i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
recv_all(void *arg)
{
    (void)arg;
    uint64_t item;
    for (uint64_t i = 0; i < (uint64_t)m.count; i++) {
        int rc = weft_chan_recv(flow.chan, &item);
        if (rc < 0 || item != i)
            return rc < 0 ? rc : -EBADMSG;
    }
    return 0;
}

/* From one of two channels, of which the other never has anything. */
static int
select_all(void *arg)
{
    (void)arg;
    uint64_t item, never;
    weft_case cases[] = {weft_case_recv(flow.other, &never), weft_case_recv(flow.chan, &item)};
    for (uint64_t i = 0; i < (uint64_t)m.count; i++) {
        int rc = weft_select(cases, 2);
        if (rc != 1 || item != i)
            return rc < 0 ? rc : -EBADMSG;
    }
    return 0;
}

static weft_task *
spawn_on(unsigned loop, weft_task_fn *fn)
{
    weft_task *task;
    micro_check(&m, "spawn",
                weft_task_spawn(&task, fn, NULL, &(weft_task_options){.on = WEFT_ON(loop)}));
    return task;
}

static void
join(weft_task *task)
{
    int result;
    micro_check(&m, "join", weft_task_join(task, &result));
    micro_check(&m, "task", result);
}

static double
message_ns(unsigned sender, unsigned receiver, size_t capacity, weft_task_fn *receive)
{
    micro_check(&m, "channel", weft_chan_new(&flow.chan, sizeof(uint64_t), capacity));
    micro_check(&m, "channel", weft_chan_new(&flow.other, sizeof(uint64_t), capacity));
    int64_t start = micro_now();
    weft_task *tasks[] = {spawn_on(sender, send_all), spawn_on(receiver, receive)};
    join(tasks[0]);
    join(tasks[1]);
    double ns = (double)(micro_now() - start) / (double)m.count;
    weft_chan_free(flow.chan);
    weft_chan_free(flow.other);
    return ns;
}

static int
measure(void *arg)
{
    unsigned n_loops = *(unsigned *)arg;
    static const struct {
        unsigned loops;
        size_t capacity;
        weft_task_fn *receive;
        const char *name;
        double limit; /* 0: none */
        const char *peers;
    } rows[] = {
        {1, 128, recv_all, "one loop, room for 128", 25, "Go 46, Tokio 90, neco 104"},
        {1, 1, recv_all, "one loop, room for 1", 0, ""},
        {1, 0, recv_all, "one loop, rendezvous", 0, ""},
        {1, 128, select_all, "one loop, select of 2, room for 128", 0, ""},
        {1, 0, select_all, "one loop, select of 2, rendezvous", 0, ""},
        {2, 128, recv_all, "two loops, room for 128", 60, "Go 58 unpinned, Tokio 108 to 480"},
        {2, 1024, recv_all, "two loops, room for 1,024", 0, ""},
        {2, 0, recv_all, "two loops, rendezvous", 0, ""},
        {2, 128, select_all, "two loops, select of 2, room for 128", 0, ""},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        if (rows[row].loops != n_loops)
            continue;
        message_ns(0, n_loops - 1, rows[row].capacity, rows[row].receive); /* warms up */
        for (long i = 0; i < m.repeats; i++)
            values[i] = message_ns(0, n_loops - 1, rows[row].capacity, rows[row].receive);
        if (rows[row].limit > 0)
            micro_row(&m, rows[row].name, "ns", rows[row].limit, rows[row].peers, values,
                      (size_t)m.repeats);
        else
            micro_note(&m, rows[row].name, "ns", rows[row].peers, values, (size_t)m.repeats);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "messages in a repeat");
    for (unsigned loops = 1; loops <= 2; loops++) {
        if (micro_cpu((int)loops - 1) < 0) {
            printf("chan: two loops need two CPUs, and this process may use one\n");
            break;
        }
        micro_check(&m, "run",
                    weft_run(measure, &loops, &(weft_options){.loops = loops, .pin = 1}));
    }
    return micro_end(&m);
}
