/*
 * look.c - a look at all tasks of a runtime: each loop, asked by a message, copies what is its.
 *
 * No loop is stopped and no lock is taken where tasks run. A loop that is blocked answers late,
 * into memory that it then holds alone. With the virtual clock all loops are on one thread, and a
 * task of one can look at the others itself.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "flow/group_priv.h"
#include "obs/obs_priv.h"

#define TASKS_MAX 10000 /* copied of one loop */
#define STACKS_MAX 1000 /* of these, measured: that asks the kernel */

static void
look_unref_unlock(struct weft__look *look)
{
    bool last = --look->refs == 0;
    weft__unlock(&look->lock);
    if (!last)
        return;
    for (unsigned i = 0; i < look->n_loops; i++) {
        weft_buf_free(&look->loops[i].tasks);
        weft_buf_free(&look->loops[i].groups);
    }
    weft__free(look);
}

void
weft__look_free(struct weft__look *look)
{
    if (look == NULL)
        return;
    weft__lock(&look->lock);
    look_unref_unlock(look);
}

/* ---- On the loop ---------------------------------------------------------------------------- */

static void
copy_name(char to[32], const char *from)
{
    memcpy(to, from, 32);
    to[31] = '\0';
}

static int
copy_task(struct weft__loop_look *own, struct weft__sched *sched, const struct weft_task *task)
{
    int64_t now = weft__clock_now(sched->loop.clock);
    struct weft__task_look copy = {.task = task,
                                   .state = task->state,
                                   .native = task->native,
                                   .loop = sched->loop.index,
                                   .waited_ms = -1,
                                   .deadline = WEFT_FOREVER,
                                   .site = task->site,
                                   .group = task->group,
                                   .child = task->child};
    copy_name(copy.name, task->name);
    if (task->state == WEFT_TASK_WAITING) {
        copy.what = task->what;
        copy.object = task->object;
        /* Its handle is in use just now, and a name never changes. */
        if (task->what == weft__what_task)
            copy_name(copy.awaited, ((const struct weft_task *)task->object)->name);
        if (sched->debug)
            copy.waited_ms = (int64_t)(uint32_t)(weft__debug_ms(sched) - task->parked_ms);
    }
    bool visible = true; /* no shield in between */
    copy.first_group = (uint32_t)(own->groups.len / sizeof(struct weft__group_look));
    for (const struct weft__scope *scope = task->scope; scope != NULL; scope = scope->outer) {
        if (visible && !scope->masked && scope->deadline < copy.deadline)
            copy.deadline = scope->deadline;
        visible = visible && !scope->shield && !scope->masked;
        if (!scope->has_group)
            continue;
        struct weft__group_look group = {.group = scope, .deadline = WEFT_FOREVER};
        weft__group_look(scope, &group.live, &group.held);
        if (scope->deadline != WEFT_FOREVER)
            group.deadline = scope->deadline - now;
        int rc = weft_buf_append(&own->groups, &group, sizeof group);
        if (rc < 0)
            return rc;
        copy.n_groups++;
    }
    if (copy.deadline != WEFT_FOREVER)
        copy.deadline -= now;
    if (task->stack != NULL) {
        copy.stack_size = task->stack->size;
        if (own->n_tasks < STACKS_MAX)
            copy.stack_used = weft__stack_used(task->stack);
    }
    return weft_buf_append(&own->tasks, &copy, sizeof copy);
}

/* Tasks that any loop may take, and none has. */
static int
copy_floating(struct weft__loop_look *own, struct weft__runtime *runtime)
{
    int rc = 0;
    weft__lock(&runtime->any_lock);
    weft__list_foreach(link, &runtime->any)
    {
        const struct weft_task *task = weft__container(link, struct weft_task, link);
        if (own->n_floating++ >= TASKS_MAX || rc < 0)
            continue;
        struct weft__task_look copy = {.task = task,
                                       .state = (uint8_t)WEFT_TASK_NEW,
                                       .loop = UINT32_MAX,
                                       .waited_ms = -1,
                                       .deadline = WEFT_FOREVER,
                                       .site = task->site,
                                       .group = task->group,
                                       .child = task->child};
        copy_name(copy.name, task->name);
        rc = weft_buf_append(&own->tasks, &copy, sizeof copy);
    }
    weft__unlock(&runtime->any_lock);
    return rc;
}

/* What is on this loop, into `own`. */
static void
copy_loop(struct weft__loop_look *own, struct weft__sched *sched)
{
    int rc = 0;
    own->live = sched->live;
    own->ready = sched->n_ready;
    own->timers = sched->loop.timers.n;
    own->foreign = sched->loop.poll != NULL && weft__poll_foreign(sched->loop.poll);
    const struct weft_task *first = sched->runtime->main;
    if (first != NULL && first->native) { /* it is on no list */
        own->live++;
        rc = copy_task(own, sched, first);
        own->n_tasks += rc == 0;
    }
    weft__list_foreach(link, &sched->tasks)
    {
        if (rc < 0 || own->n_tasks >= TASKS_MAX)
            break;
        rc = copy_task(own, sched, weft__container(link, struct weft_task, link));
        own->n_tasks += rc == 0;
    }
    own->n_hidden = own->live - own->n_tasks;
    if (rc == 0 && sched->loop.index == 0)
        rc = copy_floating(own, sched->runtime);
    own->answer = rc < 0 ? WEFT__NO_MEMORY : WEFT__ANSWERED;
}

/* A message, on the loop that is asked. */
static void
answer(struct weft__message *message)
{
    struct weft__loop_look *place = weft__container(message, struct weft__loop_look, message);
    struct weft__look *look = place->look;
    struct weft__loop_look own = {.look = look, .index = place->index};
    weft__lock(&look->lock);
    bool over = look->over;
    weft__unlock(&look->lock);
    if (!over)
        copy_loop(&own, weft__sched_self());

    weft__lock(&look->lock);
    struct weft__waiter *waiter = NULL;
    if (!look->over) {
        *place = own;
        own = (struct weft__loop_look){.look = NULL};
        if (--look->pending == 0 && look->has_ticket && weft__claim(look->ticket))
            waiter = look->ticket.waiter;
    }
    look_unref_unlock(look);
    if (waiter != NULL)
        weft__deliver(waiter, 0);
    weft_buf_free(&own.tasks);
    weft_buf_free(&own.groups);
}

/* ---- Who looks ------------------------------------------------------------------------------ */

struct weft__look *
weft__look_begin(struct weft__runtime *runtime)
{
    unsigned n = runtime->n_loops;
    struct weft__look *look = weft__alloc_zeroed(sizeof *look + n * sizeof look->loops[0]);
    if (look == NULL)
        return NULL;
    look->n_loops = n;
    look->is_virtual = runtime->clock.is_virtual;
    look->refs = 1 + n;
    look->pending = n;
    struct weft_loop *self = weft__loop_self;
    bool all_here = self != NULL && self->clock == &runtime->clock && runtime->clock.is_virtual;
    for (unsigned i = 0; i < n; i++) {
        struct weft__loop_look *place = &look->loops[i];
        struct weft__sched *sched = runtime->loops[i];
        place->look = look;
        place->index = i;
        if (all_here || self == &sched->loop) {
            struct weft__loop_look own = {.look = look, .index = i};
            copy_loop(&own, sched);
            *place = own;
        } else {
            place->message.fn = answer;
            if (weft__inbox_post_unless_closing(&sched->loop, &place->message) == 0)
                continue;
            place->answer = WEFT__CLOSING;
        }
        weft__lock(&look->lock);
        look->refs--;
        look->pending--;
        weft__unlock(&look->lock);
    }
    return look;
}

struct patience {
    struct weft__timer timer;
    struct weft__ticket ticket;
};

static void
patience_over(struct weft__timer *timer)
{
    struct patience *patience = weft__container(timer, struct patience, timer);
    weft__wake(patience->ticket, -ETIMEDOUT);
}

static void
wait_as_task(struct weft_task *task, struct weft__ticket ticket, int64_t until)
{
    struct weft__timers *timers = &task->waiter.loop->timers;
    struct patience patience = {.timer = {.fire = patience_over}, .ticket = ticket};
    weft__timers_add(timers, &patience.timer, until);
    weft__waits_for("answers to a dump", NULL);
    int woken = weft__park(false);
    (void)woken;
    weft__timers_cancel(timers, &patience.timer);
}

static void
wait_as_thread(struct weft__ticket ticket, int64_t until)
{
    uint32_t *delivered = &ticket.waiter->delivered;
    while (weft__load(delivered) == 0) { /* pairs with the store in weft__deliver */
        int64_t left = until - weft__sys_monotonic();
        if (left > 0)
            weft__sys_futex_wait(delivered, 0, left);
        else if (weft__claim(ticket))
            return; /* now nobody else can wake us */
        else
            weft__sys_futex_wait(delivered, 0, -1); /* somebody is about to */
    }
}

void
weft__look_wait(struct weft__look *look, int64_t until)
{
    struct weft_task *task = weft__task_self();
    struct weft__ticket ticket = {NULL, 0};
    weft__lock(&look->lock);
    if (look->pending > 0) {
        ticket = look->ticket = weft__park_arm();
        look->has_ticket = true;
    }
    weft__unlock(&look->lock);
    if (ticket.waiter != NULL && task != NULL)
        wait_as_task(task, ticket, until);
    else if (ticket.waiter != NULL)
        wait_as_thread(ticket, until);
    weft__lock(&look->lock);
    look->over = true;
    look->has_ticket = false;
    weft__unlock(&look->lock);
}
