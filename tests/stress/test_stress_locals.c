/*
 * test_stress_locals.c - values that tasks on two loops, calls and plain threads set, inherit and
 * leave: each is destroyed once, and nobody sees one that has been.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/local.h>

#include "t_stress.h"

TestSuite(stress_locals, .timeout = 120);

#define LIVE UINT32_C(0x600d600d)

struct value {
    uint32_t magic;
};

static uint32_t made, destroyed, wrong, looks;
static weft_time end;
static uint64_t seed;

static struct value *
value_new(void)
{
    struct value *value = malloc(sizeof *value);
    value->magic = LIVE;
    weft__fetch_add(&made, 1);
    return value;
}

static void
value_destroy(void *arg)
{
    struct value *value = arg;
    if (weft__exchange(&value->magic, 0) != LIVE)
        weft__fetch_add(&wrong, 1);
    weft__fetch_add(&destroyed, 1);
    free(value);
}

static void *
value_copy(void *arg)
{
    struct value *value = arg;
    if (weft__load(&value->magic) != LIVE)
        weft__fetch_add(&wrong, 1);
    return value_new();
}

static weft_local keys[3] = {{.destroy = value_destroy},
                             {.destroy = value_destroy},
                             {.destroy = value_destroy, .copy = value_copy}};

struct user {
    uint64_t random;
    uint32_t depth;
    uint32_t done;
};

static void
look_and_set(uint64_t *random)
{
    for (int i = 0; i < 3; i++) {
        struct value *value = weft_local_get(&keys[i]);
        if (value != NULL && weft__load(&value->magic) != LIVE)
            weft__fetch_add(&wrong, 1);
        weft__fetch_add(&looks, 1);
    }
    uint32_t what = stress_below(random, 8);
    if (what < 4)
        weft_ignore(weft_local_set(&keys[what % 3], what == 3 ? NULL : value_new()));
}

static int
live(void *arg)
{
    struct user me = *(struct user *)arg;
    struct user children[3];
    look_and_set(&me.random);
    if (me.depth == 0)
        return stress_below(&me.random, 2) == 0 ? weft_yield() : 0;
    for (int i = 0; i < 3; i++)
        children[i] = (struct user){.random = weft__splitmix(&me.random), .depth = me.depth - 1};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 2; i++) {
        weft_group_spawn_with(
            &group, live, &children[i],
            &(weft_task_options){.on = WEFT_ON((int)stress_below(&me.random, 2))});
        look_and_set(&me.random);
    }
    if (stress_below(&me.random, 6) == 0)
        weft_group_cancel(&group);
    int rc = weft_group_close(&group);
    if (rc == 0)
        rc = weft_loop_call(weft_loop_at(stress_below(&me.random, 2)), live, &children[2]);
    look_and_set(&me.random);
    return rc == -ECANCELED ? 0 : rc;
}

static int
live_on(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        user->depth = 3;
        int rc = live(user);
        weft__splitmix(&user->random);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static weft_loop *loops[2];

static void *
live_in_thread(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        look_and_set(&user->random);
        struct user child = {.random = weft__splitmix(&user->random), .depth = 1};
        if (weft_loop_call(loops[stress_below(&user->random, 2)], live, &child) < 0)
            weft__fetch_add(&wrong, 1);
    }
    weft__store(&user->done, 1);
    return NULL;
}

static int
live_everywhere(void *arg)
{
    (void)arg;
    struct user threads[2], tasks[4];
    pthread_t handles[2];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < 2; i++)
        loops[i] = weft_loop_at(i);
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = (struct user){.random = seed + i};
        handles[i] = t_thread(live_in_thread, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 4; i++) {
        tasks[i] = (struct user){.random = seed + 100 + i};
        weft_group_spawn_with(&group, live_on, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    int rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        stress_join(handles[i], &threads[i].done);
    return rc;
}

Test(stress_locals, each_value_is_destroyed_once)
{
    seed = stress_seed("locals");
    stress_run(live_everywhere, NULL);
    fprintf(stderr, "stress: %u values, %u looks\n", made, looks);
    cr_assert(weft__load(&wrong) == 0, "%u times wrong", wrong);
    cr_assert(made == destroyed, "%u made, %u destroyed", made, destroyed);
    cr_assert(made > 50);
}
