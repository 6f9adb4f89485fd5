/*
 * frontier.c - a table of pages, a line for each host, and the turns of hosts.
 *
 * All is under one mutex, which is held for moments and never across a wait but that for a change.
 * A host is in the list of turns exactly while pages of it wait.
 */
#include <stdlib.h>
#include <string.h>

#include "frontier.h"

#define HOST_BUCKETS 1024

enum robots_state { ROBOTS_UNKNOWN = 0, ROBOTS_ASKED, ROBOTS_KNOWN };

struct host {
    struct host *next_in_bucket, *next, *previous;
    char *origin;
    struct page *head, *tail; /* pages that wait */
    bool listed;
    unsigned working;
    weft_time not_before; /* the next request */
    enum robots_state robots_state;
    struct robots robots;
    int rc; /* robots.txt cannot be had */
    char *detail;
};

/* A task that was cancelled hands its page back all the same. */
static void
lock(struct frontier *f)
{
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_mutex_lock(&f->mutex));
    weft_ignore(weft_scope_close(&shield));
}

int
frontier_open(struct frontier *f, const struct args *args)
{
    *f = (struct frontier){.args = args, .n_buckets = 64};
    while (f->n_buckets < args->max_pages)
        f->n_buckets *= 2;
    f->buckets = calloc(f->n_buckets, sizeof *f->buckets);
    f->host_buckets = calloc(HOST_BUCKETS, sizeof *f->host_buckets);
    weft_mutex_open(&f->mutex, NULL);
    weft_cond_open(&f->changed);
    if (f->buckets == NULL || f->host_buckets == NULL) {
        frontier_close(f);
        return -ENOMEM;
    }
    return 0;
}

static void
free_host(struct host *host)
{
    robots_free(&host->robots);
    free(host->detail);
    free(host->origin);
    free(host);
}

void
frontier_close(struct frontier *f)
{
    for (size_t i = 0; i < f->totals.known; i++) {
        free(f->pages[i]->outcome.detail);
        free(f->pages[i]->url);
        free(f->pages[i]);
    }
    for (size_t i = 0; f->host_buckets != NULL && i < HOST_BUCKETS; i++) {
        for (struct host *host = f->host_buckets[i], *next; host != NULL; host = next) {
            next = host->next_in_bucket;
            free_host(host);
        }
    }
    free(f->pages);
    free(f->buckets);
    free(f->host_buckets);
    free(f->only_host);
    weft_cond_close(&f->changed);
    weft_mutex_close(&f->mutex);
}

/* ---- Hosts ---------------------------------------------------------------------------------- */

static size_t
hash(const char *text, size_t len) /* FNV-1a */
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

/* Scheme and authority of a normalised URL; who else has a user in it gets a line of its own. */
static size_t
origin_len(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    return (size_t)(host - url) + strcspn(host, "/?#");
}

static struct host *
host_of(struct frontier *f, const char *url)
{
    size_t len = origin_len(url);
    struct host **bucket = &f->host_buckets[hash(url, len) % HOST_BUCKETS];
    for (struct host *host = *bucket; host != NULL; host = host->next_in_bucket) {
        if (strlen(host->origin) == len && memcmp(host->origin, url, len) == 0)
            return host;
    }
    struct host *host = calloc(1, sizeof *host);
    if (host == NULL || (host->origin = strndup(url, len)) == NULL) {
        free(host);
        return NULL;
    }
    if (f->args->ignore_robots)
        host->robots_state = ROBOTS_KNOWN;
    host->next_in_bucket = *bucket;
    return *bucket = host;
}

static void
list(struct frontier *f, struct host *host)
{
    host->next = NULL;
    host->previous = f->last;
    *(f->last != NULL ? &f->last->next : &f->first) = host;
    f->last = host;
    host->listed = true;
}

static void
unlist(struct frontier *f, struct host *host)
{
    *(host->previous != NULL ? &host->previous->next : &f->first) = host->next;
    *(host->next != NULL ? &host->next->previous : &f->last) = host->previous;
    host->listed = false;
}

/* ---- Taking in ------------------------------------------------------------------------------ */

static bool
wanted(struct frontier *f, const char *text, bool start)
{
    weft_url url;
    if (weft_url_parse(&url, text, strlen(text)) < 0)
        return false;
    if (!f->args->same_host)
        return true;
    if (start) { /* also where the start page redirects to: "www." is the same site */
        free(f->only_host);
        f->only_host = strndup(url.host.data, url.host.len);
    }
    return f->only_host != NULL && strlen(f->only_host) == url.host.len &&
           memcmp(f->only_host, url.host.data, url.host.len) == 0;
}

static int
add_page(struct frontier *f, struct page **bucket, const char *url, struct page **ret_page)
{
    if (f->totals.known == f->cap) {
        size_t cap = f->cap > 0 ? 2 * f->cap : 64;
        struct page **pages = realloc(f->pages, cap * sizeof(struct page *));
        if (pages == NULL)
            return -ENOMEM;
        f->pages = pages;
        f->cap = cap;
    }
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return -ENOMEM;
    page->url = strdup(url);
    page->host = page->url != NULL ? host_of(f, url) : NULL;
    if (page->host == NULL) {
        free(page->url);
        free(page);
        return -ENOMEM;
    }
    page->next_in_bucket = *bucket;
    *bucket = page;
    f->pages[f->totals.known++] = page;
    *ret_page = page;
    return 0;
}

static void
enqueue(struct frontier *f, struct page *page)
{
    struct host *host = page->host;
    *(host->tail != NULL ? &host->tail->next_of_host : &host->head) = page;
    host->tail = page;
    if (!host->listed)
        list(f, host);
    f->totals.queued++;
    weft_cond_notify(&f->changed);
}

/* Along redirects; of those that are noted none goes round in a circle. */
static bool
leads_to(const struct page *page, const struct page *end)
{
    while (page != NULL && page != end)
        page = page->to;
    return page != NULL;
}

static int
add(struct frontier *f, struct page *from, const char *url, bool redirected)
{
    bool start = from == NULL || (redirected && from->start);
    unsigned depth = from == NULL ? 0 : from->depth + !redirected;
    struct page **bucket = &f->buckets[hash(url, strlen(url)) & (f->n_buckets - 1)];
    struct page *page = *bucket;
    while (page != NULL && strcmp(page->url, url) != 0)
        page = page->next_in_bucket;
    if (page == NULL && wanted(f, url, start)) {
        if (f->totals.known == f->args->max_pages) {
            f->totals.over_limit++;
            return 0;
        }
        int rc = add_page(f, bucket, url, &page);
        if (rc < 0)
            return rc;
        page->from = from;
        page->depth = depth;
        page->hops = redirected ? from->hops + 1 : 0;
        page->start = start;
        enqueue(f, page);
    } else if (page != NULL && page->state == PAGE_QUEUED && depth < page->depth) {
        page->depth = depth; /* there is a shorter way */
    }
    if (redirected && page != NULL) {
        if (leads_to(page, from))
            return -ELOOP;
        from->to = page;
    }
    return 0;
}

int
frontier_add(struct frontier *f, struct page *from, const weft_buf *urls, bool redirected)
{
    int rc = 0;
    lock(f);
    for (size_t at = 0; at < urls->len && rc == 0;) {
        const char *url = (const char *)urls->data + at;
        rc = add(f, from, url, redirected);
        at += strlen(url) + 1;
    }
    weft_mutex_unlock(&f->mutex);
    return rc;
}

/* ---- Giving out ----------------------------------------------------------------------------- */

static struct page *
dequeue(struct frontier *f, struct host *host)
{
    struct page *page = host->head;
    host->head = page->next_of_host;
    if (host->head == NULL) {
        host->tail = NULL;
        unlist(f, host);
    }
    f->totals.queued--;
    return page;
}

/* Settles the pages at the head of the line that need not be asked for. */
static void
settle(struct frontier *f, struct host *host)
{
    while (host->robots_state == ROBOTS_KNOWN && host->head != NULL) {
        const char *path = host->head->url + strlen(host->origin);
        if (host->rc == 0 && robots_allow(&host->robots, path))
            return;
        struct page *page = dequeue(f, host);
        page->state = host->rc < 0 ? PAGE_FAILED : PAGE_EXCLUDED;
        page->outcome.rc = host->rc;
        page->outcome.detail = host->detail != NULL ? strdup(host->detail) : NULL;
        *(host->rc < 0 ? &f->totals.failed : &f->totals.excluded) += 1;
    }
}

/* What there is to do now. Returns 1; or 0, and when to look again. */
static int
next_work(struct frontier *f, struct work *work, weft_time *ret_when)
{
    weft_time now = weft_now();
    *ret_when = WEFT_FOREVER;
    for (struct host *host = f->first, *next; host != NULL; host = next) {
        next = host->next;
        settle(f, host);
        if (host->head == NULL || host->robots_state == ROBOTS_ASKED ||
            host->working >= f->args->per_host)
            continue;
        if (host->not_before > now) {
            if (host->not_before < *ret_when)
                *ret_when = host->not_before;
            continue;
        }
        work->host = host;
        work->page = NULL;
        if (host->robots_state == ROBOTS_UNKNOWN) {
            host->robots_state = ROBOTS_ASKED;
        } else {
            work->page = dequeue(f, host);
            work->page->state = PAGE_TAKEN;
            f->totals.taken++;
            if (host->listed) { /* the others first */
                unlist(f, host);
                list(f, host);
            }
        }
        weft_time delay = f->args->delay;
        if (host->robots.delay > delay)
            delay = host->robots.delay;
        host->not_before = now + delay;
        host->working++;
        f->working++;
        return 1;
    }
    return 0;
}

int
frontier_take(struct frontier *f, struct work *work)
{
    int rc = weft_mutex_lock(&f->mutex);
    if (rc < 0)
        return rc;
    for (;;) {
        weft_time when;
        rc = next_work(f, work, &when);
        if (rc > 0 || (f->working == 0 && f->first == NULL))
            break;
        weft_scope soon;
        weft_scope_open(&soon, when);
        rc = weft_cond_wait(&f->changed, &f->mutex);
        if (weft_scope_close(&soon) < 0)
            rc = 0; /* it is time */
        if (rc < 0)
            break;
    }
    if (rc == 0)
        weft_cond_notify_all(&f->changed); /* the others may go as well */
    weft_mutex_unlock(&f->mutex);
    return rc;
}

/* One more of the host may go; and without work anywhere, everyone. */
static void
finish(struct frontier *f, struct host *host)
{
    host->working--;
    f->working--;
    if (f->working == 0)
        weft_cond_notify_all(&f->changed);
    else
        weft_cond_notify(&f->changed);
}

void
frontier_done(struct frontier *f, struct page *page, const struct outcome *outcome)
{
    lock(f);
    bool interrupted = outcome->rc == -ECANCELED;
    page->outcome = *outcome;
    page->state = interrupted ? PAGE_QUEUED : outcome->rc < 0 ? PAGE_FAILED : PAGE_FETCHED;
    f->totals.taken--;
    *(interrupted       ? &f->totals.queued
      : outcome->rc < 0 ? &f->totals.failed
                        : &f->totals.fetched) += 1;
    finish(f, page->host);
    weft_mutex_unlock(&f->mutex);
}

void
frontier_robots_done(struct frontier *f, struct host *host, struct robots *robots, int rc,
                     char *detail)
{
    lock(f);
    host->robots_state = ROBOTS_KNOWN;
    host->robots = *robots;
    host->rc = rc;
    host->detail = detail;
    finish(f, host);
    weft_cond_notify_all(&f->changed); /* several may go now */
    weft_mutex_unlock(&f->mutex);
}

const char *
frontier_origin(const struct host *host)
{
    return host->origin;
}

void
frontier_totals(struct frontier *f, struct totals *ret_totals)
{
    lock(f);
    *ret_totals = f->totals;
    weft_mutex_unlock(&f->mutex);
}
