/*
 * cpu.c - a job that only computes, for as many rounds as its input says.
 *
 * Each round needs the one before, so neither the compiler nor the processor can shorten the
 * chain, and the last number is the result, so that nothing can be folded away.
 */
#include "jobs.h"

int
weft_sample_cpu_plain(weft_bytes in, weft_sample_result *ret_result)
{
    uint64_t rounds = 0;
    int rc = weft_sample_begin(ret_result, "cpu", &in);
    if (rc == 0)
        rc = weft_sample_number(&in, &rounds);
    if (rc < 0)
        return rc;
    uint64_t x = ret_result->index + 1;
    for (uint64_t i = 0; i < rounds; i++) {
        x ^= x >> 29;
        x = x * UINT64_C(0xbf58476d1ce4e5b9) + i;
    }
    ret_result->value = x;
    weft_sample_end(ret_result);
    return 0;
}

int
weft_sample_cpu(weft_bytes in, weft_buf *out)
{
    weft_sample_result result;
    int rc = weft_sample_cpu_plain(in, &result);
    return rc < 0 ? rc : weft_sample_result_write(out, &result);
}
