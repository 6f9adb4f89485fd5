/*
 * server.c - HTTP servers: options, running, stopping, certificates, figures.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>
#include <weft/group.h>
#include <weft/loop.h>
#include <weft/task.h>

#include "http/exchange.h"

#define DEFAULT(field, value)                                                                      \
    do {                                                                                           \
        if (options->field == 0)                                                                   \
            options->field = (value);                                                              \
    } while (0)

static int
out_of_range(const char *what, uint64_t value, uint64_t most)
{
    return weft_error_note(-EINVAL, "%s must be at most %llu, got %llu", what,
                           (unsigned long long)most, (unsigned long long)value);
}

static int
fill_in(weft_http_server_options *options)
{
    DEFAULT(head_bytes, 16384);
    DEFAULT(target_bytes, 8192);
    DEFAULT(header_max, 100);
    DEFAULT(body_bytes, (uint64_t)1 << 20);
    DEFAULT(idle_timeout, WEFT_SEC(60));
    DEFAULT(head_timeout, WEFT_SEC(10));
    DEFAULT(body_timeout, WEFT_SEC(20));
    DEFAULT(body_rate, 128);
    DEFAULT(write_timeout, WEFT_SEC(30));
    if (options->head_bytes > (size_t)16 << 20)
        return out_of_range("head_bytes", options->head_bytes, (size_t)16 << 20);
    if (options->header_max > 1000)
        return out_of_range("header_max", options->header_max, 1000);
    const weft_time *times[] = {&options->idle_timeout, &options->head_timeout,
                                &options->body_timeout, &options->write_timeout};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (*times[i] < 0 || *times[i] > WEFT_SEC(31536000))
            return weft_error_note(-EINVAL, "a timeout must be 0 to a year, got %lld ns",
                                   (long long)*times[i]);
    return 0;
}

static int
make_server_line(struct weft_http_server *server)
{
    const char *name = server->options.server_name;
    if (name == NULL)
        name = "weft";
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return weft_error_note(-EINVAL, "server_name cannot be sent in a header");
    weft_buf line = {0};
    int rc = *name != '\0' ? weft_buf_printf(&line, "Server: %s\r\n", name) : 0;
    server->server_line = (char *)line.data;
    server->server_line_len = (uint32_t)line.len;
    return rc;
}

static int
make_shards(struct weft_http_server *server)
{
    server->n_shards = weft_loop_count();
    /* Aligned by hand: the allocator promises no more than malloc does. */
    server->shards_memory =
        weft_memory_zeroed((server->n_shards + 1) * sizeof(struct weft__http_shard));
    if (server->shards_memory == NULL)
        return -ENOMEM;
    uintptr_t at = (uintptr_t)server->shards_memory;
    at = (at + _Alignof(struct weft__http_shard) - 1) &
         ~(uintptr_t)(_Alignof(struct weft__http_shard) - 1);
    server->shards = (struct weft__http_shard *)at;
    for (unsigned i = 0; i < server->n_shards; i++)
        weft_event_open(&server->shards[i].log_wanted);
    return 0;
}

/* The server of connections knows us as its argument, and its user does not. */
static void
pass_error(void *arg, weft_stream *connection, int rc)
{
    struct weft_http_server *server = arg;
    server->on_error(server->on_error_arg, connection, rc);
}

int
weft_http_server_new(weft_http_server **ret_server, const weft_http_server_options *options)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct weft_http_server *server = weft_memory_zeroed(sizeof *server);
    if (server == NULL)
        return -ENOMEM;
    pthread_mutex_init(&server->tls_lock, NULL);
    server->log_file = -1;
    server->options = *options;
    rc = fill_in(&server->options);
    if (rc == 0)
        rc = make_server_line(server);
    if (rc == 0)
        rc = weft__http_router_new(&server->router, options->routes);
    if (rc == 0)
        rc = make_shards(server);
    if (rc == 0)
        rc = weft__http_log_open(server, options->access_log);
    if (rc == 0) {
        server->limits = (struct weft__http_limits){
            .head_bytes = server->options.head_bytes,
            .fields = server->options.header_max,
            .target_bytes = server->options.target_bytes,
        };
        server->tls = options->tls != NULL ? weft_tls_context_ref(options->tls) : NULL;
        server->on_error = options->net.on_error;
        server->on_error_arg = options->net.arg;
        server->options.net.serve = weft__http_serve;
        server->options.net.arg = server;
        if (server->on_error != NULL)
            server->options.net.on_error = pass_error;
        rc = weft_server_new(&server->net, &server->options.net);
    }
    if (rc < 0) {
        weft_http_server_free(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

int
weft_http_server_run(weft_http_server *server)
{
    if (server->log_file < 0)
        return weft_server_run(server->net);
    /* The writers outlive the connections: what these have logged is written. */
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < server->n_shards; i++)
        weft_group_spawn_with(&group, weft__http_log_task, server,
                              &(weft_task_options){.name = "access log", .on = WEFT_ON(i)});
    int rc = weft_server_run(server->net);
    weft__http_log_stop(server);
    int closed = weft_group_close(&group);
    return rc < 0 ? rc : closed;
}

void
weft_http_server_stop(weft_http_server *server, weft_time grace)
{
    weft_server_stop(server->net, grace);
}

void
weft_http_server_free(weft_http_server *server)
{
    if (server == NULL)
        return;
    weft_server_free(server->net);
    weft__http_log_close(server);
    for (unsigned i = 0; i < server->n_shards && server->shards != NULL; i++) {
        struct weft__http_shard *shard = &server->shards[i];
        while (shard->free != NULL) {
            struct weft_http_exchange *x = shard->free;
            shard->free = x->next_free;
            weft__http_exchange_free(x);
        }
        weft_buf_free(&shard->log);
    }
    weft_memory_free(server->shards_memory);
    weft__http_router_free(server->router);
    if (server->tls != NULL)
        weft_tls_context_unref(server->tls);
    pthread_mutex_destroy(&server->tls_lock);
    weft_memory_free(server->server_line);
    weft_memory_free(server);
}

weft_server *
weft_http_server_net(const weft_http_server *server)
{
    return server->net;
}

int
weft_http_server_set_tls(weft_http_server *server, weft_tls_context *context)
{
    if (server->options.tls == NULL || context == NULL)
        return -EINVAL;
    weft_tls_context *now = weft_tls_context_ref(context);
    pthread_mutex_lock(&server->tls_lock);
    weft_tls_context *old = server->tls;
    server->tls = now;
    pthread_mutex_unlock(&server->tls_lock);
    weft_tls_context_unref(old);
    return 0;
}

void
weft_http_server_stats_get(const weft_http_server *server, weft_http_server_stats *ret_stats)
{
    weft_http_server_stats sum = {0};
    for (unsigned i = 0; i < server->n_shards; i++) {
        const weft_http_server_stats *stats = &server->shards[i].stats;
        sum.requests += __atomic_load_n(&stats->requests, __ATOMIC_RELAXED);
        sum.refused += __atomic_load_n(&stats->refused, __ATOMIC_RELAXED);
        sum.failed += __atomic_load_n(&stats->failed, __ATOMIC_RELAXED);
        sum.tls_failed += __atomic_load_n(&stats->tls_failed, __ATOMIC_RELAXED);
        sum.bytes_sent += __atomic_load_n(&stats->bytes_sent, __ATOMIC_RELAXED);
        sum.log_lines += __atomic_load_n(&stats->log_lines, __ATOMIC_RELAXED);
        sum.log_dropped += __atomic_load_n(&stats->log_dropped, __ATOMIC_RELAXED);
    }
    *ret_stats = sum;
}
