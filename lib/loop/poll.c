/*
 * poll.c - the door to libevent: descriptors and sleeping.
 *
 * Only the event core is used, without locks: a base is touched by its own thread alone. A
 * descriptor has one edge-triggered, persistent registration for as long as it is watched.
 */
#include <string.h>
#include <sys/time.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include <weft/error.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop_priv.h"

#define BASE_FDS 3 /* what a base of libevent takes: its epoll descriptor, two for signals */

struct weft__poll {
    struct event_base *base;
    struct weft__bell *bell;
    struct event ring;
    struct event alarm;
    int64_t armed; /* when the alarm goes off; INT64_MAX when it is not set */
    int n_watches;
    bool own_base;
};

_Static_assert(sizeof(struct event) <= sizeof(((struct weft__watch *)0)->event),
               "weft__watch must hold a struct event");

static void
on_ring(evutil_socket_t fd, short what, void *arg)
{
    /* Nothing to read: edge-triggered. To have come out of the poller is all. */
    (void)fd;
    (void)what;
    (void)arg;
}

static void
on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct weft__poll *poll = arg;
    (void)fd;
    (void)what;
    poll->armed = INT64_MAX;
}

static struct event_base *
base_new(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    struct event_base *base = NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_require_features(config, EV_FEATURE_ET) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* libevent ends the process when it has its epoll descriptor and gets none for its signals. So what
 * it takes is asked for before, and given back; another thread may still be quicker. */
static int
try_descriptors(int fd)
{
    int taken[BASE_FDS], n = 0, rc = 0;
    while (n < BASE_FDS && (rc = weft__sys_dup(fd)) >= 0)
        taken[n++] = rc;
    while (n > 0)
        weft__sys_close(taken[--n]);
    return rc < 0 ? rc : 0;
}

int
weft__poll_open(struct weft__poll **ret_poll, struct weft__bell *bell, struct event_base *own)
{
    struct weft__poll *poll = weft__alloc_zeroed(sizeof *poll);
    if (poll == NULL)
        return -ENOMEM;
    int rc = weft__sys_eventfd(0);
    if (rc < 0) {
        weft_error_note(rc, "the doorbell of a loop: eventfd: %s", weft_strerror(rc));
        goto fail_poll;
    }
    weft__store(&bell->fd, rc); /* pairs with the load in bell_wake, as do the stores below */
    rc = own == NULL ? try_descriptors(rc) : 0;
    errno = 0;
    poll->base = own != NULL ? own : rc == 0 ? base_new() : NULL;
    if (poll->base == NULL) {
        if (rc == 0)
            rc = errno != 0 ? -errno : -ENOMEM;
        weft_error_note(rc, "the poller of a loop: libevent gave no base: %s", weft_strerror(rc));
        goto fail_bell;
    }
    poll->own_base = own == NULL;
    poll->bell = bell;
    poll->armed = INT64_MAX;
    event_assign(&poll->ring, poll->base, bell->fd, EV_READ | EV_PERSIST | EV_ET, on_ring, poll);
    event_assign(&poll->alarm, poll->base, -1, 0, on_alarm, poll);
    if (event_add(&poll->ring, NULL) < 0) {
        rc = -ENOMEM;
        weft_error_note(rc, "the poller of a loop: the doorbell cannot be watched");
        goto fail_base;
    }
    *ret_poll = poll;
    return 0;

fail_base:
    if (poll->own_base)
        event_base_free(poll->base);
fail_bell:
    weft__sys_close(bell->fd);
    weft__store(&bell->fd, -1);
fail_poll:
    weft__free(poll);
    return rc;
}

void
weft__poll_close(struct weft__poll *poll)
{
    event_del(&poll->ring);
    event_del(&poll->alarm);
    if (poll->own_base)
        event_base_free(poll->base);
    weft__sys_close(poll->bell->fd);
    weft__store(&poll->bell->fd, -1);
    weft__free(poll);
}

struct event_base *
weft__poll_base(struct weft__poll *poll)
{
    return poll->base;
}

bool
weft__poll_busy(const struct weft__poll *poll)
{
    int events = event_base_get_num_events(poll->base, EVENT_BASE_COUNT_ADDED);
    return events > 1 + (poll->armed != INT64_MAX);
}

bool
weft__poll_foreign(const struct weft__poll *poll)
{
    int events = event_base_get_num_events(poll->base, EVENT_BASE_COUNT_ADDED);
    return events > 1 + (poll->armed != INT64_MAX) + poll->n_watches;
}

/* The alarm is left alone when it goes off early enough: a wake-up too many is cheaper than
 * moving it at each turn. */
static void
set_alarm(struct weft__poll *poll, int64_t timeout_ns)
{
    int64_t now = weft__sys_monotonic();
    int64_t when = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    if (when == INT64_MAX || (poll->armed <= when && poll->armed > now))
        return;
    int64_t us = (timeout_ns + 999) / 1000;
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    if (event_add(&poll->alarm, &tv) == 0)
        poll->armed = when;
    else
        event_base_loopexit(poll->base, &(struct timeval){0, 0}); /* no memory: do not sleep */
}

void
weft__poll_run(struct weft__poll *poll, int64_t timeout_ns)
{
    int flags = EVLOOP_ONCE;
    if (timeout_ns == 0)
        flags |= EVLOOP_NONBLOCK;
    else if (timeout_ns > 0)
        set_alarm(poll, timeout_ns);
    if (event_base_loop(poll->base, flags) < 0)
        weft__fatal("the poller of a loop failed: %s", strerror(errno));
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct weft__watch *watch = arg;
    (void)fd;
    unsigned ready = 0;
    if (what & EV_READ)
        ready |= WEFT__READABLE;
    if (what & EV_WRITE)
        ready |= WEFT__WRITABLE;
    if (what & EV_CLOSED)
        ready |= WEFT__READABLE | WEFT__CLOSED;
    watch->ready(watch, ready);
}

int
weft__watch_add(struct weft__poll *poll, struct weft__watch *watch, int fd)
{
    WEFT__SYS_FAULT();
    struct event *event = (struct event *)(void *)watch->event;
    event_assign(event, poll->base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
                 on_watch, watch);
    errno = 0;
    if (event_add(event, NULL) < 0)
        return errno != 0 ? -errno : -ENOMEM;
    watch->poll = poll;
    poll->n_watches++;
    return 0;
}

void
weft__watch_remove(struct weft__watch *watch)
{
    if (watch->poll == NULL)
        return;
    event_del((struct event *)(void *)watch->event);
    watch->poll->n_watches--;
    watch->poll = NULL;
}
