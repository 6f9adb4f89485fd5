/*
 * t_leak.h - what a process holds before and after: descriptors, threads, children, blocks.
 */
#ifndef WEFT_TESTS_T_LEAK_H
#define WEFT_TESTS_T_LEAK_H

#include <stdbool.h>
#include <stddef.h>

#define T_LEAK_FDS_MAX 65536

struct t_leak {
    unsigned char fds[T_LEAK_FDS_MAX / 8]; /* one bit for each open descriptor */
    unsigned n_threads;
    unsigned n_children;
    size_t n_blocks; /* weft__mem_blocks */
};

void t_leak_take(struct t_leak *ret_leak);

/* Whether the process holds just what it held then. Threads and children on their way out are
 * given two seconds. If not, text says what is new and what is gone. */
bool t_leak_check(const struct t_leak *before, char *text, size_t text_bytes);

/* The same in two calls around what a test does; the second one asserts. From the test's main
 * thread, not from a task. */
void t_leak_begin(void);
void t_leak_end(void);

#endif
