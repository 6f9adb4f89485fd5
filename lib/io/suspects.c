/*
 * suspects.c - what makes it safe to wait after a short read.
 *
 * A read that returned less than was asked for has emptied the socket, so the next call waits for
 * an edge without asking the kernel first: that saves a system call per request. One case must
 * not be lost: data and a reset that came under one edge. The poller reports that edge like any
 * other, and there is no second one. So a reader that waits after a short read is suspect until it
 * has been looked at once, 20 to 40 ms later, when it is still there; on a busy connection the
 * next request has long come by then. With the virtual clock it is looked at before waiting.
 *
 * One who was looked at in vain and goes on waiting is idle. Half a second to a second later the
 * deep pages of its task's stack, which some earlier request used, go back to the kernel: memory
 * of an idle connection is one page of stack, whatever it did before.
 */
#include "base/mem.h"
#include "io/fd_priv.h"
#include "task/task_priv.h"

#define LOOK_AFTER WEFT_MS(20)
#define IDLE_AFTER WEFT_MS(500)

/* Per loop, made on first use. */
struct weft__suspects {
    struct weft__timer timer;
    struct weft_loop *loop;
    struct weft__list fresh; /* since the last look */
    struct weft__list aged;  /* since the one before */
    struct weft__timer idle_timer;
    struct weft__list quiet; /* looked at; idle since the last round */
    struct weft__list idle;  /* since the one before */
};

/* By ppoll(2), not by peeking: that would take the error of a reset away from the reader, who would
 * see an ordinary end of file. */
static void
look(struct weft__fd *fd)
{
    struct pollfd pollfd = {.fd = fd->raw, .events = POLLIN | POLLRDHUP};
    if (weft__sys_ppoll(&pollfd, 1, 0) == 0)
        return;
    unsigned what = WEFT__READABLE; /* also when the kernel would not say: reading will tell */
    if (pollfd.revents & (POLLRDHUP | POLLHUP | POLLERR))
        what |= WEFT__CLOSED;
    fd->watch.ready(&fd->watch, what);
}

static void
give_back(struct weft__fd *fd)
{
    /* A reader of a select waits with its one ticket in several places: it is left alone. */
    struct weft__fd_wait *wait = fd->reader;
    if (wait != NULL && wait->stand == NULL && wait->ticket.waiter->loop == fd->loop)
        weft__task_give_back(weft__container(wait->ticket.waiter, struct weft_task, waiter));
}

static void
end_idle_round(struct weft__timer *timer)
{
    struct weft__suspects *suspects = weft__container(timer, struct weft__suspects, idle_timer);
    struct weft__link *link;
    while ((link = weft__list_pop_front(&suspects->idle)) != NULL)
        give_back(weft__container(link, struct weft__fd, suspect));
    weft__list_append_all(&suspects->idle, &suspects->quiet);
    if (!weft__list_empty(&suspects->idle))
        weft__timers_add(&suspects->loop->timers, timer,
                         weft__clock_now(suspects->loop->clock) + IDLE_AFTER);
}

static void
look_at_aged(struct weft__timer *timer)
{
    struct weft__suspects *suspects = (struct weft__suspects *)(void *)timer;
    struct weft__link *link;
    while ((link = weft__list_pop_front(&suspects->aged)) != NULL) {
        struct weft__fd *fd = weft__container(link, struct weft__fd, suspect);
        look(fd);
        if (!fd->readable && fd->reader != NULL) {
            weft__list_push_back(&suspects->quiet, link);
            if (!weft__timer_pending(&suspects->idle_timer))
                weft__timers_add(&suspects->loop->timers, &suspects->idle_timer,
                                 weft__clock_now(suspects->loop->clock) + IDLE_AFTER);
        }
    }
    weft__list_append_all(&suspects->aged, &suspects->fresh);
    if (!weft__list_empty(&suspects->aged))
        weft__timers_add(&suspects->loop->timers, timer,
                         weft__clock_now(suspects->loop->clock) + LOOK_AFTER);
}

void
weft__suspect_add(struct weft__fd *fd)
{
    struct weft_loop *loop = fd->loop;
    if (loop->poll == NULL)
        return; /* ppoll(2) goes by the level: nothing can be missed */
    if (loop->suspects == NULL && !loop->clock->is_virtual) {
        struct weft__suspects *suspects = weft__alloc_zeroed(sizeof *suspects);
        if (suspects != NULL) {
            suspects->timer.fire = look_at_aged;
            suspects->loop = loop;
            weft__list_init(&suspects->fresh);
            weft__list_init(&suspects->aged);
            suspects->idle_timer.fire = end_idle_round;
            weft__list_init(&suspects->quiet);
            weft__list_init(&suspects->idle);
            loop->suspects = suspects;
        }
    }
    struct weft__suspects *suspects = loop->suspects;
    if (suspects == NULL || loop->clock->is_virtual) {
        look(fd); /* no time, or no memory, to look later */
        return;
    }
    weft__list_push_back(&suspects->fresh, &fd->suspect);
    if (!weft__timer_pending(&suspects->timer))
        weft__timers_add(&loop->timers, &suspects->timer,
                         weft__clock_now(loop->clock) + LOOK_AFTER);
}

void
weft__suspect_remove(struct weft__fd *fd)
{
    if (weft__link_on_list(&fd->suspect))
        weft__list_remove(&fd->suspect);
}
