/*
 * group.h - groups own tasks: closing waits for all, the first failure cancels the rest.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/base.h>
#include <weft/run.h>
#include <weft/task.h>
#include <weft/time.h>

/* In the caller's memory, from open to close. */
typedef struct weft_group {
    uint64_t opaque_[40];
} weft_group;

typedef struct weft_group_options {
    weft_time timeout;   /* from open on, in nanoseconds; 0: none */
    weft_time deadline;  /* or a point in time; 0: none. At most one of the two */
    unsigned limit;      /* most children running at once; the others start in order as places
                               come free. 0: no limit */
    unsigned keep_going; /* 1: a failure does not cancel the siblings */
} weft_group_options;

/* One child's failure. */
typedef struct weft_failure {
    size_t child;  /* number of the child, from 0, in the order of spawning */
    int result;    /* negative */
    char name[32]; /* the child's name */
} weft_failure;

WEFT_BEGIN_DECLS

/*
 * weft_group_open - begin a group; it is a scope of the calling task as well
 *
 * options  NULL for the defaults
 *
 * Waits    no
 * Threads  tasks; the opener alone closes it
 * Source   asyncio.TaskGroup, trio.open_nursery
 */
void weft_group_open(weft_group *group, const weft_group_options *options);

/*
 * weft_group_spawn - start a child of the group on this loop
 *
 * Inside the child the group's scope, and all scopes around it, hold. A child that cannot be
 * spawned counts as one that failed, so the result need not be looked at.
 *
 * Returns  the number of the child, INT_MAX from the 2^31st on; -ENOMEM, or the cause when the
 *          group is cancelled already
 * Waits    no
 * Threads  the opener, and children of the group on the opener's loop
 * Source   asyncio TaskGroup.create_task
 */
int weft_group_spawn(weft_group *group, weft_task_fn *fn, void *arg);

/*
 * weft_group_spawn_with - start a child of the group with a name, a stack, or on another loop
 *
 * options  as for weft_task_spawn
 *
 * Returns  the number of the child; -ENOMEM, WEFT_E_STACK, -EINVAL, -ESHUTDOWN, or the cause when
 *          the group is cancelled already
 * Waits    no
 * Threads  the opener, and children of the group on the opener's loop
 * Source   asyncio TaskGroup.create_task
 */
int weft_group_spawn_with(weft_group *group, weft_task_fn *fn, void *arg,
                          const weft_task_options *options);

/*
 * weft_group_wait - wait until no child is alive, without closing the group
 *
 * Returns  0 when none is left (failures are read with weft_group_failure); -ECANCELED or
 *          -ETIMEDOUT when the group or a scope around it ended first: children have been
 *          cancelled then, and are waited for by weft_group_close
 * Waits    yes; looks for cancellation first
 * Threads  the opener
 * Source   weft
 */
WEFT_WAITS int weft_group_wait(weft_group *group);

/*
 * weft_group_cancel - cancel all children, and every wait of the opener inside the group
 *
 * Waits    no
 * Threads  tasks and callbacks of the opener's loop
 * Source   trio nursery.cancel_scope.cancel
 */
void weft_group_cancel(weft_group *group);

/*
 * weft_group_failures - how many children have failed so far
 *
 * Returns  count; children that ended with -ECANCELED because the group was cancelled are not
 *          failures
 * Waits    no
 * Threads  the opener
 * Source   ExceptionGroup
 */
size_t weft_group_failures(const weft_group *group);

/*
 * weft_group_failure - read one failure, in the order in which they happened
 *
 * index    below weft_group_failures()
 *
 * Returns  0; -ENOENT when there is no such failure; -ENOMEM when memory was too short to keep
 *          this one (the first is always kept)
 * Waits    no
 * Threads  the opener, until the group is closed
 * Source   ExceptionGroup.exceptions
 */
int weft_group_failure(const weft_group *group, size_t index, weft_failure *ret_failure);

/*
 * weft_group_close - wait for all children and end the group
 *
 * When a scope around it has ended, or the group's own deadline passes, children are cancelled
 * and still waited for: no child outlives its group.
 *
 * Returns  0; the first failure's result; -ETIMEDOUT when the group's own deadline ended a call
 *          of the opener or of a child and none had failed before; -ECANCELED after
 *          weft_group_cancel, likewise; an outer scope's cause when that ended it
 * Waits    yes
 * Threads  the opener
 * Source   asyncio.TaskGroup.__aexit__
 */
WEFT_WAITS int weft_group_close(weft_group *group);

WEFT_END_DECLS

#endif
