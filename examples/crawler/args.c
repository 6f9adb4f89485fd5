/*
 * args.c - reads the command line, and says exactly what is wrong with it.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "demo.h"

#define SECONDS_MAX 86400

static const char help[] =
    "usage: crawler URL [OPTION]...\n"
    "       crawler --demo [OPTION]...\n"
    "\n"
    "Follows the links of a site, page by page, and says what it found.\n"
    "\n"
    "  --depth N          links from the start page to the deepest one (default 5)\n"
    "  --max-pages N      different URLs that are taken in (default 1000)\n"
    "  --max-bytes N      of a page; what is beyond is not read (default 2097152)\n"
    "  --same-host        leave links to other hosts alone\n"
    "  --concurrency N    requests at once (default 16)\n"
    "  --per-host N       of these, to one host (default 4)\n"
    "  --delay SECONDS    between two requests to a host (default 0)\n"
    "  --retries N        further attempts after a failure that may pass (default 2)\n"
    "  --timeout SECONDS  for each attempt (default 10)\n"
    "  --user-agent S     who asks (default \"weft-crawler/\" and the version)\n"
    "  --ignore-robots    do not ask for robots.txt\n"
    "  --loops N          loops and their threads (default 1)\n"
    "  --json FILE        all pages and figures as JSON; \"-\": to standard output, alone\n"
    "  --verbose          a line for each page as it ends; with --json - to standard error\n"
    "  --quiet            neither progress nor summary\n"
    "  --demo             crawl a small site that the program serves itself\n"
    "  --help             this text\n"
    "\n"
    "Pages of type text/html are read for links. Failures that may pass are time-outs, refused\n"
    "and broken connections, a want of descriptors, and the statuses 429, 500, 502, 503 and 504;\n"
    "Retry-After is honoured. Redirects that go round in a circle, or more than 10 in a row, are "
    "a\n"
    "failure.\n"
    "Ctrl-C ends the crawl with the summary so far; a second one ends the program.\n"
    "\n"
    "Exit status: 0 all pages were fetched; 1 the start page could not be had, or trouble; 2 "
    "wrong\n"
    "arguments; 3 some pages failed or had a status of 400 or more; 130 after Ctrl-C.\n";

static void __attribute__((noreturn, format(printf, 1, 2))) refuse(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("crawler: ", stderr);
    vfprintf(stderr, format, list);
    fputs("\n", stderr);
    va_end(list);
    exit(EXIT_ARGUMENTS);
}

static unsigned
number(const char *name, const char *text, unsigned min, unsigned max)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max)
        refuse("--%s must be %u to %u, got '%s'", name, min, max, text);
    return (unsigned)value;
}

/* Digits, and perhaps a point and more of them. */
static weft_time
seconds(const char *name, const char *text, double min)
{
    char *end;
    double value = strtod(text, &end);
    bool plain = *text >= '0' && *text <= '9' && strspn(text, "0123456789.") == strlen(text);
    if (!plain || *end != '\0' || value < min || value > SECONDS_MAX)
        refuse("--%s must be %g to %d seconds, got '%s'", name, min, SECONDS_MAX, text);
    return (weft_time)(value * 1e9);
}

static const char *
words(const char *name, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            refuse("--%s must be without control characters", name);
    }
    if (*text == '\0')
        refuse("--%s must not be empty", name);
    return text;
}

/* As pages are known: normalised. "example.org/a" means http. */
static char *
start_url(const char *text)
{
    weft_buf whole = {0}, normal = {0};
    weft_url url;
    int rc = weft_buf_printf(&whole, "%s%s", strstr(text, "://") == NULL ? "http://" : "", text);
    if (rc == 0)
        rc = weft_url_parse(&url, (const char *)whole.data, whole.len);
    if (rc == WEFT_E_URL)
        refuse("'%s' is no URL: %s", text, weft_error_text());
    if (rc == 0)
        rc = weft_url_normalize(&normal, &url);
    if (rc == 0)
        rc = weft_buf_append(&normal, "", 1);
    if (rc < 0)
        refuse("%s", weft_strerror(rc));
    const char *start = (const char *)normal.data;
    if ((strncmp(start, "http://", 7) != 0 && strncmp(start, "https://", 8) != 0) ||
        url.host.len == 0)
        refuse("'%s' is no URL of http or https", text);
    char *copy = strdup(start);
    if (copy == NULL)
        refuse("%s", weft_strerror(-ENOMEM));
    weft_buf_free(&whole);
    weft_buf_free(&normal);
    return copy;
}

void
args_read(struct args *args, int argc, char **argv)
{
    enum {
        DEPTH,
        PAGES,
        BYTES,
        SAME,
        CONCURRENCY,
        PER_HOST,
        DELAY,
        RETRIES,
        TIMEOUT,
        AGENT,
        IGNORE,
        LOOPS,
        JSON,
        VERBOSE,
        QUIET,
        DEMO,
        HELP
    };
    static const struct option known[] = {[DEPTH] = {"depth", 1, NULL, DEPTH},
                                          [PAGES] = {"max-pages", 1, NULL, PAGES},
                                          [BYTES] = {"max-bytes", 1, NULL, BYTES},
                                          [SAME] = {"same-host", 0, NULL, SAME},
                                          [CONCURRENCY] = {"concurrency", 1, NULL, CONCURRENCY},
                                          [PER_HOST] = {"per-host", 1, NULL, PER_HOST},
                                          [DELAY] = {"delay", 1, NULL, DELAY},
                                          [RETRIES] = {"retries", 1, NULL, RETRIES},
                                          [TIMEOUT] = {"timeout", 1, NULL, TIMEOUT},
                                          [AGENT] = {"user-agent", 1, NULL, AGENT},
                                          [IGNORE] = {"ignore-robots", 0, NULL, IGNORE},
                                          [LOOPS] = {"loops", 1, NULL, LOOPS},
                                          [JSON] = {"json", 1, NULL, JSON},
                                          [VERBOSE] = {"verbose", 0, NULL, VERBOSE},
                                          [QUIET] = {"quiet", 0, NULL, QUIET},
                                          [DEMO] = {"demo", 0, NULL, DEMO},
                                          [HELP] = {"help", 0, NULL, HELP},
                                          {NULL, 0, NULL, 0}};
    *args = (struct args){.user_agent = "weft-crawler/" WEFT_VERSION,
                          .depth = 5,
                          .per_host = 4,
                          .concurrency = 16,
                          .max_pages = 1000,
                          .max_bytes = 2 << 20,
                          .retries = 2,
                          .timeout = WEFT_SEC(10),
                          .loops = 1};
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        const char *name = c != '?' ? known[c].name : "";
        switch (c) {
        case DEPTH:
            args->depth = number(name, optarg, 0, 100);
            break;
        case PAGES:
            args->max_pages = number(name, optarg, 1, 1000000);
            break;
        case BYTES:
            args->max_bytes = number(name, optarg, 1, 1 << 30);
            break;
        case SAME:
            args->same_host = true;
            break;
        case CONCURRENCY:
            args->concurrency = number(name, optarg, 1, 1000);
            break;
        case PER_HOST:
            args->per_host = number(name, optarg, 1, 1000);
            break;
        case DELAY:
            args->delay = seconds(name, optarg, 0);
            break;
        case RETRIES:
            args->retries = number(name, optarg, 0, 100);
            break;
        case TIMEOUT:
            args->timeout = seconds(name, optarg, 0.001);
            break;
        case AGENT:
            args->user_agent = words(name, optarg);
            break;
        case IGNORE:
            args->ignore_robots = true;
            break;
        case LOOPS:
            args->loops = number(name, optarg, 1, 1024);
            break;
        case JSON:
            args->json = words(name, optarg);
            break;
        case VERBOSE:
            args->verbose = true;
            break;
        case QUIET:
            args->quiet = true;
            break;
        case DEMO:
            args->demo = true;
            break;
        case HELP:
            fputs(help, stdout);
            exit(0);
        default:
            exit(EXIT_ARGUMENTS); /* getopt has said why */
        }
    }
    if (args->demo && optind < argc)
        refuse("--demo has a URL of its own, got '%s' as well", argv[optind]);
    if (!args->demo && optind == argc)
        refuse("which URL? --help lists the options");
    if (argc - optind > 1)
        refuse("one URL, got '%s' as well", argv[optind + 1]);
    args->start = start_url(args->demo ? DEMO_URL : argv[optind]);
}
