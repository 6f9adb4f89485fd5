/*
 * test_date.c - dates of header fields.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weft/http.h>

#include "t.h"

TestSuite(http_date, .timeout = 20);

#define EXAMPLE INT64_C(784111777)
#define NOW INT64_C(1700000000) /* 2023 */

static int
parse(const char *text, int64_t *ret_seconds)
{
    return weft_http_date_parse(text, strlen(text), NOW, ret_seconds);
}

Test(http_date, three_formats_say_the_same)
{
    static const char *const texts[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < 3; i++) {
        int64_t seconds = 0;
        T_OK(parse(texts[i], &seconds));
        cr_assert(seconds == EXAMPLE, "%s: %lld", texts[i], (long long)seconds);
    }
    char buf[WEFT_HTTP_DATE_BYTES];
    cr_assert_str_eq(weft_http_date_format(EXAMPLE, buf), texts[0]);
}

Test(http_date, every_day_is_that_of_the_c_library)
{
    for (int64_t t = -INT64_C(62167219200); t < INT64_C(253402300800); t += 86400 * 13 + 12345) {
        char buf[WEFT_HTTP_DATE_BYTES], expected[64];
        struct tm tm;
        time_t seconds = (time_t)t;
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof expected, "%a, %d %b ", &tm);
        snprintf(expected + strlen(expected), 32, "%04d %02d:%02d:%02d GMT", tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        cr_assert_str_eq(weft_http_date_format(t, buf), expected);
        int64_t back;
        T_OK(parse(buf, &back));
        cr_assert(back == t, "%s", buf);
    }
}

Test(http_date, what_is_outside_four_digits_is_the_nearest_inside)
{
    char buf[WEFT_HTTP_DATE_BYTES];
    cr_assert_str_eq(weft_http_date_format(INT64_MAX, buf), "Fri, 31 Dec 9999 23:59:59 GMT");
    cr_assert_str_eq(weft_http_date_format(INT64_MIN, buf), "Sat, 01 Jan 0000 00:00:00 GMT");
}

Test(http_date, two_digits_are_at_most_fifty_years_ahead)
{
    int64_t seconds;
    char buf[WEFT_HTTP_DATE_BYTES];
    T_OK(parse("Monday, 01-Jan-73 00:00:00 GMT", &seconds));
    cr_assert_str_eq(weft_http_date_format(seconds, buf), "Sun, 01 Jan 2073 00:00:00 GMT");
    T_OK(parse("Monday, 01-Jan-74 00:00:00 GMT", &seconds));
    cr_assert_str_eq(weft_http_date_format(seconds, buf), "Tue, 01 Jan 1974 00:00:00 GMT");
    T_OK(weft_http_date_parse("Monday, 01-Jan-00 00:00:00 GMT", 30, INT64_MAX, &seconds));
    T_OK(weft_http_date_parse("Monday, 01-Jan-00 00:00:00 GMT", 30, INT64_MIN, &seconds));
}

Test(http_date, what_is_no_date_is_refused)
{
    static const char *const texts[] = {
        "",
        "Sun",
        "Sun,",
        "Sun, 06 Nov 1994",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Thu, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 1995 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  0 08:49:37 1994",
        "Sundae, 06-Nov-94 08:49:37 GMT",
        "784111777",
    };
    int64_t seconds = 7;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect(parse(texts[i], &seconds) == -EINVAL, "%s", texts[i]);
    cr_assert(seconds == 7);
}
