/*
 * arrivals.c - many tasks that end, on any loops, seen by one who waits.
 *
 * A task's list of awaiters belongs to its loop, so a watch gets on it, and off it again, by a
 * message when that is another one. A message of each kind is enough: they arrive in the order in
 * which they were sent, because the same thread sends both.
 */
#include "flow/arrivals.h"

#include "flow/waitq.h"

void
weft__arrivals_open(struct weft__arrivals *arrivals)
{
    *arrivals = (struct weft__arrivals){.wake_at = SIZE_MAX};
    weft__list_init(&arrivals->come);
    weft__list_init(&arrivals->line);
}

/* On the task's loop. After unlocking neither watch nor arrivals are touched: who waits may look
 * in between, without having been woken, and be gone. */
static void
arrive(struct weft__joiner *joiner)
{
    struct weft__arrival *watch = weft__container(joiner, struct weft__arrival, joiner);
    struct weft__arrivals *arrivals = watch->arrivals;
    struct weft__waiter *waiter = NULL;
    weft__lock(&arrivals->lock);
    watch->arrived = true;
    arrivals->n++;
    if (joiner->result < 0)
        arrivals->n_failed++;
    weft__list_push_back(&arrivals->come, &joiner->link);
    if (arrivals->n >= arrivals->wake_at || (arrivals->wake_on_failure && joiner->result < 0))
        waiter = weft__waitq_claim(&arrivals->line);
    weft__unlock(&arrivals->lock);
    if (waiter != NULL)
        weft__deliver(waiter, 0);
}

static void
add_message(struct weft__message *message)
{
    struct weft__arrival *watch = weft__container(message, struct weft__arrival, add);
    if (weft__task_ended(watch->task))
        weft__joiner_wake(watch->task, &watch->joiner);
    else
        weft__list_push_back(&watch->task->joiners, &watch->joiner.link);
}

static void
remove_message(struct weft__message *message)
{
    struct weft__arrival *watch = weft__container(message, struct weft__arrival, remove);
    struct weft__arrivals *arrivals = watch->arrivals;
    struct weft__waiter *waiter = NULL;
    weft__lock(&arrivals->lock);
    if (!watch->arrived)
        weft__list_remove(&watch->joiner.link);
    if (--arrivals->n_leaving == 0)
        waiter = weft__waitq_claim(&arrivals->line);
    weft__unlock(&arrivals->lock);
    if (waiter != NULL)
        weft__deliver(waiter, 0);
}

/* For a task that no loop has yet: puts the watch on its list, or off it. False when one has. */
static bool
while_floating(struct weft__arrival *watch, bool on)
{
    struct weft_task *task = watch->task;
    struct weft__runtime *runtime = weft__floating_in(weft__load(&task->waiter.loop));
    if (runtime == NULL)
        return false;
    weft__lock(&runtime->any_lock);
    bool floats = weft__floating_in(weft__load(&task->waiter.loop)) != NULL;
    if (floats && on)
        weft__list_push_back(&task->joiners, &watch->joiner.link);
    else if (floats)
        weft__list_remove(&watch->joiner.link);
    weft__unlock(&runtime->any_lock);
    return floats;
}

static bool
is_local(const struct weft_task *task)
{
    return weft__loop_self != NULL && weft__load(&task->waiter.loop) == weft__loop_self;
}

void
weft__arrivals_watch(struct weft__arrivals *arrivals, struct weft__arrival *watch,
                     struct weft_task *task)
{
    *watch = (struct weft__arrival){.joiner = {.arrive = arrive},
                                    .arrivals = arrivals,
                                    .task = task,
                                    .add = {.fn = add_message},
                                    .remove = {.fn = remove_message}};
    /* Pairs with the release in weft__task_settle: the result is there before the state. */
    if (weft_task_get_state(task) >= WEFT_TASK_DONE)
        weft__joiner_wake(task, &watch->joiner);
    else if (is_local(task))
        weft__list_push_back(&task->joiners, &watch->joiner.link);
    else if (!while_floating(watch, true))
        weft__inbox_post(weft__load(&task->waiter.loop), &watch->add);
}

int
weft__arrivals_wait(struct weft__arrivals *arrivals, size_t n, bool or_failure)
{
    weft__lock(&arrivals->lock);
    if (arrivals->n >= n || (or_failure && arrivals->n_failed > 0)) {
        weft__unlock(&arrivals->lock);
        return 0;
    }
    arrivals->wake_at = n;
    arrivals->wake_on_failure = or_failure;
    weft__waits_for("tasks", NULL);
    return weft__waitq_park(&arrivals->line, &arrivals->lock); /* unlocks once in line */
}

struct weft__arrival *
weft__arrivals_take(struct weft__arrivals *arrivals)
{
    weft__lock(&arrivals->lock);
    struct weft__link *link = weft__list_pop_front(&arrivals->come);
    weft__unlock(&arrivals->lock);
    return link != NULL ? weft__container(link, struct weft__arrival, joiner.link) : NULL;
}

/* False: its loop will give it back. */
static bool
take_off(struct weft__arrival *watch)
{
    if (is_local(watch->task)) {
        weft__list_remove(&watch->joiner.link);
        return true;
    }
    if (while_floating(watch, false))
        return true;
    weft__inbox_post(weft__load(&watch->task->waiter.loop), &watch->remove);
    return false;
}

void
weft__arrivals_leave(struct weft__arrivals *arrivals, struct weft__arrival *watches, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        weft__lock(&arrivals->lock);
        /* Nobody is to be woken but by the last that leaves. */
        arrivals->wake_at = SIZE_MAX;
        arrivals->wake_on_failure = false;
        bool leaves = !watches[i].arrived;
        arrivals->n_leaving += leaves;
        weft__unlock(&arrivals->lock);
        if (leaves && take_off(&watches[i])) {
            weft__lock(&arrivals->lock);
            arrivals->n_leaving--;
            weft__unlock(&arrivals->lock);
        }
    }
    weft__lock(&arrivals->lock);
    while (arrivals->n_leaving > 0) {
        weft__list_push_back(&arrivals->line, &weft__park_arm().waiter->link);
        weft__unlock(&arrivals->lock);
        int woken = weft__park(false);
        (void)woken;
        weft__lock(&arrivals->lock);
    }
    weft__unlock(&arrivals->lock);
}

void
weft__task_observe(struct weft_task *task, int result)
{
    if (result < 0)
        weft__task_request(task, WEFT__OP_OBSERVE, 0);
}
