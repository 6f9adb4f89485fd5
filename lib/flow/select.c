/*
 * select.c - waiting for several things, and taking exactly one.
 *
 * First each branch is tried by itself, in an order drawn by lot. If none is possible, the locks of
 * all are taken, in the order of their addresses, and each is tried once more; now nothing can
 * become possible behind our back, so getting in all lines at once is safe. From there on one claim
 * of the caller's ticket, by whoever comes first on any line, decides; the others find a ticket
 * that was claimed and pass it over. What two selects facing each other would need, to claim two
 * tickets at once, never arises: who looks under the locks stands in no line yet.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/loop.h>
#include <weft/task.h>

#include "base/random.h"
#include "flow/select_priv.h"
#include "task/task_priv.h"

/* ---- Never, and until ------------------------------------------------------------------------ */

static int
never_take(struct weft__case *branch)
{
    (void)branch;
    return -EAGAIN;
}

static int
never_begin(struct weft__case *branch, struct weft__ticket ticket)
{
    (void)branch;
    (void)ticket;
    return 0;
}

static void
never_end(struct weft__case *branch)
{
    (void)branch;
}

const struct weft__case_kind weft__case_never = {
    .take = never_take, .begin = never_begin, .end = never_end};

struct until {
    struct weft__timer timer; /* tasks only; a thread sleeps until then */
    weft_time when;
};
_Static_assert(sizeof(struct until) <= sizeof(((struct weft__case *)0)->own),
               "a case must hold a timer");

static inline struct until *
until_of(struct weft__case *branch)
{
    return (struct until *)(void *)branch->own;
}

static int
until_take(struct weft__case *branch)
{
    if (weft_now() < until_of(branch)->when)
        return -EAGAIN;
    branch->result = 0;
    return 0;
}

static void
until_fire(struct weft__timer *timer)
{
    struct weft__case *branch = weft__container(timer, struct weft__case, own);
    /* Others may hold tickets: the lines of channels are full of them. */
    if (weft__claim_present(branch->stand.waiter))
        weft__stand_deliver(&branch->stand, 0);
}

static int
until_begin(struct weft__case *branch, struct weft__ticket ticket)
{
    struct until *until = until_of(branch);
    struct weft_loop *loop = ticket.waiter->loop;
    until->timer = (struct weft__timer){.fire = until_fire};
    if (loop != NULL)
        weft__timers_add(&loop->timers, &until->timer, until->when);
    return 0;
}

static void
until_end(struct weft__case *branch)
{
    struct weft_loop *loop = branch->stand.waiter->loop;
    if (loop != NULL)
        weft__timers_cancel(&loop->timers, &until_of(branch)->timer);
}

static const struct weft__case_kind until_kind = {
    .take = until_take, .begin = until_begin, .end = until_end};

weft_case
weft_case_until(weft_time when)
{
    static char late;
    weft_case public;
    weft__case_init(&public, &until_kind, when == WEFT_FOREVER ? NULL : &late, NULL, NULL);
    until_of((struct weft__case *)(void *)&public)->when = when;
    return public;
}

/* ---- One of them ----------------------------------------------------------------------------- */

/* One of n. A seeded run draws the same lots again. */
static size_t
draw(size_t n)
{
    static __thread uint64_t of_thread;
    struct weft_loop *loop = weft__loop_self;
    uint64_t *state = loop == NULL ? &of_thread : loop->random != 0 ? &loop->random : &loop->lots;
    return (size_t)((weft__splitmix(state) >> 32) * n >> 32);
}

/* In an order drawn by lot as far as needed, and left in `order`. Merely to begin somewhere and go
 * round would favour a branch that comes after impossible ones. */
static int
try_each(struct weft__case *const *cases, size_t n, uint8_t *order)
{
    for (size_t k = 0; k < n; k++)
        order[k] = (uint8_t)k;
    for (size_t k = 0; k < n; k++) {
        size_t drawn = k + draw(n - k);
        uint8_t i = order[drawn];
        order[drawn] = order[k];
        order[k] = i;
        if (cases[i]->kind->take(cases[i]) == 0)
            return i;
    }
    return -EAGAIN;
}

static int
by_address(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t) * (struct weft__lock *const *)a;
    uintptr_t right = (uintptr_t) * (struct weft__lock *const *)b;
    return left < right ? -1 : left > right;
}

/* All locks of all cases, by address, each once. */
static size_t
collect_locks(struct weft__case *const *cases, size_t n, struct weft__lock **locks)
{
    size_t n_all = 0;
    for (size_t i = 0; i < n; i++) {
        if (cases[i]->kind->locks != NULL)
            n_all += cases[i]->kind->locks(cases[i], &locks[n_all]);
    }
    /* Not by qsort(3), which may allocate; there are few as a rule. */
    for (size_t i = 1; i < n_all; i++) {
        struct weft__lock *lock = locks[i];
        size_t at = i;
        for (; at > 0 && by_address(&locks[at - 1], &lock) > 0; at--)
            locks[at] = locks[at - 1];
        locks[at] = lock;
    }
    size_t n_locks = 0;
    for (size_t i = 0; i < n_all; i++) {
        if (n_locks == 0 || locks[i] != locks[n_locks - 1])
            locks[n_locks++] = locks[i];
    }
    return n_locks;
}

/* Takes one under all locks, or gets in all lines. */
static int
take_or_enter(struct weft__case *const *cases, size_t n, const uint8_t *order)
{
    struct weft__lock *locks[2 * WEFT_SELECT_MAX];
    size_t n_locks = collect_locks(cases, n, locks);
    int taken = -EAGAIN;
    for (size_t i = 0; i < n_locks; i++)
        weft__lock(locks[i]);
    for (size_t k = 0; k < n && taken < 0; k++) {
        struct weft__case *branch = cases[order[k]];
        if (branch->kind->locks != NULL && branch->kind->take_locked(branch) == 0)
            taken = order[k];
    }
    for (size_t i = 0; i < n && taken < 0; i++) {
        if (cases[i]->kind->locks != NULL)
            cases[i]->kind->enter(cases[i]);
    }
    for (size_t i = n_locks; i-- > 0;)
        weft__unlock(locks[i]);
    return taken;
}

/* A plain thread has no timers: it sleeps until the earliest case is due, and claims itself. */
static int
park_thread(struct weft__case *const *cases, size_t n, struct weft__ticket ticket)
{
    struct weft__waiter *waiter = ticket.waiter;
    int earliest = -1;
    int64_t when = WEFT_FOREVER;
    for (size_t i = 0; i < n; i++) {
        if (cases[i]->kind == &until_kind && until_of(cases[i])->when < when) {
            when = until_of(cases[i])->when;
            earliest = (int)i;
        }
    }
    if (earliest < 0)
        return weft__park(true);
    int64_t left = 0;
    /* Pairs with the store in weft__deliver. */
    while (weft__load(&waiter->delivered) == 0) {
        if (left >= 0) {
            left = when - weft__sys_monotonic();
            if (left <= 0 && weft__claim(ticket)) {
                cases[earliest]->stand.status = 0;
                return earliest;
            }
            left = left <= 0 ? -1 : left; /* somebody else was first, and is about to deliver */
        }
        weft__sys_futex_wait(&waiter->delivered, 0, left);
    }
    return waiter->result;
}

/* The first n_begun of one thread's cases. */
static void
end_own(struct weft__case *const *cases, size_t n_begun)
{
    for (size_t i = 0; i < n_begun; i++) {
        if (cases[i]->kind->end != NULL)
            cases[i]->kind->end(cases[i]);
    }
}

static __attribute__((noinline)) int
wait_for_one(struct weft__case *const *cases, size_t n, const uint8_t *order)
{
    struct weft__ticket ticket = weft__park_arm();
    bool outside = false; /* time or the kernel may end it */
    for (size_t i = 0; i < n; i++) {
        struct weft__case *branch = cases[i];
        outside = outside || (branch->kind->locks == NULL && branch->kind != &weft__case_never);
        branch->stand.link = (struct weft__link){NULL, NULL};
        branch->stand.waiter = ticket.waiter;
        branch->stand.woken = (int32_t)i;
        int rc = branch->kind->begin != NULL ? branch->kind->begin(branch, ticket) : 0;
        if (rc < 0) {
            end_own(cases, i);
            branch->result = rc;
            return (int)i;
        }
    }
    int taken = take_or_enter(cases, n, order);
    if (taken >= 0) {
        end_own(cases, n);
        if (cases[taken]->kind->after != NULL)
            cases[taken]->kind->after(cases[taken]);
        return taken;
    }
    weft__waits_for(outside ? weft__what_select_outside : "select", NULL);
    taken = ticket.waiter->loop != NULL ? weft__park(true) : park_thread(cases, n, ticket);
    end_own(cases, n);
    for (size_t i = 0; i < n; i++) {
        if ((int)i != taken && cases[i]->kind->leave != NULL)
            cases[i]->kind->leave(cases[i]);
    }
    if (taken >= 0) {
        struct weft__case *branch = cases[taken];
        branch->result = branch->stand.status;
        if (branch->kind->served != NULL)
            branch->kind->served(branch);
    }
    return taken;
}

static int
select_from(weft_case *cases, size_t n, bool wait)
{
    if (n == 0 || n > WEFT_SELECT_MAX)
        return -EINVAL;
    struct weft__case *branches[WEFT_SELECT_MAX];
    for (size_t i = 0; i < n; i++)
        branches[i] = (struct weft__case *)(void *)&cases[i];
    if (wait) {
        int rc = weft__task_self() != NULL ? weft_checkpoint() : weft__wait_begin();
        if (rc < 0)
            return rc;
    }
    uint8_t order[WEFT_SELECT_MAX];
    int taken = try_each(branches, n, order);
    return taken != -EAGAIN || !wait ? taken : wait_for_one(branches, n, order);
}

int
weft_select(weft_case *cases, size_t n)
{
    return select_from(cases, n, true);
}

int
weft_select_try(weft_case *cases, size_t n)
{
    return select_from(cases, n, false);
}
