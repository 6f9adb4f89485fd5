/*
 * url.c - URLs and what is written in them. The input is a base, a line feed, and a reference.
 */
#include <string.h>

#include <weft/error.h>
#include <weft/http.h>

#include "fuzz/fuzz.h"

static void
check_within(weft_bytes part, const char *text, size_t len)
{
    if (part.data != NULL && len > 0)
        FUZZ_CHECK((const char *)part.data >= text &&
                   (const char *)part.data + part.len <= text + len);
}

/* A URL that was accepted: written it is the same but for an empty port; normalized it is a URL,
 * and normalized again the same. */
static void
check_url(const char *text, size_t len)
{
    weft_url url, again;
    if (weft_url_parse_reference(&url, text, len) < 0)
        return;
    check_within(url.scheme, text, len);
    check_within(url.userinfo, text, len);
    check_within(url.host, text, len);
    check_within(url.path, text, len);
    check_within(url.query, text, len);
    check_within(url.fragment, text, len);

    weft_buf written = {0}, once = {0}, twice = {0};
    FUZZ_CHECK(weft_url_write(&written, &url) == 0 && written.len <= len);
    FUZZ_CHECK(weft_url_parse_reference(&again, (char *)written.data, written.len) == 0);
    FUZZ_CHECK(again.path.len == url.path.len && again.port == url.port);
    FUZZ_CHECK((again.host.data != NULL) == (url.host.data != NULL));

    FUZZ_CHECK(weft_url_normalize(&once, &url) == 0);
    FUZZ_CHECK(weft_url_parse_reference(&again, (char *)once.data, once.len) == 0);
    FUZZ_CHECK((again.host.data != NULL) == (url.host.data != NULL));
    FUZZ_CHECK(weft_url_port(&again) == weft_url_port(&url));
    FUZZ_CHECK(weft_url_normalize(&twice, &again) == 0);
    FUZZ_CHECK(once.len == twice.len &&
               (once.len == 0 || memcmp(once.data, twice.data, once.len) == 0));
    weft_buf_free(&written);
    weft_buf_free(&once);
    weft_buf_free(&twice);
}

/* No segment of a decoded path is empty, ".", or "..", but for the end of a folder's path. */
static void
check_path(const char *text, size_t len)
{
    weft_buf out = {0};
    if (weft_http_path_decode(&out, text, len) == 0 && out.len > 0) {
        char *path = (char *)out.data;
        FUZZ_CHECK(strlen(path) == out.len && path[0] != '/' && strchr(path, '\\') == NULL);
        for (char *p = path;; p++) {
            size_t segment = strcspn(p, "/");
            FUZZ_CHECK(segment > 0 && !(segment == 1 && p[0] == '.') &&
                       !(segment == 2 && p[0] == '.' && p[1] == '.'));
            p += segment;
            if (*p == 0 || p[1] == 0)
                break;
        }
    }
    weft_buf_free(&out);
}

static void
check_coding(const char *text, size_t len)
{
    weft_buf coded = {0}, back = {0};
    FUZZ_CHECK(weft_percent_encode(&coded, text, len, "/") == 0);
    FUZZ_CHECK(weft_percent_decode(&back, coded.data, coded.len, true) == 0);
    FUZZ_CHECK(back.len == len && (len == 0 || memcmp(back.data, text, len) == 0));
    weft_buf_free(&coded);
    weft_buf_free(&back);

    weft_bytes rest = {text, len}, name, value;
    size_t left = len + 1;
    while (weft_query_next(&rest, &name, &value)) {
        FUZZ_CHECK(rest.len < left);
        left = rest.len;
        check_within(name, text, len);
        check_within(value, text, len);
    }
}

static void
check_values(const char *text, size_t len)
{
    weft_http_range ranges[4];
    int n = weft_http_range_parse(text, len, 1000, ranges, 4);
    FUZZ_CHECK(n <= 4);
    for (int i = 0; i < n; i++)
        FUZZ_CHECK(ranges[i].first <= ranges[i].last && ranges[i].last < 1000);
    int weight = weft_http_accepts(text, len, "text/html");
    FUZZ_CHECK(weight >= 0 && weight <= 1000);
    weft_http_etag_match(text, len, "\"a\"", true);
    int64_t seconds, again;
    if (weft_http_date_parse(text, len, 1700000000, &seconds) == 0) {
        char buf[WEFT_HTTP_DATE_BYTES];
        weft_http_date_format(seconds, buf);
        FUZZ_CHECK(weft_http_date_parse(buf, strlen(buf), 0, &again) == 0 && again == seconds);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *text = (const char *)bytes;
    check_url(text, size);
    check_path(text, size);
    check_coding(text, size);
    check_values(text, size);

    const char *line = size > 0 ? memchr(text, '\n', size) : NULL;
    weft_url base, reference, result;
    if (line == NULL || weft_url_parse(&base, text, (size_t)(line - text)) < 0 ||
        weft_url_parse_reference(&reference, line + 1, size - (size_t)(line + 1 - text)) < 0)
        return 0;
    weft_buf out = {0};
    int rc = weft_url_resolve(&out, &base, &reference);
    FUZZ_CHECK(rc == 0 || (rc == WEFT_E_URL && reference.host.data != NULL));
    if (rc == 0) {
        FUZZ_CHECK(weft_url_parse(&result, (char *)out.data, out.len) == 0);
        check_url((char *)out.data, out.len);
    }
    weft_buf_free(&out);
    return 0;
}
