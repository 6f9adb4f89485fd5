/*
 * main.c - feed: takes measurements, and publishes what they come to, live.
 *
 * Producers send lines "SENSOR VALUE" over TCP; count, smallest, largest, mean and 95th percentile
 * of each second and sensor go to all subscribers as server-sent events, and to a page that draws
 * them. SIGTERM and SIGINT end it: the last window is published, and subscribers are told.
 */
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"

/* ---- Options -------------------------------------------------------------------------------- */

static const char help[] =
    "feed - takes measurements and publishes what they come to, live\n"
    "\n"
    "  --listen ADDRESS  for producers: lines \"SENSOR VALUE\" (default 127.0.0.1:7000)\n"
    "  --http ADDRESS    for subscribers (default 127.0.0.1:7001):\n"
    "                      /         a page that draws it all\n"
    "                      /events   server-sent events; /events?sensor=NAME for one alone\n"
    "                      /figures  what was counted, as JSON\n"
    "  --window S        seconds that are summed up, 0.1 to 3600 (default 1)\n"
    "  --sensors N       different ones in a window (default 1000)\n"
    "  --lag N           windows that a subscriber may be late by, before it misses the oldest\n"
    "                    (default 4)\n"
    "  --grace S         for producers and subscribers to end when it is told to (default 2)\n"
    "  --loops N         loops and their threads (default: one per usable CPU)\n"
    "  --demo SECONDS    producers and subscribers in this process, on a virtual clock\n"
    "  --seed N          of the values of --demo (default 1)\n"
    "  --help            this text\n"
    "\n"
    "SIGTERM and Ctrl-C end it. Exit code: 0; 1 when it failed; 2 for a bad option.\n";

static void __attribute__((noreturn, format(printf, 1, 2))) refuse(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("feed: ", stderr);
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

static weft_time
seconds_of(const char *name, const char *text, double min, double max)
{
    char *end;
    double seconds = strtod(text, &end);
    bool plain = *text >= '0' && *text <= '9' && strspn(text, "0123456789.") == strlen(text);
    if (!plain || *end != '\0' || seconds < min || seconds > max)
        refuse("--%s must be %g to %g seconds, got '%s'", name, min, max, text);
    return (weft_time)llround(seconds * 1e9);
}

static void
read_args(struct args *args, int argc, char **argv)
{
    static const struct option known[] = {{"listen", required_argument, NULL, 'l'},
                                          {"http", required_argument, NULL, 'w'},
                                          {"window", required_argument, NULL, 'W'},
                                          {"sensors", required_argument, NULL, 's'},
                                          {"lag", required_argument, NULL, 'L'},
                                          {"grace", required_argument, NULL, 'g'},
                                          {"loops", required_argument, NULL, 'n'},
                                          {"demo", required_argument, NULL, 'd'},
                                          {"seed", required_argument, NULL, 'S'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *args = (struct args){.listen = {"127.0.0.1:7000"},
                          .http = {"127.0.0.1:7001"},
                          .sensors_max = 1000,
                          .lag = 4,
                          .window = WEFT_SEC(1),
                          .grace = WEFT_SEC(2),
                          .seed = 1};
    int c, index;
    while ((c = getopt_long(argc, argv, "", known, &index)) != -1) {
        const char *name = c != '?' ? known[index].name : "";
        switch (c) {
        case 'l':
            args->listen[0] = optarg;
            break;
        case 'w':
            args->http[0] = optarg;
            break;
        case 'W':
            args->window = seconds_of(name, optarg, 0.1, 3600);
            break;
        case 's':
            args->sensors_max = number_of(name, optarg, 1, 100000);
            break;
        case 'L':
            args->lag = number_of(name, optarg, 1, 1000);
            break;
        case 'g':
            args->grace = seconds_of(name, optarg, 0.001, 3600);
            break;
        case 'n':
            args->loops = number_of(name, optarg, 1, 1024);
            break;
        case 'd':
            args->demo = number_of(name, optarg, 1, 86400);
            break;
        case 'S':
            args->seed = number_of(name, optarg, 0, 1000000000);
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
}

/* ---- Serving -------------------------------------------------------------------------------- */

struct serving {
    struct feed *feed;
    weft_server *producers;
    weft_http_server *web;
    weft_scope life; /* of the main task's wait; cancelled when a part has failed */
    bool alive;      /* it is open */
    int rc;          /* why it was cancelled */
};

/* The parts are tasks of their own, not of a group of the main task: when that is cancelled they
 * end one after the other. */
static int
part_ended(struct serving *s, int rc)
{
    if (rc < 0 && rc != -ECANCELED && s->rc == 0) {
        s->rc = rc;
        if (s->alive)
            weft_scope_cancel(&s->life);
    }
    return 0;
}

static int
run_producers(void *arg)
{
    struct serving *s = arg;
    return part_ended(s, weft_server_run(s->producers));
}

static int
run_web(void *arg)
{
    struct serving *s = arg;
    return part_ended(s, weft_http_server_run(s->web));
}

static int
run_windows(void *arg)
{
    struct serving *s = arg;
    return part_ended(s, feed_collect_all(s->feed));
}

static void
print_address(const char *what, const weft_server *server, const char *asked)
{
    weft_address address;
    char text[WEFT_ADDRESS_TEXT];
    bool named =
        weft_server_address(server, 0, &address) == 0 && address.storage.ss_family != AF_UNIX;
    printf("%s on %s\n", what, named ? weft_address_format(&address, text, sizeof text) : asked);
}

static void
join(weft_task *task)
{
    if (task != NULL)
        weft_ignore(weft_task_join(task, NULL));
}

/* Producers first; then what they have sent is published, and subscribers are told; then those. */
static int
serve_all(struct serving *s)
{
    weft_task *producers = NULL, *web = NULL, *windows = NULL;
    weft_scope shield;
    weft_scope_open(&s->life, WEFT_FOREVER);
    s->alive = true;
    int rc = weft_task_spawn(&producers, run_producers, s, NULL);
    if (rc == 0)
        rc = weft_task_spawn(&web, run_web, s, NULL);
    if (rc == 0)
        rc = weft_task_spawn(&windows, run_windows, s, NULL);
    if (rc == 0)
        rc = weft_sleep_until(WEFT_FOREVER);
    s->alive = false;
    weft_scope_close(&s->life);

    weft_shield_open(&shield, WEFT_FOREVER);
    weft_server_stop(s->producers, WEFT_SERVER_GRACE);
    join(producers);
    if (windows != NULL)
        weft_task_cancel(windows);
    join(windows);
    int last = feed_collect(s->feed);
    weft_broadcast_close(s->feed->broadcast);
    weft_http_server_stop(s->web, WEFT_SERVER_GRACE);
    join(web);
    weft_scope_close(&shield);
    return s->rc < 0 ? s->rc : rc != -ECANCELED ? rc : last;
}

static int
serve(struct feed *feed)
{
    struct serving s = {.feed = feed};
    int rc = weft_server_new(&s.producers, &(weft_server_options){.listen = feed->args.listen,
                                                                  .serve = ingest_serve,
                                                                  .arg = feed,
                                                                  .grace = feed->args.grace});
    if (rc == 0)
        rc = web_open(&s.web, feed);
    if (rc == 0) {
        print_address("listening", s.producers, feed->args.listen[0]);
        print_address("publishing", weft_http_server_net(s.web), feed->args.http[0]);
        fflush(stdout);
        rc = serve_all(&s);
        const struct counts *c = &feed->counts;
        printf("values: %llu\nbad lines: %llu\nwindows: %llu\nsummaries: %llu\nmissed: %llu\n",
               count_get(&c->values), count_get(&c->bad_lines), count_get(&c->windows),
               count_get(&c->summaries), count_get(&c->missed));
    }
    weft_http_server_free(s.web);
    weft_server_free(s.producers);
    return rc;
}

static int
run(void *arg)
{
    struct feed *feed = arg;
    int rc = feed_open(feed);
    if (rc == 0)
        rc = feed->args.demo > 0 ? demo_run(feed) : serve(feed);
    feed_close(feed);
    return rc;
}

int
main(int argc, char **argv)
{
    static struct feed feed;
    weft_options options = {.loops = 0};
    read_args(&feed.args, argc, argv);
    options.loops = feed.args.loops;
    if (feed.args.demo > 0) {
        options.clock = WEFT_CLOCK_VIRTUAL;
        options.loops = feed.args.loops > 0 ? feed.args.loops : 2; /* the same on every machine */
        feed.args.sensors_max = 4;
        feed.args.lag = 1; /* so that something is missed */
    }
    int rc = weft_run(run, &feed, &options);
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "feed: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "", detail);
    }
    return rc < 0;
}
