/*
 * addr.c - socket addresses from text and back. Numeric only: names need a resolver.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

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

int
weft_address_parse(weft_address *ret_address, const char *text)
{
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
    } else {
        snprintf(buf, len, "?");
    }
    return buf;
}
