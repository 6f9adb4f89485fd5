/*
 * file_raw.c - opening and writing, as threads for files do it.
 */
#include "io/file_priv.h"

int
weft__file_open_raw(const char *path, int flags, mode_t mode, struct stat *ret_status)
{
    if (flags & O_PATH)
        return -EINVAL;
    /* Opening a pipe would wait for its other end, and nothing could end that. */
    int fd = weft__sys_openat(AT_FDCWD, path, flags | O_NONBLOCK | O_NOCTTY, mode);
    if (fd == -EAGAIN) /* a regular file, lent to another process until we ask for it in earnest */
        fd = weft__sys_openat(AT_FDCWD, path, flags | O_NOCTTY, mode);
    if (fd < 0)
        return fd;
    struct stat status;
    int rc = weft__sys_fstat(fd, &status);
    if (rc == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
        rc = -ESPIPE;
    if (rc == 0 && S_ISCHR(status.st_mode)) {
        int64_t at = weft__sys_lseek(fd, 0, SEEK_CUR);
        rc = at < 0 ? (int)at : weft__sys_fcntl_getfl(fd);
        if (rc >= 0 && !(flags & O_NONBLOCK))
            rc = weft__sys_fcntl_setfl(fd, rc & ~O_NONBLOCK);
    }
    if (rc < 0) {
        weft__sys_close(fd);
        return rc;
    }
    *ret_status = status;
    return fd;
}

bool
weft__xfsz_hold(sigset_t *ret_old)
{
    sigset_t xfsz;
    sigemptyset(&xfsz);
    sigaddset(&xfsz, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &xfsz, ret_old);
    return !sigismember(ret_old, SIGXFSZ);
}

int
weft__xfsz_release(bool held, const sigset_t *old, int rc)
{
    if (!held)
        return rc; /* it was blocked, as on our own threads, and stays so */
    if (rc == -EFBIG) {
        sigset_t xfsz;
        sigemptyset(&xfsz);
        sigaddset(&xfsz, SIGXFSZ);
        (void)sigtimedwait(&xfsz, NULL, &(struct timespec){0, 0});
    }
    pthread_sigmask(SIG_SETMASK, old, NULL);
    return rc;
}

int
weft__file_write_raw(int fd, const void *buf, size_t len, uint64_t offset, size_t *done)
{
    const char *bytes = buf;
    sigset_t old;
    bool held = weft__xfsz_hold(&old);
    int rc = 0;
    *done = 0;
    while (*done < len && rc == 0) {
        size_t more = len - *done;
        if (WEFT_BUGGIFY(8) && more > 1)
            more = 1;
        ssize_t n = offset == WEFT__AT_END
                        ? weft__sys_write(fd, bytes + *done, more)
                        : weft__sys_pwrite(fd, bytes + *done, more, offset + *done);
        if (n > 0)
            *done += (size_t)n;
        else
            rc = n < 0 ? (int)n : -EIO; /* 0 bytes of some: it would go on for ever */
    }
    return weft__xfsz_release(held, &old, rc);
}
