/*
 * http_chunks.c - chunked bodies: the same in every cut, and a body that was read can be chunked
 * again and read.
 */
#include "fuzz/fuzz.h"
#include "http/t_http.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes;
    weft_buf whole = {0}, other = {0};
    ssize_t rc, other_rc;
    t_http_chunked(&whole, data, size, T_HTTP_WHOLE, &rc);
    size_t step = size / 16 + 1;
    for (size_t cut = size % 7; cut < size; cut += step) {
        other.len = 0;
        t_http_chunked(&other, data, size, cut, &other_rc);
        FUZZ_CHECK(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);
    }
    other.len = 0;
    t_http_chunked(&other, data, size, T_HTTP_BYTES, &other_rc);
    FUZZ_CHECK(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);

    if (rc == 1) {
        /* What stands behind the count of bytes taken: " body[...]" and trailers. */
        const char *body = memchr(whole.data, '[', whole.len);
        FUZZ_CHECK(body != NULL);
        struct weft__http_chunks chunks = {0};
        weft_buf once = {0}, again = {0};
        size_t taken = 0, part_len;
        const char *part;
        bool done = false;
        while (!done) {
            ssize_t took = weft__http_chunks_feed(&chunks, data + taken, size - taken, &part,
                                                  &part_len, &done);
            FUZZ_CHECK(took > 0 && (size_t)took <= size - taken);
            taken += (size_t)took;
            if (part_len > 0)
                weft_buf_printf(&again, "%zx\r\n", part_len);
            weft_buf_append(&once, part, part_len);
            weft_buf_append(&again, part, part_len);
            if (part_len > 0)
                weft_buf_append(&again, "\r\n", 2);
        }
        weft_buf_append(&again, "0\r\n\r\n", 5);
        FUZZ_CHECK(once.len == 0 || memcmp(body + 1, once.data, once.len) == 0);

        weft_buf twice = {0};
        chunks = (struct weft__http_chunks){0};
        for (taken = 0, done = false; !done;) {
            ssize_t took = weft__http_chunks_feed(&chunks, (char *)again.data + taken,
                                                  again.len - taken, &part, &part_len, &done);
            FUZZ_CHECK(took > 0);
            taken += (size_t)took;
            weft_buf_append(&twice, part, part_len);
        }
        FUZZ_CHECK(taken == again.len && twice.len == once.len);
        FUZZ_CHECK(once.len == 0 || memcmp(twice.data, once.data, once.len) == 0);
        weft_buf_free(&once);
        weft_buf_free(&again);
        weft_buf_free(&twice);
    }
    weft_buf_free(&whole);
    weft_buf_free(&other);
    return 0;
}
