/*
 * test_stress_gens.c - generators on two loops and on the private loops of two threads, pulled in
 * scopes that end at random and left early at random: all that began end, and values are in order.
 */
#include <errno.h>

#include <weft/gen.h>
#include <weft/group.h>

#include "t_stress.h"

TestSuite(stress_gens, .timeout = 120);

#define TASKS 8

struct user {
    uint64_t random;
    uint32_t done;
};

static uint32_t begun, ended, wrong, pulled, closed_early, timed_out;
static weft_time end;
static uint64_t seed;

static void
note_end(void *arg)
{
    (void)arg;
    if (weft_yield() < 0)
        weft__fetch_add(&wrong, 1); /* deferred functions are not cancelled */
    weft__fetch_add(&ended, 1);
}

struct stretch {
    uint64_t random;
    uint32_t from;
    uint32_t n;
};

/* The numbers of the stretch in order: some itself, some from others. */
static int
numbers(weft_gen *gen, void *arg)
{
    struct stretch me = *(struct stretch *)arg;
    weft__fetch_add(&begun, 1);
    int rc = weft_defer(note_end, NULL);
    while (rc >= 0 && me.n > 0) {
        uint32_t what = stress_below(&me.random, 8);
        if (what > 2 || me.n < 4) {
            rc = what == 3 ? weft_sleep(WEFT_US(5)) : what == 4 ? weft_yield() : 0;
            if (rc >= 0)
                rc = weft_gen_yield(gen, &me.from, NULL);
            me.from++;
            me.n--;
            continue;
        }
        struct stretch part = {weft__splitmix(&me.random), me.from, 1 + me.n / 3};
        weft_gen inner;
        rc = weft_gen_open(&inner, sizeof(uint32_t), numbers, &part, NULL);
        if (rc < 0)
            break;
        uint32_t value;
        if (what == 0)
            rc = weft_gen_delegate(gen, &inner);
        else
            while ((rc = weft_gen_next(&inner, &value)) > 0)
                if ((rc = weft_gen_yield(gen, &value, NULL)) < 0)
                    break;
        weft_gen_close(&inner);
        me.from += part.n;
        me.n -= part.n;
    }
    return rc;
}

static int
pull_numbers(void *arg)
{
    struct user *user = arg;
    while (stress_goes_on(end)) {
        struct stretch stretch = {weft__splitmix(&user->random), 0,
                                  stress_below(&user->random, 60)};
        uint32_t value = 0, expected = 0, most = stress_below(&user->random, 80);
        weft_gen gen;
        int rc = weft_gen_open(&gen, sizeof value, numbers, &stretch, NULL);
        if (rc < 0)
            return rc;
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&user->random, 300)));
        while (expected < most && (rc = weft_gen_next(&gen, &value)) > 0)
            if (value != expected++)
                weft__fetch_add(&wrong, 1);
        if (rc == 0 && expected != stretch.n && most > 0)
            weft__fetch_add(&wrong, 1);
        weft__fetch_add(&pulled, expected);
        weft__fetch_add(rc < 0 ? &timed_out : &closed_early, rc != 0);
        weft_gen_close(&gen);
        weft_ignore(weft_scope_close(&scope));
        rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void *
pull_in_thread(void *arg)
{
    struct user *user = arg;
    if (weft_run_here(pull_numbers, user) < 0)
        weft__fetch_add(&wrong, 1);
    weft__store(&user->done, 1);
    return NULL;
}

static int
pull_everywhere(void *arg)
{
    (void)arg;
    struct user threads[2], tasks[TASKS];
    pthread_t handles[2];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = (struct user){.random = seed + i};
        handles[i] = t_thread(pull_in_thread, &threads[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        tasks[i] = (struct user){.random = seed + 100 + i};
        weft_group_spawn_with(&group, pull_numbers, &tasks[i],
                              &(weft_task_options){.on = WEFT_ON((int)i % 2)});
    }
    int rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        stress_join(handles[i], &threads[i].done);
    return rc;
}

Test(stress_gens, all_that_begin_end_and_values_are_in_order)
{
    seed = stress_seed("gens");
    stress_run(pull_everywhere, NULL);
    fprintf(stderr, "stress: %u values of %u generators, %u closed early, %u timed out\n", pulled,
            begun, closed_early, timed_out);
    cr_assert(weft__load(&wrong) == 0, "%u times wrong", wrong);
    cr_assert(begun == ended, "%u begun, %u ended", begun, ended);
    cr_assert(pulled > 50 && closed_early > 0 && timed_out > 0);
}
