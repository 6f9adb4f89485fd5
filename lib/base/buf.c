/*
 * buf.c - growable bytes.
 *
 * len <= cap always, data is NULL exactly while cap is 0, and a call that fails has changed
 * nothing that can be seen.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <weft/base.h>
#include "base/mem.h"

#define FIRST_BYTES 64

int
weft_buf_reserve(weft_buf *buf, size_t more)
{
    if (more <= buf->cap - buf->len)
        return 0;
    if (more > SIZE_MAX - buf->len)
        return -EOVERFLOW;

    /* Doubling keeps the cost of many small additions linear. */
    size_t need = buf->len + more;
    size_t cap = buf->cap > SIZE_MAX / 2 ? SIZE_MAX : buf->cap * 2;
    if (cap < FIRST_BYTES)
        cap = FIRST_BYTES;
    if (cap < need)
        cap = need;
    unsigned char *data = weft__resize(buf->data, cap);
    if (data == NULL)
        return -ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int
weft_buf_append(weft_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    int rc = weft_buf_reserve(buf, len);
    if (rc < 0)
        return rc;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return 0;
}

int
weft_buf_printf(weft_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return errno == EOVERFLOW ? -EOVERFLOW : -EINVAL;

    /* vsnprintf wants room for its zero byte too; the byte does not count as content. */
    int rc = weft_buf_reserve(buf, (size_t)len + 1);
    if (rc < 0)
        return rc;
    va_start(args, format);
    vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return 0;
}

void
weft_buf_free(weft_buf *buf)
{
    weft__free(buf->data);
    *buf = (weft_buf){0};
}
