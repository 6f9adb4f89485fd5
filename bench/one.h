/*
 * one.h - one run of one model, in a process that does nothing else.
 */
#ifndef BENCH_ONE_H
#define BENCH_ONE_H

#include "case.h"
#include "figures.h"

/* A job on its way: its input, then when things happened, then what came out. */
struct bench_record {
    char *input;
    size_t input_len;
    int64_t submitted, started, ended; /* CLOCK_MONOTONIC */
    int result;
    weft_sample_result found;
};

/* Errors in a model's own life on purpose, to show that they are noticed. */
enum bench_sabotage {
    BENCH_HONEST,
    BENCH_DROP_JOB,    /* one job is not run, its result made up from another's */
    BENCH_LIE_LATENCY, /* one job says it took half as long */
    BENCH_HOLD_FD,     /* one descriptor stays open */
    BENCH_FEW_FILES    /* no descriptor is left once the model is open */
};

struct bench_one {
    struct bench_plan plan;
    struct bench_model model;
    unsigned head; /* how many jobs every model runs */
    enum bench_sabotage sabotage;
    struct bench_record *records;
    int64_t open_ns;
    int64_t begun, ended; /* first submit, last done */
    uint64_t crashed;
};

/* The baseline: plain threads. Returns 0 or -errno. */
int bench_plain_run(struct bench_one *one);

/* Every model of weft. Returns 0 or a negative result. */
int bench_weft_run(struct bench_one *one);

/* Leaves no descriptor free in this process; what is to open one fails with EMFILE. */
void bench_use_up_files(void);

/* Notes what is wrong with a run that failed before it measured anything. */
void bench_one_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The command `run-one`: arguments as the runner gives them. Returns an exit code. */
int bench_one_main(int argc, char **argv);

#endif
