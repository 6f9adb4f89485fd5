/*
 * demo.h - a small site to crawl, served by the program itself.
 *
 * It listens on a Unix socket in a folder of its own in $TMPDIR, so that its pages have the same
 * names each time, whatever ports are free.
 */
#ifndef CRAWLER_DEMO_H
#define CRAWLER_DEMO_H

#include <weft.h>

#define DEMO_URL "http://demo.example/"

struct demo {
    char folder[80], path[96], listen[104];
    weft_http_server *server;
    unsigned flaky_asked;
};

/* 0, or a failure; demo_close is to be called after either. */
WEFT_WAITS int demo_open(struct demo *demo);

/* Serves until cancelled; a task. */
int demo_serve(void *demo);

void demo_close(struct demo *demo);

#endif
