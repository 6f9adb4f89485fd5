/*
 * resp.c - the requests of the Redis protocol.
 *
 * A length is read once its whole line has come, and is looked at before the bytes it announces:
 * what is too long is refused before there is memory for it.
 */
#include "resp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_KEPT 32 /* room for so many words stays between requests */

void
resp_open(struct resp *parser, size_t request_max, size_t args_max)
{
    *parser = (struct resp){.request_max = request_max, .args_max = args_max};
}

void
resp_close(struct resp *parser)
{
    free(parser->args);
    free(parser->unquoted);
    *parser = (struct resp){.request_max = 0};
}

void
resp_next(struct resp *parser)
{
    if (parser->cap > ARGS_KEPT) {
        free(parser->args);
        parser->args = NULL;
        parser->cap = 0;
    }
    if (parser->unquoted != NULL) {
        free(parser->unquoted);
        parser->unquoted = NULL;
    }
    parser->at = parser->n_args = parser->n_left = 0;
    parser->in_array = parser->in_word = false;
}

bool
resp_number(const char *text, size_t len, int64_t *ret_number)
{
    bool negative = len > 0 && text[0] == '-';
    size_t i = negative;
    if (len == i || len - i > 19 || (text[i] == '0' && len > 1))
        return false;
    uint64_t number = 0; /* 19 digits fit */
    for (; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (number > (uint64_t)INT64_MAX + negative)
        return false;
    *ret_number = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

static enum resp_result
refuse(struct resp *parser, const char *why)
{
    snprintf(parser->error, sizeof parser->error, "%s", why);
    return RESP_ERROR;
}

static bool
add_arg(struct resp *parser, size_t offset, size_t len)
{
    if (parser->n_args == parser->cap) {
        /* Grows with the words that come, not with the number that was announced. */
        size_t cap = parser->cap == 0 ? 8 : parser->cap * 2;
        struct resp_word *args = realloc(parser->args, cap * sizeof *args);
        if (args == NULL)
            return false;
        parser->args = args;
        parser->cap = cap;
    }
    parser->args[parser->n_args++] = (struct resp_word){offset, len};
    return true;
}

/* ---- A line of words ------------------------------------------------------------------------ */

static int
hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What stands behind a backslash between double quotes; moves *at behind it. */
static char
escaped(const char *line, size_t len, size_t *at)
{
    char c = line[*at];
    if (c == 'x' && len - *at > 2 && hex(line[*at + 1]) >= 0 && hex(line[*at + 2]) >= 0) {
        char byte = (char)(hex(line[*at + 1]) * 16 + hex(line[*at + 2]));
        *at += 3;
        return byte;
    }
    (*at)++;
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* Takes one word of the line, whose quotes go. False for quotes that do not end, or that go over
 * into the next word. */
static bool
take_word(const char *line, size_t len, size_t *at, char *out, size_t *out_len)
{
    char quote = '\0';
    for (;;) {
        if (*at == len)
            return quote == '\0';
        char c = line[*at];
        if (quote == '\0') {
            if (isspace((unsigned char)c))
                return true;
            (*at)++;
            if (c == '"' || c == '\'')
                quote = c;
            else
                out[(*out_len)++] = c;
        } else if (c == quote) {
            (*at)++;
            return *at == len || isspace((unsigned char)line[*at]);
        } else if (quote == '"' && c == '\\' && *at + 1 < len) {
            (*at)++;
            out[(*out_len)++] = escaped(line, len, at);
        } else if (quote == '\'' && c == '\\' && *at + 1 < len && line[*at + 1] == '\'') {
            *at += 2;
            out[(*out_len)++] = '\'';
        } else {
            (*at)++;
            out[(*out_len)++] = c;
        }
    }
}

static enum resp_result
parse_line(struct resp *parser, const char *data, size_t len)
{
    size_t max = parser->request_max < RESP_LINE_MAX ? parser->request_max : RESP_LINE_MAX;
    const char *end = memchr(data, '\n', len < max ? len : max);
    if (end == NULL)
        return len < max ? RESP_MORE : refuse(parser, "too big inline request");
    size_t line = (size_t)(end - data);
    parser->at = line + 1;
    if (line > 0 && data[line - 1] == '\r')
        line--;

    size_t at = 0, used = 0;
    parser->unquoted = malloc(line + 1); /* words without their quotes are never longer */
    if (parser->unquoted == NULL)
        return RESP_NO_MEMORY;
    for (;;) {
        while (at < line && isspace((unsigned char)data[at]))
            at++;
        if (at == line)
            return RESP_REQUEST;
        size_t begun = used;
        if (!take_word(data, line, &at, parser->unquoted, &used))
            return refuse(parser, "unbalanced quotes in request");
        if (parser->n_args == parser->args_max)
            return refuse(parser, "too many words in request");
        if (!add_arg(parser, begun, used - begun))
            return RESP_NO_MEMORY;
    }
}

/* ---- An array of words ---------------------------------------------------------------------- */

/* The line at parser->at, "*12\r\n": what stands between its first byte and its end. */
static enum resp_result
take_length(struct resp *parser, const char *data, size_t len, const char *too_big,
            const char **ret_text, size_t *ret_len)
{
    const char *line = data + parser->at;
    size_t have = len - parser->at;
    const char *end = memchr(line, '\r', have < RESP_LINE_MAX ? have : RESP_LINE_MAX);
    if (end == NULL)
        return have < RESP_LINE_MAX ? RESP_MORE : refuse(parser, too_big);
    size_t n = (size_t)(end - line);
    if (have < n + 2)
        return RESP_MORE;
    *ret_text = line + 1;
    *ret_len = n - 1;
    parser->at += n + 2;
    return RESP_REQUEST;
}

static enum resp_result
parse_count(struct resp *parser, const char *data, size_t len)
{
    const char *text = NULL;
    size_t n = 0;
    int64_t count;
    enum resp_result result =
        take_length(parser, data, len, "too big mbulk count string", &text, &n);
    if (result != RESP_REQUEST)
        return result;
    if (!resp_number(text, n, &count) || count > (int64_t)parser->args_max)
        return refuse(parser, "invalid multibulk length");
    parser->in_array = true;
    parser->n_left = count > 0 ? (size_t)count : 0;
    return RESP_REQUEST;
}

static enum resp_result
parse_word_head(struct resp *parser, const char *data, size_t len)
{
    const char *text = NULL;
    size_t n = 0;
    int64_t bytes;
    if (parser->at == len)
        return RESP_MORE;
    char kind = data[parser->at];
    if (kind != '$') {
        snprintf(parser->error, sizeof parser->error, "expected '$', got '%c'",
                 isprint((unsigned char)kind) ? kind : ' ');
        return RESP_ERROR;
    }
    enum resp_result result =
        take_length(parser, data, len, "too big bulk count string", &text, &n);
    if (result != RESP_REQUEST)
        return result;
    if (!resp_number(text, n, &bytes) || bytes < 0 || bytes > (int64_t)parser->request_max)
        return refuse(parser, "invalid bulk length");
    if (parser->at + (size_t)bytes + 2 > parser->request_max)
        return refuse(parser, "too big request");
    parser->word_len = (size_t)bytes;
    parser->in_word = true;
    return RESP_REQUEST;
}

enum resp_result
resp_parse(struct resp *parser, const char *data, size_t len)
{
    enum resp_result result;
    if (len == 0)
        return RESP_MORE;
    if (!parser->in_array) {
        if (data[0] != '*')
            return parse_line(parser, data, len);
        result = parse_count(parser, data, len);
        if (result != RESP_REQUEST)
            return result;
    }
    while (parser->n_left > 0) {
        if (!parser->in_word) {
            result = parse_word_head(parser, data, len);
            if (result != RESP_REQUEST)
                return result;
        }
        if (len - parser->at < parser->word_len + 2)
            return RESP_MORE;
        if (!add_arg(parser, parser->at, parser->word_len))
            return RESP_NO_MEMORY;
        parser->at += parser->word_len + 2; /* the line's end is passed over, as Redis does */
        parser->in_word = false;
        parser->n_left--;
    }
    return RESP_REQUEST;
}
