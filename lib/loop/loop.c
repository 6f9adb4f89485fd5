/*
 * loop.c - the order of one turn, and what a loop does when there is nothing to do.
 *
 * A turn: messages, calls for this turn, timers, ready tasks (a budget of them). Descriptors are
 * looked at when nothing is ready, and every POLL_EVERY_NS when something always is.
 */
#include "loop/loop_priv.h"

#include <string.h>

#include <weft/run.h>

#include "base/assert.h"
#include "base/mem.h"

#define POLL_EVERY_NS 20000
#define SPIN_NS_MAX 50000
#define SPIN_NS_START 20000
#define FLOOD_TURNS 16
#define GATHER_PAUSES 16 /* about half a microsecond */
#define SPIN_ROUNDS 32
#define SPIN_STALL_NS 200000 /* a gap like this while spinning: somebody else needs the CPU */

__thread struct weft_loop *weft__loop_self __attribute__((tls_model("initial-exec")));

static uint32_t id_spaces; /* atomic; each loop and thread record numbers its parks in its own */

uint64_t
weft__id_space(void)
{
    return (uint64_t)(uint16_t)weft__fetch_add(&id_spaces, 1) << 48;
}

void
weft__loop_init(struct weft_loop *loop, unsigned index, struct weft__clock *clock)
{
    loop->own_bell.fd = -1;
    loop->bell = &loop->own_bell;
    loop->clock = clock;
    loop->index = index;
    loop->lone_fd = -1;
    loop->next_id = weft__id_space();
    loop->idle = weft__loop_sleep;
    weft__list_init(&loop->soon);
    weft__timers_init(&loop->timers, weft__clock_now(clock));
}

void
weft__loop_close(struct weft_loop *loop)
{
    if (loop->poll != NULL && loop->bell == &loop->own_bell)
        weft__poll_close(loop->poll);
    loop->poll = NULL;
    weft__free(loop->suspects);
    if (loop->chunks != NULL)
        loop->chunks_free(loop->chunks);
    weft__free(loop->slots);
    loop->slots = NULL;
}

int
weft__loop_grow(struct weft_loop *loop)
{
    if (loop->slots != NULL)
        return 0;
    loop->slots = weft__alloc_zeroed(sizeof *loop->slots);
    if (loop->slots == NULL)
        return -ENOMEM;
    weft__timers_grow(&loop->timers, loop->slots);
    return 0;
}

int
weft__loop_share(struct weft_loop *loop)
{
    if (loop->poll != NULL)
        return 0;
    int rc = weft__loop_grow(loop);
    if (rc == 0)
        rc = weft__poll_open(&loop->poll, loop->bell, NULL);
    if (rc < 0)
        return rc;
    if (loop->lone_watch != NULL) {
        /* The only task waits for this one right now: from here on the poller does. */
        rc = weft__watch_add(loop->poll, loop->lone_watch, loop->lone_fd);
        if (rc < 0) {
            weft__poll_close(loop->poll);
            loop->poll = NULL;
            return rc;
        }
        loop->lone_watch = NULL;
        loop->lone_fd = -1;
    }
    return 0;
}

int
weft__watch_begin(struct weft_loop *loop, struct weft__watch *watch, int fd, unsigned what)
{
    if (weft__torture_refuses())
        weft__watch_remove(watch); /* what is there already makes an edge when it is added again */
    if (loop->poll != NULL)
        return watch->poll != NULL ? 0 : weft__watch_add(loop->poll, watch, fd);
    loop->lone_watch = watch;
    loop->lone_fd = fd;
    loop->lone_events = (short)(what == WEFT__READABLE ? POLLIN | POLLRDHUP : POLLOUT);
    return 0;
}

void
weft__watch_end(struct weft_loop *loop, struct weft__watch *watch)
{
    if (loop->lone_watch == watch) {
        loop->lone_watch = NULL;
        loop->lone_fd = -1;
    }
}

/* A weft_callback: a timer, or a place on the list for the next turn. */
struct callback {
    struct weft__timer timer;
    struct weft__link soon;
    struct weft_loop *loop;
    weft_callback_fn *fn;
    void *arg;
};
_Static_assert(sizeof(struct callback) <= sizeof(weft_callback), "weft_callback is too small");

static void
run_soon(struct weft_loop *loop)
{
    /* Those added meanwhile wait for the next turn. */
    struct weft__list now;
    weft__list_init(&now);
    weft__list_append_all(&now, &loop->soon);
    while (!weft__list_empty(&now)) {
        struct callback *callback =
            weft__container(weft__list_pop_front(&now), struct callback, soon);
        callback->fn(callback->arg);
    }
}

static void
gather(void)
{
    for (int i = 0; i < GATHER_PAUSES; i++)
        weft__cpu_pause();
}

bool
weft__loop_turn(struct weft_loop *loop)
{
    weft__add_own(&loop->turns, 1);
    bool more = false;
    if (loop->pending != NULL || !weft__mpsc_empty(&loop->inbox)) {
        more = weft__inbox_run(loop);
        /* Nothing but callbacks, turn after turn: let some gather. Taking them one by one, both
         * sides would do little else than fetch the same cache line from each other. */
        if (loop->has_ready(loop))
            loop->flood = 0;
        else if (++loop->flood > FLOOD_TURNS)
            gather();
    } else {
        loop->flood = 0;
    }
    if (!weft__list_empty(&loop->soon))
        run_soon(loop);
    if (loop->timers.n > 0)
        weft__timers_expire(&loop->timers, weft__clock_now(loop->clock));
    more |= loop->run_ready(loop);
    return more || loop->has_ready(loop) || !weft__list_empty(&loop->soon);
}

void
weft__loop_run(struct weft_loop *loop)
{
    while (!loop->stop) {
        if (!weft__loop_turn(loop) && !loop->stop && weft__mpsc_empty(&loop->inbox) &&
            !loop->has_work_elsewhere(loop)) {
            loop->idle(loop, weft__timers_next(&loop->timers));
            continue;
        }
        if (loop->give_way != NULL)
            loop->give_way(loop);
        if (loop->poll != NULL && weft__poll_busy(loop->poll)) {
            int64_t now = weft__sys_monotonic();
            if (now - loop->polled_at >= POLL_EVERY_NS) {
                weft__poll_run(loop->poll, 0);
                loop->polled_at = now;
            }
        }
    }
}

/*
 * Spinning pays when messages come close together: a sleeper costs its waker a system call and
 * itself a wake-up of some 50 us. It is tried after a message has ended a sleep early, and given
 * up as soon as one spin was in vain, or the clock shows that the CPU was needed elsewhere.
 */
static bool
spin(struct weft_loop *loop, int64_t deadline)
{
    if (loop->spin_ns == 0)
        return false;
    int64_t last = 0;
    int64_t end = 0;
    for (;;) {
        for (int i = 0; i < SPIN_ROUNDS; i++) {
            weft__prefetch_write(&loop->inbox); /* what comes will be taken by an exchange */
            if (!weft__mpsc_empty(&loop->inbox)) {
                loop->spin_ns = SPIN_NS_MAX;
                return true;
            }
            weft__cpu_pause();
        }
        if (loop->has_work_elsewhere(loop))
            return true;
        int64_t now = weft__sys_monotonic();
        if (end == 0) { /* the clock is read only when the first rounds were in vain */
            last = now;
            end = now + loop->spin_ns < deadline ? now + loop->spin_ns : deadline;
        }
        if (now >= end || now - last > SPIN_STALL_NS) {
            loop->spin_ns = 0;
            return false;
        }
        if (loop->poll != NULL && now - loop->polled_at > POLL_EVERY_NS &&
            weft__poll_busy(loop->poll)) {
            weft__poll_run(loop->poll, 0);
            loop->polled_at = now;
            if (loop->has_ready(loop))
                return true;
        }
        last = now;
    }
}

/* Lone mode: wait for the one descriptor, or for the futex behind the bell. */
static void
sleep_lone(struct weft_loop *loop, int64_t timeout)
{
    struct weft__watch *watch = loop->lone_watch;
    if (watch == NULL) {
        /* Pairs with weft__bell_ring, which clears the word before it wakes. */
        int rc = weft__sys_futex_wait(&loop->bell->sleeping, 1, timeout);
        (void)rc; /* woken, timed out or interrupted: the next turn looks */
        return;
    }
    struct pollfd pollfd = {.fd = loop->lone_fd, .events = loop->lone_events};
    int rc = weft__sys_ppoll(&pollfd, 1, timeout);
    if (rc == 0 || (rc < 0 && rc != -ENOMEM && rc != -EINVAL))
        return; /* -EINTR: the next turn looks */
    unsigned what = 0;
    if (rc < 0 || (pollfd.revents & (POLLIN | POLLERR | POLLHUP | POLLNVAL)))
        what |= WEFT__READABLE;
    if (rc < 0 || (pollfd.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)))
        what |= WEFT__WRITABLE;
    if (pollfd.revents & (POLLRDHUP | POLLHUP | POLLERR))
        what |= WEFT__READABLE | WEFT__CLOSED;
    watch->ready(watch, what);
}

void
weft__loop_sleep(struct weft_loop *loop, int64_t deadline)
{
    if (spin(loop, deadline))
        return;

    struct weft__bell *bell = loop->bell;
    /* Pairs with weft__inbox_post: it pushes, then loads `sleeping`; we store `sleeping`, then look
     * at the inbox. Both sides seq_cst, so one of the two sees the other. */
    weft__store(&bell->sleeping, 1);
    WEFT_POINT(WEFT__POINT_INBOX_SLEEPING);
    if (!weft__mpsc_empty(&loop->inbox) || loop->has_work_elsewhere(loop)) {
        weft__store_relaxed(&bell->sleeping, 0);
        return;
    }
    int64_t timeout = -1;
    int64_t before = 0;
    if (deadline != WEFT_FOREVER || loop->spin_allowed)
        before = weft__sys_monotonic();
    if (deadline != WEFT_FOREVER) {
        timeout = deadline <= before ? 0 : deadline - before;
    }
    weft__add_own(&loop->sleeps, 1);
    if (loop->poll != NULL)
        weft__poll_run(loop->poll, timeout);
    else
        sleep_lone(loop, timeout);
    weft__store_relaxed(&bell->sleeping, 0);

    if (loop->spin_allowed && !weft__mpsc_empty(&loop->inbox)) {
        int64_t slept = weft__sys_monotonic() - before;
        loop->spin_ns = slept < 4 * SPIN_NS_MAX ? SPIN_NS_START : 0;
    }
}

weft_loop *
weft_loop_current(void)
{
    struct weft_loop *loop = weft__loop_self;
    /* Whoever asks may hand it to another thread: from here on it can be rung. */
    if (loop != NULL && weft__loop_share(loop) < 0)
        return NULL;
    return loop;
}

unsigned
weft_loop_index(const weft_loop *loop)
{
    return loop->index;
}

struct event_base *
weft_loop_base(void)
{
    struct weft_loop *loop = weft__loop_self;
    if (loop == NULL || weft__loop_share(loop) < 0)
        return NULL;
    return weft__poll_base(loop->poll);
}

weft_time
weft_now(void)
{
    struct weft_loop *loop = weft__loop_self;
    return loop != NULL ? weft__clock_now(loop->clock) : weft__sys_monotonic();
}

static void
callback_fire(struct weft__timer *timer)
{
    struct callback *callback = (struct callback *)(void *)timer;
    callback->fn(callback->arg);
}

static struct callback *
callback_init(weft_callback *public, weft_callback_fn *fn, void *arg)
{
    weft__assert(weft__loop_self != NULL, "weft_call_soon, _later and _at need a loop to run on");
    struct callback *callback = (struct callback *)(void *)public;
    weft_ignore(weft__loop_grow(weft__loop_self)); /* without memory timers are slow, not lost */
    *callback = (struct callback){.timer = {.fire = callback_fire}};
    callback->loop = weft__loop_self;
    callback->fn = fn;
    callback->arg = arg;
    return callback;
}

void
weft_call_soon(weft_callback *public, weft_callback_fn *fn, void *arg)
{
    struct callback *callback = callback_init(public, fn, arg);
    weft__list_push_back(&callback->loop->soon, &callback->soon);
}

void
weft_call_at(weft_callback *public, weft_time when, weft_callback_fn *fn, void *arg)
{
    struct callback *callback = callback_init(public, fn, arg);
    weft__timers_add(&callback->loop->timers, &callback->timer, when);
}

void
weft_call_later(weft_callback *public, weft_time delay, weft_callback_fn *fn, void *arg)
{
    if (delay <= 0) {
        weft_call_soon(public, fn, arg);
        return;
    }
    weft_time now = weft_now();
    weft_call_at(public, delay > WEFT_FOREVER - now ? WEFT_FOREVER : now + delay, fn, arg);
}

int
weft_callback_cancel(weft_callback *public)
{
    struct callback *callback = (struct callback *)(void *)public;
    weft__assert(callback->loop == weft__loop_self,
                 "weft_callback_cancel belongs on the loop that was to run the call");
    if (weft__link_on_list(&callback->soon)) {
        weft__list_remove(&callback->soon);
        return 1;
    }
    if (!weft__timer_pending(&callback->timer))
        return 0;
    weft__timers_cancel(&callback->loop->timers, &callback->timer);
    return 1;
}
