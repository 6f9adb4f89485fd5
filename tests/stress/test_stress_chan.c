/*
 * test_stress_chan.c - channels and selects between two loops and two plain threads, with
 * cancellations at random: each item that was sent is received, once, and no other.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/select.h>

#include "flow/t_ledger.h"
#include "t_stress.h"

TestSuite(stress_chan, .timeout = 120);

#define TASKS 8

static weft_chan *chans[2];
static struct t_ledger ledger;
static uint32_t ended_waits;
static weft_time end;
static uint64_t seed;
static bool selects;

struct user {
    uint64_t random;
    uint32_t done;
};

static bool
goes_on(void)
{
    return stress_goes_on(end) && !t_ledger_full(&ledger);
}

/* One send or receive, or a select of several. Every party does both, so none starves. */
static int
pass_one(uint64_t *random)
{
    uint64_t in[2], out[2];
    uint32_t lot = stress_below(random, 16);
    weft_chan *chan = chans[lot % 2];
    int rc;
    if (selects && lot < 12) {
        for (int i = 0; i < 2; i++)
            out[i] = t_ledger_item(&ledger);
        weft_case cases[] = {
            weft_case_send(chan, &out[0]), weft_case_recv(chans[!(lot % 2)], &in[0]),
            lot < 6 ? weft_case_recv(chan, &in[1]) : weft_case_send(chans[!(lot % 2)], &out[1])};
        rc = weft_select(cases, lot % 3 == 0 ? 2 : 3);
        if (rc < 0)
            return rc;
        if (cases[rc].result < 0)
            return cases[rc].result;
        if (rc == 0)
            t_ledger_sent(&ledger, out[0]);
        else if (rc == 1)
            t_ledger_got(&ledger, in[0]);
        else if (lot < 6)
            t_ledger_got(&ledger, in[1]);
        else
            t_ledger_sent(&ledger, out[1]);
        return 0;
    }
    if (lot & 4) {
        out[0] = t_ledger_item(&ledger);
        rc = lot & 8 ? weft_chan_send(chan, &out[0]) : weft_chan_try_send(chan, &out[0]);
        if (rc == 0)
            t_ledger_sent(&ledger, out[0]);
    } else {
        rc = lot & 8 ? weft_chan_recv(chan, &in[0]) : weft_chan_try_recv(chan, &in[0]);
        if (rc == 0)
            t_ledger_got(&ledger, in[0]);
    }
    return rc == -EAGAIN ? 0 : rc;
}

static void *
pass_from_thread(void *arg)
{
    struct user *user = arg;
    while (goes_on() && pass_one(&user->random) == 0)
        continue;
    weft__store(&user->done, 1);
    return NULL;
}

/* Each pass in a scope that may end at any moment. */
static int
pass_from_task(void *arg)
{
    struct user *user = arg;
    int rc = 0;
    while (goes_on() && rc == 0) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&user->random, 100)));
        rc = pass_one(&user->random);
        if (rc == -ETIMEDOUT)
            weft__fetch_add(&ended_waits, 1);
        if (weft_scope_close(&scope) == -ETIMEDOUT)
            rc = 0;
        if (rc == 0)
            rc = weft_yield();
    }
    return rc == -EPIPE ? 0 : rc;
}

/* Tasks that are cancelled as a whole, by another one, on either loop. */
static int
pass_until_cancelled(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    int rc;
    while ((rc = pass_one(&random)) == 0)
        rc = weft_yield();
    return rc;
}

static int
spawn_and_cancel(void *arg)
{
    struct user *user = arg;
    while (goes_on()) {
        weft_task *task;
        uint64_t random = weft__splitmix(&user->random);
        int on = WEFT_ON((int)stress_below(&user->random, 2));
        int rc =
            weft_task_spawn(&task, pass_until_cancelled, &random, &(weft_task_options){.on = on});
        if (rc < 0)
            return rc;
        rc = weft_sleep(WEFT_US(stress_below(&user->random, 30)));
        weft_task_cancel(task);
        int joined = weft_task_join(task, NULL);
        if (rc < 0 || joined < 0)
            return rc < 0 ? rc : joined;
    }
    return 0;
}

static int
close_in_the_end(void *arg)
{
    (void)arg;
    int rc = 0;
    while (goes_on() && rc == 0)
        rc = weft_sleep(WEFT_MS(1));
    /* Threads that wait have nobody else to end that for them. */
    weft_chan_close(chans[0]);
    weft_chan_close(chans[1]);
    return rc;
}

static int
pass_everywhere(void *arg)
{
    (void)arg;
    struct user threads[2], tasks[TASKS];
    pthread_t handles[2];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = (struct user){.random = seed + i};
        handles[i] = t_thread(pass_from_thread, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i] = (struct user){.random = seed + 100 + i};
        weft_group_spawn_with(&group, i % 4 == 3 ? spawn_and_cancel : pass_from_task, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    weft_group_spawn(&group, close_in_the_end, NULL);
    int rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        stress_join(handles[i], &threads[i].done);
    return rc;
}

static void
pass_through(size_t capacity, const char *name)
{
    seed = stress_seed(name);
    t_ledger_clear(&ledger);
    for (int i = 0; i < 2; i++)
        T_OK(weft_chan_new(&chans[i], sizeof(uint64_t), capacity));
    stress_run(pass_everywhere, NULL);
    for (int i = 0; i < 2; i++) {
        t_ledger_drain(&ledger, chans[i]);
        weft_chan_free(chans[i]);
    }
    uint32_t items = t_ledger_check(&ledger, name);
    fprintf(stderr, "stress: %s, room for %zu: %u items, %u waits ended\n", name, capacity, items,
            ended_waits);
    cr_assert(items > 50 && ended_waits > 0);
}

Test(stress_chan, items_are_conserved_whoever_is_cancelled)
{
    pass_through(2, "channels");
}

Test(stress_chan, items_are_conserved_without_room)
{
    pass_through(0, "channels");
}

Test(stress_chan, selects_take_one_branch_whoever_is_cancelled)
{
    selects = true;
    pass_through(1, "selects");
}

Test(stress_chan, selects_take_one_branch_without_room)
{
    selects = true;
    pass_through(0, "selects");
}
