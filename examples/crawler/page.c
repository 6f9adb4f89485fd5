/*
 * page.c - one request after another until it succeeds or is given up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "links.h"
#include "page.h"

/* A body that nobody looks at is read up to here, so that its connection can be used again. */
#define UNUSED_BYTES_MAX (64u << 10)
#define RETRY_AFTER_MAX WEFT_SEC(30)
#define URL_BYTES_MAX 2048

/* A URL that is asked for, and what came of the last attempt. */
struct get {
    weft_http_client *client;
    const struct args *args;
    const char *url;
    size_t max_bytes;
    bool any_type; /* the body is wanted whatever it is, and redirects are followed */

    weft_time not_before; /* the server said so */
    struct outcome outcome;
    weft_buf body;
    bool html;
    char location[URL_BYTES_MAX + 1]; /* "": none, or one that is too long */
};

/* ---- One attempt ---------------------------------------------------------------------------- */

static bool
is_html(const char *type)
{
    return type != NULL && (strncasecmp(type, "text/html", 9) == 0 ||
                            strncasecmp(type, "application/xhtml+xml", 21) == 0);
}

static weft_time
retry_after(const char *value)
{
    int64_t date, now = time(NULL);
    weft_time wait = 0;
    if (value == NULL)
        return 0;
    if (*value >= '0' && *value <= '9')
        wait = WEFT_SEC(strtoul(value, NULL, 10) % 1000000);
    else if (weft_http_date_parse(value, strlen(value), now, &date) == 0 && date > now)
        wait = date - now < 1000000 ? WEFT_SEC(date - now) : RETRY_AFTER_MAX;
    return wait < RETRY_AFTER_MAX ? wait : RETRY_AFTER_MAX;
}

static int
read_body(struct get *get, weft_http_call *call)
{
    bool wanted = get->any_type || get->html;
    size_t max = wanted ? get->max_bytes : UNUSED_BYTES_MAX, len = 0;
    ssize_t n;
    do {
        char unused[4096];
        void *to = unused;
        size_t room = sizeof unused;
        if (wanted) {
            if (weft_buf_reserve(&get->body, 16384) < 0)
                return -ENOMEM;
            to = get->body.data + get->body.len;
            room = get->body.cap - get->body.len;
        }
        n = weft_http_call_read(call, to, len < max && room > max - len ? max - len : room);
        if (n > 0) {
            get->outcome.cut = len == max; /* there was more */
            len += get->outcome.cut ? 0 : (size_t)n;
            get->body.len = wanted ? len : 0;
        }
    } while (n > 0 && !get->outcome.cut);
    get->outcome.bytes = len;
    return n < 0 ? (int)n : 0;
}

static int
read_response(struct get *get, weft_http_call *call)
{
    weft_http_response head;
    int status = weft_http_call_head(call, &head);
    if (status < 0)
        return status;
    get->outcome.status = status;
    get->html = status < 300 && is_html(weft_http_response_field(&head, "Content-Type", 0));
    const char *location = weft_http_response_field(&head, "Location", 0);
    if (status / 100 == 3 && location != NULL && strlen(location) <= URL_BYTES_MAX)
        strcpy(get->location, location);
    get->not_before = weft_now() + retry_after(weft_http_response_field(&head, "Retry-After", 0));
    return read_body(get, call);
}

static bool
may_pass(int status)
{
    return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static int
attempt(void *arg)
{
    static const char *const headers[] = {"Accept: text/html, application/xhtml+xml, */*;q=0.5",
                                          NULL};
    struct get *get = arg;
    weft_http_call *call;
    if (get->not_before > weft_now()) {
        int rc = weft_sleep_until(get->not_before);
        if (rc < 0)
            return rc;
    }
    unsigned attempts = get->outcome.attempts + 1;
    get->outcome = (struct outcome){.attempts = attempts};
    get->location[0] = '\0';
    get->body.len = 0;

    weft_time begun = weft_now();
    weft_scope scope;
    weft_scope_open(&scope, begun + get->args->timeout);
    int rc = weft_http_call_open(get->client,
                                 &(weft_http_request){.url = get->url,
                                                      .headers = headers,
                                                      .redirects = get->any_type ? 5 : -1},
                                 &call);
    if (rc == 0) {
        rc = read_response(get, call);
        weft_http_call_close(call);
    }
    if (weft_scope_close(&scope) == -ETIMEDOUT)
        rc = weft_error_note(-ETIMEDOUT, "no answer within %g s", (double)get->args->timeout / 1e9);
    get->outcome.took = weft_now() - begun;
    return rc == 0 && may_pass(get->outcome.status) ? -EAGAIN : rc;
}

static int
worth_another(int rc, void *arg)
{
    (void)arg;
    return rc == -EAGAIN || rc == -ETIMEDOUT || rc == -ECONNREFUSED || rc == -ECONNRESET ||
           rc == -EPIPE || rc == -EHOSTUNREACH || rc == -ENETUNREACH || rc == WEFT_E_END ||
           rc == WEFT_E_NAME_AGAIN || rc == -EMFILE || rc == -ENFILE;
}

/* Ends with a status, or with outcome.rc < 0 and the detail. */
static void
get_it(struct get *get)
{
    int rc = weft_retry(attempt, get,
                        &(weft_retry_options){.attempts = get->args->retries + 1,
                                              .base = WEFT_MS(200),
                                              .cap = WEFT_SEC(10),
                                              .again = worth_another});
    if (rc == -EAGAIN) /* a status is an answer, after all attempts too */
        rc = 0;
    get->outcome.rc = rc;
    if (rc < 0 && rc != -ECANCELED && weft_error_text()[0] != '\0')
        get->outcome.detail = strdup(weft_error_text());
}

/* ---- Pages ---------------------------------------------------------------------------------- */

/* Adds what a link leads to, unless it is no page: "mailto:", what cannot be read, what is endless.
 * Returns 0 or -ENOMEM. */
static int
add_lead(weft_buf *urls, const weft_url *base, const char *link, size_t len)
{
    weft_buf absolute = {0};
    weft_url url;
    size_t before = urls->len;
    if (weft_url_parse_reference(&url, link, len) < 0)
        return 0;
    int rc = weft_url_resolve(&absolute, base, &url);
    if (rc == 0)
        rc = weft_url_parse(&url, (const char *)absolute.data, absolute.len);
    if (rc == 0)
        rc = weft_url_normalize(urls, &url);
    if (rc == 0)
        rc = weft_buf_append(urls, "", 1);
    if (rc == 0) {
        const char *text = (const char *)urls->data + before;
        bool http = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
        if (!http || url.host.len == 0 || urls->len - before > URL_BYTES_MAX)
            urls->len = before;
    } else {
        urls->len = before;
    }
    weft_buf_free(&absolute);
    return rc == -ENOMEM ? rc : 0;
}

static int
read_links(const struct get *get, const weft_url *page, weft_buf *urls)
{
    weft_buf link = {0}, base_text = {0};
    weft_url base = *page;
    struct links links;
    int kind;
    links_open(&links, (const char *)get->body.data, get->body.len);
    while ((kind = links_next(&links, &link)) > 0) {
        int rc = 0;
        if (kind == LINK_TO) {
            rc = add_lead(urls, &base, (const char *)link.data, link.len);
        } else if (base_text.len == 0) { /* the first counts */
            rc = add_lead(&base_text, page, (const char *)link.data, link.len);
            if (rc == 0 && base_text.len > 0)
                rc = weft_url_parse(&base, (const char *)base_text.data, base_text.len - 1);
        }
        if (rc < 0) {
            kind = rc;
            break;
        }
    }
    weft_buf_free(&link);
    weft_buf_free(&base_text);
    return kind;
}

static int
find_leads(const struct get *get, const struct page *page, struct leads *leads)
{
    weft_url url;
    int rc = weft_url_parse(&url, page->url, strlen(page->url));
    if (rc < 0)
        return rc;
    if (get->location[0] == '\0')
        return get->html && page->depth < get->args->depth ? read_links(get, &url, &leads->urls)
                                                           : 0;
    if (page->hops == HOPS_MAX)
        return weft_error_note(-ELOOP, "more than %d redirects in a row", HOPS_MAX);
    leads->redirect = true;
    return add_lead(&leads->urls, &url, get->location, strlen(get->location));
}

void
page_fetch(weft_http_client *client, const struct args *args, const struct page *page,
           struct outcome *ret_outcome, struct leads *ret_leads)
{
    *ret_leads = (struct leads){.redirect = false};
    struct get *get = calloc(1, sizeof *get);
    if (get == NULL) {
        *ret_outcome = (struct outcome){.rc = -ENOMEM};
        return;
    }
    get->client = client;
    get->args = args;
    get->url = page->url;
    get->max_bytes = args->max_bytes;
    get_it(get);
    if (get->outcome.rc == 0) {
        get->outcome.rc = find_leads(get, page, ret_leads);
        if (get->outcome.rc < 0)
            get->outcome.detail = strdup(weft_error_text());
    }
    *ret_outcome = get->outcome;
    weft_buf_free(&get->body);
    free(get);
}

/* ---- robots.txt ----------------------------------------------------------------------------- */

int
page_fetch_robots(weft_http_client *client, const struct args *args, const char *origin,
                  struct robots *ret_robots, char **ret_detail)
{
    weft_buf url = {0};
    struct get *get = calloc(1, sizeof *get);
    *ret_robots = (struct robots){.rules = NULL};
    *ret_detail = NULL;
    if (get == NULL || weft_buf_printf(&url, "%s/robots.txt%c", origin, '\0') < 0) {
        free(get);
        return -ENOMEM;
    }
    get->client = client;
    get->args = args;
    get->url = (const char *)url.data;
    get->max_bytes = ROBOTS_BYTES_MAX;
    get->any_type = true;
    get_it(get);
    int rc = get->outcome.rc, status = get->outcome.status;
    if (rc == 0 && status >= 500)
        rc = -EREMOTEIO;
    if (rc == 0 && status < 300)
        rc =
            robots_parse(ret_robots, (const char *)get->body.data, get->body.len, args->user_agent);
    if (rc == -EREMOTEIO) {
        if (asprintf(ret_detail, "the status of robots.txt is %d", status) < 0)
            *ret_detail = NULL;
    } else {
        *ret_detail = get->outcome.detail;
    }
    weft_buf_free(&get->body);
    weft_buf_free(&url);
    free(get);
    return rc;
}
