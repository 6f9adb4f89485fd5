/*
 * micro.h - what every benchmark program shares: options, clock, pinning, the table of results.
 *
 * A program measures each row several times, hands the values to micro_row, and ends with
 * micro_end. A row names the limit it must keep and what the peers reached on a machine like the
 * one the limits were set on (2 vCPU, Debian 12); their figures are quoted, not measured here.
 * Falling short of a limit is shown and is no failure: a failure is a wrong or missing result.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/error.h>

#include "stat.h"

#define MICRO_ROWS_MAX 32
#define MICRO_REPEATS_MAX 1000

struct micro_row {
    const char *name;
    const char *unit;
    const char *peers; /* "" when there are none to compare with */
    double limit;      /* 0: none; the median must not be above it */
    bool limited;      /* there is a limit, though it may be 0 */
    struct bench_spread spread;
};

struct micro {
    const char *program;
    const char *what; /* one line: what is measured, and where it runs */
    long repeats;     /* of each row; 0: once, and no option changes that */
    long count;       /* of whatever the program counts */
    const char *json; /* file for the results; NULL: none */
    int n_rows;
    bool headed; /* the head of the table is out */
    struct micro_row rows[MICRO_ROWS_MAX];
};

static inline int64_t
micro_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Something that must work did not. */
static inline void __attribute__((noreturn))
micro_fail(const struct micro *m, const char *what, int rc)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s: %s\n", m->program, what, rc < 0 ? weft_strerror(rc) : "wrong result");
    exit(1);
}

static inline void
micro_check(const struct micro *m, const char *what, int rc)
{
    if (rc < 0)
        micro_fail(m, what, rc);
}

/* The n-th CPU this process may use (from 0), or -1. */
static inline int
micro_cpu(int n)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set) && n-- == 0)
            return cpu;
    return -1;
}

/* Binds the calling thread, and all it starts from now on, to one CPU. */
static inline void
micro_pin(const struct micro *m, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    if (cpu < 0 || sched_setaffinity(0, sizeof set, &set) < 0)
        micro_fail(m, "cannot bind to a CPU", cpu < 0 ? -EINVAL : -errno);
}

static inline long
micro_number(const struct micro *m, const char *option, const char *text, long max)
{
    char *end;
    errno = 0;
    long value = text == NULL ? 0 : strtol(text, &end, 10);
    if (text == NULL || end == text || *end != '\0' || errno != 0 || value < 1 || value > max) {
        fprintf(stderr, "%s: %s must be 1 to %ld, got '%s'\n", m->program, option, max,
                text == NULL ? "" : text);
        exit(2);
    }
    return value;
}

/* Reads the options; defaults are in m already. counted: what --count is, NULL: no such option. */
static inline void
micro_options(struct micro *m, int argc, char **argv, const char *counted)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--help") == 0) {
            printf("%s - %s\n\n", m->program, m->what);
            if (m->repeats > 0)
                printf("  --repeats N  measure each row N times (default %ld)\n", m->repeats);
            if (counted != NULL)
                printf("  --count N    %s (default %ld)\n", counted, m->count);
            printf("  --json FILE  also write the results as JSON\n"
                   "  --help       this text\n");
            exit(0);
        } else if (m->repeats > 0 && strcmp(argv[i], "--repeats") == 0) {
            m->repeats = micro_number(m, argv[i++], value, MICRO_REPEATS_MAX);
        } else if (counted != NULL && strcmp(argv[i], "--count") == 0) {
            m->count = micro_number(m, argv[i++], value, 100000000);
        } else if (strcmp(argv[i], "--json") == 0 && value != NULL) {
            m->json = value;
            i++;
        } else {
            fprintf(stderr, "%s: unknown or incomplete option '%s'; --help lists them\n",
                    m->program, argv[i]);
            exit(2);
        }
    }
}

static inline void
micro_print(struct micro *m, const struct micro_row *row)
{
    if (!m->headed) {
        printf("%s: %s; ", m->program, m->what);
        if (m->repeats > 0)
            printf("median of %ld\n", m->repeats);
        else
            printf("measured once\n");
        printf("  %-36s %10s %21s  %-5s %14s  %s\n", "", "median", "min - max", "", "limit",
               "peers, quoted");
    }
    m->headed = true;

    char range[48], limit[32] = "";
    double max = row->spread.max;
    int digits = max == 0 ? 0 : max < 2 ? 3 : max < 20 ? 2 : max < 1000 ? 1 : 0;
    snprintf(range, sizeof range, "%.*f - %.*f", digits, row->spread.min, digits, row->spread.max);
    if (row->limited)
        snprintf(limit, sizeof limit, "%.4g %s", row->limit,
                 row->spread.median <= row->limit ? "kept" : "MISSED");
    printf("  %-36s %10.*f %21s  %-5s %14s  %s\n", row->name, digits, row->spread.median, range,
           row->unit, limit, row->peers);
    fflush(stdout);
}

static inline void
micro_row_add(struct micro *m, struct micro_row row, double *values, size_t n)
{
    if (m->n_rows == MICRO_ROWS_MAX)
        micro_fail(m, "too many rows", -ENOSPC);
    row.spread = bench_spread_of(values, n);
    m->rows[m->n_rows++] = row;
    micro_print(m, &row);
}

/* A row with a limit; values are reordered. */
static inline void
micro_row(struct micro *m, const char *name, const char *unit, double limit, const char *peers,
          double *values, size_t n)
{
    micro_row_add(m,
                  (struct micro_row){
                      .name = name, .unit = unit, .peers = peers, .limit = limit, .limited = true},
                  values, n);
}

/* A row without one, for comparison. */
static inline void
micro_note(struct micro *m, const char *name, const char *unit, const char *peers, double *values,
           size_t n)
{
    micro_row_add(m, (struct micro_row){.name = name, .unit = unit, .peers = peers}, values, n);
}

/* A row of a's values over b's, repeat by repeat: what else the machine did met both alike. To be
 * called before the rows of a and b, which reorder them. A limit of 0 is none. */
static inline void
micro_ratio(struct micro *m, const char *name, double limit, const double *a, const double *b,
            size_t n)
{
    double ratios[MICRO_REPEATS_MAX];
    for (size_t i = 0; i < n; i++)
        ratios[i] = a[i] / b[i];
    micro_row_add(m,
                  (struct micro_row){
                      .name = name, .unit = "x", .peers = "", .limit = limit, .limited = limit > 0},
                  ratios, n);
}

/* Writes the JSON if it was asked for. Returns the program's exit status. */
static inline int
micro_end(struct micro *m)
{
    if (m->json == NULL)
        return 0;
    FILE *file = fopen(m->json, "w");
    if (file == NULL)
        micro_fail(m, m->json, -errno);
    fprintf(file, "{\"program\": \"%s\", \"what\": \"%s\", \"repeats\": %ld, \"rows\": [",
            m->program, m->what, m->repeats);
    for (int i = 0; i < m->n_rows; i++) {
        const struct micro_row *row = &m->rows[i];
        fprintf(file,
                "%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"median\": %.4f, \"min\": %.4f, "
                "\"max\": %.4f, \"peers\": \"%s\"",
                i > 0 ? "," : "", row->name, row->unit, row->spread.median, row->spread.min,
                row->spread.max, row->peers);
        if (row->limited)
            fprintf(file, ", \"limit\": %.4f, \"kept\": %s", row->limit,
                    row->spread.median <= row->limit ? "true" : "false");
        fprintf(file, "}");
    }
    fprintf(file, "\n]}\n");
    if (ferror(file) != 0 || fclose(file) != 0)
        micro_fail(m, m->json, -EIO);
    return 0;
}

#endif
