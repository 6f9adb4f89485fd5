/*
 * links.h - the links of an HTML page, found by a scanner that takes pages as they are.
 */
#ifndef CRAWLER_LINKS_H
#define CRAWLER_LINKS_H

#include <stdbool.h>

#include <weft.h>

/* A place in a page; links_open sets it. */
struct links {
    const char *at, *end;
    bool in_tag;
    char tag[16]; /* in lower case; the name of the tag one is in */
};

enum link_kind { LINK_NONE = 0, LINK_TO = 1, LINK_BASE = 2 };

void links_open(struct links *links, const char *html, size_t len);

/*
 * The next href or src of a tag: LINK_TO, or LINK_BASE for that of <base>; LINK_NONE at the end of
 * the page; -ENOMEM. Comments, scripts, styles and the like are passed over. `out` gets the value,
 * with entities decoded, and with what URLs may not have percent-encoded, as browsers do it.
 */
int links_next(struct links *links, weft_buf *out);

#endif
