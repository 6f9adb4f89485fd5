/*
 * dir_priv.h - records of directories, as the kernel gives them.
 */
#ifndef WEFT_LIB_IO_DIR_PRIV_H
#define WEFT_LIB_IO_DIR_PRIV_H

#include <string.h>

#include <weft/dir.h>

#include "io/file_priv.h"

/* The record at *at of a batch, which is moved behind it; without "." and "..". NULL at its end. */
static inline struct dirent64 *
weft__dirent_next(void *batch, size_t len, size_t *at)
{
    while (*at < len) {
        struct dirent64 *entry = (struct dirent64 *)(void *)((char *)batch + *at);
        *at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry;
    }
    return NULL;
}

/* Blocks, where the file system has not told the kind, or a link is to be followed. */
static inline weft_entry_kind
weft__dirent_kind(int dir, const struct dirent64 *entry, bool follow)
{
    mode_t mode = DTTOIF(entry->d_type);
    struct stat status;
    if (entry->d_type == DT_UNKNOWN)
        mode = weft__sys_fstatat(dir, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0
                   ? status.st_mode
                   : 0;
    if (S_ISLNK(mode) && follow && weft__sys_fstatat(dir, entry->d_name, &status, 0) == 0)
        mode = status.st_mode;
    return S_ISREG(mode)   ? WEFT_ENTRY_FILE
           : S_ISDIR(mode) ? WEFT_ENTRY_DIR
           : S_ISLNK(mode) ? WEFT_ENTRY_LINK
                           : WEFT_ENTRY_OTHER;
}

#endif
