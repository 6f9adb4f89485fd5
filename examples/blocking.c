/*
 * blocking.c - calls that block go to the executor's threads; the loop goes on meanwhile.
 *
 * asyncio: to_thread(), run_in_executor(). usleep(3) stands for any call that knows nothing of
 * tasks: a database driver, getaddrinfo(3), fsync(2). Real clock, a tenth of a second.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

struct call {
    int number;
    int square;
    int on_executor;
};

/* Runs on a thread of the executor. */
static int
old_library_call(void *arg)
{
    struct call *call = arg;
    char thread[16];
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    usleep(100000);
    call->square = call->number * call->number;
    call->on_executor = strncmp(thread, "blocking", 8) == 0;
    return 0;
}

static int
call_it(void *arg)
{
    return weft_blocking(old_library_call, arg);
}

/* Counts as long as it may: until its group is cancelled. */
static int
tick(void *arg)
{
    unsigned *ticks = arg;
    int rc;
    while ((rc = weft_sleep(WEFT_MS(5))) == 0)
        ++*ticks;
    return rc;
}

static int
run_both(void *arg)
{
    (void)arg;
    unsigned ticks = 0;
    weft_task *ticker;
    int rc = weft_task_spawn(&ticker, tick, &ticks, NULL);
    if (rc < 0)
        return rc;

    struct call calls[3] = {{.number = 3}, {.number = 4}, {.number = 5}};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, call_it, &calls[i]);
    rc = weft_group_close(&group);
    weft_task_cancel(ticker);
    if (rc == 0)
        rc = weft_task_join(ticker, NULL);
    if (rc < 0) {
        weft_task_close(ticker);
        return rc;
    }
    for (int i = 0; i < 3; i++)
        printf("%d squared is %d, found on %s thread\n", calls[i].number, calls[i].square,
               calls[i].on_executor ? "an executor's" : "some other");
    printf("the loop ticked meanwhile: %s\n", ticks > 0 ? "yes" : "no");
    return 0;
}

int
main(void)
{
    return weft_run(run_both, NULL, &(weft_options){.loops = 1}) < 0;
}
