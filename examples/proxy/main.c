/*
 * main.c - proxy: passes connections of TCP or TLS on to backends, on all loops.
 *
 * Each connection is a task, which chooses a backend, and carries bytes both ways until both sides
 * have ended (relay.h). SIGTERM and SIGINT drain it; with --handover a second process takes the
 * listeners over, and nobody is refused.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "relay.h"

#define FDS_OF_OUR_OWN 256 /* at most: loops, listeners, files; a connection takes two */

static int
print_now_and_then(void *arg)
{
    const struct stats *stats = arg;
    stats_print_line(stats);
    return 0;
}

/* As many descriptors as the system lets us have, and no more connections than they are for. */
static void
fit_connections(struct args *args)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    rlim_t half = files.rlim_cur / 2;
    rlim_t room = (files.rlim_cur - (half < FDS_OF_OUR_OWN ? half : FDS_OF_OUR_OWN)) / 2;
    if (room < args->connections_max) {
        room = room > 0 ? room : 1;
        fprintf(stderr, "proxy: %llu descriptors are enough for %llu connection%s\n",
                (unsigned long long)files.rlim_cur, (unsigned long long)room, room > 1 ? "s" : "");
        args->connections_max = (unsigned)room;
    }
}

static void
print_addresses(const struct args *args, const weft_server *server)
{
    for (unsigned i = 0; i < args->n_listen; i++) {
        weft_address address;
        char text[WEFT_ADDRESS_TEXT];
        bool named =
            weft_server_address(server, i, &address) == 0 && address.storage.ss_family != AF_UNIX;
        printf("listening on %s\n",
               named ? weft_address_format(&address, text, sizeof text) : args->listen[i]);
    }
    fflush(stdout);
}

/* Connections are counted by how they ended; this is what concerns all of them. */
static void
on_error(void *arg, weft_stream *connection, int rc)
{
    (void)arg;
    if (connection == NULL) {
        const char *detail = weft_error_text();
        fprintf(stderr, "proxy: %s\n", *detail != '\0' ? detail : weft_strerror(rc));
    }
}

static int
run(struct proxy *proxy, weft_server *server)
{
    weft_periodic stats = {
        .period = proxy->args.stats_every, .fn = print_now_and_then, .arg = &proxy->stats};
    weft_task *printer = NULL;
    int rc = 0;
    if (stats.period > 0) /* not in a group: it goes on while the server drains */
        rc = weft_task_spawn(&printer, weft_periodic_run, &stats, NULL);
    if (rc < 0)
        return rc;
    print_addresses(&proxy->args, server);
    rc = weft_server_run(server);
    if (printer != NULL) {
        weft_scope shield;
        weft_task_cancel(printer);
        weft_shield_open(&shield, WEFT_FOREVER);
        weft_ignore(weft_task_join(printer, NULL));
        weft_scope_close(&shield);
    }
    return rc;
}

static int
serve(void *arg)
{
    struct proxy *proxy = arg;
    const struct args *args = &proxy->args;
    weft_server *server;
    int rc =
        weft_server_new(&server, &(weft_server_options){.listen = args->listen,
                                                        .serve = relay_serve,
                                                        .arg = proxy,
                                                        .on_error = on_error,
                                                        .max_connections = args->connections_max,
                                                        .grace = args->grace,
                                                        .handover = args->handover});
    if (rc < 0)
        return rc;
    rc = run(proxy, server);
    weft_server_stats stats;
    weft_server_stats_get(server, -1, &stats);
    printf("%s\nconnections: %llu\n", rc == 0 ? "handed over" : "ended",
           (unsigned long long)stats.accepted);
    stats_print(&proxy->stats, &proxy->backends);
    weft_server_free(server);
    return rc == -ECANCELED ? 0 : rc;
}

int
main(int argc, char **argv)
{
    static struct proxy proxy;
    args_read(&proxy.args, argc, argv);
    fit_connections(&proxy.args);
    int rc = backends_open(&proxy.backends, &proxy.args);
    if (rc == 0 && proxy.args.cert != NULL)
        rc = weft_tls_context_new(
            &proxy.tls,
            &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                .cert_file = proxy.args.cert,
                                .key_file = proxy.args.key,
                                .alpn = proxy.args.n_alpn > 0 ? proxy.args.alpn : NULL});
    if (rc == 0)
        rc = weft_run(serve, &proxy, &(weft_options){.loops = proxy.args.loops});
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "proxy: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "", detail);
    }
    weft_tls_context_unref(proxy.tls);
    backends_close(&proxy.backends);
    return rc < 0;
}
