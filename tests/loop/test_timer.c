/*
 * test_timer.c - the timers of a loop against a model that looks at every timer every time.
 */
#include "loop/timer.h"

#include <stdlib.h>
#include <string.h>

#include "t.h"

TestSuite(timer, .timeout = 60);

/* ---- A naive model ------------------------------------------------------------------------ */

#define MANY 300

struct item {
    struct weft__timer timer;
    uint64_t added; /* number of the add, from 1; what ties are settled by */
    int64_t again;  /* firing adds it anew, this much later; 0: not */
    bool pending;
};

static struct {
    struct weft__timers timers;
    struct item items[MANY];
    uint64_t adds, random;
    int64_t now;
    uint64_t adds_at_expire; /* adds after this one came from a timer that fired */
    struct item *last;       /* the one that fired before, in this expire */
    int64_t last_deadline;
    uint64_t last_added;
    const char *broken; /* the first thing seen that is not as it should be */
} model;

static uint64_t
draw(uint64_t below)
{
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return model.random % below;
}

static void
broken(const char *what)
{
    if (model.broken == NULL)
        model.broken = what;
}

/* Deadlines of every magnitude, past and far ones too, with many that are the same. */
static int64_t
draw_deadline(void)
{
    switch (draw(8)) {
    case 0:
        return INT64_MAX - (int64_t)draw(3);
    case 1:
        return model.now - (int64_t)draw(1000);
    case 2:
        return (model.now | 63) + (int64_t)draw(3);
    case 3:
        return model.now;
    default: {
        int64_t ahead = (int64_t)(draw(UINT64_MAX) >> (1 + draw(63)));
        return ahead > INT64_MAX - model.now ? INT64_MAX : model.now + ahead;
    }
    }
}

static void
item_add(struct item *item, int64_t deadline)
{
    item->added = ++model.adds;
    item->pending = true;
    weft__timers_add(&model.timers, &item->timer, deadline);
}

static void
item_cancel(struct item *item)
{
    item->pending = false;
    weft__timers_cancel(&model.timers, &item->timer);
}

static void
item_fire(struct weft__timer *timer)
{
    struct item *item = (struct item *)(void *)timer;
    if (!item->pending)
        broken("a cancelled timer fired");
    if (weft__timer_pending(timer))
        broken("a timer is pending while it fires");
    if (timer->deadline > model.now)
        broken("a timer fired early");
    if (item->added > model.adds_at_expire)
        broken("a timer fired in the expire that added it");
    if (model.last != NULL &&
        (timer->deadline < model.last_deadline ||
         (timer->deadline == model.last_deadline && item->added < model.last_added)))
        broken("timers fired out of order");
    model.last = item;
    model.last_deadline = timer->deadline;
    model.last_added = item->added;
    item->pending = false;

    if (item->again != 0)
        item_add(item, item->again > INT64_MAX - model.now ? INT64_MAX : model.now + item->again);
    struct item *other = &model.items[draw(MANY)];
    if (draw(4) == 0 && other->pending)
        item_cancel(other);
    else if (draw(4) == 0 && !other->pending)
        item_add(other, draw_deadline());
}

static size_t
count_pending(void)
{
    size_t n = 0;
    for (size_t i = 0; i < MANY; i++)
        n += model.items[i].pending;
    return n;
}

static int64_t
earliest(void)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < MANY; i++)
        if (model.items[i].pending && model.items[i].timer.deadline < least)
            least = model.items[i].timer.deadline;
    return least;
}

static void
expire(int64_t now)
{
    model.now = now;
    model.adds_at_expire = model.adds;
    model.last = NULL;
    weft__timers_expire(&model.timers, now);
    for (size_t i = 0; i < MANY; i++)
        if (model.items[i].pending && model.items[i].timer.deadline <= now &&
            model.items[i].added <= model.adds_at_expire)
            broken("a timer that was due did not fire");
}

static void
check(void)
{
    if (weft__timers_next(&model.timers) > earliest())
        broken("next is later than the earliest deadline");
    if (weft__timers_next_exact(&model.timers) != earliest())
        broken("next_exact is not the earliest deadline");
    if (model.timers.n != count_pending())
        broken("the number of timers is wrong");
    for (size_t i = 0; i < MANY; i++)
        if (weft__timer_pending(&model.items[i].timer) != model.items[i].pending)
            broken("pending is wrong");
}

static void
play(uint64_t seed, int steps)
{
    memset(&model, 0, sizeof model);
    model.random = seed;
    model.now = (int64_t)(draw(UINT64_MAX) >> (2 + draw(60)));
    static struct weft__timer_slots slots;
    weft__timers_init(&model.timers, model.now);
    /* With slots from the start, from some step on, or never. */
    int grown_at = (int)draw((uint64_t)steps * 2) - steps / 2;
    if (grown_at < 0)
        weft__timers_grow(&model.timers, &slots);
    for (size_t i = 0; i < MANY; i++) {
        model.items[i].timer.fire = item_fire;
        if (i % 10 == 0)
            model.items[i].again = (int64_t)(draw(UINT64_MAX) >> (1 + draw(63)));
    }
    for (int step = 0; step < steps && model.broken == NULL; step++) {
        if (step == grown_at)
            weft__timers_grow(&model.timers, &slots);
        struct item *item = &model.items[draw(MANY)];
        uint64_t what = draw(20);
        if (what < 12 && !item->pending)
            item_add(item, draw_deadline());
        else if (what < 17)
            item_cancel(item);
        else if (what < 18)
            expire(model.now);
        else if (what < 19)
            expire(earliest() > model.now && earliest() < INT64_MAX / 2 ? earliest() : model.now);
        else
            expire(model.now +
                   (int64_t)(draw((uint64_t)INT64_MAX / 4 - (uint64_t)model.now / 4) >> draw(60)));
        check();
    }
}

Test(timer, a_random_history_goes_as_in_a_naive_model)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        play(seed * 0x9e3779b97f4a7c15u, 2000);
        cr_assert_null(model.broken, "seed %llu: %s", (unsigned long long)seed, model.broken);
    }
}

/* ---- One behaviour at a time -------------------------------------------------------------- */

static struct weft__timers some;
static struct weft__timer *order[16];
static size_t n_fired;

static void
note(struct weft__timer *timer)
{
    order[n_fired++ % 16] = timer;
}

static void
begin(int64_t now)
{
    n_fired = 0;
    static struct weft__timer_slots slots;
    weft__timers_init(&some, now);
    weft__timers_grow(&some, &slots);
}

Test(timer, an_empty_one_has_no_deadline_and_fires_nothing)
{
    begin(1000);
    cr_assert_eq(weft__timers_next(&some), INT64_MAX);
    cr_assert_eq(weft__timers_next_exact(&some), INT64_MAX);
    cr_assert_eq(weft__timers_expire(&some, 2000), 0);
}

Test(timer, fires_at_its_deadline_and_not_a_nanosecond_before)
{
    begin(5);
    struct weft__timer timer = {.fire = note};
    weft__timers_add(&some, &timer, 1234567890123);
    cr_assert(weft__timer_pending(&timer));
    cr_assert_eq(weft__timers_expire(&some, 1234567890122), 0);
    cr_assert_eq(weft__timers_next_exact(&some), 1234567890123);
    cr_assert_eq(weft__timers_expire(&some, 1234567890123), 1);
    cr_assert_not(weft__timer_pending(&timer));
    cr_assert_eq(some.n, 0);
}

Test(timer, the_same_deadline_fires_in_the_order_of_adding_whenever_it_was_added)
{
    begin(0);
    struct weft__timer timers[5];
    for (int i = 0; i < 5; i++) {
        timers[i] = (struct weft__timer){.fire = note};
        weft__timers_add(&some, &timers[i], 1000000);
        /* Each is added closer to the deadline, so the first ones have moved down already. */
        weft__timers_expire(&some, 999000 + 200 * i);
    }
    cr_assert_eq(weft__timers_expire(&some, 2000000), 5);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(order[i], &timers[i], "place %d", i);
}

Test(timer, late_ones_fire_by_deadline_and_before_all_others)
{
    begin(1000);
    int64_t deadlines[] = {1001, 1000, 3, 999, 3, -7};
    int places[] = {5, 4, 1, 3, 2, 0};
    struct weft__timer timers[6];
    for (int i = 0; i < 6; i++) {
        timers[i] = (struct weft__timer){.fire = note};
        weft__timers_add(&some, &timers[i], deadlines[i]);
    }
    cr_assert_eq(weft__timers_next(&some), -7);
    cr_assert_eq(weft__timers_expire(&some, 1001), 6);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(order[places[i]], &timers[i], "timer %d", i);
}

Test(timer, many_late_ones_in_any_order_are_cheap)
{
    enum { N = 200000 };
    begin(1000000);
    struct weft__timer *timers = calloc(N, sizeof *timers);
    for (int i = 0; i < N; i++) {
        timers[i].fire = note;
        weft__timers_add(&some, &timers[i], N - i);
    }
    cr_assert_eq(weft__timers_next(&some), 1);
    cr_assert_eq(weft__timers_expire(&some, 1000000), N);
    cr_assert_eq(order[(N - 1) % 16], &timers[0]);
    free(timers);
}

Test(timer, the_farthest_deadlines_wait_and_can_be_cancelled)
{
    begin(0);
    struct weft__timer far = {.fire = note}, never = {.fire = note};
    weft__timers_add(&some, &never, INT64_MAX);
    weft__timers_add(&some, &far, INT64_MAX - 1);
    cr_assert_eq(weft__timers_next_exact(&some), INT64_MAX - 1);
    cr_assert_eq(weft__timers_expire(&some, INT64_MAX - 2), 0);
    weft__timers_cancel(&some, &never);
    cr_assert_eq(weft__timers_expire(&some, INT64_MAX - 1), 1);
    cr_assert_eq(order[0], &far);
    cr_assert_eq(some.n, 0);
}

Test(timer, cancelling_twice_or_after_firing_does_nothing)
{
    begin(0);
    struct weft__timer one = {.fire = note}, two = {.fire = note};
    weft__timers_cancel(&some, &one);
    weft__timers_add(&some, &one, 100);
    weft__timers_add(&some, &two, 100);
    weft__timers_cancel(&some, &one);
    weft__timers_cancel(&some, &one);
    cr_assert_eq(some.n, 1);
    cr_assert_eq(weft__timers_expire(&some, 100), 1);
    weft__timers_cancel(&some, &two);
    cr_assert_eq(some.n, 0);
    cr_assert_eq(weft__timers_next(&some), INT64_MAX);
}

Test(timer, next_is_exact_for_few_and_never_late_for_many)
{
    enum { N = 100 };
    begin(0);
    struct weft__timer timers[N];
    int64_t first = 70000000;
    for (int i = 0; i < N; i++) {
        timers[i] = (struct weft__timer){.fire = note};
        weft__timers_add(&some, &timers[i], first + N - i);
        cr_assert_leq(weft__timers_next(&some), first + N - i);
        if (i < 32)
            cr_assert_eq(weft__timers_next(&some), first + N - i);
        cr_assert_eq(weft__timers_next_exact(&some), first + N - i);
    }
}

Test(timer, sleeping_until_next_reaches_the_deadline_in_few_steps)
{
    enum { N = 100 };
    begin(12345);
    struct weft__timer timers[N];
    for (int i = 0; i < N; i++) {
        timers[i] = (struct weft__timer){.fire = note};
        weft__timers_add(&some, &timers[i], INT64_C(9000000000000000000) + i);
    }
    int steps = 0;
    while (n_fired == 0) {
        weft__timers_expire(&some, weft__timers_next(&some));
        cr_assert_leq(++steps, 12);
    }
    cr_assert_eq(n_fired, 1);
}

static struct weft__timer again;
static size_t n_again;

static void
add_again(struct weft__timer *timer)
{
    n_again++;
    weft__timers_add(&some, timer, 0);
}

Test(timer, one_that_adds_itself_late_fires_once_an_expire)
{
    begin(1000);
    n_again = 0;
    again = (struct weft__timer){.fire = add_again};
    weft__timers_add(&some, &again, 0);
    for (size_t i = 1; i <= 3; i++) {
        cr_assert_eq(weft__timers_expire(&some, 1000 + (int64_t)i), 1);
        cr_assert_eq(n_again, i);
        cr_assert_eq(weft__timers_next(&some), 0);
    }
    weft__timers_cancel(&some, &again);
    cr_assert_eq(some.n, 0);
}

static struct weft__timer victim;

static void
cancel_victim(struct weft__timer *timer)
{
    note(timer);
    weft__timers_cancel(&some, &victim);
}

Test(timer, one_that_fires_can_cancel_one_due_at_the_same_time)
{
    begin(0);
    struct weft__timer killer = {.fire = cancel_victim}, after = {.fire = note};
    victim = (struct weft__timer){.fire = note};
    weft__timers_add(&some, &killer, 50);
    weft__timers_add(&some, &victim, 50);
    weft__timers_add(&some, &after, 60);
    cr_assert_eq(weft__timers_expire(&some, 100), 2);
    cr_assert_eq(order[1], &after);
    cr_assert_not(weft__timer_pending(&victim));
    cr_assert_eq(some.n, 0);
}
