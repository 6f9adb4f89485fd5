/*
 * tls_records.c - bytes of the fuzzer as the peer of a handshake.
 *
 * The first byte says whether we are the server or the client, and how much the stream below holds;
 * the others are what the peer sends before it hangs up. The handshake fails, or not: it ends.
 */
#include <stdint.h>
#include <stdlib.h>

#include <weft.h>

#include "t_cert.h"

struct input {
    const uint8_t *data;
    size_t len;
};

static weft_tls_context *contexts[2]; /* by role; for the life of the process */

static int
send_all(void *arg)
{
    void **args = arg;
    const struct input *input = args[0];
    int rc = weft_stream_write_all(args[1], input->data, input->len, NULL);
    if (rc == 0)
        rc = weft_stream_shutdown(args[1]);
    return rc == -EPIPE ? 0 : rc; /* we hung up first */
}

/* Beside the sending: a peer that only sent could have both wait for room. */
static int
drop_all(void *arg)
{
    void **args = arg;
    char bytes[4096];
    ssize_t n;
    while ((n = weft_stream_read(args[1], bytes, sizeof bytes)) > 0)
        continue;
    return (int)n;
}

static int
meet(void *arg)
{
    struct input input = *(struct input *)arg;
    uint8_t first = *input.data++;
    input.len--;
    weft_stream inner, peer, tls;
    int rc = weft_stream_open_pair(&inner, &peer, (size_t)1 << (first >> 4));
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    void *args[] = {&input, &peer};
    weft_group_spawn(&group, send_all, args);
    weft_group_spawn(&group, drop_all, args);
    rc = first & 1 ? weft_tls_server(&tls, &inner, contexts[WEFT_TLS_SERVER])
                   : weft_tls_client(&tls, &inner, contexts[WEFT_TLS_CLIENT], "localhost");
    if (rc == 0) {
        char bytes[256];
        while (weft_stream_read(&tls, bytes, sizeof bytes) > 0)
            continue;
        weft_stream_close(&tls);
    }
    weft_stream_close(&inner);
    rc = weft_group_close(&group);
    weft_stream_close(&peer);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct t_certs *certs = t_certs();
    if (contexts[0] == NULL &&
        (weft_tls_context_new(&contexts[WEFT_TLS_CLIENT],
                              &(weft_tls_options){.ca_pem = t_cert_only(&certs->ca)}) < 0 ||
         weft_tls_context_new(&contexts[WEFT_TLS_SERVER],
                              &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                                  .cert_pem = t_cert_with_key(&certs->server),
                                                  .ca_pem = t_cert_only(&certs->ca),
                                                  .ask = WEFT_TLS_ASK_OPTIONAL}) < 0))
        abort();
    struct input input = {.data = data, .len = size};
    if (size > 0 && weft_run_here(meet, &input) < 0)
        abort();
    return 0;
}
