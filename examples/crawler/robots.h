/*
 * robots.h - what a site asks crawlers to leave alone (RFC 9309).
 */
#ifndef CRAWLER_ROBOTS_H
#define CRAWLER_ROBOTS_H

#include <stdbool.h>

#include <weft.h>

/* Bytes of a robots.txt that are looked at. */
#define ROBOTS_BYTES_MAX (500u << 10)

/* All zero allows everything. */
struct robots {
    struct robots_rule *rules;
    size_t n;
    weft_time delay; /* Crawl-delay, at most 30 s; 0: none was asked for */
};

/* Reads the rules of the groups for `agent`, "name/1.0 (and more)", or else of those for "*". Lines
 * that make no sense are passed over. Returns 0 or -ENOMEM. */
int robots_parse(struct robots *ret_robots, const char *text, size_t len, const char *agent);

/* Whether a path, with its query, may be asked for. The longest rule that matches decides. */
bool robots_allow(const struct robots *robots, const char *path);

void robots_free(struct robots *robots);

#endif
