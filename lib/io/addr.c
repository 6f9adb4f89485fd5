/*
 * addr.c - socket addresses from text and back. Numeric only: names need a resolver.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <weft/error.h>
#include <weft/net.h>

#include "base/log.h"

#define HOST_MAX 64

static int
parse_port(const char *text, uint16_t *ret_port)
{
    unsigned long port = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return -1;
    for (; *text != '\0'; text++)
        port = port * 10 + (unsigned long)(*text - '0');
    if (port > 65535)
        return -1;
    *ret_port = (uint16_t)port;
    return 0;
}

/* A path, or '@' and a name that is in no directory: there its first byte is 0, and its length says
 * where it ends. */
static int
parse_unix(weft_address *ret_address, const char *name)
{
    weft_address address;
    memset(&address, 0, sizeof address);
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&address.storage;
    bool abstract = name[0] == '@';
    size_t len = strlen(name);
    if (len == 0 || (abstract && len == 1))
        return weft_error_note(WEFT_E_ADDRESS, "'unix:%.80s': a path or @name is missing", name);
    if (len >= sizeof un->sun_path)
        return weft_error_note(WEFT_E_ADDRESS, "'unix:%.80s': longer than %zu bytes", name,
                               sizeof un->sun_path - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, name, len);
    if (abstract)
        un->sun_path[0] = '\0';
    address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
    *ret_address = address;
    return 0;
}

static void
format_unix(const weft_address *address, char *buf, size_t len)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&address->storage;
    size_t begin = offsetof(struct sockaddr_un, sun_path);
    size_t n = address->len > begin ? address->len - begin : 0; /* 0: a socket without a name */
    if (n > sizeof un->sun_path)
        n = sizeof un->sun_path;
    char name[sizeof un->sun_path + 1];
    memcpy(name, un->sun_path, n);
    name[n] = '\0';
    if (n > 0 && name[0] == '\0') {
        for (size_t i = 0; i < n; i++) {
            if (name[i] == '\0')
                name[i] = '@';
        }
    }
    snprintf(buf, len, "unix:%s", name);
}

int
weft_address_parse(weft_address *ret_address, const char *text)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(ret_address, text + 5);
    const char *colon = strrchr(text, ':');
    uint16_t port;
    if (colon == NULL || parse_port(colon + 1, &port) < 0)
        return weft_error_note(WEFT_E_ADDRESS,
                               "'%.80s': an address ends in a colon and a port, 0 to 65535", text);
    char host[HOST_MAX];
    size_t len = (size_t)(colon - text);
    if (len >= sizeof host)
        return weft_error_note(WEFT_E_ADDRESS, "'%.80s': the host is too long", text);
    memcpy(host, text, len);
    host[len] = '\0';

    weft_address address;
    memset(&address, 0, sizeof address);
    if (host[0] == '[') {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&address.storage;
        if (host[len - 1] != ']')
            return weft_error_note(WEFT_E_ADDRESS, "'%.80s': the bracket is not closed", text);
        host[len - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
            return weft_error_note(WEFT_E_ADDRESS, "'%.80s': no numeric IPv6 address", text);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        address.len = sizeof *in6;
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)&address.storage;
        if (len == 0)
            in->sin_addr.s_addr = htonl(INADDR_ANY);
        else if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
            return weft_error_note(
                WEFT_E_ADDRESS, "'%.80s': no numeric IPv4 address (IPv6 goes in brackets)", text);
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        address.len = sizeof *in;
    }
    *ret_address = address;
    return 0;
}

const char *
weft_address_format(const weft_address *address, char *buf, size_t len)
{
    char host[INET6_ADDRSTRLEN];
    if (len == 0)
        return buf;
    if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 =
            (const struct sockaddr_in6 *)(const void *)&address->storage;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(buf, len, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address->storage;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(buf, len, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->storage.ss_family == AF_UNIX) {
        format_unix(address, buf, len);
    } else {
        snprintf(buf, len, "?");
    }
    return buf;
}
