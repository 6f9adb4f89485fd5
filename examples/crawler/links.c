/*
 * links.c - a scanner of tags and attributes after the HTML standard's tokenizer, as far as links
 * need it: it never fails, and never looks at a byte twice but for a raw text's end.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "links.h"

#define ENTITY_MAX 12

void
links_open(struct links *links, const char *html, size_t len)
{
    *links = (struct links){.at = html, .end = html + len};
}

/* ---- Values --------------------------------------------------------------------------------- */

static int
append_utf8(weft_buf *out, unsigned long c)
{
    unsigned char utf8[4];
    size_t n = 0;
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        utf8[n++] = (unsigned char)c;
    } else if (c < 0x800) {
        utf8[n++] = (unsigned char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        utf8[n++] = (unsigned char)(0xe0 | c >> 12);
        utf8[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    } else {
        utf8[n++] = (unsigned char)(0xf0 | c >> 18);
        utf8[n++] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
        utf8[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        utf8[n++] = (unsigned char)(0x80 | (c & 0x3f));
    return weft_buf_append(out, utf8, n);
}

/* Reads the entity at text, which begins with &. Returns how many bytes it has; 0 when it is none,
 * and the & stands for itself. In attributes "&amp=" and "&ampx" are none. */
static size_t
entity(const char *text, size_t len, unsigned long *ret_char)
{
    static const struct {
        const char *name;
        unsigned long c;
        bool bare; /* known without a semicolon too */
    } named[] = {{"amp", '&', true},     {"lt", '<', true},     {"gt", '>', true},
                 {"quot", '"', true},    {"apos", '\'', false}, {"nbsp", 0xa0, true},
                 {"sol", '/', false},    {"colon", ':', false}, {"quest", '?', false},
                 {"equals", '=', false}, {"num", '#', false},   {"period", '.', false}};
    char word[ENTITY_MAX + 1] = "";
    size_t n = 1;
    if (n < len && text[n] == '#')
        n++;
    while (n < len && n <= ENTITY_MAX && isalnum((unsigned char)text[n]))
        n++;
    memcpy(word, text + 1, n - 1);
    bool closed = n < len && text[n] == ';';
    if (word[0] == '#') {
        bool hex = word[1] == 'x' || word[1] == 'X';
        char *end, *digits = word + 1 + hex;
        *ret_char = strtoul(digits, &end, hex ? 16 : 10);
        size_t used = (size_t)(end - word) + 1;
        return end == digits ? 0 : used + (closed && used == n);
    }
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (strcmp(word, named[i].name) != 0)
            continue;
        if (!closed && (!named[i].bare || (n < len && text[n] == '=')))
            return 0;
        *ret_char = named[i].c;
        return n + closed;
    }
    return 0;
}

static int
decode(weft_buf *out, const char *text, size_t len)
{
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0;) {
        unsigned long c;
        size_t n = text[i] == '&' ? entity(text + i, len - i, &c) : 0;
        rc = n > 0 ? append_utf8(out, c) : weft_buf_append(out, &text[i], 1);
        i += n > 0 ? n : 1;
    }
    return rc;
}

/* How far a host may reach in a reference: brackets are part of an address there. */
static size_t
authority_end(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && (isalnum((unsigned char)text[i]) || strchr("+-.:", text[i]) != NULL))
        i++;
    if (i + 1 >= len || text[i] != '/' || text[i + 1] != '/')
        return 0;
    i += 2;
    while (i < len && text[i] != '/' && text[i] != '?' && text[i] != '#')
        i++;
    return i;
}

/* What pages have in links and URLs must not: blanks around are dropped, line ends and tabs within;
 * a backslash counts as a slash before the query, and other bytes are encoded (URL Standard 4). */
static int
encode(weft_buf *out, const char *text, size_t len)
{
    while (len > 0 && (unsigned char)text[len - 1] <= ' ')
        len--;
    while (len > 0 && (unsigned char)*text <= ' ') {
        text++;
        len--;
    }
    size_t host = authority_end(text, len);
    bool query = false, fragment = false;
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\t' || c == '\n' || c == '\r')
            continue;
        if (c == '\\' && !query && !fragment)
            c = '/';
        bool stray = c == '%' && !(i + 2 < len && isxdigit((unsigned char)text[i + 1]) &&
                                   isxdigit((unsigned char)text[i + 2]));
        bool bad = c <= ' ' || c >= 127 || strchr("\"<>\\^`{|}", c) != NULL ||
                   (i >= host && strchr("[]", c) != NULL) || (c == '#' && fragment);
        query = query || c == '?';
        fragment = fragment || c == '#';
        rc = bad || stray ? weft_buf_printf(out, "%%%02X", c) : weft_buf_append(out, &c, 1);
    }
    return rc;
}

static int
value_of(weft_buf *out, const char *text, size_t len)
{
    weft_buf plain = {0};
    out->len = 0;
    int rc = decode(&plain, text, len);
    if (rc == 0)
        rc = encode(out, (const char *)plain.data, plain.len);
    weft_buf_free(&plain);
    return rc;
}

/* ---- Tags ----------------------------------------------------------------------------------- */

static bool
blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void
pass(struct links *links, const char *until)
{
    size_t n = strlen(until);
    const char *found = memmem(links->at, (size_t)(links->end - links->at), until, n);
    links->at = found != NULL ? found + n : links->end;
}

/* The text of scripts and the like has no tags but its own end. */
static void
pass_raw_text(struct links *links)
{
    size_t n = strlen(links->tag);
    while ((size_t)(links->end - links->at) >= n + 2) {
        const char *less = memchr(links->at, '<', (size_t)(links->end - links->at) - n - 1);
        if (less == NULL)
            break;
        links->at = less + 1;
        if (less[1] == '/' && strncasecmp(less + 2, links->tag, n) == 0 &&
            (less + 2 + n == links->end || !isalnum((unsigned char)less[2 + n]))) {
            links->at = less;
            return;
        }
    }
    links->at = links->end;
}

static bool
is_raw(const char *tag)
{
    static const char *const raw[] = {"script",   "style", "textarea", "title",
                                      "noframes", "xmp",   "plaintext"};
    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++) {
        if (strcmp(tag, raw[i]) == 0)
            return true;
    }
    return false;
}

/* Goes on to the attributes of the next tag. */
static bool
enter_tag(struct links *links)
{
    while (links->at < links->end) {
        const char *less = memchr(links->at, '<', (size_t)(links->end - links->at));
        if (less == NULL || less + 1 == links->end)
            break;
        links->at = less + 1;
        if (links->end - less >= 4 && memcmp(less, "<!--", 4) == 0) {
            links->at = less + 2; /* "<!-->" is a whole comment */
            pass(links, "-->");
        } else if (*links->at == '!' || *links->at == '?') {
            pass(links, ">");
        } else if (isalpha((unsigned char)*links->at) || *links->at == '/') {
            size_t n = 0; /* of an end tag the name is empty, and the rest counts for nothing */
            while (links->at < links->end && !blank(*links->at) && *links->at != '/' &&
                   *links->at != '>') {
                if (n < sizeof links->tag - 1)
                    links->tag[n++] = (char)tolower((unsigned char)*links->at);
                links->at++;
            }
            links->tag[n] = '\0';
            links->in_tag = true;
            return true;
        }
    }
    links->at = links->end;
    return false;
}

static void
leave_tag(struct links *links)
{
    links->in_tag = false;
    if (links->at < links->end)
        links->at++;
    if (is_raw(links->tag))
        pass_raw_text(links);
}

struct attribute {
    const char *name, *value;
    size_t name_len, value_len;
};

static void
pass_blanks(struct links *links)
{
    while (links->at < links->end && blank(*links->at))
        links->at++;
}

/* The next attribute of the tag one is in; false at its end. */
static bool
next_attribute(struct links *links, struct attribute *ret_attribute)
{
    while (links->at < links->end && (blank(*links->at) || *links->at == '/'))
        links->at++;
    if (links->at >= links->end || *links->at == '>')
        return false;
    struct attribute a = {.name = links->at, .value = ""};
    links->at++; /* also a "=", which then is part of the name */
    while (links->at < links->end && !blank(*links->at) && strchr("/>=", *links->at) == NULL)
        links->at++;
    a.name_len = (size_t)(links->at - a.name);
    pass_blanks(links);
    if (links->at < links->end && *links->at == '=') {
        links->at++;
        pass_blanks(links);
        char quote = links->at < links->end ? *links->at : '\0';
        if (quote == '"' || quote == '\'') {
            a.value = ++links->at;
            const char *stop = memchr(a.value, quote, (size_t)(links->end - a.value));
            a.value_len = (size_t)((stop != NULL ? stop : links->end) - a.value);
            links->at = stop != NULL ? stop + 1 : links->end;
        } else {
            a.value = links->at;
            while (links->at < links->end && !blank(*links->at) && *links->at != '>')
                links->at++;
            a.value_len = (size_t)(links->at - a.value);
        }
    }
    *ret_attribute = a;
    return true;
}

static bool
is_named(const struct attribute *a, const char *name)
{
    return a->name_len == strlen(name) && strncasecmp(a->name, name, a->name_len) == 0;
}

int
links_next(struct links *links, weft_buf *out)
{
    while (links->in_tag || enter_tag(links)) {
        struct attribute a;
        if (!next_attribute(links, &a)) {
            leave_tag(links);
            continue;
        }
        bool base = strcmp(links->tag, "base") == 0, href = is_named(&a, "href");
        if (links->tag[0] == '\0' || !(href || (!base && is_named(&a, "src"))))
            continue;
        int rc = value_of(out, a.value, a.value_len);
        return rc < 0 ? rc : base ? LINK_BASE : LINK_TO;
    }
    return LINK_NONE;
}
