/*
 * http_response.c - response heads: the same in every cut, and an accepted one means the same when
 * it is written out again. The first byte says to which method it is the answer.
 */
#include "fuzz/fuzz.h"
#include "http/t_http.h"

static void
write_again(weft_buf *out, unsigned method, const char *data, size_t head)
{
    struct weft__http_field fields[T_HTTP_FIELDS];
    struct weft__http_response r = {.fields = fields};
    struct weft__http_scan scan = {0};
    ssize_t rc = weft__http_parse_response(&r, &scan, method, data, head, &t_http_limits);
    FUZZ_CHECK(rc == (ssize_t)head);
    FUZZ_CHECK(r.status >= 100 && r.status <= 599);
    FUZZ_CHECK(!(r.body == WEFT__HTTP_BODY_CLOSE && r.keep_alive));
    FUZZ_CHECK(r.body != WEFT__HTTP_BODY_CHUNKED || (r.chunked && !r.has_length));
    FUZZ_CHECK(r.body != WEFT__HTTP_BODY_LENGTH || (r.has_length && r.content_length > 0));
    weft_buf_printf(out, "HTTP/1.%d %d ", r.version_minor, r.status);
    weft_buf_append(out, r.reason, r.reason_len);
    weft_buf_append(out, "\r\n", 2);
    for (unsigned i = 0; i < r.n_fields; i++) {
        weft_buf_append(out, r.fields[i].name, r.fields[i].name_len);
        weft_buf_append(out, ": ", 2);
        weft_buf_append(out, r.fields[i].value, r.fields[i].value_len);
        weft_buf_append(out, "\r\n", 2);
    }
    weft_buf_append(out, "\r\n", 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    unsigned method = bytes[0] % (WEFT_HTTP_PATCH + 1);
    const char *data = (const char *)bytes + 1;
    size--;
    weft_buf whole = {0}, other = {0}, again = {0};
    ssize_t rc, other_rc;
    t_http_response(&whole, method, data, size, T_HTTP_WHOLE, &rc);
    size_t step = size / 16 + 1;
    for (size_t cut = size % 7; cut < size; cut += step) {
        other.len = 0;
        t_http_response(&other, method, data, size, cut, &other_rc);
        FUZZ_CHECK(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);
    }
    if (size <= 600) {
        other.len = 0;
        t_http_response(&other, method, data, size, T_HTTP_BYTES, &other_rc);
        FUZZ_CHECK(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);
    }
    if (rc > 0) {
        write_again(&again, method, data, (size_t)rc);
        /* A blank that was added may pass the limit. */
        if (again.len <= t_http_limits.head_bytes) {
            other.len = 0;
            t_http_response(&other, method, (const char *)again.data, again.len, T_HTTP_WHOLE,
                            &other_rc);
            FUZZ_CHECK(other_rc == (ssize_t)again.len);
            const char *x = memchr(whole.data, ' ', whole.len);
            const char *y = memchr(other.data, ' ', other.len);
            size_t x_len = whole.len - (size_t)(x - (const char *)whole.data);
            size_t y_len = other.len - (size_t)(y - (const char *)other.data);
            FUZZ_CHECK(x_len == y_len && memcmp(x, y, x_len) == 0);
        }
    }
    weft_buf_free(&whole);
    weft_buf_free(&other);
    weft_buf_free(&again);
    return 0;
}
