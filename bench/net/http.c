/*
 * http.c - "hello" over HTTP: weft's server beside nginx, evhttp, and raw epoll that reads no HTTP;
 * and what an idle connection costs of memory.
 *
 * Each server has the first CPU and one thread, the client the second CPU. nginx is measured where
 * it is installed.
 */
#include <stdarg.h>
#include <unistd.h>

#include <weft/http_server.h>
#include <weft/run.h>

#include "net/load.h"
#include "net/serving.h"
#include "rivals/rivals.h"

#define WARM_UP 5000
#define IDLE_CONNECTIONS 4000

static const char request[] = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: load\r\n"
                              "Accept: */*\r\n\r\n";

static struct micro m = {.program = "http",
                         .what =
                             "server CPU for a request of HTTP, server and client on a CPU each",
                         .repeats = 5,
                         .count = 200000};

static int server_cpu;
static char folder[] = "/tmp/weft-bench-XXXXXX";

/* ---- Servers ------------------------------------------------------------------------------ */

static int
hello(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    return weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
}

static int
serve(void *arg)
{
    static const weft_http_route routes[] = {{.pattern = "GET /hello", .handler = hello}, {0}};
    const char *const listen[] = {arg, NULL};
    weft_http_server *server;
    int rc = weft_http_server_new(
        &server, &(weft_http_server_options){
                     .net = {.listen = listen}, .routes = routes, .idle_timeout = WEFT_SEC(600)});
    if (rc == 0) {
        rc = weft_http_server_run(server);
        weft_http_server_free(server);
    }
    return rc;
}

static int
weft_http(int listener)
{
    char where[32];
    snprintf(where, sizeof where, "fd:%d", listener);
    int rc = weft_run(serve, where, &(weft_options){.loops = 1});
    return rc == -ECANCELED ? 0 : rc;
}

static char *
text(const char *format, ...)
{
    char *out;
    va_list args;
    va_start(args, format);
    if (vasprintf(&out, format, args) < 0)
        micro_fail(&m, "memory", -ENOMEM);
    va_end(args);
    return out;
}

/* One process, no log, and as many requests of a connection as come. */
static bool
nginx(uint16_t port, char ***ret_argv)
{
    static const char program[] = "/usr/sbin/nginx";
    if (access(program, X_OK) != 0)
        return false;
    char *path = text("%s/nginx.conf", folder);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        micro_fail(&m, path, -errno);
    fprintf(file,
            "daemon off; master_process off; worker_processes 1; error_log stderr crit;\n"
            "pid %s/nginx.pid;\n"
            "events { worker_connections 20000; }\n"
            "http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n"
            "  client_body_temp_path %s/a; proxy_temp_path %s/b; fastcgi_temp_path %s/c;\n"
            "  uwsgi_temp_path %s/d; scgi_temp_path %s/e;\n"
            "  server { listen 127.0.0.1:%d backlog=4096; default_type text/plain;\n"
            "    location /hello { return 200 \"hello\\n\"; } } }\n",
            folder, folder, folder, folder, folder, folder, port);
    if (fclose(file) != 0)
        micro_fail(&m, path, -errno);
    char **argv = calloc(6, sizeof *argv);
    argv[0] = text("%s", program);
    argv[1] = text("-p");
    argv[2] = text("%s", folder);
    argv[3] = text("-c");
    argv[4] = path;
    *ret_argv = argv;
    return true;
}

static const struct serving servers[] = {
    {.name = "raw epoll, no HTTP", .run = rival_epoll_http},
    {.name = "nginx", .command = nginx, .ends_itself = true},
    {.name = "evhttp", .run = rival_evhttp},
    {.name = "weft", .run = weft_http, .ends_itself = true},
};
#define N_SERVERS (int)(sizeof servers / sizeof servers[0])
enum { EPOLL, NGINX, EVHTTP, WEFT };

static bool missing[N_SERVERS];
static double cpus[N_SERVERS][MICRO_REPEATS_MAX];
static double rates[N_SERVERS][MICRO_REPEATS_MAX];

/* ---- Speed -------------------------------------------------------------------------------- */

static void
measure(int which, int connections, size_t repeat)
{
    struct serving_run run;
    missing[which] = !serving_start(&m, &run, &servers[which], server_cpu);
    if (missing[which])
        return;
    struct load *load = NULL;
    int rc = load_open_http(&load, run.port, connections, request);
    if (rc == 0)
        rc = load_run(load, connections > WARM_UP ? connections : WARM_UP);
    double cpu_begun = serving_cpu_ns(&m, &run);
    int64_t begun = micro_now();
    if (rc == 0)
        rc = load_run(load, m.count);
    int64_t ended = micro_now();
    cpus[which][repeat] = (serving_cpu_ns(&m, &run) - cpu_begun) / (double)m.count / 1e3;
    rates[which][repeat] = (double)m.count * 1e6 / (double)(ended - begun);
    if (load != NULL)
        load_close(load);
    serving_end(&m, &run);
    micro_check(&m, servers[which].name, rc);
}

static char names[64][64];
static int n_names;

static const char *
name(const char *format, int connections, const char *server)
{
    char *out = names[n_names++ % 64];
    snprintf(out, 64, format, connections, server);
    return out;
}

static void
compare(int connections)
{
    size_t n = (size_t)m.repeats;
    for (size_t repeat = 0; repeat < n; repeat++)
        for (int s = 0; s < N_SERVERS; s++)
            measure(s, connections, repeat);
    if (!missing[NGINX]) {
        micro_ratio(&m, name("%d connections, CPU, weft / %s", connections, "nginx"), 1.0,
                    cpus[WEFT], cpus[NGINX], n);
        micro_ratio(&m, name("%d connections, time, weft / %s", connections, "nginx"), 1 / 0.95,
                    rates[NGINX], rates[WEFT], n);
    }
    for (int s = 0; s < N_SERVERS; s++)
        if (!missing[s]) {
            micro_note(&m, name("%d connections, %s", connections, servers[s].name), "us", "",
                       cpus[s], n);
            micro_note(&m, name("%d connections, %s, served", connections, servers[s].name), "k/s",
                       "", rates[s], n);
        }
    if (missing[NGINX])
        printf("http: nginx is not installed here\n");
}

/* ---- Memory ------------------------------------------------------------------------------- */

/* What connections cost that have been served once and are idle. */
static void
measure_idle(void)
{
    size_t n = (size_t)m.repeats;
    static double bytes[MICRO_REPEATS_MAX];
    for (size_t repeat = 0; repeat < n; repeat++) {
        struct serving_run run;
        struct load *few = NULL, *many = NULL;
        serving_start(&m, &run, &servers[WEFT], server_cpu);
        int rc = load_open_http(&few, run.port, 64, request);
        if (rc == 0)
            rc = load_run(few, WARM_UP);
        sleep(2);
        double before = serving_memory(&m, &run);
        if (rc == 0)
            rc = load_open_http(&many, run.port, IDLE_CONNECTIONS, request);
        if (rc == 0)
            rc = load_run(many, IDLE_CONNECTIONS);
        sleep(2);
        bytes[repeat] = (serving_memory(&m, &run) - before) / IDLE_CONNECTIONS / 1024;
        load_close(many);
        load_close(few);
        serving_end(&m, &run);
        micro_check(&m, "idle connections", rc);
    }
    micro_row(&m, "memory of an idle connection", "KiB", 6, "", bytes, n);
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "requests in a run");
    serving_raise_files(&m);
    server_cpu = micro_cpu(0);
    int client_cpu = micro_cpu(1);
    if (client_cpu < 0)
        printf("http: this process may use one CPU only: server and client share it\n");
    micro_pin(&m, client_cpu < 0 ? server_cpu : client_cpu);
    if (mkdtemp(folder) == NULL)
        micro_fail(&m, folder, -errno);
    compare(64);
    compare(1000);
    measure_idle();
    char *remove = text("rm -rf '%s'", folder);
    int rc = system(remove);
    free(remove);
    return micro_end(&m) + (rc != 0);
}
