/*
 * loop_priv.h - a loop: one thread, one poller, one inbox, its timers.
 *
 * The loop knows nothing of tasks. It is given one function that runs what is ready, and calls
 * messages, timers and descriptor callbacks; all of these run on the loop's own stack.
 */
#ifndef WEFT_LIB_LOOP_PRIV_H
#define WEFT_LIB_LOOP_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/loop.h>

#include "base/list.h"
#include "base/lock.h"
#include "base/queue.h"
#include "base/sys.h"
#include "loop/held.h"
#include "loop/timer.h"
#include "loop/waiter.h"

/* Who is woken when a message comes in: one per sleeping thread. */
struct weft__bell {
    uint32_t sleeping; /* 1 while its thread is in, or about to enter, the kernel */
    int fd;            /* eventfd; -1: `sleeping` is the futex to wake */
};

/* The clock of a runtime. */
struct weft__clock {
    bool is_virtual;
    int64_t now;    /* virtual time */
    uint32_t holds; /* virtual: calls in progress that time must wait for; atomic */
};

struct weft__poll; /* one event_base; opened on first need */

/* A descriptor one wants to hear of: storage for the poller's registration. */
struct weft__watch {
    uint64_t event[20]; /* struct event; size asserted by poll.c */
    void (*ready)(struct weft__watch *watch, unsigned what);
    struct weft__poll *poll; /* where it is added; NULL: nowhere */
};
#define WEFT__READABLE 1u
#define WEFT__WRITABLE 2u
#define WEFT__CLOSED 4u /* the peer will send no more */

struct weft_loop {
    /* One line with all that a poster on another CPU looks at: it has to fetch the inbox anyway. */
    struct weft__mpsc inbox;
    struct weft__bell *bell; /* its own, or the one all virtual loops share */
    struct weft__bell own_bell;
    struct weft__clock *clock;
    uint32_t refuses; /* 1: posts of users are refused */
    char pad_[64 - sizeof(struct weft__mpsc) - sizeof(void *) * 2 - sizeof(struct weft__bell) - 4];

    /* Its own thread's, from here on. */
    struct weft__mpsc_node *pending;           /* drained, not called yet */
    bool (*run_ready)(struct weft_loop *loop); /* runs a budget; true when more is ready */
    bool (*has_ready)(struct weft_loop *loop);
    bool (*has_work_elsewhere)(struct weft_loop *loop);     /* work that any loop may take */
    void (*idle)(struct weft_loop *loop, int64_t deadline); /* what to do when nothing is */
    void (*give_way)(struct weft_loop *loop); /* to others of its thread, after a turn; or NULL */
    struct weft__poll *poll;
    uint64_t next_id;
    uint64_t random; /* state of the seeded shuffle; 0: no shuffling */
    uint64_t lots;   /* what fair choices are drawn from when there is no seed */
    struct weft__list soon;
    bool stop;

    /* Posts that have run, on their way back to the threads that own them: chains, sent when the
     * messages of a turn are through. */
    struct weft__returns {
        struct weft__thread *owner;
        struct weft__mpsc_node *newest;
        struct weft__mpsc_node *oldest;
    } returns[4];
    unsigned flood; /* turns in a row with messages that made nothing ready */

    /* Adaptive spinning before sleep. */
    uint32_t spin_ns;  /* how long the next idle phase may spin; 0: not at all */
    bool spin_allowed; /* not more loops than CPUs */

    /* Lone mode (weft_run_here before anything is shared): no poller, no eventfd. The one thing
     * the only task waits for is polled directly. */
    struct weft__watch *lone_watch;
    int lone_fd;
    short lone_events;

    struct weft__suspects *suspects; /* of the I/O layer; freed with the loop, as are these: */
    struct weft__chunks *chunks;
    void (*chunks_free)(struct weft__chunks *chunks);

    int64_t polled_at; /* when a busy loop last looked at its descriptors */
    uint64_t turns, messages, rings, sleeps;
    unsigned index;
    struct weft__timers timers;
    struct weft__timer_slots *slots;
};

extern __thread struct weft_loop *weft__loop_self __attribute__((tls_model("initial-exec")));

/* A stretch of park ids nobody else uses (but for a wrap after 65,536 of them). */
uint64_t weft__id_space(void);

/* loop.c: a loop in zeroed memory. poll and bell may be shared (virtual clock). */
void weft__loop_init(struct weft_loop *loop, unsigned index, struct weft__clock *clock);
/* Slots for its timers, if it has none yet. */
int weft__loop_grow(struct weft_loop *loop);
void weft__loop_close(struct weft_loop *loop);
/* Takes turns on the calling thread until loop->stop. */
void weft__loop_run(struct weft_loop *loop);
/* One turn: ready, messages, soon, timers. True when there is more to do at once. */
bool weft__loop_turn(struct weft_loop *loop);
/* The real clock's idle: spin when that pays, then sleep in the poller. */
void weft__loop_sleep(struct weft_loop *loop, int64_t deadline);
/* Opens poller and doorbell of a loop that has none yet: others are about to know of it. */
int weft__loop_share(struct weft_loop *loop);
/* Before parking for a descriptor, and after. `what`: READABLE or WRITABLE. */
int weft__watch_begin(struct weft_loop *loop, struct weft__watch *watch, int fd, unsigned what);
void weft__watch_end(struct weft_loop *loop, struct weft__watch *watch);

static inline int64_t
weft__clock_now(const struct weft__clock *clock)
{
    return clock->is_virtual ? clock->now : weft__sys_monotonic();
}

/* inbox.c: from any thread. The message is the loop's until its fn is called. */
void weft__inbox_post(struct weft_loop *loop, struct weft__message *message);
/* The loop's own: calls what has come in. True when some is left for the next turn. */
bool weft__inbox_run(struct weft_loop *loop);
/* Wakes the loop if it sleeps, without a message. */
void weft__bell_ring(struct weft_loop *loop);
/* The same for calls of users: -ESHUTDOWN, and nothing is posted, when the loop is closing. */
int weft__inbox_post_unless_closing(struct weft_loop *loop, struct weft__message *message);
/* From a signal handler: posts without hazard marks; the caller keeps the loop alive. */
void weft__inbox_post_raw(struct weft_loop *loop, struct weft__message *message);

/* A plain thread's record: never given back to the system, so late wake-ups stay harmless. */
struct weft__thread {
    struct weft__waiter waiter;
    struct weft_loop *posting; /* the loop it is about to post to: hazard for closing */
    struct weft__thread *next_all;
    struct weft__thread *next_free;
    uint64_t next_id;
    void *private_loop;          /* of weft_run_here */
    struct weft__locals *locals; /* of the task layer */
    struct weft__post *posts;    /* this thread's stock of messages for weft_loop_post, */
    struct weft__mpsc returned;  /* and those that loops gave back */
    struct weft__holdings holdings;
    char error[192];
};
struct weft__thread *weft__thread_self(void); /* NULL when there is no memory */
/* Set by the task layer: frees private_loop and locals at thread exit. */
extern void (*weft__thread_exit_hook)(struct weft__thread *thread);
/* Waits until no plain thread is in the middle of posting to the loop. */
void weft__threads_quiesce(const struct weft_loop *loop);

/* poll.c, the door to libevent. */
int weft__poll_open(struct weft__poll **ret_poll, struct weft__bell *bell, struct event_base *own);
void weft__poll_close(struct weft__poll *poll);
/* Handles events; waits up to timeout_ns for the first (0: not at all, < 0: without limit). */
void weft__poll_run(struct weft__poll *poll, int64_t timeout_ns);
/* Whether anything but the bell is registered. */
bool weft__poll_busy(const struct weft__poll *poll);
/* Whether somebody else's events wait in the base: neither ours nor those of watches. */
bool weft__poll_foreign(const struct weft__poll *poll);
struct event_base *weft__poll_base(struct weft__poll *poll);
int weft__watch_add(struct weft__poll *poll, struct weft__watch *watch, int fd);
void weft__watch_remove(struct weft__watch *watch);

#endif
