/*
 * fetch_three.c - one HTTP session, three requests at once, the first 50 characters of each body,
 * in the order of the requests.
 *
 * aiohttp: ClientSession and asyncio.gather(return_exceptions=True). fetch_three URL...; without
 * arguments it asks a small server of its own. Exit status 0; 1 when a request failed, which the
 * others do not suffer from; 130 after Ctrl-C.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

struct page {
    const char *url;
    weft_http_client *client;
    weft_http_response response;
    int rc;
    char detail[192]; /* the task's weft_error_text(), which ends with it */
};

static int
fetch(void *arg)
{
    struct page *page = arg;
    page->rc =
        weft_http_fetch(page->client, &(weft_http_request){.url = page->url}, &page->response);
    if (page->rc < 0)
        snprintf(page->detail, sizeof page->detail, "%s", weft_error_text());
    return page->rc;
}

static void
print(const struct page *page)
{
    if (page->rc == 0)
        printf("%.50s\n", (const char *)page->response.body.data);
    else
        fprintf(stderr, "fetch_three: %s: %s%s%s\n", page->url, weft_strerror(page->rc),
                page->detail[0] != '\0' ? ". " : "", page->detail);
}

static int
fetch_all(char **urls, size_t n)
{
    weft_http_client *client;
    struct page *pages = calloc(n, sizeof *pages);
    int rc = pages != NULL ? weft_http_client_new(&client, NULL) : -ENOMEM;
    if (rc < 0) {
        free(pages);
        return rc;
    }
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (size_t i = 0; i < n; i++) {
        pages[i] = (struct page){.url = urls[i], .client = client};
        weft_group_spawn(&group, fetch, &pages[i]);
    }
    rc = weft_group_close(&group);
    for (size_t i = 0; i < n; i++) {
        if (rc != -ECANCELED)
            print(&pages[i]);
        weft_http_response_free(&pages[i].response);
    }
    weft_http_client_free(client);
    free(pages);
    return rc;
}

/* ---- A server that tells each client what it asked for -------------------------------------- */

static int
serve(void *arg)
{
    weft_fd *listener = arg, connection;
    char request[4096], path[64], answer[512], body[256];
    int rc;
    while ((rc = weft_tcp_accept(listener, &connection, NULL)) == 0) {
        ssize_t n = weft_fd_read(&connection, request, sizeof request - 1);
        request[n > 0 ? n : 0] = '\0';
        if (sscanf(request, "GET %63s", path) == 1) {
            snprintf(body, sizeof body, "This is the page %s, and it goes on for some more words.",
                     path);
            snprintf(answer, sizeof answer,
                     "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     strlen(body), body);
            weft_ignore(weft_fd_write_all(&connection, answer, strlen(answer), NULL));
        }
        weft_fd_close(&connection);
    }
    return rc;
}

static int
fetch_here(void)
{
    char text[64], urls[3][128], *list[3];
    weft_address address;
    weft_fd listener;
    int rc = weft_address_parse(&address, "127.0.0.1:0");
    if (rc == 0)
        rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc < 0)
        return rc;
    rc = weft_fd_local_address(&listener, &address);
    for (int i = 0; i < 3; i++) {
        list[i] = urls[i];
        snprintf(urls[i], sizeof urls[i], "http://%s/%c",
                 weft_address_format(&address, text, sizeof text), 'a' + i);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, serve, &listener);
    if (rc == 0)
        rc = fetch_all(list, 3);
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    weft_fd_close(&listener);
    return rc;
}

static int
run(void *arg)
{
    char **urls = arg;
    size_t n = 0;
    while (urls[n] != NULL)
        n++;
    return n > 0 ? fetch_all(urls, n) : fetch_here();
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("usage: fetch_three [URL]...\n");
        return 0;
    }
    int rc = weft_run(run, argv + 1, &(weft_options){.loops = 1});
    if (rc == -ECANCELED)
        fprintf(stderr, "fetch_three: interrupted\n");
    return rc == -ECANCELED ? 130 : rc < 0;
}
