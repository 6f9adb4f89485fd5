/*
 * target.c - where a request is aimed: its target, and the Host that goes with it.
 *
 * host_ of the scan is the target's authority where it has one, else the value of Host; both are
 * names or addresses, with or without a port, and nothing else that a URL could hide there.
 */
#include <string.h>

#include "http/parse_priv.h"

/* host [":" port], all of [p, end). The port may be empty unless it is required. */
static bool
is_authority(const char *p, const char *end, bool need_port)
{
    if (p < end && *p == '[') {
        const char *inside = ++p;
        while (p < end && (is(*p, HEX) || *p == ':' || *p == '.'))
            p++;
        if (p == end || *p != ']' || p - inside < 2 ||
            memchr(inside, ':', (size_t)(p - inside)) == NULL)
            return false;
        p++;
    } else {
        for (; p < end && *p != ':'; p++) {
            if (*p == '%') {
                if (end - p < 3 || !is(p[1], HEX) || !is(p[2], HEX))
                    return false;
                p += 2;
            } else if (!is(*p, HOST)) {
                return false;
            }
        }
    }
    if (p == end)
        return !need_port;
    if (*p++ != ':')
        return false;
    if (need_port && p == end)
        return false;
    uint32_t port = 0;
    for (unsigned digits = 0; p < end; p++, digits++) {
        if (!is(*p, DIGIT) || digits == 5)
            return false;
        port = port * 10 + (uint32_t)(*p - '0');
    }
    return port <= 65535;
}

/* The target's form has to be one that the method has (RFC 9112 3.2). False with the fault. */
bool
weft__http_target_read(const char *target, const char *end, unsigned method, const char *data,
                       struct weft__http_scan *scan, struct weft__http_fault *fault)
{
    if (method == WEFT_HTTP_CONNECT) {
        if (*target == ':' || !is_authority(target, end, true)) {
            refuse(fault, "CONNECT to what is no host and port");
            return false;
        }
        scan->host_ = (uint32_t)(target - data);
        scan->host_len_ = (uint32_t)(end - target);
        scan->seen_ |= SEEN_AUTHORITY;
        return true;
    }
    if (*target == '*' && end - target == 1) {
        if (method == WEFT_HTTP_OPTIONS)
            return true;
        refuse(fault, "a target of * for another method than OPTIONS");
        return false;
    }
    const char *p = target;
    if (is_letter(*p))
        while (p < end && is(*p, SCHEME))
            p++;
    if (p == target || end - p < 4 || memcmp(p, "://", 3) != 0) {
        refuse(fault, "a target that is neither a path nor a URL");
        return false;
    }
    const char *authority = p += 3;
    while (p < end && *p != '/' && *p != '?')
        p++;
    if (p == authority || *authority == ':' || !is_authority(authority, p, false)) {
        refuse(fault, "a target with a host that is none");
        return false;
    }
    scan->host_ = (uint32_t)(authority - data);
    scan->host_len_ = (uint32_t)(p - authority);
    scan->seen_ |= SEEN_AUTHORITY;
    return true;
}

bool
weft__http_target_host(const struct weft__http_field *field, const char *data,
                       struct weft__http_scan *scan, struct weft__http_fault *fault)
{
    if (scan->seen_ & SEEN_HOST) {
        refuse(fault, "more than one Host");
        return false;
    }
    scan->seen_ |= SEEN_HOST;
    if (!is_authority(field->value, field->value + field->value_len, false)) {
        refuse(fault, "a Host that is no name or address, with or without a port");
        return false;
    }
    /* An authority in the target goes before the field (RFC 9112 3.2.2). */
    if (!(scan->seen_ & SEEN_AUTHORITY)) {
        scan->host_ = (uint32_t)(field->value - data);
        scan->host_len_ = field->value_len;
    }
    return true;
}
