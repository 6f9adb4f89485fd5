/*
 * args.c - reading the command line. Every error names the option, what it takes, and what it got.
 */
#include "args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/run.h>

#include "runner.h"

int
bench_complain(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("weft-compare: ", stderr);
    vfprintf(stderr, format, args);
    putc('\n', stderr);
    va_end(args);
    return code;
}

int
bench_number_read(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*end != '\0' || errno != 0 || number < least || number > most)
        return -1;
    *ret_number = number;
    return 0;
}

int
bench_duration_read(const char *text, int64_t *ret_ns)
{
    char *end;
    if (text[0] < '0' || text[0] > '9' || strcspn(text, "xXeEpP") != strlen(text))
        return -1;
    double number = strtod(text, &end);
    double ns = strcmp(end, "s") == 0    ? number * 1e9
                : strcmp(end, "ms") == 0 ? number * 1e6
                : strcmp(end, "us") == 0 ? number * 1e3
                                         : -1;
    if (!(ns >= 1000 && ns <= 3600e9))
        return -1;
    *ret_ns = (int64_t)(ns + 0.5);
    return 0;
}

static int
widths_read(const char *list, unsigned *widths, size_t *ret_n)
{
    size_t n = 0;
    for (const char *at = list; at != NULL;) {
        char text[32];
        uint64_t number;
        const char *comma = strchr(at, ',');
        size_t len = comma != NULL ? (size_t)(comma - at) : strlen(at);
        if (len >= sizeof text || n == BENCH_WIDTHS_MAX)
            return -1;
        memcpy(text, at, len);
        text[len] = '\0';
        if (bench_number_read(text, 1, 20000, &number) < 0)
            return -1;
        widths[n++] = (unsigned)number;
        at = comma != NULL ? comma + 1 : NULL;
    }
    *ret_n = n;
    return 0;
}

/* The value of an option: behind "=" or the next argument. NULL when it is another option. */
static const char *
option(const char *name, int argc, char **argv, int *i)
{
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) != 0 || (argv[*i][len] != '\0' && argv[*i][len] != '='))
        return NULL;
    if (argv[*i][len] == '=')
        return argv[*i] + len + 1;
    if (*i + 1 < argc)
        return argv[++*i];
    return "";
}

static int
unknown_workload(const char *name)
{
    fprintf(stderr, "weft-compare: unknown workload '%s': there are", name);
    for (const struct bench_case *kase = bench_cases; kase->name != NULL; kase++)
        fprintf(stderr, "%s %s",
                kase == bench_cases    ? ""
                : kase[1].name != NULL ? ","
                                       : " and",
                kase->name);
    fputs("\n", stderr);
    return 2;
}

struct raw {
    const char *jobs, *delay, *models, *width, *repeats;
};

static int
collect(struct bench_args *args, struct raw *raw, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **value;
        int suite; /* the suite knows it too */
    } options[] = {
        {"--jobs", &raw->jobs, 0},   {"--delay", &raw->delay, 0},     {"--models", &raw->models, 0},
        {"--width", &raw->width, 0}, {"--repeats", &raw->repeats, 0}, {"--url", &args->url, 0},
        {"--json", &args->json, 0},  {"--svg", &args->svg, 0},        {"--out", &args->out, 1},
    };
    for (int i = 2; i < argc; i++) {
        int known = strcmp(argv[i], "--no-progress") == 0;
        args->no_progress |= known;
        for (size_t k = 0; !known && k < sizeof options / sizeof *options; k++) {
            if (options[k].suite != args->suite)
                continue;
            const char *value = option(options[k].name, argc, argv, &i);
            if (value == NULL)
                continue;
            if (value[0] == '\0')
                return bench_complain(2, "%s needs a value", options[k].name);
            *options[k].value = value;
            known = 1;
        }
        if (!known)
            return bench_complain(2, "%s '%s'; see weft-compare --help",
                                  argv[i][0] == '-' ? "unknown option" : "unexpected argument",
                                  argv[i]);
    }
    return 0;
}

static int
interpret(struct bench_args *args, const struct raw *raw)
{
    struct bench_plan *plan = &args->plan;
    unsigned widths[BENCH_WIDTHS_MAX];
    size_t n_widths = 0;
    uint64_t number = plan->kase->jobs;
    char why[256];
    plan->delay_ns = plan->kase->delay_ns;
    plan->repeats = 1;
    plan->cpus = weft_usable_cpus();

    if (raw->jobs != NULL && bench_number_read(raw->jobs, 1, BENCH_JOBS_MAX, &number) < 0)
        return bench_complain(2, "--jobs must be 1 to %u, got '%s'", BENCH_JOBS_MAX, raw->jobs);
    plan->jobs = (unsigned)number;
    number = 1;
    if (raw->repeats != NULL && bench_number_read(raw->repeats, 1, BENCH_REPEATS_MAX, &number) < 0)
        return bench_complain(2, "--repeats must be 1 to %u, got '%s'", BENCH_REPEATS_MAX,
                              raw->repeats);
    plan->repeats = (unsigned)number;
    if (raw->delay != NULL && !(plan->kase->flags & BENCH_WAITS))
        return bench_complain(2, "--delay: %s does not wait", plan->kase->name);
    if (raw->delay != NULL && bench_duration_read(raw->delay, &plan->delay_ns) < 0)
        return bench_complain(2, "--delay must be 1us to 3600s, as 250ms, 1s or 1.5s, got '%s'",
                              raw->delay);
    if (args->url != NULL && !(plan->kase->flags & BENCH_SERVER))
        return bench_complain(2, "--url: %s asks no server", plan->kase->name);
    if (args->url != NULL && raw->delay != NULL)
        return bench_complain(2, "--delay and --url exclude each other: the delay is the server's");
    if (raw->width != NULL && raw->models == NULL)
        return bench_complain(2,
                              "--width needs --models: it sets the number of models without one");
    if (raw->width != NULL && widths_read(raw->width, widths, &n_widths) < 0)
        return bench_complain(2, "--width must be numbers from 1 to 20000, as 1,4,16, got '%s'",
                              raw->width);
    if (raw->models == NULL)
        bench_plan_defaults(plan);
    else if (bench_plan_models(plan, raw->models, widths, n_widths, why, sizeof why) < 0)
        return bench_complain(2, "%s", why);
    return 0;
}

int
bench_args_read(struct bench_args *args, int argc, char **argv)
{
    struct raw raw = {NULL, NULL, NULL, NULL, NULL};
    memset(args, 0, sizeof *args);
    args->suite = strcmp(argv[1], "suite") == 0;
    if (!args->suite) {
        args->plan.kase = bench_case_find(argv[1]);
        if (args->plan.kase == NULL)
            return unknown_workload(argv[1]);
    }
    int rc = collect(args, &raw, argc, argv);
    if (rc == 0 && !args->suite)
        rc = interpret(args, &raw);
    return rc;
}
