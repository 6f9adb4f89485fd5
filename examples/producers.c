/*
 * producers.c - producers put items at random moments, consumers take them; neither side knows
 * the number of the other. Joining the queue, and then cancelling the consumers, ends it.
 *
 * asyncio: Queue.join(), task.cancel(). Usage: producers [PRODUCERS [CONSUMERS]]. Virtual clock.
 */
#include <stdio.h>
#include <stdlib.h>

#include <weft.h>

struct item {
    int value;
    weft_time made;
};

struct member {
    weft_queue *queue;
    int number;
    uint64_t random; /* a generator of its own, so that its numbers are the same in any order */
};

static weft_time
random_time(struct member *member)
{
    member->random = member->random * 6364136223846793005u + 1442695040888963407u;
    return WEFT_MS(member->random >> 33 & 4095);
}

static int
produce(void *arg)
{
    struct member *self = arg;
    for (int i = 0; i < 3; i++) {
        int rc = weft_sleep(random_time(self));
        struct item item = {.value = 10 * self->number + i, .made = weft_now()};
        if (rc == 0)
            rc = weft_queue_put(self->queue, &item);
        if (rc < 0)
            return rc;
        printf("%6.3f  producer %d put %d\n", (double)weft_now() / 1e9, self->number, item.value);
    }
    return 0;
}

static int
consume(void *arg)
{
    struct member *self = arg;
    struct item item;
    int rc;
    while ((rc = weft_queue_get(self->queue, &item)) == 0) {
        printf("%6.3f  consumer %d got %d after %.3f s\n", (double)weft_now() / 1e9, self->number,
               item.value, (double)(weft_now() - item.made) / 1e9);
        rc = weft_sleep(random_time(self));
        weft_queue_task_done(self->queue);
        if (rc < 0)
            break;
    }
    return rc; /* -ECANCELED, in the end */
}

static int
connect_them(void *arg)
{
    const int *counts = arg;
    weft_queue *queue;
    int rc = weft_queue_new(&queue, sizeof(struct item), NULL);
    if (rc < 0)
        return rc;
    struct member members[64];
    weft_group producers, consumers;
    weft_group_open(&consumers, NULL);
    weft_group_open(&producers, NULL);
    for (int i = 0; i < counts[0] + counts[1]; i++) {
        int produces = i < counts[0];
        int number = produces ? i : i - counts[0];
        members[i] = (struct member){queue, number, .random = 444 + 1000003 * (uint64_t)i};
        weft_group_spawn(produces ? &producers : &consumers, produces ? produce : consume,
                         &members[i]);
    }
    rc = weft_group_close(&producers);
    if (rc == 0)
        rc = weft_queue_join(queue);
    weft_group_cancel(&consumers); /* they wait for items that will not come */
    int closed = weft_group_close(&consumers);
    printf("the work is done, the consumers say %s\n", weft_errname(closed));
    weft_queue_free(queue);
    return rc;
}

int
main(int argc, char **argv)
{
    int counts[] = {argc > 1 ? atoi(argv[1]) : 3, argc > 2 ? atoi(argv[2]) : 2};
    if (counts[0] < 1 || counts[0] > 32 || counts[1] < 1 || counts[1] > 32)
        return fprintf(stderr, "usage: producers [1..32 [1..32]]\n"), 2;
    return weft_run(connect_them, counts, &(weft_options){.clock = WEFT_CLOCK_VIRTUAL}) < 0;
}
