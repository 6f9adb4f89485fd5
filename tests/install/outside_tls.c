/*
 * outside_tls.c - a context of libweft-tls, and a peer that hangs up instead of shaking hands. A
 * program outside; C11 and C++17 alike.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
meet(void *arg)
{
    weft_tls_context *context = (weft_tls_context *)arg;
    weft_stream tls, near, far;
    int rc = weft_stream_open_pair(&near, &far, 0);
    if (rc < 0)
        return rc;
    rc = weft_stream_shutdown(&far);
    if (rc == 0)
        rc = weft_tls_client(&tls, &near, context, "example.org");
    if (rc == 0)
        weft_stream_close(&tls);
    weft_stream_close(&near);
    weft_stream_close(&far);
    return rc;
}

int
main(void)
{
    weft_tls_context *context;
    weft_tls_options options;
    memset(&options, 0, sizeof options);
    options.role = WEFT_TLS_CLIENT;
    options.insecure = 1;
    int rc = weft_tls_context_new(&context, &options);
    if (rc == 0) {
        rc = weft_run(meet, context, NULL);
        weft_tls_context_unref(context);
    }
    printf("%s\n", weft_strerror(rc));
    return rc != WEFT_E_TLS_CUT;
}
