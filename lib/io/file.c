/*
 * file.c - an open file: its life, its position, its lines.
 *
 * The kernel's position of the descriptor is not used, but for writing with O_APPEND: ours is moved
 * by the task once a call has succeeded, so that a cancelled one has not moved it.
 */
#include <limits.h>
#include <string.h>

#include <weft/file.h>
#include <weft/task.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "io/file_priv.h"

#define LINE_MAX_DEFAULT ((size_t)1 << 20)
#define AHEAD_BYTES ((size_t)64 << 10) /* read for lines at once */
#define OPEN 0x80000000u

struct weft__file {
    int raw;
    uint32_t uses;  /* atomic: OPEN, and calls in progress; who makes it 0 closes the descriptor */
    uint32_t busy;  /* atomic: a call uses the position, and what follows here */
    uint32_t wrote; /* atomic: what was read ahead may have changed */
    uint64_t position;
    size_t line_max;
    unsigned char *ahead; /* what was read for lines; NULL until then */
    size_t ahead_len, ahead_cap;
    uint64_t ahead_at; /* its offset in the file */
    bool appends;
    bool regular; /* reads are short only at the end */
};
_Static_assert(sizeof(struct weft__file) <= sizeof(weft_file), "weft_file is too small");

/* ---- Life ----------------------------------------------------------------------------------- */

static int
use(struct weft__file *file)
{
    uint32_t uses;
    do {
        uses = weft__load(&file->uses);
        if (!(uses & OPEN))
            return -EBADF;
    } while (!weft__cas(&file->uses, uses, uses + 1));
    return 0;
}

static int
finish(struct weft__file *file)
{
    weft__free(file->ahead);
    file->ahead = NULL;
    return weft__hop_close(file->raw);
}

static void
unuse(struct weft__file *file)
{
    /* Pairs with the exchange in weft_file_close: one of us finds that nobody is left. */
    if (weft__fetch_sub(&file->uses, 1) == 1)
        (void)finish(file);
}

/* Looks for cancellation, and holds the file open, and its position. */
static int
take_position(struct weft__file *file)
{
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = use(file);
    if (rc == 0 && weft__exchange(&file->busy, 1) != 0) { /* pairs with give_position */
        unuse(file);
        rc = -EBUSY;
    }
    return rc;
}

static void
give_position(struct weft__file *file)
{
    weft__store(&file->busy, 0); /* pairs with take_position */
    unuse(file);
}

struct opening {
    struct weft__hop hop;
    const char *path;
    int flags;
    mode_t mode;
    struct stat status;
};

static int64_t
open_fn(struct weft__hop *hop)
{
    struct opening *opening = (struct opening *)hop;
    return weft__file_open_raw(opening->path, opening->flags, opening->mode, &opening->status);
}

int
weft_file_open(weft_file *public, const char *path, const weft_file_options *given)
{
    weft_file_options options = {.flags = O_RDONLY};
    if (given != NULL)
        options = *given;
    struct opening opening = {
        .hop.fn = open_fn,
        .path = path,
        .flags = options.flags,
        .mode = options.mode != 0 ? options.mode : 0666,
    };
    int rc = (int)weft__hop_run(&opening.hop);
    if (rc < 0) {
        if (opening.hop.ran && opening.hop.result >= 0)
            (void)weft__hop_close((int)opening.hop.result);
        return weft__path_failed(rc, "open", path);
    }
    size_t line_max = options.line_max != 0 ? options.line_max : LINE_MAX_DEFAULT;
    struct weft__file *file = (struct weft__file *)(void *)public;
    *file = (struct weft__file){
        .raw = rc,
        .line_max = line_max < SIZE_MAX / 4 ? line_max : SIZE_MAX / 4,
        .appends = options.flags & O_APPEND,
        .regular = S_ISREG(opening.status.st_mode),
    };
    weft__store(&file->uses, OPEN);
    return 0;
}

int
weft_file_close(weft_file *public)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    uint32_t uses;
    do {
        uses = weft__load(&file->uses);
        if (!(uses & OPEN))
            return 0;
    } while (!weft__cas(&file->uses, uses, uses & ~OPEN)); /* pairs with the one in unuse */
    return uses == OPEN ? finish(file) : 0;
}

int
weft_file_raw(const weft_file *public)
{
    const struct weft__file *file = (const struct weft__file *)(const void *)public;
    return weft__load(&file->uses) & OPEN ? file->raw : -EBADF;
}

/* ---- Reading and writing -------------------------------------------------------------------- */

struct transfer {
    struct weft__hop hop;
    int fd;
    bool once; /* take what a single call gives */
    void *buf;
    const void *bytes;
    size_t len;
    size_t done;
    uint64_t offset;
    int64_t end; /* after writing with O_APPEND */
};

static int64_t
read_fn(struct weft__hop *hop)
{
    struct transfer *t = (struct transfer *)hop;
    ssize_t n;
    do {
        size_t more = t->len - t->done;
        if (WEFT_BUGGIFY(8) && more > 1)
            more = 1;
        n = weft__sys_pread(t->fd, (char *)t->buf + t->done, more, (off_t)(t->offset + t->done));
        if (n > 0)
            t->done += (size_t)n;
    } while (n > 0 && t->done < t->len && !t->once);
    return n < 0 && t->done == 0 ? n : (int64_t)t->done;
}

static int64_t
write_fn(struct weft__hop *hop)
{
    struct transfer *t = (struct transfer *)hop;
    int rc = weft__file_write_raw(t->fd, t->bytes, t->len, t->offset, &t->done);
    if (t->offset == WEFT__AT_END)
        t->end = weft__sys_lseek(t->fd, 0, SEEK_CUR);
    return rc;
}

static ssize_t
read_at(struct weft__file *file, void *buf, size_t len, uint64_t offset)
{
    struct transfer t = {
        .hop.fn = read_fn,
        .fd = file->raw,
        .once = !file->regular,
        .buf = buf,
        .len = len < SSIZE_MAX ? len : SSIZE_MAX,
        .offset = offset,
    };
    return weft__hop_run(&t.hop);
}

/* Runs it; *t tells how far it came. */
static int
write_at(struct weft__file *file, struct transfer *t, const void *buf, size_t len, uint64_t offset)
{
    *t = (struct transfer){
        .hop.fn = write_fn,
        .fd = file->raw,
        .bytes = buf,
        .len = len < SSIZE_MAX ? len : SSIZE_MAX,
        .offset = offset,
    };
    int rc = (int)weft__hop_run(&t->hop);
    if (t->done > 0)
        weft__store(&file->wrote, 1); /* pairs with the exchange in weft_file_read_line */
    return rc;
}

/* With the position taken: writes there, and moves it; after a cancellation only if asked to. */
static int
write_here(struct weft__file *file, const void *buf, size_t len, bool move_anyway, size_t *done)
{
    struct transfer t;
    int rc = write_at(file, &t, buf, len, file->appends ? WEFT__AT_END : file->position);
    bool cancelled = rc < 0 && !(t.hop.ran && rc == t.hop.result);
    if (t.done > 0 && (!cancelled || move_anyway))
        file->position = !file->appends ? file->position + t.done
                         : t.end >= 0   ? (uint64_t)t.end
                                        : file->position;
    *done = t.done;
    return t.done > 0 && !cancelled && t.done < len ? 0 : rc;
}

ssize_t
weft_file_read(weft_file *public, void *buf, size_t len)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int rc = take_position(file);
    if (rc < 0)
        return rc;
    ssize_t n = read_at(file, buf, len, file->position);
    if (n > 0)
        file->position += (uint64_t)n;
    give_position(file);
    return n;
}

ssize_t
weft_file_write(weft_file *public, const void *buf, size_t len)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int rc = take_position(file);
    if (rc < 0)
        return rc;
    size_t done;
    rc = write_here(file, buf, len, false, &done);
    give_position(file);
    return rc < 0 ? rc : (ssize_t)done;
}

int
weft_file_write_all(weft_file *public, const void *buf, size_t len, size_t *ret_written)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    size_t written = 0;
    int rc = take_position(file);
    if (rc == 0) {
        do {
            size_t done;
            rc = write_here(file, (const char *)buf + written, len - written, true, &done);
            written += done;
        } while (rc == 0 && written < len);
        give_position(file);
    }
    if (ret_written != NULL)
        *ret_written = written;
    return rc;
}

ssize_t
weft_file_pread(weft_file *public, void *buf, size_t len, uint64_t offset)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = use(file);
    if (rc < 0)
        return rc;
    ssize_t n = offset > INT64_MAX ? -EINVAL : read_at(file, buf, len, offset);
    unuse(file);
    return n;
}

ssize_t
weft_file_pwrite(weft_file *public, const void *buf, size_t len, uint64_t offset)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = use(file);
    if (rc < 0)
        return rc;
    struct transfer t = {.done = 0};
    rc = offset > INT64_MAX ? -EINVAL : write_at(file, &t, buf, len, offset);
    bool cancelled = rc < 0 && !(t.hop.ran && rc == t.hop.result);
    unuse(file);
    return rc < 0 && (cancelled || t.done == 0) ? rc : (ssize_t)t.done;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

/* Reads more behind what is there, of which all before the position is dropped. Bytes; 0 at the
 * end of the file; an error. */
static ssize_t
read_ahead(struct weft__file *file)
{
    size_t gone = (size_t)(file->position - file->ahead_at);
    if (gone > 0 && file->ahead_len > 0)
        memmove(file->ahead, file->ahead + gone, file->ahead_len - gone);
    file->ahead_len -= gone;
    file->ahead_at = file->position;
    if (file->ahead_len == file->ahead_cap) {
        size_t cap = file->ahead_cap > 0 ? file->ahead_cap * 2 : AHEAD_BYTES;
        unsigned char *ahead = weft__resize(file->ahead, cap);
        if (ahead == NULL)
            return -ENOMEM;
        file->ahead = ahead;
        file->ahead_cap = cap;
    }
    struct transfer t = {
        .hop.fn = read_fn,
        .fd = file->raw,
        .once = true,
        .buf = file->ahead + file->ahead_len,
        .len = file->ahead_cap - file->ahead_len,
        .offset = file->ahead_at + file->ahead_len,
    };
    ssize_t n = weft__hop_run(&t.hop);
    if (n > 0)
        file->ahead_len += (size_t)n;
    return n;
}

static int
take_line(struct weft__file *file, weft_bytes *ret_line)
{
    if (weft__exchange(&file->wrote, 0) != 0 || file->position < file->ahead_at ||
        file->position > file->ahead_at + file->ahead_len) {
        file->ahead_len = 0;
        file->ahead_at = file->position;
    }
    size_t looked = 0; /* bytes from the position on in which there is no end */
    for (bool last = false;;) {
        const unsigned char *line = NULL, *end = NULL;
        size_t len = 0;
        if (file->ahead_len > 0) {
            line = file->ahead + (file->position - file->ahead_at);
            len = file->ahead_len - (size_t)(file->position - file->ahead_at);
            end = memchr(line + looked, '\n', len - looked);
        }
        looked = len;
        if (end != NULL || (last && len > 0)) {
            size_t taken = end != NULL ? (size_t)(end - line) + 1 : len;
            size_t kept = end != NULL ? taken - 1 : len;
            if (end != NULL && kept > 0 && line[kept - 1] == '\r')
                kept--;
            if (kept > file->line_max)
                return -EMSGSIZE;
            *ret_line = (weft_bytes){line, kept};
            file->position += taken;
            return 1;
        }
        if (last)
            return 0;
        if (len > file->line_max + 1) /* even if the last byte belongs to the end */
            return -EMSGSIZE;
        ssize_t n = read_ahead(file);
        if (n < 0)
            return (int)n;
        last = n == 0;
    }
}

int
weft_file_read_line(weft_file *public, weft_bytes *ret_line)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int rc = take_position(file);
    if (rc < 0)
        return rc;
    rc = take_line(file, ret_line);
    give_position(file);
    return rc;
}

/* ---- Position, size, state ------------------------------------------------------------------ */

struct asking {
    struct weft__hop hop;
    int fd;
    int whence;
    int64_t offset;
    uint64_t size;
    struct stat status;
};

static int64_t
seek_fn(struct weft__hop *hop)
{
    struct asking *asking = (struct asking *)hop;
    return weft__sys_lseek(asking->fd, asking->offset, asking->whence);
}

static int64_t
truncate_fn(struct weft__hop *hop)
{
    struct asking *asking = (struct asking *)hop;
    sigset_t old;
    bool held = weft__xfsz_hold(&old);
    return weft__xfsz_release(held, &old, weft__sys_ftruncate(asking->fd, asking->size));
}

static int64_t
sync_fn(struct weft__hop *hop)
{
    return weft__sys_fsync(((struct asking *)hop)->fd);
}

static int64_t
datasync_fn(struct weft__hop *hop)
{
    return weft__sys_fdatasync(((struct asking *)hop)->fd);
}

static int64_t
stat_fn(struct weft__hop *hop)
{
    struct asking *asking = (struct asking *)hop;
    return weft__sys_fstat(asking->fd, &asking->status);
}

static int
ask(weft_file *public, struct asking *asking)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = use(file);
    if (rc < 0)
        return rc;
    asking->fd = file->raw;
    rc = (int)weft__hop_run(&asking->hop);
    if (asking->hop.fn == truncate_fn && asking->hop.ran)
        weft__store(&file->wrote, 1); /* pairs with the exchange in take_line */
    unuse(file);
    return rc;
}

int64_t
weft_file_seek(weft_file *public, int64_t offset, int whence)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int64_t rc = take_position(file);
    if (rc < 0)
        return rc;
    int64_t from = whence == SEEK_CUR ? (int64_t)file->position : 0;
    struct asking asking = {.hop.fn = seek_fn, .fd = file->raw, .whence = whence, .offset = offset};
    switch (whence) {
    case SEEK_SET:
    case SEEK_CUR:
        if (__builtin_add_overflow(from, offset, &rc))
            rc = -EOVERFLOW;
        else if (rc < 0)
            rc = -EINVAL;
        break;
    case SEEK_END:
    case SEEK_DATA:
    case SEEK_HOLE:
        rc = weft__hop_run(&asking.hop);
        break;
    default:
        rc = -EINVAL;
    }
    if (rc >= 0)
        file->position = (uint64_t)rc;
    give_position(file);
    return rc;
}

int64_t
weft_file_tell(weft_file *public)
{
    struct weft__file *file = (struct weft__file *)(void *)public;
    int rc = use(file);
    if (rc < 0)
        return rc;
    int64_t position = -EBUSY;
    if (weft__exchange(&file->busy, 1) == 0) { /* pairs with give_position */
        position = (int64_t)file->position;
        weft__store(&file->busy, 0);
    }
    unuse(file);
    return position;
}

int
weft_file_truncate(weft_file *file, uint64_t size)
{
    if (size > INT64_MAX) {
        int rc = weft_checkpoint();
        return rc < 0 ? rc : -EINVAL;
    }
    struct asking asking = {.hop.fn = truncate_fn, .size = size};
    return ask(file, &asking);
}

int
weft_file_sync(weft_file *file)
{
    struct asking asking = {.hop.fn = sync_fn};
    return ask(file, &asking);
}

int
weft_file_datasync(weft_file *file)
{
    struct asking asking = {.hop.fn = datasync_fn};
    return ask(file, &asking);
}

int
weft_file_stat(weft_file *file, struct stat *ret_status)
{
    struct asking asking = {.hop.fn = stat_fn};
    int rc = ask(file, &asking);
    if (rc == 0)
        *ret_status = asking.status;
    return rc;
}
