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
#define MORE 1 /* there is something left for another hop */

struct removing {
    struct weft__hop hop;
    const char *path;
};

static int remove_one(int dir, const char *name, bool is_dir, unsigned *left);

/* What is in one directory; takes the descriptor. 0, MORE, or an error. */
static int
remove_content(int fd, unsigned *left)
{
    int rc = 0;
    unsigned removed;
    void *batch = weft__alloc(BATCH_BYTES);
    if (batch == NULL) {
        weft__sys_close(fd);
        return -ENOMEM;
    }
    do { /* a file system may skip names when others before them have gone: until none is seen */
        removed = 0;
        ssize_t n;
        while (rc == 0 && (n = weft__sys_getdents(fd, batch, BATCH_BYTES)) != 0) {
            rc = n < 0 ? (int)n : 0;
            struct dirent64 *entry;
            for (size_t at = 0;
                 rc == 0 && (entry = weft__dirent_next(batch, (size_t)n, &at)) != NULL; removed++)
                rc = remove_one(fd, entry->d_name, entry->d_type == DT_DIR, left);
        }
        if (rc == 0 && removed > 0) {
            int64_t at = weft__sys_lseek(fd, 0, SEEK_SET);
            rc = at < 0 ? (int)at : 0;
        }
    } while (rc == 0 && removed > 0);
    weft__free(batch);
    weft__sys_close(fd);
    return rc;
}

static int
remove_one(int dir, const char *name, bool is_dir, unsigned *left)
{
    if (*left == 0)
        return MORE;
    int rc = is_dir ? -EISDIR : weft__sys_unlinkat(dir, name, 0);
    if (rc == -EISDIR || rc == -EPERM) {
        int fd = weft__sys_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd == -ENOTDIR && rc == -EPERM)
            return rc;
        if (fd >= 0) {
            rc = remove_content(fd, left);
            if (rc != 0)
                return rc;
        } else if (fd != -EACCES) { /* one that cannot be read may still be empty */
            return fd == -ENOENT ? 0 : fd;
        }
        rc = weft__sys_unlinkat(dir, name, AT_REMOVEDIR);
        if (fd < 0 && rc == -ENOTEMPTY)
            rc = fd;
    }
    *left -= *left > 0;
    return rc == -ENOENT ? 0 : rc;
}

static int64_t
removing_fn(struct weft__hop *hop)
{
    unsigned left = NAMES;
    return remove_one(AT_FDCWD, ((struct removing *)hop)->path, false, &left);
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
