/*
 * path.c - percent encoding, queries, and paths that cannot leave their folder.
 */
#include <stdint.h>
#include <string.h>

#include <weft/error.h>
#include <weft/http.h>

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

int
weft_percent_encode(weft_buf *out, const void *data, size_t len, const char *keep)
{
    const char *p = data;
    for (size_t i = 0; i < len; i++) {
        char c = p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     (c != 0 && strchr("-._~", c) != NULL) ||
                     (c != 0 && keep != NULL && strchr(keep, c) != NULL);
        static const char digits[] = "0123456789ABCDEF";
        char coded[3] = {'%', digits[(unsigned char)c >> 4], digits[c & 15]};
        int rc = plain ? weft_buf_append(out, &c, 1) : weft_buf_append(out, coded, 3);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
weft_percent_decode(weft_buf *out, const void *data, size_t len, bool plus)
{
    const char *p = data;
    int rc = weft_buf_reserve(out, len);
    if (rc < 0)
        return rc;
    size_t before = out->len;
    for (size_t i = 0; i < len; i++) {
        char c = p[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_value(p[i + 1]) : -1;
            int low = len - i > 2 ? hex_value(p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                out->len = before;
                return weft_error_note(WEFT_E_URL, "a %% without two hexadecimal digits");
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        out->data[out->len++] = (unsigned char)c;
    }
    return 0;
}

bool
weft_query_next(weft_bytes *rest, weft_bytes *ret_name, weft_bytes *ret_value)
{
    const char *p = rest->data, *end = rest->len > 0 ? p + rest->len : p;
    while (p < end && *p == '&')
        p++;
    if (p == end) {
        *rest = (weft_bytes){p, 0};
        return false;
    }
    const char *stop = memchr(p, '&', (size_t)(end - p));
    if (stop == NULL)
        stop = end;
    const char *equals = memchr(p, '=', (size_t)(stop - p));
    *ret_name = (weft_bytes){p, (size_t)((equals != NULL ? equals : stop) - p)};
    *ret_value = equals != NULL ? (weft_bytes){equals + 1, (size_t)(stop - equals - 1)}
                                : (weft_bytes){NULL, 0};
    if (stop < end)
        stop++;
    *rest = (weft_bytes){stop, (size_t)(end - stop)};
    return true;
}

/* Whether all of it is UTF-8: shortest forms, no surrogates, up to U+10FFFF. */
static bool
is_utf8(const unsigned char *p, size_t len)
{
    const unsigned char *end = p + len;
    while (p < end) {
        unsigned more, c = *p++;
        if (c < 0x80)
            continue;
        if (c >= 0xc2 && c <= 0xdf)
            more = 1;
        else if (c >= 0xe0 && c <= 0xef)
            more = 2;
        else if (c >= 0xf0 && c <= 0xf4)
            more = 3;
        else
            return false;
        if ((size_t)(end - p) < more)
            return false;
        unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, low = 0x80, high = 0xbf, p++)
            if (*p < low || *p > high)
                return false;
    }
    return true;
}

/* Decodes one segment behind out's end, where there is room. False: it may not be in a path. */
static bool
decode_segment(unsigned char *to, const char *p, const char *end, size_t *ret_len)
{
    size_t len = 0;
    for (; p < end; p++) {
        int c = (unsigned char)*p;
        if (c == '%') {
            int high = end - p > 2 ? hex_value(p[1]) : -1, low = end - p > 2 ? hex_value(p[2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = high << 4 | low;
            p += 2;
        }
        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
            return false;
        to[len++] = (unsigned char)c;
    }
    *ret_len = len;
    return is_utf8(to, len);
}

int
weft_http_path_decode(weft_buf *out, const void *path, size_t len)
{
    const char *p = path, *end = p + len;
    if (len == 0 || *p != '/')
        return weft_error_note(WEFT_E_URL, "a path that does not begin with a slash");
    /* What is written is never longer than what was read: one slash for one slash. */
    int rc = weft_buf_reserve(out, len + 1);
    if (rc < 0)
        return rc;
    unsigned char *start = out->data + out->len, *to = start;
    while (p < end) {
        p++; /* the slash */
        const char *stop = memchr(p, '/', (size_t)(end - p));
        if (stop == NULL)
            stop = end;
        unsigned char *segment = to > start ? to + 1 : to;
        size_t segment_len;
        if (!decode_segment(segment, p, stop, &segment_len))
            return weft_error_note(WEFT_E_URL, "a path with a character that no file may have");
        p = stop;
        if (segment_len == 0 || (segment_len == 1 && segment[0] == '.'))
            continue;
        if (segment_len == 2 && segment[0] == '.' && segment[1] == '.') {
            if (to == start)
                return weft_error_note(WEFT_E_URL, "a path that leaves its folder");
            while (to > start && *--to != '/')
                ;
            continue;
        }
        if (segment > to)
            *to = '/';
        to = segment + segment_len;
    }
    if (end[-1] == '/' && to > start)
        *to++ = '/'; /* it names a folder */
    *to = 0;
    out->len += (size_t)(to - start);
    return 0;
}
