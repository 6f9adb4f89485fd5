/*
 * test_tls_kit.c - what every transport must do, done by TLS over TCP and over memory.
 */
#include <string.h>

#include <weft/tls.h>

#include "t_cert.h"
#include "tests/conformance/stream_kit.h"
#include "tests/io/t_io.h"

/* What the ends stand on; a test has one pair open at a time. */
static weft_stream below_a, below_b;
static weft_tls_context *client, *server;

struct shake {
    weft_stream *stream, *below;
    bool is_client;
    int rc;
};

static int
shake_hands(void *arg)
{
    struct shake *shake = arg;
    shake->rc = shake->is_client ? weft_tls_client(shake->stream, shake->below, client, "localhost")
                                 : weft_tls_server(shake->stream, shake->below, server);
    if (shake->rc < 0)
        weft_stream_close(shake->below); /* so that the other one does not wait */
    return 0;
}

/* One context of each kind for all runs of a scenario: what allocations fail is the stream's. */
static int
open_contexts(void)
{
    const struct t_certs *certs = t_certs();
    int rc = weft_tls_context_new(&client, &(weft_tls_options){.ca_pem = t_cert_only(&certs->ca)});
    if (rc < 0)
        return rc;
    rc = weft_tls_context_new(
        &server,
        &(weft_tls_options){.role = WEFT_TLS_SERVER, .cert_pem = t_cert_with_key(&certs->server)});
    if (rc < 0)
        weft_tls_context_unref(client);
    return rc;
}

static int
open_tls(const struct stream_maker *below, weft_stream *a, weft_stream *b)
{
    int rc = open_contexts();
    if (rc < 0)
        return rc;
    rc = below->open(&below_a, &below_b);
    if (rc < 0)
        goto out;
    struct shake shakes[2] = {{.stream = a, .below = &below_a, .is_client = true, .rc = -ECANCELED},
                              {.stream = b, .below = &below_b, .rc = -ECANCELED}};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, shake_hands, &shakes[0]);
    weft_group_spawn(&group, shake_hands, &shakes[1]);
    rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        rc = rc < 0 ? rc : shakes[i].rc;
    for (int i = 0; i < 2 && rc < 0; i++)
        weft_stream_close(shakes[i].rc == 0 ? shakes[i].stream : shakes[i].below);
out:
    weft_tls_context_unref(client);
    weft_tls_context_unref(server);
    return rc;
}

static int
open_over_tcp(weft_stream *a, weft_stream *b)
{
    return open_tls(&stream_kit_tcp, a, b);
}

static int
open_over_memory(weft_stream *a, weft_stream *b)
{
    return open_tls(&stream_kit_memory, a, b);
}

/* Room for a short record, but not for a long one: so that most of them come in pieces. */
static int
open_narrow(weft_stream *a, weft_stream *b)
{
    return weft_stream_open_pair(a, b, 1000);
}

static int
open_over_narrow(weft_stream *a, weft_stream *b)
{
    static const struct stream_maker narrow = {.open = open_narrow};
    return open_tls(&narrow, a, b);
}

static const struct stream_maker tls_over_tcp = {.name = "TLS over TCP",
                                                 .duplex = true,
                                                 .half_close = true,
                                                 .by_kernel = true,
                                                 .cut_is_error = true,
                                                 .open = open_over_tcp};
static const struct stream_maker tls_over_memory = {.name = "TLS over memory",
                                                    .duplex = true,
                                                    .half_close = true,
                                                    .cut_is_error = true,
                                                    .open = open_over_memory};
static const struct stream_maker tls_over_narrow = {.name = "TLS over 1000 bytes of memory",
                                                    .duplex = true,
                                                    .half_close = true,
                                                    .cut_is_error = true,
                                                    .open = open_over_narrow};

STREAM_KIT(tls_kit_tcp, tls_over_tcp)
STREAM_KIT(tls_kit_memory, tls_over_memory)
STREAM_KIT(tls_kit_narrow, tls_over_narrow)
