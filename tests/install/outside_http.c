/*
 * outside_http.c - a server of libweft-http that fetches a page of its own. A program outside; C11
 * and C++17 alike.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
hello(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    weft_bytes name = weft_http_request_param(exchange, "name");
    return weft_http_reply(exchange, 200, "text/plain", name.data, name.len);
}

static int
serve(void *arg)
{
    return weft_http_server_run((weft_http_server *)arg);
}

static int
fetch(weft_http_server *server)
{
    char text[WEFT_ADDRESS_TEXT], url[128];
    weft_address address;
    weft_http_response response;
    int rc = weft_server_address(weft_http_server_net(server), 0, &address);
    if (rc < 0)
        return rc;
    snprintf(url, sizeof url, "http://%s/hello/weft",
             weft_address_format(&address, text, sizeof text));
    rc = weft_http_get(url, &response);
    if (rc == 0) {
        printf("%d %s\n", response.status, (const char *)response.body.data);
        if (response.status != 200 || strcmp((const char *)response.body.data, "weft") != 0)
            rc = -EINVAL;
    }
    weft_http_response_free(&response);
    return rc;
}

static int
fetch_here(void *arg)
{
    (void)arg;
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    static const weft_http_route routes[] = {{"GET /hello/{name}", hello, NULL},
                                             {NULL, NULL, NULL}};
    weft_http_server_options options;
    weft_http_server *server;
    weft_group group;
    memset(&options, 0, sizeof options);
    options.net.listen = listen;
    options.routes = routes;
    int rc = weft_http_server_new(&server, &options);
    if (rc < 0)
        return rc;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, serve, server);
    rc = fetch(server);
    weft_http_server_stop(server, WEFT_SEC(1));
    int closed = weft_group_close(&group);
    weft_http_server_free(server);
    return rc < 0 ? rc : closed;
}

int
main(void)
{
    int rc = weft_run(fetch_here, NULL, NULL);
    if (rc < 0)
        fprintf(stderr, "%s. %s\n", weft_strerror(rc), weft_error_text());
    return rc < 0;
}
