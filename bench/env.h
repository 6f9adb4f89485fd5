/*
 * env.h - what a comparison was measured on, recorded with every result.
 */
#ifndef BENCH_ENV_H
#define BENCH_ENV_H

#include <stddef.h>
#include <stdint.h>

struct bench_env {
    char kernel[160];  /* "Linux 6.1.0 x86_64" */
    char cpu[96];      /* the processor's own name */
    char compiler[64]; /* that built us */
    char governor[32]; /* of the first CPU's clock; empty when unknown */
    unsigned cpus;     /* usable */
    uint64_t memory_bytes;
    uint64_t files_max; /* descriptors a process may open */
    unsigned somaxconn;
    double load; /* of the last minute, when we began */
    char date[32];
};

void bench_env_read(struct bench_env *ret_env);

/* Raises the limit of descriptors to the hard limit; returns the limit. */
uint64_t bench_raise_files(void);

#endif
