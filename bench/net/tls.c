/*
 * tls.c - an echo server over TLS: weft's beside OpenSSL on raw epoll; and what an idle connection
 * costs of memory.
 *
 * Each server has the first CPU and one thread, the client the second CPU. The certificate is made
 * by openssl(1) for the run; where that is not installed nothing is measured.
 */
#include <sys/wait.h>
#include <unistd.h>

#include <weft/run.h>
#include <weft/server.h>
#include <weft/tls.h>

#include "net/load.h"
#include "net/serving.h"
#include "rivals/rivals.h"

#define WARM_UP 5000
#define IDLE_CONNECTIONS 2000

static struct micro m = {
    .program = "tls",
    .what = "server CPU for a 64-byte echo over TLS, server and client on a CPU each",
    .repeats = 5,
    .count = 100000};

static int server_cpu;
static char folder[] = "/tmp/weft-bench-XXXXXX";
static char certificate[64], key[64];

/* ---- Servers ------------------------------------------------------------------------------ */

static int
raw_openssl(int listener)
{
    return rival_openssl_echo(listener, certificate, key);
}

static int
serve(weft_stream *connection, void *arg)
{
    weft_tls_context *context = arg;
    weft_stream tls;
    int rc = weft_tls_server(&tls, connection, context);
    if (rc < 0)
        return rc;
    /* From the stream's own buffer: a connection that waits has none. */
    while (weft_stream_fill(&tls) > 0) {
        weft_bytes got = weft_stream_buffered(&tls);
        if (weft_stream_write_all(&tls, got.data, got.len, NULL) < 0)
            break;
        weft_stream_consume(&tls, got.len);
    }
    weft_stream_close(&tls);
    return 0;
}

static int
run_server(void *arg)
{
    const char *const listen[] = {arg, NULL};
    weft_tls_context *context;
    weft_server *server;
    int rc = weft_tls_context_new(
        &context,
        &(weft_tls_options){.role = WEFT_TLS_SERVER, .cert_file = certificate, .key_file = key});
    if (rc < 0)
        return rc;
    rc = weft_server_new(&server,
                         &(weft_server_options){.listen = listen, .serve = serve, .arg = context});
    if (rc == 0) {
        rc = weft_server_run(server);
        weft_server_free(server);
    }
    weft_tls_context_unref(context);
    return rc;
}

static int
weft_tls(int listener)
{
    char where[32];
    snprintf(where, sizeof where, "fd:%d", listener);
    int rc = weft_run(run_server, where, &(weft_options){.loops = 1});
    return rc == -ECANCELED ? 0 : rc;
}

static const struct serving servers[] = {
    {.name = "raw OpenSSL and epoll", .run = raw_openssl},
    {.name = "weft", .run = weft_tls, .ends_itself = true},
};
#define N_SERVERS (int)(sizeof servers / sizeof servers[0])
enum { RAW, WEFT };

/* ---- Speed -------------------------------------------------------------------------------- */

static double cpus[N_SERVERS][MICRO_REPEATS_MAX];

static double
measure(const struct serving *server, int connections)
{
    struct serving_run run;
    serving_start(&m, &run, server, server_cpu);
    struct load_tls *load = NULL;
    int rc = load_tls_open(&load, run.port, connections, 0);
    if (rc == 0)
        rc = load_tls_run(load, connections > WARM_UP ? connections : WARM_UP);
    double begun = serving_cpu_ns(&m, &run);
    if (rc == 0)
        rc = load_tls_run(load, m.count);
    double cpu = (serving_cpu_ns(&m, &run) - begun) / (double)m.count / 1e3;
    if (load != NULL)
        load_tls_close(load);
    serving_end(&m, &run);
    micro_check(&m, server->name, rc);
    return cpu;
}

static void
compare(int connections)
{
    static char names[12][64];
    static int n_names;
    size_t n = (size_t)m.repeats;
    for (size_t repeat = 0; repeat < n; repeat++)
        for (int s = 0; s < N_SERVERS; s++)
            cpus[s][repeat] = measure(&servers[s], connections);
    char *name = names[n_names++];
    snprintf(name, sizeof names[0], "%d connections, weft / raw", connections);
    micro_ratio(&m, name, 1.15, cpus[WEFT], cpus[RAW], n);
    for (int s = 0; s < N_SERVERS; s++) {
        name = names[n_names++];
        snprintf(name, sizeof names[0], "%d connections, %s", connections, servers[s].name);
        micro_note(&m, name, "us", "", cpus[s], n);
    }
}

/* ---- Memory ------------------------------------------------------------------------------- */

static double
idle_memory(const struct serving *server, int newest)
{
    struct serving_run run;
    struct load_tls *few = NULL, *many = NULL;
    serving_start(&m, &run, server, server_cpu);
    int rc = load_tls_open(&few, run.port, 16, newest);
    if (rc == 0)
        rc = load_tls_run(few, WARM_UP);
    sleep(2);
    double before = serving_memory(&m, &run);
    if (rc == 0)
        rc = load_tls_open(&many, run.port, IDLE_CONNECTIONS, newest);
    if (rc == 0)
        rc = load_tls_run(many, IDLE_CONNECTIONS);
    sleep(2);
    double bytes = serving_memory(&m, &run) - before;
    load_tls_close(many);
    load_tls_close(few);
    serving_end(&m, &run);
    micro_check(&m, "idle connections", rc);
    return bytes / IDLE_CONNECTIONS / 1024;
}

/* In a process of its own: a server that is forked from a client inherits the holes that this one
 * left in its heap. */
static double
idle_memory_apart(const struct serving *server, int newest)
{
    int fds[2];
    double kib = 0;
    fflush(stdout);
    pid_t pid = pipe(fds) == 0 ? fork() : -1;
    if (pid < 0)
        micro_fail(&m, "fork", -errno);
    if (pid == 0) {
        kib = idle_memory(server, newest);
        _exit(write(fds[1], &kib, sizeof kib) != sizeof kib);
    }
    close(fds[1]);
    bool well = read(fds[0], &kib, sizeof kib) == sizeof kib;
    close(fds[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0 || !well)
        micro_fail(&m, "memory of idle connections", 0);
    return kib;
}

/* With connections of this version. */
static void
measure_idle(int newest, const char *of_raw, const char *of_weft)
{
    static double kib[N_SERVERS][MICRO_REPEATS_MAX];
    size_t n = (size_t)m.repeats;
    for (size_t repeat = 0; repeat < n; repeat++)
        for (int s = 0; s < N_SERVERS; s++)
            kib[s][repeat] = idle_memory_apart(&servers[s], newest);
    micro_note(&m, of_raw, "KiB", "", kib[RAW], n);
    micro_row(&m, of_weft, "KiB", 24, "", kib[WEFT], n);
}

/* ---- Certificate -------------------------------------------------------------------------- */

static bool
make_certificate(void)
{
    snprintf(certificate, sizeof certificate, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    pid_t pid = fork();
    if (pid == 0) {
        freopen("/dev/null", "w", stderr);
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-keyout", key, "-out", certificate, (char *)NULL);
        _exit(127);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "requests in a run");
    serving_raise_files(&m);
    server_cpu = micro_cpu(0);
    int client_cpu = micro_cpu(1);
    if (client_cpu < 0)
        printf("tls: this process may use one CPU only: server and client share it\n");
    micro_pin(&m, client_cpu < 0 ? server_cpu : client_cpu);
    if (mkdtemp(folder) == NULL)
        micro_fail(&m, folder, -errno);
    if (make_certificate()) {
        measure_idle(0, "memory of an idle one, raw OpenSSL", "memory of an idle one, weft");
        measure_idle(WEFT_TLS_1_2, "memory of an idle one, TLS 1.2, raw OpenSSL",
                     "memory of an idle one, TLS 1.2, weft");
        compare(64);
        compare(1000);
    } else {
        printf("tls: not measured, openssl(1) made no certificate\n");
    }
    unlink(certificate);
    unlink(key);
    rmdir(folder);
    return micro_end(&m);
}
