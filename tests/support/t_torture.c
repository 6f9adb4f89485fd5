/*
 * t_torture.c - runs a scenario once for each event that can go wrong in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "t.h"

static const char *const kind_names[WEFT__TORTURE_KINDS] = {
    [WEFT__TORTURE_CANCEL] = "cancel",
    [WEFT__TORTURE_DEADLINE] = "deadline",
    [WEFT__TORTURE_ALLOC] = "alloc",
    [WEFT__TORTURE_SYSCALL] = "syscall",
};

/* One run with event k hit; the number of events that it had. */
static uint64_t
torture_once(const struct t_torture *torture, uint64_t k)
{
    struct t_leak before;
    t_leak_take(&before);
    int error = torture->error != 0 ? torture->error : EIO;
    weft__torture_arm(torture->kind, k, torture->from_on, error);
    torture->scenario(torture->arg);
    uint64_t n = weft__torture_disarm(torture->kind);

    if (torture->check != NULL) {
        torture->check(torture->arg, k);
        return n;
    }
    char text[1024];
    bool clean = t_leak_check(&before, text, sizeof text);
    cr_assert(clean, "torture: %s %" PRIu64 " left behind: %s", kind_names[torture->kind], k, text);
    return n;
}

uint64_t
t_torture_run(const struct t_torture *torture)
{
    uint64_t n = torture_once(torture, 0);
    uint64_t step = 1;
    if (torture->max > 0 && n > torture->max)
        step = (n + torture->max - 1) / torture->max;

    uint64_t visited = 0;
    for (uint64_t k = 1; k <= n; k += step, visited++)
        torture_once(torture, k);
    fprintf(stderr, "torture: %s%s: %" PRIu64 " of %" PRIu64 " points\n", kind_names[torture->kind],
            torture->from_on ? " from there on" : "", visited, n);
    return visited;
}

uint64_t
t_torture(enum weft__torture kind, void (*scenario)(void *arg), void *arg)
{
    return t_torture_run(&(struct t_torture){.kind = kind, .scenario = scenario, .arg = arg});
}
