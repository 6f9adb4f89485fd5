/*
 * file.h - files: regular files, and devices that have positions.
 *
 * A disk cannot be polled, so each call is made on a thread of the runtime's own for files while
 * its task is suspended. On a plain thread the calls simply block.
 *
 * A cancelled call that has not started is taken back; one that runs is waited for, so that no
 * buffer is touched after a call has returned. The object keeps its position itself and moves it
 * only when a call succeeds: what was cancelled, or failed, can be done again.
 *
 * Pipes, terminals and sockets have no position: they are for weft_stream_open_fd.
 */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <weft/base.h>

/* In the caller's memory, from open until it is closed and calls in progress on it have returned;
 * it must not move. All zero is a closed file. */
typedef struct weft_file {
    uint64_t opaque_[16];
} weft_file;

typedef struct weft_file_options {
    int flags;       /* of open(2): O_RDONLY is 0; O_WRONLY or O_RDWR, O_CREAT, O_EXCL, O_TRUNC,
                        O_APPEND, O_NOFOLLOW, O_SYNC… Closed on exec in any case */
    mode_t mode;     /* of a new file, less the umask; 0: 0666 */
    size_t line_max; /* longest line of weft_file_read_line, in bytes; 0: 1 MiB */
} weft_file_options;

WEFT_BEGIN_DECLS

/* ---- An open file --------------------------------------------------------------------------- */

/*
 * weft_file_open - open a file
 *
 * options  NULL opens for reading
 *
 * Returns  0; -ESPIPE or -ENXIO for what has no position; -EINVAL for O_PATH;
 *          -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (nothing is open; with
 *          O_CREAT or O_TRUNC it may have been done); open(2)'s errno, negated
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.open, open(2)
 */
WEFT_WAITS int weft_file_open(weft_file *file, const char *path, const weft_file_options *options);

/*
 * weft_file_close - close a file
 *
 * Calls of others that are in progress come to their end first: the last of them closes it.
 *
 * file     may be closed already
 *
 * Returns  0; errors of writing that a file system tells only now (-EIO, -ENOSPC, -EDQUOT): it is
 *          closed all the same
 * Waits    only as long as close(2) takes; never looks for cancellation
 * Threads  any
 * Source   aiofiles close, close(2)
 */
int weft_file_close(weft_file *file);

/*
 * weft_file_raw - the descriptor's number, for calls that have no place here
 *
 * Returns  0 or more; -EBADF when closed
 * Waits    no
 * Threads  any
 * Source   fileno(3)
 */
int weft_file_raw(const weft_file *file);

/*
 * weft_file_read - read from the file's position on, and move it
 *
 * Returns  bytes read: len, or fewer at the end of the file, 0 there (devices may give fewer at
 *          any time); -EISDIR; -EBUSY while another call uses the position; -EBADF when closed, or
 *          not open for reading; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first;
 *          pread(2)'s errno, negated. The position is moved on success alone
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles read, read(2)
 */
WEFT_WAITS ssize_t weft_file_read(weft_file *file, void *buf, size_t len);

/*
 * weft_file_write - write at the file's position, or with O_APPEND at its end, and move it
 *
 * Returns  bytes written: len, or fewer when the disk is full or a limit is reached after some;
 *          -ENOSPC, -EDQUOT or -EFBIG when none would fit (SIGXFSZ is not raised); -EBUSY, -EBADF,
 *          cancellation as weft_file_read: then bytes may have been written, but the position is
 *          as it was; pwrite(2)'s errno, negated
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   write(2)
 */
WEFT_WAITS ssize_t weft_file_write(weft_file *file, const void *buf, size_t len);

/*
 * weft_file_write_all - write all bytes at the file's position, or with O_APPEND at its end
 *
 * ret_written  out, also on failure: how many bytes were written, and the position moved by; may
 *              be NULL
 *
 * Returns  0; errors of weft_file_write
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles write
 */
WEFT_WAITS int weft_file_write_all(weft_file *file, const void *buf, size_t len,
                                   size_t *ret_written);

/*
 * weft_file_pread - read at an offset; the position is not used
 *
 * Any number of these may be in progress at once.
 *
 * Returns  as weft_file_read, but for -EBUSY; -EINVAL for an offset above INT64_MAX
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   pread(2)
 */
WEFT_WAITS ssize_t weft_file_pread(weft_file *file, void *buf, size_t len, uint64_t offset);

/*
 * weft_file_pwrite - write at an offset; the position is not used
 *
 * Any number of these may be in progress at once. With O_APPEND the kernel writes at the end.
 *
 * Returns  as weft_file_write, but for -EBUSY; -EINVAL for an offset above INT64_MAX
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   pwrite(2)
 */
WEFT_WAITS ssize_t weft_file_pwrite(weft_file *file, const void *buf, size_t len, uint64_t offset);

/*
 * weft_file_read_line - read a line from the file's position on, and move it behind the line
 *
 * Much is read at once and kept for the next lines. What this object writes later is seen; what
 * others write to what has been read already is not.
 *
 * ret_line  out: without its end, "\n" or "\r\n"; the file's, until the next call that uses the
 *           position. The last line need not have an end
 *
 * Returns  1; 0 at the end of the file; -EMSGSIZE when the line is longer than .line_max (the
 *          position is as it was); -ENOMEM; errors of weft_file_read
 * Waits    yes; looks for cancellation even when the line is there
 * Threads  any
 * Source   aiofiles readline, and async for over a file
 */
WEFT_WAITS int weft_file_read_line(weft_file *file, weft_bytes *ret_line);

/*
 * weft_file_seek - move the position
 *
 * whence   SEEK_SET, SEEK_CUR, SEEK_END; SEEK_DATA and SEEK_HOLE where there are such
 *
 * Returns  the new position; -EINVAL when it would be negative, or for another whence; -EOVERFLOW;
 *          -ENXIO; -EBUSY, -EBADF, cancellation as weft_file_read
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles seek, lseek(2)
 */
WEFT_WAITS int64_t weft_file_seek(weft_file *file, int64_t offset, int whence);

/*
 * weft_file_tell - the position
 *
 * Returns  0 or more; -EBADF when closed; -EBUSY while a call uses it
 * Waits    no
 * Threads  any
 * Source   aiofiles tell
 */
int64_t weft_file_tell(weft_file *file);

/*
 * weft_file_truncate - cut or extend a file; the position stays
 *
 * Returns  0; -EINVAL for a size above INT64_MAX; ftruncate(2)'s errno, negated; -EBADF,
 *          cancellation as weft_file_read: then it may have been done
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles truncate, ftruncate(2)
 */
WEFT_WAITS int weft_file_truncate(weft_file *file, uint64_t size);

/*
 * weft_file_sync - have everything written reach the disk
 *
 * Writes keep nothing in this process, so that there is nothing else to flush.
 *
 * Returns  0; -EIO, -ENOSPC, -EDQUOT; -EBADF, cancellation as weft_file_read
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles flush, fsync(2)
 */
WEFT_WAITS int weft_file_sync(weft_file *file);

/*
 * weft_file_datasync - the same, without what is not needed to read it back: times
 *
 * Returns  as weft_file_sync
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   fdatasync(2)
 */
WEFT_WAITS int weft_file_datasync(weft_file *file);

/*
 * weft_file_stat - size, times, kind of an open file
 *
 * Returns  0; fstat(2)'s errno, negated; -EBADF, cancellation as weft_file_read
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   fstat(2)
 */
WEFT_WAITS int weft_file_stat(weft_file *file, struct stat *ret_status);

/* ---- Whole files ---------------------------------------------------------------------------- */

/*
 * weft_file_read_all - the content of a file
 *
 * Read to its end, whatever its size was said to be: files that grow, and those of /proc.
 *
 * out      out: the bytes are added behind what is there; on failure its bytes are as they were
 * max      most bytes; SIZE_MAX for no limit
 *
 * Returns  0; -EFBIG when there are more than max; -EISDIR; -ENOMEM; errors of weft_file_open and
 *          weft_file_read
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles read, pathlib.Path.read_bytes
 */
WEFT_WAITS int weft_file_read_all(const char *path, weft_buf *out, size_t max);

/*
 * weft_file_write_atomic - replace the content of a file, wholly or not at all
 *
 * Written to a temporary file beside it, which reaches the disk and is then renamed; the directory
 * is made to reach the disk too. Until then readers see the old content. A symbolic link is
 * replaced, not followed.
 *
 * mode     of the file, less the umask; 0: that of the file replaced, or 0666
 *
 * Returns  0; -EINVAL for a device or a pipe, which is never replaced; -ENOSPC, -EFBIG, -EACCES,
 *          -EISDIR…, -ECANCELED or -ETIMEDOUT: the old content is there, and the temporary file
 *          is not. When the directory could not be made to reach the disk, the new content is
 *          there, and weft_error_text() says so
 * Waits    yes; looks for cancellation first, and not any more once the renaming has begun
 * Threads  any
 * Source   rename(2); g_file_set_contents, renameio
 */
WEFT_WAITS int weft_file_write_atomic(const char *path, weft_bytes bytes, mode_t mode);

/*
 * weft_file_append - add bytes at the end of a file, which is made if there is none
 *
 * mode         of a new file, less the umask; 0: 0666
 * ret_written  out, also on failure; may be NULL
 *
 * Returns  0; errors of weft_file_open and weft_file_write
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.open(mode="a")
 */
WEFT_WAITS int weft_file_append(const char *path, weft_bytes bytes, mode_t mode,
                                size_t *ret_written);

/* ---- Names ---------------------------------------------------------------------------------- */

/* What weft_path_stat does with a symbolic link. */
typedef enum weft_links {
    WEFT_LINKS_FOLLOW = 0,
    WEFT_LINKS_KEEP = 1 /* the link itself is meant */
} weft_links;

/*
 * weft_path_stat - size, times, kind of what a path names
 *
 * Returns  0; -ENOENT, -ENOTDIR, -EACCES, -ELOOP…; cancellation
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.os.stat, stat(2), lstat(2)
 */
WEFT_WAITS int weft_path_stat(const char *path, weft_links links, struct stat *ret_status);

/*
 * weft_path_exists - whether a path names anything
 *
 * Returns  1; 0 when there is no such file, or a link that leads nowhere; -EACCES, -ELOOP… when
 *          that cannot be told; cancellation
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.os.path.exists
 */
WEFT_WAITS int weft_path_exists(const char *path);

/*
 * weft_path_remove - remove a file, a symbolic link, or an empty directory
 *
 * Returns  0; -ENOENT; -ENOTEMPTY; -EACCES, -EPERM, -EBUSY…; cancellation: then it may have been
 *          done
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.os.remove, remove(3)
 */
WEFT_WAITS int weft_path_remove(const char *path);

/*
 * weft_path_remove_tree - remove a directory and all in it; a file likewise
 *
 * Symbolic links are removed, never followed. What is not there any more is no error.
 *
 * Returns  0, also when there is no such path; -EINVAL for "/"; -EACCES, -EBUSY, -EMFILE (it is too
 *          deep)…, and cancellation: a part may have been removed
 * Waits    yes; looks for cancellation first, and between every few hundred names
 * Threads  any
 * Source   shutil.rmtree
 */
WEFT_WAITS int weft_path_remove_tree(const char *path);

/*
 * weft_path_rename - give a file another name, replacing what had it
 *
 * Returns  0; -EXDEV across file systems; -EISDIR, -ENOTDIR, -ENOTEMPTY, -EACCES…; cancellation:
 *          then it may have been done
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.os.rename, rename(2)
 */
WEFT_WAITS int weft_path_rename(const char *from, const char *to);

/*
 * weft_path_mkdir - make a directory
 *
 * mode     less the umask; 0: 0777
 * parents  make those that are missing above it too, and be content with one that is there
 *
 * Returns  0; -EEXIST; -ENOENT when the one above is missing; -ENOTDIR, -EACCES…; cancellation:
 *          then it may have been done
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.os.mkdir, makedirs
 */
WEFT_WAITS int weft_path_mkdir(const char *path, mode_t mode, int parents);

/*
 * weft_path_mkdir_temp - make a directory with a name nothing else has, for its owner alone
 *
 * path     in and out: ends in XXXXXX, which become other letters; as it was on failure
 *
 * Returns  0; -EINVAL when it does not end so; -EACCES, -ENOENT…; cancellation: it was removed
 * Waits    yes; looks for cancellation first
 * Threads  any
 * Source   aiofiles.tempfile.TemporaryDirectory, mkdtemp(3)
 */
WEFT_WAITS int weft_path_mkdir_temp(char *path);

WEFT_END_DECLS

#endif
