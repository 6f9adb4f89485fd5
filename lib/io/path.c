/*
 * path.c - what is done with names alone.
 */
#include <string.h>

#include <weft/file.h>

#include "base/mem.h"
#include "io/file_priv.h"

struct naming {
    struct weft__hop hop;
    const char *path;
    const char *to;
    char *template;
    weft_links links;
    mode_t mode;
    bool parents;
    struct stat status;
};

static int64_t
stat_fn(struct weft__hop *hop)
{
    struct naming *naming = (struct naming *)hop;
    return weft__sys_fstatat(AT_FDCWD, naming->path, &naming->status,
                             naming->links == WEFT_LINKS_KEEP ? AT_SYMLINK_NOFOLLOW : 0);
}

static int64_t
remove_fn(struct weft__hop *hop)
{
    return weft__sys_remove(((struct naming *)hop)->path);
}

static int64_t
rename_fn(struct weft__hop *hop)
{
    struct naming *naming = (struct naming *)hop;
    return weft__sys_renameat(AT_FDCWD, naming->path, AT_FDCWD, naming->to);
}

static int
is_dir(const char *path)
{
    struct stat status;
    int rc = weft__sys_fstatat(AT_FDCWD, path, &status, 0);
    return rc < 0 ? rc : S_ISDIR(status.st_mode);
}

static int
make_parents(char *path, mode_t mode)
{
    int rc = 0;
    for (char *at = path; rc == 0 && *at != '\0';) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        char *rest = at + strspn(at, "/");
        bool last = *rest == '\0';
        char kept = *at;
        *at = '\0';
        rc = weft__sys_mkdir(path, last ? mode : 0777);
        /* Those above may be on a file system that makes none, and says that before EEXIST. */
        if (rc < 0 && (rc == -EEXIST || !last)) {
            int there = is_dir(path);
            if (there > 0)
                rc = 0;
            else if (rc == -EEXIST && !last)
                rc = there < 0 ? there : -ENOTDIR;
        }
        *at = kept;
        at = rest;
    }
    return rc;
}

static int64_t
mkdir_fn(struct weft__hop *hop)
{
    struct naming *naming = (struct naming *)hop;
    if (!naming->parents || naming->path[0] == '\0')
        return weft__sys_mkdir(naming->path, naming->mode);
    size_t size = strlen(naming->path) + 1;
    char *copy = weft__alloc(size);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, naming->path, size);
    int rc = make_parents(copy, naming->mode);
    weft__free(copy);
    return rc;
}

static int64_t
mkdir_temp_fn(struct weft__hop *hop)
{
    return weft__sys_mkdtemp(((struct naming *)hop)->template);
}

int
weft_path_stat(const char *path, weft_links links, struct stat *ret_status)
{
    struct naming naming = {.hop.fn = stat_fn, .path = path, .links = links};
    int rc = (int)weft__hop_run(&naming.hop);
    if (rc == 0)
        *ret_status = naming.status;
    return rc;
}

int
weft_path_exists(const char *path)
{
    struct naming naming = {.hop.fn = stat_fn, .path = path};
    int rc = (int)weft__hop_run(&naming.hop);
    return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc < 0 ? rc : 1;
}

int
weft_path_remove(const char *path)
{
    struct naming naming = {.hop.fn = remove_fn, .path = path};
    return weft__path_failed((int)weft__hop_run(&naming.hop), "remove", path);
}

int
weft_path_rename(const char *from, const char *to)
{
    struct naming naming = {.hop.fn = rename_fn, .path = from, .to = to};
    return weft__path_failed((int)weft__hop_run(&naming.hop), "rename", from);
}

int
weft_path_mkdir(const char *path, mode_t mode, int parents)
{
    struct naming naming = {
        .hop.fn = mkdir_fn, .path = path, .mode = mode != 0 ? mode : 0777, .parents = parents};
    return weft__path_failed((int)weft__hop_run(&naming.hop), "make directory", path);
}

int
weft_path_mkdir_temp(char *path)
{
    size_t len = strlen(path);
    struct naming naming = {.hop.fn = mkdir_temp_fn, .template = path, .path = path};
    int rc = (int)weft__hop_run(&naming.hop);
    if (rc == 0)
        return 0;
    if (naming.hop.ran && naming.hop.result == 0) {
        naming.hop.fn = remove_fn;
        (void)weft__hop_always(&naming.hop);
    }
    if (len >= 6 && rc != -EINVAL)
        memcpy(path + len - 6, "XXXXXX", 6);
    return weft__path_failed(rc, "make directory", path);
}
