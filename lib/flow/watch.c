/*
 * watch.c - a value with a version.
 *
 * The value is copied under the lock, also by those who were woken because it changed: they get the
 * latest, whatever was set meanwhile.
 */
#include <errno.h>
#include <string.h>

#include <weft/task.h>
#include <weft/watch.h>

#include "base/assert.h"
#include "base/mem.h"
#include "flow/select_priv.h"
#include "task/task_priv.h"

struct weft_watch {
    struct weft__lock lock;
    bool closed;
    size_t value_size;
    uint64_t version;
    struct weft__list line;
    unsigned char value[];
};

/* With the lock. */
static void
give(const struct weft_watch *watch, uint64_t *version, void *ret_value)
{
    *version = watch->version;
    if (ret_value != NULL && watch->value_size > 0)
        memcpy(ret_value, watch->value, watch->value_size);
}

/* With the lock: 0 when the value is newer than *version; -EAGAIN; -EPIPE. */
static int
look(const struct weft_watch *watch, uint64_t *version, void *ret_value)
{
    if (watch->version == *version)
        return watch->closed ? -EPIPE : -EAGAIN;
    give(watch, version, ret_value);
    return 0;
}

/* Wakes all who wait. With the lock, which it gives back. */
static void
wake_all(struct weft_watch *watch, int status)
{
    struct weft__list claimed;
    weft__list_init(&claimed);
    weft__stand_claim_all(&watch->line, &claimed);
    weft__unlock(&watch->lock);
    weft__stand_deliver_all(&claimed, status);
}

int
weft_watch_set(weft_watch *watch, const void *value)
{
    weft__lock(&watch->lock);
    if (watch->closed) {
        weft__unlock(&watch->lock);
        return -EPIPE;
    }
    if (watch->value_size > 0)
        memcpy(watch->value, value, watch->value_size);
    watch->version++;
    wake_all(watch, 0);
    return 0;
}

uint64_t
weft_watch_get(weft_watch *watch, void *ret_value)
{
    uint64_t version;
    weft__lock(&watch->lock);
    give(watch, &version, ret_value);
    weft__unlock(&watch->lock);
    return version;
}

int
weft_watch_wait(weft_watch *watch, uint64_t *version, void *ret_value)
{
    int rc = weft__task_self() != NULL ? weft_checkpoint() : weft__wait_begin();
    if (rc < 0)
        return rc;
    weft__lock(&watch->lock);
    rc = look(watch, version, ret_value);
    if (rc == -EAGAIN) {
        struct weft__stand stand = {.waiter = weft__park_arm().waiter};
        weft__stand_enter(&stand, &watch->line);
        weft__unlock(&watch->lock);
        weft__waits_for("watch", watch);
        rc = weft__park(true);
        if (rc < 0) {
            weft__stand_leave(&stand, &watch->lock);
            return rc;
        }
        rc = stand.status;
        if (rc < 0)
            return rc;
        weft__lock(&watch->lock);
        give(watch, version, ret_value);
    }
    weft__unlock(&watch->lock);
    return rc;
}

void
weft_watch_close(weft_watch *watch)
{
    weft__lock(&watch->lock);
    watch->closed = true;
    wake_all(watch, -EPIPE);
}

int
weft_watch_new(weft_watch **ret_watch, size_t value_size, const void *value)
{
    if (value_size > SIZE_MAX / 2)
        return -ENOMEM;
    weft_watch *watch = weft__alloc_zeroed(sizeof *watch + value_size);
    if (watch == NULL)
        return -ENOMEM;
    watch->value_size = value_size;
    watch->version = 1;
    weft__list_init(&watch->line);
    if (value != NULL && value_size > 0)
        memcpy(watch->value, value, value_size);
    *ret_watch = watch;
    return 0;
}

void
weft_watch_free(weft_watch *watch)
{
    if (watch == NULL)
        return;
    weft__lock(&watch->lock);
    bool idle = weft__list_empty(&watch->line);
    weft__unlock(&watch->lock);
    weft__assert(idle, "a watched value was freed while somebody waits for it");
    weft__free(watch);
}

/* ---- As a branch of a select ----------------------------------------------------------------- */

static int
case_take_locked(struct weft__case *branch)
{
    branch->result = look(branch->object, branch->extra, branch->stand.item);
    return branch->result == -EAGAIN ? -EAGAIN : 0;
}

static int
case_take(struct weft__case *branch)
{
    struct weft_watch *watch = branch->object;
    weft__lock(&watch->lock);
    int rc = case_take_locked(branch);
    weft__unlock(&watch->lock);
    return rc;
}

static unsigned
case_locks(struct weft__case *branch, struct weft__lock *locks[2])
{
    locks[0] = &((struct weft_watch *)branch->object)->lock;
    return 1;
}

static void
case_enter(struct weft__case *branch)
{
    weft__stand_enter(&branch->stand, &((struct weft_watch *)branch->object)->line);
}

static void
case_leave(struct weft__case *branch)
{
    weft__stand_leave(&branch->stand, &((struct weft_watch *)branch->object)->lock);
}

static void
case_served(struct weft__case *branch)
{
    struct weft_watch *watch = branch->object;
    if (branch->result < 0)
        return;
    weft__lock(&watch->lock);
    give(watch, branch->extra, branch->stand.item);
    weft__unlock(&watch->lock);
}

static const struct weft__case_kind watch_kind = {
    .take = case_take,
    .locks = case_locks,
    .take_locked = case_take_locked,
    .enter = case_enter,
    .served = case_served,
    .leave = case_leave,
};

weft_case
weft_case_watch(weft_watch *watch, uint64_t *version, void *ret_value)
{
    weft_case public;
    weft__case_init(&public, &watch_kind, watch, ret_value, version);
    return public;
}
