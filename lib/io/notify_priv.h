/*
 * notify_priv.h - what reading events and keeping track of what is watched share.
 */
#ifndef WEFT_LIB_IO_NOTIFY_PRIV_H
#define WEFT_LIB_IO_NOTIFY_PRIV_H

#include <dirent.h>

#include <weft/notify.h>

#include "io/fd_priv.h"

/* One of the kernel's watches. */
struct weft__notify_watch {
    int number;
    bool is_root;   /* it was asked for; else it is below one that was */
    bool recursive; /* so are the directories in it */
    bool is_directory;
    char path[];
};

/* A directory whose entries are gone through; they are stacked. */
struct weft__notify_scan {
    struct weft__notify_scan *below;
    DIR *dir;
    char path[];
};

struct weft__notify {
    struct weft__fd fd;                  /* first: of inotify(7) */
    struct weft__notify_watch **watches; /* by number */
    size_t n_watches, cap;
    struct weft__notify_scan *scans; /* new directories, what is in them being told of */
    char *buffer;                    /* as read from the kernel */
    size_t len, at;
    int64_t
        pair_until; /* real time: until then the other half of a move may come; 0: none is due */
    int failed;     /* to be told by the next call */
    bool missed;    /* events: likewise */
    bool strayed;   /* a new directory was not where its event said: one above it, or it, may have
                       been moved, of which an event that has not been told yet speaks */
    weft_buf path, from;
};
_Static_assert(sizeof(struct weft__notify) <= sizeof(weft_notify), "weft_notify is too small");

/* NULL: not watched (any more). */
struct weft__notify_watch *weft__notify_find(const struct weft__notify *notify, int number);
/* Watches one path, marked as `as` is. 1: it is watched by another one; 0; an error, with its
 * detail. */
int weft__notify_watch(struct weft__notify *notify, const struct weft__notify_watch *as,
                       const char *path);
/* The marks of a directory below a recursive one. */
extern const struct weft__notify_watch weft__notify_below;
/* A path and all directories below it. */
int weft__notify_watch_tree(struct weft__notify *notify, const char *path);
/* The same for those below a path that are not watched yet; what is in them is to be told of. */
int weft__notify_watch_strays(struct weft__notify *notify, const char *path);
/* Forgets one that the kernel has dropped. */
void weft__notify_forget(struct weft__notify *notify, int number);
/* Drops what is watched at and below a path, but not what was asked for by itself. */
void weft__notify_drop(struct weft__notify *notify, const char *path, bool with_root);
/* They are found elsewhere now. 0 or -ENOMEM: then it can be repeated. */
int weft__notify_rename(struct weft__notify *notify, const char *from, const char *to);

int weft__notify_scan_push(struct weft__notify_scan **scans, const char *path);
void weft__notify_scan_pop(struct weft__notify_scan **scans);
/* The next entry, skipping the directory itself and its parent; NULL at the end. */
const char *weft__notify_scan_next(struct weft__notify_scan *scan, bool *ret_is_directory);

/* Sets zero-terminated text: folder, and name if there is one. 0 or -ENOMEM. */
int weft__notify_text(weft_buf *text, const char *folder, const char *name);

#endif
