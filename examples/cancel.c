/*
 * cancel.c - a cancelled task cleans up: deferred calls run, and a shield lets it say goodbye.
 *
 * asyncio: task.cancel(), finally, shield(); level-triggered as in trio: whatever the task waits
 * for from now on ends at once, until it has left. Virtual clock; --real waits in earnest.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static void
disconnect(void *arg)
{
    weft_ignore(weft_sleep(WEFT_MS(100))); /* deferred calls may wait: they are not cancelled */
    printf("  disconnected from %s\n", (const char *)arg);
}

static int
serve(void *arg)
{
    printf("  connected to %s\n", (const char *)arg);
    int rc = weft_defer(disconnect, arg);
    if (rc < 0) {
        disconnect(arg);
        return rc;
    }
    for (int i = 1; rc == 0; i++) {
        rc = weft_sleep(WEFT_MS(400));
        if (rc == 0)
            printf("  served %d\n", i);
    }
    printf("  sleep says %s, and again %s\n", weft_errname(rc),
           weft_errname(weft_sleep(WEFT_SEC(1))));

    weft_scope shield; /* a last word, and at most a second for it */
    weft_shield_open(&shield, weft_now() + WEFT_SEC(1));
    int said = weft_sleep(WEFT_MS(200));
    weft_scope_close(&shield);
    printf("  a last word under a shield: %s\n", weft_errname(said));
    return rc;
}

static int
cancel_a_task(void *arg)
{
    (void)arg;
    weft_time start = weft_now();
    weft_task *task;
    int rc = weft_task_spawn(&task, serve, "the database", NULL);
    if (rc < 0)
        return rc;
    rc = weft_sleep(WEFT_SEC(1));
    printf("cancelling\n");
    weft_task_cancel(task);
    int result = 0;
    if (rc == 0)
        rc = weft_task_join(task, &result);
    if (rc < 0) {
        weft_task_close(task);
        return rc;
    }
    printf("the task returned %s after %.2f s\n", weft_errname(result),
           (double)(weft_now() - start) / 1e9);
    return 0;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(cancel_a_task, NULL, &options) < 0;
}
