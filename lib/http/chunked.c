/*
 * chunked.c - chunked bodies, decoded byte by byte but for the chunks themselves (RFC 9112 7.1).
 *
 * The state is that between two bytes, so how a body was cut into pieces changes no result. Body is
 * not copied, but shown where it lies; trailer fields are, where somebody wants them.
 */
#include <string.h>

#include <weft/error.h>

#include "http/chunked.h"
#include "http/scan.h"

enum chunk_state {
    CHUNK_SIZE = 0, /* its first digit, or another one */
    CHUNK_EXT_NAME, /* first character, behind ; */
    CHUNK_EXT_NAME_MORE,
    CHUNK_EXT_VALUE, /* first character, behind = */
    CHUNK_EXT_TOKEN,
    CHUNK_EXT_QUOTED,
    CHUNK_EXT_ESCAPED,
    CHUNK_EXT_QUOTED_END,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LINE, /* a trailer field begins, or the last line */
    CHUNK_NAME,
    CHUNK_VALUE,
    CHUNK_VALUE_LF,
    CHUNK_END_LF,
    CHUNK_DONE,
    CHUNK_FAILED /* left_ is the code, positive */
};

/* Fields that say how a message is framed, routed, or to be treated come before the body or not at
 * all (RFC 9110 6.5.1): who merges trailers into the head would believe them. */
static const char forbidden[][24] = {
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
};

static bool
is_forbidden(const struct weft__http_chunks *chunks)
{
    if (chunks->name_len_ >= sizeof forbidden[0])
        return false;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (forbidden[i][chunks->name_len_] == 0 &&
            memcmp(forbidden[i], chunks->name_, chunks->name_len_) == 0)
            return true;
    return false;
}

__attribute__((cold, noinline)) static ssize_t
chunks_fail(struct weft__http_chunks *chunks, int rc, const char *what)
{
    chunks->state_ = CHUNK_FAILED;
    chunks->left_ = (uint64_t)-rc;
    return weft_error_note(rc, "%s", what);
}

static inline ssize_t
chunks_refuse(struct weft__http_chunks *chunks, const char *what)
{
    return chunks_fail(chunks, WEFT_E_HTTP, what);
}

/* What may come behind a part of an extension. False: c is nothing of that. */
static bool
extension_ends(struct weft__http_chunks *chunks, char c)
{
    if (c == ';')
        chunks->state_ = CHUNK_EXT_NAME;
    else if (c == '\r')
        chunks->state_ = CHUNK_SIZE_LF;
    else
        return false;
    return true;
}

/* One byte of the line with a chunk's size. */
static ssize_t
size_byte(struct weft__http_chunks *chunks, char c)
{
    if (chunks->state_ == CHUNK_SIZE) {
        if (is(c, HEX)) {
            /* Zeros count too: a size of thousands of digits is no size. */
            if (chunks->digits_ == 16 || (chunks->left_ >> 59) != 0)
                return chunks_refuse(chunks, "a chunk size that is too large");
            chunks->left_ = chunks->left_ << 4 | hex_value(c);
            chunks->digits_++;
            return 0;
        }
        if (chunks->digits_ == 0 || !extension_ends(chunks, c))
            return chunks_refuse(chunks, "a chunk size that is no hexadecimal number");
        return 0;
    }

    size_t max = chunks->extension_bytes > 0 ? chunks->extension_bytes : 4096;
    if (++chunks->extension_used_ > max)
        return chunks_fail(chunks, WEFT_E_HTTP_LARGE, "chunk extensions over the limit");
    bool good = true;
    switch ((enum chunk_state)chunks->state_) {
    case CHUNK_EXT_NAME:
        good = is(c, TOKEN);
        chunks->state_ = CHUNK_EXT_NAME_MORE;
        break;
    case CHUNK_EXT_NAME_MORE:
        if (c == '=')
            chunks->state_ = CHUNK_EXT_VALUE;
        else
            good = is(c, TOKEN) || extension_ends(chunks, c);
        break;
    case CHUNK_EXT_VALUE:
        good = c == '"' || is(c, TOKEN);
        chunks->state_ = c == '"' ? CHUNK_EXT_QUOTED : CHUNK_EXT_TOKEN;
        break;
    case CHUNK_EXT_TOKEN:
        good = is(c, TOKEN) || extension_ends(chunks, c);
        break;
    case CHUNK_EXT_QUOTED:
        if (c == '"')
            chunks->state_ = CHUNK_EXT_QUOTED_END;
        else if (c == '\\')
            chunks->state_ = CHUNK_EXT_ESCAPED;
        else
            good = is(c, QUOTED);
        break;
    case CHUNK_EXT_ESCAPED:
        good = is(c, TEXT);
        chunks->state_ = CHUNK_EXT_QUOTED;
        break;
    default: /* CHUNK_EXT_QUOTED_END */
        good = extension_ends(chunks, c);
        break;
    }
    return good ? 0 : chunks_refuse(chunks, "a chunk extension that cannot be read");
}

/* One byte of a trailer field. */
static ssize_t
trailer_byte(struct weft__http_chunks *chunks, char c)
{
    size_t max = chunks->trailer_bytes > 0 ? chunks->trailer_bytes : 8192;
    if (++chunks->trailer_used_ > max)
        return chunks_fail(chunks, WEFT_E_HTTP_LARGE, "trailer fields over the limit");
    switch ((enum chunk_state)chunks->state_) {
    case CHUNK_LINE:
    case CHUNK_NAME:
        if (chunks->state_ == CHUNK_LINE) {
            if (chunks->n_fields_++ == (chunks->trailer_fields > 0 ? chunks->trailer_fields : 64))
                return chunks_fail(chunks, WEFT_E_HTTP_LARGE, "more trailer fields than the limit");
            chunks->name_len_ = 0;
            chunks->state_ = CHUNK_NAME;
        }
        if (c == ':' && chunks->name_len_ > 0) {
            if (is_forbidden(chunks))
                return chunks_refuse(chunks, "a trailer field that may not be one");
            chunks->state_ = CHUNK_VALUE;
            return 0;
        }
        if (!is(c, TOKEN))
            return chunks_refuse(chunks, "a trailer field whose name is no token");
        if (chunks->name_len_ < sizeof chunks->name_)
            chunks->name_[chunks->name_len_++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        return 0;
    case CHUNK_VALUE:
        if (c == '\r')
            chunks->state_ = CHUNK_VALUE_LF;
        else if (!is(c, TEXT))
            return chunks_refuse(chunks, "a trailer field with a control character, or LF alone");
        return 0;
    default: /* CHUNK_VALUE_LF */
        if (c != '\n')
            return chunks_refuse(chunks, "a CR without its LF in a trailer field");
        chunks->state_ = CHUNK_LINE;
        return 0;
    }
}

ssize_t
weft__http_chunks_feed(struct weft__http_chunks *chunks, const char *data, size_t len,
                       const char **ret_body, size_t *ret_body_len, bool *ret_done)
{
    *ret_body = data;
    *ret_body_len = 0;
    *ret_done = chunks->state_ == CHUNK_DONE;
    const char *p = data, *end = data + len;
    const char *keep = NULL; /* from here on, trailer lines that are not kept yet */
    ssize_t rc = 0;
    while (p < end) {
        switch ((enum chunk_state)chunks->state_) {
        case CHUNK_SIZE_LF:
            if (*p++ != '\n')
                return chunks_refuse(chunks, "a CR without its LF behind a chunk size");
            chunks->digits_ = 0;
            chunks->state_ = chunks->left_ > 0 ? CHUNK_DATA : CHUNK_LINE;
            break;
        case CHUNK_DATA: {
            size_t there = (size_t)(end - p);
            size_t body = chunks->left_ < there ? (size_t)chunks->left_ : there;
            chunks->left_ -= body;
            if (chunks->left_ == 0)
                chunks->state_ = CHUNK_DATA_CR;
            *ret_body = p;
            *ret_body_len = body;
            return p + body - data;
        }
        case CHUNK_DATA_CR:
            if (*p++ != '\r')
                return chunks_refuse(chunks, "a chunk without CRLF behind it");
            chunks->state_ = CHUNK_DATA_LF;
            break;
        case CHUNK_DATA_LF:
            if (*p++ != '\n')
                return chunks_refuse(chunks, "a chunk without CRLF behind it");
            chunks->state_ = CHUNK_SIZE;
            break;
        case CHUNK_LINE:
            if (*p == '\r') {
                chunks->state_ = CHUNK_END_LF;
                p++;
                break;
            }
            __attribute__((fallthrough));
        case CHUNK_NAME:
        case CHUNK_VALUE:
        case CHUNK_VALUE_LF:
            if (keep == NULL)
                keep = p;
            rc = trailer_byte(chunks, *p++);
            if (rc < 0)
                return rc;
            if ((chunks->state_ == CHUNK_LINE || p == end) && chunks->trailers != NULL) {
                rc = weft_buf_append(chunks->trailers, keep, (size_t)(p - keep));
                if (rc < 0)
                    return chunks_fail(chunks, (int)rc, "no memory for trailer fields");
                keep = NULL;
            }
            break;
        case CHUNK_END_LF:
            if (*p++ != '\n')
                return chunks_refuse(chunks, "a CR without its LF behind a chunked body");
            chunks->state_ = CHUNK_DONE;
            *ret_done = true;
            return p - data;
        case CHUNK_DONE:
            return p - data;
        case CHUNK_FAILED:
            return weft_error_note(-(int)chunks->left_, "a chunked body that was refused before");
        default:
            rc = size_byte(chunks, *p++);
            if (rc < 0)
                return rc;
            break;
        }
    }
    return p - data;
}
