/*
 * test_stress_future.c - futures, promises and waits between two loops and two plain threads, with
 * cancellations at random: every value has one owner, every callback is called or taken back,
 * every task is handed out once.
 */
#include <errno.h>

#include <weft/future.h>
#include <weft/group.h>
#include <weft/promise.h>
#include <weft/wait.h>

#include "t_stress.h"
#include "base/lock.h"

TestSuite(stress_future, .timeout = 120);

static uint32_t made, taken, wrong, rounds, ended_waits;
static weft_time end;
static uint64_t seed;

/* ---- Promises: places through which givers and takers meet ---------------------------------- */

#define PLACES 4

/* A promise that a giver has put here, and references for those who want its future. */
struct place {
    struct weft__lock lock;
    weft_promise *promise;
    weft_future *future;
};

static struct place places[PLACES];

struct user {
    uint64_t random;
    uint32_t done;
    bool is_thread;
};

static void
own(void *value)
{
    if (value == NULL)
        return;
    weft__fetch_add(&taken, 1);
    free(value);
}

/* A promise as it comes, kept at the place; what was there is given its end. */
static void
put(struct place *place)
{
    weft_promise *promise = NULL, *old;
    weft_future *future = NULL, *old_future;
    if (weft_promise_new(&promise, &future) < 0)
        return;
    weft__lock(&place->lock);
    old = place->promise;
    old_future = place->future;
    place->promise = promise;
    place->future = future;
    weft__unlock(&place->lock);
    if (old == NULL)
        return;
    weft_promise_free(old); /* often without a result */
    own(weft_future_take(old_future));
    weft_future_unref(old_future);
}

static weft_future *
get(struct place *place)
{
    weft_future *future = NULL;
    weft__lock(&place->lock);
    if (place->future != NULL)
        future = weft_future_ref(place->future);
    weft__unlock(&place->lock);
    return future;
}

/* A value for it, or a failure, or a cancelling: by any holder. */
static void
give(weft_future *future, uint32_t how)
{
    if (how == 0) {
        weft_future_cancel(future);
        return;
    }
    if (how == 1) {
        weft_future_fail(future, -EIO, "as told");
        return;
    }
    void *value = malloc(8);
    weft__fetch_add(&made, 1);
    if (weft_future_set_value(future, value) < 0)
        own(value);
}

static void
count_call(void *arg, int result)
{
    (void)result;
    weft__fetch_add((uint32_t *)arg, 1);
}

/* The callback's memory is this frame: it must be over, or taken back, by the end. */
static void
want(struct user *user, weft_future *future)
{
    weft_future_callback callback;
    uint32_t calls = 0;
    int result;
    weft_future_on_done(future, &callback, count_call, &calls);
    int rc = weft_future_wait(future, &result);
    if (rc == 0) {
        own(weft_future_take(future));
        if (result < 0 && result != -EIO && result != -EPIPE && result != -ECANCELED)
            weft__fetch_add(&wrong, 1);
        if (result == -EIO && strcmp(weft_error_text(), "as told") != 0)
            weft__fetch_add(&wrong, 1);
        if (weft__load(&calls) != 1 || weft_future_off_done(future, &callback) != 0)
            weft__fetch_add(&wrong, 1);
        return;
    }
    weft__fetch_add(&ended_waits, 1);
    int removed = weft_future_off_done(future, &callback);
    if (!removed) {
        /* Called, or being called: the result is there, so this is soon over. */
        weft_scope shield;
        weft_shield_open(&shield, WEFT_FOREVER);
        weft_ignore(weft_future_wait(future, NULL));
        weft_ignore(weft_scope_close(&shield));
    }
    if (weft__load(&calls) != (uint32_t)!removed)
        weft__fetch_add(&wrong, 1);
    (void)user;
}

static void
one_round(struct user *user)
{
    struct place *place = &places[stress_below(&user->random, PLACES)];
    uint32_t what = stress_below(&user->random, 8);
    weft__fetch_add(&rounds, 1);
    if (what == 0) {
        put(place);
        return;
    }
    weft_future *future = get(place);
    if (future == NULL)
        return;
    /* A thread's wait cannot be ended: it waits for what is given already. */
    if (what < 4)
        give(future, stress_below(&user->random, 6));
    else if (!user->is_thread || weft_future_done(future))
        want(user, future);
    weft_future_unref(future);
}

static void *
meet_on_thread(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end))
        one_round(user);
    weft__store(&user->done, 1);
    return NULL;
}

static int
meet_in_task(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&user->random, 60)));
        one_round(user);
        weft_ignore(weft_scope_close(&scope));
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
meet_everywhere(void *arg)
{
    (void)arg;
    struct user threads[2], tasks[8];
    pthread_t handles[2];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = (struct user){.random = seed + i, .is_thread = true};
        handles[i] = t_thread(meet_on_thread, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 8; i++) {
        tasks[i] = (struct user){.random = seed + 100 + i};
        weft_group_spawn_with(&group, meet_in_task, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    int rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        stress_join(handles[i], &threads[i].done);
    for (int i = 0; i < PLACES; i++) {
        if (places[i].promise == NULL)
            continue;
        weft_promise_free(places[i].promise);
        own(weft_future_take(places[i].future));
        weft_future_unref(places[i].future);
    }
    return rc;
}

Test(stress_future, every_value_has_one_owner)
{
    seed = stress_seed("futures");
    stress_run(meet_everywhere, NULL);
    fprintf(stderr, "stress: %u rounds, %u values, %u waits ended\n", rounds, made, ended_waits);
    cr_assert(weft__load(&wrong) == 0, "%u times something was wrong", wrong);
    cr_assert(made == taken, "%u made, %u taken", made, taken);
    cr_assert(rounds > 50 && made > 0 && ended_waits > 0);
}

/* ---- Waits over tasks of two loops ---------------------------------------------------------- */

#define TASKS 24

static int
short_life(void *arg)
{
    intptr_t us = (intptr_t)arg;
    int rc = us == 0 ? weft_yield() : weft_sleep(WEFT_US(us));
    return rc < 0 ? rc : (int)us;
}

struct batch {
    weft_task *tasks[TASKS];
    int us[TASKS];
    size_t n;
};

/* All, through each kind of wait, some cut short by deadlines; from a task or a thread. */
static void
see_all(struct batch *batch, uint64_t *random, bool is_thread)
{
    weft_outcome outcomes[TASKS];
    weft_as_completed completed;
    weft_scope scope;
    unsigned seen[TASKS] = {0};
    size_t given = 0, index;
    size_t stop = stress_below(random, (uint32_t)batch->n + 1);
    int result, done;
    weft_wait_mode mode = (weft_wait_mode)stress_below(random, 3);
    if (!is_thread)
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(random, 80)));
    done = weft_wait(batch->tasks, batch->n, mode, outcomes);
    if (!is_thread)
        weft_ignore(weft_scope_close(&scope));
    if (done < 0)
        weft__fetch_add(&ended_waits, 1);
    for (size_t i = 0; done > 0 && i < batch->n; i++) {
        done -= outcomes[i].done;
        if (outcomes[i].done && outcomes[i].result != batch->us[i])
            weft__fetch_add(&wrong, 1);
        if (i + 1 == batch->n && done != 0)
            weft__fetch_add(&wrong, 1);
    }
    if (weft_as_completed_open(&completed, batch->tasks, batch->n) < 0)
        return;
    while (given < stop) {
        if (!is_thread)
            weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(random, 20)));
        int rc = weft_as_completed_next(&completed, &index, &result);
        if (!is_thread)
            weft_ignore(weft_scope_close(&scope));
        if (rc < 0) {
            weft__fetch_add(&ended_waits, 1);
            continue;
        }
        if (rc != 1 || seen[index]++ > 0 || result != batch->us[index])
            weft__fetch_add(&wrong, 1);
        given++;
    }
    weft_as_completed_close(&completed);
    memset(&completed, 0xa5, sizeof completed);
    weft__fetch_add(&rounds, 1);
}

struct watcher {
    struct batch *batch;
    uint64_t random;
    uint32_t done;
};

static void *
watch_on_thread(void *arg)
{
    struct watcher *watcher = arg;
    see_all(watcher->batch, &watcher->random, true);
    weft__store(&watcher->done, 1);
    return NULL;
}

static int
spawn_and_watch(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        struct batch batch = {.n = 1 + stress_below(&user->random, TASKS)};
        for (size_t i = 0; i < batch.n; i++) {
            uint32_t where = stress_below(&user->random, 3);
            batch.us[i] = (int)(stress_below(&user->random, 2) * stress_below(&user->random, 60));
            int rc = weft_task_spawn(
                &batch.tasks[i], short_life, T_NUMBER(batch.us[i]),
                &(weft_task_options){.on = where == 2 ? WEFT_LOOP_ANY : WEFT_ON((int)where)});
            if (rc < 0)
                return rc;
        }
        struct watcher watcher = {.batch = &batch, .random = weft__splitmix(&user->random)};
        bool shared = stress_below(&user->random, 4) == 0;
        pthread_t thread;
        shared = shared && pthread_create(&thread, NULL, watch_on_thread, &watcher) == 0;
        see_all(&batch, &user->random, false);
        while (shared && !weft__load(&watcher.done))
            weft_ignore(weft_sleep(WEFT_US(100)));
        if (shared)
            pthread_join(thread, NULL);
        for (size_t i = 0; i < batch.n; i++) {
            int result;
            if (weft_task_join(batch.tasks[i], &result) < 0 || result != batch.us[i])
                weft__fetch_add(&wrong, 1);
        }
    }
    return 0;
}

static int
watch_everywhere(void *arg)
{
    (void)arg;
    struct user users[2];
    end = weft__sys_monotonic() + stress_ns();
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 2; i++) {
        users[i] = (struct user){.random = seed + i};
        weft_group_spawn_with(&group, spawn_and_watch, &users[i],
                              &(weft_task_options){.on = WEFT_ON((int)i)});
    }
    return weft_group_close(&group);
}

Test(stress_future, every_task_is_told_of_once)
{
    seed = stress_seed("waits");
    stress_run(watch_everywhere, NULL);
    fprintf(stderr, "stress: %u rounds, %u waits ended\n", rounds, ended_waits);
    cr_assert(weft__load(&wrong) == 0, "%u times something was wrong", wrong);
    cr_assert(rounds > 10 && ended_waits > 0);
}
