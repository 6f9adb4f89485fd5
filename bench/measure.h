/*
 * measure.h - what the kernel says about processes: memory, threads, descriptors, CPU.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

int64_t bench_clock_ns(void);

/* Of the calling process and the children it has waited for. */
struct bench_usage {
    uint64_t user_us;
    uint64_t system_us;
    uint64_t voluntary; /* context switches */
    uint64_t involuntary;
};
void bench_usage_read(struct bench_usage *ret_usage);

/* A figure of /proc/self/status in kB, as bytes: "VmHWM:" or "VmRSS:"; 0 when it is not there. */
uint64_t bench_status_bytes(const char *field);

/* Proportional memory of a process in bytes; 0 when it is gone. */
uint64_t bench_pss_bytes(pid_t pid);

/* Open descriptors of this process. */
unsigned bench_descriptors(void);

/* A process and, when asked, all its descendants, as they are now. */
struct bench_tree {
    unsigned processes;
    unsigned threads;
    uint64_t pss_bytes; /* descendants only; else 0 */
};
void bench_tree_read(pid_t root, int descendants, struct bench_tree *ret_tree);

/* How often a listener's queue was full, on the whole machine, since it started. */
uint64_t bench_listen_overflows(void);

#endif
