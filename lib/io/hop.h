/*
 * hop.h - one call made on a thread for files, and what came of it.
 */
#ifndef WEFT_LIB_IO_HOP_H
#define WEFT_LIB_IO_HOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sys.h"

/* First member of what a call is given, and gives. */
struct weft__hop {
    int64_t (*fn)(struct weft__hop *hop);
    int64_t result; /* what fn gave, */
    bool ran;       /* if it has run */
};

/* Bytes that one hop moves at most where a caller gave no buffer of its own: a cancelled task does
 * not wait longer than for these. */
#define WEFT__HOP_BYTES ((size_t)8 << 20)

/* Makes the call: its result; or a cancellation, or why no thread could make it. After a
 * cancellation hop->ran tells whether it was made all the same; it is over in any case. */
int64_t weft__hop_run(struct weft__hop *hop);
/* Makes it whatever happens, for cleaning up; does not look for cancellation. */
int64_t weft__hop_always(struct weft__hop *hop);

/* Closes a descriptor, in this way. */
int weft__hop_close(int fd);

/* Notes what could not be done with which path; rc again. Cancellations are not noted. */
int weft__path_failed(int rc, const char *verb, const char *path);

#endif
