/*
 * file_sys.h - the system calls only files need, in the manner of base/sys.h.
 */
#ifndef WEFT_LIB_IO_FILE_SYS_H
#define WEFT_LIB_IO_FILE_SYS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/sys.h"

/* The descriptor is gone whatever happens, with an injected fault too. */
static inline int
weft__sys_close_told(int fd)
{
    int rc = close(fd) < 0 && errno != EINTR ? -errno : 0;
    WEFT__SYS_FAULT();
    return rc;
}

static inline ssize_t
weft__sys_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
    WEFT__SYS_RETRY(ssize_t, pwrite(fd, buf, len, (off_t)offset));
}

static inline int64_t
weft__sys_lseek(int fd, int64_t offset, int whence)
{
    WEFT__SYS_RETRY(int64_t, lseek(fd, offset, whence));
}

static inline int
weft__sys_fsync(int fd)
{
    WEFT__SYS_RETRY(int, fsync(fd));
}

static inline int
weft__sys_fdatasync(int fd)
{
    WEFT__SYS_RETRY(int, fdatasync(fd));
}

static inline int
weft__sys_ftruncate(int fd, uint64_t size)
{
    WEFT__SYS_RETRY(int, ftruncate(fd, (off_t)size));
}

static inline int
weft__sys_fstat(int fd, struct stat *ret_status)
{
    WEFT__SYS_RETRY(int, fstat(fd, ret_status));
}

static inline int
weft__sys_fstatat(int dir, const char *path, struct stat *ret_status, int flags)
{
    WEFT__SYS_RETRY(int, fstatat(dir, path, ret_status, flags));
}

static inline int
weft__sys_fchmod(int fd, mode_t mode)
{
    WEFT__SYS_RETRY(int, fchmod(fd, mode));
}

static inline int
weft__sys_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    WEFT__SYS_RETRY(int, renameat(from_dir, from, to_dir, to));
}

static inline int
weft__sys_unlinkat(int dir, const char *path, int flags)
{
    WEFT__SYS_RETRY(int, unlinkat(dir, path, flags));
}

static inline int
weft__sys_mkdir(const char *path, mode_t mode)
{
    WEFT__SYS_RETRY(int, mkdir(path, mode));
}

static inline int
weft__sys_mkdtemp(char *path)
{
    WEFT__SYS_FAULT();
    return mkdtemp(path) == NULL ? -errno : 0;
}

static inline int
weft__sys_remove(const char *path)
{
    WEFT__SYS_RETRY(int, remove(path));
}

/* Records of struct dirent64; 0 at the end. */
static inline ssize_t
weft__sys_getdents(int fd, void *buf, size_t len)
{
    WEFT__SYS_RETRY(ssize_t, getdents64(fd, buf, len));
}

#endif
