/*
 * queue.c - queues of items, for tasks and threads alike.
 *
 * Every call first tries the quick way: one side's lock, no waiters, room or items there. What
 * does not go that way is done with all locked: an item goes to the oldest getter that waits, a
 * place that comes free to the oldest putter, so that getters wait only when there are no items
 * and putters only when there is no room, and no one is overtaken. While a line is not empty its
 * side's quick way is closed, so a burst into an empty queue wakes one getter, once.
 *
 * Waiters are claimed with all locked and delivered to afterwards; the queue is not touched any
 * more then. Of two locks `in` is taken first and given back last, and that is the last touch.
 */
#include <errno.h>

#include <weft/task.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "flow/queue_priv.h"
#include "task/task_priv.h"

#define GATHER_PAUSES 16 /* about half a microsecond */
#define GATHERED 4       /* items, or places, for which the next wait tries it sooner */
#define SELDOM 63        /* waits between two tries, at most */

/* ---- Locks ---------------------------------------------------------------------------------- */

static inline void
check_owner(const struct weft_queue *queue)
{
    weft__assert(weft__loop_self == queue->loop,
                 "a local queue was used from elsewhere than its loop");
}

static inline void
side_lock(struct weft_queue *queue, struct weft__lock *lock)
{
    if (queue->loop != NULL)
        check_owner(queue);
    else
        weft__lock(lock);
}

static inline void
side_unlock(struct weft_queue *queue, struct weft__lock *lock)
{
    if (queue->loop == NULL)
        weft__unlock(lock);
}

static void
lock_all(struct weft_queue *queue)
{
    side_lock(queue, &queue->in.lock);
    if (queue->order == WEFT_FIFO)
        side_lock(queue, &queue->out.lock);
}

static void
unlock_all(struct weft_queue *queue)
{
    if (queue->order == WEFT_FIFO)
        side_unlock(queue, &queue->out.lock);
    side_unlock(queue, &queue->in.lock);
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* Looks for cancellation; and calls that never wait still let others run before long. */
static inline int
wait_begin(void)
{
    return weft__task_self() != NULL ? weft_checkpoint() : weft__wait_begin();
}

static void
line_remove(struct weft__line *line, struct weft__place *place)
{
    weft__list_remove(&place->link);
    line->n--;
}

/* With all locked: gets in line, unlocks, suspends. What whoever claimed it said; or a
 * cancellation, and then nothing was given or taken. */
static ssize_t
stand_in_line(struct weft_queue *queue, struct weft__line *line, void *items, size_t n)
{
    struct weft__place place = {.waiter = weft__park_arm().waiter, .items = items, .n = n};
    weft__list_push_back(&line->places, &place.link);
    line->n++;
    unlock_all(queue);
    weft__waits_for("queue", queue);
    int rc = weft__park(true);
    if (rc == 0)
        return place.result; /* the queue may be gone */
    lock_all(queue);
    if (weft__link_on_list(&place.link))
        line_remove(line, &place);
    unlock_all(queue);
    return rc;
}

/* Those claimed, first to last. */
struct woken {
    struct weft__place *first;
    struct weft__place **end;
};

static bool
claim_waiter(const struct weft_queue *queue, struct weft__waiter *waiter)
{
    if (queue->loop == NULL)
        return weft__claim_present(waiter);
    uint64_t state = weft__load_relaxed(&waiter->state);
    return weft__claim_local((struct weft__ticket){waiter, state & ~(uint64_t)3});
}

/* The first in line that was not cancelled, off the line and among the woken. */
static struct weft__place *
claim(struct weft_queue *queue, struct weft__line *line, struct woken *woken)
{
    struct weft__link *link;
    while ((link = weft__list_first(&line->places)) != NULL) {
        struct weft__place *place = weft__container(link, struct weft__place, link);
        line_remove(line, place);
        if (!claim_waiter(queue, place->waiter))
            continue;
        place->next = NULL;
        *woken->end = place;
        woken->end = &place->next;
        return place;
    }
    return NULL;
}

static void
deliver(const struct woken *woken)
{
    struct weft__place *place = woken->first;
    while (place != NULL) {
        struct weft__place *next = place->next; /* it is gone once it is woken */
        weft__deliver(place->waiter, 0);
        place = next;
    }
}

/* Hands items to getters and room to putters until one of both is used up. */
static void
settle(struct weft_queue *queue, struct woken *woken)
{
    for (;;) {
        size_t size = weft__queue_size(queue);
        struct weft__place *place = NULL;
        if (size > 0 && (place = claim(queue, &queue->in.getters, woken)) != NULL) {
            place->result = (ssize_t)weft__queue_pop(queue, place->items, place->n);
            continue;
        }
        if (size < queue->in.limit && (place = claim(queue, &queue->out.putters, woken)) != NULL) {
            place->result = (ssize_t)weft__queue_push(queue, place->items, place->n);
            continue;
        }
        return;
    }
}

static void
claim_all(struct weft_queue *queue, struct weft__line *line, ssize_t result, struct woken *woken)
{
    struct weft__place *place;
    while ((place = claim(queue, line, woken)) != NULL)
        place->result = result;
}

/* ---- Letting some gather -------------------------------------------------------------------- */

/* Two CPUs that are equally fast would hand over item by item: one finds the queue empty, or full,
 * waits, is woken for a single item or place, and both do little else than wake, and fetch the
 * same cache lines from each other. So before it waits, a call whose loop has nothing else to do
 * looks again after half a microsecond: by then there is a batch, or it was in vain, and the more
 * often that was so, the more rarely it is tried. Whether to go the quick way again. */
static __attribute__((noinline)) bool
let_gather(struct weft_queue *queue, struct weft__gather *gather)
{
    struct weft__sched *sched = weft__sched_self();
    if (queue->loop != NULL || queue->order != WEFT_FIFO ||
        (sched != NULL && (sched->ready_head != NULL || !weft__mpsc_empty(&sched->loop.inbox))))
        return false;
    uint32_t skip = weft__load_relaxed(&gather->skip);
    if (skip > 0) {
        weft__store_relaxed(&gather->skip, skip - 1);
        return false;
    }
    /* Not under one lock, so only about right; pairs with nothing. */
    uint64_t before = weft__load(&queue->in.n_put) - weft__load(&queue->out.n_gone);
    for (int i = 0; i < GATHER_PAUSES; i++)
        weft__cpu_pause();
    uint64_t after = weft__load(&queue->in.n_put) - weft__load(&queue->out.n_gone);
    uint64_t change = after > before ? after - before : before - after;

    uint32_t seldom = weft__load_relaxed(&gather->seldom);
    if (change >= GATHERED)
        seldom /= 2;
    else if (seldom < SELDOM)
        seldom = 2 * seldom + 1;
    weft__store_relaxed(&gather->seldom, seldom);
    weft__store_relaxed(&gather->skip, seldom);
    return change > 0;
}

/* ---- Putting -------------------------------------------------------------------------------- */

/* How many went in; 0 when it must be done with all locked. */
static inline __attribute__((always_inline)) size_t
put_quickly(struct weft_queue *queue, const void *items, size_t n)
{
    if (queue->order != WEFT_FIFO || WEFT_BUGGIFY(4))
        return 0;
    side_lock(queue, &queue->in.lock);
    uint64_t put = queue->in.n_put;
    uint64_t end = queue->in.gone_seen + queue->in.limit; /* room up to here, at least */
    if (end < put + n) {
        /* pairs with the store in get_quickly: what was taken has been copied out */
        queue->in.gone_seen = weft__load(&queue->out.n_gone);
        end = queue->in.gone_seen + queue->in.limit;
        if (end < put + n)
            n = (size_t)(end - put);
    }
    if (queue->in.getters.n > 0 || queue->shut)
        n = 0;
    const unsigned char *item = items;
    for (size_t i = 0; i < n; i++, item += queue->item_size)
        weft__queue_copy(weft__queue_slot(queue, put + i), item, queue->item_size);
    weft__store_release(&queue->in.n_put, put + n); /* pairs with the load in get_quickly */
    side_unlock(queue, &queue->in.lock);
    return n;
}

/* Twice the slots, when there are still as few as `few`. */
static int
grow(struct weft_queue *queue, size_t few)
{
    if (few > SIZE_MAX / 2 / queue->stride)
        return -ENOMEM;
    unsigned char *slots = weft__alloc(2 * few * queue->stride);
    if (slots == NULL)
        return -ENOMEM;
    lock_all(queue);
    if (queue->in.limit == few && !queue->shut)
        slots = weft__queue_move(queue, slots, 2 * few);
    unlock_all(queue);
    weft__free(slots);
    return 0;
}

/* With all locked, and no room: puts an item in the place of the oldest, and unlocks. */
static __attribute__((noinline)) void
put_over_oldest(struct weft_queue *queue, const void *item)
{
    _Alignas(16) unsigned char oldest[WEFT_QUEUE_ITEM_MAX];
    weft__queue_pop_oldest(queue, oldest);
    queue->out.n_dropped++;
    weft__queue_push(queue, item, 1);
    void (*drop)(void *item, void *arg) = queue->drop;
    void *drop_arg = queue->drop_arg;
    unlock_all(queue);
    if (drop != NULL)
        drop(oldest, drop_arg);
}

static __attribute__((noinline)) ssize_t
put_slowly(struct weft_queue *queue, const void *items, size_t n, bool may_wait)
{
    may_wait = may_wait && queue->overflow == WEFT_OVERFLOW_WAIT;
    if (may_wait && queue->capacity != WEFT_UNBOUNDED && let_gather(queue, &queue->in.gather)) {
        size_t put = put_quickly(queue, items, n);
        if (put > 0)
            return (ssize_t)put;
    }
    for (;;) {
        lock_all(queue);
        if (queue->shut) {
            unlock_all(queue);
            return -EPIPE;
        }
        size_t limit = queue->in.limit;
        if (weft__queue_size(queue) < limit) {
            struct woken woken = {.end = &woken.first};
            n = weft__queue_push(queue, items, n);
            settle(queue, &woken);
            unlock_all(queue);
            deliver(&woken);
            return (ssize_t)n;
        }
        if (queue->capacity != WEFT_UNBOUNDED)
            break;
        unlock_all(queue);
        int rc = grow(queue, limit);
        if (rc < 0)
            return rc;
    }
    if (queue->overflow == WEFT_OVERFLOW_DROP_OLDEST) {
        put_over_oldest(queue, items);
        return 1;
    }
    if (!may_wait) {
        unlock_all(queue);
        return -EAGAIN;
    }
    return stand_in_line(queue, &queue->out.putters, (void *)(uintptr_t)items, n);
}

int
weft_queue_put(weft_queue *queue, const void *item)
{
    int rc = wait_begin();
    if (rc < 0)
        return rc;
    if (put_quickly(queue, item, 1) > 0)
        return 0;
    ssize_t n = put_slowly(queue, item, 1, true);
    return n < 0 ? (int)n : 0;
}

int
weft_queue_try_put(weft_queue *queue, const void *item)
{
    if (put_quickly(queue, item, 1) > 0)
        return 0;
    ssize_t n = put_slowly(queue, item, 1, false);
    return n < 0 ? (int)n : 0;
}

ssize_t
weft_queue_put_many(weft_queue *queue, const void *items, size_t n)
{
    weft__assert(n > 0, "weft_queue_put_many was given no items");
    int rc = wait_begin();
    if (rc < 0)
        return rc;
    size_t put = put_quickly(queue, items, n);
    return put > 0 ? (ssize_t)put : put_slowly(queue, items, n, true);
}

/* ---- Taking --------------------------------------------------------------------------------- */

/* How many came out; 0 when it must be done with all locked. */
static inline __attribute__((always_inline)) size_t
get_quickly(struct weft_queue *queue, void *ret_items, size_t n)
{
    if (queue->order != WEFT_FIFO || WEFT_BUGGIFY(4))
        return 0;
    side_lock(queue, &queue->out.lock);
    uint64_t gone = queue->out.n_gone;
    if (queue->out.put_seen < gone + n) {
        /* pairs with the store in put_quickly: what was put has been copied in */
        queue->out.put_seen = weft__load(&queue->in.n_put);
        if (queue->out.put_seen < gone + n)
            n = (size_t)(queue->out.put_seen - gone);
    }
    if (queue->out.putters.n > 0)
        n = 0;
    unsigned char *item = ret_items;
    for (size_t i = 0; i < n; i++, item += queue->item_size)
        weft__queue_copy(item, weft__queue_slot(queue, gone + i), queue->item_size);
    weft__store_release(&queue->out.n_gone, gone + n); /* pairs with the load in put_quickly */
    side_unlock(queue, &queue->out.lock);
    return n;
}

static __attribute__((noinline)) ssize_t
get_slowly(struct weft_queue *queue, void *ret_items, size_t n, bool may_wait)
{
    if (may_wait && let_gather(queue, &queue->out.gather)) {
        size_t taken = get_quickly(queue, ret_items, n);
        if (taken > 0)
            return (ssize_t)taken;
    }
    lock_all(queue);
    if (weft__queue_size(queue) > 0) {
        struct woken woken = {.end = &woken.first};
        n = weft__queue_pop(queue, ret_items, n);
        settle(queue, &woken);
        unlock_all(queue);
        deliver(&woken);
        return (ssize_t)n;
    }
    if (queue->shut || !may_wait) {
        int rc = queue->shut ? -EPIPE : -EAGAIN;
        unlock_all(queue);
        return rc;
    }
    return stand_in_line(queue, &queue->in.getters, ret_items, n);
}

int
weft_queue_get(weft_queue *queue, void *ret_item)
{
    int rc = wait_begin();
    if (rc < 0)
        return rc;
    if (get_quickly(queue, ret_item, 1) > 0)
        return 0;
    ssize_t n = get_slowly(queue, ret_item, 1, true);
    return n < 0 ? (int)n : 0;
}

int
weft_queue_try_get(weft_queue *queue, void *ret_item)
{
    if (get_quickly(queue, ret_item, 1) > 0)
        return 0;
    ssize_t n = get_slowly(queue, ret_item, 1, false);
    return n < 0 ? (int)n : 0;
}

ssize_t
weft_queue_get_many(weft_queue *queue, void *ret_items, size_t n)
{
    weft__assert(n > 0, "weft_queue_get_many was given no room");
    int rc = wait_begin();
    if (rc < 0)
        return rc;
    size_t taken = get_quickly(queue, ret_items, n);
    return taken > 0 ? (ssize_t)taken : get_slowly(queue, ret_items, n, true);
}

/* ---- Work on the items ---------------------------------------------------------------------- */

/* With all locked: items put whose work is not done. */
static uint64_t
pending(const struct weft_queue *queue)
{
    return queue->in.n_put - queue->out.n_dropped - queue->out.n_done;
}

/* With the lock that n_gone is under. */
static uint64_t
in_hand(const struct weft_queue *queue)
{
    return queue->out.n_gone - queue->out.n_dropped - queue->out.n_done;
}

void
weft_queue_task_done(weft_queue *queue)
{
    static const char once_too_often[] =
        "weft_queue_task_done was called more often than items were taken";
    struct weft__lock *lock = queue->order == WEFT_FIFO ? &queue->out.lock : &queue->in.lock;
    side_lock(queue, lock);
    weft__assert(in_hand(queue) > 0, once_too_often);
    /* The last one that somebody waits for must be done with all locked: once it is, the queue
     * may be gone. */
    bool quick = queue->out.joiners.n == 0 || in_hand(queue) > 1;
    if (quick)
        queue->out.n_done++;
    side_unlock(queue, lock);
    if (quick)
        return;

    struct woken woken = {.end = &woken.first};
    lock_all(queue);
    weft__assert(in_hand(queue) > 0, once_too_often);
    queue->out.n_done++;
    if (pending(queue) == 0)
        claim_all(queue, &queue->out.joiners, 0, &woken);
    unlock_all(queue);
    deliver(&woken);
}

int
weft_queue_join(weft_queue *queue)
{
    int rc = wait_begin();
    if (rc < 0)
        return rc;
    lock_all(queue);
    if (pending(queue) == 0) {
        unlock_all(queue);
        return 0;
    }
    return (int)stand_in_line(queue, &queue->out.joiners, NULL, 0);
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

static int
check(size_t item_size, const weft_queue_options *options)
{
    if (item_size == 0 || item_size > WEFT_QUEUE_ITEM_MAX)
        return weft_error_note(-EINVAL, "an item of a queue has 1 to %d bytes, not %zu",
                               WEFT_QUEUE_ITEM_MAX, item_size);
    if ((unsigned)options->order > WEFT_PRIORITY ||
        (unsigned)options->overflow > WEFT_OVERFLOW_DROP_OLDEST)
        return weft_error_note(-EINVAL, "a queue has no such order, or overflow");
    if (options->order == WEFT_PRIORITY && options->overflow == WEFT_OVERFLOW_DROP_OLDEST)
        return weft_error_note(-EINVAL, "a priority queue does not know its oldest item");
    if (options->order == WEFT_PRIORITY && options->compare == NULL && item_size < sizeof(int64_t))
        return weft_error_note(-EINVAL,
                               "without .compare an item of a priority queue begins with an "
                               "int64_t, and this one has %zu bytes",
                               item_size);
    if (options->capacity != WEFT_UNBOUNDED &&
        options->capacity > (size_t)PTRDIFF_MAX / 4 / (item_size + 32))
        return weft_error_note(-EINVAL, "a queue of %zu items is larger than memory",
                               options->capacity);
    if (options->local && weft__loop_self == NULL)
        return weft_error_note(-EINVAL, "a local queue is made on the loop it is for");
    return 0;
}

int
weft_queue_new(weft_queue **ret_queue, size_t item_size, const weft_queue_options *options)
{
    static const weft_queue_options defaults;
    if (options == NULL)
        options = &defaults;
    int rc = check(item_size, options);
    if (rc < 0)
        return rc;
    struct weft_queue *queue = weft__alloc_lines(sizeof *queue);
    if (queue == NULL)
        return -ENOMEM;
    queue->item_size = item_size;
    queue->capacity = options->capacity != 0 ? options->capacity : WEFT_QUEUE_CAPACITY;
    queue->loop = options->local ? weft__loop_self : NULL;
    queue->order = options->order;
    queue->overflow = options->overflow;
    queue->compare = options->compare;
    queue->drop = options->drop;
    queue->drop_arg = options->drop_arg;
    weft__list_init(&queue->in.getters.places);
    weft__list_init(&queue->out.putters.places);
    weft__list_init(&queue->out.joiners.places);
    rc = weft__queue_store_open(queue);
    if (rc < 0) {
        weft__free_lines(queue);
        return rc;
    }
    *ret_queue = queue;
    return 0;
}

void
weft_queue_shutdown(weft_queue *queue, weft_close_mode mode)
{
    struct woken woken = {.end = &woken.first};
    struct weft__items dropped = {.slots = NULL};
    lock_all(queue);
    queue->shut = true;
    if (mode == WEFT_CANCEL)
        weft__queue_take_away(queue, &dropped); /* no slot will be needed again */
    if (weft__queue_size(queue) == 0)
        claim_all(queue, &queue->in.getters, -EPIPE, &woken);
    claim_all(queue, &queue->out.putters, -EPIPE, &woken);
    if (pending(queue) == 0)
        claim_all(queue, &queue->out.joiners, 0, &woken);
    unlock_all(queue);
    weft__items_drop(&dropped);
    deliver(&woken);
}

void
weft_queue_free(weft_queue *queue)
{
    if (queue == NULL)
        return;
    if (queue->loop == NULL) {
        /* Whose item was taken may still be about to unlock. */
        lock_all(queue);
        unlock_all(queue);
    }
    weft__assert(queue->in.getters.n + queue->out.putters.n + queue->out.joiners.n == 0,
                 "a queue was freed while somebody waits for it");
    struct weft__items left;
    weft__queue_take_away(queue, &left);
    weft__free_lines(queue);
    weft__items_drop(&left);
}

/* ---- Looking -------------------------------------------------------------------------------- */

size_t
weft_queue_size(weft_queue *queue)
{
    lock_all(queue);
    size_t size = weft__queue_size(queue);
    unlock_all(queue);
    return size;
}

size_t
weft_queue_capacity(const weft_queue *queue)
{
    return queue->capacity;
}

void
weft_queue_stats_get(weft_queue *queue, weft_queue_stats *ret_stats)
{
    lock_all(queue);
    *ret_stats = (weft_queue_stats){
        .size = weft__queue_size(queue),
        .capacity = queue->capacity,
        .getters = queue->in.getters.n,
        .putters = queue->out.putters.n,
        .put = queue->in.n_put,
        .taken = queue->out.n_gone - queue->out.n_dropped,
        .dropped = queue->out.n_dropped,
        .pending = pending(queue),
        .shut = queue->shut,
    };
    unlock_all(queue);
}
