/*
 * remove_tree.c - removes a directory and all in it, by descriptors: whoever puts a symbolic link
 * in the place of a directory meanwhile does not make us remove something else.
 */
#include <weft/error.h>
#include <weft/file.h>

#include "base/mem.h"
#include "io/dir_priv.h"

#define NAMES 512 /* removed in one hop */
#define BATCH_BYTES 4096
#define MORE 1   /* there is something left for another hop */
#define OPENED 1 /* a directory, to be emptied first */

struct removing {
    struct weft__hop hop;
    const char *path;
};

/* A directory that is being emptied. On the heap: a tree may be deeper than a thread's stack. */
struct level {
    struct level *above;
    const char *name; /* in the one above, whose batch it is part of; the path for the first */
    int fd;
    unsigned removed; /* since it was read from its beginning */
    size_t len, at;   /* of the batch */
    _Alignas(struct dirent64) unsigned char batch[BATCH_BYTES];
};

/* 0: it is gone; OPENED; an error. */
static int
remove_or_open(int dir, const char *name, bool is_dir, int *ret_fd)
{
    int rc = is_dir ? -EISDIR : weft__sys_unlinkat(dir, name, 0);
    if (rc != -EISDIR && rc != -EPERM)
        return rc == -ENOENT ? 0 : rc;
    int fd = weft__sys_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd >= 0) {
        *ret_fd = fd;
        return OPENED;
    }
    if (fd == -ENOTDIR && rc == -EPERM)
        return rc;
    if (fd != -EACCES) /* one that cannot be read may still be empty */
        return fd == -ENOENT ? 0 : fd;
    rc = weft__sys_unlinkat(dir, name, AT_REMOVEDIR);
    return rc == -ENOTEMPTY ? fd : rc == -ENOENT ? 0 : rc;
}

/* Takes the descriptor. */
static int
push(struct level **deepest, int fd, const char *name)
{
    struct level *level = weft__alloc(sizeof *level);
    if (level == NULL) {
        weft__sys_close(fd);
        return -ENOMEM;
    }
    level->above = *deepest;
    level->name = name;
    level->fd = fd;
    level->removed = 0;
    level->len = level->at = 0;
    *deepest = level;
    return 0;
}

static void
pop(struct level **deepest)
{
    struct level *level = *deepest;
    *deepest = level->above;
    weft__sys_close(level->fd);
    weft__free(level);
}

static int
dir_of(const struct level *level)
{
    return level != NULL ? level->fd : AT_FDCWD;
}

/* 1, and what is next in it; 0 when nothing is left; an error. */
static int
next(struct level *level, struct dirent64 **ret_entry)
{
    while ((*ret_entry = weft__dirent_next(level->batch, level->len, &level->at)) == NULL) {
        ssize_t n = weft__sys_getdents(level->fd, level->batch, BATCH_BYTES);
        if (n < 0)
            return (int)n;
        level->len = (size_t)n;
        level->at = 0;
        if (n > 0)
            continue;
        /* A file system may skip names when others before them have gone: until none is seen. */
        if (level->removed == 0)
            return 0;
        level->removed = 0;
        int64_t at = weft__sys_lseek(level->fd, 0, SEEK_SET);
        if (at < 0)
            return (int)at;
    }
    level->removed++;
    return 1;
}

/* The deepest one is empty. */
static int
remove_emptied(struct level **deepest)
{
    const char *name = (*deepest)->name;
    pop(deepest);
    int rc = weft__sys_unlinkat(dir_of(*deepest), name, AT_REMOVEDIR);
    return rc == -ENOENT ? 0 : rc;
}

static int64_t
removing_fn(struct weft__hop *hop)
{
    struct level *deepest = NULL;
    const char *name = ((struct removing *)hop)->path;
    bool is_dir = false;
    int rc, fd = -1, left = NAMES;
    do {
        rc = remove_or_open(dir_of(deepest), name, is_dir, &fd);
        if (rc == OPENED)
            rc = push(&deepest, fd, name);
        else
            left--;
        struct dirent64 *entry = NULL;
        while (rc == 0 && deepest != NULL && (rc = next(deepest, &entry)) == 0) {
            rc = remove_emptied(&deepest);
            left--;
        }
        if (rc > 0) {
            name = entry->d_name;
            is_dir = entry->d_type == DT_DIR;
            rc = left <= 0 ? MORE : 0;
        }
    } while (rc == 0 && deepest != NULL);
    while (deepest != NULL)
        pop(&deepest);
    return rc;
}

int
weft_path_remove_tree(const char *path)
{
    struct removing removing = {.hop.fn = removing_fn, .path = path};
    if (path[0] != '\0' && path[strspn(path, "/")] == '\0')
        return weft_error_note(-EINVAL, "%s is never removed", path);
    int64_t rc;
    do
        rc = weft__hop_run(&removing.hop);
    while (rc == MORE);
    return weft__path_failed((int)rc, "remove", path);
}
