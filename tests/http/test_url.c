/*
 * test_url.c - URLs taken apart, resolved and normalized; percent encoding, queries and paths.
 */
#include <string.h>

#include <weft/http.h>

#include "t.h"

TestSuite(url, .timeout = 20);

static bool
is_text(weft_bytes bytes, const char *text)
{
    if (text == NULL || bytes.data == NULL)
        return text == NULL && bytes.data == NULL;
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static const char *
ended(weft_buf *buf)
{
    T_OK(weft_buf_append(buf, "", 1));
    return (const char *)buf->data;
}

static weft_url
parsed(const char *text)
{
    weft_url url;
    T_OK(weft_url_parse_reference(&url, text, strlen(text)));
    return url;
}

Test(url, parts_are_views_of_the_text)
{
    weft_url url = parsed("http://user:pw@Example.COM:8080/a/b;c?q=1/?#frag?");
    cr_assert(is_text(url.scheme, "http") && is_text(url.userinfo, "user:pw"));
    cr_assert(is_text(url.host, "Example.COM") && url.port == 8080);
    cr_assert(is_text(url.path, "/a/b;c") && is_text(url.query, "q=1/?"));
    cr_assert(is_text(url.fragment, "frag?"));

    url = parsed("https://[2001:db8::1]");
    cr_assert(is_text(url.host, "[2001:db8::1]") && url.port == -1 && weft_url_port(&url) == 443);
    cr_assert(is_text(url.path, "") && is_text(url.query, NULL) && is_text(url.fragment, NULL));
    url = parsed("mailto:a@b");
    cr_assert(is_text(url.host, NULL) && is_text(url.path, "a@b") && weft_url_port(&url) == -1);
    url = parsed("file:///etc/x");
    cr_assert(is_text(url.host, "") && is_text(url.path, "/etc/x"));
    url = parsed("//h:/a?#");
    cr_assert(is_text(url.scheme, NULL) && is_text(url.host, "h") && url.port == -1);
    cr_assert(is_text(url.query, "") && is_text(url.fragment, ""));
    url = parsed("");
    cr_assert(is_text(url.path, "") && is_text(url.host, NULL));
    url = parsed("urn:a:b");
    cr_assert(is_text(url.scheme, "urn") && is_text(url.path, "a:b"));
}

Test(url, what_the_grammar_has_not_is_refused)
{
    static const char *const bad[] = {
        "http://a b/",
        "http://a/ b",
        "http://a/\x80",
        "http://a/%",
        "http://a/%4",
        "http://a/%zz",
        "http://a/?\"",
        "http://a/#<",
        "http://a:b/",
        "http://a:65536/",
        "http://a:1:2/",
        "http://[::1/",
        "http://[::g]/",
        "http://[1.2.3.4]/",
        "http://[::1]x/",
        "http://a/\\b",
        "http://a\\b/",
        "http://a/[",
        "http://",
        "http:///a",
        "https://:80/",
        "1http://a/",
        ":a",
        "http://u@v@w/",
        "http://a/{b}",
        "http://a/\tb",
        "http://a/\x7f",
        "http://%g0/",
        "http://u<@w/",
        "http://a/#b#c",
        "http://a:4294967376/",
        "ht_tp://a/",
    };
    weft_url url;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(weft_url_parse_reference(&url, bad[i], strlen(bad[i])) == WEFT_E_URL, "%s",
                  bad[i]);
    T_ERR(WEFT_E_URL, weft_url_parse_reference(&url, "http://a/\0b", 11));
    T_ERR(WEFT_E_URL, weft_url_parse(&url, "/a", 2));
    T_ERR(WEFT_E_URL, weft_url_parse(&url, "//a/b", 5));
}

/* The examples of RFC 3986 5.4, then some of its borders. */
Test(url, references_are_resolved_as_the_rfc_says)
{
    static const char *const rows[][3] = {
        {"", "g:h", "g:h"},
        {"", "g", "http://a/b/c/g"},
        {"", "./g", "http://a/b/c/g"},
        {"", "g/", "http://a/b/c/g/"},
        {"", "/g", "http://a/g"},
        {"", "//g", "http://g"},
        {"", "?y", "http://a/b/c/d;p?y"},
        {"", "g?y", "http://a/b/c/g?y"},
        {"", "#s", "http://a/b/c/d;p?q#s"},
        {"", "g#s", "http://a/b/c/g#s"},
        {"", "g?y#s", "http://a/b/c/g?y#s"},
        {"", ";x", "http://a/b/c/;x"},
        {"", "g;x", "http://a/b/c/g;x"},
        {"", "g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "", "http://a/b/c/d;p?q"},
        {"", ".", "http://a/b/c/"},
        {"", "./", "http://a/b/c/"},
        {"", "..", "http://a/b/"},
        {"", "../", "http://a/b/"},
        {"", "../g", "http://a/b/g"},
        {"", "../..", "http://a/"},
        {"", "../../", "http://a/"},
        {"", "../../g", "http://a/g"},
        {"", "../../../g", "http://a/g"},
        {"", "../../../../g", "http://a/g"},
        {"", "/./g", "http://a/g"},
        {"", "/../g", "http://a/g"},
        {"", "g.", "http://a/b/c/g."},
        {"", ".g", "http://a/b/c/.g"},
        {"", "g..", "http://a/b/c/g.."},
        {"", "..g", "http://a/b/c/..g"},
        {"", "./../g", "http://a/b/g"},
        {"", "./g/.", "http://a/b/c/g/"},
        {"", "g/./h", "http://a/b/c/g/h"},
        {"", "g/../h", "http://a/b/c/h"},
        {"", "g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"", "g;x=1/../y", "http://a/b/c/y"},
        {"", "g?y/./x", "http://a/b/c/g?y/./x"},
        {"", "g?y/../x", "http://a/b/c/g?y/../x"},
        {"", "g#s/./x", "http://a/b/c/g#s/./x"},
        {"", "g#s/../x", "http://a/b/c/g#s/../x"},
        {"", "http:g", "http:g"},
        {"http://a", "b", "http://a/b"},
        {"http://a?q", "", "http://a?q"},
        {"http://u@a:81/x?y", "z?", "http://u@a:81/z?"},
        {"http://a/b/", "..//../c", "http://a/c"},
        {"mailto:a@b", "#x", "mailto:a@b#x"},
        {"x:a/b", "../../c", "x:/c"},
        {"x:/a/b", "..//c", "x:/c"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = rows[i][0][0] != 0 ? rows[i][0] : "http://a/b/c/d;p?q";
        weft_url base = parsed(text), reference = parsed(rows[i][1]);
        weft_buf out = {0};
        T_OK(weft_url_resolve(&out, &base, &reference));
        cr_expect_str_eq(ended(&out), rows[i][2], "%s + %s = %s", text, rows[i][1],
                         (char *)out.data);
        weft_buf_free(&out);
    }
    weft_url relative = parsed("/a");
    weft_buf out = {0};
    T_ERR(WEFT_E_URL, weft_url_resolve(&out, &relative, &relative));
    weft_url base = parsed("http://a/"), no_host = parsed("///c");
    T_ERR(WEFT_E_URL, weft_url_resolve(&out, &base, &no_host));
    weft_buf_free(&out);
}

Test(url, spellings_of_one_url_are_normalized_to_one)
{
    static const char *const rows[][2] = {
        {"HTTP://EXAMPLE.com", "http://example.com/"},
        {"http://example.com:80/", "http://example.com/"},
        {"http://example.com:/", "http://example.com/"},
        {"https://example.com:80/", "https://example.com:80/"},
        {"http://a/%7Ex/%2e%2E/b%c3%a4%2f", "http://a/b%C3%A4%2F"},
        {"http://a/b/./../c/#frag", "http://a/c/"},
        {"http://a/?b=%41&c=%20", "http://a/?b=A&c=%20"},
        {"http://A%42/", "http://ab/"},
        {"mailto:A@b", "mailto:A@b"},
        {"/a/../b", "/a/../b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_url url = parsed(rows[i][0]);
        weft_buf out = {0};
        T_OK(weft_url_normalize(&out, &url));
        cr_expect_str_eq(ended(&out), rows[i][1], "%s gave %s", rows[i][0], (char *)out.data);
        weft_buf_free(&out);
    }
}

Test(url, parts_can_be_put_together_again)
{
    static const char *const rows[] = {
        "http://u:p@h:1/a?b#c", "//h", "?", "#", "", "a:b", "file:///x", "a/b"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_url url = parsed(rows[i]);
        weft_buf out = {0};
        T_OK(weft_url_write(&out, &url));
        cr_expect_str_eq(ended(&out), rows[i]);
        weft_buf_free(&out);
    }
}

Test(url, percent_encoding_there_and_back)
{
    weft_buf out = {0};
    T_OK(weft_percent_encode(&out, "a/b c\0\xff-._~+", 12, "/"));
    cr_assert_str_eq(ended(&out), "a/b%20c%00%FF-._~%2B");
    weft_buf back = {0};
    T_OK(weft_percent_decode(&back, out.data, out.len - 1, false));
    cr_assert(back.len == 12 && memcmp(back.data, "a/b c\0\xff-._~+", 12) == 0);
    T_OK(weft_percent_decode(&back, "+%2b", 4, true));
    cr_assert(back.len == 14 && memcmp(back.data + 12, " +", 2) == 0);
    T_ERR(WEFT_E_URL, weft_percent_decode(&back, "abc%4", 5, false));
    T_ERR(WEFT_E_URL, weft_percent_decode(&back, "%", 1, false));
    T_ERR(WEFT_E_URL, weft_percent_decode(&back, "%g1", 3, false));
    cr_assert(back.len == 14);
    weft_buf_free(&out);
    weft_buf_free(&back);
}

Test(url, queries_are_walked_pair_by_pair)
{
    weft_bytes rest = {"&a=1&&b&c==&=d&", 15}, name, value;
    cr_assert(weft_query_next(&rest, &name, &value) && is_text(name, "a") && is_text(value, "1"));
    cr_assert(weft_query_next(&rest, &name, &value) && is_text(name, "b") && is_text(value, NULL));
    cr_assert(weft_query_next(&rest, &name, &value) && is_text(name, "c") && is_text(value, "="));
    cr_assert(weft_query_next(&rest, &name, &value) && is_text(name, "") && is_text(value, "d"));
    cr_assert(!weft_query_next(&rest, &name, &value));
    cr_assert(!weft_query_next(&rest, &name, &value));
    rest = (weft_bytes){NULL, 0};
    cr_assert(!weft_query_next(&rest, &name, &value));
}

Test(url, a_path_stays_in_its_folder)
{
    static const char *const rows[][2] = {
        {"/", ""},
        {"//", ""},
        {"/a", "a"},
        {"/a/b/", "a/b/"},
        {"/a//", "a/"},
        {"/a/../", ""},
        {"/a/../b%20c/", "b c/"},
        {"/./a/./b/..", "a"},
        {"/a/b/../../c", "c"},
        {"/a//b", "a/b"},
        {"/...", "..."},
        {"/%252e%252e/", "%2e%2e/"},
        {"/%c3%a4", "\xc3\xa4"},
        {"/a/..", ""},
        {"/ab/cd/%2E%2e/ef", "ab/ef"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_buf out = {0};
        T_OK(weft_buf_append(&out, "x", 1));
        T_OK(weft_http_path_decode(&out, rows[i][0], strlen(rows[i][0])));
        cr_expect_str_eq((char *)out.data + 1, rows[i][1], "%s gave %s", rows[i][0],
                         (char *)out.data + 1);
        cr_expect(out.len == 1 + strlen(rows[i][1]));
        weft_buf_free(&out);
    }
    static const char *const bad[] = {
        "",       "a",          "/..",    "/../a",   "/a/../..",   "/%2e%2e/a",
        "/.%2e",  "/a/%2e./..", "/a%2fb", "/a%5cb",  "/a\\b",      "/%00",
        "/a%0ab", "/%7f",       "/%ff",   "/%c0%af", "/%ed%a0%80", "/%f4%90%80%80",
        "/%c3",   "/%",         "/%2",    "/%zz",    "/%e0%80%af", "/x/..%2f",
    };
    weft_buf out = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(weft_http_path_decode(&out, bad[i], strlen(bad[i])) == WEFT_E_URL, "%s", bad[i]);
    cr_assert(out.len == 0);
    weft_buf_free(&out);
}
