/*
 * cpu.h - which CPUs may be used, and staying on one of them.
 */
#ifndef WEFT_LIB_BASE_CPU_H
#define WEFT_LIB_BASE_CPU_H

/* The largest kernels are built for 8,192 CPUs. */
#define WEFT__CPU_MAX 8192

/* A set of CPUs as the kernel writes it. Taken before any thread is pinned: a new thread inherits
 * the mask of its creator. */
struct weft__cpu_mask {
    unsigned long bits[WEFT__CPU_MAX / (8 * sizeof(unsigned long))];
};

/* The CPUs on which the calling thread may run. Returns 0 or -errno. */
int weft__cpu_mask_get(struct weft__cpu_mask *ret_mask);

unsigned weft__cpu_mask_count(const struct weft__cpu_mask *mask);

/* Keeps the calling thread on the nth CPU of the mask (counted from 0, round again behind the
 * last). Returns its number or -errno. */
int weft__cpu_pin(const struct weft__cpu_mask *mask, unsigned nth);

/* Lets the calling thread run on the whole mask again. Returns 0 or -errno. */
int weft__cpu_unpin(const struct weft__cpu_mask *mask);

/* The CPUs' worth of time that the process's cgroup and those above it allow, rounded up; 0 when
 * there is no limit. `root` stands before /proc and /sys ("" outside tests). */
unsigned weft__cpu_quota(const char *root);

#endif
