/*
 * as_completed.c - results in the order of the call, and tasks handled in the order they end.
 *
 * asyncio: gather(), as_completed(). Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

#define COUNT 4

static const int seconds[COUNT] = {3, 1, 4, 2};

static int
fetch(void *arg)
{
    int takes = *(const int *)arg;
    int rc = weft_sleep(WEFT_SEC(takes));
    return rc < 0 ? rc : takes * 100; /* bytes, say */
}

static int
gathered(void)
{
    weft_child children[COUNT];
    for (int i = 0; i < COUNT; i++)
        children[i] = (weft_child){.fn = fetch, .arg = (void *)&seconds[i]};
    int rc = weft_gather(children, COUNT, NULL);
    printf("gather, in the order of the call:");
    for (int i = 0; i < COUNT; i++)
        printf(" %d", children[i].result);
    printf("\n");
    return rc;
}

static int
as_they_end(void)
{
    weft_time start = weft_now();
    weft_task *tasks[COUNT] = {NULL};
    int rc = 0;
    for (int i = 0; i < COUNT && rc == 0; i++)
        rc = weft_task_spawn(&tasks[i], fetch, (void *)&seconds[i], NULL);

    weft_as_completed order;
    if (rc == 0)
        rc = weft_as_completed_open(&order, tasks, COUNT);
    if (rc == 0) {
        size_t i;
        int result;
        while ((rc = weft_as_completed_next(&order, &i, &result)) == 1)
            printf("task %zu after %.0f s: %d\n", i, (double)(weft_now() - start) / 1e9, result);
        weft_as_completed_close(&order);
    }
    for (int i = 0; i < COUNT; i++) {
        if (rc < 0 && tasks[i] != NULL)
            weft_task_cancel(tasks[i]);
        weft_task_close(tasks[i]);
    }
    return rc;
}

static int
compare(void *arg)
{
    (void)arg;
    int rc = gathered();
    return rc < 0 ? rc : as_they_end();
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(compare, NULL, &options) < 0;
}
