/*
 * event.c - a flag that tasks and threads wait for.
 *
 * Setting it wakes all who stand in line at that moment, even if it is cleared right after. The
 * flag is read without the lock, so who sees it set may close the event while the setter still
 * holds the lock: closing waits for that.
 */
#include <weft/sync.h>

#include "base/assert.h"
#include "flow/claimed.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

struct event {
    struct weft__lock lock;
    uint32_t set; /* written under the lock; who is in line came while it was 0 */
    struct weft__list line;
};
_Static_assert(sizeof(struct event) <= sizeof(weft_event), "weft_event is too small");

static inline struct event *
event_of(const weft_event *public)
{
    return (struct event *)(void *)(uintptr_t) public;
}

void
weft_event_open(weft_event *public)
{
    struct event *event = event_of(public);
    *event = (struct event){.set = 0};
    weft__list_init(&event->line);
}

void
weft_event_set(weft_event *public)
{
    struct event *event = event_of(public);
    struct weft__claimed claimed = {.first = NULL};
    struct weft__waiter *waiter;
    weft__lock(&event->lock);
    weft__store(&event->set, 1); /* pairs with the load in weft_event_wait */
    while ((waiter = weft__waitq_claim(&event->line)) != NULL)
        weft__claimed_add(&claimed, waiter);
    weft__unlock(&event->lock);
    weft__claimed_deliver(&claimed, 0);
}

void
weft_event_clear(weft_event *public)
{
    struct event *event = event_of(public);
    weft__lock(&event->lock);
    weft__store(&event->set, 0);
    weft__unlock(&event->lock);
}

int
weft_event_is_set(const weft_event *public)
{
    return weft__load(&event_of(public)->set) != 0; /* pairs with the store in weft_event_set */
}

int
weft_event_wait(weft_event *public)
{
    struct event *event = event_of(public);
    int rc = weft__wait_begin();
    if (rc < 0 || weft__load(&event->set))
        return rc;
    weft__lock(&event->lock);
    if (weft__load(&event->set)) {
        weft__unlock(&event->lock);
        return 0;
    }
    weft__waits_for("event", public);
    return weft__waitq_park(&event->line, &event->lock); /* unlocks once in line */
}

void
weft_event_close(weft_event *public)
{
    struct event *event = event_of(public);
    weft__lock(&event->lock);
    bool waited = !weft__list_empty(&event->line);
    weft__unlock(&event->lock);
    weft__assert(!waited, "an event was closed while tasks wait for it");
}
