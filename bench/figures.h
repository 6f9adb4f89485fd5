/*
 * figures.h - what one run of one model measured, and its way through a pipe as one line of JSON.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Every figure of a run; the names are those in the JSON. */
#define BENCH_FIGURES(row)                                                                         \
    row(jobs)              /* submitted */                                                         \
        row(failed)        /* of these, with a negative result */                                  \
        row(executed)      /* bodies that began */                                                 \
        row(open_ns)       /* opening the model */                                                 \
        row(wall_ns)       /* first submit to last done */                                         \
        row(at_once)       /* bodies begun and not ended: the peak */                              \
        row(submit_p50_ns) /* latency from submit */                                               \
        row(submit_p90_ns) row(submit_p99_ns) row(submit_max_ns)                                   \
            row(start_p50_ns) /* latency from start */                                             \
        row(start_p90_ns) row(start_p99_ns) row(start_max_ns)                                      \
            row(user_us)                 /* CPU, children included */                              \
        row(system_us) row(voluntary)    /* context switches */                                    \
        row(involuntary) row(base_bytes) /* memory before the model was opened */                  \
        row(base_pss_bytes)              /* the same as PSS; for several processes */              \
        row(peak_bytes)      /* VmHWM; for several processes base_bytes + what PSS grew by */      \
        row(peak_pss_bytes)  /* of several processes: the peak of the sum of their PSS */          \
        row(threads)         /* peak, sampled */                                                   \
        row(processes)       /* peak, sampled */                                                   \
        row(crashed)         /* workers that died and were replaced */                             \
        row(server_requests) /* that our own server counted */                                     \
        row(listen_drops)    /* connections a full queue turned away */                            \
        row(checksum)        /* of all results, in any order */                                    \
        row(checksum_head)   /* of the results of the first jobs, which every model runs */        \
        row(first_value)     /* what job 0 computed */

struct bench_figures {
#define BENCH_FIGURE_FIELD(name) uint64_t name;
    BENCH_FIGURES(BENCH_FIGURE_FIELD)
#undef BENCH_FIGURE_FIELD
    char spec[32];     /* the model with its number */
    char errors[200];  /* "EMFILE 3, ECONNRESET 1" */
    char failure[256]; /* what was wrong with the run; empty when nothing */
};

/* Writes the figures as a JSON object on one line, without a newline. */
void bench_figures_write(FILE *to, const struct bench_figures *figures);

/* Reads what bench_figures_write wrote. Returns 0; -1 when it is something else. */
int bench_figures_read(struct bench_figures *figures, const char *line);

/* Writes text as a JSON string, quotes included. */
void bench_json_string(FILE *to, const char *text);

#endif
