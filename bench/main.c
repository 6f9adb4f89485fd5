/*
 * main.c - weft-compare: one job under every model, side by side.
 *
 * Two commands are our own: run-one is a single run in a fresh process, delay-server the server
 * that fetch asks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base.h>

#include "child.h"
#include "compare.h"
#include "delay_server.h"
#include "env.h"
#include "one.h"

static const char help[] =
    "weft-compare WORKLOAD [OPTION...]   runs one job under several models and compares them\n"
    "weft-compare list                   the workloads and the models\n"
    "weft-compare suite [--out FOLDER]   fetch, sleep, cpu and sleep_blocking, and what follows;\n"
    "                                    with --out, JSON and SVG of each go there\n"
    "\n"
    "  --jobs COUNT      how many jobs, 1 to 1000000\n"
    "  --delay DURATION  how long a job waits: 250ms, 1s, 1.5s\n"
    "  --models LIST     as sync,thread-plain:100,thread:100,process:100,async:1,async,hybrid;\n"
    "                    without a number: one per usable CPU. thread-plain is always added\n"
    "  --width LIST      as 1,4,16: each in turn for the models without a number\n"
    "  --repeats COUNT   runs of each model, in turns, 1 to 100; the tables hold medians\n"
    "  --url URL         fetch from this server, http only, instead of our own delay server\n"
    "  --json FILE       every run with all its figures\n"
    "  --svg FILE        time and memory by model, drawn with gnuplot\n"
    "  --no-progress     no progress line on the terminal\n"
    "  --help, --version\n"
    "\n"
    "Each run is a fresh process. Memory is the high-water mark of that process, or of the sum of\n"
    "the proportional memory of several. Exit code: 0; 1 when a result was wrong or a model\n"
    "failed; 2 for bad usage; 3 when machine or server are not up to it; 130 when interrupted.\n";

static int
list(void)
{
    puts("workloads");
    for (const struct bench_case *kase = bench_cases; kase->name != NULL; kase++)
        printf("  %-16s%s\n", kase->name, kase->line);
    puts("\nmodels");
    for (const struct bench_kind *kind = bench_kinds; kind->name != NULL; kind++) {
        char name[32];
        snprintf(name, sizeof name, "%s%s", kind->name, kind->width_max > 0 ? ":N" : "");
        printf("  %-16s%s\n", name, kind->line);
    }
    return 0;
}

/* delay-server [--delay-ns=N | --delay=DURATION] [--port=N] [--close-after=BYTES [--good=N]]
 * [--control=FD] */
static int
delay_server(int argc, char **argv)
{
    struct bench_server_options options = {
        .delay_ns = 1000000000,
        .close_after = -1,
        .control = -1,
    };
    for (int i = 2; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        size_t name = value != NULL ? (size_t)(value - argv[i]) : strlen(argv[i]);
        uint64_t number = 0;
        int bad = value == NULL;
        value = bad ? "" : value + 1;
        if (strncmp(argv[i], "--delay", name) == 0 && name == 7) {
            bad = bench_duration_read(value, &options.delay_ns) < 0;
        } else if (bench_number_read(value, 0, INT64_MAX, &number) < 0) {
            bad = 1;
        } else if (strncmp(argv[i], "--delay-ns", name) == 0 && name == 10) {
            options.delay_ns = (int64_t)number;
        } else if (strncmp(argv[i], "--port", name) == 0 && number <= 65535) {
            options.port = (unsigned)number;
        } else if (strncmp(argv[i], "--close-after", name) == 0) {
            options.close_after = (int64_t)number;
        } else if (strncmp(argv[i], "--good", name) == 0) {
            options.good = number;
        } else if (strncmp(argv[i], "--control", name) == 0 && number <= INT32_MAX) {
            options.control = (int)number;
        } else {
            bad = 1;
        }
        if (bad)
            return bench_complain(2, "delay-server: bad argument '%s'", argv[i]);
    }
    bench_raise_files();
    return bench_delay_server(&options);
}

int
main(int argc, char **argv)
{
    struct bench_args args;
    const char *command = argc > 1 ? argv[1] : "";
    if (argc < 2) {
        fputs(help, stderr);
        return 2;
    }
    if (strcmp(command, "run-one") == 0)
        return bench_one_main(argc, argv);
    if (strcmp(command, "delay-server") == 0)
        return delay_server(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("weft-compare %s\n", weft_version());
            return 0;
        }
    }
    if (strcmp(command, "list") == 0)
        return argc > 2 ? bench_complain(2, "list takes no arguments, got '%s'", argv[2]) : list();
    if (command[0] == '-')
        return bench_complain(2, "the workload comes first, got '%s'; see weft-compare --help",
                              command);
    int rc = bench_args_read(&args, argc, argv);
    if (rc != 0)
        return rc;
    bench_signals_open();
    return args.suite ? bench_suite(&args) : bench_compare(&args);
}
