/*
 * method.c - methods by name and names of methods.
 */
#include <string.h>

#include <weft/http.h>

static const struct {
    char name[8];
    unsigned char len;
    bool idempotent;
} methods[] = {
    [WEFT_HTTP_OTHER] = {"", 0, false},          [WEFT_HTTP_GET] = {"GET", 3, true},
    [WEFT_HTTP_HEAD] = {"HEAD", 4, true},        [WEFT_HTTP_POST] = {"POST", 4, false},
    [WEFT_HTTP_PUT] = {"PUT", 3, true},          [WEFT_HTTP_DELETE] = {"DELETE", 6, true},
    [WEFT_HTTP_CONNECT] = {"CONNECT", 7, false}, [WEFT_HTTP_OPTIONS] = {"OPTIONS", 7, true},
    [WEFT_HTTP_TRACE] = {"TRACE", 5, true},      [WEFT_HTTP_PATCH] = {"PATCH", 5, false},
};

#define N_METHODS (sizeof methods / sizeof *methods)

const char *
weft_http_method_name(weft_http_method method)
{
    return (unsigned)method < N_METHODS ? methods[method].name : "";
}

weft_http_method
weft_http_method_parse(const char *text, size_t len)
{
    if (len == 3 && memcmp(text, "GET", 3) == 0)
        return WEFT_HTTP_GET;
    for (unsigned i = 1; i < N_METHODS; i++)
        if (methods[i].len == len && memcmp(methods[i].name, text, len) == 0)
            return (weft_http_method)i;
    return WEFT_HTTP_OTHER;
}

bool
weft_http_method_is_idempotent(weft_http_method method)
{
    return (unsigned)method < N_METHODS && methods[method].idempotent;
}
