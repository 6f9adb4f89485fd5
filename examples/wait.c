/*
 * wait.c - four tasks of 1 to 4 s: after the first, the rest is cancelled, or waited for.
 *
 * asyncio: wait(FIRST_COMPLETED) gives two sets, done and pending. Here each task's outcome says
 * which it is in. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

#define COUNT 4

static int
work(void *arg)
{
    const int *seconds = arg;
    int rc = weft_sleep(WEFT_SEC(*seconds));
    return rc < 0 ? rc : *seconds;
}

static const char *
state(const weft_task *task)
{
    switch (weft_task_get_state(task)) {
    case WEFT_TASK_DONE:
        return "done";
    case WEFT_TASK_CANCELLED:
        return "cancelled";
    default:
        return "pending";
    }
}

static int
first_then(int cancel_the_rest)
{
    static const int seconds[COUNT] = {1, 2, 3, 4};
    weft_time start = weft_now();
    weft_task *tasks[COUNT] = {NULL};
    weft_outcome outcomes[COUNT] = {{0, 0}};
    int rc = 0;
    for (int i = 0; i < COUNT && rc == 0; i++)
        rc = weft_task_spawn(&tasks[i], work, (void *)&seconds[i], NULL);

    if (rc == 0)
        rc = weft_wait(tasks, COUNT, WEFT_FIRST_COMPLETED, outcomes);
    if (rc > 0)
        printf("after %.0f s: %d done, %d pending\n", (double)(weft_now() - start) / 1e9, rc,
               COUNT - rc);
    for (int i = 0; i < COUNT; i++)
        if (tasks[i] != NULL && (rc < 0 || (cancel_the_rest && !outcomes[i].done)))
            weft_task_cancel(tasks[i]);
    if (rc > 0)
        rc = weft_wait(tasks, COUNT, WEFT_ALL_COMPLETED, outcomes);
    if (rc > 0)
        printf("after %.0f s:", (double)(weft_now() - start) / 1e9);
    for (int i = 0; i < COUNT; i++) {
        if (rc > 0)
            printf(" %s%s", state(tasks[i]), i + 1 < COUNT ? "," : "\n");
        weft_task_close(tasks[i]);
    }
    return rc < 0 ? rc : 0;
}

static int
both(void *arg)
{
    (void)arg;
    printf("the rest is cancelled\n");
    int rc = first_then(1);
    if (rc < 0)
        return rc;
    printf("the rest is waited for\n");
    return first_then(0);
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(both, NULL, &options) < 0;
}
