/*
 * test_seam.c - counters that hit the k-th event, points, and rare paths by seed.
 */
#include "t.h"
#include "base/mem.h"
#include "base/sys.h"

TestSuite(seam, .timeout = 20);
TestSuite(torture, .timeout = 20);

Test(seam, without_arming_nothing_is_hit_or_counted)
{
    cr_assert(!weft__torture_hit(WEFT__TORTURE_CANCEL));
    cr_assert(weft__torture_disarm(WEFT__TORTURE_CANCEL) == 0);
}

Test(seam, k_0_only_counts)
{
    weft__torture_arm(WEFT__TORTURE_CANCEL, 0, true, 0);
    for (int i = 0; i < 5; i++)
        cr_assert(!weft__torture_hit(WEFT__TORTURE_CANCEL));
    cr_assert(weft__torture_disarm(WEFT__TORTURE_CANCEL) == 5);
}

Test(seam, just_the_kth_event_is_hit)
{
    weft__torture_arm(WEFT__TORTURE_DEADLINE, 3, false, 0);
    for (int i = 1; i <= 5; i++)
        cr_assert(weft__torture_hit(WEFT__TORTURE_DEADLINE) == (i == 3));
    cr_assert(weft__torture_disarm(WEFT__TORTURE_DEADLINE) == 5);
}

Test(seam, from_on_hits_the_kth_and_all_after_it)
{
    weft__torture_arm(WEFT__TORTURE_ALLOC, 3, true, 0);
    for (int i = 1; i <= 5; i++)
        cr_assert(weft__torture_hit(WEFT__TORTURE_ALLOC) == (i >= 3));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
}

Test(seam, kinds_are_counted_apart)
{
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, false, EMFILE);
    cr_assert(weft__torture_hit(WEFT__TORTURE_SYSCALL));
    cr_assert(weft__torture_errno() == EMFILE);
    cr_assert(weft__torture_disarm(WEFT__TORTURE_ALLOC) == 0);
    cr_assert(weft__torture_disarm(WEFT__TORTURE_SYSCALL) == 1);
}

static int n_points;
static enum weft__point last_point;

static void
count_point(enum weft__point point)
{
    n_points++;
    last_point = point;
}

Test(seam, a_point_calls_the_hook_if_there_is_one)
{
    WEFT_POINT(WEFT__POINT_PARK);
    weft__point_hook = count_point;
    WEFT_POINT(WEFT__POINT_PARK);
    weft__point_hook = NULL;
    WEFT_POINT(WEFT__POINT_OTHER);
    cr_assert(n_points == 1 && last_point == WEFT__POINT_PARK);
}

Test(seam, rare_paths_are_off_without_a_seed)
{
    for (int i = 0; i < 1000; i++)
        cr_assert(!WEFT_BUGGIFY(1));
}

Test(seam, rare_paths_come_about_once_in_n)
{
    weft__buggify_seed(42);
    int taken = 0;
    for (int i = 0; i < 10000; i++)
        taken += WEFT_BUGGIFY(10);
    cr_assert(taken > 800 && taken < 1200, "%d", taken);
}

Test(seam, a_seed_takes_the_same_rare_paths_again)
{
    bool first[200];
    weft__buggify_seed(7);
    for (int i = 0; i < 200; i++)
        first[i] = WEFT_BUGGIFY(3);
    weft__buggify_seed(7);
    for (int i = 0; i < 200; i++)
        cr_assert(WEFT_BUGGIFY(3) == first[i]);
}

/* Opens two descriptors and a block, and cleans up whatever fails. */
static void
careful(void *arg)
{
    int *n_runs = arg;
    ++*n_runs;
    int fds[2];
    if (weft__sys_pipe(fds) < 0)
        return;
    char *block = weft__alloc_zeroed(10);
    if (block != NULL) {
        (void)!weft__sys_write(fds[1], block, 1);
        weft__free(block);
    }
    weft__sys_close(fds[0]);
    weft__sys_close(fds[1]);
}

Test(torture, visits_every_event_of_a_kind)
{
    int n_runs = 0;
    cr_assert(t_torture(WEFT__TORTURE_SYSCALL, careful, &n_runs) == 2);
    cr_assert(n_runs == 3);
    n_runs = 0;
    cr_assert(t_torture(WEFT__TORTURE_ALLOC, careful, &n_runs) == 1);
    cr_assert(n_runs == 2);
}

static void
ten_allocations(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        weft__free(weft__alloc(1));
}

static uint64_t visited[16];
static int n_visited;

static void
note_visit(void *arg, uint64_t k)
{
    (void)arg;
    visited[n_visited++] = k;
}

Test(torture, a_maximum_spreads_the_visits)
{
    struct t_torture torture = {
        .kind = WEFT__TORTURE_ALLOC, .max = 4, .scenario = ten_allocations, .check = note_visit};
    cr_assert(t_torture_run(&torture) == 4);
    uint64_t wanted[] = {0, 1, 4, 7, 10};
    cr_assert(n_visited == 5);
    for (int i = 0; i < 5; i++)
        cr_assert(visited[i] == wanted[i]);
}
