/*
 * future_priv.h - what a future consists of, for promises, which are futures with a count.
 */
#ifndef WEFT_LIB_FLOW_FUTURE_PRIV_H
#define WEFT_LIB_FLOW_FUTURE_PRIV_H

#include <weft/future.h>

#include "base/list.h"
#include "base/lock.h"

enum weft__future_state {
    WEFT__FUTURE_OPEN = 0,
    WEFT__FUTURE_SETTLING = 1, /* has its result; callbacks are being called */
    WEFT__FUTURE_DONE = 2
};

struct weft__future {
    struct weft__lock lock;
    int32_t result;
    uint8_t state;
    bool cancelled; /* by weft_future_cancel */
    bool own_text;  /* text is ours to free */
    bool counted;   /* belongs to a promise */
    struct weft__list line;
    struct weft__list callbacks; /* in order of registration */
    struct weft__list selects;   /* of selects that have it as a branch */
    void *value;                 /* with the result 0 */
    const char *text;            /* with a failure; NULL: none */
};
_Static_assert(sizeof(struct weft__future) <= sizeof(weft_future), "weft_future is too small");

/* Gives a failure with a text that is a constant. */
int weft__future_fail_const(weft_future *future, int code, const char *text);

#endif
