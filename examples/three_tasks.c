/*
 * three_tasks.c - tasks of 2, 3 and 1 s end in the order 3, 1, 2, after 3 s in all.
 *
 * asyncio: three tasks under gather(). Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

struct task {
    int number;
    int seconds;
};

static int
work(void *arg)
{
    const struct task *task = arg;
    printf("task %d begins\n", task->number);
    int rc = weft_sleep(WEFT_SEC(task->seconds));
    if (rc < 0)
        return rc;
    printf("task %d ends after %d s\n", task->number, task->seconds);
    return 0;
}

static int
run_three(void *arg)
{
    struct task tasks[] = {{1, 2}, {2, 3}, {3, 1}};
    (void)arg;
    weft_time start = weft_now();
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, work, &tasks[i]);
    int rc = weft_group_close(&group);
    printf("all three: %.2f s\n", (double)(weft_now() - start) / 1e9);
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(run_three, NULL, &options) < 0;
}
