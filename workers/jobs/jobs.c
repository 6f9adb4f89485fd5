/*
 * jobs.c - the table of sample jobs, and what their bodies share: input, result, counting.
 */
#include "jobs.h"

#include <errno.h>
#include <string.h>
#include <time.h>

const weft_job weft_sample_jobs[] = {
    {"sleep", weft_sample_sleep, 0},
    {"sleep_blocking", weft_sample_sleep_blocking, WEFT_JOB_BLOCKING},
    {"fetch", weft_sample_fetch, 0},
    {"fetch_blocking", weft_sample_fetch_blocking, WEFT_JOB_BLOCKING},
    {"cpu", weft_sample_cpu, WEFT_JOB_CPU},
    {NULL, NULL, 0},
};

static uint64_t *bodies_counter;

int
weft_sample_jobs_register(void)
{
    for (const weft_job *job = weft_sample_jobs; job->name != NULL; job++) {
        int rc = weft_job_register(job);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void
weft_sample_jobs_count(uint64_t *counter)
{
    bodies_counter = counter;
}

uint64_t
weft_sample_hash(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

weft_bytes
weft_sample_word(weft_bytes *rest)
{
    const char *text = rest->data;
    size_t begin = 0;
    while (begin < rest->len && text[begin] == ' ')
        begin++;
    size_t end = begin;
    while (end < rest->len && text[end] != ' ')
        end++;
    weft_bytes word = {begin < end ? text + begin : NULL, end - begin};
    if (end > 0) {
        rest->data = text + end;
        rest->len -= end;
    }
    return word;
}

int
weft_sample_number(weft_bytes *rest, uint64_t *ret_number)
{
    weft_bytes word = weft_sample_word(rest);
    const char *text = word.data;
    uint64_t number = 0;
    if (word.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < word.len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
            return -EINVAL;
    }
    *ret_number = number;
    return 0;
}

static uint64_t
clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int
weft_sample_begin(weft_sample_result *result, const char *name, weft_bytes *rest)
{
    if (bodies_counter != NULL)
        __atomic_add_fetch(bodies_counter, 1, __ATOMIC_SEQ_CST); /* read after the last job */
    memset(result, 0, sizeof *result);
    result->took_ns = clock_ns(); /* until weft_sample_end makes it a duration */
    result->body = weft_sample_hash(WEFT_SAMPLE_HASH, name, strlen(name));
    return weft_sample_number(rest, &result->index);
}

void
weft_sample_end(weft_sample_result *result)
{
    result->took_ns = clock_ns() - result->took_ns;
}

static void
put64(unsigned char *at, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(number >> (8 * i));
}

static uint64_t
get64(const unsigned char *at)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

int
weft_sample_result_write(weft_buf *out, const weft_sample_result *result)
{
    unsigned char bytes[WEFT_SAMPLE_BYTES];
    put64(bytes, result->body);
    put64(bytes + 8, result->index);
    put64(bytes + 16, result->value);
    put64(bytes + 24, result->status);
    put64(bytes + 32, result->length);
    put64(bytes + 40, result->took_ns);
    return weft_buf_append(out, bytes, sizeof bytes);
}

int
weft_sample_result_read(weft_bytes out, weft_sample_result *ret_result)
{
    const unsigned char *bytes = out.data;
    if (out.len != WEFT_SAMPLE_BYTES)
        return -EBADMSG;
    ret_result->body = get64(bytes);
    ret_result->index = get64(bytes + 8);
    ret_result->value = get64(bytes + 16);
    ret_result->status = get64(bytes + 24);
    ret_result->length = get64(bytes + 32);
    ret_result->took_ns = get64(bytes + 40);
    return 0;
}
