/*
 * page.h - fetching: a page and what it leads to, and a host's robots.txt.
 */
#ifndef CRAWLER_PAGE_H
#define CRAWLER_PAGE_H

#include "frontier.h"

/* What a page leads to. */
struct leads {
    weft_buf urls; /* normalised, each with a zero byte behind it; to be freed */
    bool redirect; /* it is one URL, and the page itself has moved there */
};

/* Attempts, back-off and deadlines included. What became of it is in the outcome; in both, what
 * memory there is passes to the caller. */
void page_fetch(weft_http_client *client, const struct args *args, const struct page *page,
                struct outcome *ret_outcome, struct leads *ret_leads);

/* Asks a host for its rules: a status of 400 to 499 means that there are none. Returns 0, or why
 * they cannot be had, with *ret_detail as in struct outcome. */
int page_fetch_robots(weft_http_client *client, const struct args *args, const char *origin,
                      struct robots *ret_robots, char **ret_detail);

#endif
