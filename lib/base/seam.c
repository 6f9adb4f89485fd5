/*
 * seam.c - counting and hitting the k-th event of a kind, and rare paths by seed. Test builds
 * only; a release build has nothing here.
 */
#include "base/seam.h"

#ifdef WEFT_TEST

#include <errno.h>

#include "base/atomic.h"
#include "base/random.h"

/* Written while nothing of weft runs, but for `count`. All loads and stores are atomic all the
 * same, because threads of the executor may still be on their way out. */
static struct torture {
    uint64_t k; /* 0: only count */
    uint64_t count;
    int error;
    bool armed;
    bool from_on;
} tortures[WEFT__TORTURE_KINDS];

/* The errno of the last hit of this thread: the hit and the question for it come together. */
static _Thread_local int hit_errno;

void (*weft__point_hook)(enum weft__point point);

static uint64_t buggify_seed;
static uint64_t buggify_count;

bool
weft__torture_hit(enum weft__torture kind)
{
    struct torture *t = &tortures[kind];
    if (!weft__load(&t->armed)) /* pairs with the stores in weft__torture_arm and _disarm */
        return false;
    uint64_t n = weft__fetch_add(&t->count, 1) + 1;
    uint64_t k = weft__load_relaxed(&t->k);
    if (k == 0 || n < k || (n > k && !weft__load_relaxed(&t->from_on)))
        return false;
    hit_errno = weft__load_relaxed(&t->error);
    return true;
}

int
weft__torture_errno(void)
{
    return hit_errno;
}

bool
weft__torture_refuses(void)
{
    struct torture *t = &tortures[WEFT__TORTURE_SYSCALL];
    return weft__load(&t->armed) && weft__load_relaxed(&t->error) == EAGAIN;
}

void
weft__torture_arm(enum weft__torture kind, uint64_t k, bool from_on, int error)
{
    struct torture *t = &tortures[kind];
    weft__store(&t->armed, false);
    weft__store(&t->k, k);
    weft__store(&t->from_on, from_on);
    weft__store(&t->error, error);
    weft__store(&t->count, 0);
    weft__store(&t->armed, true); /* pairs with the load in weft__torture_hit */
}

uint64_t
weft__torture_disarm(enum weft__torture kind)
{
    struct torture *t = &tortures[kind];
    weft__store(&t->armed, false);
    return weft__load(&t->count);
}

/* One number for each call in order: the same calls with the same seed take the same paths. */
bool
weft__buggify(unsigned one_in)
{
    uint64_t seed = weft__load_relaxed(&buggify_seed);
    if (seed == 0 || one_in == 0)
        return false;
    uint64_t state = seed + weft__fetch_add(&buggify_count, 1) * WEFT__SPLITMIX_STEP;
    return weft__splitmix(&state) % one_in == 0;
}

void
weft__buggify_seed(uint64_t seed)
{
    weft__store(&buggify_count, 0);
    weft__store(&buggify_seed, seed);
}

#endif
