/*
 * resp.h - the requests of the Redis protocol, version 2: arrays of bulk strings, and lines.
 *
 * The parser does no input: it is shown all bytes of a request that have come so far, again and
 * again until the request is whole, and remembers how far it has looked. What it finds does not
 * depend on how the bytes were cut into pieces.
 */
#ifndef KV_RESP_H
#define KV_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_LINE_MAX 65536 /* the longest line: a request in words, or a length */

enum resp_result {
    RESP_NO_MEMORY = -2,
    RESP_ERROR = -1, /* parser->error says what is wrong; the connection is past help */
    RESP_MORE = 0,   /* the request is not whole yet */
    RESP_REQUEST = 1 /* it is: parser->at bytes, parser->n_args words, perhaps none */
};

/* Where a word stands: in the request, or in the parser's memory when it had quotes. */
struct resp_word {
    size_t offset, len;
};

struct resp {
    size_t request_max; /* bytes of a request, and of a word */
    size_t args_max;
    size_t at; /* bytes of the request that are understood */
    struct resp_word *args;
    size_t n_args, cap;
    size_t n_left;   /* words to come */
    size_t word_len; /* of the word whose bytes come next */
    bool in_array, in_word;
    char *unquoted; /* the words of a line */
    char error[64];
};

/* All zero but for the two limits is a parser at work; memory comes with the first request. */
void resp_open(struct resp *parser, size_t request_max, size_t args_max);
void resp_close(struct resp *parser);

/* Looks at the request that begins at data. */
enum resp_result resp_parse(struct resp *parser, const char *data, size_t len);

/* The bytes of a word of the request at data. */
static inline const char *
resp_arg(const struct resp *parser, const char *data, size_t i)
{
    return (parser->in_array ? data : parser->unquoted) + parser->args[i].offset;
}

/* Begins with the next request, which stands parser->at bytes further on. */
void resp_next(struct resp *parser);

/* A decimal number, as Redis wants it: no sign but "-", no leading zeros, no spaces. */
bool resp_number(const char *text, size_t len, int64_t *ret_number);

#endif
