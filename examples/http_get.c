/*
 * http_get.c - prints what is behind a URL, as it comes.
 *
 * Exit status 0; 1 when the request failed; 2 for wrong arguments; 22 when the status was 400 or
 * more, as curl --fail has it; 130 after Ctrl-C.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
copy(weft_http_call *call)
{
    char buf[16384];
    ssize_t n;
    while ((n = weft_http_call_read(call, buf, sizeof buf)) > 0) {
        if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
            return weft_error_note(-EIO, "standard output cannot be written");
    }
    if (n == 0 && fflush(stdout) != 0)
        return weft_error_note(-EIO, "standard output cannot be written");
    return (int)n;
}

static int
get(void *arg)
{
    weft_http_client *client;
    weft_http_call *call;
    int rc = weft_http_client_new(&client, NULL);
    if (rc < 0)
        return rc;
    rc = weft_http_call_open(client, &(weft_http_request){.url = arg}, &call);
    if (rc == 0) {
        int status = weft_http_call_head(call, NULL);
        rc = status < 0 ? status : copy(call);
        if (rc == 0)
            rc = status;
        weft_http_call_close(call);
    }
    weft_http_client_free(client);
    return rc;
}

static const char help[] =
    "usage: http_get URL\n\nPrints what is behind the URL. Exit status 0; 1 when the request "
    "failed;\n2 for wrong arguments; 22 when the status was 400 or more; 130 after Ctrl-C.\n";

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: http_get URL\n");
        return 2;
    }
    int rc = weft_run(get, argv[1], &(weft_options){.loops = 1});
    if (rc == -ECANCELED) {
        fprintf(stderr, "http_get: interrupted\n");
        return 130;
    }
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "http_get: %s: %s%s%s\n", argv[1], weft_strerror(rc),
                detail[0] != '\0' ? ". " : "", detail);
        return 1;
    }
    if (rc < 400)
        return 0;
    fprintf(stderr, "http_get: %s: the status is %d %s\n", argv[1], rc, weft_http_reason(rc));
    return 22;
}
