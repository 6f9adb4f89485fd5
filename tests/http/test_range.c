/*
 * test_range.c - Range, entity tags and Accept.
 */
#include <string.h>

#include <weft/http.h>

#include "t.h"

TestSuite(http_range, .timeout = 20);

Test(http_range, ranges_are_cut_to_what_is_there)
{
    static const struct {
        const char *text;
        int rc;
        weft_http_range first, second;
    } rows[] = {
        {"bytes=0-0", 1, {0, 0}, {0, 0}},
        {"bytes=0-499", 1, {0, 499}, {0, 0}},
        {"BYTES=500-", 1, {500, 999}, {0, 0}},
        {"bytes=-1", 1, {999, 999}, {0, 0}},
        {"bytes=-5000", 1, {0, 999}, {0, 0}},
        {"bytes=999-99999999999999999999999999", 1, {999, 999}, {0, 0}},
        {"bytes= 0-1 ,\t5-6 ", 2, {0, 1}, {5, 6}},
        {"bytes=,5-6,,0-1,", 2, {5, 6}, {0, 1}},
        {"bytes=0-1,2000-", 1, {0, 1}, {0, 0}},
        {"bytes=1000-", -ERANGE, {0, 0}, {0, 0}},
        {"bytes=-0", -ERANGE, {0, 0}, {0, 0}},
        {"bytes=99999999999999999999999-", -ERANGE, {0, 0}, {0, 0}},
        {"bytes=5-4", 0, {0, 0}, {0, 0}},
        {"bytes=", 0, {0, 0}, {0, 0}},
        {"bytes=,", 0, {0, 0}, {0, 0}},
        {"bytes=-", 0, {0, 0}, {0, 0}},
        {"bytes=a-b", 0, {0, 0}, {0, 0}},
        {"bytes=1", 0, {0, 0}, {0, 0}},
        {"bytes=1-2-3", 0, {0, 0}, {0, 0}},
        {"bytes=+1-2", 0, {0, 0}, {0, 0}},
        {"bytes =1-2", 0, {0, 0}, {0, 0}},
        {"items=1-2", 0, {0, 0}, {0, 0}},
        {"bytes=0-5,3-8", 0, {0, 0}, {0, 0}},
        {"bytes=0-0,2-2,4-4", 0, {0, 0}, {0, 0}}, /* more than the two there is room for */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_http_range ranges[2] = {{0, 0}, {0, 0}};
        int rc = weft_http_range_parse(rows[i].text, strlen(rows[i].text), 1000, ranges, 2);
        cr_expect(rc == rows[i].rc, "%s: %d", rows[i].text, rc);
        if (rc > 0)
            cr_expect(memcmp(&ranges[0], &rows[i].first, sizeof ranges[0]) == 0, "%s",
                      rows[i].text);
        if (rc > 1)
            cr_expect(memcmp(&ranges[1], &rows[i].second, sizeof ranges[1]) == 0, "%s",
                      rows[i].text);
    }
    weft_http_range range;
    T_ERR(-ERANGE, weft_http_range_parse("bytes=0-", 8, 0, &range, 1));
    T_ERR(-ERANGE, weft_http_range_parse("bytes=-5", 8, 0, &range, 1));
}

static bool
match(const char *list, const char *etag, bool weak)
{
    return weft_http_etag_match(list, strlen(list), etag, weak);
}

Test(http_range, tags_are_compared_weakly_or_strongly)
{
    cr_assert(match("\"1\"", "\"1\"", false) && match("\"1\"", "\"1\"", true));
    cr_assert(!match("W/\"1\"", "W/\"1\"", false) && match("W/\"1\"", "W/\"1\"", true));
    cr_assert(!match("W/\"1\"", "\"1\"", false) && match("W/\"1\"", "\"1\"", true));
    cr_assert(!match("W/\"1\"", "W/\"2\"", true) && !match("\"1\"", "\"11\"", true));
    cr_assert(match("*", "\"1\"", false) && match(" * ", "\"1\"", true));
    cr_assert(match("\"a\", W/\"b,c\" ,, \"d\"", "\"b,c\"", true));
    cr_assert(match("\"\"", "\"\"", false));
    cr_assert(!match("1", "1", true) && !match("\"1", "\"1\"", true));
    cr_assert(!match("\"1\" \"2\"", "\"1\"", true) && !match("w/\"1\"", "\"1\"", true));
    cr_assert(!match("", "\"1\"", true));
}

static int
accepts(const char *list, const char *what)
{
    return weft_http_accepts(list, strlen(list), what);
}

Test(http_range, the_most_specific_element_weighs)
{
    const char *list = "text/*;q=0.3, text/html ;q=0.7, text/html;level=1, */*;q=0.05";
    cr_assert(accepts(list, "text/html") == 700);
    cr_assert(accepts(list, "TEXT/plain") == 300);
    cr_assert(accepts(list, "image/png") == 50);
    cr_assert(accepts("gzip;q=1.000, br;q=0, *;q=0.001", "gzip") == 1000);
    cr_assert(accepts("gzip;q=1.000, br;q=0, *;q=0.001", "br") == 0);
    cr_assert(accepts("gzip;q=1.000, br;q=0, *;q=0.001", "zstd") == 1);
    cr_assert(accepts("gzip", "br") == 0 && accepts("", "br") == 0);
    cr_assert(accepts("gzip;q=1.1", "gzip") == 0 && accepts("gzip;q=x", "gzip") == 0);
    cr_assert(accepts("x;y=\"a,gzip;q=1\"", "gzip") == 0);
    cr_assert(accepts("text/*", "textual") == 0);
}
