/*
 * framing.c - where a message ends, and whether its connection goes on (RFC 9112 6 and 9).
 *
 * A message has a length, or chunks, or no body; a response may also go on until its connection
 * ends. What could be read in two ways is refused: that is how a request is hidden in another one.
 */
#include <string.h>

#include "http/parse_priv.h"

/* ---- Fields -------------------------------------------------------------------------------- */

bool
weft__http_framing_length(const struct weft__http_field *field, struct weft__http_scan *scan,
                          struct weft__http_fault *fault)
{
    if (scan->seen_ & SEEN_LENGTH) {
        refuse(fault, "more than one Content-Length");
        return false;
    }
    uint64_t length = 0;
    bool good = field->value_len > 0;
    for (uint32_t i = 0; good && i < field->value_len; i++) {
        good = is(field->value[i], DIGIT);
        if (good)
            good = !__builtin_mul_overflow(length, 10, &length) &&
                   !__builtin_add_overflow(length, (uint64_t)(field->value[i] - '0'), &length);
    }
    /* A length is also a signed offset, of files and of what others count with. */
    if (!good || length > INT64_MAX) {
        refuse(fault, "a Content-Length that is no number of bytes");
        return false;
    }
    scan->length_ = length;
    scan->seen_ |= SEEN_LENGTH;
    return true;
}

/* The next element of a comma-separated list in [*p, end), without blanks around it. */
static bool
next_element(const char **p, const char *end, const char **ret_element, size_t *ret_len)
{
    if (*p > end)
        return false;
    const char *comma = memchr(*p, ',', (size_t)(end - *p));
    const char *element = *p, *stop = comma != NULL ? comma : end;
    *p = comma != NULL ? comma + 1 : end + 1;
    while (element < stop && is_blank(*element))
        element++;
    while (stop > element && is_blank(stop[-1]))
        stop--;
    *ret_element = element;
    *ret_len = (size_t)(stop - element);
    return true;
}

bool
weft__http_framing_coding(const struct weft__http_field *field, struct weft__http_scan *scan,
                          struct weft__http_fault *fault)
{
    if (scan->seen_ & SEEN_CODING) {
        refuse(fault, "more than one Transfer-Encoding");
        return false;
    }
    scan->seen_ |= SEEN_CODING;
    if (field->value_len == 7 && token_is(field->value, "chunked", 7))
        return true;

    /* Codings that could be undone are not; anything else has no length that both sides know. */
    const char *p = field->value, *end = p + field->value_len, *element;
    size_t len;
    bool chunked = false, sound = true;
    while (next_element(&p, end, &element, &len)) {
        sound = sound && !chunked && len > 0 && !(len == 8 && token_is(element, "identity", 8));
        for (size_t i = 0; i < len; i++)
            sound = sound && is(element[i], TOKEN);
        chunked = len == 7 && token_is(element, "chunked", 7);
    }
    if (sound && chunked)
        refuse_as(fault, WEFT_E_HTTP, 501, "a transfer coding other than chunked");
    else
        refuse(fault, "a Transfer-Encoding that does not end in chunked, or has it twice");
    return false;
}

void
weft__http_framing_connection(const struct weft__http_field *field, struct weft__http_scan *scan)
{
    const char *p = field->value, *end = p + field->value_len, *element;
    size_t len;
    while (next_element(&p, end, &element, &len)) {
        if (len == 5 && token_is(element, "close", 5))
            scan->seen_ |= SEEN_CLOSE;
        else if (len == 10 && token_is(element, "keep-alive", 10))
            scan->seen_ |= SEEN_KEEP_ALIVE;
        else if (len == 7 && token_is(element, "upgrade", 7))
            scan->seen_ |= SEEN_CONNECTION_UPGRADE;
    }
}

/* ---- Whole heads --------------------------------------------------------------------------- */

/* Of both kinds of message, where there is a Transfer-Encoding: that it has one reading alone. */
static bool
check_coding(const struct weft__http_scan *scan, struct weft__http_fault *fault)
{
    if (scan->seen_ & SEEN_LENGTH) {
        refuse(fault, "both Transfer-Encoding and Content-Length");
        return false;
    }
    if (scan->minor_ == 0) {
        refuse(fault, "Transfer-Encoding in a message of HTTP/1.0");
        return false;
    }
    return true;
}

static bool
keeps_alive(uint32_t seen, uint8_t minor)
{
    if (seen & SEEN_CLOSE)
        return false;
    return minor == 1 || (seen & SEEN_KEEP_ALIVE);
}

#define UPGRADES (SEEN_UPGRADE | SEEN_CONNECTION_UPGRADE)

bool
weft__http_framing_of_request(struct weft__http_request *request,
                              const struct weft__http_scan *scan, struct weft__http_fault *fault)
{
    uint32_t seen = scan->seen_;
    uint8_t minor = scan->minor_;
    if ((seen & SEEN_CODING) && !check_coding(scan, fault))
        return false;
    /* What follows CONNECT is the tunnel's; a body before it would be read in two ways. */
    if (scan->method_ == WEFT_HTTP_CONNECT &&
        ((seen & SEEN_CODING) || ((seen & SEEN_LENGTH) && scan->length_ > 0))) {
        refuse(fault, "CONNECT with a body");
        return false;
    }
    request->version_minor = minor;
    request->keep_alive = keeps_alive(seen, minor);
    request->chunked = seen & SEEN_CODING;
    request->has_length = seen & SEEN_LENGTH;
    request->content_length = scan->length_;
    /* HTTP/1.0 has no 100: its clients do not wait for it (RFC 9110 10.1.1). */
    request->expect_continue = (seen & SEEN_EXPECT) && minor == 1;
    request->upgrade = (seen & UPGRADES) == UPGRADES && minor == 1;
    return true;
}

bool
weft__http_framing_of_response(struct weft__http_response *response,
                               const struct weft__http_scan *scan, unsigned method,
                               struct weft__http_fault *fault)
{
    int status = scan->status_;
    bool tunnel = status == 101 || (method == WEFT_HTTP_CONNECT && status / 100 == 2);
    bool coded = scan->seen_ & SEEN_CODING;
    bool has_length = scan->seen_ & SEEN_LENGTH;
    if (!tunnel) {
        if (coded && !check_coding(scan, fault))
            return false;
        /* They have no body, but some readers would take one that is announced. */
        if ((status / 100 == 1 || status == 204) && (coded || (has_length && scan->length_ > 0))) {
            refuse(fault, "a body in a response that has none");
            return false;
        }
    }

    response->version_minor = scan->minor_;
    response->keep_alive = !tunnel && keeps_alive(scan->seen_, scan->minor_);
    response->chunked = coded;
    response->has_length = has_length;
    response->upgrade = (scan->seen_ & UPGRADES) == UPGRADES && scan->minor_ == 1;
    response->content_length = scan->length_;
    if (tunnel)
        response->body = WEFT__HTTP_BODY_TUNNEL;
    else if (method == WEFT_HTTP_HEAD || status / 100 == 1 || status == 204 || status == 304)
        response->body = WEFT__HTTP_BODY_NONE;
    else if (coded)
        response->body = WEFT__HTTP_BODY_CHUNKED;
    else if (has_length)
        response->body = scan->length_ > 0 ? WEFT__HTTP_BODY_LENGTH : WEFT__HTTP_BODY_NONE;
    else
        response->body = WEFT__HTTP_BODY_CLOSE;
    if (response->body == WEFT__HTTP_BODY_CLOSE)
        response->keep_alive = false;
    return true;
}
