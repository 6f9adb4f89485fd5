/*
 * robots.c - groups of User-agent lines and the rules under them.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "robots.h"

#define DELAY_MAX 30.0

struct robots_rule {
    char *pattern; /* percent encoding as in normalised URLs; "*" and a "$" at the end */
    size_t len;
    bool allow;
};

/* ---- Patterns ------------------------------------------------------------------------------- */

/* What may be written plainly is, all other bytes are encoded, in capitals: so that the rule can be
 * compared with a normalised URL byte by byte. */
static int
canonical(weft_buf *out, const char *text, size_t len)
{
    static const char plain[] = "-._~!$&'()*+,;=:@/?";
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        unsigned char c = (unsigned char)text[i];
        bool escape = c == '%' && i + 2 < len && isxdigit((unsigned char)text[i + 1]) &&
                      isxdigit((unsigned char)text[i + 2]);
        if (escape) {
            char digits[3] = {text[i + 1], text[i + 2], '\0'};
            c = (unsigned char)strtoul(digits, NULL, 16);
            i += 2;
        }
        bool keep = (c < 0x80 && isalnum(c)) || (c != '\0' && strchr("-._~", c) != NULL) ||
                    (!escape && c != '\0' && strchr(plain, c) != NULL);
        rc = keep ? weft_buf_append(out, &c, 1) : weft_buf_printf(out, "%%%02X", c);
    }
    return rc == 0 ? weft_buf_append(out, "", 1) : rc;
}

/* Whether the pattern matches the beginning of the path. On a mismatch the last "*" takes one byte
 * more: earlier ones need not be tried again. */
static bool
matches(const char *pattern, const char *path)
{
    const char *star = NULL, *from = NULL;
    for (;;) {
        if (*pattern == '\0')
            return true;
        if (pattern[0] == '$' && pattern[1] == '\0' && *path == '\0')
            return true;
        if (*pattern == '*') {
            star = ++pattern;
            from = path;
        } else if (*path != '\0' && *pattern == *path) {
            pattern++;
            path++;
        } else if (star != NULL && *from != '\0') {
            path = ++from;
            pattern = star;
        } else {
            return false;
        }
    }
}

bool
robots_allow(const struct robots *robots, const char *path)
{
    bool allow = true;
    size_t longest = 0;
    if (strcmp(path, "/robots.txt") == 0)
        return true;
    for (size_t i = 0; i < robots->n; i++) {
        const struct robots_rule *rule = &robots->rules[i];
        if (rule->len < longest || (rule->len == longest && !rule->allow && longest > 0))
            continue;
        if (matches(rule->pattern, path)) {
            allow = rule->allow;
            longest = rule->len;
        }
    }
    return allow;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

struct line {
    const char *name, *value;
    size_t name_len, value_len;
};

static void
trim(const char **text, size_t *len)
{
    while (*len > 0 && isspace((unsigned char)**text)) {
        ++*text;
        --*len;
    }
    while (*len > 0 && isspace((unsigned char)(*text)[*len - 1]))
        --*len;
}

/* The next line that has a colon, without its comment. */
static bool
next_line(const char **at, const char *end, struct line *line)
{
    while (*at < end) {
        const char *begin = *at, *stop = begin;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        *at = stop < end ? stop + 1 : end;
        const char *hash = memchr(begin, '#', (size_t)(stop - begin));
        if (hash != NULL)
            stop = hash;
        const char *colon = memchr(begin, ':', (size_t)(stop - begin));
        if (colon == NULL)
            continue;
        *line =
            (struct line){begin, colon + 1, (size_t)(colon - begin), (size_t)(stop - colon) - 1};
        trim(&line->name, &line->name_len);
        trim(&line->value, &line->value_len);
        return true;
    }
    return false;
}

static bool
named(const struct line *line, const char *name)
{
    return line->name_len == strlen(name) && strncasecmp(line->name, name, line->name_len) == 0;
}

static int
add_rule(struct robots *robots, const struct line *line)
{
    if (line->value_len == 0) /* "Disallow:" forbids nothing */
        return 0;
    weft_buf pattern = {0};
    struct robots_rule *rules = realloc(robots->rules, (robots->n + 1) * sizeof *rules);
    if (rules == NULL)
        return -ENOMEM;
    robots->rules = rules;
    int rc = canonical(&pattern, line->value, line->value_len);
    char *copy = rc == 0 ? strdup((const char *)pattern.data) : NULL;
    weft_buf_free(&pattern);
    if (copy == NULL)
        return -ENOMEM;
    rules[robots->n++] = (struct robots_rule){copy, strlen(copy), named(line, "allow")};
    return 0;
}

static void
set_delay(struct robots *robots, const struct line *line)
{
    char text[32] = "";
    memcpy(text, line->value, line->value_len < sizeof text ? line->value_len : sizeof text - 1);
    double seconds = strtod(text, NULL);
    if (seconds > 0)
        robots->delay = (weft_time)((seconds < DELAY_MAX ? seconds : DELAY_MAX) * 1e9);
}

/* Reads all groups of one agent. Returns how many there were, or -ENOMEM. */
static int
read_groups(struct robots *robots, const char *text, size_t len, const char *agent,
            size_t agent_len)
{
    const char *at = text, *end = text + len;
    bool ours = false, heading = false;
    struct line line;
    int groups = 0;
    while (next_line(&at, end, &line)) {
        if (named(&line, "user-agent")) {
            /* Lines that follow one another head the same group. */
            ours = (heading && ours) ||
                   (line.value_len == agent_len && strncasecmp(line.value, agent, agent_len) == 0);
            heading = true;
            groups += ours;
            continue;
        }
        bool rule = named(&line, "allow") || named(&line, "disallow");
        if (ours && rule && add_rule(robots, &line) < 0)
            return -ENOMEM;
        if (ours && named(&line, "crawl-delay"))
            set_delay(robots, &line);
        if (rule)
            heading = false;
    }
    return groups;
}

int
robots_parse(struct robots *robots, const char *text, size_t len, const char *agent)
{
    *robots = (struct robots){.rules = NULL};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    int rc = read_groups(robots, text, len, agent, strcspn(agent, "/ \t"));
    if (rc == 0)
        rc = read_groups(robots, text, len, "*", 1);
    if (rc < 0)
        robots_free(robots);
    return rc < 0 ? rc : 0;
}

void
robots_free(struct robots *robots)
{
    for (size_t i = 0; i < robots->n; i++)
        free(robots->rules[i].pattern);
    free(robots->rules);
    *robots = (struct robots){.rules = NULL};
}
