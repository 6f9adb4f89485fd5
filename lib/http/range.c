/*
 * range.c - fields that choose: Range, entity tags, Accept.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <weft/http.h>

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *
skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* ---- Range --------------------------------------------------------------------------------- */

/* Digits at p, UINT64_MAX for what does not fit. NULL when there is none. */
static const char *
read_number(const char *p, const char *end, uint64_t *ret_value)
{
    const char *start = p;
    uint64_t value = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            value = UINT64_MAX / 16; /* it stays too large, whatever follows */
    *ret_value = value;
    return p > start ? p : NULL;
}

int
weft_http_range_parse(const char *text, size_t len, uint64_t size, weft_http_range *ranges,
                      size_t max)
{
    const char *p = text, *end = text + len;
    if (len < 6 || strncasecmp(p, "bytes=", 6) != 0)
        return 0;
    p += 6;
    size_t n = 0;
    bool any = false;
    for (;;) {
        p = skip_blanks(p, end);
        if (p < end && *p == ',') { /* empty elements of a list are allowed */
            p++;
            continue;
        }
        if (p == end)
            break;
        weft_http_range range = {0, UINT64_MAX};
        bool within;
        if (*p == '-') {
            uint64_t last;
            p = read_number(p + 1, end, &last);
            if (p == NULL)
                return 0;
            within = last > 0 && size > 0;
            range.first = last < size ? size - last : 0;
        } else {
            p = read_number(p, end, &range.first);
            if (p == NULL || p == end || *p++ != '-')
                return 0;
            if (p < end && *p >= '0' && *p <= '9') {
                p = read_number(p, end, &range.last);
                if (range.last < range.first)
                    return 0;
            }
            within = range.first < size;
        }
        p = skip_blanks(p, end);
        if (p < end && *p++ != ',')
            return 0;
        any = true;
        if (!within)
            continue;
        if (range.last >= size)
            range.last = size - 1;
        /* Who asks for the same bytes twice wants more than there is: all of it is sent once. */
        for (size_t i = 0; i < n; i++)
            if (range.first <= ranges[i].last && ranges[i].first <= range.last)
                return 0;
        if (n == max || n == 1 << 20)
            return 0;
        ranges[n++] = range;
    }
    if (!any)
        return 0;
    return n > 0 ? (int)n : -ERANGE;
}

/* ---- Entity tags --------------------------------------------------------------------------- */

/* A tag at p: *ret_opaque with its quotes. NULL when there is none. */
static const char *
read_etag(const char *p, const char *end, bool *ret_weak, weft_bytes *ret_opaque)
{
    *ret_weak = end - p >= 2 && p[0] == 'W' && p[1] == '/';
    if (*ret_weak)
        p += 2;
    const char *start = p;
    if (p == end || *p++ != '"')
        return NULL;
    while (p < end && *p != '"') {
        unsigned char c = (unsigned char)*p++;
        if (c < 0x21 || c == 0x7f)
            return NULL;
    }
    if (p == end)
        return NULL;
    p++;
    *ret_opaque = (weft_bytes){start, (size_t)(p - start)};
    return p;
}

bool
weft_http_etag_match(const char *text, size_t len, const char *etag, bool weak)
{
    const char *p = text, *end = text + len;
    while (end > p && is_blank(end[-1]))
        end--;
    p = skip_blanks(p, end);
    if (end - p == 1 && *p == '*')
        return true;

    bool mine_weak, match = false;
    weft_bytes mine;
    const char *mine_end = etag + strlen(etag);
    if (read_etag(etag, mine_end, &mine_weak, &mine) != mine_end)
        return false;
    while (p < end) {
        if (*p == ',') {
            p = skip_blanks(p + 1, end);
            continue;
        }
        bool its_weak;
        weft_bytes its;
        p = read_etag(p, end, &its_weak, &its);
        if (p == NULL)
            return false;
        if (its.len == mine.len && memcmp(its.data, mine.data, its.len) == 0 &&
            (weak || (!its_weak && !mine_weak)))
            match = true;
        p = skip_blanks(p, end);
        if (p < end && *p != ',')
            return false;
    }
    return match;
}

/* ---- Accept -------------------------------------------------------------------------------- */

/* To the end of an element's part: the next of the stops that is not in quotes. */
static const char *
part_end(const char *p, const char *end, const char *stops)
{
    for (bool quoted = false; p < end; p++) {
        if (quoted && *p == '\\' && end - p > 1)
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (!quoted && *p != 0 && strchr(stops, *p) != NULL)
            break;
    }
    return p;
}

static weft_bytes
trimmed(const char *p, const char *end)
{
    p = skip_blanks(p, end);
    while (end > p && is_blank(end[-1]))
        end--;
    return (weft_bytes){p, (size_t)(end - p)};
}

/* 0 to 1000; -1 for what is no weight. */
static int
read_weight(weft_bytes text)
{
    const char *p = text.data;
    if (text.len == 0 || text.len > 5 || (p[0] != '0' && p[0] != '1') ||
        (text.len > 1 && p[1] != '.'))
        return -1;
    int value = (p[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        value += (p[i] - '0') * unit;
    }
    return value <= 1000 ? value : -1;
}

/* How closely an element names what is asked for: 3 itself, 2 its type, 1 anything, 0 not. */
static int
closeness(weft_bytes element, const char *what)
{
    size_t len = strlen(what);
    const char *p = element.data;
    if (element.len == len && strncasecmp(p, what, len) == 0)
        return 3;
    if ((element.len == 1 && p[0] == '*') || (element.len == 3 && memcmp(p, "*/*", 3) == 0))
        return 1;
    if (element.len > 2 && memcmp(p + element.len - 2, "/*", 2) == 0 && len >= element.len - 1 &&
        strncasecmp(p, what, element.len - 1) == 0)
        return 2;
    return 0;
}

int
weft_http_accepts(const char *text, size_t len, const char *what)
{
    int best = 0, weight = 0;
    for (const char *p = text, *end = text + len; p < end; p++) {
        const char *stop = part_end(p, end, ",");
        const char *name_end = part_end(p, stop, ";");
        int close = closeness(trimmed(p, name_end), what), q = 1000;
        bool narrower = false; /* parameters that name less than what is asked for */
        for (const char *part = name_end; part < stop;) {
            const char *next = part_end(part + 1, stop, ";");
            weft_bytes parameter = trimmed(part + 1, next);
            const char *chars = parameter.data;
            if (parameter.len >= 2 && (chars[0] | 0x20) == 'q' && chars[1] == '=') {
                q = read_weight((weft_bytes){chars + 2, parameter.len - 2});
                break;
            }
            narrower = narrower || parameter.len > 0;
            part = next;
        }
        if (!narrower && q >= 0 && close > best) {
            best = close;
            weight = q;
        }
        p = stop;
    }
    return weight;
}
