/*
 * future.c - a result handed over once.
 *
 * Everything happens under the lock, also looking: whoever sees the result may end the future, so
 * nobody may see it while the setter still needs it. For the same reason callbacks come between
 * the decision, after which no other result is taken, and the moment at which it is done. What a
 * future was given never changes, so who was woken reads it without the lock.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "flow/claimed.h"
#include "flow/future_priv.h"
#include "flow/select_priv.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

struct callback {
    struct weft__link link;
    weft_future_fn *fn;
    void *arg;
};
_Static_assert(sizeof(struct callback) <= sizeof(weft_future_callback),
               "weft_future_callback is too small");

static inline struct weft__future *
self(const weft_future *public)
{
    return (struct weft__future *)(uintptr_t) public;
}

void
weft_future_open(weft_future *public)
{
    struct weft__future *future = self(public);
    *future = (struct weft__future){.state = WEFT__FUTURE_OPEN};
    weft__list_init(&future->line);
    weft__list_init(&future->callbacks);
    weft__list_init(&future->selects);
}

/* With the lock held, which is not held during the calls: one may take the next one back. */
static __attribute__((noinline)) void
call_back(struct weft__future *future)
{
    int result = future->result;
    future->state = WEFT__FUTURE_SETTLING;
    struct weft__link *link;
    while ((link = weft__list_pop_front(&future->callbacks)) != NULL) {
        struct callback *callback = weft__container(link, struct callback, link);
        weft_future_fn *fn = callback->fn;
        void *arg = callback->arg;
        weft__unlock(&future->lock);
        fn(arg, result); /* the callback's memory may be gone from here on */
        weft__lock(&future->lock);
    }
}

static inline int
settle(struct weft__future *future, int result, void *value, const char *text, bool own_text,
       bool cancelled)
{
    struct weft__claimed claimed = {.first = NULL};
    struct weft__list selects;
    weft__list_init(&selects);

    weft__lock(&future->lock);
    if (future->state != WEFT__FUTURE_OPEN) {
        weft__unlock(&future->lock);
        return -EALREADY;
    }
    future->result = result;
    future->value = value;
    future->text = text;
    future->own_text = own_text;
    future->cancelled = cancelled;
    if (__builtin_expect(!weft__list_empty(&future->callbacks), 0))
        call_back(future);
    future->state = WEFT__FUTURE_DONE;
    struct weft__waiter *waiter;
    while ((waiter = weft__waitq_claim(&future->line)) != NULL)
        weft__claimed_add(&claimed, waiter);
    if (__builtin_expect(!weft__list_empty(&future->selects), 0))
        weft__stand_claim_all(&future->selects, &selects);
    weft__unlock(&future->lock);
    /* The future may be gone from here on. */
    struct weft__link *link;
    while ((link = weft__list_pop_front(&selects)) != NULL) {
        struct weft__stand *stand = weft__container(link, struct weft__stand, link);
        if (stand->item != NULL)
            *(int *)stand->item = result;
        weft__stand_deliver(stand, 0);
    }
    weft__claimed_deliver(&claimed, 0);
    return 0;
}

int
weft_future_set(weft_future *public, int result)
{
    return settle(self(public), result, NULL, NULL, false, false);
}

int
weft_future_set_value(weft_future *public, void *value)
{
    return settle(self(public), 0, value, NULL, false, false);
}

int
weft_future_cancel(weft_future *public)
{
    return settle(self(public), -ECANCELED, NULL, NULL, false, true);
}

int
weft__future_fail_const(weft_future *public, int code, const char *text)
{
    return settle(self(public), code, NULL, text, false, false);
}

int
weft_future_fail(weft_future *public, int code, const char *text)
{
    weft__assert(code < 0, "a future fails with a negative code");
    char *copy = NULL;
    size_t len = text != NULL ? strnlen(text, WEFT__ERROR_TEXT_BYTES - 1) : 0;
    if (len > 0 && (copy = weft__alloc(len + 1)) != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    int rc = settle(self(public), code, NULL, copy, copy != NULL, false);
    if (rc < 0)
        weft__free(copy);
    return rc;
}

/* Of one that is done, without the lock: what it was given never changes. */
static inline void
note_text(const struct weft__future *future)
{
    if (__builtin_expect(future->text != NULL, 0))
        weft_error_note(0, "%s", future->text);
}

int
weft_future_wait(weft_future *public, int *ret_result)
{
    struct weft__future *future = self(public);
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    weft__lock(&future->lock);
    if (future->state == WEFT__FUTURE_DONE) {
        weft__unlock(&future->lock);
    } else {
        weft__waits_for("future", public);
        rc = weft__waitq_park(&future->line, &future->lock);
        if (rc < 0)
            return rc;
    }
    /* Woken after the setter's last touch, or after the lock was free: nothing changes any more. */
    note_text(future);
    if (ret_result != NULL)
        *ret_result = future->result;
    return 0;
}

int
weft_future_done(const weft_future *public)
{
    struct weft__future *future = self(public);
    weft__lock(&future->lock);
    bool done = future->state == WEFT__FUTURE_DONE;
    weft__unlock(&future->lock);
    return done;
}

int
weft_future_cancelled(const weft_future *public)
{
    struct weft__future *future = self(public);
    weft__lock(&future->lock);
    bool cancelled = future->cancelled;
    weft__unlock(&future->lock);
    return cancelled;
}

void *
weft_future_value(const weft_future *public)
{
    struct weft__future *future = self(public);
    weft__lock(&future->lock);
    void *value = future->value;
    weft__unlock(&future->lock);
    return value;
}

void *
weft_future_take(weft_future *public)
{
    struct weft__future *future = self(public);
    weft__lock(&future->lock);
    void *value = future->value;
    future->value = NULL;
    weft__unlock(&future->lock);
    return value;
}

void
weft_future_on_done(weft_future *public, weft_future_callback *public_callback, weft_future_fn *fn,
                    void *arg)
{
    struct weft__future *future = self(public);
    struct callback *callback = (struct callback *)(void *)public_callback;
    *callback = (struct callback){.fn = fn, .arg = arg};
    weft__lock(&future->lock);
    bool done = future->state == WEFT__FUTURE_DONE;
    int result = future->result;
    if (!done)
        weft__list_push_back(&future->callbacks, &callback->link);
    weft__unlock(&future->lock);
    if (done)
        fn(arg, result);
}

int
weft_future_off_done(weft_future *public, weft_future_callback *public_callback)
{
    struct weft__future *future = self(public);
    struct callback *callback = (struct callback *)(void *)public_callback;
    weft__lock(&future->lock);
    bool waits = weft__link_on_list(&callback->link);
    if (waits)
        weft__list_remove(&callback->link);
    weft__unlock(&future->lock);
    return waits;
}

void
weft_future_close(weft_future *public)
{
    struct weft__future *future = self(public);
    weft__assert(!future->counted, "a promise's future ends by weft_future_unref, not by closing");
    weft__assert(weft__list_empty(&future->line) && weft__list_empty(&future->selects),
                 "a future was closed while tasks wait for it");
    weft__assert(weft__list_empty(&future->callbacks),
                 "a future was closed before its callbacks were called or taken back");
    if (future->own_text)
        weft__free((void *)(uintptr_t)future->text);
}

/* ---- As a branch of a select ----------------------------------------------------------------- */

static int
case_take_locked(struct weft__case *branch)
{
    const struct weft__future *future = branch->object;
    if (future->state != WEFT__FUTURE_DONE)
        return -EAGAIN;
    if (branch->stand.item != NULL)
        *(int *)branch->stand.item = future->result;
    branch->result = 0;
    return 0;
}

static int
case_take(struct weft__case *branch)
{
    struct weft__future *future = branch->object;
    weft__lock(&future->lock);
    int rc = case_take_locked(branch);
    weft__unlock(&future->lock);
    if (rc == 0)
        note_text(future);
    return rc;
}

static void
case_taken(struct weft__case *branch)
{
    note_text(branch->object);
}

static unsigned
case_locks(struct weft__case *branch, struct weft__lock *locks[2])
{
    locks[0] = &((struct weft__future *)branch->object)->lock;
    return 1;
}

static void
case_enter(struct weft__case *branch)
{
    weft__stand_enter(&branch->stand, &((struct weft__future *)branch->object)->selects);
}

static void
case_leave(struct weft__case *branch)
{
    weft__stand_leave(&branch->stand, &((struct weft__future *)branch->object)->lock);
}

static const struct weft__case_kind future_kind = {
    .take = case_take,
    .locks = case_locks,
    .take_locked = case_take_locked,
    .after = case_taken,
    .enter = case_enter,
    .served = case_taken,
    .leave = case_leave,
};

weft_case
weft_case_future(weft_future *future, int *ret_result)
{
    weft_case branch;
    weft__case_init(&branch, &future_kind, future, ret_result, NULL);
    return branch;
}
