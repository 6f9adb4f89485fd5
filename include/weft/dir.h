/*
 * dir.h - directories: their names one by one, and whole trees.
 *
 * As in file.h, a thread of the runtime's own makes the calls. It brings many names at once, so
 * that most calls here return what is there already.
 */
#ifndef WEFT_DIR_H
#define WEFT_DIR_H

#include <weft/base.h>

typedef enum weft_entry_kind {
    WEFT_ENTRY_OTHER = 0, /* a device, a pipe, a socket; or it could not be told */
    WEFT_ENTRY_FILE = 1,
    WEFT_ENTRY_DIR = 2,
    WEFT_ENTRY_LINK = 3 /* symbolic */
} weft_entry_kind;

typedef struct weft_dir_entry {
    const char *name; /* without the directory's; the object's, until the next call on it */
    size_t name_len;
    uint64_t inode;
    weft_entry_kind kind; /* of the name itself: a link is a link */
} weft_dir_entry;

/* In the caller's memory, from open to close; it must not move. All zero is a closed one. */
typedef struct weft_dir {
    uint64_t opaque_[8];
} weft_dir;

typedef struct weft_walk_options {
    unsigned depth; /* most levels below the root; 0: no limit; 1: what is in the root itself */
    unsigned follow : 1; /* 1: go into directories that symbolic links lead to, but not into one
                            that the walk is in already: -ELOOP as .error tells of it */
    unsigned sorted : 1; /* 1: the names of each directory in the order of strcmp(3) */
} weft_walk_options;

typedef struct weft_walk_entry {
    const char *path; /* the root's as it was given, a slash, and the rest; the object's, until the
                         next call on it */
    const char *name; /* the last part of path; "" for the root */
    unsigned depth;   /* 1: in the root itself; 0: the root, to tell of an error */
    weft_entry_kind kind; /* with .follow, of what a link leads to */
    int error;            /* 0; negative: this directory could not be read, or not to its end; the
                             walk goes on beside it */
} weft_walk_entry;

/* In the caller's memory, from open to close; it must not move. All zero is a closed one. */
typedef struct weft_walk {
    uint64_t opaque_[16];
} weft_walk;

WEFT_BEGIN_DECLS

/*
 * weft_dir_open - open a directory to read its names
 *
 * Returns  0; -ENOTDIR, -ENOENT, -EACCES, -EMFILE, -ENOMEM…; -ECANCELED or -ETIMEDOUT when the
 *          enclosing scope ended first (nothing is open)
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.os.scandir, opendir(3)
 */
WEFT_WAITS int weft_dir_open(weft_dir *dir, const char *path);

/*
 * weft_dir_next - the next name, in the order of the file system; never "." or ".."
 *
 * Returns  1; 0 at the end; -EBADF when closed; -EIO, -ENOENT (the directory was removed)…;
 *          cancellation: no name is lost, the next call goes on
 * Waits    yes; looks for cancellation even when a name is there
 * Threads  any; one task at a time
 * Source   aiofiles.os.scandir, readdir(3)
 */
WEFT_WAITS int weft_dir_next(weft_dir *dir, weft_dir_entry *ret_entry);

/*
 * weft_dir_close - close a directory
 *
 * dir      may be closed already
 *
 * Waits    only as long as close(2) takes; never looks for cancellation
 * Threads  any; with no call in progress
 * Source   closedir(3)
 */
void weft_dir_close(weft_dir *dir);

/*
 * weft_walk_open - begin to walk through a tree
 *
 * root     a directory, or a symbolic link to one; copied
 * options  NULL for the defaults; copied
 *
 * Returns  0; -ENOMEM; -ENAMETOOLONG; -EINVAL for an empty path. What is wrong with the root tells
 *          the first weft_walk_next
 * Waits    no
 * Threads  any
 * Source   os.walk, fts(3), Go's filepath.WalkDir
 */
int weft_walk_open(weft_walk *walk, const char *root, const weft_walk_options *options);

/*
 * weft_walk_next - the next entry: a directory comes before what is in it
 *
 * A directory that cannot be read comes twice: first itself, then with .error set. What is
 * removed while the walk goes on may come or not.
 *
 * Returns  1; 0 at the end; -EBADF when closed; -ENOMEM; cancellation: no entry is lost, the next
 *          call goes on
 * Waits    yes; looks for cancellation even when an entry is there
 * Threads  any; one task at a time
 * Source   os.walk, fts_read(3)
 */
WEFT_WAITS int weft_walk_next(weft_walk *walk, weft_walk_entry *ret_entry);

/*
 * weft_walk_skip - do not go into the directory that the last weft_walk_next gave
 *
 * Waits    no
 * Threads  any; one task at a time
 * Source   Go's filepath.SkipDir, os.walk with dirnames changed
 */
void weft_walk_skip(weft_walk *walk);

/*
 * weft_walk_close - end a walk, at any time
 *
 * walk     may be closed already
 *
 * Waits    no
 * Threads  any; with no call in progress
 * Source   fts_close(3)
 */
void weft_walk_close(weft_walk *walk);

WEFT_END_DECLS

#endif
