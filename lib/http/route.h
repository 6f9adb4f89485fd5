/*
 * route.h - from a method and a path to a handler.
 */
#ifndef WEFT_LIB_HTTP_ROUTE_H
#define WEFT_LIB_HTTP_ROUTE_H

#include <weft/http_server.h>

#define WEFT__HTTP_PARAMS_MAX 16u

struct weft__http_router;
struct weft__http_rule;

/* What was found. */
struct weft__http_match {
    const struct weft__http_rule *rule;       /* NULL: none */
    unsigned n;                               /* parameters */
    weft_bytes params[WEFT__HTTP_PARAMS_MAX]; /* in the order of the pattern */
};

/* 0; -EINVAL with a detail for a pattern that cannot be read or is there twice; -ENOMEM. */
int weft__http_router_new(struct weft__http_router **ret_router, const weft_http_route *routes);
void weft__http_router_free(struct weft__http_router *router);

/* 200 when match is filled; 404; 405 when other methods have a handler: their names are then
 * added to allow, "GET, HEAD". */
int weft__http_router_find(const struct weft__http_router *router, weft_bytes method,
                           weft_bytes path, struct weft__http_match *match, weft_buf *allow);

/* What stands for {name}; data is NULL when the pattern has no such name. */
weft_bytes weft__http_match_param(const struct weft__http_match *match, const char *name);
/* The last one, where the pattern ends in {name...}; data is NULL elsewhere. */
weft_bytes weft__http_match_rest(const struct weft__http_match *match);

const weft_http_route *weft__http_match_route(const struct weft__http_match *match);

#endif
