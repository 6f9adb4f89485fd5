/*
 * parse.h - heads of HTTP/1.1 messages read strictly, as their bytes come.
 *
 * No input or output here, and no memory: views point into the bytes that the caller has. A line is
 * judged once it is all there, so a message gives the same result however it was cut into pieces.
 * What two parties could read differently is refused, not repaired: that is how requests get
 * smuggled.
 */
#ifndef WEFT_LIB_HTTP_PARSE_H
#define WEFT_LIB_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/http.h>

/* A field line; views into the head. The value is without blanks around it, and may be empty. */
struct weft__http_field {
    const char *name, *value;
    uint32_t name_len, value_len;
};

/* All are hard: one byte, or one field, more is WEFT_E_HTTP_LARGE. */
struct weft__http_limits {
    size_t head_bytes;   /* the whole head with its empty line; at most UINT32_MAX counts */
    unsigned fields;     /* field lines: the size of the caller's array */
    size_t target_bytes; /* of a request's target */
};

struct weft__http_request {
    const char *method, *target; /* views into the head */
    uint32_t method_len, target_len;
    uint8_t method_id; /* enum weft_http_method; WEFT_HTTP_OTHER for a token it has no name for */
    uint8_t version_minor;   /* 0 or 1; HTTP/1.2 and later count as 1 */
    bool keep_alive;         /* the connection may be used for another request */
    bool chunked;            /* a chunked body follows; never with has_length */
    bool has_length;         /* content_length bytes of body follow; neither: there is no body */
    bool expect_continue;    /* the client waits for 100 before it sends the body */
    bool has_host;           /* there was a Host field, which may be empty */
    bool upgrade;            /* Upgrade, and Connection names it */
    uint64_t content_length; /* with has_length */
    /* The target's authority where it has one, else the Host field: name, or address, and port. */
    const char *host;
    uint32_t host_len;
    unsigned n_fields;
    struct weft__http_field *fields; /* the caller's array of limits.fields, set before the parse */
};

/* What of a body follows a response's head (RFC 9112 6.3). */
enum weft__http_body {
    WEFT__HTTP_BODY_NONE,    /* nothing: HEAD, 1xx, 204, 304, Content-Length: 0 */
    WEFT__HTTP_BODY_LENGTH,  /* content_length bytes */
    WEFT__HTTP_BODY_CHUNKED, /* chunks */
    WEFT__HTTP_BODY_CLOSE,   /* all bytes until the connection ends */
    WEFT__HTTP_BODY_TUNNEL   /* CONNECT was granted, or 101: it is no HTTP from here on */
};

struct weft__http_response {
    const char *reason; /* view into the head; may be empty */
    uint32_t reason_len;
    int status;            /* 100 to 599 */
    uint8_t version_minor; /* 0 or 1 */
    uint8_t body;          /* enum weft__http_body */
    bool keep_alive;       /* the connection may be used again, once the body was read */
    bool chunked;          /* what the fields say, also when no body follows (HEAD, 304) */
    bool has_length;
    bool upgrade;
    uint64_t content_length; /* with has_length */
    unsigned n_fields;
    struct weft__http_field *fields; /* the caller's array of limits.fields, set before the parse */
};

/* Where a parse stands between calls, so that a head which trickles in byte by byte costs linear
 * time in all. All zero to begin, and again for the next message. */
struct weft__http_scan {
    size_t scanned; /* bytes of lines that were judged */
    size_t looked;  /* bytes known to hold no further end of line; at least scanned */
    /* Of the parser. */
    uintptr_t base_; /* where the bytes were in the last call */
    uint64_t length_;
    uint32_t first_, first_len_, second_, second_len_; /* of the start line: offset and length */
    uint32_t host_, host_len_;
    uint32_t n_fields_;
    uint32_t seen_; /* bits */
    uint16_t status_;
    uint8_t phase_, minor_, method_, blanks_;
};

/*
 * Reads a request's head. data and len: all bytes from the start of the message that are there;
 * they may have moved since the last call with this scan, while request and its array are the same.
 *
 * More than 0: the bytes of the head, and request is filled. 0: more is needed. WEFT_E_HTTP,
 * WEFT_E_HTTP_LARGE or WEFT_E_HTTP_VERSION with a detail by weft_error_note: *ret_status is then
 * what to answer before the connection is closed (400, 414, 417, 431, 501, 505). Up to four empty
 * lines before the request are skipped, and counted as part of the head.
 */
ssize_t weft__http_parse_request(struct weft__http_request *request, struct weft__http_scan *scan,
                                 const char *data, size_t len,
                                 const struct weft__http_limits *limits, int *ret_status);

/* The same for a response to a request of that method (enum weft_http_method), on which depends
 * whether a body follows. */
ssize_t weft__http_parse_response(struct weft__http_response *response,
                                  struct weft__http_scan *scan, unsigned method, const char *data,
                                  size_t len, const struct weft__http_limits *limits);

/* The lines of trailer fields that weft__http_chunks kept, as views. Their number, at most max;
 * WEFT_E_HTTP_LARGE when there are more. */
ssize_t weft__http_parse_trailers(struct weft__http_field *fields, unsigned max, const char *data,
                                  size_t len);

#endif
