/*
 * frontier.h - the pages that are known, and which is to be fetched next.
 *
 * Each URL is taken in once, up to a limit, and stays known: memory is bounded by that. Pages wait
 * in a line for each host, and hosts take turns; a host gives a page out only while fewer than its
 * limit are being fetched, no sooner than its delay allows, and after its robots.txt is known. So a
 * slow host keeps nobody from the others. A page's depth is that of the way by which it was found
 * first, unless a shorter one turns up before it is fetched. Shared by the tasks of all loops.
 */
#ifndef CRAWLER_FRONTIER_H
#define CRAWLER_FRONTIER_H

#include <stdbool.h>

#include "args.h"
#include "robots.h"

/* Redirects in a row that are followed. */
#define HOPS_MAX 10

enum page_state {
    PAGE_QUEUED = 0,
    PAGE_TAKEN,
    PAGE_FETCHED,  /* there is a status */
    PAGE_FAILED,   /* there is none: rc says why */
    PAGE_EXCLUDED, /* by robots.txt */
};

/* How a page was fetched; what page_fetch finds out. */
struct outcome {
    int rc, status;
    unsigned attempts;
    bool cut;       /* longer than what is read */
    uint64_t bytes; /* of the body, decoded */
    weft_time took; /* the last attempt */
    char *detail;   /* of a failure; NULL: none. The frontier frees it */
};

struct page {
    struct page *next_in_bucket, *next_of_host;
    struct host *host;
    const struct page *from, *to; /* who named it first; where it redirects to */
    char *url;
    unsigned depth, hops;
    bool start; /* the start page, or what it redirects to */
    enum page_state state;
    struct outcome outcome;
};

/* What there is to do: fetch a page, or when that is NULL the host's robots.txt. */
struct work {
    struct page *page;
    struct host *host;
};

struct totals {
    size_t known, queued, taken, fetched, failed, excluded;
    uint64_t over_limit; /* links that were not taken in for want of room */
};

struct frontier {
    const struct args *args;
    weft_mutex mutex;
    weft_cond changed;
    struct page **pages; /* in the order in which they became known */
    struct page **buckets;
    size_t cap, n_buckets;
    struct host **host_buckets;
    struct host *first, *last; /* hosts with pages that wait, in the order of their turns */
    unsigned working;
    char *only_host; /* with --same-host */
    struct totals totals;
};

/* 0 or -ENOMEM. */
int frontier_open(struct frontier *frontier, const struct args *args);
void frontier_close(struct frontier *frontier);

/*
 * Takes in what a page leads to: normalised URLs, each with a zero byte behind it. `from` is NULL
 * for the start page. Returns 0; -ENOMEM; -ELOOP when it redirects to where it was redirected from.
 */
int frontier_add(struct frontier *frontier, struct page *from, const weft_buf *urls,
                 bool redirected);

/*
 * Waits for something to do. Returns 1; 0 when all is done; -ECANCELED. What was taken is handed
 * back by frontier_done or frontier_robots_done.
 */
WEFT_WAITS int frontier_take(struct frontier *frontier, struct work *ret_work);

void frontier_done(struct frontier *frontier, struct page *page, const struct outcome *outcome);

/* `robots` is the frontier's from then on; rc < 0: it cannot be had, and so the host's pages fail;
 * `detail` as in struct outcome. */
void frontier_robots_done(struct frontier *frontier, struct host *host, struct robots *robots,
                          int rc, char *detail);

/* "http://host:port", without a slash at the end. */
const char *frontier_origin(const struct host *host);

void frontier_totals(struct frontier *frontier, struct totals *ret_totals);

#endif
