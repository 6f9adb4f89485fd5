/*
 * url.c - URLs by RFC 3986: taken apart strictly, resolved against a base, and normalized.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>
#include <weft/http.h>

enum {
    UNRESERVED = 1 << 0,
    SUBDELIM = 1 << 1,
    PCHAR_MORE = 1 << 2, /* : and @ */
    QUERY_MORE = 1 << 3, /* / and ? */
    HEX = 1 << 4,
    SCHEME = 1 << 5
};

static const unsigned char classes[256] = {
    ['0' ... '9'] = UNRESERVED | HEX | SCHEME,
    ['A' ... 'F'] = UNRESERVED | HEX | SCHEME,
    ['G' ... 'Z'] = UNRESERVED | SCHEME,
    ['a' ... 'f'] = UNRESERVED | HEX | SCHEME,
    ['g' ... 'z'] = UNRESERVED | SCHEME,
    ['-'] = UNRESERVED | SCHEME,
    ['.'] = UNRESERVED | SCHEME,
    ['_'] = UNRESERVED,
    ['~'] = UNRESERVED,
    ['!'] = SUBDELIM,
    ['$'] = SUBDELIM,
    ['&'] = SUBDELIM,
    ['\''] = SUBDELIM,
    ['('] = SUBDELIM,
    [')'] = SUBDELIM,
    ['*'] = SUBDELIM,
    ['+'] = SUBDELIM | SCHEME,
    [','] = SUBDELIM,
    [';'] = SUBDELIM,
    ['='] = SUBDELIM,
    [':'] = PCHAR_MORE,
    ['@'] = PCHAR_MORE,
    ['/'] = QUERY_MORE,
    ['?'] = QUERY_MORE,
};

#define PCHAR (UNRESERVED | SUBDELIM | PCHAR_MORE)

static inline bool
is(char c, unsigned class)
{
    return (classes[(unsigned char)c] & class) != 0;
}

static bool
is_letter(char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

static weft_bytes
between(const char *p, const char *end)
{
    return (weft_bytes){p, (size_t)(end - p)};
}

/* Whether all is of the class, or percent-encoded. */
static bool
all_of(const char *p, const char *end, unsigned class)
{
    for (; p < end; p++) {
        if (*p == '%') {
            if (end - p < 3 || !is(p[1], HEX) || !is(p[2], HEX))
                return false;
            p += 2;
        } else if (!is(*p, class)) {
            return false;
        }
    }
    return true;
}

/* What is in brackets: an IPv6 address, or one of a later version (v1.x). */
static bool
is_literal(const char *p, const char *end)
{
    if (end - p > 2 && (*p | 0x20) == 'v') {
        const char *version = ++p;
        while (p < end && is(*p, HEX))
            p++;
        if (p == version || end - p < 2 || *p++ != '.')
            return false;
        for (; p < end; p++)
            if (*p != ':' && !is(*p, UNRESERVED | SUBDELIM))
                return false;
        return true;
    }
    char text[INET6_ADDRSTRLEN];
    size_t len = (size_t)(end - p);
    if (len >= sizeof text || memchr(p, 0, len) != NULL)
        return false;
    memcpy(text, p, len);
    text[len] = 0;
    struct in6_addr address;
    return inet_pton(AF_INET6, text, &address) == 1;
}

static int
refuse(const char *what)
{
    return weft_error_note(WEFT_E_URL, "%s", what);
}

/* [ userinfo "@" ] host [ ":" port ] */
static int
parse_authority(weft_url *url, const char *p, const char *end)
{
    const char *at = memchr(p, '@', (size_t)(end - p));
    if (at != NULL) {
        const char *colon = p;
        for (; colon < at; colon++)
            if (!is(*colon, UNRESERVED | SUBDELIM) && *colon != ':' && *colon != '%')
                return refuse("a character before @ that has to be encoded");
        if (!all_of(p, at, PCHAR))
            return refuse("a % without two hexadecimal digits before @");
        url->userinfo = between(p, at);
        p = at + 1;
    }
    const char *host = p;
    if (p < end && *p == '[') {
        const char *close = memchr(p, ']', (size_t)(end - p));
        if (close == NULL || !is_literal(p + 1, close))
            return refuse("brackets around what is no IPv6 address");
        p = close + 1;
        if (p < end && *p != ':')
            return refuse("more behind an IPv6 address than a port");
    } else {
        while (p < end && *p != ':')
            p++;
        if (!all_of(host, p, UNRESERVED | SUBDELIM))
            return refuse("a host with a character that has to be encoded");
    }
    url->host = between(host, p);
    if (p == end)
        return 0;
    if (++p == end) /* an empty port is the scheme's */
        return 0;
    unsigned port = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return refuse("a port that is no number");
        port = port * 10 + (unsigned)(*p - '0');
        if (port > 65535)
            return refuse("a port over 65535");
    }
    url->port = (int)port;
    return 0;
}

int
weft_url_parse_reference(weft_url *ret_url, const char *text, size_t len)
{
    /* A view of nothing still has data: that says it is there. */
    if (len == 0)
        text = "";
    weft_url url = {.port = -1};
    const char *p = text, *end = text + len;
    const char *hash = memchr(p, '#', len);
    if (hash != NULL) {
        url.fragment = between(hash + 1, end);
        if (!all_of(hash + 1, end, PCHAR | QUERY_MORE))
            return refuse("a fragment with a character that has to be encoded");
        end = hash;
    }
    const char *mark = memchr(p, '?', (size_t)(end - p));
    if (mark != NULL) {
        url.query = between(mark + 1, end);
        if (!all_of(mark + 1, end, PCHAR | QUERY_MORE))
            return refuse("a query with a character that has to be encoded");
        end = mark;
    }

    const char *colon = memchr(p, ':', (size_t)(end - p));
    const char *slash = memchr(p, '/', (size_t)(end - p));
    if (colon != NULL && (slash == NULL || colon < slash)) {
        bool good = is_letter(*p);
        for (const char *c = p; good && c < colon; c++)
            good = is(*c, SCHEME);
        if (!good)
            return refuse("a colon in the first segment, and no scheme before it");
        url.scheme = between(p, colon);
        p = colon + 1;
    }
    if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
        const char *authority = p += 2;
        while (p < end && *p != '/')
            p++;
        int rc = parse_authority(&url, authority, p);
        if (rc < 0)
            return rc;
        bool http = (url.scheme.len == 4 && strncasecmp(url.scheme.data, "http", 4) == 0) ||
                    (url.scheme.len == 5 && strncasecmp(url.scheme.data, "https", 5) == 0);
        if (http && url.host.len == 0)
            return refuse("no host");
    }
    url.path = between(p, end);
    for (const char *c = p; c < end; c++)
        if (*c != '/' && *c != '%' && !is(*c, PCHAR))
            return refuse("a path with a character that has to be encoded");
    for (const char *c = p; c < end; c++)
        if (*c == '%' && (end - c < 3 || !is(c[1], HEX) || !is(c[2], HEX)))
            return refuse("a % without two hexadecimal digits in the path");
    *ret_url = url;
    return 0;
}

int
weft_url_parse(weft_url *ret_url, const char *text, size_t len)
{
    weft_url url;
    int rc = weft_url_parse_reference(&url, text, len);
    if (rc < 0)
        return rc;
    if (url.scheme.data == NULL)
        return refuse("no scheme");
    *ret_url = url;
    return 0;
}

static int
default_port(weft_bytes scheme)
{
    static const struct {
        const char *scheme;
        int port;
    } ports[] = {{"http", 80}, {"https", 443}, {"ws", 80}, {"wss", 443}};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        if (scheme.len == strlen(ports[i].scheme) &&
            strncasecmp(scheme.data, ports[i].scheme, scheme.len) == 0)
            return ports[i].port;
    return -1;
}

int
weft_url_port(const weft_url *url)
{
    return url->port >= 0 ? url->port : default_port(url->scheme);
}

/* ---- Writing ------------------------------------------------------------------------------- */

/* The first failure stays, and nothing more is written. */
static void
put(weft_buf *out, int *rc, const void *data, size_t len)
{
    if (*rc == 0)
        *rc = weft_buf_append(out, data, len);
}

static void
put_part(weft_buf *out, int *rc, const char *before, weft_bytes part)
{
    if (part.data == NULL)
        return;
    put(out, rc, before, strlen(before));
    put(out, rc, part.data, part.len);
}

static void
put_authority(weft_buf *out, int *rc, const weft_url *url)
{
    if (url->host.data == NULL)
        return;
    put(out, rc, "//", 2);
    if (url->userinfo.data != NULL) {
        put(out, rc, url->userinfo.data, url->userinfo.len);
        put(out, rc, "@", 1);
    }
    put(out, rc, url->host.data, url->host.len);
    if (url->port >= 0 && *rc == 0)
        *rc = weft_buf_printf(out, ":%d", url->port);
}

static void
put_scheme(weft_buf *out, int *rc, const weft_url *url)
{
    if (url->scheme.data == NULL)
        return;
    put(out, rc, url->scheme.data, url->scheme.len);
    put(out, rc, ":", 1);
}

int
weft_url_write(weft_buf *out, const weft_url *url)
{
    int rc = 0;
    put_scheme(out, &rc, url);
    put_authority(out, &rc, url);
    put(out, &rc, url->path.data, url->path.len);
    put_part(out, &rc, "?", url->query);
    put_part(out, &rc, "#", url->fragment);
    return rc;
}

static bool
begins(const char *p, const char *end, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(end - p) >= len && memcmp(p, text, len) == 0;
}

static bool
is_just(const char *p, const char *end, const char *text)
{
    return (size_t)(end - p) == strlen(text) && begins(p, end, text);
}

/* Takes "." and ".." out of the path that stands in out from `start` on (RFC 3986 5.2.4). Without a
 * host it must not come to begin with two slashes: what is behind them would be read as one. */
static void
remove_dots(weft_buf *out, size_t start, bool has_host)
{
    char *base = (char *)out->data + start, *to = base;
    const char *p = base, *end = (char *)out->data + out->len;
    while (p < end) {
        bool up = begins(p, end, "/../") || is_just(p, end, "/..");
        if (up || begins(p, end, "/./") || is_just(p, end, "/.")) {
            if (up)
                while (to > base && *--to != '/')
                    ;
            p += up ? 3 : 2;
            if (p == end) /* the last one leaves its slash: "/a/." is "/a/" */
                *to++ = '/';
        } else if (begins(p, end, "../")) {
            p += 3;
        } else if (begins(p, end, "./")) {
            p += 2;
        } else if (is_just(p, end, "..") || is_just(p, end, ".")) {
            p = end;
        } else {
            const char *stop = memchr(p + 1, '/', (size_t)(end - p - 1));
            size_t len = (size_t)((stop != NULL ? stop : end) - p);
            memmove(to, p, len);
            to += len;
            p += len;
        }
    }
    out->len = (size_t)(to - (char *)out->data);
    size_t extra = 0;
    while (!has_host && to - base > (ptrdiff_t)extra + 1 && base[extra] == '/' &&
           base[extra + 1] == '/')
        extra++;
    if (extra > 0) {
        memmove(base, base + extra, (size_t)(to - base) - extra);
        out->len -= extra;
    }
}

int
weft_url_resolve(weft_buf *out, const weft_url *base, const weft_url *reference)
{
    if (base->scheme.data == NULL)
        return refuse("a base without a scheme");
    int rc = 0;
    bool own_scheme = reference->scheme.data != NULL;
    bool own_host = own_scheme || reference->host.data != NULL;
    const weft_url *authority = own_host ? reference : base;
    put_scheme(out, &rc, own_scheme ? reference : base);
    put_authority(out, &rc, authority);

    size_t start = out->len;
    weft_bytes query = reference->query;
    const char *path = reference->path.data;
    if (!own_host && reference->path.len == 0) {
        put(out, &rc, base->path.data, base->path.len);
        if (query.data == NULL)
            query = base->query;
    } else {
        if (!own_host && path[0] != '/') {
            /* Takes the place of what is behind the last slash of the base's path. */
            size_t keep = base->path.len;
            while (keep > 0 && ((const char *)base->path.data)[keep - 1] != '/')
                keep--;
            if (base->host.data != NULL && base->path.len == 0)
                put(out, &rc, "/", 1);
            put(out, &rc, base->path.data, keep);
        }
        put(out, &rc, path, reference->path.len);
        if (rc == 0)
            remove_dots(out, start, authority->host.data != NULL);
    }
    put_part(out, &rc, "?", query);
    put_part(out, &rc, "#", reference->fragment);
    return rc;
}

static char
lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static unsigned
hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Text with its percent encoding in capitals, and none of what needs none. */
static void
put_plain(weft_buf *out, int *rc, weft_bytes part, bool lower_case)
{
    const char *p = part.data;
    for (size_t i = 0; i < part.len && *rc == 0; i++) {
        char c = p[i];
        if (c == '%') {
            static const char digits[] = "0123456789ABCDEF";
            c = (char)(hex_value(p[i + 1]) << 4 | hex_value(p[i + 2]));
            i += 2;
            if (!is(c, UNRESERVED)) {
                char coded[3] = {'%', digits[(unsigned char)c >> 4], digits[c & 15]};
                put(out, rc, coded, 3);
                continue;
            }
        }
        c = lower_case ? lower(c) : c;
        put(out, rc, &c, 1);
    }
}

int
weft_url_normalize(weft_buf *out, const weft_url *url)
{
    int rc = 0;
    if (url->scheme.data != NULL) {
        put_plain(out, &rc, url->scheme, true);
        put(out, &rc, ":", 1);
    }
    bool has_host = url->host.data != NULL;
    if (has_host) {
        put(out, &rc, "//", 2);
        if (url->userinfo.data != NULL) {
            put_plain(out, &rc, url->userinfo, false);
            put(out, &rc, "@", 1);
        }
        put_plain(out, &rc, url->host, true);
        if (url->port >= 0 && url->port != default_port(url->scheme) && rc == 0)
            rc = weft_buf_printf(out, ":%d", url->port);
    }
    size_t start = out->len;
    put_plain(out, &rc, url->path, false);
    /* What a relative reference begins with is not known: its dots say something. */
    if (rc == 0 && (has_host || url->scheme.data != NULL) && url->path.len > 0 &&
        out->data[start] == '/')
        remove_dots(out, start, has_host);
    if (has_host && out->len == start)
        put(out, &rc, "/", 1);
    if (url->query.data != NULL) {
        put(out, &rc, "?", 1);
        put_plain(out, &rc, url->query, false);
    }
    return rc;
}
