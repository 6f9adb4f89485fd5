/*
 * fd_priv.h - what a descriptor object holds.
 */
#ifndef WEFT_LIB_IO_FD_PRIV_H
#define WEFT_LIB_IO_FD_PRIV_H

#include <sys/uio.h>

#include <weft/fd.h>

#include "flow/stand.h"
#include "loop/loop_priv.h"

enum weft__fd_kind {
    WEFT__FD_SOCKET, /* a stream socket: a short read empties it, unless the peer has hung up */
    WEFT__FD_OTHER
};

/* On the stack of a task that waits, from before its wait until it has run again. */
struct weft__fd_wait {
    struct weft__ticket ticket;
    struct weft__stand *stand; /* of a select; NULL: this is all that is waited for */
    bool closed; /* meanwhile: the memory of the descriptor object may be gone, or another's */
};

struct weft__fd {
    struct weft__watch watch;     /* first */
    struct weft_loop *loop;       /* NULL once closed */
    struct weft__fd_wait *reader; /* NULL: nobody waits */
    struct weft__fd_wait *writer;
    struct weft__link suspect; /* see suspects.c */
    int raw;
    uint8_t kind;
    bool readable; /* as far as we know: try before waiting */
    bool writable;
    bool hung_up; /* the peer sends no more: short reads prove nothing */
    bool unsure;  /* not readable is what a short read says, not the kernel: see suspects.c */
};
_Static_assert(sizeof(struct weft__fd) <= sizeof(weft_fd), "weft_fd is too small");

/* A descriptor that is known to be pollable and non-blocking already. */
void weft__fd_init(struct weft__fd *fd, int raw, enum weft__fd_kind kind);
/* The object behind the public one, open and on this loop; NULL when closed. Aborts elsewhere. */
struct weft__fd *weft__fd_of(const weft_fd *public);
/* Asks the kernel: 1 when reading, or writing, would not block; 0; an error. */
int weft__fd_look(struct weft__fd *fd, unsigned what);
/* After weft__wait_begin: waits for readiness. 0, -EBUSY, an error of the poller, a cancellation,
 * or -EBADF: then the object was closed meanwhile and must not be looked at again. */
int weft__fd_wait(struct weft__fd *fd, unsigned what);
/* Its two halves, around the suspension. The first gives 0, -EBUSY or an error of the poller; the
 * second -EBADF when the object was closed meanwhile, and 0. */
int weft__fd_wait_begin(struct weft__fd *fd, unsigned what, struct weft__fd_wait *wait);
int weft__fd_wait_end(struct weft__fd *fd, unsigned what, struct weft__fd_wait *wait);

/* Never wait: what the call gives, or -EAGAIN, for which the kernel is asked only where it is not
 * known already. After -EAGAIN of the first, the second waits until it is worth trying again; after
 * -EAGAIN of the third, weft__fd_wait(fd, WEFT__WRITABLE). len, and the sum of the vectors, are
 * more than 0. */
ssize_t weft__fd_try_read(struct weft__fd *fd, void *buf, size_t len);
int weft__fd_wait_to_read(struct weft__fd *fd);
ssize_t weft__fd_try_writev(struct weft__fd *fd, const struct iovec *vectors, int n);

/* suspects.c: readers that wait after a short read which the edge that woke them may not cover. */
void weft__suspect_add(struct weft__fd *fd);
void weft__suspect_remove(struct weft__fd *fd);

#endif
