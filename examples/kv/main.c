/*
 * main.c - kv: a server that speaks Redis' protocol, on all loops.
 *
 * Each connection is a task; the keys are shared by all of them (store.h). SIGTERM and SIGINT end
 * it: requests that have come are answered, then it prints what it did.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define ADDRESSES_MAX 16
#define SWEEP_EVERY WEFT_MS(100)

static struct {
    const char *listen[ADDRESSES_MAX + 1];
    unsigned n_listen;
    uint64_t loops, memory_max, request_max, args_max, clients_max, grace_ms;
    char port[32];
} options = {.request_max = 1 << 20, .args_max = 65536, .clients_max = 10000, .grace_ms = 1000};

/* ---- Options -------------------------------------------------------------------------------- */

static const char help[] =
    "kv - a server of keys and values that speaks Redis' protocol\n"
    "\n"
    "  --port N           listen on 127.0.0.1:N; 0: any free port (default 6380)\n"
    "  --listen ADDRESS   listen there: 127.0.0.1:6380, [::1]:6380, unix:/path; may be repeated\n"
    "  --loops N          loops and their threads (default: one per usable CPU)\n"
    "  --max-memory SIZE  of keys and values: beyond it nothing is added (default: no limit)\n"
    "  --max-request SIZE of one request, and so of a value (default 1m)\n"
    "  --max-args N       words in a request (default 65536)\n"
    "  --max-clients N    connections; more wait to be accepted (default 10000)\n"
    "  --grace MS         for requests under way when it is told to end (default 1000)\n"
    "  --help             this text\n"
    "\n"
    "A SIZE is in bytes, or with k, m or g behind it. SIGTERM and Ctrl-C end it.\n";

static void __attribute__((noreturn)) refuse(const char *name, const char *must, const char *got)
{
    fprintf(stderr, "kv: --%s must be %s, got '%s'\n", name, must, got);
    exit(2);
}

/* Digits, and for sizes a unit. */
static bool
number_of(const char *text, bool size, uint64_t *ret_number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (size && *end != '\0') {
        shift = *end == 'k' ? 10 : *end == 'm' ? 20 : *end == 'g' ? 30 : 0;
        end += shift > 0;
    }
    if (errno != 0 || *end != '\0' || number > UINT64_MAX >> shift)
        return false;
    *ret_number = number << shift;
    return true;
}

static uint64_t
option_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char must[64];
    uint64_t number;
    snprintf(must, sizeof must, "%llu to %llu", (unsigned long long)min, (unsigned long long)max);
    if (!number_of(text, false, &number) || number < min || number > max)
        refuse(name, must, text);
    return number;
}

static uint64_t
option_size(const char *name, const char *text, uint64_t min, uint64_t max, const char *must)
{
    uint64_t number;
    if (!number_of(text, true, &number) || number < min || number > max)
        refuse(name, must, text);
    return number;
}

static void
add_address(const char *address)
{
    if (options.n_listen == ADDRESSES_MAX) {
        fprintf(stderr, "kv: at most %d addresses\n", ADDRESSES_MAX);
        exit(2);
    }
    options.listen[options.n_listen++] = address;
}

static void
read_options(int argc, char **argv)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"listen", required_argument, NULL, 'l'},
                                          {"loops", required_argument, NULL, 'n'},
                                          {"max-memory", required_argument, NULL, 'm'},
                                          {"max-request", required_argument, NULL, 'r'},
                                          {"max-args", required_argument, NULL, 'a'},
                                          {"max-clients", required_argument, NULL, 'c'},
                                          {"grace", required_argument, NULL, 'g'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c, index;
    while ((c = getopt_long(argc, argv, "", known, &index)) != -1) {
        const char *name = c != '?' ? known[index].name : "";
        switch (c) {
        case 'p':
            snprintf(options.port, sizeof options.port, "127.0.0.1:%llu",
                     (unsigned long long)option_number(name, optarg, 0, 65535));
            break;
        case 'l':
            add_address(optarg);
            break;
        case 'n':
            options.loops = option_number(name, optarg, 1, 1024);
            break;
        case 'm':
            options.memory_max =
                option_size(name, optarg, 1 << 16, INT64_MAX, "a size from 64k on");
            break;
        case 'r':
            options.request_max = option_size(name, optarg, 1024, 1 << 30, "a size from 1k to 1g");
            break;
        case 'a':
            options.args_max = option_number(name, optarg, 16, 1 << 20);
            break;
        case 'c':
            options.clients_max = option_number(name, optarg, 1, 1000000);
            break;
        case 'g':
            options.grace_ms = option_number(name, optarg, 1, 3600000);
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        default:
            exit(2); /* getopt has said why */
        }
    }
    if (optind < argc) {
        fprintf(stderr, "kv: what is '%s'? --help lists the options\n", argv[optind]);
        exit(2);
    }
    if (options.port[0] != '\0')
        add_address(options.port);
    if (options.n_listen == 0)
        add_address("127.0.0.1:6380");
}

/* ---- Running -------------------------------------------------------------------------------- */

/* Removes what has expired and nobody asks for. */
static int
sweep(void *arg_)
{
    struct kv *kv = arg_;
    int rc;
    do
        rc = store_sweep(kv->store, weft_now()) ? weft_yield() : weft_sleep(SWEEP_EVERY);
    while (rc == 0);
    return rc;
}

static void
print_addresses(const weft_server *server)
{
    for (unsigned i = 0; i < options.n_listen; i++) {
        weft_address address;
        char text[128];
        bool named =
            weft_server_address(server, i, &address) == 0 && address.storage.ss_family != AF_UNIX;
        printf("listening on %s\n",
               named ? weft_address_format(&address, text, sizeof text) : options.listen[i]);
    }
    fflush(stdout);
}

static void
print_statistics(const struct kv *kv)
{
    struct store_stats stats;
    weft_server_stats server;
    store_stats_get(kv->store, &stats);
    weft_server_stats_get(kv->server, -1, &server);
    printf("connections: %llu\nrequests: %llu\nkeys: %zu, expired: %llu\n",
           (unsigned long long)server.accepted, (unsigned long long)kv_requests(kv), stats.keys,
           (unsigned long long)stats.expired);
}

static int
serve(void *arg_)
{
    struct kv *kv = arg_;
    kv->begun = weft_now();
    kv->counts = aligned_alloc(64, weft_loop_count() * sizeof *kv->counts);
    if (kv->counts == NULL)
        return -ENOMEM;
    memset(kv->counts, 0, weft_loop_count() * sizeof *kv->counts);
    int rc = weft_server_new(
        &kv->server, &(weft_server_options){.listen = options.listen,
                                            .serve = session_serve,
                                            .arg = kv,
                                            .sharing = WEFT_SERVER_LEAST_LOADED,
                                            .max_connections = (unsigned)options.clients_max,
                                            .grace = WEFT_MS(options.grace_ms)});
    if (rc < 0)
        return rc;
    rc = weft_task_spawn(NULL, sweep, kv, &(weft_task_options){.name = "sweep"});
    if (rc == 0) {
        print_addresses(kv->server);
        rc = weft_server_run(kv->server);
        print_statistics(kv);
    }
    weft_server_free(kv->server);
    return rc == -ECANCELED ? 0 : rc;
}

int
main(int argc, char **argv)
{
    struct kv kv = {.server = NULL};
    read_options(argc, argv);
    commands_open();
    kv.request_max = options.request_max;
    kv.args_max = options.args_max;
    int rc = store_new(&kv.store, options.memory_max);
    if (rc == 0) {
        rc = weft_run(serve, &kv, &(weft_options){.loops = (unsigned)options.loops});
        store_free(kv.store);
    }
    free(kv.counts);
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "kv: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "", detail);
    }
    return rc < 0;
}
