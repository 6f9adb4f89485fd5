/*
 * http_request.c - request heads: the same in every cut, and an accepted one means the same when it
 * is written out again.
 */
#include "fuzz/fuzz.h"
#include "http/t_http.h"

/* The request as its parts say, in the plainest form. */
static void
write_again(weft_buf *out, const char *data, size_t head)
{
    struct weft__http_field fields[T_HTTP_FIELDS];
    struct weft__http_request r = {.fields = fields};
    struct weft__http_scan scan = {0};
    int status;
    ssize_t rc = weft__http_parse_request(&r, &scan, data, head, &t_http_limits, &status);
    FUZZ_CHECK(rc == (ssize_t)head);
    FUZZ_CHECK(!(r.chunked && r.has_length));
    FUZZ_CHECK(r.version_minor == 0 || r.has_host);
    FUZZ_CHECK(r.version_minor == 1 || (!r.chunked && !r.expect_continue));
    weft_buf_printf(out, "%.*s %.*s HTTP/1.%d\r\n", (int)r.method_len, r.method, (int)r.target_len,
                    r.target, r.version_minor);
    for (unsigned i = 0; i < r.n_fields; i++) {
        FUZZ_CHECK(r.fields[i].name_len > 0);
        FUZZ_CHECK(memchr(r.fields[i].value, '\n', r.fields[i].value_len) == NULL);
        FUZZ_CHECK(memchr(r.fields[i].value, '\r', r.fields[i].value_len) == NULL);
        FUZZ_CHECK(memchr(r.fields[i].value, 0, r.fields[i].value_len) == NULL);
        weft_buf_append(out, r.fields[i].name, r.fields[i].name_len);
        weft_buf_append(out, ":", 1);
        weft_buf_append(out, r.fields[i].value, r.fields[i].value_len);
        weft_buf_append(out, "\r\n", 2);
    }
    weft_buf_append(out, "\r\n", 2);
}

/* Behind the count of bytes, which blanks around values change. */
static void
check_same(const weft_buf *a, const weft_buf *b)
{
    const char *x = memchr(a->data, ' ', a->len), *y = memchr(b->data, ' ', b->len);
    FUZZ_CHECK(x != NULL && y != NULL);
    size_t x_len = a->len - (size_t)(x - (const char *)a->data);
    size_t y_len = b->len - (size_t)(y - (const char *)b->data);
    FUZZ_CHECK(x_len == y_len && memcmp(x, y, x_len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes;
    weft_buf whole = {0}, other = {0}, again = {0};
    ssize_t rc, other_rc;
    t_http_request(&whole, data, size, T_HTTP_WHOLE, &rc);
    size_t step = size / 16 + 1;
    for (size_t cut = size % 7; cut < size; cut += step) {
        other.len = 0;
        t_http_request(&other, data, size, cut, &other_rc);
        FUZZ_CHECK(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);
    }
    if (size <= 600) {
        other.len = 0;
        t_http_request(&other, data, size, T_HTTP_BYTES, &other_rc);
        FUZZ_CHECK(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);
    }
    if (rc > 0) {
        FUZZ_CHECK((size_t)rc <= size && rc <= 4096);
        write_again(&again, data, (size_t)rc);
        other.len = 0;
        t_http_request(&other, (const char *)again.data, again.len, T_HTTP_WHOLE, &other_rc);
        FUZZ_CHECK(other_rc == (ssize_t)again.len);
        check_same(&whole, &other);
    }
    weft_buf_free(&whole);
    weft_buf_free(&other);
    weft_buf_free(&again);
    return 0;
}
