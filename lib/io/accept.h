/*
 * accept.h - what errors of accept(2) say.
 */
#ifndef WEFT_LIB_IO_ACCEPT_H
#define WEFT_LIB_IO_ACCEPT_H

#include <errno.h>
#include <stdbool.h>

/* Errors of the connection that was about to be accepted: accept(2) says to treat them like
 * EAGAIN and try the next. Without EOPNOTSUPP, which says here that this is no listener. */
static inline bool
weft__accept_passes_over(int error)
{
    switch (-error) {
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM:
        return true;
    default:
        return false;
    }
}

/* Errors that others' descriptors or memory, once given back, may heal. */
static inline bool
weft__accept_short(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

#endif
