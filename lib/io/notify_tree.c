/*
 * notify_tree.c - what is watched: which number of the kernel's is which path, and the directories
 * below one that is watched with all that it holds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/error.h>

#include "base/mem.h"
#include "base/sys.h"
#include "io/notify_priv.h"

#define WANTED                                                                                     \
    (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |            \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK | IN_MASK_CREATE)

const struct weft__notify_watch weft__notify_below = {.recursive = true, .is_directory = true};

/* ---- By number ------------------------------------------------------------------------------- */

/* Where the number is, or would be. */
static size_t
place_of(const struct weft__notify *notify, int number)
{
    size_t low = 0, high = notify->n_watches;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (notify->watches[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct weft__notify_watch *
weft__notify_find(const struct weft__notify *notify, int number)
{
    size_t at = place_of(notify, number);
    return at < notify->n_watches && notify->watches[at]->number == number ? notify->watches[at]
                                                                           : NULL;
}

static void
forget_at(struct weft__notify *notify, size_t at)
{
    weft__free(notify->watches[at]);
    notify->n_watches--;
    memmove(&notify->watches[at], &notify->watches[at + 1],
            (notify->n_watches - at) * sizeof notify->watches[0]);
}

void
weft__notify_forget(struct weft__notify *notify, int number)
{
    if (weft__notify_find(notify, number) != NULL)
        forget_at(notify, place_of(notify, number));
}

/* ---- One path -------------------------------------------------------------------------------- */

static struct weft__notify_watch *
watch_new(const struct weft__notify_watch *as, const char *path)
{
    size_t len = strlen(path);
    struct weft__notify_watch *watch = weft__alloc(sizeof *watch + len + 1);
    if (watch != NULL) {
        *watch = *as;
        memcpy(watch->path, path, len + 1); /* after it: the path begins within its last word */
    }
    return watch;
}

static int
make_room(struct weft__notify *notify)
{
    if (notify->n_watches < notify->cap)
        return 0;
    size_t cap = notify->cap == 0 ? 8 : 2 * notify->cap;
    void *watches = weft__resize(notify->watches, cap * sizeof notify->watches[0]);
    if (watches == NULL)
        return -ENOMEM;
    notify->watches = watches;
    notify->cap = cap;
    return 0;
}

static int
explain(int rc, const char *path)
{
    if (rc == -ENOSPC)
        return weft_error_note(rc,
                               "%s: the user has as many watches as fs.inotify.max_user_watches"
                               " allows",
                               path);
    return weft_error_note(rc, "%s: %s", path, weft_strerror(rc));
}

int
weft__notify_watch(struct weft__notify *notify, const struct weft__notify_watch *as,
                   const char *path)
{
    struct weft__notify_watch *watch = watch_new(as, path);
    int rc = watch == NULL ? -ENOMEM : make_room(notify);
    if (rc == 0)
        rc = weft__sys_inotify_add(notify->fd.raw, path,
                                   WANTED | (as->is_root ? 0u : IN_ONLYDIR | IN_DONT_FOLLOW));
    if (rc < 0) {
        weft__free(watch);
        return rc == -EEXIST ? 1 : explain(rc, path);
    }
    watch->number = rc;
    size_t at = place_of(notify, rc);
    memmove(&notify->watches[at + 1], &notify->watches[at],
            (notify->n_watches - at) * sizeof notify->watches[0]);
    notify->watches[at] = watch;
    notify->n_watches++;
    return 0;
}

/* What is left of the path below the folder: "" or "/…"; NULL when it is elsewhere. */
static const char *
below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    if (strncmp(path, folder, len) != 0)
        return NULL;
    return path[len] == '\0' || path[len] == '/' || (len > 0 && path[len - 1] == '/') ? path + len
                                                                                      : NULL;
}

void
weft__notify_drop(struct weft__notify *notify, const char *path, bool with_root)
{
    for (size_t i = notify->n_watches; i-- > 0;) {
        struct weft__notify_watch *watch = notify->watches[i];
        const char *rest = below(watch->path, path);
        if (rest == NULL || (watch->is_root && !(with_root && rest[0] == '\0')))
            continue;
        weft__sys_inotify_remove(notify->fd.raw, watch->number);
        forget_at(notify, i);
    }
}

int
weft__notify_rename(struct weft__notify *notify, const char *from, const char *to)
{
    for (size_t i = 0; i < notify->n_watches; i++) {
        struct weft__notify_watch *old = notify->watches[i];
        const char *rest = below(old->path, from);
        if (rest == NULL || old->is_root)
            continue;
        size_t len = strlen(to);
        struct weft__notify_watch *watch = weft__alloc(sizeof *watch + len + strlen(rest) + 1);
        if (watch == NULL)
            return -ENOMEM;
        *watch = *old;
        memcpy(watch->path, to, len);
        memcpy(watch->path + len, rest, strlen(rest) + 1);
        notify->watches[i] = watch;
        weft__free(old);
    }
    return 0;
}

/* ---- Going through directories --------------------------------------------------------------- */

static int
open_dir(const char *path, DIR **ret_dir)
{
    int fd, rc = 0;
#ifdef WEFT_TEST
    if (weft__torture_hit(WEFT__TORTURE_SYSCALL))
        return -weft__torture_errno();
#endif
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    *ret_dir = fdopendir(fd);
    if (*ret_dir == NULL) {
        rc = -errno;
        weft__sys_close(fd);
    }
    return rc;
}

int
weft__notify_scan_push(struct weft__notify_scan **scans, const char *path)
{
    size_t len = strlen(path);
    struct weft__notify_scan *scan = weft__alloc(sizeof *scan + len + 1);
    if (scan == NULL)
        return -ENOMEM;
    int rc = open_dir(path, &scan->dir);
    if (rc < 0) {
        weft__free(scan);
        return rc;
    }
    memcpy(scan->path, path, len + 1);
    scan->below = *scans;
    *scans = scan;
    return 0;
}

void
weft__notify_scan_pop(struct weft__notify_scan **scans)
{
    struct weft__notify_scan *scan = *scans;
    *scans = scan->below;
    closedir(scan->dir);
    weft__free(scan);
}

const char *
weft__notify_scan_next(struct weft__notify_scan *scan, bool *ret_is_directory)
{
    const struct dirent *entry;
    do
        entry = readdir(scan->dir);
    while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    if (entry == NULL)
        return NULL;
    struct stat status;
    *ret_is_directory = entry->d_type == DT_DIR || (entry->d_type == DT_UNKNOWN &&
                                                    fstatat(dirfd(scan->dir), entry->d_name,
                                                            &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                                                    S_ISDIR(status.st_mode));
    return entry->d_name;
}

int
weft__notify_text(weft_buf *text, const char *folder, const char *name)
{
    size_t len = strlen(folder);
    bool slash = name != NULL && (len == 0 || folder[len - 1] != '/');
    text->len = 0;
    int rc = weft_buf_append(text, folder, len);
    if (rc == 0 && slash)
        rc = weft_buf_append(text, "/", 1);
    if (rc == 0 && name != NULL)
        rc = weft_buf_append(text, name, strlen(name));
    return rc < 0 ? rc : weft_buf_append(text, "", 1);
}

/* Gone again, or not for us to see. */
static bool
is_passed_over(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -EACCES || rc == -ELOOP;
}

/* `found`: where directories go that were not watched yet, to be told of, instead of being walked
 * through. NULL: nowhere, and those that are watched already are passed over. */
static int
visit(struct weft__notify *notify, struct weft__notify_scan **scans,
      struct weft__notify_scan **found, const char *path)
{
    int rc = weft__notify_watch(notify, &weft__notify_below, path);
    if (rc == 0)
        rc = weft__notify_scan_push(found != NULL ? found : scans, path);
    else if (rc == 1 && found != NULL)
        rc = weft__notify_scan_push(scans, path);
    return rc < 0 && !is_passed_over(rc) ? explain(rc, path) : 0;
}

static int
walk(struct weft__notify *notify, struct weft__notify_scan **scans,
     struct weft__notify_scan **found, weft_buf *text)
{
    while (*scans != NULL) {
        bool is_directory;
        const char *name = weft__notify_scan_next(*scans, &is_directory);
        if (name == NULL) {
            weft__notify_scan_pop(scans);
            continue;
        }
        if (!is_directory)
            continue;
        int rc = weft__notify_text(text, (*scans)->path, name);
        if (rc == 0)
            rc = visit(notify, scans, found, (const char *)text->data);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
walk_all(struct weft__notify *notify, struct weft__notify_scan *scans,
         struct weft__notify_scan **found)
{
    weft_buf text = {0};
    int rc = walk(notify, &scans, found, &text);
    while (scans != NULL)
        weft__notify_scan_pop(&scans);
    weft_buf_free(&text);
    return rc;
}

int
weft__notify_watch_tree(struct weft__notify *notify, const char *path)
{
    struct weft__notify_scan *scans = NULL;
    int rc = weft__notify_scan_push(&scans, path);
    return rc < 0 ? explain(rc, path) : walk_all(notify, scans, NULL);
}

int
weft__notify_watch_strays(struct weft__notify *notify, const char *path)
{
    struct weft__notify_scan *scans = NULL;
    int rc = visit(notify, &scans, &notify->scans, path);
    return rc < 0 ? rc : walk_all(notify, scans, &notify->scans);
}
