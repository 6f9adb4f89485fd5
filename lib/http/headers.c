/*
 * headers.c - lists of header fields.
 *
 * The texts of all fields stand one behind the other in one buffer, each with a zero byte, and a
 * slot says where: two allocations for a whole list. Text of fields that were removed stays until
 * there is more of it than of the others.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>
#include <weft/http.h>

struct weft_http_header_slot_ {
    uint32_t name, name_len; /* where in the text */
    uint32_t value, value_len;
};

static bool
is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
            return false;
    }
    return len > 0;
}

static bool
is_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Without blanks around it. */
static weft_bytes
trim(weft_bytes value)
{
    const char *p = value.data;
    size_t len = value.len;
    while (len > 0 && (*p == ' ' || *p == '\t'))
        p++, len--;
    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
        len--;
    return (weft_bytes){p, len};
}

static int
check(weft_bytes name, weft_bytes value)
{
    if (!is_token(name.data, name.len))
        return weft_error_note(-EINVAL, "a header name that is no token");
    if (!is_value(value.data, value.len))
        return weft_error_note(-EINVAL, "a header value with a control character");
    return 0;
}

static const char *
text_at(const weft_http_headers *headers, uint32_t at)
{
    return (const char *)headers->text_.data + at;
}

static bool
is_named(const weft_http_headers *headers, size_t i, weft_bytes name)
{
    const struct weft_http_header_slot_ *slot = &headers->slots_[i];
    return slot->name_len == name.len &&
           strncasecmp(text_at(headers, slot->name), name.data, name.len) == 0;
}

static size_t
find(const weft_http_headers *headers, size_t from, weft_bytes name)
{
    while (from < headers->n && !is_named(headers, from, name))
        from++;
    return from;
}

static weft_bytes
of_string(const char *text)
{
    return (weft_bytes){text, strlen(text)};
}

/* Room for so many bytes of text; drops what is unused when that is most of it. */
static int
reserve(weft_http_headers *headers, size_t more)
{
    weft_buf *text = &headers->text_;
    if (headers->unused_ <= text->len / 2 || text->cap - text->len >= more) {
        if (more > UINT32_MAX - text->len)
            return -EOVERFLOW;
        return weft_buf_reserve(text, more);
    }
    weft_buf fresh = {0};
    if (more > UINT32_MAX - (text->len - headers->unused_))
        return -EOVERFLOW;
    int rc = weft_buf_reserve(&fresh, text->len - headers->unused_ + more);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < headers->n; i++) {
        struct weft_http_header_slot_ *slot = &headers->slots_[i];
        uint32_t name = (uint32_t)fresh.len;
        memcpy(fresh.data + fresh.len, text_at(headers, slot->name), slot->name_len + 1);
        fresh.len += slot->name_len + 1;
        memcpy(fresh.data + fresh.len, text_at(headers, slot->value), slot->value_len + 1);
        slot->name = name;
        slot->value = (uint32_t)fresh.len;
        fresh.len += slot->value_len + 1;
    }
    weft_buf_free(text);
    *text = fresh;
    headers->unused_ = 0;
    return 0;
}

/* Adds text with a zero byte, in reserved room. */
static uint32_t
put(weft_http_headers *headers, weft_bytes text)
{
    weft_buf *buf = &headers->text_;
    uint32_t at = (uint32_t)buf->len;
    if (text.len > 0)
        memcpy(buf->data + at, text.data, text.len);
    buf->data[at + text.len] = 0;
    buf->len += text.len + 1;
    return at;
}

int
weft_http_headers_add_bytes(weft_http_headers *headers, weft_bytes name, weft_bytes value)
{
    value = trim(value);
    int rc = check(name, value);
    if (rc < 0)
        return rc;
    if (name.len > UINT32_MAX / 4 || value.len > UINT32_MAX / 4)
        return -EOVERFLOW;
    if (headers->n == headers->cap_) {
        size_t cap = headers->cap_ > 0 ? 2 * headers->cap_ : 16;
        void *slots = weft_memory_resize(headers->slots_, cap * sizeof *headers->slots_);
        if (slots == NULL)
            return -ENOMEM;
        headers->slots_ = slots;
        headers->cap_ = cap;
    }
    rc = reserve(headers, name.len + value.len + 2);
    if (rc < 0)
        return rc;
    struct weft_http_header_slot_ *slot = &headers->slots_[headers->n++];
    slot->name = put(headers, name);
    slot->name_len = (uint32_t)name.len;
    slot->value = put(headers, value);
    slot->value_len = (uint32_t)value.len;
    return 0;
}

int
weft_http_headers_add(weft_http_headers *headers, const char *name, const char *value)
{
    return weft_http_headers_add_bytes(headers, of_string(name), of_string(value));
}

static void
remove_at(weft_http_headers *headers, size_t i)
{
    struct weft_http_header_slot_ *slot = &headers->slots_[i];
    headers->unused_ += slot->name_len + slot->value_len + 2;
    headers->n--;
    memmove(slot, slot + 1, (headers->n - i) * sizeof *slot);
}

int
weft_http_headers_set(weft_http_headers *headers, const char *name, const char *value)
{
    weft_bytes key = of_string(name);
    size_t first = find(headers, 0, key);
    if (first == headers->n)
        return weft_http_headers_add(headers, name, value);

    weft_bytes trimmed = trim(of_string(value));
    int rc = check(key, trimmed);
    if (rc < 0)
        return rc;
    if (trimmed.len > UINT32_MAX / 4)
        return -EOVERFLOW;
    struct weft_http_header_slot_ *slot = &headers->slots_[first];
    if (trimmed.len <= slot->value_len) {
        char *place = (char *)headers->text_.data + slot->value;
        memcpy(place, trimmed.data, trimmed.len);
        place[trimmed.len] = 0;
        headers->unused_ += slot->value_len - trimmed.len;
    } else {
        rc = reserve(headers, trimmed.len + 1);
        if (rc < 0)
            return rc;
        headers->unused_ += slot->value_len + 1;
        slot->value = put(headers, trimmed);
    }
    slot->value_len = (uint32_t)trimmed.len;
    for (size_t i = find(headers, first + 1, key); i < headers->n; i = find(headers, i, key))
        remove_at(headers, i);
    return 0;
}

const char *
weft_http_headers_get(const weft_http_headers *headers, const char *name)
{
    size_t i = find(headers, 0, of_string(name));
    return i < headers->n ? text_at(headers, headers->slots_[i].value) : NULL;
}

size_t
weft_http_headers_remove(weft_http_headers *headers, const char *name)
{
    weft_bytes key = of_string(name);
    size_t n = 0;
    for (size_t i = find(headers, 0, key); i < headers->n; i = find(headers, i, key)) {
        remove_at(headers, i);
        n++;
    }
    return n;
}

weft_http_header
weft_http_headers_at(const weft_http_headers *headers, size_t i)
{
    const struct weft_http_header_slot_ *slot = &headers->slots_[i];
    return (weft_http_header){.name = text_at(headers, slot->name),
                              .value = text_at(headers, slot->value),
                              .name_len = slot->name_len,
                              .value_len = slot->value_len};
}

bool
weft_http_headers_has_token(const weft_http_headers *headers, const char *name, const char *token)
{
    weft_bytes key = of_string(name);
    size_t token_len = strlen(token);
    for (size_t i = find(headers, 0, key); i < headers->n; i = find(headers, i + 1, key)) {
        const char *p = text_at(headers, headers->slots_[i].value);
        for (;;) {
            size_t len = strcspn(p, ",");
            weft_bytes element = trim((weft_bytes){p, len});
            if (element.len == token_len && strncasecmp(element.data, token, token_len) == 0)
                return true;
            if (p[len] == 0)
                break;
            p += len + 1;
        }
    }
    return false;
}

int
weft_http_headers_write(const weft_http_headers *headers, weft_buf *out)
{
    size_t bytes = 0;
    for (size_t i = 0; i < headers->n; i++)
        bytes += (size_t)headers->slots_[i].name_len + headers->slots_[i].value_len + 4;
    int rc = weft_buf_reserve(out, bytes);
    for (size_t i = 0; rc == 0 && i < headers->n; i++) {
        weft_http_header h = weft_http_headers_at(headers, i);
        rc = weft_buf_append(out, h.name, h.name_len);
        if (rc == 0)
            rc = weft_buf_append(out, ": ", 2);
        if (rc == 0)
            rc = weft_buf_append(out, h.value, h.value_len);
        if (rc == 0)
            rc = weft_buf_append(out, "\r\n", 2);
    }
    return rc;
}

void
weft_http_headers_clear(weft_http_headers *headers)
{
    headers->n = 0;
    headers->text_.len = 0;
    headers->unused_ = 0;
}

void
weft_http_headers_free(weft_http_headers *headers)
{
    weft_memory_free(headers->slots_);
    weft_buf_free(&headers->text_);
    *headers = (weft_http_headers){0};
}
