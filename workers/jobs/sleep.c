/*
 * sleep.c - a job that waits: as a task, and as a thread that blocks.
 */
#include "jobs.h"

#include <errno.h>
#include <time.h>

#include <weft/time.h>

static int
sleep_begin(weft_bytes in, weft_sample_result *result, uint64_t *ret_ns)
{
    int rc = weft_sample_begin(result, "sleep", &in);
    if (rc == 0)
        rc = weft_sample_number(&in, ret_ns);
    if (rc == 0 && *ret_ns > INT64_MAX)
        rc = -EINVAL;
    if (rc < 0)
        return rc;
    result->value = (result->index + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ *ret_ns;
    return 0;
}

int
weft_sample_sleep(weft_bytes in, weft_buf *out)
{
    weft_sample_result result;
    uint64_t ns = 0;
    int rc = sleep_begin(in, &result, &ns);
    if (rc == 0)
        rc = weft_sleep((weft_time)ns);
    if (rc < 0)
        return rc;
    weft_sample_end(&result);
    return weft_sample_result_write(out, &result);
}

int
weft_sample_sleep_plain(weft_bytes in, weft_sample_result *ret_result)
{
    uint64_t ns = 0;
    int rc = sleep_begin(in, ret_result, &ns);
    if (rc < 0)
        return rc;
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    weft_sample_end(ret_result);
    return 0;
}

int
weft_sample_sleep_blocking(weft_bytes in, weft_buf *out)
{
    weft_sample_result result;
    int rc = weft_sample_sleep_plain(in, &result);
    return rc < 0 ? rc : weft_sample_result_write(out, &result);
}
