/*
 * happy.c - happy eyeballs: attempts that start one after the other and race (RFC 8305).
 *
 * The racer starts the attempts, each a task of its group, and sleeps until it is time for the next
 * one or something has happened. No attempt outlives the race.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/scope.h>

#include "io/happy.h"

static int
attempt_main(void *arg)
{
    struct weft__attempt *self = arg;
    struct weft__happy *happy = self->happy;
    int rc = happy->attempt(happy->arg, (size_t)(self - happy->attempts));
    if (rc >= 0 && happy->won < 0)
        happy->won = rc;
    else if (rc >= 0)
        happy->discard(happy->arg, rc);
    else
        happy->failed = true;
    self->result = rc < 0 ? rc : 0;
    happy->running--;
    weft_event_set(&happy->changed);
    return 0;
}

static void
start_one(struct weft__happy *happy, weft_group *group, size_t i)
{
    happy->failed = false;
    happy->running++;
    int rc = weft_group_spawn(group, attempt_main, &happy->attempts[i]);
    if (rc < 0) { /* no memory: perhaps there is some when another one has ended */
        happy->attempts[i].result = rc;
        happy->running--;
        happy->failed = true;
    }
}

/* 0 when it is time for the next attempt or something has happened; or a cancellation. */
static int
wait_for_change(struct weft__happy *happy, weft_time until)
{
    weft_event_clear(&happy->changed);
    weft_scope scope;
    weft_scope_open(&scope, until);
    int rc = weft_event_wait(&happy->changed);
    return weft_scope_close(&scope) < 0 ? 0 : rc;
}

int
weft__happy_race(struct weft__happy *happy)
{
    happy->won = -1;
    happy->running = 0;
    happy->failed = true;
    for (size_t i = 0; i < happy->n; i++)
        happy->attempts[i] = (struct weft__attempt){.happy = happy, .result = -EINPROGRESS};
    weft_event_open(&happy->changed);
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});

    size_t started = 0;
    weft_time next = 0;
    int rc = 0;
    while (rc == 0 && happy->won < 0 && (started < happy->n || happy->running > 0)) {
        if (started < happy->n && (happy->failed || weft_now() >= next)) {
            start_one(happy, &group, started++);
            next =
                happy->delay < WEFT_FOREVER - weft_now() ? weft_now() + happy->delay : WEFT_FOREVER;
        } else {
            rc = wait_for_change(happy, started < happy->n ? next : WEFT_FOREVER);
        }
    }
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group)); /* ended by us; and what others ended, rc says */
    weft_event_close(&happy->changed);
    if (rc < 0) {
        if (happy->won >= 0)
            happy->discard(happy->arg, happy->won);
        return rc;
    }
    return happy->won >= 0 ? happy->won : happy->attempts[happy->n - 1].result;
}

static bool
is_six(const weft_address *address)
{
    return address->storage.ss_family == AF_INET6;
}

void
weft__happy_order(const weft_address *addresses, size_t n, const weft_address **ret_order)
{
    size_t six = 0, other = 0;
    bool want_six = true;
    for (size_t i = 0; i < n; i++) {
        while (six < n && !is_six(&addresses[six]))
            six++;
        while (other < n && is_six(&addresses[other]))
            other++;
        bool take_six = six < n && (want_six || other == n);
        ret_order[i] = &addresses[take_six ? six++ : other++];
        want_six = !take_six;
    }
}
