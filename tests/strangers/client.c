/*
 * client.c - requests to the servers of others, one after the other by one client:
 * client [-2] CA-FILE|- TIMES URL [FILE]
 *
 * For each it prints "STATUS VERSION CONNECTIONS BYTES", with the number of connections that had to
 * be opened, and the body of the last goes to standard error. FILE is posted, in pieces whose
 * length in all is not said. With -2 it speaks HTTP/2 from the first byte on, without TLS.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

static bool prior2;

static int
send_file(weft_http_call *call, const char *path)
{
    weft_file file;
    char piece[10000];
    ssize_t n;
    int rc = weft_file_open(&file, path, NULL);
    if (rc < 0)
        return rc;
    while ((n = weft_file_read(&file, piece, sizeof piece)) > 0) {
        rc = weft_http_call_write(call, piece, (size_t)n);
        if (rc < 0)
            break;
    }
    weft_file_close(&file);
    return n < 0 ? (int)n : rc < 0 ? rc : weft_http_call_finish(call);
}

struct upload {
    weft_http_call *call;
    const char *path;
};

static int
upload(void *arg)
{
    struct upload *u = arg;
    return send_file(u->call, u->path);
}

static int
ask(weft_http_client *client, char **argv, weft_buf *body)
{
    weft_http_call *call;
    weft_http_request request = {.url = argv[3], .upload = argv[4] != NULL};
    int rc = weft_http_call_open(client, &request, &call);
    if (rc < 0)
        return rc;
    /* Both ways at once: the server may answer before it has everything. */
    weft_group group;
    struct upload up = {call, argv[4]};
    weft_group_open(&group, NULL);
    if (argv[4] != NULL)
        weft_group_spawn(&group, upload, &up);
    int status = weft_http_call_head(call, NULL);
    char piece[16384];
    ssize_t n = 0;
    while (status >= 0 && (n = weft_http_call_read(call, piece, sizeof piece)) > 0) {
        if ((rc = weft_buf_append(body, piece, (size_t)n)) < 0)
            break;
    }
    if (status < 0 || n < 0)
        weft_group_cancel(&group);
    int sent = weft_group_close(&group);
    weft_http_stats stats;
    weft_http_call_stats_get(call, &stats);
    rc = status < 0 ? status : n < 0 ? (int)n : rc < 0 ? rc : sent;
    if (rc == 0) {
        printf("%d %u %u %zu\n", status, stats.version, stats.connections, body->len);
        fflush(stdout);
    }
    weft_http_call_close(call);
    return rc;
}

static int
run(void *arg)
{
    char **argv = arg;
    weft_http_client *client;
    weft_http_client_options options = {.ca_file = strcmp(argv[1], "-") == 0 ? NULL : argv[1],
                                        .version = prior2 ? WEFT_HTTP_PRIOR2 : WEFT_HTTP_AUTO};
    int rc = weft_http_client_new(&client, &options);
    if (rc < 0)
        return rc;
    weft_buf body = {0};
    for (int i = 0; i < atoi(argv[2]) && rc == 0; i++) {
        body.len = 0;
        rc = ask(client, argv, &body);
    }
    if (rc == 0)
        fwrite(body.data, 1, body.len, stderr);
    weft_buf_free(&body);
    weft_http_client_free(client);
    return rc;
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-2") == 0) {
        prior2 = true;
        argc--;
        argv++;
    }
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: client [-2] CA-FILE|- TIMES URL [FILE]\n");
        return 2;
    }
    int rc = weft_run(run, argv, &(weft_options){.loops = 1});
    if (rc < 0)
        printf("client: %s. %s\n", weft_strerror(rc), weft_error_text());
    return rc < 0;
}
