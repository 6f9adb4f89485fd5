/*
 * dir.c - the names of one directory.
 *
 * A hop brings as many names as fit into 32 KiB. The kernel's place in the directory moves when a
 * hop runs, so that what it brought is kept even if its task was cancelled meanwhile.
 */
#include <weft/task.h>

#include "base/mem.h"
#include "io/dir_priv.h"

#define BATCH_BYTES ((size_t)32 << 10)

struct dir {
    unsigned char *batch; /* NULL: closed */
    size_t len, at;
    int fd;
    bool ended;
};
_Static_assert(sizeof(struct dir) <= sizeof(weft_dir), "weft_dir is too small");

struct opening {
    struct weft__hop hop;
    const char *path;
};

static int64_t
open_fn(struct weft__hop *hop)
{
    return weft__sys_openat(AT_FDCWD, ((struct opening *)hop)->path, O_RDONLY | O_DIRECTORY, 0);
}

int
weft_dir_open(weft_dir *public, const char *path)
{
    struct opening opening = {.hop.fn = open_fn, .path = path};
    int rc = (int)weft__hop_run(&opening.hop);
    if (rc < 0) {
        if (opening.hop.ran && opening.hop.result >= 0)
            (void)weft__hop_close((int)opening.hop.result);
        return weft__path_failed(rc, "open directory", path);
    }
    struct dir *dir = (struct dir *)(void *)public;
    *dir = (struct dir){.batch = weft__alloc(BATCH_BYTES), .fd = rc};
    if (dir->batch == NULL) {
        (void)weft__hop_close(rc);
        return -ENOMEM;
    }
    return 0;
}

struct filling {
    struct weft__hop hop;
    struct dir *dir;
};

/* With the kinds, so that none has to be asked for later. */
static int64_t
fill_fn(struct weft__hop *hop)
{
    static const unsigned char types[] = {
        [WEFT_ENTRY_OTHER] = DT_BLK,
        [WEFT_ENTRY_FILE] = DT_REG,
        [WEFT_ENTRY_DIR] = DT_DIR,
        [WEFT_ENTRY_LINK] = DT_LNK,
    };
    struct dir *dir = ((struct filling *)hop)->dir;
    ssize_t n = weft__sys_getdents(dir->fd, dir->batch, BATCH_BYTES);
    if (n <= 0)
        return n;
    struct dirent64 *entry;
    size_t at = 0;
    while ((entry = weft__dirent_next(dir->batch, (size_t)n, &at)) != NULL) {
        if (entry->d_type == DT_UNKNOWN)
            entry->d_type = types[weft__dirent_kind(dir->fd, entry, false)];
    }
    return n;
}

int
weft_dir_next(weft_dir *public, weft_dir_entry *ret_entry)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct dir *dir = (struct dir *)(void *)public;
    if (dir->batch == NULL)
        return -EBADF;
    for (;;) {
        struct dirent64 *entry = weft__dirent_next(dir->batch, dir->len, &dir->at);
        if (entry != NULL) {
            *ret_entry = (weft_dir_entry){
                .name = entry->d_name,
                .name_len = strlen(entry->d_name),
                .inode = entry->d_ino,
                .kind = weft__dirent_kind(dir->fd, entry, false), /* known: does not block */
            };
            return 1;
        }
        if (dir->ended)
            return 0;
        struct filling filling = {.hop.fn = fill_fn, .dir = dir};
        int64_t n = weft__hop_run(&filling.hop);
        if (filling.hop.ran && filling.hop.result >= 0) {
            dir->len = (size_t)filling.hop.result;
            dir->at = 0;
            dir->ended = dir->len == 0;
        }
        if (n < 0)
            return (int)n;
    }
}

void
weft_dir_close(weft_dir *public)
{
    struct dir *dir = (struct dir *)(void *)public;
    if (dir->batch == NULL)
        return;
    weft__free(dir->batch);
    dir->batch = NULL;
    (void)weft__hop_close(dir->fd);
}
