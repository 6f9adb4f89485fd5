/*
 * notify.c - events of files: the kernel's, put together and told one by one.
 *
 * Nothing is stored but one buffer of the kernel's events, which is read again only when all of it
 * was told, and the stack of new directories that are being gone through. What happens meanwhile
 * queues up in the kernel, which says so when that was too much.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/error.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/notify_priv.h"
#include "task/task_priv.h"

#define BUFFER_BYTES ((size_t)16384)
#define EVENT_BYTES_MAX (sizeof(struct inotify_event) + 256)
/* The kernel queues both halves of a move in one system call of somebody's. */
#define PAIR_WITHIN WEFT_MS(5)

/* What take() says besides errors. */
#define TAKEN 1
#define NOTHING 0
#define HALF_A_MOVE 2

static struct weft__notify *
notify_of(weft_notify *public)
{
    return weft__fd_of((weft_fd *)(void *)public) == NULL ? NULL
                                                          : (struct weft__notify *)(void *)public;
}

static struct inotify_event *
event_at(const struct weft__notify *notify, size_t at)
{
    return at < notify->len ? (struct inotify_event *)(void *)(notify->buffer + at) : NULL;
}

static size_t
size_of(const struct inotify_event *event)
{
    return sizeof *event + event->len;
}

/* Adds to the buffer what there is, if there is room for an event. */
static int
fill(struct weft__notify *notify)
{
    memmove(notify->buffer, notify->buffer + notify->at, notify->len - notify->at);
    notify->len -= notify->at;
    notify->at = 0;
    if (BUFFER_BYTES - notify->len < EVENT_BYTES_MAX)
        return 0;
    ssize_t n =
        weft__sys_read(notify->fd.raw, notify->buffer + notify->len, BUFFER_BYTES - notify->len);
    if (n == -EAGAIN && notify->len == 0)
        notify->strayed = false; /* it has not been moved: it is gone */
    if (n < 0)
        return n == -EAGAIN ? 0 : (int)n;
    notify->len += (size_t)n;
    return 0;
}

/* ---- One event ------------------------------------------------------------------------------- */

static int
tell(struct weft__notify *notify, weft_notify_kind kind, bool is_directory,
     weft_notify_event *ret_event)
{
    *ret_event = (weft_notify_event){
        .kind = kind, .is_directory = is_directory, .path = (const char *)notify->path.data};
    return TAKEN;
}

/* A directory that is new in one that is watched with all that it holds. */
static void
enter(struct weft__notify *notify, const char *path)
{
    int rc = weft__notify_watch(notify, &weft__notify_below, path);
    if (rc == 0) {
        rc = weft__notify_scan_push(&notify->scans, path);
        if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
            notify->missed = true;
    } else if (rc == -ENOSPC || rc == -ENOMEM) {
        notify->failed = rc;
    } else if (rc < 0) {
        notify->strayed = true;
    } /* else it is watched by itself */
}

/* A directory that was moved within what is watched, and its watches with it. Those that stand in
 * it and were not found by their old names are found now. */
static void
look_for_strays(struct weft__notify *notify, const char *path)
{
    int rc = weft__notify_watch_strays(notify, path);
    if (rc == -EMFILE || rc == -ENFILE)
        notify->missed = true;
    else if (rc < 0)
        notify->failed = rc;
}

static int
take_scanned(struct weft__notify *notify, weft_notify_event *ret_event)
{
    while (notify->scans != NULL) {
        bool is_directory;
        const char *name = weft__notify_scan_next(notify->scans, &is_directory);
        if (name == NULL) {
            weft__notify_scan_pop(&notify->scans);
            continue;
        }
        int rc = weft__notify_text(&notify->path, notify->scans->path, name);
        if (rc < 0) {
            notify->missed = true; /* the entry has been read */
            return rc;
        }
        if (is_directory)
            enter(notify, (const char *)notify->path.data);
        return tell(notify, WEFT_NOTIFY_CREATED, is_directory, ret_event);
    }
    return NOTHING;
}

static struct inotify_event *
other_half(const struct weft__notify *notify, const struct inotify_event *first)
{
    struct inotify_event *event;
    for (size_t at = notify->at; (event = event_at(notify, at)) != NULL; at += size_of(event)) {
        if ((event->mask & IN_MOVED_TO) && event->cookie == first->cookie)
            return event;
    }
    return NULL;
}

static int
take_moved_away(struct weft__notify *notify, const struct inotify_event *event,
                weft_notify_event *ret_event)
{
    struct weft__notify_watch *watch = weft__notify_find(notify, event->wd);
    bool is_directory = (event->mask & IN_ISDIR) != 0;
    struct inotify_event *half = other_half(notify, event);
    struct weft__notify_watch *to = half == NULL ? NULL : weft__notify_find(notify, half->wd);
    if (half == NULL) {
        int64_t now = weft__sys_monotonic();
        if (notify->pair_until == 0)
            notify->pair_until = now + PAIR_WITHIN;
        if (now < notify->pair_until)
            return HALF_A_MOVE;
    }
    int rc = weft__notify_text(&notify->from, watch->path, event->name);
    if (rc == 0 && to != NULL)
        rc = weft__notify_text(&notify->path, to->path, half->name);
    const char *from = (const char *)notify->from.data, *path = (const char *)notify->path.data;
    bool goes_along = to != NULL && to->recursive && watch->recursive;
    if (rc == 0 && is_directory && goes_along)
        rc = weft__notify_rename(notify, from, path);
    if (rc < 0)
        return rc;
    notify->pair_until = 0;
    uint32_t cookie = event->cookie;
    bool enters = is_directory && to != NULL && to->recursive && !watch->recursive;
    if (is_directory && !goes_along)
        weft__notify_drop(notify, from, false);
    if (enters)
        enter(notify, path);
    else if (is_directory && goes_along && notify->strayed)
        look_for_strays(notify, path);
    if (half != NULL)
        half->mask = 0; /* told of */
    tell(notify, WEFT_NOTIFY_MOVED, is_directory, ret_event);
    ret_event->from = from;
    ret_event->cookie = cookie;
    if (to == NULL)
        ret_event->path = NULL;
    return TAKEN;
}

/* What happened to something in a directory, or to a path that was asked for. */
static int
take_named(struct weft__notify *notify, const struct inotify_event *event,
           const struct weft__notify_watch *watch, weft_notify_event *ret_event)
{
    static const struct {
        uint32_t mask;
        weft_notify_kind kind;
    } kinds[] = {{IN_CREATE, WEFT_NOTIFY_CREATED},      {IN_MODIFY, WEFT_NOTIFY_MODIFIED},
                 {IN_CLOSE_WRITE, WEFT_NOTIFY_CLOSED},  {IN_MOVED_TO, WEFT_NOTIFY_MOVED},
                 {IN_MOVE_SELF, WEFT_NOTIFY_MOVED},     {IN_DELETE, WEFT_NOTIFY_REMOVED},
                 {IN_DELETE_SELF, WEFT_NOTIFY_REMOVED}, {IN_UNMOUNT, WEFT_NOTIFY_REMOVED},
                 {IN_ATTRIB, WEFT_NOTIFY_ATTRIBUTES}};
    size_t i = 0;
    while (i < sizeof kinds / sizeof kinds[0] && !(event->mask & kinds[i].mask))
        i++;
    if (i == sizeof kinds / sizeof kinds[0])
        return NOTHING;
    /* The kernel does not say it in each event of the directory itself. */
    bool is_directory = event->len > 0 ? (event->mask & IN_ISDIR) != 0 : watch->is_directory;
    bool recursive = watch->recursive;
    uint32_t mask = event->mask, cookie = event->cookie;
    weft_buf *text = mask & IN_MOVE_SELF ? &notify->from : &notify->path;
    int rc = weft__notify_text(text, watch->path, event->len > 0 ? event->name : NULL);
    if (rc < 0)
        return rc;
    const char *path = (const char *)text->data;
    if (is_directory && recursive && (mask & (IN_CREATE | IN_MOVED_TO)))
        enter(notify, path);
    if (mask & IN_MOVE_SELF)
        weft__notify_drop(notify, path, true);
    tell(notify, kinds[i].kind, is_directory, ret_event);
    if (mask & IN_MOVED_TO)
        ret_event->cookie = cookie;
    if (mask & IN_MOVE_SELF) {
        ret_event->from = path;
        ret_event->path = NULL;
    }
    return TAKEN;
}

/* The event at the front: TAKEN, NOTHING worth telling, HALF_A_MOVE; an error leaves it there. */
static int
take_event(struct weft__notify *notify, const struct inotify_event *event,
           weft_notify_event *ret_event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        *ret_event = (weft_notify_event){.kind = WEFT_NOTIFY_OVERFLOW};
        return TAKEN;
    }
    const struct weft__notify_watch *watch = weft__notify_find(notify, event->wd);
    if (watch == NULL || event->mask == 0)
        return NOTHING;
    if (event->mask & IN_IGNORED) {
        weft__notify_forget(notify, event->wd);
        return NOTHING;
    }
    if (event->mask & IN_MOVED_FROM)
        return take_moved_away(notify, event, ret_event);
    /* The directory above tells of one that was not asked for by itself. */
    if (event->len == 0 && !watch->is_root)
        return NOTHING;
    return take_named(notify, event, watch, ret_event);
}

static int
take(struct weft__notify *notify, weft_notify_event *ret_event)
{
    if (notify->failed < 0) {
        int rc = notify->failed;
        notify->failed = 0;
        return rc;
    }
    if (notify->missed) {
        notify->missed = false;
        *ret_event = (weft_notify_event){.kind = WEFT_NOTIFY_OVERFLOW};
        return TAKEN;
    }
    int rc = take_scanned(notify, ret_event);
    while (rc == NOTHING) {
        const struct inotify_event *event = event_at(notify, notify->at);
        if (event == NULL) {
            rc = fill(notify);
            if (rc < 0)
                return rc;
            event = event_at(notify, notify->at);
            if (event == NULL)
                return notify->n_watches > 0 ? NOTHING
                                             : weft_error_note(-ENOENT, "nothing is watched");
        }
        if ((event->mask & IN_MOVED_FROM) && other_half(notify, event) == NULL) {
            rc = fill(notify);
            if (rc < 0)
                return rc;
            event = event_at(notify, notify->at);
        }
        rc = take_event(notify, event, ret_event);
        if (rc == TAKEN || rc == NOTHING)
            notify->at += size_of(event);
    }
    return rc;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

int
weft_notify_try_next(weft_notify *public, weft_notify_event *ret_event)
{
    struct weft__notify *notify = notify_of(public);
    if (notify == NULL)
        return -EBADF;
    if (notify->fd.reader != NULL)
        return -EBUSY;
    int rc = take(notify, ret_event);
    return rc == TAKEN ? 0 : rc < 0 ? rc : -EAGAIN;
}

/* The second half of a move, if it comes soon. */
static int
wait_for_half(struct weft__notify *notify)
{
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + PAIR_WITHIN);
    int rc = weft__wait_begin();
    if (rc == 0)
        rc = weft__fd_wait(&notify->fd, WEFT__READABLE);
    if (weft_scope_close(&scope) != -ETIMEDOUT || rc == -EBADF)
        return rc;
    notify->pair_until = 1; /* long ago */
    return 0;
}

int
weft_notify_next(weft_notify *public, weft_notify_event *ret_event)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct weft__notify *notify = notify_of(public);
    if (notify == NULL)
        return -EBADF;
    if (notify->fd.reader != NULL)
        return -EBUSY;
    for (;;) {
        rc = take(notify, ret_event);
        if (rc == TAKEN)
            return 0;
        if (rc == NOTHING)
            rc = weft__fd_wait(&notify->fd, WEFT__READABLE);
        else if (rc == HALF_A_MOVE)
            rc = wait_for_half(notify);
        if (rc < 0)
            return rc;
    }
}

int
weft_notify_add(weft_notify *public, const char *path, unsigned flags)
{
    struct weft__notify *notify = notify_of(public);
    if (notify == NULL)
        return -EBADF;
    if (flags & ~WEFT_NOTIFY_RECURSIVE)
        return weft_error_note(-EINVAL, "%s: no such flag: %#x", path, flags);
    struct stat status;
    bool is_directory = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    bool recursive = is_directory && (flags & WEFT_NOTIFY_RECURSIVE);
    const struct weft__notify_watch as = {
        .is_root = true, .recursive = recursive, .is_directory = is_directory};
    int rc = weft__notify_watch(notify, &as, path);
    if (rc == 1)
        return weft_error_note(-EEXIST, "%s is watched already", path);
    if (rc == 0 && recursive) {
        rc = weft__notify_watch_tree(notify, path);
        if (rc < 0)
            weft__notify_drop(notify, path, true);
    }
    return rc;
}

int
weft_notify_remove(weft_notify *public, const char *path)
{
    struct weft__notify *notify = notify_of(public);
    if (notify == NULL)
        return -EBADF;
    for (size_t i = 0; i < notify->n_watches; i++) {
        const struct weft__notify_watch *watch = notify->watches[i];
        if (watch->is_root && strcmp(watch->path, path) == 0) {
            weft__notify_drop(notify, path, true);
            return 0;
        }
    }
    return weft_error_note(-ENOENT, "%s is not watched", path);
}

int
weft_notify_open(weft_notify *public)
{
    weft__assert(weft__task_self() != NULL, "files are watched by a task");
    int raw = weft__sys_inotify_init();
    if (raw == -EMFILE)
        return weft_error_note(raw, "no descriptor, or fs.inotify.max_user_instances is reached");
    if (raw < 0)
        return raw;
    struct weft__notify *notify = (struct weft__notify *)(void *)public;
    memset(notify, 0, sizeof *notify);
    notify->buffer = weft__alloc(BUFFER_BYTES);
    if (notify->buffer == NULL) {
        weft__sys_close(raw);
        return -ENOMEM;
    }
    weft__fd_init(&notify->fd, raw, WEFT__FD_OTHER);
    return 0;
}

void
weft_notify_close(weft_notify *public)
{
    struct weft__notify *notify = notify_of(public);
    if (notify == NULL)
        return;
    while (notify->scans != NULL)
        weft__notify_scan_pop(&notify->scans);
    for (size_t i = 0; i < notify->n_watches; i++)
        weft__free(notify->watches[i]);
    weft__free(notify->watches);
    weft__free(notify->buffer);
    weft_buf_free(&notify->path);
    weft_buf_free(&notify->from);
    weft_fd_close((weft_fd *)(void *)public);
}
