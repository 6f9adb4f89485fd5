/*
 * worker_priv.h - what the files of workers/ share and users do not see.
 */
#ifndef WEFT_WORKERS_WORKER_PRIV_H
#define WEFT_WORKERS_WORKER_PRIV_H

#include <stddef.h>

#include <weft/worker.h>

extern const weft_worker_model weft_worker_sync;
extern const weft_worker_model weft_worker_thread;
extern const weft_worker_model weft_worker_process;
extern const weft_worker_model weft_worker_async;
extern const weft_worker_model weft_worker_hybrid;

/* A model and the largest number its spec may carry; 0: it takes none. */
typedef struct weft__worker_entry {
    const weft_worker_model *model;
    unsigned width_max;
} weft__worker_entry;

/* The models by name; one with a NULL model ends the list, which models.c owns. */
extern const weft__worker_entry weft__worker_models[];

/* What stands in weft_call.private_. The links are the model's, while it has the call. */
typedef struct weft__call_private {
    uint32_t state; /* worker.c's */
    uint32_t where; /* the model's: a number it wants to find the call by */
    weft_call *next;
    weft_call *prev;
} weft__call_private;

_Static_assert(sizeof(weft__call_private) <= sizeof(((weft_call *)0)->private_),
               "a call's private part does not fit");

static inline weft__call_private *
weft__call_private_of(weft_call *call)
{
    return (weft__call_private *)call->private_;
}

/* CLOCK_MONOTONIC itself: a call's times are compared between threads and processes, so they
 * never come from a runtime's virtual clock. */
weft_time weft__worker_clock(void);

/* `now + duration` without passing WEFT_FOREVER. */
weft_time weft__worker_after(weft_time duration);

/* Keeps the memory of workers, a model's state included, beyond weft_workers_close: a thread that
 * had to be left behind in a job holds a reference until that job ends. */
void weft__workers_ref(weft_workers *workers);
void weft__workers_unref(weft_workers *workers);

/* The library's own error notes, memory and broken promises. Declared here once more because
 * workers see public headers only, yet are part of the library and must count in its leak check
 * like any other part. */
int weft_error_note(int rc, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));
void weft__fatal(const char *format, ...) __attribute__((noreturn, cold, format(printf, 1, 2)));
void weft_log(weft_log_level level, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));
void *weft__alloc_zeroed(size_t size);
void weft__free(void *memory);

#endif
