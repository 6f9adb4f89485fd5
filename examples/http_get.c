/*
 * http_get.c - prints what is behind a URL, as it comes.
 *
 * Exit status 0; 1 when the request failed; 2 for wrong arguments; 22 when the status was 400 or
 * more, as curl --fail has it.
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
            return -EIO;
    }
    return n < 0 ? (int)n : fflush(stdout) == 0 ? 0 : -EIO;
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

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("usage: http_get URL\n\nPrints what is behind the URL. Exit status 0; 1 when the "
               "request failed;\n2 for wrong arguments; 22 when the status was 400 or more.\n");
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: http_get URL\n");
        return 2;
    }
    int rc = weft_run(get, argv[1], &(weft_options){.loops = 1});
    if (rc < 0)
        fprintf(stderr, "http_get: %s. %s\n", weft_strerror(rc), weft_error_text());
    else if (rc >= 400)
        fprintf(stderr, "http_get: the status is %d\n", rc);
    return rc < 0 ? 1 : rc >= 400 ? 22 : 0;
}
