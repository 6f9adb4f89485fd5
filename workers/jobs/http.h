/*
 * http.h - as much of HTTP/1.1 as fetch needs: one GET and its response, read piece by piece.
 *
 * No input or output happens here, so the task and the blocking twin send the same bytes and read
 * the answer by the same rules.
 */
#ifndef WEFT_SAMPLE_HTTP_H
#define WEFT_SAMPLE_HTTP_H

#include <sys/socket.h>

#include <weft/base.h>

/* A response on its way in. */
struct sample_http {
    uint64_t status;
    uint64_t length; /* Content-Length, or UINT64_MAX: until the server closes */
    uint64_t seen;   /* bytes of the body so far */
    uint64_t hash;   /* of the body so far */
    uint32_t lines;  /* complete lines of the head */
    uint32_t line_len;
    unsigned in_body;
    char line[48]; /* begin of the present head line; what is longer does not concern us */
};

/* Where to fetch from: socket address and the words of the request. */
struct sample_target {
    struct sockaddr_storage address;
    socklen_t address_len;
    weft_bytes host;
    weft_bytes path;
};

/* Reads "ADDRESS:PORT HOST PATH"; -EINVAL when it is something else. */
int sample_target_read(struct sample_target *target, weft_bytes *rest);

/* Writes the request into buf; returns its length, or -E2BIG. */
ssize_t sample_http_request(const struct sample_target *target, char *buf, size_t cap);

void sample_http_begin(struct sample_http *http);

/* Takes bytes in. Returns 1 when the response is complete, 0 for more, -EPROTO for what is not
 * HTTP. */
int sample_http_feed(struct sample_http *http, const char *data, size_t len);

/* The server closed. Returns 0 when the response is complete, -ECONNABORTED when it is not. */
int sample_http_eof(const struct sample_http *http);

#endif
