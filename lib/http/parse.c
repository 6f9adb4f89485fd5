/*
 * parse.c - HTTP/1.1 heads, read strictly, line by line (RFC 9110, RFC 9112).
 *
 * A head is read in one pass, line by line. Where the bytes end inside a line, the scan remembers
 * that none of them ends it; the next call looks for its end among the new bytes alone, and reads
 * the line a second time once that is there. No line is judged before its LF has come, and nothing
 * behind an LF has a part in the judgement of what is before it. So how a message was cut into
 * pieces changes no result.
 */
#include <string.h>

#include "http/parse_priv.h"

#define EMPTY_LINES_MAX 4

/* ---- What is wrong ------------------------------------------------------------------------- */

/* What stands where a line should end. Cold. */
static const char *
refuse_end(struct weft__http_fault *fault, const char *p, const char *end)
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

enum phase { PHASE_START = 0, PHASE_FIELDS };

/* These read one line at p and give where the next one begins, or NULL with the fault; when no LF
 * has come yet there is none, and the line is read again later. */

static inline const char *
read_field(const char *p, const char *end, struct weft__http_field *field,
           struct weft__http_fault *fault)
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
read_version(const char *p, struct weft__http_scan *scan, struct weft__http_fault *fault)
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

static inline const char *
read_request_line(const char *p, const char *end, const char *data, size_t target_bytes,
                  struct weft__http_scan *scan, struct weft__http_fault *fault)
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
    /* A path is all that it has to be, but for CONNECT. */
    if ((*target != '/' || id == WEFT_HTTP_CONNECT) &&
        !weft__http_target_read(target, target + target_len, id, data, scan, fault))
        return NULL;
    scan->second_ = (uint32_t)(target - data);
    scan->second_len_ = (uint32_t)target_len;
    return p + 2;
}

static inline const char *
read_status_line(const char *p, const char *end, const char *data, struct weft__http_scan *scan,
                 struct weft__http_fault *fault)
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

static inline bool
note_field(const struct weft__http_field *field, const char *data, bool response,
           struct weft__http_scan *scan, struct weft__http_fault *fault)
{
    switch (field->name_len) {
    case 4:
        if (!response && token_is(field->name, "host", 4))
            return weft__http_target_host(field, data, scan, fault);
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
            weft__http_framing_connection(field, scan);
        break;
    case 14:
        if (token_is(field->name, "content-length", 14))
            return weft__http_framing_length(field, scan, fault);
        break;
    case 17:
        if (token_is(field->name, "transfer-encoding", 17))
            return weft__http_framing_coding(field, scan, fault);
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
large(const struct weft__http_scan *scan, bool response, struct weft__http_fault *fault)
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
          struct weft__http_scan *scan, struct weft__http_field *field,
          struct weft__http_fault *fault)
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
        struct weft__http_fault *fault)
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
          const char *data, size_t len, const struct weft__http_limits *limits,
          struct weft__http_fault *fault)
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

static ssize_t
finish_request(struct weft__http_request *request, const struct weft__http_scan *scan,
               const char *data, ssize_t head, struct weft__http_fault *fault)
{
    if (!weft__http_framing_of_request(request, scan, fault))
        return fault->rc;
    if (scan->minor_ == 1 && !(scan->seen_ & SEEN_HOST)) {
        refuse(fault, "no Host");
        return fault->rc;
    }
    request->method = data + scan->first_;
    request->method_len = scan->first_len_;
    request->target = data + scan->second_;
    request->target_len = scan->second_len_;
    request->method_id = scan->method_;
    request->has_host = scan->seen_ & SEEN_HOST;
    bool host = scan->seen_ & (SEEN_HOST | SEEN_AUTHORITY);
    request->host = host ? data + scan->host_ : NULL;
    request->host_len = host ? scan->host_len_ : 0;
    request->n_fields = scan->n_fields_;
    return head;
}

static ssize_t
finish_response(struct weft__http_response *response, const struct weft__http_scan *scan,
                unsigned method, const char *data, ssize_t head, struct weft__http_fault *fault)
{
    if (!weft__http_framing_of_response(response, scan, method, fault))
        return fault->rc;
    response->reason = data + scan->first_;
    response->reason_len = scan->first_len_;
    response->status = scan->status_;
    response->n_fields = scan->n_fields_;
    return head;
}

ssize_t
weft__http_parse_request(struct weft__http_request *request, struct weft__http_scan *scan,
                         const char *data, size_t len, const struct weft__http_limits *limits,
                         int *ret_status)
{
    struct weft__http_fault fault;
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
    struct weft__http_fault fault;
    ssize_t rc = read_head(scan, response->fields, true, data, len, limits, &fault);
    if (rc > 0)
        rc = finish_response(response, scan, method, data, rc, &fault);
    return rc >= 0 ? rc : weft_error_note((int)rc, "%s", fault.what);
}

ssize_t
weft__http_parse_trailers(struct weft__http_field *fields, unsigned max, const char *data,
                          size_t len)
{
    struct weft__http_fault fault;
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
