/*
 * background.c - a task goes on in the background while its spawner works, and is awaited.
 *
 * asyncio: create_task(), later await. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
background(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_SEC(2));
    if (rc < 0)
        return rc;
    printf("background done\n");
    return 0;
}

static int
foreground(void *arg)
{
    (void)arg;
    weft_task *task;
    int rc = weft_task_spawn(&task, background, NULL, NULL);
    if (rc < 0)
        return rc;
    printf("main running\n");
    rc = weft_sleep(WEFT_SEC(1));
    if (rc < 0) {
        weft_task_cancel(task);
        weft_task_close(task);
        return rc;
    }
    printf("main done\n");

    int result;
    rc = weft_task_join(task, &result);
    if (rc < 0) { /* we were cancelled, not the task: its handle is still ours */
        weft_task_close(task);
        return rc;
    }
    return result;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(foreground, NULL, &options) < 0;
}
