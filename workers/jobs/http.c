/*
 * http.c - the request that fetch sends, and a reader for the response.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "jobs.h"

int
sample_target_read(struct sample_target *target, weft_bytes *rest)
{
    weft_bytes address = weft_sample_word(rest);
    target->host = weft_sample_word(rest);
    target->path = weft_sample_word(rest);
    if (address.len == 0 || target->host.len == 0 || target->path.len == 0)
        return -EINVAL;

    const char *text = address.data, *colon = memrchr(text, ':', address.len);
    if (colon == NULL)
        return -EINVAL;
    weft_bytes digits = {colon + 1, (size_t)(text + address.len - (colon + 1))};
    uint64_t port = 0;
    if (weft_sample_number(&digits, &port) < 0 || port > 65535)
        return -EINVAL;

    char host[INET6_ADDRSTRLEN];
    size_t len = (size_t)(colon - text);
    int brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (brackets) {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof host)
        return -EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';

    memset(&target->address, 0, sizeof target->address);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&target->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&target->address;
    if (brackets && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        target->address_len = sizeof *v6;
    } else if (!brackets && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        target->address_len = sizeof *v4;
    } else {
        return -EINVAL;
    }
    return 0;
}

ssize_t
sample_http_request(const struct sample_target *target, char *buf, size_t cap)
{
    const weft_bytes parts[] = {
        {"GET ", 4},
        target->path,
        {" HTTP/1.1\r\nHost: ", 17},
        target->host,
        {"\r\nUser-Agent: weft-compare\r\nConnection: close\r\n\r\n", 49},
    };
    size_t len = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].len > cap - len)
            return -E2BIG;
        memcpy(buf + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    return (ssize_t)len;
}

void
sample_http_begin(struct sample_http *http)
{
    memset(http, 0, sizeof *http);
    http->length = UINT64_MAX;
    http->hash = WEFT_SAMPLE_HASH;
}

static int
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One line of the head is complete, without its line end. */
static int
take_line(struct sample_http *http)
{
    const char *line = http->line;
    size_t len = http->line_len;
    if (http->lines == 0) {
        /* "HTTP/1.1 200 OK" */
        if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || !is_digit(line[9]) ||
            !is_digit(line[10]) || !is_digit(line[11]))
            return -EPROTO;
        http->status = (uint64_t)((line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0');
    } else if (len > 15 && strncasecmp(line, "Content-Length:", 15) == 0) {
        weft_bytes rest = {line + 15, len - 15};
        if (weft_sample_number(&rest, &http->length) < 0 || http->length == UINT64_MAX)
            return -EPROTO;
    }
    http->lines++;
    return 0;
}

int
sample_http_feed(struct sample_http *http, const char *data, size_t len)
{
    size_t at = 0;
    while (!http->in_body && at < len) {
        char c = data[at++];
        if (c != '\n') {
            if (http->line_len < sizeof http->line)
                http->line[http->line_len++] = c;
            continue;
        }
        if (http->line_len > 0 && http->line[http->line_len - 1] == '\r')
            http->line_len--;
        if (http->line_len == 0 && http->lines > 0) {
            http->in_body = 1;
        } else {
            int rc = take_line(http);
            if (rc < 0)
                return rc;
        }
        http->line_len = 0;
    }
    if (!http->in_body)
        return 0;
    size_t take = len - at;
    if (take > http->length - http->seen)
        take = (size_t)(http->length - http->seen);
    http->hash = weft_sample_hash(http->hash, data + at, take);
    http->seen += take;
    return http->seen == http->length;
}

int
sample_http_eof(const struct sample_http *http)
{
    if (http->in_body && (http->length == UINT64_MAX || http->seen == http->length))
        return 0;
    return -ECONNABORTED;
}
