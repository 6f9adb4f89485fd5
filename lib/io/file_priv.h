/*
 * file_priv.h - opening, reading and writing, as threads for files do it: these calls block.
 */
#ifndef WEFT_LIB_IO_FILE_PRIV_H
#define WEFT_LIB_IO_FILE_PRIV_H

#include "io/file_sys.h"
#include "io/hop.h"

#define WEFT__AT_END UINT64_MAX /* in place of an offset: where O_APPEND puts it */

/* A descriptor of something that has positions; -ESPIPE for what has none. */
int weft__file_open_raw(const char *path, int flags, mode_t mode, struct stat *ret_status);
/* Writes all it can. 0, or the error that ended it; *done says how much was written before. */
int weft__file_write_raw(int fd, const void *buf, size_t len, uint64_t offset, size_t *done);
/* Around calls that may raise SIGXFSZ; the result goes through the second. */
bool weft__xfsz_hold(sigset_t *ret_old);
int weft__xfsz_release(bool held, const sigset_t *old, int rc);

#endif
