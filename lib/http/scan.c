/*
 * scan.c - the classes of characters (RFC 9110 5.6.2, RFC 3986).
 */
#include "http/scan.h"

#define LETTER (TOKEN | HOST | SCHEME | TEXT | QUOTED)

const uint8_t weft__http_classes[256] = {
    ['\t'] = TEXT | QUOTED,
    [' '] = TEXT | QUOTED,
    ['!'] = TOKEN | HOST | TEXT | QUOTED,
    ['"'] = TEXT,
    ['#'] = TOKEN | TEXT | QUOTED,
    ['$'] = TOKEN | HOST | TEXT | QUOTED,
    ['%'] = TOKEN | TEXT | QUOTED,
    ['&'] = TOKEN | HOST | TEXT | QUOTED,
    ['\''] = TOKEN | HOST | TEXT | QUOTED,
    ['('] = HOST | TEXT | QUOTED,
    [')'] = HOST | TEXT | QUOTED,
    ['*'] = TOKEN | HOST | TEXT | QUOTED,
    ['+'] = TOKEN | HOST | SCHEME | TEXT | QUOTED,
    /* The grammar has it in names of hosts; here it is what two Host fields joined look like. */
    [','] = TEXT | QUOTED,
    ['-'] = TOKEN | HOST | SCHEME | TEXT | QUOTED,
    ['.'] = TOKEN | HOST | SCHEME | TEXT | QUOTED,
    ['/'] = TEXT | QUOTED,
    ['0' ... '9'] = LETTER | DIGIT | HEX,
    [':'] = TEXT | QUOTED,
    [';'] = HOST | TEXT | QUOTED,
    ['<'] = TEXT | QUOTED,
    ['='] = HOST | TEXT | QUOTED,
    ['>' ... '@'] = TEXT | QUOTED,
    ['A' ... 'F'] = LETTER | HEX,
    ['G' ... 'Z'] = LETTER,
    ['['] = TEXT | QUOTED,
    ['\\'] = TEXT,
    [']'] = TEXT | QUOTED,
    ['^'] = TOKEN | TEXT | QUOTED,
    ['_'] = TOKEN | HOST | TEXT | QUOTED,
    ['`'] = TOKEN | TEXT | QUOTED,
    ['a' ... 'f'] = LETTER | HEX,
    ['g' ... 'z'] = LETTER,
    ['{'] = TEXT | QUOTED,
    ['|'] = TOKEN | TEXT | QUOTED,
    ['}'] = TEXT | QUOTED,
    ['~'] = TOKEN | HOST | TEXT | QUOTED,
    [128 ... 255] = TEXT | QUOTED,
};
