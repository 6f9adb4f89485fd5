/*
 * resp.c - fuzzing the requests of examples/kv: what is found is the same however the bytes are
 * cut, and nothing outside them is touched.
 *
 * The first byte of the input chooses the cuts, the rest are the bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/kv/resp.c"
#include "../../examples/kv/resp.h"

#define REQUEST_MAX 4096
#define ARGS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that was found, as bytes. */
struct found {
    char bytes[1 << 16];
    size_t len;
};

static void
note(struct found *found, const void *bytes, size_t len)
{
    if (len > sizeof found->bytes - found->len)
        len = sizeof found->bytes - found->len;
    memcpy(found->bytes + found->len, bytes, len);
    found->len += len;
}

/* Shows the parser `step` more bytes each time, in memory that ends where they end. */
static void
parse_all(const uint8_t *data, size_t size, size_t step, struct found *found)
{
    struct resp parser;
    resp_open(&parser, REQUEST_MAX, ARGS_MAX);
    size_t begin = 0, shown = 0;
    enum resp_result result = RESP_MORE;
    while (result >= 0 && (shown < size || result == RESP_REQUEST)) {
        if (result == RESP_MORE)
            shown += step < size - shown ? step : size - shown;
        char *copy = malloc(shown - begin + 1);
        if (copy == NULL)
            abort();
        char *exact = copy + 1; /* never of no bytes */
        memcpy(exact, data + begin, shown - begin);
        result = resp_parse(&parser, exact, shown - begin);
        if (result == RESP_REQUEST) {
            if (parser.at == 0 || parser.at > shown - begin || parser.n_args > ARGS_MAX)
                abort();
            note(found, &parser.at, sizeof parser.at);
            for (size_t i = 0; i < parser.n_args; i++) {
                note(found, &parser.args[i].len, sizeof parser.args[i].len);
                note(found, resp_arg(&parser, exact, i), parser.args[i].len);
            }
            begin += parser.at;
            resp_next(&parser);
        }
        free(copy);
    }
    note(found, &result, sizeof result);
    if (result == RESP_ERROR)
        note(found, parser.error, strlen(parser.error));
    resp_close(&parser);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct found whole, cut;
    if (size < 2)
        return 0;
    whole.len = cut.len = 0;
    parse_all(data + 1, size - 1, size - 1, &whole);
    parse_all(data + 1, size - 1, 1 + data[0] % 16, &cut);
    if (whole.len != cut.len || memcmp(whole.bytes, cut.bytes, whole.len) != 0)
        abort();
    return 0;
}
