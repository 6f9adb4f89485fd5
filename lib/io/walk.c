/*
 * walk.c - all names of a tree.
 *
 * A directory is read to its end when the walk goes into it, and is closed before its first name is
 * given: however deep a tree, one descriptor is open at most, and none between the calls.
 */
#include <stdlib.h>

#include <weft/task.h>

#include "base/mem.h"
#include "io/dir_priv.h"

#define BATCH_BYTES 8192
#define HOP_BYTES ((size_t)256 << 10) /* of names, in one hop */

/* A directory the walk is in. Its names are kept as a byte that is the kind, and a string. */
struct level {
    size_t path_len; /* its own path's, in walk.path */
    dev_t device;
    ino_t inode;
    weft_buf names;
    const char **sorted; /* NULL: as they came */
    size_t n, at;        /* names; the next one, when sorted, else its offset */
};

struct walk {
    weft_buf path; /* ends in a zero byte; data NULL: closed */
    weft_walk_options options;
    struct level *levels;
    unsigned n_levels, cap;
    bool descend; /* what `path` names is to be read next */
    bool shown;   /* an entry was given that may be skipped */
};
_Static_assert(sizeof(struct walk) <= sizeof(weft_walk), "weft_walk is too small");

/* ---- Reading a directory -------------------------------------------------------------------- */

struct reading {
    struct weft__hop hop;
    const struct walk *walk;
    int fd; /* -1: to be opened, or closed again */
    struct level level;
};

static bool
goes_round(const struct walk *walk, const struct level *level)
{
    for (unsigned i = 0; i < walk->n_levels; i++) {
        if (walk->levels[i].device == level->device && walk->levels[i].inode == level->inode)
            return true;
    }
    return false;
}

static int
begin_reading(struct reading *r)
{
    bool follow = r->walk->options.follow || r->walk->n_levels == 0;
    int fd = weft__sys_openat(AT_FDCWD, (const char *)r->walk->path.data,
                              O_RDONLY | O_DIRECTORY | (follow ? 0 : O_NOFOLLOW), 0);
    if (fd < 0)
        return fd;
    r->fd = fd;
    struct stat status;
    int rc = weft__sys_fstat(fd, &status);
    if (rc < 0)
        return rc;
    r->level.device = status.st_dev;
    r->level.inode = status.st_ino;
    return follow && goes_round(r->walk, &r->level) ? -ELOOP : 0;
}

static int
keep_name(struct reading *r, const struct dirent64 *entry)
{
    size_t len = strlen(entry->d_name) + 1;
    weft_buf *names = &r->level.names;
    int rc = weft_buf_reserve(names, len + 1);
    if (rc < 0)
        return rc;
    names->data[names->len++] =
        (unsigned char)weft__dirent_kind(r->fd, entry, r->walk->options.follow);
    memcpy(names->data + names->len, entry->d_name, len);
    names->len += len;
    r->level.n++;
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
sort(struct level *level)
{
    if (level->n == 0)
        return 0;
    level->sorted = weft__alloc(level->n * sizeof *level->sorted);
    if (level->sorted == NULL)
        return -ENOMEM;
    const char *name = (const char *)level->names.data + 1;
    for (size_t i = 0; i < level->n; i++) {
        level->sorted[i] = name;
        name += strlen(name) + 2;
    }
    qsort(level->sorted, level->n, sizeof *level->sorted, by_name);
    return 0;
}

/* 1 when all is read, 0 when there may be more. */
static int64_t
reading_fn(struct weft__hop *hop)
{
    struct reading *r = (struct reading *)hop;
    _Alignas(struct dirent64) unsigned char batch[BATCH_BYTES];
    int rc = r->fd < 0 ? begin_reading(r) : 0;
    size_t hop_end = r->level.names.len + HOP_BYTES;
    while (rc == 0 && r->level.names.len < hop_end) {
        ssize_t n = weft__sys_getdents(r->fd, batch, sizeof batch);
        rc = n < 0 ? (int)n : n == 0;
        struct dirent64 *entry;
        for (size_t at = 0; rc == 0 && (entry = weft__dirent_next(batch, (size_t)n, &at)) != NULL;)
            rc = keep_name(r, entry);
    }
    if (rc != 0 && r->fd >= 0) {
        weft__sys_close(r->fd);
        r->fd = -1;
    }
    return rc;
}

static void
level_free(struct level *level)
{
    weft_buf_free(&level->names);
    weft__free(level->sorted);
}

/* Goes into the directory that `path` names. 0, with an error of the directory in *ret_error: what
 * could be read of it is there all the same. Or a failure after which it can be tried again. */
static int
descend(struct walk *walk, int *ret_error)
{
    if (walk->n_levels == walk->cap) {
        unsigned cap = walk->cap > 0 ? walk->cap * 2 : 8;
        struct level *levels = weft__resize(walk->levels, cap * sizeof *levels);
        if (levels == NULL)
            return -ENOMEM;
        walk->levels = levels;
        walk->cap = cap;
    }
    struct reading r = {.hop.fn = reading_fn, .walk = walk, .fd = -1};
    r.level.path_len = walk->path.len - 1;
    int rc;
    do
        rc = (int)weft__hop_run(&r.hop);
    while (rc == 0);
    if (r.fd >= 0)
        (void)weft__hop_close(r.fd);
    bool of_directory = rc < 0 && r.hop.ran && rc == r.hop.result && rc != -ENOMEM;
    if (rc > 0 || of_directory) {
        int sorted = walk->options.sorted ? sort(&r.level) : 0;
        if (sorted == 0) {
            *ret_error = of_directory ? rc : 0;
            walk->levels[walk->n_levels++] = r.level;
            return 0;
        }
        rc = sorted;
    }
    level_free(&r.level);
    return rc;
}

/* ---- Walking -------------------------------------------------------------------------------- */

int
weft_walk_open(weft_walk *public, const char *root, const weft_walk_options *options)
{
    size_t len = strlen(root);
    if (len == 0)
        return -EINVAL;
    if (len >= INT32_MAX)
        return -ENAMETOOLONG;
    struct walk walk = {.descend = true};
    if (options != NULL)
        walk.options = *options;
    int rc = weft_buf_append(&walk.path, root, len + 1);
    if (rc == 0)
        *(struct walk *)(void *)public = walk;
    return rc;
}

static weft_walk_entry
entry_of(const struct walk *walk, unsigned depth, weft_entry_kind kind, int error)
{
    const char *path = (const char *)walk->path.data;
    const char *slash = depth > 0 ? strrchr(path, '/') : NULL;
    return (weft_walk_entry){
        .path = path,
        .name = depth == 0 ? "" : slash + 1,
        .depth = depth,
        .kind = kind,
        .error = error,
    };
}

/* The path of a level is followed by a name. */
static int
join(struct walk *walk, const struct level *level, const char *name)
{
    size_t len = strlen(name) + 1;
    walk->path.len = level->path_len;
    int rc = weft_buf_reserve(&walk->path, len + 1);
    if (rc < 0)
        return rc;
    if (walk->path.data[level->path_len - 1] != '/')
        walk->path.data[walk->path.len++] = '/';
    memcpy(walk->path.data + walk->path.len, name, len);
    walk->path.len += len;
    return 0;
}

int
weft_walk_next(weft_walk *public, weft_walk_entry *ret_entry)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct walk *walk = (struct walk *)(void *)public;
    if (walk->path.data == NULL)
        return -EBADF;
    walk->shown = false;
    if (walk->descend) {
        int error = 0;
        rc = descend(walk, &error);
        if (rc < 0)
            return rc;
        walk->descend = false;
        if (error < 0) {
            *ret_entry = entry_of(walk, walk->n_levels - 1, WEFT_ENTRY_DIR, error);
            return 1;
        }
    }
    while (walk->n_levels > 0) {
        struct level *level = &walk->levels[walk->n_levels - 1];
        size_t end = level->sorted != NULL ? level->n : level->names.len;
        if (level->at == end) {
            level_free(level);
            walk->n_levels--;
            continue;
        }
        const char *name = level->sorted != NULL ? level->sorted[level->at]
                                                 : (const char *)level->names.data + level->at + 1;
        rc = join(walk, level, name);
        if (rc < 0)
            return rc;
        level->at += level->sorted != NULL ? 1 : strlen(name) + 2;
        weft_entry_kind kind = (weft_entry_kind)name[-1];
        walk->descend = kind == WEFT_ENTRY_DIR &&
                        (walk->options.depth == 0 || walk->n_levels < walk->options.depth);
        walk->shown = true;
        *ret_entry = entry_of(walk, walk->n_levels, kind, 0);
        return 1;
    }
    return 0;
}

void
weft_walk_skip(weft_walk *public)
{
    struct walk *walk = (struct walk *)(void *)public;
    if (walk->shown)
        walk->descend = false;
}

void
weft_walk_close(weft_walk *public)
{
    struct walk *walk = (struct walk *)(void *)public;
    while (walk->n_levels > 0)
        level_free(&walk->levels[--walk->n_levels]);
    weft__free(walk->levels);
    weft_buf_free(&walk->path);
    *walk = (struct walk){.descend = false};
}
