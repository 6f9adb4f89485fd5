/*
 * route.c - patterns as a tree of path segments.
 *
 * A node has children for literal segments, one for {name} and rules for {name...}. Finding tries
 * them in that order, and goes back where a branch ends without a rule for the method; a branch
 * that has rules for other methods is remembered, for 405.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "http/route.h"

struct weft__http_rule {
    const weft_http_route *route;
    weft_bytes method; /* "*": any */
    bool rest;         /* the pattern ends in {name...} */
    unsigned n_names;
    weft_bytes names[WEFT__HTTP_PARAMS_MAX];
    struct weft__http_rule *next;
};

struct node {
    weft_bytes segment;            /* literal */
    struct node *children;         /* for literal segments, chained by next */
    struct node *next;             /* sibling */
    struct node *param;            /* for {name} */
    struct weft__http_rule *rules; /* for a path that ends here */
    struct weft__http_rule *rests; /* for {name...} from here on */
};

struct weft__http_router {
    struct node *root;
    struct block *blocks;
};

/* All memory of a router is freed at once. */
struct block {
    struct block *next;
    max_align_t bytes[];
};

static void *
router_alloc(struct weft__http_router *router, size_t size)
{
    struct block *block = weft_memory_zeroed(sizeof *block + size);
    if (block == NULL)
        return NULL;
    block->next = router->blocks;
    router->blocks = block;
    return block->bytes;
}

void
weft__http_router_free(struct weft__http_router *router)
{
    if (router == NULL)
        return;
    while (router->blocks != NULL) {
        struct block *block = router->blocks;
        router->blocks = block->next;
        weft_memory_free(block);
    }
    weft_memory_free(router);
}

static bool
same(weft_bytes a, weft_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool
is(weft_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

/* The next segment of a path that begins with a slash; the path is what follows it. */
static weft_bytes
next_segment(weft_bytes *path)
{
    const char *from = (const char *)path->data + 1;
    size_t len = path->len - 1;
    const char *slash = len > 0 ? memchr(from, '/', len) : NULL;
    size_t n = slash != NULL ? (size_t)(slash - from) : len;
    *path = (weft_bytes){.data = from + n, .len = len - n};
    return (weft_bytes){.data = from, .len = n};
}

/* ---- Building ------------------------------------------------------------------------------ */

static struct node *
child_for(struct weft__http_router *router, struct node *node, weft_bytes segment, bool param)
{
    if (param) {
        if (node->param == NULL)
            node->param = router_alloc(router, sizeof *node);
        return node->param;
    }
    for (struct node *child = node->children; child != NULL; child = child->next)
        if (same(child->segment, segment))
            return child;
    struct node *child = router_alloc(router, sizeof *child);
    if (child == NULL)
        return NULL;
    child->segment = segment;
    child->next = node->children;
    node->children = child;
    return child;
}

static int
add_rule(struct weft__http_rule **rules, struct weft__http_rule *rule)
{
    for (; *rules != NULL; rules = &(*rules)->next)
        if (same((*rules)->method, rule->method))
            return weft_error_note(-EINVAL, "route '%.100s' is there twice, as '%.50s' too",
                                   rule->route->pattern, (*rules)->route->pattern);
    *rules = rule;
    return 0;
}

static int
bad(const weft_http_route *route, const char *why)
{
    return weft_error_note(-EINVAL, "route '%.100s': %s", route->pattern, why);
}

static int
add_route(struct weft__http_router *router, const weft_http_route *route)
{
    if (route->handler == NULL)
        return bad(route, "it has no handler");
    struct weft__http_rule *rule = router_alloc(router, sizeof *rule);
    if (rule == NULL)
        return -ENOMEM;
    const char *blank = strchr(route->pattern, ' ');
    if (blank == NULL || blank == route->pattern || blank[1] != '/')
        return bad(route, "a pattern is a method or *, a blank, and a path that begins with /");
    rule->route = route;
    rule->method = (weft_bytes){.data = route->pattern, .len = (size_t)(blank - route->pattern)};

    struct node *node = router->root;
    weft_bytes path = {.data = blank + 1, .len = strlen(blank + 1)};
    while (path.len > 0) {
        weft_bytes segment = next_segment(&path);
        const char *text = segment.data;
        bool param = segment.len > 0 && text[0] == '{';
        if (!param && segment.len > 0 && memchr(text, '{', segment.len) != NULL)
            return bad(route, "{name} takes a whole segment");
        if (param) {
            if (segment.len < 3 || text[segment.len - 1] != '}')
                return bad(route, "{name} is not closed, or has no name");
            if (rule->n_names == WEFT__HTTP_PARAMS_MAX)
                return bad(route, "it has more than 16 names");
            weft_bytes name = {.data = text + 1, .len = segment.len - 2};
            if (name.len > 3 && memcmp(text + 1 + name.len - 3, "...", 3) == 0) {
                if (path.len > 0)
                    return bad(route, "{name...} stands at the end");
                name.len -= 3;
                rule->rest = true;
            }
            for (unsigned i = 0; i < rule->n_names; i++)
                if (same(rule->names[i], name))
                    return bad(route, "a name is there twice");
            rule->names[rule->n_names++] = name;
            if (rule->rest)
                return add_rule(&node->rests, rule);
        }
        node = child_for(router, node, segment, param);
        if (node == NULL)
            return -ENOMEM;
    }
    return add_rule(&node->rules, rule);
}

int
weft__http_router_new(struct weft__http_router **ret_router, const weft_http_route *routes)
{
    struct weft__http_router *router = weft_memory_zeroed(sizeof *router);
    if (router == NULL)
        return -ENOMEM;
    router->root = router_alloc(router, sizeof *router->root);
    int rc = router->root != NULL ? 0 : -ENOMEM;
    for (; rc == 0 && routes != NULL && routes->pattern != NULL; routes++)
        rc = add_route(router, routes);
    if (rc < 0) {
        weft__http_router_free(router);
        return rc;
    }
    *ret_router = router;
    return 0;
}

/* ---- Finding ------------------------------------------------------------------------------- */

struct search {
    weft_bytes method;
    struct weft__http_match *match;
    bool others;     /* there were rules, and none for the method */
    weft_buf *allow; /* NULL at first; then nothing fits, and methods are gathered here */
};

/* A rule for the method itself before one for all, and GET's for HEAD between them. */
static const struct weft__http_rule *
rule_for(const struct weft__http_rule *rules, weft_bytes method)
{
    const struct weft__http_rule *get = NULL, *any = NULL;
    for (; rules != NULL; rules = rules->next) {
        if (same(rules->method, method))
            return rules;
        if (is(rules->method, "*"))
            any = rules;
        else if (is(rules->method, "GET") && is(method, "HEAD"))
            get = rules;
    }
    return get != NULL ? get : any;
}

/* Once, although several routes may have it. */
static void
name_method(weft_buf *allow, weft_bytes method)
{
    const char *at = (const char *)allow->data, *end = at + allow->len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t len = (size_t)((comma != NULL ? comma : end) - at);
        if (same((weft_bytes){.data = at, .len = len}, method))
            return;
        at += len + 2;
    }
    (void)weft_buf_printf(allow, "%s%.*s", allow->len > 0 ? ", " : "", (int)method.len,
                          (const char *)method.data);
}

static bool
settle(struct search *search, const struct weft__http_rule *rules, unsigned n)
{
    const struct weft__http_rule *rule = rule_for(rules, search->method);
    if (rule == NULL) {
        search->others = search->others || rules != NULL;
        for (; search->allow != NULL && rules != NULL; rules = rules->next) {
            name_method(search->allow, rules->method);
            if (is(rules->method, "GET"))
                name_method(search->allow, (weft_bytes){.data = "HEAD", .len = 4});
        }
        return false;
    }
    search->match->rule = rule;
    search->match->n = n;
    return true;
}

/* As deep as the longest pattern, not as the path. */
static bool
find(struct search *search, const struct node *node, weft_bytes path, unsigned n)
{
    if (path.len == 0 && settle(search, node->rules, n))
        return true;
    if (path.len > 0) {
        weft_bytes below = path;
        weft_bytes segment = next_segment(&below);
        for (const struct node *child = node->children; child != NULL; child = child->next)
            if (same(child->segment, segment)) {
                if (find(search, child, below, n))
                    return true;
                break;
            }
        if (node->param != NULL && segment.len > 0 && n < WEFT__HTTP_PARAMS_MAX) {
            search->match->params[n] = segment;
            if (find(search, node->param, below, n + 1))
                return true;
        }
    }
    if (node->rests == NULL || n == WEFT__HTTP_PARAMS_MAX)
        return false;
    search->match->params[n] =
        path.len > 0 ? (weft_bytes){.data = (const char *)path.data + 1, .len = path.len - 1}
                     : path;
    return settle(search, node->rests, n + 1);
}

int
weft__http_router_find(const struct weft__http_router *router, weft_bytes method, weft_bytes path,
                       struct weft__http_match *match, weft_buf *allow)
{
    struct search search = {.method = method, .match = match};
    match->rule = NULL;
    if (path.len == 0 || *(const char *)path.data != '/')
        return 404; /* OPTIONS *, CONNECT */
    if (find(&search, router->root, path, 0))
        return 200;
    if (!search.others)
        return 404;
    search.allow = allow;
    (void)find(&search, router->root, path, 0);
    return 405;
}

weft_bytes
weft__http_match_param(const struct weft__http_match *match, const char *name)
{
    for (unsigned i = 0; match->rule != NULL && i < match->rule->n_names; i++)
        if (is(match->rule->names[i], name))
            return match->params[i];
    return (weft_bytes){0};
}

weft_bytes
weft__http_match_rest(const struct weft__http_match *match)
{
    if (match->rule == NULL || !match->rule->rest)
        return (weft_bytes){0};
    return match->params[match->n - 1];
}

const weft_http_route *
weft__http_match_route(const struct weft__http_match *match)
{
    return match->rule != NULL ? match->rule->route : NULL;
}
