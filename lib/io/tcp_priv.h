/*
 * tcp_priv.h - connecting a socket that is there already.
 */
#ifndef WEFT_LIB_IO_TCP_PRIV_H
#define WEFT_LIB_IO_TCP_PRIV_H

#include <weft/net.h>

#include "io/fd_priv.h"

/* After weft__wait_begin: connects a non-blocking socket and opens it on this loop. On any failure
 * it is closed. Results as of weft_tcp_connect. */
int weft__tcp_connect_raw(weft_fd *connection, int raw, const weft_address *address);

#endif
