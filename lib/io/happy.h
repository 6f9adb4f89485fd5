/*
 * happy.h - happy eyeballs: attempts that start one after the other and race.
 */
#ifndef WEFT_LIB_IO_HAPPY_H
#define WEFT_LIB_IO_HAPPY_H

#include <stdbool.h>

#include <weft/net.h>
#include <weft/sync.h>
#include <weft/time.h>

struct weft__happy;

struct weft__attempt {
    struct weft__happy *happy;
    int result; /* negative: it failed; -EINPROGRESS: it was given up, or never begun */
};

struct weft__happy {
    size_t n; /* attempts */
    struct weft__attempt *attempts;
    weft_time delay; /* between two of them */
    /* Waits: 0 or more when attempt i succeeded, else an error. */
    int (*attempt)(void *arg, size_t i);
    /* Gives back what an attempt got that did not win. */
    void (*discard)(void *arg, int got);
    void *arg;

    int won; /* what the winner got; negative: nobody has won */
    size_t running;
    bool failed; /* one has, since the last one started */
    weft_event changed;
};

/* n, attempts, delay and the functions are set. What the winner got; the error of the last attempt;
 * or how the enclosing scope ended. */
WEFT_WAITS int weft__happy_race(struct weft__happy *happy);

/* The order in which to try addresses: the families take turns, IPv6 first. */
void weft__happy_order(const weft_address *addresses, size_t n, const weft_address **ret_order);

#endif
