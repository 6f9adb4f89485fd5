/*
 * files.c - files as answers: ranges, conditions, and a folder that nobody gets out of.
 *
 * A file is opened on the loop when the kernel can do so without asking the disk, else on the
 * executor. Paths are resolved by the kernel below the root (openat2(2)); where it cannot, symbolic
 * links are not followed at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <weft/error.h>
#include <weft/executor.h>

#include "base/sys.h"
#include "http/exchange.h"

#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY) /* not to be held up by a FIFO */

struct opening {
    const char *root; /* NULL: path is as it is */
    const char *path; /* below root */
    bool cached;      /* only if no disk is asked: else -EAGAIN */
    int file;         /* out */
    struct stat status;
};

/* Segment by segment, following nothing. */
static int
open_unlinked(int folder, const char *path)
{
    int at = weft__sys_openat(folder, ".", O_PATH | O_DIRECTORY, 0);
    while (at >= 0) {
        const char *slash = strchr(path, '/');
        char name[NAME_MAX + 1];
        size_t len = slash != NULL ? (size_t)(slash - path) : strlen(path);
        if (len > NAME_MAX) {
            weft__sys_close(at);
            return -ENAMETOOLONG;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        bool last = slash == NULL || slash[1] == '\0';
        int next = weft__sys_openat(at, len > 0 ? name : ".",
                                    O_NOFOLLOW | (last ? OPEN_FLAGS : O_PATH | O_DIRECTORY), 0);
        weft__sys_close(at);
        if (last)
            return next;
        at = next;
        path = slash + 1;
    }
    return at;
}

/* The kernel does not know it, or a container's filter of system calls does not and says so. */
static bool
has_no_openat2(int rc)
{
    return rc == -ENOSYS || rc == -EPERM;
}

static int
open_below(const struct opening *opening)
{
    uint64_t cached = opening->cached ? RESOLVE_CACHED : 0;
    int root = weft__sys_openat2(AT_FDCWD, opening->root, O_PATH | O_DIRECTORY, cached);
    if (has_no_openat2(root) && opening->cached)
        return -EAGAIN;
    if (has_no_openat2(root))
        root = weft__sys_openat(AT_FDCWD, opening->root, O_PATH | O_DIRECTORY, 0);
    if (root < 0)
        return root;
    const char *path = *opening->path != '\0' ? opening->path : ".";
    int file =
        weft__sys_openat2(root, path, OPEN_FLAGS, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | cached);
    if (has_no_openat2(file) || (file == -EINVAL && !opening->cached))
        file = open_unlinked(root, path);
    weft__sys_close(root);
    return file;
}

/* 0, or why not. Before Linux 5.12 there is no RESOLVE_CACHED: -EINVAL, and the executor. */
static int
open_it(void *arg)
{
    struct opening *opening = arg;
    int file = opening->root != NULL ? open_below(opening)
               : opening->cached
                   ? weft__sys_openat2(AT_FDCWD, opening->path, OPEN_FLAGS, RESOLVE_CACHED)
                   : weft__sys_openat(AT_FDCWD, opening->path, OPEN_FLAGS, 0);
    if (file < 0)
        return file;
    if (fstat(file, &opening->status) < 0) {
        int rc = -errno;
        weft__sys_close(file);
        return rc;
    }
    opening->file = file;
    return 0;
}

static int
open_somewhere(struct opening *opening)
{
    opening->cached = true;
    int rc = open_it(opening);
    if (rc != -EAGAIN && rc != -EINVAL && !has_no_openat2(rc))
        return rc;
    opening->cached = false;
    return weft_blocking(open_it, opening);
}

/* ---- The answer ---------------------------------------------------------------------------- */

struct part {
    uint64_t first, len;
};

struct validators {
    char etag[64];
    char modified[WEFT_HTTP_DATE_BYTES];
    int64_t modified_at;
};

static void
make_validators(struct validators *v, const struct stat *status)
{
    snprintf(v->etag, sizeof v->etag, "\"%llx-%llx-%llx\"",
             (unsigned long long)status->st_mtim.tv_sec * 1000000000 +
                 (unsigned long long)status->st_mtim.tv_nsec,
             (unsigned long long)status->st_size, (unsigned long long)status->st_ino);
    v->modified_at = status->st_mtim.tv_sec;
    weft_http_date_format(v->modified_at, v->modified);
}

static bool
read_date(weft_bytes text, int64_t *ret_seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return weft_http_date_parse(text.data, text.len, now.tv_sec, ret_seconds) == 0;
}

/* RFC 9110 13.2.2. 0: go on; 304 or 412. With other methods a handler has done already what a
 * condition could have prevented. */
static int
judge_conditions(const weft_http_exchange *x, const struct validators *v)
{
    int64_t date;
    weft_http_method method = weft_http_request_method(x);
    if (method != WEFT_HTTP_GET && method != WEFT_HTTP_HEAD)
        return 0;
    weft_bytes match = weft_http_request_header(x, "If-Match");
    weft_bytes none = weft_http_request_header(x, "If-None-Match");
    weft_bytes since = weft_http_request_header(x, "If-Modified-Since");
    weft_bytes unless = weft_http_request_header(x, "If-Unmodified-Since");
    if (match.data != NULL) {
        if (!weft_http_etag_match(match.data, match.len, v->etag, false))
            return 412;
    } else if (unless.data != NULL && read_date(unless, &date) && v->modified_at > date) {
        return 412;
    }
    if (none.data != NULL)
        return weft_http_etag_match(none.data, none.len, v->etag, true) ? 304 : 0;
    if (since.data != NULL && read_date(since, &date) && v->modified_at <= date)
        return 304;
    return 0;
}

/* Whether a Range may be looked at: If-Range says what the client has a part of. */
static bool
range_holds(const weft_http_exchange *x, const struct validators *v)
{
    weft_bytes condition = weft_http_request_header(x, "If-Range");
    int64_t date;
    if (condition.data == NULL)
        return true;
    if (condition.len > 0 && *(const char *)condition.data == '"')
        return weft_http_etag_match(condition.data, condition.len, v->etag, false);
    return read_date(condition, &date) && date == v->modified_at;
}

/* The part to send: 200 and all of it, 206 and one range, or 416. Several ranges are answered by
 * all of it, as RFC 9110 14.2 allows. */
static int
choose_part(const weft_http_exchange *x, const struct validators *v, uint64_t size,
            struct part *ret_part)
{
    weft_bytes range = weft_http_request_header(x, "Range");
    *ret_part = (struct part){.first = 0, .len = size};
    if (range.data == NULL || weft_http_request_method(x) != WEFT_HTTP_GET || !range_holds(x, v))
        return 200;
    weft_http_range one;
    int n = weft_http_range_parse(range.data, range.len, size, &one, 1);
    if (n == 1) {
        *ret_part = (struct part){.first = one.first, .len = one.last - one.first + 1};
        return 206;
    }
    return n == -ERANGE ? 416 : 200;
}

static int
add_headers(weft_http_exchange *x, const struct validators *v, unsigned max_age)
{
    char age[48];
    int rc = weft_http_response_header(x, "ETag", v->etag);
    if (rc == 0)
        rc = weft_http_response_header(x, "Last-Modified", v->modified);
    if (rc == 0)
        rc = weft_http_response_header(x, "Accept-Ranges", "bytes");
    if (rc == 0 && max_age > 0) {
        snprintf(age, sizeof age, "max-age=%u", max_age);
        rc = weft_http_response_header(x, "Cache-Control", age);
    }
    return rc;
}

static int
reply_open(weft_http_exchange *x, const struct opening *opening, const char *type, unsigned max_age)
{
    struct validators v;
    struct part part = {0};
    char text[80];
    uint64_t size = (uint64_t)opening->status.st_size;
    make_validators(&v, &opening->status);
    int status = judge_conditions(x, &v);
    if (status == 0)
        status = choose_part(x, &v, size, &part);
    /* A cache that kept a refusal would answer others with it, who have set no condition. */
    int rc = add_headers(x, &v, status == 412 || status == 416 ? 0 : max_age);
    if (status == 416)
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
    else if (status == 206)
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)part.first,
                 (unsigned long long)(part.first + part.len - 1), (unsigned long long)size);
    if (rc == 0 && (status == 416 || status == 206))
        rc = weft_http_response_header(x, "Content-Range", text);
    if (rc < 0)
        return rc;
    if (status != 200 && status != 206)
        return weft_http_reply(x, status, NULL, NULL, 0);
    rc = weft_http_response_begin(x, status, type, (int64_t)part.len);
    if (rc == 0)
        rc = weft_http_response_send_file(x, opening->file, part.first, part.len);
    return rc < 0 ? rc : weft_http_response_end(x);
}

int
weft_http_reply_file(weft_http_exchange *x, const char *path, const char *type)
{
    int rc = weft_checkpoint();
    struct opening opening = {.path = path};
    if (rc == 0)
        rc = open_somewhere(&opening);
    if (rc < 0)
        return rc;
    rc = S_ISREG(opening.status.st_mode)
             ? reply_open(x, &opening, type != NULL ? type : weft_http_media_type(path), 0)
         : S_ISDIR(opening.status.st_mode) ? -EISDIR
                                           : -EACCES;
    weft__sys_close(opening.file);
    return rc;
}

/* ---- Folders ------------------------------------------------------------------------------- */

static int
reply_plain(weft_http_exchange *x, int status)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%d %s\n", status, weft_http_reason(status));
    return weft_http_reply(x, status, "text/plain; charset=utf-8", text, (size_t)len);
}

static bool
has_dot_file(const char *path)
{
    return path[0] == '.' || strstr(path, "/.") != NULL;
}

/* To the same place with a slash behind it, so that relative links in it lead where they should. */
static int
redirect_to_folder(weft_http_exchange *x)
{
    weft_bytes path = weft_http_request_path(x), query = weft_http_request_query(x);
    weft_buf location = {0};
    /* One slash in front: "//host/" would lead elsewhere. */
    const char *from = path.data;
    size_t len = path.len;
    while (len > 1 && from[0] == '/' && from[1] == '/') {
        from++;
        len--;
    }
    /* And no backslash, which browsers take for one. */
    int rc = 0;
    for (const char *end = from + len; rc == 0 && from < end; from++)
        rc = *from == '\\' ? weft_buf_append(&location, "%5C", 3)
                           : weft_buf_append(&location, from, 1);
    if (rc == 0)
        rc = weft_buf_append(&location, "/", 1);
    if (rc == 0 && query.data != NULL)
        rc = weft_buf_printf(&location, "?%.*s", (int)query.len, (const char *)query.data);
    if (rc == 0)
        rc = weft_buf_append(&location, "", 1);
    if (rc == 0)
        rc = weft_http_response_header(x, "Location", (const char *)location.data);
    weft_buf_free(&location);
    return rc < 0 ? rc : reply_plain(x, 301);
}

static int
status_of_open(int rc)
{
    switch (rc) {
    case -EACCES:
    case -EPERM:
        return 403;
    case -EAGAIN: /* renamed or leased by others at this moment */
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        return 503;
    case -EIO:
        return 500;
    default: /* -ENOENT, -ENOTDIR, -ELOOP, -EXDEV: led out of the root, -ENAMETOOLONG */
        return 404;
    }
}

/* A path below the root, which is empty for the root itself. */
static int
serve_path(weft_http_exchange *x, const weft_http_files *files, weft_buf *path)
{
    weft_bytes asked = weft_http_request_path(x);
    bool slash = asked.len > 0 && ((const char *)asked.data)[asked.len - 1] == '/';
    struct opening opening = {.root = files->root, .path = (const char *)path->data};
    int rc = open_somewhere(&opening);
    if (rc == 0 && S_ISDIR(opening.status.st_mode)) {
        weft__sys_close(opening.file);
        if (!slash)
            return redirect_to_folder(x);
        const char *index = files->index != NULL ? files->index : "index.html";
        rc = weft_buf_append(path, index, strlen(index) + 1);
        opening.path = (const char *)path->data;
        if (rc == 0)
            rc = open_somewhere(&opening);
    } else if (rc == 0 && slash) {
        weft__sys_close(opening.file); /* a file is no folder */
        rc = -ENOTDIR;
    }
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        return rc;
    if (rc < 0)
        return reply_plain(x, status_of_open(rc));
    rc = S_ISREG(opening.status.st_mode)
             ? reply_open(x, &opening, weft_http_media_type(opening.path), files->max_age)
             : reply_plain(x, 404);
    weft__sys_close(opening.file);
    return rc;
}

int
weft_http_serve_files(weft_http_exchange *x, void *arg)
{
    const weft_http_files *files = arg;
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    weft_http_method method = weft_http_request_method(x);
    if (method != WEFT_HTTP_GET && method != WEFT_HTTP_HEAD) {
        rc = weft_http_response_header(x, "Allow", "GET, HEAD");
        return rc < 0 ? rc : reply_plain(x, 405);
    }
    weft_bytes rest = weft__http_match_rest(&x->match);
    weft_buf path = {0}, encoded = {0};
    if (rest.data == NULL)
        rest = weft_http_request_path(x);
    else
        rc = weft_buf_append(&encoded, "/", 1);
    if (rc == 0)
        rc = weft_buf_append(&encoded, rest.data, rest.len);
    if (rc == 0)
        rc = weft_http_path_decode(&path, encoded.data, encoded.len);
    if (rc == 0)
        rc = !files->dot_files && has_dot_file((const char *)path.data)
                 ? reply_plain(x, 404)
                 : serve_path(x, files, &path);
    else if (rc == WEFT_E_URL)
        rc = reply_plain(x, 400);
    weft_buf_free(&path);
    weft_buf_free(&encoded);
    return rc;
}
