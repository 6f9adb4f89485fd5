/*
 * date.c - dates of header fields, by a calendar of its own: no locale, no time zone, no lock.
 */
#include <errno.h>
#include <string.h>

#include <weft/http.h>

#define DAY 86400

static const char days[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March here, so that the
 * leap day is the last of its year. */
static int64_t
days_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void
date_of(int64_t day_number, int64_t *year, unsigned *month, unsigned *day)
{
    day_number += 719468;
    int64_t era = (day_number >= 0 ? day_number : day_number - 146096) / 146097;
    int64_t doe = day_number - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

static unsigned
weekday_of(int64_t day_number)
{
    return (unsigned)(((day_number % 7) + 7 + 4) % 7); /* 1970 began on a Thursday */
}

static char *
put_number(char *p, unsigned value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value /= 10)
        p[i] = (char)('0' + value % 10);
    return p + digits;
}

const char *
weft_http_date_format(int64_t seconds, char *buf)
{
    const int64_t first = days_of(0, 1, 1) * DAY, last = days_of(10000, 1, 1) * DAY - 1;
    seconds = seconds < first ? first : seconds > last ? last : seconds;
    int64_t day_number = seconds / DAY - (seconds % DAY < 0);
    unsigned second = (unsigned)(seconds - day_number * DAY), month, day;
    int64_t year;
    date_of(day_number, &year, &month, &day);

    char *p = buf;
    memcpy(p, days[weekday_of(day_number)], 3);
    memcpy(p + 3, ", ", 2);
    p = put_number(p + 5, day, 2);
    *p++ = ' ';
    memcpy(p, months[month - 1], 3);
    p[3] = ' ';
    p = put_number(p + 4, (unsigned)year, 4);
    *p++ = ' ';
    p = put_number(p, second / 3600, 2);
    *p++ = ':';
    p = put_number(p, second / 60 % 60, 2);
    *p++ = ':';
    p = put_number(p, second % 60, 2);
    memcpy(p, " GMT", 5);
    return buf;
}

/* ---- Reading ------------------------------------------------------------------------------- */

struct reader {
    const char *p, *end;
    bool good;
};

static void
expect(struct reader *r, const char *text)
{
    size_t len = strlen(text);
    if (!r->good || (size_t)(r->end - r->p) < len || memcmp(r->p, text, len) != 0)
        r->good = false;
    else
        r->p += len;
}

static unsigned
number(struct reader *r, unsigned digits)
{
    unsigned value = 0;
    if (!r->good || (size_t)(r->end - r->p) < digits) {
        r->good = false;
        return 0;
    }
    for (; digits > 0; digits--, r->p++) {
        if (*r->p < '0' || *r->p > '9')
            r->good = false;
        value = value * 10 + (unsigned)(*r->p - '0');
    }
    return value;
}

static unsigned
month_name(struct reader *r)
{
    for (unsigned i = 0; i < 12 && r->good && r->end - r->p >= 3; i++)
        if (memcmp(r->p, months[i], 3) == 0) {
            r->p += 3;
            return i + 1;
        }
    r->good = false;
    return 1;
}

static unsigned
clock_time(struct reader *r)
{
    unsigned hour = number(r, 2);
    expect(r, ":");
    unsigned minute = number(r, 2);
    expect(r, ":");
    unsigned second = number(r, 2);
    /* A leap second counts as the first of the next minute. */
    if (hour > 23 || minute > 59 || second > 60)
        r->good = false;
    return hour * 3600 + minute * 60 + second;
}

int
weft_http_date_parse(const char *text, size_t len, int64_t now, int64_t *ret_seconds)
{
    struct reader r = {text, text + len, true};
    unsigned weekday = 0, day, month, second;
    int64_t year;
    while (weekday < 7 && (len < 3 || memcmp(text, days[weekday], 3) != 0))
        weekday++;
    if (weekday == 7)
        return -EINVAL;
    size_t full = strlen(days[weekday]);
    bool two_digits = false;
    if (len > 3 && text[3] == ',') { /* Sun, 06 Nov 1994 08:49:37 GMT */
        r.p += 3;
        expect(&r, ", ");
        day = number(&r, 2);
        expect(&r, " ");
        month = month_name(&r);
        expect(&r, " ");
        year = number(&r, 4);
        expect(&r, " ");
        second = clock_time(&r);
        expect(&r, " GMT");
    } else if (len > full && memcmp(text, days[weekday], full) == 0 && text[full] == ',') {
        r.p += full; /* Sunday, 06-Nov-94 08:49:37 GMT */
        expect(&r, ", ");
        day = number(&r, 2);
        expect(&r, "-");
        month = month_name(&r);
        expect(&r, "-");
        year = number(&r, 2);
        expect(&r, " ");
        second = clock_time(&r);
        expect(&r, " GMT");
        two_digits = true;
    } else { /* Sun Nov  6 08:49:37 1994 */
        r.p += 3;
        expect(&r, " ");
        month = month_name(&r);
        expect(&r, " ");
        if (r.good && r.p < r.end && *r.p == ' ') {
            r.p++;
            day = number(&r, 1);
        } else {
            day = number(&r, 2);
        }
        expect(&r, " ");
        second = clock_time(&r);
        expect(&r, " ");
        year = number(&r, 4);
    }
    if (!r.good || r.p != r.end || day == 0)
        return -EINVAL;

    if (two_digits) {
        int64_t now_year;
        unsigned now_month, now_day;
        const int64_t most = INT64_C(200000000000); /* the year 8307: now is no further off */
        now = now > most ? most : now < -most ? -most : now;
        date_of(now / DAY - (now % DAY < 0), &now_year, &now_month, &now_day);
        year += now_year - ((now_year % 100) + 100) % 100 + 100;
        /* The latest year with these digits that is at most 50 years ahead. */
        while (days_of(year, month, day) * DAY + second >
               days_of(now_year + 50, now_month, now_day) * DAY + ((now % DAY) + DAY) % DAY)
            year -= 100;
    }
    static const unsigned char lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > lengths[month - 1] + (unsigned)(month == 2 && leap))
        return -EINVAL;
    int64_t day_number = days_of(year, month, day);
    /* Of a year of two digits the century is a guess, and so is what day that was. */
    if (!two_digits && weekday_of(day_number) != weekday)
        return -EINVAL;
    *ret_seconds = day_number * DAY + second;
    return 0;
}
