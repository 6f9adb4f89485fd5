/*
 * rivals.h - echo servers without weft, to be measured beside ours.
 *
 * Each serves connections from a listening socket on the calling thread until the process is
 * ended by a signal. A server sends back what it reads; after a short read it waits for
 * readiness, as ours does, so none pays for a system call that the others save.
 */
#ifndef BENCH_RIVALS_H
#define BENCH_RIVALS_H

#define RIVAL_BUF_BYTES 4096

/* Level-triggered epoll, nothing else. Returns a negative errno when it cannot go on. */
int rival_epoll_echo(int listener);

/* libevent's event core: one persistent read event for each connection. */
int rival_libevent_echo(int listener);

/* Writes all of it to a non-blocking socket, waiting where there is no room. 0 or a negative
 * errno. A 64-byte echo always finds room, so how one waits is not part of the measurement. */
int rival_write_all(int fd, const char *buf, long len);

#endif
