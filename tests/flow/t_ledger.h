/*
 * t_ledger.h - which items were sent, by the word of who sent them, and which were received.
 *
 * In the end both must agree: a send that succeeded was received once, one that did not never.
 */
#ifndef WEFT_TESTS_FLOW_T_LEDGER_H
#define WEFT_TESTS_FLOW_T_LEDGER_H

#include <inttypes.h>
#include <string.h>

#include <weft/chan.h>

#include "task/t_core.h"
#include "base/random.h"

#define T_LEDGER_ITEMS (1u << 20)

struct t_ledger {
    uint32_t next; /* atomic: the next item nobody has used */
    uint8_t sent[T_LEDGER_ITEMS];
    uint8_t got[T_LEDGER_ITEMS]; /* atomic */
    uint32_t foreign;            /* items received that nobody can have sent */
};

static inline void
t_ledger_clear(struct t_ledger *ledger)
{
    uint32_t used = ledger->next < T_LEDGER_ITEMS ? ledger->next : T_LEDGER_ITEMS;
    memset(ledger->sent, 0, used);
    memset(ledger->got, 0, used);
    ledger->next = ledger->foreign = 0;
}

/* An item of one's own; there are enough for whoever looks at t_ledger_full. */
static inline uint64_t
t_ledger_item(struct t_ledger *ledger)
{
    uint32_t number = weft__fetch_add(&ledger->next, 1) % T_LEDGER_ITEMS;
    return (uint64_t)number << 32 | (number ^ 0x5a5a5a5au);
}

static inline bool
t_ledger_full(struct t_ledger *ledger)
{
    return weft__load(&ledger->next) > T_LEDGER_ITEMS - 1000;
}

static inline void
t_ledger_sent(struct t_ledger *ledger, uint64_t item)
{
    ledger->sent[item >> 32] = 1;
}

static inline void
t_ledger_got(struct t_ledger *ledger, uint64_t item)
{
    uint64_t number = item >> 32;
    if (number >= T_LEDGER_ITEMS || (uint32_t)item != ((uint32_t)number ^ 0x5a5a5a5au))
        weft__fetch_add(&ledger->foreign, 1);
    else
        weft__fetch_add(&ledger->got[number], 1);
}

/* When nobody sends or receives any more. Returns how many items there were. */
static inline uint32_t
t_ledger_check(struct t_ledger *ledger, const char *doing)
{
    uint32_t n = 0;
    cr_assert(ledger->foreign == 0, "%s: %u items were none", doing, ledger->foreign);
    for (uint32_t i = 0; i < ledger->next && i < T_LEDGER_ITEMS; i++) {
        cr_assert(ledger->got[i] == ledger->sent[i], "%s: item %u was sent %d times, received %d",
                  doing, i, ledger->sent[i], ledger->got[i]);
        n += ledger->sent[i];
    }
    return n;
}

/* Takes what a channel still holds; it must have no one in line. */
static inline void
t_ledger_drain(struct t_ledger *ledger, weft_chan *chan)
{
    weft_chan_stats stats;
    uint64_t item;
    weft_chan_stats_get(chan, &stats);
    cr_assert(stats.waiting_senders == 0 && stats.waiting_receivers == 0);
    cr_assert(stats.sent - stats.received == stats.len && stats.len <= stats.capacity);
    for (size_t i = 0; i < stats.len; i++) {
        T_OK(weft_chan_try_recv(chan, &item));
        t_ledger_got(ledger, item);
    }
    cr_assert(weft_chan_try_recv(chan, &item) < 0);
}

/* A scenario of channels, tortured: run with every suspension cancelled, or at its deadline, once
 * and from there on, and with every allocation failing; then with many seeds on three loops. */
struct t_exchange {
    weft_task_fn *main;
    size_t capacity;
    weft_options options;
    weft_chan *chans[2]; /* made and checked by the runner */
    struct t_ledger *ledger;
    uint32_t alive; /* task functions that were entered and not left */
};

static inline void
t_exchange_once(void *arg)
{
    struct t_exchange *exchange = arg;
    static struct t_ledger ledger;
    exchange->ledger = &ledger;
    t_ledger_clear(&ledger);
    for (int i = 0; i < 2; i++)
        if (weft_chan_new(&exchange->chans[i], sizeof(uint64_t), exchange->capacity) < 0)
            exchange->chans[i] = NULL;
    if (exchange->chans[0] != NULL && exchange->chans[1] != NULL) {
        weft_ignore(weft_run(exchange->main, exchange, &exchange->options));
        for (int i = 0; i < 2; i++)
            t_ledger_drain(&ledger, exchange->chans[i]);
        t_ledger_check(&ledger, "torture");
        cr_assert(weft__load(&exchange->alive) == 0);
    }
    for (int i = 0; i < 2; i++)
        weft_chan_free(exchange->chans[i]);
}

static inline void
t_exchange_torture(weft_task_fn *main, size_t capacity)
{
    t_log_begin();
    for (unsigned loops = 1; loops <= 3; loops += 2) {
        struct t_exchange exchange = {.main = main,
                                      .capacity = capacity,
                                      .options = {.loops = loops,
                                                  .seed = loops == 1 ? 0 : 7,
                                                  .clock = WEFT_CLOCK_VIRTUAL,
                                                  .signals = WEFT_SIGNALS_NONE}};
        static const enum weft__torture kinds[] = {WEFT__TORTURE_CANCEL, WEFT__TORTURE_DEADLINE,
                                                   WEFT__TORTURE_ALLOC};
        for (int i = 0; i < 6; i++)
            cr_assert(t_torture_run(&(struct t_torture){.kind = kinds[i / 2],
                                                        .from_on = i % 2 != 0,
                                                        .max = T_SLOW > 1 ? 60 : 0,
                                                        .scenario = t_exchange_once,
                                                        .arg = &exchange}) > 4);
    }
}

static inline void
t_exchange_seeds(weft_task_fn *main, size_t capacity)
{
    t_log_begin();
    uint64_t random = 1;
    for (uint64_t seed = 1; seed <= 200 / T_SLOW; seed++) {
        struct t_exchange exchange = {.main = main,
                                      .capacity = capacity,
                                      .options = {.loops = 3,
                                                  .seed = seed,
                                                  .clock = WEFT_CLOCK_VIRTUAL,
                                                  .signals = WEFT_SIGNALS_NONE}};
        uint64_t n = 0;
        for (int round = 0; round < 4; round++) {
            uint64_t k = round == 0 ? 0 : 1 + weft__splitmix(&random) % (n > 0 ? n : 1);
            enum weft__torture kind = round == 2 ? WEFT__TORTURE_DEADLINE : WEFT__TORTURE_CANCEL;
            weft__buggify_seed(seed % 2 == 0 ? seed : 0);
            weft__torture_arm(kind, k, round == 3, 0);
            t_exchange_once(&exchange);
            uint64_t events = weft__torture_disarm(kind);
            n = round == 0 ? events : n;
        }
    }
    weft__buggify_seed(0);
}

#endif
