/*
 * args.c - reads the command line, and says exactly what is wrong in it.
 */
#include "args.h"

#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "proxy - passes connections of TCP or TLS on to backends\n"
    "\n"
    "  --listen ADDRESS     127.0.0.1:8443, [::1]:8443, :8443, unix:/path; may be repeated\n"
    "  --backend PLACE      host:port, address:port, unix:/path; may be repeated\n"
    "  --cert FILE          speak TLS to clients: certificate and chain, PEM\n"
    "  --key FILE           its key (default: it is in the file of --cert)\n"
    "  --backend-tls        speak TLS to backends, which must prove to be the host of --backend\n"
    "  --backend-ca FILE    who signs for them, PEM (default: whom the system trusts)\n"
    "  --alpn NAME,NAME     protocols to agree on with clients, and then with the backend\n"
    "  --balance HOW        round-robin (default), or least: connections at present\n"
    "  --max-connections N  more wait in the kernel (default 10000)\n"
    "  --connect-timeout S  for reaching a backend, and for a client's handshake (default 5)\n"
    "  --idle-timeout S     without a byte in either direction; 0: none (default 300)\n"
    "  --grace S            for what is under way when it is told to end (default 10)\n"
    "  --handover PATH      a Unix socket at which the next process takes the listeners over\n"
    "  --loops N            loops and their threads (default: one per usable CPU)\n"
    "  --stats S            print the counters so often; they are printed in the end in any case\n"
    "  --help               this text\n"
    "\n"
    "S is in seconds, 0.5 is half of one. A backend that cannot be reached is left out for a\n"
    "while, longer each time, and the next one is tried. SIGTERM and Ctrl-C: nobody is accepted\n"
    "any more, and after the grace what is left is cut; a second one ends it at once.\n"
    "Exit code: 0 when told to end, or handed over; 1 when it failed; 2 for a bad option.\n";

static void __attribute__((noreturn, format(printf, 1, 2))) refuse(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("proxy: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(2);
}

static unsigned
number_of(const char *name, const char *text, unsigned min, unsigned max)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number < min || number > max)
        refuse("--%s must be %u to %u, got '%s'", name, min, max, text);
    return (unsigned)number;
}

/* Digits, and perhaps a point and more of them. */
static weft_time
seconds_of(const char *name, const char *text, double min)
{
    const double max = 86400;
    char *end;
    double seconds = strtod(text, &end);
    bool plain = *text >= '0' && *text <= '9' && strspn(text, "0123456789.") == strlen(text);
    if (!plain || *end != '\0' || seconds < min || seconds > max)
        refuse("--%s must be %g to %g seconds, got '%s'", name, min, max, text);
    return (weft_time)llround(seconds * 1e9);
}

static void
list_add(const char *name, const char **list, unsigned *n, unsigned max, const char *text)
{
    if (*n == max)
        refuse("at most %u of --%s", max, name);
    if (*text == '\0')
        refuse("--%s must say where, got ''", name);
    list[(*n)++] = text;
}

/* Cuts the text, which is the program's own argument, at its commas. */
static void
read_alpn(struct args *args, char *text)
{
    char *rest = text, *name;
    while ((name = strsep(&rest, ",")) != NULL) {
        if (*name == '\0' || strlen(name) > 255)
            refuse("--alpn must be names of 1 to 255 bytes with commas between");
        if (args->n_alpn == PROTOCOLS_MAX)
            refuse("at most %d names in --alpn", PROTOCOLS_MAX);
        args->alpn[args->n_alpn++] = name;
    }
}

const char *
args_host(const char *where, char *buf, size_t len)
{
    const char *end = strrchr(where, ':');
    if (strncmp(where, "unix:", 5) == 0 || end == NULL || end == where)
        return NULL;
    if (*where == '[' && end[-1] == ']') {
        where++;
        end--;
    }
    size_t n = (size_t)(end - where);
    if (n == 0 || n >= len)
        return NULL;
    memcpy(buf, where, n);
    buf[n] = '\0';
    return buf;
}

/* What is wrong only together. */
static void
check(const struct args *args)
{
    char host[256];
    if (args->n_listen == 0)
        refuse("--listen says where to listen: it must be given");
    if (args->n_backends == 0)
        refuse("--backend says where to pass connections on to: it must be given");
    if (args->key != NULL && args->cert == NULL)
        refuse("--key needs --cert");
    if (args->backend_ca != NULL && !args->backend_tls)
        refuse("--backend-ca needs --backend-tls");
    if (args->n_alpn > 0 && args->cert == NULL)
        refuse("--alpn needs --cert");
    for (unsigned i = 0; i < args->n_backends; i++) {
        const char *where = args->backends[i];
        bool host_and_port = args_host(where, host, sizeof host) != NULL;
        if (!host_and_port && strncmp(where, "unix:", 5) != 0)
            refuse("--backend must be host:port, address:port or unix:/path, got '%s'", where);
        if (!host_and_port && args->backend_tls)
            refuse("--backend-tls needs a host in --backend, got '%s'", where);
    }
}

void
args_read(struct args *args, int argc, char **argv)
{
    static const struct option known[] = {{"listen", required_argument, NULL, 'l'},
                                          {"backend", required_argument, NULL, 'b'},
                                          {"cert", required_argument, NULL, 'c'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"backend-tls", no_argument, NULL, 't'},
                                          {"backend-ca", required_argument, NULL, 'a'},
                                          {"alpn", required_argument, NULL, 'p'},
                                          {"balance", required_argument, NULL, 'B'},
                                          {"max-connections", required_argument, NULL, 'm'},
                                          {"connect-timeout", required_argument, NULL, 'C'},
                                          {"idle-timeout", required_argument, NULL, 'i'},
                                          {"grace", required_argument, NULL, 'g'},
                                          {"handover", required_argument, NULL, 'H'},
                                          {"loops", required_argument, NULL, 'n'},
                                          {"stats", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *args = (struct args){.connections_max = 10000,
                          .connect_timeout = WEFT_SEC(5),
                          .idle_timeout = WEFT_SEC(300),
                          .grace = WEFT_SEC(10)};
    int c, index;
    while ((c = getopt_long(argc, argv, "", known, &index)) != -1) {
        const char *name = c != '?' ? known[index].name : "";
        switch (c) {
        case 'l':
            list_add(name, args->listen, &args->n_listen, LISTEN_MAX, optarg);
            break;
        case 'b':
            list_add(name, args->backends, &args->n_backends, BACKENDS_MAX, optarg);
            break;
        case 'c':
            args->cert = optarg;
            break;
        case 'k':
            args->key = optarg;
            break;
        case 't':
            args->backend_tls = true;
            break;
        case 'a':
            args->backend_ca = optarg;
            break;
        case 'p':
            read_alpn(args, optarg);
            break;
        case 'B':
            args->least = strcmp(optarg, "least") == 0;
            if (!args->least && strcmp(optarg, "round-robin") != 0)
                refuse("--balance must be round-robin or least, got '%s'", optarg);
            break;
        case 'm':
            args->connections_max = number_of(name, optarg, 1, 1000000);
            break;
        case 'C':
            args->connect_timeout = seconds_of(name, optarg, 0.001);
            break;
        case 'i':
            args->idle_timeout = seconds_of(name, optarg, 0);
            break;
        case 'g':
            args->grace = seconds_of(name, optarg, 0.001);
            break;
        case 'H':
            args->handover = optarg;
            break;
        case 'n':
            args->loops = number_of(name, optarg, 1, 1024);
            break;
        case 's':
            args->stats_every = seconds_of(name, optarg, 0.001);
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        default:
            exit(2); /* getopt has said why */
        }
    }
    if (optind < argc)
        refuse("what is '%s'? --help lists the options", argv[optind]);
    check(args);
}
