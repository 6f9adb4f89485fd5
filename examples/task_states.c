/*
 * task_states.c - tasks in the background, what state each is in, and their results in order.
 *
 * asyncio: task.done(), task.cancelled(), task.result(). A takes 1 s, B 2 s, C 1.5 s; D takes
 * forever and is cancelled. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

#define TASKS 4

static int
work(void *arg)
{
    weft_time duration = *(weft_time *)arg;
    int rc = weft_sleep(duration);
    return rc < 0 ? rc : (int)(duration / WEFT_MS(1));
}

static void
print_states(const char *when, weft_task *const *tasks)
{
    static const char *const words[] = {[WEFT_TASK_NEW] = "new",
                                        [WEFT_TASK_READY] = "ready",
                                        [WEFT_TASK_RUNNING] = "running",
                                        [WEFT_TASK_WAITING] = "waiting",
                                        [WEFT_TASK_DONE] = "done",
                                        [WEFT_TASK_FAILED] = "failed",
                                        [WEFT_TASK_CANCELLED] = "cancelled"};
    printf("%s:", when);
    for (int i = 0; i < TASKS; i++)
        printf(" %s %s%s", weft_task_name(tasks[i]), words[weft_task_get_state(tasks[i])],
               i < TASKS - 1 ? "," : "\n");
}

static int
watch(weft_task *const *tasks)
{
    print_states("spawned", tasks);
    int rc = weft_sleep(WEFT_MS(500));
    if (rc < 0)
        return rc;
    print_states("after 0.5 s of main's own work", tasks);
    rc = weft_sleep(WEFT_MS(750));
    if (rc < 0)
        return rc;
    print_states("after 1.25 s", tasks);
    weft_task_cancel(tasks[3]);
    for (int i = 0; i < TASKS; i++) {
        int result;
        rc = weft_task_await(tasks[i], &result);
        if (rc < 0)
            return rc;
        if (result < 0)
            printf("%s: %s\n", weft_task_name(tasks[i]), weft_strerror(result));
        else
            printf("%s: worked for %d ms\n", weft_task_name(tasks[i]), result);
    }
    print_states("in the end", tasks);
    return 0;
}

static int
manage(void *arg)
{
    static weft_time durations[TASKS] = {WEFT_SEC(1), WEFT_SEC(2), WEFT_MS(1500), WEFT_FOREVER};
    static const char *const names[TASKS] = {"A", "B", "C", "D"};
    weft_task *tasks[TASKS] = {NULL};
    (void)arg;
    int rc = 0;
    for (int i = 0; i < TASKS && rc == 0; i++)
        rc =
            weft_task_spawn(&tasks[i], work, &durations[i], &(weft_task_options){.name = names[i]});
    if (rc == 0)
        rc = watch(tasks);
    for (int i = 0; i < TASKS; i++)
        weft_task_close(tasks[i]); /* NULL is fine; what still runs ends with weft_run */
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(manage, NULL, &options) < 0;
}
