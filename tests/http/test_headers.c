/*
 * test_headers.c - header lists, methods, statuses and media types.
 */
#include <string.h>

#include <weft/http.h>

#include "t.h"

TestSuite(http_headers, .timeout = 20);

Test(http_headers, names_have_no_case_and_keep_theirs)
{
    weft_http_headers h = {0};
    cr_assert(weft_http_headers_get(&h, "a") == NULL);
    T_OK(weft_http_headers_add(&h, "Content-Type", " text/plain\t"));
    T_OK(weft_http_headers_add(&h, "X", ""));
    T_OK(weft_http_headers_add(&h, "x", "2"));
    cr_assert_str_eq(weft_http_headers_get(&h, "CONTENT-type"), "text/plain");
    cr_assert_str_eq(weft_http_headers_get(&h, "x"), "");
    cr_assert(weft_http_headers_get(&h, "Content-Typ") == NULL);
    weft_buf out = {0};
    T_OK(weft_http_headers_write(&h, &out));
    T_OK(weft_buf_append(&out, "", 1));
    cr_assert_str_eq((char *)out.data, "Content-Type: text/plain\r\nX: \r\nx: 2\r\n");
    weft_buf_free(&out);
    weft_http_headers_free(&h);
}

Test(http_headers, what_would_split_a_head_is_refused)
{
    weft_http_headers h = {0};
    static const char *const names[] = {"", "a b", "a:", "a\r", "a\n", "a\x80", "(", "a\x7f", "{"};
    static const char *const values[] = {"a\r\nb: c", "a\n", "\r", "\x01", "a\x7f"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        T_ERR(-EINVAL, weft_http_headers_add(&h, names[i], "v"));
        T_ERR(-EINVAL, weft_http_headers_set(&h, names[i], "v"));
    }
    T_OK(weft_http_headers_add(&h, "n", "v"));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        T_ERR(-EINVAL, weft_http_headers_add(&h, "n", values[i]));
        T_ERR(-EINVAL, weft_http_headers_set(&h, "n", values[i]));
    }
    T_ERR(-EINVAL, weft_http_headers_add_bytes(&h, (weft_bytes){"n", 1}, (weft_bytes){"a\0b", 3}));
    T_ERR(-EINVAL, weft_http_headers_add_bytes(&h, (weft_bytes){"n\0", 2}, (weft_bytes){"a", 1}));
    cr_assert(h.n == 1);
    cr_assert_str_eq(weft_http_headers_get(&h, "n"), "v");
    weft_http_headers_free(&h);
}

Test(http_headers, set_leaves_one_of_its_name_in_the_first_place)
{
    weft_http_headers h = {0};
    T_OK(weft_http_headers_add(&h, "a", "1"));
    T_OK(weft_http_headers_add(&h, "b", "2"));
    T_OK(weft_http_headers_add(&h, "A", "3"));
    T_OK(weft_http_headers_add(&h, "a", "4"));
    T_OK(weft_http_headers_set(&h, "A", "a longer value"));
    cr_assert(h.n == 2);
    cr_assert_str_eq(weft_http_headers_at(&h, 0).name, "a");
    cr_assert_str_eq(weft_http_headers_at(&h, 0).value, "a longer value");
    cr_assert_str_eq(weft_http_headers_at(&h, 1).value, "2");
    T_OK(weft_http_headers_set(&h, "a", "short"));
    cr_assert_str_eq(weft_http_headers_get(&h, "a"), "short");
    cr_assert(weft_http_headers_at(&h, 0).value_len == 5);
    T_OK(weft_http_headers_set(&h, "c", "new"));
    cr_assert(h.n == 3);
    cr_assert(weft_http_headers_remove(&h, "B") == 1 && weft_http_headers_remove(&h, "B") == 0);
    cr_assert_str_eq(weft_http_headers_at(&h, 1).value, "new");
    weft_http_headers_clear(&h);
    cr_assert(h.n == 0);
    weft_http_headers_free(&h);
}

Test(http_headers, setting_again_and_again_takes_no_more_memory)
{
    weft_http_headers h = {0};
    char value[101];
    memset(value, 'v', 100);
    T_OK(weft_http_headers_add(&h, "other", "stays"));
    for (int i = 0; i < 100000; i++) {
        value[i % 2 ? 100 : 10] = 0;
        T_OK(weft_http_headers_set(&h, "n", value));
        value[10] = 'v';
    }
    cr_assert(h.text_.cap < 4096, "%zu", h.text_.cap);
    cr_assert_str_eq(weft_http_headers_get(&h, "other"), "stays");
    weft_http_headers_free(&h);
}

Test(http_headers, tokens_are_found_in_all_lists_of_a_name)
{
    weft_http_headers h = {0};
    T_OK(weft_http_headers_add(&h, "Connection", "a, Keep-Alive ,,b"));
    T_OK(weft_http_headers_add(&h, "connection", "Upgrade"));
    cr_assert(weft_http_headers_has_token(&h, "connection", "keep-alive"));
    cr_assert(weft_http_headers_has_token(&h, "connection", "upgrade"));
    cr_assert(weft_http_headers_has_token(&h, "connection", "b"));
    cr_assert(!weft_http_headers_has_token(&h, "connection", "keep"));
    cr_assert(!weft_http_headers_has_token(&h, "other", "a"));
    weft_http_headers_free(&h);
}

static void
fill(void *arg)
{
    (void)arg;
    weft_http_headers h = {0};
    weft_buf out = {0};
    for (int i = 0; i < 40; i++)
        weft_ignore(weft_http_headers_add(&h, i % 2 ? "even" : "odd", "a value of some length"));
    weft_ignore(weft_http_headers_set(&h, "odd", "a value that is longer than that before it"));
    weft_ignore(weft_http_headers_write(&h, &out));
    weft_http_headers_free(&h);
    weft_buf_free(&out);
}

Test(http_headers, no_memory_leaves_the_list_as_it_was)
{
    cr_assert(t_torture(WEFT__TORTURE_ALLOC, fill, NULL) > 0);
    weft_http_headers h = {0};
    T_OK(weft_http_headers_add(&h, "a", "1"));
    static char large[100000];
    memset(large, 'x', sizeof large - 1);
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, 0);
    int add = weft_http_headers_add(&h, "b", large), set = weft_http_headers_set(&h, "a", large);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, add);
    T_ERR(-ENOMEM, set);
    cr_assert(h.n == 1);
    cr_assert_str_eq(weft_http_headers_get(&h, "a"), "1");
    weft_http_headers_free(&h);
}

Test(http_headers, methods_have_names_and_names_methods)
{
    for (int i = WEFT_HTTP_GET; i <= WEFT_HTTP_PATCH; i++) {
        const char *name = weft_http_method_name((weft_http_method)i);
        cr_assert((int)weft_http_method_parse(name, strlen(name)) == i, "%s", name);
    }
    cr_assert(weft_http_method_parse("get", 3) == WEFT_HTTP_OTHER);
    cr_assert(weft_http_method_parse("GETX", 4) == WEFT_HTTP_OTHER);
    cr_assert(weft_http_method_parse("", 0) == WEFT_HTTP_OTHER);
    cr_assert_str_eq(weft_http_method_name((weft_http_method)99), "");
    cr_assert(weft_http_method_is_idempotent(WEFT_HTTP_PUT));
    cr_assert(!weft_http_method_is_idempotent(WEFT_HTTP_POST));
}

Test(http_headers, statuses_have_reasons)
{
    cr_assert_str_eq(weft_http_reason(200), "OK");
    cr_assert_str_eq(weft_http_reason(431), "Request Header Fields Too Large");
    cr_assert_str_eq(weft_http_reason(299), "");
    cr_assert_str_eq(weft_http_reason(-1), "");
    cr_assert_str_eq(weft_http_reason(100000), "");
}

Test(http_headers, files_have_media_types)
{
    cr_assert_str_eq(weft_http_media_type("a/b.HTML"), "text/html; charset=utf-8");
    cr_assert_str_eq(weft_http_media_type("x.tar.gz"), "application/gzip");
    cr_assert_str_eq(weft_http_media_type("a.png/x"), "application/octet-stream");
    cr_assert_str_eq(weft_http_media_type(".txt"), "application/octet-stream");
    cr_assert_str_eq(weft_http_media_type("x."), "application/octet-stream");
    cr_assert_str_eq(weft_http_media_type(NULL), "application/octet-stream");
}
