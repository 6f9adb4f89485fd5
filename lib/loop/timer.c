/*
 * timer.c - a wheel on the bits of the deadline, exact to the nanosecond.
 *
 * A deadline is eleven groups of six bits. A timer waits on the level of the highest group in
 * which its deadline differs from `now`, in the slot which that group names. So all timers of a
 * level come before those of the next, all of a slot before those of the next slot, and adding
 * and cancelling cost the same however many wait. When time enters a slot, its timers move down
 * to the levels where they differ from the new `now`, in order: timers with the same deadline are
 * in the same slot at any moment, and stay in the order in which they were added.
 *
 * With a million live, adding and cancelling cost 14 to 24 ns a timer where a 4-ary heap took 48 to
 * 125; firing them all took 0.03 to 0.4 us each, the heap 0.09 to 0.35.
 *
 * Always true between calls: a bit of `occupied` is set when its ring has members, one of
 * `levels` when that level has such a bit, and whatever waits in a slot is later than `now`. The
 * ends of a ring mean nothing while its bit is clear, so a wheel that is little used touches
 * little memory.
 */
#include "loop/timer.h"

#include <string.h>

#include "base/assert.h"
#include "base/atomic.h"

#define GROUP_BITS 6
#define GROUP_MASK 63u
#define SLOT_SCAN_MAX 32 /* how many timers weft__timers_next looks at for an exact answer */

static struct weft__timer *
ends_of(weft__timer_ends *ring)
{
    return (struct weft__timer *)(void *)ring;
}

static void
ring_init(struct weft__timer *ends)
{
    ends->prev = ends->next = ends;
}

static bool
ring_empty(const struct weft__timer *ends)
{
    return ends->next == ends;
}

static void
ring_push(struct weft__timer *ends, struct weft__timer *timer)
{
    struct weft__timer *last = ends->prev;
    timer->prev = last;
    timer->next = ends;
    last->next = timer;
    ends->prev = timer;
}

/* Moves all members of `from` behind those of `to`. */
static void
ring_move(struct weft__timer *to, struct weft__timer *from)
{
    if (ring_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ring_init(from);
}

/* Of two chains through next, each sorted, one; on a tie what is in `first` stays first. */
static struct weft__timer *
merge(struct weft__timer *first, struct weft__timer *second)
{
    struct weft__timer *all = NULL;
    struct weft__timer **end = &all;
    while (first != NULL && second != NULL) {
        struct weft__timer **least = second->deadline < first->deadline ? &second : &first;
        *end = *least;
        end = &(*least)->next;
        *least = *end;
    }
    *end = first != NULL ? first : second;
    return all;
}

/* Only timers that were late when they were added ever need this. */
static void
sort_due(struct weft__timers *timers)
{
    if (!timers->unsorted)
        return;
    timers->unsorted = false;

    /* runs[i] holds 2^i timers, or none; earlier ones than any of a lower i. */
    struct weft__timer *runs[64] = {NULL};
    struct weft__timer *ends = ends_of(&timers->due);
    for (struct weft__timer *timer = ends->next, *next; timer != ends; timer = next) {
        next = timer->next;
        timer->next = NULL;
        unsigned i = 0;
        for (; runs[i] != NULL; i++) {
            timer = merge(runs[i], timer);
            runs[i] = NULL;
        }
        runs[i] = timer;
    }
    struct weft__timer *all = NULL;
    for (unsigned i = 0; i < 64; i++)
        all = merge(runs[i], all);

    ring_init(ends);
    for (struct weft__timer *next; all != NULL; all = next) {
        next = all->next;
        ring_push(ends, all);
    }
}

static void
place(struct weft__timers *timers, struct weft__timer *timer)
{
    int64_t deadline = timer->deadline;
    if (deadline <= timers->now) {
        struct weft__timer *due = ends_of(&timers->due);
        if (!ring_empty(due) && due->prev->deadline > deadline)
            timers->unsorted = true;
        ring_push(due, timer);
        return;
    }
    uint64_t differs = (uint64_t)deadline ^ (uint64_t)timers->now;
    unsigned level = (63u - (unsigned)__builtin_clzll(differs)) / GROUP_BITS;
    unsigned slot = (unsigned)((uint64_t)deadline >> (level * GROUP_BITS)) & GROUP_MASK;
    struct weft__timer *ends = ends_of(&timers->slots[level * WEFT__TIMER_SLOTS + slot]);
    uint64_t bit = UINT64_C(1) << slot;
    if (!(timers->occupied[level] & bit)) {
        timers->occupied[level] |= bit;
        timers->levels |= UINT64_C(1) << level;
        ring_init(ends);
    }
    ring_push(ends, timer);
}

static void
slot_vacated(struct weft__timers *timers, size_t index)
{
    size_t level = index / WEFT__TIMER_SLOTS;
    timers->occupied[level] &= ~(UINT64_C(1) << (index % WEFT__TIMER_SLOTS));
    if (timers->occupied[level] == 0)
        timers->levels &= ~(UINT64_C(1) << level);
}

/* The slot with the earliest timers, and the time it begins. There must be one. */
static size_t
first_slot(const struct weft__timers *timers, int64_t *ret_start)
{
    unsigned level = (unsigned)__builtin_ctzll(timers->levels);
    unsigned slot = (unsigned)__builtin_ctzll(timers->occupied[level]);
    unsigned shift = level * GROUP_BITS;
    uint64_t groups = (uint64_t)timers->now >> shift;
    *ret_start = (int64_t)(((groups & ~(uint64_t)GROUP_MASK) | slot) << shift);
    return (size_t)level * WEFT__TIMER_SLOTS + slot;
}

void
weft__timers_init(struct weft__timers *timers, int64_t now)
{
    weft__assert(now >= 0, "a loop's clock starts at 0 or later");
    timers->slots = NULL;
    ring_init(ends_of(&timers->few));
    timers->n = 0;
    timers->now = now;
    timers->levels = 0;
    memset(timers->occupied, 0, sizeof timers->occupied);
    timers->unsorted = false;
    ring_init(ends_of(&timers->due));
    ring_init(ends_of(&timers->firing));
}

void
weft__timers_grow(struct weft__timers *timers, struct weft__timer_slots *slots)
{
    struct weft__timer *ends = ends_of(&timers->few);
    struct weft__timer *timer = ends->next;
    timers->slots = slots->slots;
    while (timer != ends) {
        struct weft__timer *next = timer->next;
        place(timers, timer);
        timer = next;
    }
    ring_init(ends);
}

static void
insert_few(struct weft__timers *timers, struct weft__timer *timer)
{
    struct weft__timer *after = ends_of(&timers->few)->prev;
    while (after != ends_of(&timers->few) && after->deadline > timer->deadline)
        after = after->prev;
    timer->prev = after;
    timer->next = after->next;
    after->next->prev = timer;
    after->next = timer;
}

void
weft__timers_add(struct weft__timers *timers, struct weft__timer *timer, int64_t deadline)
{
    timer->deadline = deadline;
    weft__add_own(&timers->n, 1);
    if (timers->slots != NULL)
        place(timers, timer);
    else
        insert_few(timers, timer);
}

void
weft__timers_cancel(struct weft__timers *timers, struct weft__timer *timer)
{
    struct weft__timer *prev = timer->prev;
    if (prev == NULL)
        return;
    struct weft__timer *next = timer->next;
    prev->next = next;
    next->prev = prev;
    timer->prev = NULL;
    weft__add_own(&timers->n, -1);
    if (prev != next || timers->slots == NULL)
        return;
    /* Both neighbours were the ends of the ring, whose place tells which slot is vacant. */
    uintptr_t offset = (uintptr_t)prev - (uintptr_t)timers->slots;
    if (offset < sizeof(struct weft__timer_slots))
        slot_vacated(timers, offset / sizeof timers->slots[0]);
}

/* Looks at most at `limit` timers for the earliest of the first slot. */
static int64_t
next_within(struct weft__timers *timers, size_t limit)
{
    sort_due(timers);
    if (!ring_empty(ends_of(&timers->firing)))
        return ends_of(&timers->firing)->next->deadline;
    if (!ring_empty(ends_of(&timers->due)))
        return ends_of(&timers->due)->next->deadline;
    if (!ring_empty(ends_of(&timers->few)))
        return ends_of(&timers->few)->next->deadline;
    if (timers->levels == 0)
        return INT64_MAX;

    int64_t start;
    size_t index = first_slot(timers, &start);
    if (index < WEFT__TIMER_SLOTS)
        return start; /* a slot of the lowest level is one nanosecond */
    int64_t least = INT64_MAX;
    struct weft__timer *ends = ends_of(&timers->slots[index]);
    for (struct weft__timer *timer = ends->next; timer != ends; timer = timer->next) {
        if (limit-- == 0)
            return start;
        if (timer->deadline < least)
            least = timer->deadline;
    }
    return least;
}

int64_t
weft__timers_next(struct weft__timers *timers)
{
    return next_within(timers, SLOT_SCAN_MAX);
}

int64_t
weft__timers_next_exact(struct weft__timers *timers)
{
    return next_within(timers, SIZE_MAX);
}

/* Brings the wheel to `now`; what is due by then ends up in `due`, in order. */
static void
advance(struct weft__timers *timers, int64_t now)
{
    while (timers->levels != 0) {
        int64_t start;
        size_t index = first_slot(timers, &start);
        if (start > now)
            break;
        timers->now = start;
        slot_vacated(timers, index);
        struct weft__timer *ends = ends_of(&timers->slots[index]);
        struct weft__timer *timer = ends->next;
        if (timer->next == ends && timer->deadline <= now) {
            /* Alone, the earliest of all, and due: no need to go down level by level. */
            ring_push(ends_of(&timers->due), timer);
            continue;
        }
        while (timer != ends) {
            struct weft__timer *next = timer->next;
            place(timers, timer);
            timer = next;
        }
    }
    timers->now = now;
}

size_t
weft__timers_expire(struct weft__timers *timers, int64_t now)
{
    struct weft__timer *few = ends_of(&timers->few);
    while (!ring_empty(few) && few->next->deadline <= now) {
        struct weft__timer *timer = few->next;
        few->next = timer->next;
        timer->next->prev = few;
        ring_push(ends_of(&timers->due), timer);
    }
    if (now > timers->now)
        advance(timers, now);
    sort_due(timers);

    /* What is added from now on, however late already, is not in this ring. */
    struct weft__timer *firing = ends_of(&timers->firing);
    ring_move(firing, ends_of(&timers->due));
    size_t fired = 0;
    while (!ring_empty(firing)) {
        struct weft__timer *timer = firing->next;
        weft__timers_cancel(timers, timer);
        timer->fire(timer); /* may end the timer's memory */
        fired++;
    }
    return fired;
}
