/*
 * notify.h - what happens to files and directories, as events that tasks wait for.
 *
 *     weft_notify notify;
 *     weft_notify_open(&notify);
 *     weft_notify_add(&notify, "/etc/mine", WEFT_NOTIFY_RECURSIVE);
 *     while ((rc = weft_notify_next(&notify, &event)) == 0)
 *         puts(event.path);
 *
 * The kernel keeps a bounded number of events (fs.inotify.max_queued_events); what is lost beyond
 * it is reported as WEFT_NOTIFY_OVERFLOW: then look at everything again.
 */
#ifndef WEFT_NOTIFY_H
#define WEFT_NOTIFY_H

#include <weft/base.h>

/* For weft_notify_add: the directories below as well, and those made later. Symbolic links are not
 * followed, and directories that may not be read are left out. */
#define WEFT_NOTIFY_RECURSIVE 1u

typedef enum weft_notify_kind {
    WEFT_NOTIFY_CREATED = 1,  /* in a directory. What is found in one that is new itself may be
                                   told of twice */
    WEFT_NOTIFY_MODIFIED = 2, /* written to or truncated; several times may be told of once */
    WEFT_NOTIFY_CLOSED = 3,   /* by one who had it open for writing */
    WEFT_NOTIFY_MOVED = 4,    /* from `from` to `path`; one of them is NULL when it is not watched:
                                   moved in from elsewhere, or away. A path of one's own that is
                                   moved away is not watched any longer */
    WEFT_NOTIFY_REMOVED = 5,  /* a path of one's own is not watched any longer then; of a file
                                   that is told once nobody has it open any more */
    WEFT_NOTIFY_ATTRIBUTES = 6, /* permissions, owner, times, number of links */
    WEFT_NOTIFY_OVERFLOW = 7    /* events were lost; there is no path */
} weft_notify_kind;

typedef struct weft_notify_event {
    weft_notify_kind kind;
    unsigned is_directory; /* 1: what the event is of */
    const char *path;      /* what was given to weft_notify_add, and what is below it. Both are the
                         object's, and good until its next call */
    const char *from;      /* of WEFT_NOTIFY_MOVED alone */
    uint32_t cookie;       /* likewise: the kernel's number of the move */
} weft_notify_event;

/* In the caller's memory, from open until it is closed and calls in progress on it have returned;
 * it must not move. All zero is a closed one. */
typedef struct weft_notify {
    uint64_t opaque_[64];
} weft_notify;

WEFT_BEGIN_DECLS

/*
 * weft_notify_open - begin to watch files
 *
 * Returns  0; -ENOMEM; -EMFILE: descriptors, or fs.inotify.max_user_instances of the user, as
 *          weft_error_text() says
 * Waits    no
 * Threads  tasks; the object belongs to their loop from then on
 * Source   inotify(7)
 */
int weft_notify_open(weft_notify *notify);

/*
 * weft_notify_add - watch a file or a directory
 *
 * path     a directory tells of itself and of what is in it
 * flags    0 or WEFT_NOTIFY_RECURSIVE
 *
 * Returns  0; -EEXIST when it is watched already, by any path; -ENOSPC at the user's limit of
 *          watches, fs.inotify.max_user_watches: nothing of it is watched then; -ENOENT, -EACCES,
 *          -ENOMEM; weft_error_text() names the path
 * Waits    no; with WEFT_NOTIFY_RECURSIVE the directories are read, which may block the loop for as
 *          long as the disk takes
 * Threads  tasks of the loop that owns notify
 * Source   inotify_add_watch(2)
 */
int weft_notify_add(weft_notify *notify, const char *path, unsigned flags);

/*
 * weft_notify_remove - watch a path of weft_notify_add no longer
 *
 * Returns  0: no event of it comes from now on; -ENOENT
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns notify
 * Source   inotify_rm_watch(2)
 */
int weft_notify_remove(weft_notify *notify, const char *path);

/*
 * weft_notify_next - wait for the next event
 *
 * ret_event  out
 *
 * Returns  0; -ENOENT when nothing is watched (any more); -ENOSPC, -ENOMEM: a directory that was
 *          made meanwhile could not be watched, and weft_error_text() names it: the next call goes
 *          on; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (no event was taken);
 *          -EBUSY when another task waits; -EBADF when closed, meanwhile too
 * Waits    yes; looks for cancellation even when an event is there
 * Threads  tasks of the loop that owns notify
 * Source   inotify(7), watchfiles.awatch
 */
WEFT_WAITS int weft_notify_next(weft_notify *notify, weft_notify_event *ret_event);

/*
 * weft_notify_try_next - take an event that is there
 *
 * Returns  as weft_notify_next; -EAGAIN when there is none
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns notify
 * Source   inotify(7)
 */
int weft_notify_try_next(weft_notify *notify, weft_notify_event *ret_event);

/*
 * weft_notify_close - watch nothing any more; who waits gets -EBADF
 *
 * notify   may be closed already
 *
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns notify
 * Source   close(2)
 */
void weft_notify_close(weft_notify *notify);

WEFT_END_DECLS

#endif
