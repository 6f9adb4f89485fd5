/*
 * client_head.c - what is asked for is looked at before it is sent; the lines of the head that
 * comes back are kept as they came.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>

#include "http/client_priv.h"

/* ---- Requests ------------------------------------------------------------------------------- */

static bool
is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!isalnum(c) && strchr("!#$%&'*+-.^_`|~", c) == NULL)
            return false;
    }
    return len > 0;
}

static int
header_check(const char *line)
{
    const char *colon = strchr(line, ':');
    if (colon == NULL || !is_token(line, (size_t)(colon - line)))
        return weft_error_note(-EINVAL, "a header must be \"Name: value\", got \"%.60s\"", line);
    for (const char *p = colon + 1; *p != '\0'; p++) {
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 127)
            return weft_error_note(-EINVAL, "the header %.*s has a control character in its value",
                                   (int)(colon - line), line);
    }
    /* Two lengths that differ would make one message two. */
    static const char *const ours[] = {"Content-Length:", "Transfer-Encoding:"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strncasecmp(line, ours[i], strlen(ours[i])) == 0)
            return weft_error_note(-EINVAL, "the header %.*s is made from the body, not given",
                                   (int)(colon - line), line);
    }
    return 0;
}

int
weft__client_request_check(const weft_http_request *request)
{
    if (request->url == NULL)
        return weft_error_note(WEFT_E_URL, "a request needs a URL");
    if (strncasecmp(request->url, "http://", 7) != 0 &&
        strncasecmp(request->url, "https://", 8) != 0)
        return weft_error_note(WEFT_E_URL, "a URL begins with http:// or https://, got \"%.100s\"",
                               request->url);
    if (request->method != NULL && !is_token(request->method, strlen(request->method)))
        return weft_error_note(-EINVAL, "\"%.60s\" is no method", request->method);
    if (request->body.data != NULL && request->upload)
        return weft_error_note(-EINVAL, "a body is given whole, or follows: not both");
    if (request->method != NULL && strcmp(request->method, "HEAD") == 0 &&
        (request->body.data != NULL || request->upload))
        return weft_error_note(-EINVAL, "a HEAD request has no body");
    if (request->user != NULL && strchr(request->user, ':') != NULL)
        return weft_error_note(-EINVAL, "a user's name has no colon, which would end it");
    if (request->redirects < -1)
        return weft_error_note(-EINVAL, "redirects must be -1 or more, got %d", request->redirects);
    for (const char *const *line = request->headers; line != NULL && *line != NULL; line++) {
        int rc = header_check(*line);
        if (rc < 0)
            return rc;
    }
    return 0;
}

bool
weft__client_request_has(const weft_http_request *request, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *line = request->headers; line != NULL && *line != NULL; line++) {
        if (strncasecmp(*line, name, len) == 0 && (*line)[len] == ':')
            return true;
    }
    return false;
}

/* ---- Responses ------------------------------------------------------------------------------ */

static int
begin(struct weft__client_head *head, const char *line, size_t len)
{
    head->lines.len = 0;
    head->open = true;
    head->location = false;
    head->status = 0;
    const char *space = memchr(line, ' ', len), *end = line + len;
    for (const char *p = space != NULL ? space + 1 : end; p < end && isdigit((unsigned char)*p);
         p++)
        head->status = head->status < 1000 ? head->status * 10 + (*p - '0') : head->status;
    return 0;
}

int
weft__client_head_line(struct weft__client_head *head, const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
        return begin(head, line, len);
    if (!head->open)
        return 0;
    if (len == 0) {
        head->open = false;
        return 1;
    }
    if (len >= 9 && strncasecmp(line, "Location:", 9) == 0)
        head->location = true;
    if (head->lines.len + len + 1 > WEFT__CLIENT_HEAD_MAX)
        return WEFT_E_HTTP_LARGE;
    int rc = weft_buf_reserve(&head->lines, len + 1);
    if (rc == 0)
        rc = weft_buf_append(&head->lines, line, len);
    return rc == 0 ? weft_buf_append(&head->lines, "", 1) : rc;
}

const char *
weft_http_response_field(const weft_http_response *response, const char *name, size_t index)
{
    size_t name_len = strlen(name);
    const char *end = (const char *)response->head.data + response->head.len;
    for (const char *line = (const char *)response->head.data; line != end;
         line += strlen(line) + 1) {
        if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':' || index-- > 0)
            continue;
        const char *value = line + name_len + 1;
        return value + strspn(value, " \t");
    }
    return NULL;
}

void
weft_http_response_free(weft_http_response *response)
{
    weft_buf_free(&response->head);
    weft_buf_free(&response->body);
    memset(response, 0, sizeof *response);
}
