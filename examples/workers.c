/*
 * workers.c - one job, written once, under every worker model.
 *
 * concurrent.futures and run_in_executor(). The job counts primes; a second one crashes, which
 * costs a model that isolates its jobs nothing but that job.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <weft.h>

/* From an int to an int, as bytes. */
static int
count_primes(weft_bytes in, weft_buf *out)
{
    int below, count = 0;
    if (in.len != sizeof below)
        return -EINVAL;
    memcpy(&below, in.data, sizeof below);
    for (int n = 2, divisor; n < below; n++) {
        for (divisor = 2; divisor * divisor <= n && n % divisor != 0; divisor++)
            continue;
        count += divisor * divisor > n;
    }
    return weft_buf_append(out, &count, sizeof count);
}

static int
crash(weft_bytes in, weft_buf *out)
{
    return in.len + out->len > 0 ? -EINVAL : raise(SIGKILL);
}

struct call {
    weft_workers *workers;
    int below, primes;
};

static int
call_job(void *arg)
{
    struct call *call = arg;
    weft_bytes in = {&call->below, sizeof call->below};
    weft_buf out = {0};
    int rc = weft_workers_run(call->workers, "count_primes", in, &out);
    if (rc == 0)
        memcpy(&call->primes, out.data, sizeof call->primes);
    weft_buf_free(&out);
    return rc;
}

static int
use(weft_workers *workers)
{
    struct call calls[8];
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 8; i++) {
        calls[i] = (struct call){.workers = workers, .below = 1000 * (i + 1)};
        weft_group_spawn(&group, call_job, &calls[i]);
    }
    int rc = weft_group_close(&group), sum = 0;
    for (int i = 0; i < 8; i++)
        sum += calls[i].primes;
    printf("%-10s %s, results add up to %d", weft_workers_spec(workers), weft_errname(rc), sum);
    if (rc == 0 && (weft_workers_traits(workers) & WEFT_WORKER_ISOLATED))
        printf("; a crash: %s",
               weft_errname(weft_workers_run(workers, "crash", (weft_bytes){NULL, 0}, NULL)));
    printf("\n");
    return rc;
}

static int
use_all(void *arg)
{
    static const char *const specs[] = {"sync", "thread:2", "process:2", "async:2", "hybrid:2"};
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 5 && rc == 0; i++) {
        weft_workers *workers;
        rc = weft_workers_open(&workers, specs[i], NULL);
        if (rc == 0) {
            rc = use(workers);
            weft_workers_close(workers, WEFT_DRAIN, WEFT_FOREVER);
        }
    }
    return rc;
}

int
main(void)
{
    static const weft_job primes = {.name = "count_primes", .run = count_primes};
    static const weft_job killed = {.name = "crash", .run = crash};
    if (weft_job_register(&primes) < 0 || weft_job_register(&killed) < 0)
        return 1;
    return weft_run(use_all, NULL, &(weft_options){.loops = 1, .processes = 2}) < 0;
}
