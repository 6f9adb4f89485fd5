/*
 * t_jobs.c - jobs for tests of the worker models, registered before main runs.
 *
 * Before main, because the process model's helper knows only what was registered when it forked.
 */
#include "t_jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <weft/group.h>
#include <weft/task.h>
#include <weft/time.h>

static long
number(weft_bytes in)
{
    char text[24] = {0};
    memcpy(text, in.data, in.len < sizeof text - 1 ? in.len : sizeof text - 1);
    return strtol(text, NULL, 10);
}

static int
echo(weft_bytes in, weft_buf *out)
{
    return weft_buf_append(out, in.data, in.len);
}

static int
reverse(weft_bytes in, weft_buf *out)
{
    int rc = weft_buf_reserve(out, in.len);
    if (rc < 0)
        return rc;
    const unsigned char *from = in.data;
    for (size_t i = 0; i < in.len; i++)
        out->data[i] = from[in.len - 1 - i];
    out->len = in.len;
    return 0;
}

static int
fail(weft_bytes in, weft_buf *out)
{
    int rc = weft_buf_append(out, in.data, in.len);
    return rc < 0 ? rc : -EILSEQ;
}

static int
end_process(weft_bytes in, weft_buf *out)
{
    (void)in;
    (void)out;
    prctl(PR_SET_DUMPABLE, 0); /* no core file for a death on purpose */
    abort();
}

static int
sleep_ms(weft_bytes in, weft_buf *out)
{
    (void)out;
    return weft_sleep(WEFT_MS(number(in)));
}

static int
spin_until_cancelled(weft_bytes in, weft_buf *out)
{
    (void)in;
    (void)out;
    int rc;
    do
        rc = weft_sleep(WEFT_MS(1));
    while (rc == 0);
    return rc;
}

static int64_t
clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int
burn_ms(weft_bytes in, weft_buf *out)
{
    int64_t end = clock_ns() + WEFT_MS(number(in));
    while (clock_ns() < end)
        ;
    return weft_buf_append(out, "burnt", 5);
}

struct child {
    long number;
    weft_buf *out;
};

static int
child_main(void *arg)
{
    struct child *child = arg;
    int rc = weft_sleep(WEFT_MS(child->number));
    if (rc < 0)
        return rc;
    return weft_buf_printf(child->out, "%ld ", child->number);
}

static int
group(weft_bytes in, weft_buf *out)
{
    struct child children[32];
    long n = number(in);
    if (n < 0 || n > 32)
        return -EINVAL;
    weft_group nursery;
    weft_group_open(&nursery, NULL);
    for (long i = 0; i < n; i++) {
        children[i] = (struct child){.number = n - i, .out = out};
        weft_group_spawn(&nursery, child_main, &children[i]);
    }
    return weft_group_close(&nursery);
}

static int
thread_name(weft_buf *out)
{
    char name[16] = "";
    pthread_getname_np(pthread_self(), name, sizeof name);
    return weft_buf_append(out, name, strlen(name));
}

static int
blocking(weft_bytes in, weft_buf *out)
{
    usleep((useconds_t)number(in) * 1000);
    return thread_name(out);
}

static int
cpu(weft_bytes in, weft_buf *out)
{
    (void)in;
    return thread_name(out);
}

const weft_job t_jobs[] = {
    {.name = "t.echo", .run = echo},
    {.name = "t.reverse", .run = reverse},
    {.name = "t.fail", .run = fail},
    {.name = "t.abort", .run = end_process},
    {.name = "t.sleep_ms", .run = sleep_ms},
    {.name = "t.spin_until_cancelled", .run = spin_until_cancelled},
    {.name = "t.burn_ms", .run = burn_ms},
    {.name = "t.group", .run = group},
    {.name = "t.blocking", .run = blocking, .flags = WEFT_JOB_BLOCKING},
    {.name = "t.cpu", .run = cpu, .flags = WEFT_JOB_CPU},
    {0},
};

static __attribute__((constructor)) void
register_all(void)
{
    for (const weft_job *job = t_jobs; job->name != NULL; job++)
        if (weft_job_register(job) < 0)
            abort();
}
