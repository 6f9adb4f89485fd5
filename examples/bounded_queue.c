/*
 * bounded_queue.c - a queue of five, producers of three and of two items every half second, and
 * slow consumers, who leave when no item came for two seconds.
 *
 * asyncio: Queue(maxsize=5), wait_for(queue.get(), 2). Here the deadline belongs to a scope, and
 * either an item was taken or the time was up, never both and never neither. Virtual clock.
 */
#include <errno.h>
#include <stdio.h>

#include <weft.h>

struct member {
    weft_queue *queue;
    const char *name;
    int items; /* of a producer */
};

static void
say(const struct member *member, const char *what, int item)
{
    weft_queue_stats stats;
    weft_queue_stats_get(member->queue, &stats);
    printf("%4.1f  %-10s %-5s %d  (%zu in the queue)\n", (double)weft_now() / 1e9, member->name,
           what, item, stats.size);
}

static int
produce(void *arg)
{
    struct member *self = arg;
    for (int i = 1; i <= self->items; i++) {
        int item = 10 * self->items + i;
        int rc = weft_queue_put(self->queue, &item);
        if (rc == 0) {
            say(self, "put", item);
            rc = weft_sleep(WEFT_MS(500));
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
consume(void *arg)
{
    struct member *self = arg;
    for (;;) {
        int item;
        weft_scope patience;
        weft_scope_open(&patience, weft_now() + WEFT_SEC(2));
        int rc = weft_queue_get(self->queue, &item);
        if (weft_scope_close(&patience) == -ETIMEDOUT) {
            printf("%4.1f  %-10s leaves\n", (double)weft_now() / 1e9, self->name);
            return 0;
        }
        if (rc == 0) {
            say(self, "took", item);
            rc = weft_sleep(WEFT_SEC(1));
            weft_queue_task_done(self->queue);
        }
        if (rc < 0)
            return rc;
    }
}

static int
produce_and_consume(void *arg)
{
    (void)arg;
    weft_queue *queue;
    int rc = weft_queue_new(&queue, sizeof(int), &(weft_queue_options){.capacity = 5});
    if (rc < 0)
        return rc;
    struct member members[] = {{queue, "producer A", 3},
                               {queue, "producer B", 2},
                               {queue, "consumer 1", 0},
                               {queue, "consumer 2", 0}};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++)
        weft_group_spawn(&group, i < 2 ? produce : consume, &members[i]);
    rc = weft_yield(); /* so that there is something to join */
    if (rc == 0)
        rc = weft_queue_join(queue);
    printf("%4.1f  all items are done\n", (double)weft_now() / 1e9);
    int closed = weft_group_close(&group);
    weft_queue_free(queue);
    return rc < 0 ? rc : closed;
}

int
main(void)
{
    weft_options options = {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL};
    return weft_run(produce_and_consume, NULL, &options) < 0;
}
