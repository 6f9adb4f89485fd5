/*
 * jobs.h - sample jobs: sleep, fetch, cpu, and the twins that block their thread.
 *
 * Inputs are text, an index first: "7 250000000" for sleep (nanoseconds), "7 20000000" for cpu
 * (rounds), "7 127.0.0.1:8080 localhost:8080 /path" for fetch (address, Host, target). Results
 * are WEFT_SAMPLE_BYTES bytes. Each body is also there as plain C without weft, as a baseline.
 * Bodies keep their frames small and call no stdio: a task's stack costs what it touches.
 */
#ifndef WEFT_SAMPLE_JOBS_H
#define WEFT_SAMPLE_JOBS_H

#include <weft/base.h>
#include <weft/job.h>

/* What a body found; written little-endian, 8 bytes a field. */
typedef struct weft_sample_result {
    uint64_t body;    /* hash of the name of what ran; a twin has its pair's */
    uint64_t index;   /* from the input */
    uint64_t value;   /* hash of the response, or the number computed */
    uint64_t status;  /* fetch: of the response */
    uint64_t length;  /* fetch: of the response's body */
    uint64_t took_ns; /* by the body's own clock */
} weft_sample_result;

#define WEFT_SAMPLE_BYTES 48u

typedef int weft_sample_plain_fn(weft_bytes in, weft_sample_result *ret_result);

/* All of them, ended by a NULL name. */
extern const weft_job weft_sample_jobs[];

/* Registers all of them; returns 0 or weft_job_register's error. */
int weft_sample_jobs_register(void);

/* Each body adds 1 to *counter when it starts, in this process and in those forked from it later
 * (give shared memory). NULL, the start: bodies are not counted. */
void weft_sample_jobs_count(uint64_t *counter);

int weft_sample_result_read(weft_bytes out, weft_sample_result *ret_result);

/* FNV-1a of 64 bits: start with WEFT_SAMPLE_HASH and feed it piece by piece. */
#define WEFT_SAMPLE_HASH UINT64_C(14695981039346656037)
uint64_t weft_sample_hash(uint64_t hash, const void *data, size_t len);

/* How many connects fetch has in progress at once: half of net.core.somaxconn, so that a burst
 * fits a listener's queue. */
unsigned weft_sample_connects_max(void);

weft_job_fn weft_sample_sleep, weft_sample_sleep_blocking;
weft_job_fn weft_sample_fetch, weft_sample_fetch_blocking;
weft_job_fn weft_sample_cpu;
weft_sample_plain_fn weft_sample_sleep_plain, weft_sample_fetch_plain, weft_sample_cpu_plain;

/* For the bodies themselves. */

/* Takes the next word of the input, separated by spaces; len 0 at the end. */
weft_bytes weft_sample_word(weft_bytes *rest);

/* Takes the next word as a decimal number; -EINVAL when it is none. */
int weft_sample_number(weft_bytes *rest, uint64_t *ret_number);

/* Counts the body, notes its name and when it began, and takes the index. */
int weft_sample_begin(weft_sample_result *result, const char *name, weft_bytes *rest);

/* Notes how long the body took. */
void weft_sample_end(weft_sample_result *result);

int weft_sample_result_write(weft_buf *out, const weft_sample_result *result);

#endif
