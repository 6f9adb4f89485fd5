/*
 * fd_select.c - descriptors as branches of a select.
 *
 * A descriptor belongs to the loop of the task that selects, so nothing can happen to it before the
 * task suspends; the place of its reader or writer is taken for as long as the select waits.
 */
#include <errno.h>

#include "flow/select_priv.h"
#include "io/fd_priv.h"
#include "task/task_priv.h"

_Static_assert(sizeof(struct weft__fd_wait) <= sizeof(((struct weft__case *)0)->own),
               "a case must hold a wait for a descriptor");

static inline struct weft__fd_wait *
wait_of(struct weft__case *branch)
{
    return (struct weft__fd_wait *)(void *)branch->own;
}

static int
take(struct weft__case *branch, unsigned what)
{
    struct weft__fd *fd = weft__fd_of(branch->object);
    int rc = fd == NULL ? -EBADF : weft__fd_look(fd, what);
    branch->result = rc < 0 ? rc : 0;
    return rc == 0 ? -EAGAIN : 0;
}

static int
begin(struct weft__case *branch, unsigned what, struct weft__ticket ticket)
{
    struct weft__fd *fd = weft__fd_of(branch->object);
    /* A loop whose only task waits for one thing alone does so without a poller. */
    int rc = weft__loop_share(fd->loop);
    if (rc < 0)
        return rc;
    *wait_of(branch) = (struct weft__fd_wait){.ticket = ticket, .stand = &branch->stand};
    return weft__fd_wait_begin(fd, what, wait_of(branch));
}

static void
end(struct weft__case *branch, unsigned what)
{
    /* That it was closed is this branch's result, if it was the one taken. */
    (void)weft__fd_wait_end(branch->object, what, wait_of(branch));
}

static int
readable_take(struct weft__case *branch)
{
    return take(branch, WEFT__READABLE);
}

static int
readable_begin(struct weft__case *branch, struct weft__ticket ticket)
{
    return begin(branch, WEFT__READABLE, ticket);
}

static void
readable_end(struct weft__case *branch)
{
    end(branch, WEFT__READABLE);
}

static int
writable_take(struct weft__case *branch)
{
    return take(branch, WEFT__WRITABLE);
}

static int
writable_begin(struct weft__case *branch, struct weft__ticket ticket)
{
    return begin(branch, WEFT__WRITABLE, ticket);
}

static void
writable_end(struct weft__case *branch)
{
    end(branch, WEFT__WRITABLE);
}

static const struct weft__case_kind readable_kind = {
    .take = readable_take, .begin = readable_begin, .end = readable_end};
static const struct weft__case_kind writable_kind = {
    .take = writable_take, .begin = writable_begin, .end = writable_end};

weft_case
weft_case_readable(weft_fd *fd)
{
    weft_case public;
    weft__case_init(&public, &readable_kind, fd, NULL, NULL);
    return public;
}

weft_case
weft_case_writable(weft_fd *fd)
{
    weft_case public;
    weft__case_init(&public, &writable_kind, fd, NULL, NULL);
    return public;
}
