/*
 * locks.c - an event that starts everybody, a semaphore of two, a condition for the orders.
 *
 * asyncio.Event, Semaphore and Condition under their own names. Time is virtual, so what is
 * printed is the same each time, and at once.
 */
#include <stdio.h>

#include <weft.h>

static weft_event open_for_business;
static weft_semaphore ovens;
static weft_mutex counter;
static weft_cond served;
static int ready, eaten;

static int
bake(void *arg)
{
    int rc = weft_event_wait(&open_for_business);
    if (rc < 0)
        return rc;
    rc = weft_semaphore_acquire(&ovens); /* two at a time, first come first served */
    if (rc < 0)
        return rc;
    printf("%3d ms  %s goes into the oven\n", (int)(weft_now() / WEFT_MS(1)), (const char *)arg);
    rc = weft_sleep(WEFT_MS(100));
    weft_semaphore_release(&ovens);
    if (rc == 0)
        rc = weft_mutex_lock(&counter);
    if (rc < 0)
        return rc;
    ready++;
    weft_mutex_unlock(&counter);
    weft_cond_notify(&served);
    return 0;
}

static int
something_is_ready(void *arg)
{
    (void)arg;
    return ready > 0;
}

static int
eat(void *arg)
{
    int rc = weft_mutex_lock(&counter);
    if (rc < 0)
        return rc;
    rc = weft_cond_wait_for(&served, &counter, something_is_ready, NULL);
    if (rc == 0) {
        ready--;
        eaten++;
        printf("%3d ms  %s eats\n", (int)(weft_now() / WEFT_MS(1)), (const char *)arg);
    }
    weft_mutex_unlock(&counter); /* held again, also after a cancellation */
    return rc;
}

static int
bakery(void *arg)
{
    (void)arg;
    static const char *const loaves[] = {"rye", "wheat", "oat", "spelt"};
    static const char *const guests[] = {"Ada", "Bob", "Cem", "Dot"};
    weft_event_open(&open_for_business);
    weft_mutex_open(&counter, &(weft_mutex_options){.name = "counter", .local = 1});
    weft_cond_open(&served);
    int rc = weft_semaphore_open(&ovens, 2);
    if (rc < 0)
        return rc;

    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++) {
        weft_group_spawn(&group, eat, (void *)(uintptr_t)guests[i]);
        weft_group_spawn(&group, bake, (void *)(uintptr_t)loaves[i]);
    }
    rc = weft_sleep(WEFT_MS(50));
    printf("%3d ms  open\n", (int)(weft_now() / WEFT_MS(1)));
    weft_event_set(&open_for_business);
    int closed = weft_group_close(&group);
    printf("%d served\n", eaten);

    weft_semaphore_close(&ovens);
    weft_cond_close(&served);
    weft_mutex_close(&counter);
    weft_event_close(&open_for_business);
    return rc < 0 ? rc : closed;
}

int
main(void)
{
    return weft_run(bakery, NULL, &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL}) < 0;
}
