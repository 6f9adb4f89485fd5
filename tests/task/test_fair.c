/*
 * test_fair.c - calls that find what they want at once keep nobody else from running.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/chan.h>
#include <weft/fd.h>
#include <weft/future.h>
#include <weft/group.h>
#include <weft/queue.h>
#include <weft/sync.h>

#include "task/t_core.h"

TestSuite(fair, .timeout = 60);

#define CALLS_MAX 4096 /* without an end: nobody else came to run */

/* Makes the call again and again until `go_on` is cleared by somebody else. */
struct greedy {
    int (*call)(struct greedy *greedy);
    bool go_on;
    long calls;
    weft_semaphore sem;
    weft_future future;
    weft_task *ended;
    weft_group group;
    weft_fd fd, peer;
    weft_mutex mutex;
    weft_event event;
    weft_queue *queue;
    weft_chan *chan;
    weft_time until; /* real time: the calls may be many, and end then */
};

static int
hog(void *arg)
{
    struct greedy *greedy = arg;
    while (greedy->go_on) {
        int rc = greedy->call(greedy);
        if (rc < 0)
            return rc;
        greedy->calls++;
        if (greedy->until == 0 ? greedy->calls >= CALLS_MAX : weft_now() > greedy->until)
            return -ELOOP;
    }
    return 0;
}

static int
stop_hog(void *arg)
{
    ((struct greedy *)arg)->go_on = false;
    return 0;
}

static int
take_and_give(struct greedy *greedy)
{
    int rc = weft_semaphore_acquire(&greedy->sem);
    if (rc == 0)
        weft_semaphore_release(&greedy->sem);
    return rc;
}

static int
lock_and_unlock(struct greedy *greedy)
{
    int rc = weft_mutex_lock(&greedy->mutex);
    if (rc == 0)
        weft_mutex_unlock(&greedy->mutex);
    return rc;
}

static int
look_at_event(struct greedy *greedy)
{
    return weft_event_wait(&greedy->event);
}

static int
put_and_get(struct greedy *greedy)
{
    int item = 1;
    int rc = weft_queue_put(greedy->queue, &item);
    return rc < 0 ? rc : weft_queue_get(greedy->queue, &item);
}

static int
send_and_receive(struct greedy *greedy)
{
    int item = 1;
    int rc = weft_chan_send(greedy->chan, &item);
    return rc < 0 ? rc : weft_chan_recv(greedy->chan, &item);
}

static int
look_at_future(struct greedy *greedy)
{
    return weft_future_wait(&greedy->future, NULL);
}

static int
await_ended(struct greedy *greedy)
{
    return weft_task_await(greedy->ended, NULL);
}

static int
wait_for_nobody(struct greedy *greedy)
{
    return weft_group_wait(&greedy->group);
}

static int
just_look(struct greedy *greedy)
{
    (void)greedy;
    return weft_checkpoint();
}

static int
send_byte(struct greedy *greedy)
{
    return (int)weft_fd_write(&greedy->fd, "x", 1);
}

static int
read_byte(struct greedy *greedy)
{
    char byte;
    return (int)weft_fd_read(&greedy->fd, &byte, 1);
}

static void
greedy_open(struct greedy *greedy, int (*call)(struct greedy *))
{
    memset(greedy, 0, sizeof *greedy);
    greedy->call = call;
    greedy->go_on = true;
    T_OK(weft_semaphore_open(&greedy->sem, 1));
    weft_future_open(&greedy->future);
    T_OK(weft_future_set(&greedy->future, 0));
}

/* Two of them, and a third task that ends it. */
static void
compete(struct greedy *greedy)
{
    weft_group group;
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, hog, greedy) >= 0);
    cr_assert(weft_group_spawn(&group, hog, greedy) >= 0);
    cr_assert(weft_group_spawn(&group, stop_hog, greedy) >= 0);
    T_OK(weft_group_close(&group));
    cr_assert(greedy->calls > 0);
}

TASK_TEST(fair, permits_that_are_free)
{
    struct greedy greedy;
    greedy_open(&greedy, take_and_give);
    compete(&greedy);
}

TASK_TEST(fair, mutexes_that_are_free)
{
    struct greedy greedy;
    for (unsigned local = 0; local < 2; local++) {
        greedy_open(&greedy, lock_and_unlock);
        weft_mutex_open(&greedy.mutex, &(weft_mutex_options){.local = local});
        compete(&greedy);
        weft_mutex_close(&greedy.mutex);
    }
}

TASK_TEST(fair, events_that_are_set)
{
    struct greedy greedy;
    greedy_open(&greedy, look_at_event);
    weft_event_open(&greedy.event);
    weft_event_set(&greedy.event);
    compete(&greedy);
    weft_event_close(&greedy.event);
}

TASK_TEST(fair, queues_with_room_and_items)
{
    struct greedy greedy;
    greedy_open(&greedy, put_and_get);
    T_OK(weft_queue_new(&greedy.queue, sizeof(int), NULL));
    compete(&greedy);
    weft_queue_free(greedy.queue);
}

TASK_TEST(fair, channels_with_room_and_items)
{
    struct greedy greedy;
    greedy_open(&greedy, send_and_receive);
    T_OK(weft_chan_new(&greedy.chan, sizeof(int), 4));
    compete(&greedy);
    weft_chan_free(greedy.chan);
}

TASK_TEST(fair, futures_that_are_done)
{
    struct greedy greedy;
    greedy_open(&greedy, look_at_future);
    compete(&greedy);
}

TASK_TEST(fair, tasks_that_have_ended)
{
    struct greedy greedy;
    greedy_open(&greedy, await_ended);
    T_OK(weft_task_spawn(&greedy.ended, t_give, NULL, NULL));
    T_OK(weft_yield());
    compete(&greedy);
    T_OK(weft_task_join(greedy.ended, NULL));
}

static int
hog_of_group(void *arg)
{
    struct greedy *greedy = arg;
    weft_group_open(&greedy->group, NULL);
    int rc = hog(greedy);
    int closed = weft_group_close(&greedy->group);
    return rc < 0 ? rc : closed;
}

TASK_TEST(fair, groups_without_children)
{
    struct greedy greedy;
    greedy_open(&greedy, wait_for_nobody);
    weft_group group;
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, hog_of_group, &greedy) >= 0);
    cr_assert(weft_group_spawn(&group, stop_hog, &greedy) >= 0);
    T_OK(weft_group_close(&group));
}

TASK_TEST(fair, checkpoints)
{
    struct greedy greedy;
    greedy_open(&greedy, just_look);
    compete(&greedy);
}

static void
with_sockets(struct greedy *greedy, int (*call)(struct greedy *))
{
    int raw[2];
    greedy_open(greedy, call);
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw) == 0);
    T_OK(weft_fd_open(&greedy->fd, raw[0]));
    T_OK(weft_fd_open(&greedy->peer, raw[1]));
}

TASK_TEST(fair, a_socket_with_room)
{
    struct greedy greedy;
    with_sockets(&greedy, send_byte);
    weft_group group;
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, hog, &greedy) >= 0);
    cr_assert(weft_group_spawn(&group, stop_hog, &greedy) >= 0);
    T_OK(weft_group_close(&group));
    weft_fd_close(&greedy.fd);
    weft_fd_close(&greedy.peer);
}

TASK_TEST(fair, a_socket_with_bytes_to_read)
{
    static char bytes[CALLS_MAX * 2];
    struct greedy greedy;
    with_sockets(&greedy, read_byte);
    T_OK(weft_fd_write_all(&greedy.peer, bytes, sizeof bytes, NULL));
    weft_group group;
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, hog, &greedy) >= 0);
    cr_assert(weft_group_spawn(&group, stop_hog, &greedy) >= 0);
    T_OK(weft_group_close(&group));
    weft_fd_close(&greedy.fd);
    weft_fd_close(&greedy.peer);
}

/* What the loop itself has to see to, with the real clock. */

static int
sleep_then_stop(void *arg)
{
    int rc = weft_sleep(WEFT_MS(2));
    ((struct greedy *)arg)->go_on = false;
    return rc;
}

LOOPS_TEST(fair, timers_of_others_go_off, 1)
{
    struct greedy greedy;
    greedy_open(&greedy, take_and_give);
    greedy.until = weft_now() + WEFT_SEC(20);
    weft_group group;
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, sleep_then_stop, &greedy) >= 0);
    cr_assert(weft_group_spawn(&group, hog, &greedy) >= 0);
    T_OK(weft_group_close(&group));
}

LOOPS_TEST(fair, its_own_deadline_comes, 1)
{
    struct greedy greedy;
    greedy_open(&greedy, look_at_future);
    greedy.until = weft_now() + WEFT_SEC(20);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(2));
    T_ERR(-ETIMEDOUT, hog(&greedy));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

static int
read_then_stop(void *arg)
{
    struct greedy *greedy = arg;
    char byte;
    ssize_t n = weft_fd_read(&greedy->peer, &byte, 1);
    greedy->go_on = false;
    return n < 0 ? (int)n : 0;
}

LOOPS_TEST(fair, descriptors_of_others_are_looked_at, 1)
{
    struct greedy greedy;
    with_sockets(&greedy, take_and_give);
    greedy.until = weft_now() + WEFT_SEC(20);
    weft_group group;
    weft_group_open(&group, NULL);
    cr_assert(weft_group_spawn(&group, read_then_stop, &greedy) >= 0);
    T_OK(weft_yield());
    T_OK(weft_yield());
    cr_assert(weft_fd_write(&greedy.fd, "x", 1) == 1);
    cr_assert(weft_group_spawn(&group, hog, &greedy) >= 0);
    T_OK(weft_group_close(&group));
    weft_fd_close(&greedy.fd);
    weft_fd_close(&greedy.peer);
}

static void
stop_from_thread(void *arg)
{
    ((struct greedy *)arg)->go_on = false;
}

static weft_loop *loop;

static void *
post_stop(void *arg)
{
    return (void *)(intptr_t)weft_loop_post(loop, stop_from_thread, arg);
}

LOOPS_TEST(fair, messages_of_threads_come_in, 1)
{
    struct greedy greedy;
    greedy_open(&greedy, take_and_give);
    greedy.until = weft_now() + WEFT_SEC(20);
    loop = weft_loop_current();
    pthread_t thread = t_thread(post_stop, &greedy);
    T_OK(hog(&greedy));
    t_thread_join(thread);
}

/* On a thread's own stack, which is the loop's too. */

static int
compete_here(void *arg)
{
    struct greedy *greedy = arg;
    greedy_open(greedy, take_and_give);
    weft_task *other;
    T_OK(weft_task_spawn(&other, stop_hog, greedy, NULL));
    T_OK(hog(greedy));
    return weft_task_join(other, NULL);
}

Test(fair, the_task_of_weft_run_here_lets_others_run)
{
    struct greedy greedy;
    T_OK(weft_run_here(compete_here, &greedy));
}

/* Calls that are cancelled at the point where others run. */
static void
cancelled_scenario(void *arg)
{
    (void)arg;
    struct greedy greedy;
    greedy_open(&greedy, take_and_give);
    weft_options options = {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE};
    weft_ignore(weft_run(hog, &greedy, &options));
    T_OK(weft_semaphore_try_acquire(&greedy.sem)); /* no permit was lost on the way */
}

Test(fair, no_permit_is_lost_when_cancelled_there)
{
    struct t_torture torture = {
        .kind = WEFT__TORTURE_CANCEL, .max = 300, .scenario = cancelled_scenario};
    cr_assert(t_torture_run(&torture) > 0);
}
