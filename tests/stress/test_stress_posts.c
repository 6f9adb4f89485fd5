/*
 * test_stress_posts.c - posts from loops and plain threads: each is called once, in the order of
 * its sender, whether the loop sleeps, spins or works.
 */
#include "t_stress.h"

TestSuite(stress_posts, .timeout = 120);

#define SENDERS 4
#define WINDOW 4096

static struct sender {
    uint64_t random;
    weft_loop *loops[2];
    weft_time end;
    uint32_t sent[2];     /* to each loop */
    uint32_t received[2]; /* atomic: called there */
    uint32_t wrong;       /* atomic */
    uint32_t done;
    struct slot {
        struct sender *sender;
        uint32_t number;
        uint32_t loop;
        uint32_t busy;
    } slots[2][WINDOW];
} senders[SENDERS];

static void
receive(void *arg)
{
    struct slot *slot = arg;
    struct sender *sender = slot->sender;
    if (slot->number != weft__fetch_add(&sender->received[slot->loop], 1) ||
        weft_loop_current() != sender->loops[slot->loop])
        weft__fetch_add(&sender->wrong, 1);
    weft__store(&slot->busy, 0);
}

/* Sends one; false when the window is full. */
static bool
send_one(struct sender *sender)
{
    uint32_t loop = stress_below(&sender->random, 2);
    struct slot *slot = &sender->slots[loop][sender->sent[loop] % WINDOW];
    if (weft__load(&slot->busy))
        return false;
    *slot = (struct slot){sender, sender->sent[loop]++, loop, 1};
    if (weft_loop_post(sender->loops[loop], receive, slot) < 0)
        weft__fetch_add(&sender->wrong, 1);
    return true;
}

static void *
send_from_thread(void *arg)
{
    struct sender *sender = arg;
    while (stress_goes_on(sender->end)) {
        uint32_t burst = stress_below(&sender->random, 300);
        while (burst-- > 0 && send_one(sender))
            continue;
        /* Long enough, now and then, for the loops to fall asleep. */
        if (stress_below(&sender->random, 8) == 0)
            nanosleep(&(struct timespec){.tv_nsec = stress_below(&sender->random, 300000)}, NULL);
    }
    weft__store(&sender->done, 1);
    return NULL;
}

static int
send_from_task(void *arg)
{
    struct sender *sender = arg;
    while (stress_goes_on(sender->end)) {
        uint32_t burst = stress_below(&sender->random, 100);
        while (burst-- > 0 && send_one(sender))
            continue;
        int rc = weft_sleep(WEFT_US(stress_below(&sender->random, 200)));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
send_from_everywhere(void *arg)
{
    (void)arg;
    weft_time end = weft__sys_monotonic() + stress_ns();
    uint64_t seed = stress_seed("posts");
    pthread_t threads[2];
    weft_task *tasks[2];
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i].random = seed + i;
        senders[i].end = end;
        for (unsigned l = 0; l < 2; l++)
            senders[i].loops[l] = weft_loop_at(l);
    }
    for (int i = 0; i < 2; i++) {
        threads[i] = t_thread(send_from_thread, &senders[i]);
        T_OK(weft_task_spawn(&tasks[i], send_from_task, &senders[2 + i],
                             &(weft_task_options){.on = WEFT_ON(i)}));
    }
    for (int i = 0; i < 2; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        stress_join(threads[i], &senders[i].done);
    }
    return 0;
}

Test(stress_posts, each_is_called_once_and_in_order)
{
    stress_run(send_from_everywhere, NULL);
    uint64_t sum = 0;
    for (int i = 0; i < SENDERS; i++) {
        cr_assert(weft__load(&senders[i].wrong) == 0, "sender %d: %u", i, senders[i].wrong);
        for (int l = 0; l < 2; l++) {
            cr_assert(senders[i].sent[l] == weft__load(&senders[i].received[l]),
                      "sender %d to loop %d: %u of %u", i, l, senders[i].received[l],
                      senders[i].sent[l]);
            sum += senders[i].sent[l];
        }
    }
    fprintf(stderr, "stress: %" PRIu64 " posts\n", sum);
    cr_assert(sum > 100);
}

/* ---- Runtimes that come and go under a thread that posts ------------------------------------- */

static pthread_mutex_t target_lock = PTHREAD_MUTEX_INITIALIZER;
static weft_loop *target; /* under the lock: a loop that is alive */
static uint32_t stop_posting, accepted, called;

static void
count_call(void *arg)
{
    (void)arg;
    weft__fetch_add(&called, 1);
}

static void *
post_whenever_possible(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    while (!weft__load(&stop_posting)) {
        pthread_mutex_lock(&target_lock);
        for (uint32_t n = stress_below(&random, 20); target != NULL && n > 0; n--)
            if (weft_loop_post(target, count_call, NULL) == 0)
                weft__fetch_add(&accepted, 1);
        pthread_mutex_unlock(&target_lock);
        if (stress_below(&random, 4) == 0)
            sched_yield();
    }
    return NULL;
}

static int
be_posted_to(void *arg)
{
    uint64_t *random = arg;
    pthread_mutex_lock(&target_lock);
    target = weft_loop_at(stress_below(random, 2));
    pthread_mutex_unlock(&target_lock);
    int rc = weft_sleep(WEFT_US(stress_below(random, 500)));
    pthread_mutex_lock(&target_lock);
    target = NULL;
    pthread_mutex_unlock(&target_lock);
    return rc;
}

Test(stress_posts, runtimes_start_and_stop_under_posts)
{
    uint64_t random = stress_seed("runtimes");
    pthread_t thread = t_thread(post_whenever_possible, T_NUMBER(random >> 1));
    for (int i = 0; i < 200 / T_SLOW; i++)
        T_OK(weft_run(be_posted_to, &random,
                      &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
    weft__store(&stop_posting, 1);
    t_thread_join(thread);
    fprintf(stderr, "stress: %u posts\n", accepted);
    cr_assert(weft__load(&accepted) == weft__load(&called), "%u accepted, %u called", accepted,
              called);
}
