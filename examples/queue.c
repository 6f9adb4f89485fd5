/*
 * queue.c - a queue of five: a producer puts an item a second, a consumer takes it.
 *
 * asyncio: Queue, put(), get(), task_done(), join(). Virtual clock; --real waits in earnest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft.h>

#define ITEMS 5

static int
produce(void *arg)
{
    weft_queue *queue = arg;
    for (int i = 0; i < ITEMS; i++) {
        int rc = weft_sleep(WEFT_SEC(1));
        if (rc < 0)
            return rc;
        printf("putting %d\n", i);
        rc = weft_queue_put(queue, &i);
        if (rc < 0)
            return rc;
    }
    weft_queue_shutdown(queue, WEFT_DRAIN); /* that was all: gets go on until it is empty */
    return 0;
}

static int
consume(void *arg)
{
    weft_queue *queue = arg;
    int item, rc;
    while ((rc = weft_queue_get(queue, &item)) == 0) {
        printf("  got %d\n", item);
        weft_queue_task_done(queue);
    }
    return rc == -EPIPE ? 0 : rc;
}

static int
pass_on(void *arg)
{
    (void)arg;
    weft_time start = weft_now();
    weft_queue *queue;
    int rc = weft_queue_new(&queue, sizeof(int), &(weft_queue_options){.capacity = 5});
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, consume, queue);
    weft_group_spawn(&group, produce, queue);
    rc = weft_group_close(&group);
    if (rc == 0)
        rc = weft_queue_join(queue); /* all of it is done: this returns at once */
    printf("all done after %.0f s\n", (double)(weft_now() - start) / 1e9);
    weft_queue_free(queue);
    return rc;
}

int
main(int argc, char **argv)
{
    int real = argc > 1 && strcmp(argv[1], "--real") == 0;
    weft_options options = {.loops = 1, .clock = real ? WEFT_CLOCK_REAL : WEFT_CLOCK_VIRTUAL};
    return weft_run(pass_on, NULL, &options) < 0;
}
