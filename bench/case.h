/*
 * case.h - what can be compared: workloads, models, and a plan made of both.
 */
#ifndef BENCH_CASE_H
#define BENCH_CASE_H

#include <stddef.h>
#include <stdint.h>

#include "../workers/jobs/jobs.h"

#define BENCH_JOBS_MAX 1000000u
#define BENCH_MODELS_MAX 64u
#define BENCH_CPU_NS INT64_C(20000000) /* what one cpu job is calibrated to */

/* What a workload is like. */
#define BENCH_WAITS 1u    /* a job is its delay */
#define BENCH_SERVER 2u   /* a job talks to a server */
#define BENCH_CPU 4u      /* a job computes */
#define BENCH_BLOCKING 8u /* a job holds its thread while it waits */

struct bench_case {
    const char *name;
    const char *line;            /* what it is, for `list` */
    const char *job;             /* the sample job that every weft model runs */
    weft_sample_plain_fn *plain; /* the same for thread-plain */
    unsigned flags;
    unsigned jobs; /* when the user does not say */
    int64_t delay_ns;
};

enum bench_kind_id {
    BENCH_SYNC,
    BENCH_THREAD_PLAIN,
    BENCH_THREAD,
    BENCH_PROCESS,
    BENCH_ASYNC,
    BENCH_HYBRID
};

struct bench_kind {
    const char *name;
    enum bench_kind_id id;
    unsigned width_max; /* 0: the model takes no number */
    const char *line;
};

struct bench_model {
    const struct bench_kind *kind;
    unsigned width;
    unsigned jobs; /* how many it runs: fewer than the others when it would take too long */
    char spec[32]; /* with the number, as "thread:100" */
};

struct bench_plan {
    const struct bench_case *kase;
    unsigned jobs;
    unsigned jobs_sync; /* 0: as many as the others */
    int64_t delay_ns;
    uint64_t rounds; /* of one cpu job */
    unsigned repeats;
    unsigned cpus;
    struct bench_model models[BENCH_MODELS_MAX];
    size_t n_models;
    char address[64]; /* of the server, numeric */
    char host[300];   /* what the request names */
    char path[600];
    int own_server;
};

extern const struct bench_case bench_cases[]; /* ended by a NULL name */
extern const struct bench_kind bench_kinds[]; /* ended by a NULL name */

const struct bench_case *bench_case_find(const char *name);

/* Reads one model, "thread" or "thread:16". Returns 0; or -1 with a sentence in why. */
int bench_model_read(struct bench_model *model, const char *text, unsigned cpus, char *why,
                     size_t why_cap);

/* Adds a model unless the plan has it. Returns 0; -1 when the plan is full. */
int bench_plan_add(struct bench_plan *plan, const struct bench_model *model);

/* Reads "sync,thread:4,async"; models without a number take each of the widths in turn (one per
 * CPU when there are none). Adds thread-plain when it is missing. Returns 0; -1 and why. */
int bench_plan_models(struct bench_plan *plan, const char *list, const unsigned *widths,
                      size_t n_widths, char *why, size_t why_cap);

/* The models one gets without asking. */
void bench_plan_defaults(struct bench_plan *plan);

/* Sets how many jobs each model runs. */
void bench_plan_share(struct bench_plan *plan);

/* How many jobs of this workload the model can have begun at once. */
unsigned bench_at_once(const struct bench_plan *plan, const struct bench_model *model);

/* How long one run should take; for the progress line and the watchdog. */
int64_t bench_expected_ns(const struct bench_plan *plan, const struct bench_model *model);

/* The input of one job; returns its length. */
int bench_input(const struct bench_plan *plan, unsigned index, char *text, size_t cap);

#endif
