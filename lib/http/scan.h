/*
 * scan.h - the characters of HTTP: their classes, and how to get past many of them at once.
 *
 * Each skip function goes to the first byte that is not of its kind, or to the end: sixteen bytes
 * at a time where the machine has SSE2, else eight, and one by one near the end.
 */
#ifndef WEFT_LIB_HTTP_SCAN_H
#define WEFT_LIB_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---- Classes of characters ----------------------------------------------------------------- */

enum {
    TOKEN = 1 << 0, /* tchar */
    DIGIT = 1 << 1,
    HEX = 1 << 2,
    HOST = 1 << 3,   /* of a registered name or IPv4 address, but for % */
    SCHEME = 1 << 4, /* behind the first letter */
    TEXT = 1 << 5,   /* of a field value: all but controls; tabs are text */
    QUOTED = 1 << 6  /* of a quoted string as it stands, without \ and " */
};

extern const uint8_t weft__http_classes[256];

static inline bool
is(char c, unsigned class)
{
    return (weft__http_classes[(unsigned char)c] & class) != 0;
}

static inline bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool
is_letter(char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

static inline unsigned
hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* In each of these the lowest byte whose top bit is set is exact; those above it may be wrong, as
 * a borrow runs upwards. */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define TOPS EACH(0x80)

static inline uint64_t
bytes_below(uint64_t word, unsigned limit) /* limit up to 128 */
{
    return (word - EACH(limit)) & ~word & TOPS;
}

static inline uint64_t
bytes_equal(uint64_t word, unsigned byte)
{
    return bytes_below(word ^ EACH(byte), 1);
}

#define LITTLE_ENDIAN_BYTES (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

static inline size_t
first_byte(uint64_t tops)
{
    return (size_t)__builtin_ctzll(tops) / 8;
}

#ifdef __SSE2__
/* ---- Sixteen bytes at a time: a bit for each byte ------------------------------------------- */

static inline __m128i
sixteen(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline unsigned
bits_of(__m128i bytes)
{
    return (unsigned)_mm_movemask_epi8(bytes);
}

/* Bytes from first to last, both at most 127. */
static inline __m128i
within(__m128i bytes, char first, char last)
{
    /* Signed: what is above 127 is below first. */
    return _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8((char)(first - 1))),
                         _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)(last + 1))));
}
#endif

/* To the first byte that cannot be part of a field value, or the end. */
static inline const char *
skip_text(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        __m128i bytes = sixteen(p);
        /* Control characters but for the tab, and DEL; what is above 127 is negative. */
        __m128i low = within(bytes, 0, 0x1f);
        unsigned stop =
            bits_of(_mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t')), low),
                                 _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f))));
        if (stop != 0)
            return p + __builtin_ctz(stop);
        p += 16;
    }
#endif
    while (LITTLE_ENDIAN_BYTES && end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        uint64_t stop = bytes_below(word, 0x20) | bytes_equal(word, 0x7f);
        if (stop == 0) {
            p += 8;
            continue;
        }
        p += first_byte(stop);
        if (*p != '\t')
            return p;
        p++;
    }
    while (p < end && is(*p, TEXT))
        p++;
    return p;
}

/* To the first byte that cannot be part of a target, or the end: what may be is printable ASCII but
 * for a blank and #. Browsers send some of what a URI has not, such as | and {. */
static inline const char *
skip_target(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        __m128i bytes = sixteen(p);
        unsigned good = bits_of(
            _mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('#')), within(bytes, 0x21, 0x7e)));
        if (good != 0xffff)
            return p + __builtin_ctz(~good);
        p += 16;
    }
#endif
    while (LITTLE_ENDIAN_BYTES && end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        uint64_t stop = bytes_below(word, 0x21) | bytes_equal(word, 0x7f) | bytes_equal(word, '#') |
                        (word & TOPS);
        if (stop != 0)
            return p + first_byte(stop);
        p += 8;
    }
    while (p < end && (*p > 0x20) && *p < 0x7f && *p != '#')
        p++;
    return p;
}

/* To the first byte that cannot be part of a token, or the end. Names of fields are letters and
 * hyphens as a rule; others are looked up one by one. */
static inline const char *
skip_token(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        __m128i bytes = sixteen(p);
        __m128i letters = within(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
        unsigned good = bits_of(_mm_or_si128(letters, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'))));
        if (good == 0xffff) {
            p += 16;
            continue;
        }
        p += __builtin_ctz(~good);
        if (!is(*p, TOKEN))
            return p;
        p++;
    }
#endif
    while (p < end && is(*p, TOKEN))
        p++;
    return p;
}

#endif
