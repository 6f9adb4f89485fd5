/*
 * client_priv.h - what the parts of the HTTP client share that know nothing of curl.
 */
#ifndef WEFT_LIB_HTTP_CLIENT_PRIV_H
#define WEFT_LIB_HTTP_CLIENT_PRIV_H

#include <stdbool.h>

#include <weft/http_client.h>

#define WEFT__CLIENT_HEAD_MAX (256u * 1024) /* bytes of a response's head */

/* client_head.c */

/* The head of a response as its lines come: status lines begin anew, so what is there at the end
 * is the last one of interim responses and redirects. */
struct weft__client_head {
    weft_buf lines; /* each without its end, with a zero byte behind it */
    int status;
    bool open;     /* between a status line and the empty line */
    bool location; /* it says where to go instead */
};

/* Takes one line, its end included: 1 when it was the empty line at the end of the head, 0,
 * -ENOMEM, WEFT_E_HTTP_LARGE. Lines outside a head, trailers, are passed over. */
int weft__client_head_line(struct weft__client_head *head, const char *line, size_t len);
/* Whether a request can be sent: 0; WEFT_E_URL, -EINVAL, noted. */
int weft__client_request_check(const weft_http_request *request);
/* Whether the request's own headers have this field. */
bool weft__client_request_has(const weft_http_request *request, const char *name);

/* client_own.c */

/* The loop's own client, made on first use. May let other tasks run. */
WEFT_WAITS int weft__client_own(weft_http_client **ret_client);

#endif
