/*
 * test_lanes.c - a runtime's own executors: one for each kind of call, made on first use.
 */
#include <semaphore.h>

#include <weft/group.h>

#include "task/t_core.h"
#include "exec/lanes.h"

TestSuite(lanes, .timeout = 60);

static int
name_of_thread(void *arg)
{
    pthread_getname_np(pthread_self(), arg, 16);
    return 0;
}

TASK_TEST(lanes, each_has_threads_of_its_own)
{
    static const char *const names[WEFT__LANES] = {"blocking/", "files/", "names/"};
    for (int i = 0; i < 2 * WEFT__LANES; i++) {
        char name[16] = "";
        T_OK(weft__lane_run((enum weft__lane_kind)(i % WEFT__LANES), name_of_thread, name, NULL));
        const char *lane = names[i % WEFT__LANES];
        cr_assert(strncmp(name, lane, strlen(lane)) == 0, "%s is none of %s", name, lane);
    }
}

static int
wait_for_gate(void *gate)
{
    while (sem_wait(gate) < 0)
        continue;
    return 0;
}

static int
occupy(void *gate)
{
    return weft__lane_run(WEFT__LANE_NAMES, wait_for_gate, gate, NULL);
}

static int
one_lane_is_full(void *arg)
{
    (void)arg;
    sem_t gate;
    cr_assert(sem_init(&gate, 0, 0) == 0);
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 50; i++)
        weft_group_spawn(&group, occupy, &gate);
    T_OK(weft_yield());
    T_ERR(7, weft__lane_run(WEFT__LANE_FILES, t_give, T_NUMBER(7), NULL));
    for (int i = 0; i < 50; i++)
        sem_post(&gate);
    T_OK(weft_group_close(&group));
    sem_destroy(&gate);
    return 0;
}

Test(lanes, calls_of_one_do_not_wait_for_those_of_another)
{
    t_run_loops(one_lane_is_full, NULL, 1);
}

static uint32_t n_given_back;
static uint32_t n_run;

static void
give_back(void *arg)
{
    (void)arg;
    weft__fetch_add(&n_given_back, 1);
}

static int
run_with_abandon(void *arg)
{
    static const weft_blocking_options options = {.abandon = give_back};
    n_run++;
    return weft__lane_run(WEFT__LANE_NAMES, t_give, arg, &options);
}

static void *
on_a_private_loop(void *arg)
{
    (void)arg;
    weft_ignore(weft_run_here(run_with_abandon, T_NUMBER(7)));
    return NULL;
}

Test(lanes, an_argument_to_abandon_is_given_back_once_wherever_the_call_runs)
{
    T_ERR(5, run_with_abandon(T_NUMBER(5))); /* on this plain thread */
    cr_assert(weft__load(&n_given_back) == 1);
    T_ERR(6, weft_run(run_with_abandon, T_NUMBER(6), NULL));
    cr_assert(weft__load(&n_given_back) == 2);
    t_thread_join(t_thread(on_a_private_loop, NULL));
    cr_assert(weft__load(&n_given_back) == 3);
}

static void
abandoned_or_not(void *arg)
{
    (void)arg;
    weft__store(&n_given_back, 0);
    n_run = 0;
    weft_ignore(weft_run(run_with_abandon, T_NUMBER(1),
                         &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
}

static void
given_back_as_often_as_handed_over(void *arg, uint64_t k)
{
    (void)arg, (void)k;
    cr_assert(weft__load(&n_given_back) == n_run);
}

Test(lanes, an_allocation_that_fails_gives_the_argument_back)
{
    t_torture(WEFT__TORTURE_ALLOC, abandoned_or_not, NULL);
    t_torture_run(&(struct t_torture){.kind = WEFT__TORTURE_ALLOC,
                                      .scenario = abandoned_or_not,
                                      .check = given_back_as_often_as_handed_over});
}
