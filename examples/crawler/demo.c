/*
 * demo.c - pages with loops, dead ends, redirects, a slow answer, and one that fails at first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define HTML "text/html; charset=utf-8"
#define NUMBERED 6 /* few enough to be found within the depth by whichever way comes first */

enum { PLAIN = 0, SLOW, FLAKY, LONG };

static const struct demo_page {
    const char *host, *path;
    int status;
    const char *type, *text; /* of a redirect: where to */
    int manner;
} pages[] = {
    {"demo.example", "/robots.txt", 200, "text/plain",
     "# everyone\nUser-agent: *\nDisallow: /private\nAllow: /private/open\n"
     "Disallow: /*.bak$\n\nUser-agent: other-crawler\nDisallow: /\n",
     PLAIN},
    {"demo.example", "/", 200, HTML,
     "<!doctype html><title>Demo <a href=/not-a-link></title>\n"
     "<!-- <a href='/in-a-comment'> --><script>var a = '<a href=\"/in-a-script\">';</script>\n"
     "<p><a href=\"n/1\">one</a> <A HREF='./n/2#part'>two</a> <a href=/n/2>two again</a>\n"
     "<a href='/search?q=a&amp;b=%c3%a9&#38;c=a b'>search</a> <a href='old'>old</a>\n"
     "<a href=moved>moved</a> <a href=/loop/a>loop</a> <a href='/missing'>missing</a>\n"
     "<a href='/slow'>slow</a> <a href=/flaky>flaky</a> <a href=/based/>based</a>\n"
     "<a href=/private/secret>secret</a> <a href=/private/open>open</a> <a href=/x.bak>x</a>\n"
     "<a href='mailto:me@demo.example'>mail</a> <a href='HTTP://Other.Example:80/'>other</a>\n"
     "<a href=/long>long</a> <a href=//closed.example/>closed</a> <img src='/picture.png'>\n",
     PLAIN},
    {"demo.example", "/search", 200, HTML, "<a href='/'>home</a><a href=?q=2>more</a>", PLAIN},
    {"demo.example", "/old", 301, NULL, "/n/3", PLAIN},
    {"demo.example", "/moved", 302, NULL, "http://demo.example/old", PLAIN},
    {"demo.example", "/loop/a", 302, NULL, "b", PLAIN},
    {"demo.example", "/loop/b", 302, NULL, "a", PLAIN},
    {"demo.example", "/slow", 200, HTML, "<a href='/n/4'>four</a>", SLOW},
    {"demo.example", "/flaky", 200, HTML, "<a href='/n/5'>five</a>", FLAKY},
    {"demo.example", "/long", 200, HTML, "<a href='/n/6'>six</a>", LONG},
    {"demo.example", "/based/", 200, HTML, "<base href='/other/folder/'><a href=page>page</a>",
     PLAIN},
    {"demo.example", "/other/folder/page", 200, HTML, "Nothing more.", PLAIN},
    {"demo.example", "/private/secret", 200, HTML, "You should not be here.", PLAIN},
    {"demo.example", "/private/open", 200, HTML, "<a href=deep/secret>deeper</a>", PLAIN},
    {"demo.example", "/x.bak", 200, HTML, "You should not be here.", PLAIN},
    {"demo.example", "/picture.png", 200, "image/png", "<a href=/not-a-link>", PLAIN},
    {"other.example", "/", 200, HTML, "<a href='http://demo.example'>back</a>", PLAIN},
    {"closed.example", "/robots.txt", 200, "text/plain", "User-agent: *\nDisallow: /\n", PLAIN},
};

static int
reply(struct demo *demo, weft_http_exchange *exchange, const struct demo_page *page)
{
    static const char filler[1 << 16] = {[0 ...(1 << 16) - 1] = ' '};
    int rc;
    switch (page->manner) {
    case SLOW:
        rc = weft_sleep(WEFT_SEC(1));
        if (rc < 0)
            return rc;
        break;
    case FLAKY:
        if (__atomic_fetch_add(&demo->flaky_asked, 1, __ATOMIC_RELAXED) % 2 == 0)
            return weft_http_reply(exchange, 503, NULL, NULL, 0);
        break;
    case LONG:
        rc = weft_http_response_begin(exchange, page->status, page->type, -1);
        if (rc == 0)
            rc = weft_http_response_write(exchange, page->text, strlen(page->text));
        for (int i = 0; rc == 0 && i < 64; i++)
            rc = weft_http_response_write(exchange, filler, sizeof filler);
        return rc;
    default:
        break;
    }
    if (page->status < 300)
        return weft_http_reply(exchange, page->status, page->type, page->text, strlen(page->text));
    rc = weft_http_response_header(exchange, "Location", page->text);
    return rc < 0 ? rc : weft_http_reply(exchange, page->status, NULL, NULL, 0);
}

/* Page n has links to the next two, and round again. */
static int
reply_numbered(weft_http_exchange *exchange, unsigned n)
{
    char text[128];
    int len = snprintf(text, sizeof text, "<a href='%u'>next</a> <a href=\"/n/%u\">and next</a>",
                       (n + 1) % NUMBERED, (n + 2) % NUMBERED);
    return weft_http_reply(exchange, 200, HTML, text, (size_t)len);
}

static bool
is(weft_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static int
answer(weft_http_exchange *exchange, void *arg)
{
    struct demo *demo = arg;
    weft_bytes host = weft_http_request_host(exchange), path = weft_http_request_path(exchange);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (is(host, pages[i].host) && is(path, pages[i].path))
            return reply(demo, exchange, &pages[i]);
    }
    char number[16] = "";
    if (is(host, "demo.example") && path.len > 3 && path.len < sizeof number &&
        memcmp(path.data, "/n/", 3) == 0) {
        memcpy(number, (const char *)path.data + 3, path.len - 3);
        return reply_numbered(exchange, (unsigned)atoi(number));
    }
    return weft_http_reply(exchange, 404, "text/plain", "There is nothing.\n", 18);
}

int
demo_open(struct demo *demo)
{
    const char *in = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    int len = snprintf(demo->folder, sizeof demo->folder, "%s/crawler.XXXXXX", in);
    int rc = len >= (int)sizeof demo->folder ? -ENAMETOOLONG
             : mkdtemp(demo->folder) == NULL ? -errno
                                             : 0;
    if (rc < 0) {
        demo->folder[0] = '\0';
        return weft_error_note(rc, "no folder for a socket can be made in %s", in);
    }
    snprintf(demo->path, sizeof demo->path, "%s/site", demo->folder);
    snprintf(demo->listen, sizeof demo->listen, "unix:%s", demo->path);
    const char *const listen[] = {demo->listen, NULL};
    return weft_http_server_new(&demo->server, &(weft_http_server_options){.net.listen = listen,
                                                                           .net.grace = WEFT_MS(1),
                                                                           .handler = answer,
                                                                           .arg = demo});
}

int
demo_serve(void *arg)
{
    struct demo *demo = arg;
    return weft_http_server_run(demo->server);
}

void
demo_close(struct demo *demo)
{
    weft_http_server_free(demo->server);
    if (demo->folder[0] != '\0')
        rmdir(demo->folder);
}
