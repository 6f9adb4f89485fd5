/*
 * group.c - groups own tasks: closing waits for all, the first failure cancels the rest.
 *
 * A group belongs to its opener's loop: children elsewhere report their end there by a message,
 * and are released by one. The group's scope is a scope of the opener; when it, or one around it,
 * ends, each child's root scope is ended with the same cause.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <weft/group.h>

#include "base/assert.h"
#include "base/mem.h"
#include "flow/group_priv.h"
#include "task/task_priv.h"

struct weft__group {
    struct weft__open_scope open; /* first: its scope finds the group */
    struct weft_loop *loop;
    struct weft__list children; /* alive, started */
    struct weft__list held;     /* over the limit, in order of spawning */
    size_t live;                /* children and held ones */
    size_t running;
    size_t n_children;
    size_t n_failures;
    size_t n_kept; /* of the failures after the first, in `more` */
    weft_failure first;
    weft_failure *more;
    struct weft__ticket closer; /* who waits for the last child */
    int *results;               /* of the children, so many bytes apart; NULL: nobody asks */
    size_t stride;
    size_t winner; /* WEFT__NO_WINNER, until a child of a race succeeds */
    unsigned limit;
    int32_t ended; /* the cause children have been told */
    bool keep_going;
    bool race; /* the first success ends it */
    bool has_closer;
    bool child_hit; /* a child was ended by that cause, or not even spawned */
};
_Static_assert(sizeof(struct weft__group) <= sizeof(weft_group), "weft_group is too small");

static void
start(struct weft__group *group, struct weft_task *child)
{
    group->running++;
    weft__list_push_back(&group->children, &child->sibling);
    int on = child->child_on;
    child->stack_used = 0; /* in its place from here on */
    weft__task_start(child, on);
}

static void
record(struct weft__group *group, size_t child, int result, const char *name)
{
    weft_failure failure = {.child = child, .result = result};
    size_t len = strnlen(name, sizeof failure.name - 1);
    memcpy(failure.name, name, len);
    group->n_failures++;
    if (group->n_failures == 1) {
        group->first = failure;
        return;
    }
    if (group->n_kept + 2 != group->n_failures)
        return; /* one was lost: indices behind it could not be told apart */
    if ((group->n_kept & (group->n_kept + 1)) == 0 || group->more == NULL) {
        size_t cap = group->n_kept == 0 ? 4 : (group->n_kept + 1) * 2;
        weft_failure *more = weft__resize(group->more, cap * sizeof *more);
        if (more == NULL)
            return;
        group->more = more;
    }
    group->more[group->n_kept++] = failure;
}

static void
fail(struct weft__group *group, size_t child, int result, const char *name)
{
    record(group, child, result, name);
    if (group->n_failures == 1 && !group->keep_going)
        weft__scope_end(&group->open.scope, -ECANCELED);
}

static void
group_ended(struct weft__group *group, int cause)
{
    if (group->ended != 0)
        return;
    group->ended = cause;
    while (!weft__list_empty(&group->held)) {
        struct weft__link *link = weft__list_pop_front(&group->held);
        start(group, weft__container(link, struct weft_task, sibling));
    }
    weft__list_foreach(link, &group->children) weft__task_request(
        weft__container(link, struct weft_task, sibling), WEFT__OP_CANCEL, cause);
}

/* On the opener's loop, on no task's stack. */
static void
child_done(struct weft__group *group, struct weft_task *child)
{
    int result = child->result;
    weft__list_remove(&child->sibling);
    group->live--;
    group->running--;
    child->observed = true;
    if (group->results != NULL)
        *(int *)(void *)((char *)group->results + child->child * group->stride) = result;
    if (result < 0) {
        if (group->ended != 0 && result == group->ended)
            group->child_hit = true;
        else
            fail(group, child->child, result, child->name);
    } else if (group->race && group->winner == WEFT__NO_WINNER) {
        group->winner = child->child;
        weft__scope_end(&group->open.scope, -ECANCELED);
    }
    struct weft_loop *home = child->waiter.loop;
    /* Not while its cancellation is on the way: it would arrive at another task. */
    if (home == weft__loop_self && !(weft__load(&child->ops) & WEFT__OP_PENDING))
        weft__task_release(weft__sched_self(), child);
    else
        weft__task_request(child, WEFT__OP_CLOSE, 0);

    if (!weft__list_empty(&group->held)) {
        struct weft__link *link = weft__list_pop_front(&group->held);
        start(group, weft__container(link, struct weft_task, sibling));
    }
    if (group->live == 0 && group->has_closer) {
        group->has_closer = false;
        weft__wake(group->closer, 0);
    }
}

static void
child_done_message(struct weft__message *message)
{
    struct weft_task *child =
        weft__container((struct weft__waiter *)(void *)message, struct weft_task, waiter);
    child_done(child->group, child);
}

/* On the child's loop, after it has left its stack. */
static void
child_finished(struct weft_task *child)
{
    struct weft__group *group = child->group;
    if (group->loop == weft__loop_self) {
        child_done(group, child);
        return;
    }
    child->waiter.message.fn = child_done_message;
    weft__inbox_post(group->loop, &child->waiter.message);
}

/* Before main, when no other thread can be looking. */
__attribute__((constructor)) static void
set_hooks(void)
{
    weft__group_ended = group_ended;
    weft__group_child_finished = child_finished;
}

void
weft_group_open(weft_group *public, const weft_group_options *options)
{
    struct weft__group *group = (struct weft__group *)(void *)public;
    struct weft_task *task = weft__task_self();
    weft__assert(task != NULL, "a group can be opened only inside a task");
    weft_time deadline = WEFT_FOREVER;
    if (options != NULL) {
        weft__assert(options->timeout == 0 || options->deadline == 0,
                     "a group takes a timeout or a deadline, not both");
        weft_time now = weft_now();
        if (options->deadline != 0)
            deadline = options->deadline;
        else if (options->timeout != 0)
            deadline =
                options->timeout > WEFT_FOREVER - now ? WEFT_FOREVER : now + options->timeout;
    }
    memset(group, 0, sizeof *group);
    group->loop = task->waiter.loop;
    weft__list_init(&group->children);
    weft__list_init(&group->held);
    if (options != NULL) {
        group->limit = options->limit;
        group->keep_going = options->keep_going != 0;
    }
    weft__scope_enter(&group->open, task, deadline, false);
    group->open.scope.has_group = true;
}

/* The earliest deadline inside the group, for children to know of. */
static int64_t
deadline_inside(const struct weft__group *group)
{
    int64_t deadline = WEFT_FOREVER;
    for (const struct weft__scope *scope = &group->open.scope; scope != NULL;
         scope = scope->outer) {
        if (scope->masked)
            break;
        if (scope->deadline < deadline)
            deadline = scope->deadline;
        if (scope->shield)
            break;
    }
    return deadline;
}

static inline int
spawn(weft_group *public, weft_task_fn *fn, void *arg, const weft_task_options *options,
      const void *site)
{
    struct weft__group *group = (struct weft__group *)(void *)public;
    weft__assert(group->loop == weft__loop_self,
                 "children are spawned on the loop of the task that opened the group");
    int cause = weft__scope_effective(&group->open.scope);
    if (cause != 0) {
        /* Nobody need look at this result, so closing must tell that not all was done. */
        group->child_hit = true;
        return cause;
    }
    size_t number = group->n_children++;
    struct weft_task *child;
    int on = weft__task_on(options, weft_loop_count());
    int rc = on < 0 && on != WEFT_LOOP_HERE && on != WEFT_LOOP_ANY ? on : 0;
    if (rc == 0)
        rc = weft__task_new(&child, fn, arg, options, deadline_inside(group));
    if (rc < 0) {
        fail(group, number, rc,
             options != NULL && options->name != NULL ? options->name : "not spawned");
        return rc;
    }
    child->site = site;
    child->group = group;
    child->child = (uint32_t)number;
    child->child_on = on;
    group->live++;
    if (group->limit > 0 && group->running >= group->limit)
        weft__list_push_back(&group->held, &child->sibling);
    else
        start(group, child);
    return number < INT_MAX ? (int)number : INT_MAX;
}

int
weft_group_spawn_with(weft_group *group, weft_task_fn *fn, void *arg,
                      const weft_task_options *options)
{
    return spawn(group, fn, arg, options, __builtin_return_address(0));
}

int
weft_group_spawn(weft_group *group, weft_task_fn *fn, void *arg)
{
    return spawn(group, fn, arg, NULL, __builtin_return_address(0));
}

void
weft__group_look(const struct weft__scope *scope, size_t *ret_live, size_t *ret_held)
{
    const struct weft__group *group = (const struct weft__group *)(const void *)scope;
    *ret_live = group->live;
    *ret_held = group->live - group->running;
}

void
weft__group_collect(weft_group *public, int *first, size_t stride, bool race)
{
    struct weft__group *group = (struct weft__group *)(void *)public;
    group->results = first;
    group->stride = stride;
    group->winner = WEFT__NO_WINNER;
    group->race = race;
}

size_t
weft__group_winner(const weft_group *public)
{
    return ((const struct weft__group *)(const void *)public)->winner;
}

static void
assert_opener(const struct weft__group *group)
{
    weft__assert(group->open.scope.task == weft__task_self(),
                 "a group is waited for and closed by the task that opened it");
}

int
weft_group_wait(weft_group *public)
{
    struct weft__group *group = (struct weft__group *)(void *)public;
    assert_opener(group);
    int rc = weft__wait_begin();
    if (rc < 0 || group->live == 0)
        return rc;
    weft__waits_for("children of group", group);
    group->closer = weft__park_arm();
    group->has_closer = true;
    rc = weft__park(true);
    group->has_closer = false;
    return rc;
}

void
weft_group_cancel(weft_group *public)
{
    struct weft__group *group = (struct weft__group *)(void *)public;
    weft__assert(group->loop == weft__loop_self,
                 "weft_group_cancel belongs on the loop of the task that opened the group");
    weft__scope_end(&group->open.scope, -ECANCELED);
}

size_t
weft_group_failures(const weft_group *public)
{
    return ((const struct weft__group *)(const void *)public)->n_failures;
}

int
weft_group_failure(const weft_group *public, size_t index, weft_failure *ret_failure)
{
    const struct weft__group *group = (const struct weft__group *)(const void *)public;
    if (index >= group->n_failures)
        return -ENOENT;
    if (index > group->n_kept)
        return -ENOMEM;
    *ret_failure = index == 0 ? group->first : group->more[index - 1];
    return 0;
}

int
weft_group_close(weft_group *public)
{
    struct weft__group *group = (struct weft__group *)(void *)public;
    assert_opener(group);
    weft__wait_uncancellable(); /* children are told, and waited for all the same */
    while (group->live > 0) {
        weft__waits_for("children of group", group);
        group->closer = weft__park_arm();
        group->has_closer = true;
        int woken = weft__park(false);
        (void)woken;
    }
    int outer = group->child_hit && group->open.scope.outer != NULL
                    ? weft__scope_effective(group->open.scope.outer)
                    : 0;
    if (group->child_hit && outer == 0)
        group->open.scope.hit = true;
    int own = weft__scope_leave(&group->open);
    weft__free(group->more);
    int result = own < 0 ? own : outer;
    if (group->n_failures > 0)
        result = group->first.result;
    /* What an outer scope ended is told by its own closing too; a race won has ended itself. */
    bool won = group->race && group->winner != WEFT__NO_WINNER;
    if (outer != 0 && !won && (outer == group->ended || outer == result))
        weft__scope_note_hit(weft__task_self());
    return result;
}
