/*
 * file_whole.c - whole files: read, replaced atomically, appended to.
 *
 * A large file takes several hops, between which its task looks for cancellation.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/file.h>

#include "base/atomic.h"
#include "base/random.h"
#include "io/file_priv.h"

#define READ_BYTES ((size_t)64 << 10) /* room for these at least, when a size says nothing */

/* ---- Reading -------------------------------------------------------------------------------- */

struct reading {
    struct weft__hop hop;
    const char *path;
    int fd; /* -1: to be opened, or closed again */
    weft_buf *out;
    size_t max;
    size_t n; /* bytes behind those of out; they do not count before all is there */
};

static int
begin_reading(struct reading *r)
{
    struct stat status;
    int fd = weft__file_open_raw(r->path, O_RDONLY, 0, &status);
    if (fd < 0)
        return fd;
    r->fd = fd;
    if (!S_ISREG(status.st_mode) || status.st_size <= 0)
        return 0;
    if ((uint64_t)status.st_size > r->max)
        return -EFBIG;
    /* With the byte more, the end shows without growing. */
    return weft_buf_reserve(r->out, (size_t)status.st_size + 1);
}

/* 1 when all is read, 0 when there may be more. */
static int64_t
reading_fn(struct weft__hop *hop)
{
    struct reading *r = (struct reading *)hop;
    int rc = r->fd < 0 ? begin_reading(r) : 0;
    size_t hop_end = r->n + WEFT__HOP_BYTES;
    while (rc == 0 && r->n < hop_end) {
        if (r->out->cap - r->out->len == r->n) {
            rc = weft_buf_reserve(r->out, r->n + READ_BYTES);
            if (rc < 0)
                break;
        }
        size_t room = r->out->cap - r->out->len - r->n;
        if (room > WEFT__HOP_BYTES)
            room = WEFT__HOP_BYTES;
        if (WEFT_BUGGIFY(8) && room > 1)
            room = 1;
        ssize_t n = weft__sys_read(r->fd, r->out->data + r->out->len + r->n, room);
        if (n < 0)
            rc = (int)n;
        else if (n == 0)
            rc = 1;
        else if ((size_t)n > r->max - r->n)
            rc = -EFBIG;
        else
            r->n += (size_t)n;
    }
    if (rc != 0 && r->fd >= 0) {
        weft__sys_close(r->fd);
        r->fd = -1;
    }
    return rc;
}

int
weft_file_read_all(const char *path, weft_buf *out, size_t max)
{
    struct reading r = {.hop.fn = reading_fn, .path = path, .fd = -1, .out = out, .max = max};
    int rc;
    do
        rc = (int)weft__hop_run(&r.hop);
    while (rc == 0);
    if (r.fd >= 0)
        (void)weft__hop_close(r.fd);
    if (rc < 0)
        return weft__path_failed(rc, "read", path);
    out->len += r.n;
    return 0;
}

/* ---- Appending ------------------------------------------------------------------------------ */

struct appending {
    struct weft__hop hop;
    const char *path;
    mode_t mode;
    int fd; /* -1: to be opened, or closed again */
    weft_bytes bytes;
    size_t n;
};

/* 1 when all is written, 0 when there is more. */
static int64_t
appending_fn(struct weft__hop *hop)
{
    struct appending *a = (struct appending *)hop;
    if (a->fd < 0) {
        struct stat status;
        int fd = weft__file_open_raw(a->path, O_WRONLY | O_APPEND | O_CREAT, a->mode, &status);
        if (fd < 0)
            return fd;
        a->fd = fd;
    }
    size_t more = a->bytes.len - a->n, done;
    if (more > WEFT__HOP_BYTES)
        more = WEFT__HOP_BYTES;
    int rc =
        weft__file_write_raw(a->fd, (const char *)a->bytes.data + a->n, more, WEFT__AT_END, &done);
    a->n += done;
    if (rc == 0 && a->n < a->bytes.len)
        return 0;
    int closed = weft__sys_close_told(a->fd);
    a->fd = -1;
    return rc < 0 ? rc : closed < 0 ? closed : 1;
}

int
weft_file_append(const char *path, weft_bytes bytes, mode_t mode, size_t *ret_written)
{
    struct appending a = {
        .hop.fn = appending_fn,
        .path = path,
        .mode = mode != 0 ? mode : 0666,
        .fd = -1,
        .bytes = bytes,
    };
    int rc;
    do
        rc = (int)weft__hop_run(&a.hop);
    while (rc == 0);
    if (a.fd >= 0)
        (void)weft__hop_close(a.fd);
    if (ret_written != NULL)
        *ret_written = a.n;
    return rc < 0 ? weft__path_failed(rc, "append to", path) : 0;
}

/* ---- Replacing ------------------------------------------------------------------------------ */

struct replacing {
    struct weft__hop hop;
    const char *path;
    const char *name; /* in path, behind its directory */
    mode_t mode;
    weft_bytes bytes;
    size_t n;     /* written */
    int dir, fd;  /* -1: not open */
    bool exists;  /* the temporary file does */
    bool renamed; /* and has its name now */
    char temp[32];
};

static int
open_dir_of(struct replacing *r)
{
    if (r->name == r->path)
        return weft__sys_openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);
    char dir[PATH_MAX];
    size_t len = (size_t)(r->name - r->path);
    if (len >= sizeof dir)
        return -ENAMETOOLONG;
    memcpy(dir, r->path, len); /* with its slash */
    dir[len] = '\0';
    return weft__sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
}

static int
begin_replacing(struct replacing *r)
{
    r->dir = open_dir_of(r);
    if (r->dir < 0)
        return r->dir;
    struct stat old;
    int rc = weft__sys_fstatat(r->dir, r->name, &old, AT_SYMLINK_NOFOLLOW);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0 && S_ISDIR(old.st_mode))
        return -EISDIR;
    if (rc == 0 && !S_ISREG(old.st_mode) && !S_ISLNK(old.st_mode))
        return -EINVAL; /* a device would be gone for good */
    bool inherits = r->mode == 0 && rc == 0 && S_ISREG(old.st_mode);
    mode_t mode = inherits ? 0600 : r->mode != 0 ? r->mode : 0666;

    static uint64_t count;
    uint64_t random = (uint64_t)weft__sys_monotonic() ^ (uint64_t)getpid() << 32 ^
                      weft__fetch_add(&count, 1) << 48;
    for (int tries = 0; tries < 100; tries++) {
        snprintf(r->temp, sizeof r->temp, ".weft-%016llx",
                 (unsigned long long)weft__splitmix(&random));
        rc = weft__sys_openat(r->dir, r->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        if (rc != -EEXIST)
            break;
    }
    if (rc < 0)
        return rc;
    r->fd = rc;
    r->exists = true;
    return inherits ? weft__sys_fchmod(r->fd, old.st_mode & 0777) : 0;
}

/* 1 when all is on the disk, 0 when there is more. */
static int64_t
replacing_fn(struct weft__hop *hop)
{
    struct replacing *r = (struct replacing *)hop;
    if (r->fd < 0) {
        int rc = begin_replacing(r);
        if (rc < 0)
            return rc;
    }
    size_t more = r->bytes.len - r->n, done;
    if (more > WEFT__HOP_BYTES)
        more = WEFT__HOP_BYTES;
    int rc = weft__file_write_raw(r->fd, (const char *)r->bytes.data + r->n, more, r->n, &done);
    r->n += done;
    if (rc < 0)
        return rc;
    if (r->n < r->bytes.len)
        return 0;
    rc = weft__sys_fsync(r->fd);
    return rc < 0 ? rc : 1;
}

static int64_t
rename_fn(struct weft__hop *hop)
{
    struct replacing *r = (struct replacing *)hop;
    int rc = weft__sys_close_told(r->fd);
    r->fd = -1;
    if (rc == 0)
        rc = weft__sys_renameat(r->dir, r->temp, r->dir, r->name);
    if (rc < 0)
        return rc;
    r->exists = false;
    r->renamed = true;
    rc = weft__sys_fsync(r->dir);
    return rc == -EINVAL || rc == -EOPNOTSUPP ? 0 : rc; /* file systems that need none */
}

static int64_t
tidy_fn(struct weft__hop *hop)
{
    struct replacing *r = (struct replacing *)hop;
    if (r->fd >= 0)
        weft__sys_close(r->fd);
    if (r->exists)
        (void)weft__sys_unlinkat(r->dir, r->temp, 0);
    if (r->dir >= 0)
        weft__sys_close(r->dir);
    return 0;
}

int
weft_file_write_atomic(const char *path, weft_bytes bytes, mode_t mode)
{
    const char *slash = strrchr(path, '/');
    struct replacing r = {
        .path = path,
        .name = slash != NULL ? slash + 1 : path,
        .mode = mode,
        .bytes = bytes,
        .dir = -1,
        .fd = -1,
    };
    int rc = 0;
    r.hop.fn = replacing_fn;
    while (rc == 0)
        rc = (int)weft__hop_run(&r.hop);
    if (rc > 0) { /* from here on it is done whatever happens, so that its result is certain */
        r.hop.fn = rename_fn;
        rc = (int)weft__hop_always(&r.hop);
    }
    if (r.dir >= 0) {
        r.hop.fn = tidy_fn;
        (void)weft__hop_always(&r.hop);
    }
    if (rc < 0 && r.renamed)
        return weft_error_note(rc, "%.120s has its new content, which may not survive a crash: %s",
                               path, weft_strerror(rc));
    return weft__path_failed(rc, "write", path);
}
