/*
 * parse.c - HTTP/1.1 heads and chunked bodies, read strictly (RFC 9110, RFC 9112).
 *
 * A head is read in one pass, line by line. Where the bytes end inside a line, the scan remembers
 * that none of them ends it; the next call looks for its end among the new bytes alone, and reads
 * the line a second time once that is there. No line is judged before its LF has come, and nothing
 * behind an LF has a part in the judgement of what is before it. So how a message was cut into
 * pieces changes no result.
 */
#include <string.h>

#include <weft/error.h>

#include "http/parse.h"
#include "http/scan.h"

#define EMPTY_LINES_MAX 4

/* Equal but for case; `lower` is in lower case and of that length. Setting the bit of lower case
 * makes no other character of a token into a letter or a hyphen. */
static inline bool
token_is(const char *token, const char *lower, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((token[i] | 0x20) != lower[i])
            return false;
    return true;
}

/* ---- What is wrong ------------------------------------------------------------------------- */

struct fault {
    int rc;
    int status;
    const char *what;
};

/* Gives NULL, for functions that give where the next line begins. */
__attribute__((cold, noinline)) static const char *
refuse_as(struct fault *fault, int rc, int status, const char *what)
{
    *fault = (struct fault){.rc = rc, .status = status, .what = what};
    return NULL;
}

static const char *
refuse(struct fault *fault, const char *what)
{
    return refuse_as(fault, WEFT_E_HTTP, 400, what);
}

/* What stands where a line should end. Cold. */
static const char *
refuse_end(struct fault *fault, const char *p, const char *end)
{
    if (p == end)
        return refuse(fault, "a line that does not end");
    if (*p == '\n')
        return refuse(fault, "a line that ends in LF alone");
    if (*p == '\r')
        return refuse(fault, "a CR without its LF");
    return refuse(fault, *p == 0 ? "a zero byte" : "a control character");
}

/* ---- Lines --------------------------------------------------------------------------------- */

/* Bits of weft__http_scan.seen_ */
enum {
    SEEN_HOST = 1 << 0,
    SEEN_LENGTH = 1 << 1,
    SEEN_CODING = 1 << 2, /* Transfer-Encoding; it was just "chunked" */
    SEEN_CLOSE = 1 << 3,
    SEEN_KEEP_ALIVE = 1 << 4,
    SEEN_CONNECTION_UPGRADE = 1 << 5,
    SEEN_UPGRADE = 1 << 6,
    SEEN_EXPECT = 1 << 7,
    SEEN_AUTHORITY = 1 << 8 /* the target had one: host_ is it */
};

enum phase { PHASE_START = 0, PHASE_FIELDS };

/* These read one line at p and give where the next one begins, or NULL with the fault; when no LF
 * has come yet there is none, and the line is read again later. */

static inline const char *
read_field(const char *p, const char *end, struct weft__http_field *field, struct fault *fault)
{
    const char *name = p;
    p = skip_token(p, end);
    if (__builtin_expect(p == end || *p != ':', 0)) {
        if (p < end && p == name && is_blank(*p))
            return refuse(fault, "a field line that begins with a blank");
        if (p < end && is_blank(*p))
            return refuse(fault, "a blank in or behind a field's name");
        return refuse(fault, "a field line without a colon, or with a name that is no token");
    }
    if (p == name)
        return refuse(fault, "a field without a name");
    field->name = name;
    field->name_len = (uint32_t)(p - name);

    p++;
    while (p < end && is_blank(*p)) /* one, as a rule */
        p++;
    const char *value = p;
    p = skip_text(p, end);
    if (__builtin_expect(end - p < 2 || p[0] != '\r' || p[1] != '\n', 0))
        return refuse_end(fault, p, end);
    const char *value_end = p;
    while (value_end > value && is_blank(value_end[-1]))
        value_end--;
    field->value = value;
    field->value_len = (uint32_t)(value_end - value);
    return p + 2;
}

/* HTTP/1.x at p, of 8 bytes that are there. False with the fault. */
static inline bool
read_version(const char *p, struct weft__http_scan *scan, struct fault *fault)
{
    if (memcmp(p, "HTTP/", 5) != 0 || !is(p[5], DIGIT) || p[6] != '.' || !is(p[7], DIGIT)) {
        refuse(fault, "no version of HTTP where one should be");
        return false;
    }
    if (p[5] != '1') {
        refuse_as(fault, WEFT_E_HTTP_VERSION, 505, "a version other than HTTP/1");
        return false;
    }
    /* A later minor version is to be served as the latest that one knows (RFC 9110 2.5). */
    scan->minor_ = p[7] != '0';
    return true;
}

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
static bool
read_target(const char *target, const char *end, unsigned method, const char *data,
            struct weft__http_scan *scan, struct fault *fault)
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
    if (*target == '/')
        return true;
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

static inline const char *
read_request_line(const char *p, const char *end, const char *data, size_t target_bytes,
                  struct weft__http_scan *scan, struct fault *fault)
{
    const char *method = p;
    while (p < end && is(*p, TOKEN))
        p++;
    if (p == end || *p != ' ' || p == method)
        return refuse(fault, "a request that does not begin with a method and one blank");
    unsigned id = weft_http_method_parse(method, (size_t)(p - method));
    scan->method_ = (uint8_t)id;
    scan->first_ = (uint32_t)(method - data);
    scan->first_len_ = (uint32_t)(p - method);

    const char *target = ++p;
    p = skip_target(p, end);
    if (p == target)
        return refuse(fault, "a request without a target, or with more than one blank before it");
    size_t target_len = (size_t)(p - target);
    if (p == end || *p != ' ')
        return refuse(fault, "a target that does not end in a blank, or with a character that a "
                             "target cannot have");
    p++;
    if (end - p < 10)
        return refuse(fault, "no version of HTTP where one should be");
    if (!read_version(p, scan, fault))
        return NULL;
    p += 8;
    if (p[0] != '\r' || p[1] != '\n')
        return is(*p, TEXT)
                   ? refuse(fault, "more in a request line than method, target and version")
                   : refuse_end(fault, p, end);
    if (target_len > target_bytes)
        return refuse_as(fault, WEFT_E_HTTP_LARGE, 414, "a target over the limit");
    if (!read_target(target, target + target_len, id, data, scan, fault))
        return NULL;
    scan->second_ = (uint32_t)(target - data);
    scan->second_len_ = (uint32_t)target_len;
    return p + 2;
}

static inline const char *
read_status_line(const char *p, const char *end, const char *data, struct weft__http_scan *scan,
                 struct fault *fault)
{
    if (end - p < 14)
        return refuse(fault, "a status line that is too short");
    if (!read_version(p, scan, fault))
        return NULL;
    p += 8;
    if (*p++ != ' ')
        return refuse(fault, "no blank between version and status");
    if (!is(p[0], DIGIT) || !is(p[1], DIGIT) || !is(p[2], DIGIT))
        return refuse(fault, "a status that is not three digits");
    scan->status_ = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
    if (scan->status_ < 100 || scan->status_ > 599)
        return refuse(fault, "a status outside 100 to 599");
    p += 3;
    /* Without a reason many servers leave the blank out too; nothing hangs on it. */
    const char *reason = p;
    if (*p == ' ') {
        reason++;
        p = skip_text(reason, end);
    }
    if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
        return p < end && is(*p, TEXT) ? refuse(fault, "no blank between status and reason")
                                       : refuse_end(fault, p, end);
    scan->first_ = (uint32_t)(reason - data);
    scan->first_len_ = (uint32_t)(p - reason);
    return p + 2;
}

/* ---- Fields that matter to the parser ------------------------------------------------------ */
/* False with the fault. */

static bool
field_length(const struct weft__http_field *field, struct weft__http_scan *scan,
             struct fault *fault)
{
    if (scan->seen_ & SEEN_LENGTH) {
        refuse(fault, "more than one Content-Length");
        return false;
    }
    uint64_t length = 0;
    bool good = field->value_len > 0;
    for (uint32_t i = 0; good && i < field->value_len; i++) {
        good = is(field->value[i], DIGIT);
        if (good)
            good = !__builtin_mul_overflow(length, 10, &length) &&
                   !__builtin_add_overflow(length, (uint64_t)(field->value[i] - '0'), &length);
    }
    /* A length is also a signed offset, of files and of what others count with. */
    if (!good || length > INT64_MAX) {
        refuse(fault, "a Content-Length that is no number of bytes");
        return false;
    }
    scan->length_ = length;
    scan->seen_ |= SEEN_LENGTH;
    return true;
}

/* The next element of a comma-separated list in [*p, end), without blanks around it. */
static bool
next_element(const char **p, const char *end, const char **ret_element, size_t *ret_len)
{
    if (*p > end)
        return false;
    const char *comma = memchr(*p, ',', (size_t)(end - *p));
    const char *element = *p, *stop = comma != NULL ? comma : end;
    *p = comma != NULL ? comma + 1 : end + 1;
    while (element < stop && is_blank(*element))
        element++;
    while (stop > element && is_blank(stop[-1]))
        stop--;
    *ret_element = element;
    *ret_len = (size_t)(stop - element);
    return true;
}

static bool
field_coding(const struct weft__http_field *field, struct weft__http_scan *scan,
             struct fault *fault)
{
    if (scan->seen_ & SEEN_CODING) {
        refuse(fault, "more than one Transfer-Encoding");
        return false;
    }
    scan->seen_ |= SEEN_CODING;
    if (field->value_len == 7 && token_is(field->value, "chunked", 7))
        return true;

    /* Codings that could be undone are not; anything else has no length that both sides know. */
    const char *p = field->value, *end = p + field->value_len, *element;
    size_t len;
    bool chunked = false, sound = true;
    while (next_element(&p, end, &element, &len)) {
        sound = sound && !chunked && len > 0 && !(len == 8 && token_is(element, "identity", 8));
        for (size_t i = 0; i < len; i++)
            sound = sound && is(element[i], TOKEN);
        chunked = len == 7 && token_is(element, "chunked", 7);
    }
    if (sound && chunked)
        refuse_as(fault, WEFT_E_HTTP, 501, "a transfer coding other than chunked");
    else
        refuse(fault, "a Transfer-Encoding that does not end in chunked, or has it twice");
    return false;
}

static void
field_connection(const struct weft__http_field *field, struct weft__http_scan *scan)
{
    const char *p = field->value, *end = p + field->value_len, *element;
    size_t len;
    while (next_element(&p, end, &element, &len)) {
        if (len == 5 && token_is(element, "close", 5))
            scan->seen_ |= SEEN_CLOSE;
        else if (len == 10 && token_is(element, "keep-alive", 10))
            scan->seen_ |= SEEN_KEEP_ALIVE;
        else if (len == 7 && token_is(element, "upgrade", 7))
            scan->seen_ |= SEEN_CONNECTION_UPGRADE;
    }
}

static bool
field_host(const struct weft__http_field *field, const char *data, struct weft__http_scan *scan,
           struct fault *fault)
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

static inline bool
note_field(const struct weft__http_field *field, const char *data, bool response,
           struct weft__http_scan *scan, struct fault *fault)
{
    switch (field->name_len) {
    case 4:
        if (!response && token_is(field->name, "host", 4))
            return field_host(field, data, scan, fault);
        break;
    case 6:
        if (!response && token_is(field->name, "expect", 6)) {
            if (field->value_len != 12 || !token_is(field->value, "100-continue", 12)) {
                refuse_as(fault, WEFT_E_HTTP, 417, "an Expect other than 100-continue");
                return false;
            }
            scan->seen_ |= SEEN_EXPECT;
        }
        break;
    case 7:
        if (token_is(field->name, "upgrade", 7))
            scan->seen_ |= SEEN_UPGRADE;
        break;
    case 10:
        if (token_is(field->name, "connection", 10))
            field_connection(field, scan);
        break;
    case 14:
        if (token_is(field->name, "content-length", 14))
            return field_length(field, scan, fault);
        break;
    case 17:
        if (token_is(field->name, "transfer-encoding", 17))
            return field_coding(field, scan, fault);
        break;
    default:
        break;
    }
    return true;
}

/* ---- Heads --------------------------------------------------------------------------------- */

/* The bytes have moved: so do the views of fields read before. */
static void
move_fields(struct weft__http_field *fields, unsigned n, uintptr_t from, const char *to)
{
    for (unsigned i = 0; i < n; i++) {
        fields[i].name = to + ((uintptr_t)fields[i].name - from);
        fields[i].value = to + ((uintptr_t)fields[i].value - from);
    }
}

__attribute__((cold, noinline)) static ssize_t
large(const struct weft__http_scan *scan, bool response, struct fault *fault)
{
    if (!response && scan->phase_ == PHASE_START)
        refuse_as(fault, WEFT_E_HTTP_LARGE, 414, "a request line over the limit");
    else
        refuse_as(fault, WEFT_E_HTTP_LARGE, 431, "a head over the limit");
    return fault->rc;
}

/* Reads the start line or a field at p. */
static inline __attribute__((always_inline)) const char *
read_line(const char *p, const char *end, const char *data, bool response, size_t target_bytes,
          struct weft__http_scan *scan, struct weft__http_field *field, struct fault *fault)
{
    if (scan->phase_ == PHASE_FIELDS)
        return read_field(p, end, field, fault);
    if (response)
        return read_status_line(p, end, data, scan, fault);
    return read_request_line(p, end, data, target_bytes, scan, fault);
}

/* A line could not be read: it is at fault if all of it is there. Then it is read again without
 * what is behind it, so that the fault found is the same whether or not that has come yet. */
static __attribute__((noinline)) ssize_t
stop_at(const char *line, const char *end, const char *data, bool response,
        const struct weft__http_limits *limits, size_t max, struct weft__http_scan *scan,
        struct fault *fault)
{
    const char *newline = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    if (newline == NULL ? (size_t)(end - data) >= max : (size_t)(newline - data) >= max)
        return large(scan, response, fault);
    if (newline != NULL) {
        struct weft__http_field field;
        read_line(line, newline + 1, data, response, limits->target_bytes, scan, &field, fault);
        return fault->rc;
    }
    scan->scanned = (size_t)(line - data);
    scan->looked = (size_t)(end - data);
    scan->base_ = (uintptr_t)data;
    return 0;
}

/* Bytes of the head when all of it was read, 0 for more, or the fault's code. */
static inline __attribute__((always_inline)) ssize_t
read_head(struct weft__http_scan *scan, struct weft__http_field *fields, bool response,
          const char *data, size_t len, const struct weft__http_limits *limits, struct fault *fault)
{
    size_t max = limits->head_bytes < UINT32_MAX ? limits->head_bytes : UINT32_MAX;
    const char *end = data + len;
    if (scan->looked > 0) {
        if (scan->base_ != (uintptr_t)data)
            move_fields(fields, scan->n_fields_, scan->base_, data);
        scan->base_ = (uintptr_t)data;
        if (len <= scan->looked || memchr(data + scan->looked, '\n', len - scan->looked) == NULL) {
            if (len > scan->looked)
                scan->looked = len;
            return len >= max ? large(scan, response, fault) : 0;
        }
    }

    const char *line = data + scan->scanned;
    for (;;) {
        if (end - line >= 2 && line[0] == '\r' && line[1] == '\n') {
            line += 2;
            if ((size_t)(line - data) > max)
                return large(scan, response, fault);
            if (scan->phase_ == PHASE_FIELDS)
                return line - data;
            if (!response && scan->blanks_++ < EMPTY_LINES_MAX)
                continue;
            refuse(fault, response ? "an empty line before a response"
                                   : "too many empty lines before a request");
            return fault->rc;
        }

        struct weft__http_field field;
        const char *next =
            read_line(line, end, data, response, limits->target_bytes, scan, &field, fault);
        if (next == NULL)
            return stop_at(line, end, data, response, limits, max, scan, fault);
        if ((size_t)(next - data) > max)
            return large(scan, response, fault);
        line = next;
        if (scan->phase_ == PHASE_START) {
            scan->phase_ = PHASE_FIELDS;
            continue;
        }
        if (scan->n_fields_ == limits->fields) {
            refuse_as(fault, WEFT_E_HTTP_LARGE, 431, "more fields than the limit");
            return fault->rc;
        }
        if (!note_field(&field, data, response, scan, fault))
            return fault->rc;
        fields[scan->n_fields_++] = field;
    }
}

/* What both kinds of message have: framing that cannot be read in two ways. */
static bool
check_framing(const struct weft__http_scan *scan, struct fault *fault)
{
    if (!(scan->seen_ & SEEN_CODING))
        return true;
    if (scan->seen_ & SEEN_LENGTH) {
        refuse(fault, "both Transfer-Encoding and Content-Length");
        return false;
    }
    if (scan->minor_ == 0) {
        refuse(fault, "Transfer-Encoding in a message of HTTP/1.0");
        return false;
    }
    return true;
}

static bool
keeps_alive(const struct weft__http_scan *scan)
{
    if (scan->seen_ & SEEN_CLOSE)
        return false;
    return scan->minor_ == 1 || (scan->seen_ & SEEN_KEEP_ALIVE);
}

#define UPGRADES (SEEN_UPGRADE | SEEN_CONNECTION_UPGRADE)

static ssize_t
finish_request(struct weft__http_request *request, const struct weft__http_scan *scan,
               const char *data, ssize_t head, struct fault *fault)
{
    if (!check_framing(scan, fault))
        return fault->rc;
    if (scan->minor_ == 1 && !(scan->seen_ & SEEN_HOST)) {
        refuse(fault, "no Host");
        return fault->rc;
    }
    /* What follows CONNECT is the tunnel's; a body before it would be read in two ways. */
    if (scan->method_ == WEFT_HTTP_CONNECT &&
        ((scan->seen_ & SEEN_CODING) || ((scan->seen_ & SEEN_LENGTH) && scan->length_ > 0))) {
        refuse(fault, "CONNECT with a body");
        return fault->rc;
    }

    request->method = data + scan->first_;
    request->method_len = scan->first_len_;
    request->target = data + scan->second_;
    request->target_len = scan->second_len_;
    request->method_id = scan->method_;
    request->version_minor = scan->minor_;
    request->keep_alive = keeps_alive(scan);
    request->chunked = scan->seen_ & SEEN_CODING;
    request->has_length = scan->seen_ & SEEN_LENGTH;
    /* HTTP/1.0 has no 100: its clients do not wait for it (RFC 9110 10.1.1). */
    request->expect_continue = (scan->seen_ & SEEN_EXPECT) && scan->minor_ == 1;
    request->has_host = scan->seen_ & SEEN_HOST;
    request->upgrade = (scan->seen_ & UPGRADES) == UPGRADES && scan->minor_ == 1;
    request->content_length = scan->length_;
    bool host = scan->seen_ & (SEEN_HOST | SEEN_AUTHORITY);
    request->host = host ? data + scan->host_ : NULL;
    request->host_len = host ? scan->host_len_ : 0;
    request->n_fields = scan->n_fields_;
    return head;
}

static ssize_t
finish_response(struct weft__http_response *response, const struct weft__http_scan *scan,
                unsigned method, const char *data, ssize_t head, struct fault *fault)
{
    int status = scan->status_;
    bool tunnel = status == 101 || (method == WEFT_HTTP_CONNECT && status / 100 == 2);
    bool coded = scan->seen_ & SEEN_CODING;
    bool has_length = scan->seen_ & SEEN_LENGTH;
    if (!tunnel) {
        if (!check_framing(scan, fault))
            return fault->rc;
        /* They have no body, but some readers would take one that is announced. */
        if ((status / 100 == 1 || status == 204) && (coded || (has_length && scan->length_ > 0))) {
            refuse(fault, "a body in a response that has none");
            return fault->rc;
        }
    }

    response->reason = data + scan->first_;
    response->reason_len = scan->first_len_;
    response->status = status;
    response->version_minor = scan->minor_;
    response->keep_alive = !tunnel && keeps_alive(scan);
    response->chunked = coded;
    response->has_length = has_length;
    response->upgrade = (scan->seen_ & UPGRADES) == UPGRADES && scan->minor_ == 1;
    response->content_length = scan->length_;
    if (tunnel)
        response->body = WEFT__HTTP_BODY_TUNNEL;
    else if (method == WEFT_HTTP_HEAD || status / 100 == 1 || status == 204 || status == 304)
        response->body = WEFT__HTTP_BODY_NONE;
    else if (coded)
        response->body = WEFT__HTTP_BODY_CHUNKED;
    else if (has_length)
        response->body = scan->length_ > 0 ? WEFT__HTTP_BODY_LENGTH : WEFT__HTTP_BODY_NONE;
    else
        response->body = WEFT__HTTP_BODY_CLOSE;
    if (response->body == WEFT__HTTP_BODY_CLOSE)
        response->keep_alive = false;
    response->n_fields = scan->n_fields_;
    return head;
}

ssize_t
weft__http_parse_request(struct weft__http_request *request, struct weft__http_scan *scan,
                         const char *data, size_t len, const struct weft__http_limits *limits,
                         int *ret_status)
{
    struct fault fault;
    ssize_t rc = read_head(scan, request->fields, false, data, len, limits, &fault);
    if (rc > 0)
        rc = finish_request(request, scan, data, rc, &fault);
    if (rc >= 0)
        return rc;
    *ret_status = fault.status;
    return weft_error_note((int)rc, "%s", fault.what);
}

ssize_t
weft__http_parse_response(struct weft__http_response *response, struct weft__http_scan *scan,
                          unsigned method, const char *data, size_t len,
                          const struct weft__http_limits *limits)
{
    struct fault fault;
    ssize_t rc = read_head(scan, response->fields, true, data, len, limits, &fault);
    if (rc > 0)
        rc = finish_response(response, scan, method, data, rc, &fault);
    return rc >= 0 ? rc : weft_error_note((int)rc, "%s", fault.what);
}

ssize_t
weft__http_parse_trailers(struct weft__http_field *fields, unsigned max, const char *data,
                          size_t len)
{
    struct fault fault;
    unsigned n = 0;
    if (len == 0) /* data may be NULL */
        return 0;
    for (const char *p = data, *end = data + len; p < end;) {
        struct weft__http_field field;
        p = read_field(p, end, &field, &fault);
        if (p == NULL)
            return weft_error_note(fault.rc, "%s", fault.what);
        if (n == max)
            return weft_error_note(WEFT_E_HTTP_LARGE, "more trailer fields than %u", max);
        fields[n++] = field;
    }
    return n;
}

/* ---- Chunked bodies ------------------------------------------------------------------------ */

enum chunk_state {
    CHUNK_SIZE = 0, /* its first digit, or another one */
    CHUNK_EXT_NAME, /* first character, behind ; */
    CHUNK_EXT_NAME_MORE,
    CHUNK_EXT_VALUE, /* first character, behind = */
    CHUNK_EXT_TOKEN,
    CHUNK_EXT_QUOTED,
    CHUNK_EXT_ESCAPED,
    CHUNK_EXT_QUOTED_END,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LINE, /* a trailer field begins, or the last line */
    CHUNK_NAME,
    CHUNK_VALUE,
    CHUNK_VALUE_LF,
    CHUNK_END_LF,
    CHUNK_DONE,
    CHUNK_FAILED /* left_ is the code, positive */
};

/* Fields that say how a message is framed, routed, or to be treated come before the body or not at
 * all (RFC 9110 6.5.1): who merges trailers into the head would believe them. */
static const char forbidden[][24] = {
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
};

static bool
is_forbidden(const struct weft__http_chunks *chunks)
{
    if (chunks->name_len_ >= sizeof forbidden[0])
        return false;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (forbidden[i][chunks->name_len_] == 0 &&
            memcmp(forbidden[i], chunks->name_, chunks->name_len_) == 0)
            return true;
    return false;
}

__attribute__((cold, noinline)) static ssize_t
chunks_fail(struct weft__http_chunks *chunks, int rc, const char *what)
{
    chunks->state_ = CHUNK_FAILED;
    chunks->left_ = (uint64_t)-rc;
    return weft_error_note(rc, "%s", what);
}

static inline ssize_t
chunks_refuse(struct weft__http_chunks *chunks, const char *what)
{
    return chunks_fail(chunks, WEFT_E_HTTP, what);
}

/* What may come behind a part of an extension. False: c is nothing of that. */
static bool
extension_ends(struct weft__http_chunks *chunks, char c)
{
    if (c == ';')
        chunks->state_ = CHUNK_EXT_NAME;
    else if (c == '\r')
        chunks->state_ = CHUNK_SIZE_LF;
    else
        return false;
    return true;
}

/* One byte of the line with a chunk's size. */
static ssize_t
size_byte(struct weft__http_chunks *chunks, char c)
{
    if (chunks->state_ == CHUNK_SIZE) {
        if (is(c, HEX)) {
            /* Zeros count too: a size of thousands of digits is no size. */
            if (chunks->digits_ == 16 || (chunks->left_ >> 59) != 0)
                return chunks_refuse(chunks, "a chunk size that is too large");
            chunks->left_ = chunks->left_ << 4 | hex_value(c);
            chunks->digits_++;
            return 0;
        }
        if (chunks->digits_ == 0 || !extension_ends(chunks, c))
            return chunks_refuse(chunks, "a chunk size that is no hexadecimal number");
        return 0;
    }

    size_t max = chunks->extension_bytes > 0 ? chunks->extension_bytes : 4096;
    if (++chunks->extension_used_ > max)
        return chunks_fail(chunks, WEFT_E_HTTP_LARGE, "chunk extensions over the limit");
    bool good = true;
    switch ((enum chunk_state)chunks->state_) {
    case CHUNK_EXT_NAME:
        good = is(c, TOKEN);
        chunks->state_ = CHUNK_EXT_NAME_MORE;
        break;
    case CHUNK_EXT_NAME_MORE:
        if (c == '=')
            chunks->state_ = CHUNK_EXT_VALUE;
        else
            good = is(c, TOKEN) || extension_ends(chunks, c);
        break;
    case CHUNK_EXT_VALUE:
        good = c == '"' || is(c, TOKEN);
        chunks->state_ = c == '"' ? CHUNK_EXT_QUOTED : CHUNK_EXT_TOKEN;
        break;
    case CHUNK_EXT_TOKEN:
        good = is(c, TOKEN) || extension_ends(chunks, c);
        break;
    case CHUNK_EXT_QUOTED:
        if (c == '"')
            chunks->state_ = CHUNK_EXT_QUOTED_END;
        else if (c == '\\')
            chunks->state_ = CHUNK_EXT_ESCAPED;
        else
            good = is(c, QUOTED);
        break;
    case CHUNK_EXT_ESCAPED:
        good = is(c, TEXT);
        chunks->state_ = CHUNK_EXT_QUOTED;
        break;
    default: /* CHUNK_EXT_QUOTED_END */
        good = extension_ends(chunks, c);
        break;
    }
    return good ? 0 : chunks_refuse(chunks, "a chunk extension that cannot be read");
}

/* One byte of a trailer field. */
static ssize_t
trailer_byte(struct weft__http_chunks *chunks, char c)
{
    size_t max = chunks->trailer_bytes > 0 ? chunks->trailer_bytes : 8192;
    if (++chunks->trailer_used_ > max)
        return chunks_fail(chunks, WEFT_E_HTTP_LARGE, "trailer fields over the limit");
    switch ((enum chunk_state)chunks->state_) {
    case CHUNK_LINE:
    case CHUNK_NAME:
        if (chunks->state_ == CHUNK_LINE) {
            if (chunks->n_fields_++ == (chunks->trailer_fields > 0 ? chunks->trailer_fields : 64))
                return chunks_fail(chunks, WEFT_E_HTTP_LARGE, "more trailer fields than the limit");
            chunks->name_len_ = 0;
            chunks->state_ = CHUNK_NAME;
        }
        if (c == ':' && chunks->name_len_ > 0) {
            if (is_forbidden(chunks))
                return chunks_refuse(chunks, "a trailer field that may not be one");
            chunks->state_ = CHUNK_VALUE;
            return 0;
        }
        if (!is(c, TOKEN))
            return chunks_refuse(chunks, "a trailer field whose name is no token");
        if (chunks->name_len_ < sizeof chunks->name_)
            chunks->name_[chunks->name_len_++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        return 0;
    case CHUNK_VALUE:
        if (c == '\r')
            chunks->state_ = CHUNK_VALUE_LF;
        else if (!is(c, TEXT))
            return chunks_refuse(chunks, "a trailer field with a control character, or LF alone");
        return 0;
    default: /* CHUNK_VALUE_LF */
        if (c != '\n')
            return chunks_refuse(chunks, "a CR without its LF in a trailer field");
        chunks->state_ = CHUNK_LINE;
        return 0;
    }
}

ssize_t
weft__http_chunks_feed(struct weft__http_chunks *chunks, const char *data, size_t len,
                       const char **ret_body, size_t *ret_body_len, bool *ret_done)
{
    *ret_body = data;
    *ret_body_len = 0;
    *ret_done = chunks->state_ == CHUNK_DONE;
    const char *p = data, *end = data + len;
    const char *keep = NULL; /* from here on, trailer lines that are not kept yet */
    ssize_t rc = 0;
    while (p < end) {
        switch ((enum chunk_state)chunks->state_) {
        case CHUNK_SIZE_LF:
            if (*p++ != '\n')
                return chunks_refuse(chunks, "a CR without its LF behind a chunk size");
            chunks->digits_ = 0;
            chunks->state_ = chunks->left_ > 0 ? CHUNK_DATA : CHUNK_LINE;
            break;
        case CHUNK_DATA: {
            size_t there = (size_t)(end - p);
            size_t body = chunks->left_ < there ? (size_t)chunks->left_ : there;
            chunks->left_ -= body;
            if (chunks->left_ == 0)
                chunks->state_ = CHUNK_DATA_CR;
            *ret_body = p;
            *ret_body_len = body;
            return p + body - data;
        }
        case CHUNK_DATA_CR:
            if (*p++ != '\r')
                return chunks_refuse(chunks, "a chunk without CRLF behind it");
            chunks->state_ = CHUNK_DATA_LF;
            break;
        case CHUNK_DATA_LF:
            if (*p++ != '\n')
                return chunks_refuse(chunks, "a chunk without CRLF behind it");
            chunks->state_ = CHUNK_SIZE;
            break;
        case CHUNK_LINE:
            if (*p == '\r') {
                chunks->state_ = CHUNK_END_LF;
                p++;
                break;
            }
            __attribute__((fallthrough));
        case CHUNK_NAME:
        case CHUNK_VALUE:
        case CHUNK_VALUE_LF:
            if (keep == NULL)
                keep = p;
            rc = trailer_byte(chunks, *p++);
            if (rc < 0)
                return rc;
            if ((chunks->state_ == CHUNK_LINE || p == end) && chunks->trailers != NULL) {
                rc = weft_buf_append(chunks->trailers, keep, (size_t)(p - keep));
                if (rc < 0)
                    return chunks_fail(chunks, (int)rc, "no memory for trailer fields");
                keep = NULL;
            }
            break;
        case CHUNK_END_LF:
            if (*p++ != '\n')
                return chunks_refuse(chunks, "a CR without its LF behind a chunked body");
            chunks->state_ = CHUNK_DONE;
            *ret_done = true;
            return p - data;
        case CHUNK_DONE:
            return p - data;
        case CHUNK_FAILED:
            return weft_error_note(-(int)chunks->left_, "a chunked body that was refused before");
        default:
            rc = size_byte(chunks, *p++);
            if (rc < 0)
                return rc;
            break;
        }
    }
    return p - data;
}
