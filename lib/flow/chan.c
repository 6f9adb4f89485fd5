/*
 * chan.c - channels: a ring with a lock at each end, and a line of waiters for each.
 *
 * Senders and receivers that do not wait take one lock each, on cache lines of their own; what the
 * other end has done they look up only when the ring seems full, or empty. Who has to wait gets in
 * line with both locks held. So the line of receivers, which senders look at, is changed under the
 * senders' lock by all but those who enter, and the other way round, and:
 *
 *     a receiver who can still be woken is in line only while the ring is empty;
 *     a sender who can still be woken is in line only while the ring is full.
 *
 * Therefore nobody is overtaken: an item goes straight to the oldest receiver if there is one, and
 * who takes an item out of a full ring moves the oldest sender's in, under both locks.
 */
#include <errno.h>
#include <string.h>

#include <weft/chan.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/mem.h"
#include "flow/select_priv.h"
#include "task/task_priv.h"

struct weft_chan {
    /* Read by all; `closed` is written under both locks. */
    size_t item_size;
    size_t capacity;
    unsigned char *ring;
    bool closed;

    /* The locks are taken in this order. */
    struct senders_end {
        struct weft__lock lock;
        uint64_t tail;      /* items put into the ring so far; atomic, the other end looks */
        uint64_t head_seen; /* the other end's head, as last looked up */
        size_t slot;        /* where the next one goes */
        uint64_t handed;    /* items given to receivers in line */
        struct weft__list receivers;
    } in __attribute__((aligned(64)));

    struct receivers_end {
        struct weft__lock lock;
        uint64_t head; /* items taken out of the ring so far; atomic, the other end looks */
        uint64_t tail_seen;
        size_t slot;
        uint64_t taken; /* items taken from senders in line */
        struct weft__list senders;
    } out __attribute__((aligned(64)));
} __attribute__((aligned(64)));

/* Items are small as a rule: most copies are one instruction. */
static inline void
copy(void *to, const void *from, size_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else if (size == 4)
        memcpy(to, from, 4);
    else if (size == 16)
        memcpy(to, from, 16);
    else if (size > 0)
        memcpy(to, from, size);
}

static inline void
lock_both(struct weft_chan *chan)
{
    weft__lock(&chan->in.lock);
    weft__lock(&chan->out.lock);
}

static inline void
unlock_both(struct weft_chan *chan)
{
    weft__unlock(&chan->out.lock);
    weft__unlock(&chan->in.lock);
}

/* ---- Under locks ----------------------------------------------------------------------------- */

/* There is room. With the senders' lock. */
static inline void
push(struct weft_chan *chan, const void *item)
{
    struct senders_end *in = &chan->in;
    size_t slot = in->slot;
    copy(chan->ring + slot * chan->item_size, item, chan->item_size);
    in->slot = slot + 1 == chan->capacity ? 0 : slot + 1;
    weft__store_release(&in->tail, in->tail + 1); /* pairs with the load in is_empty */
}

/* There is an item. With the receivers' lock. */
static inline void
pop(struct weft_chan *chan, void *ret_item)
{
    struct receivers_end *out = &chan->out;
    size_t slot = out->slot;
    copy(ret_item, chan->ring + slot * chan->item_size, chan->item_size);
    out->slot = slot + 1 == chan->capacity ? 0 : slot + 1;
    weft__store_release(&out->head, out->head + 1); /* pairs with the load in is_full */
}

static inline bool
is_full(struct weft_chan *chan)
{
    struct senders_end *in = &chan->in;
    if (in->tail - in->head_seen < chan->capacity)
        return false;
    in->head_seen = weft__load(&chan->out.head); /* pairs with the store in pop */
    return in->tail - in->head_seen >= chan->capacity;
}

static inline bool
is_empty(struct weft_chan *chan)
{
    struct receivers_end *out = &chan->out;
    if (out->head != out->tail_seen)
        return false;
    out->tail_seen = weft__load(&chan->in.tail); /* pairs with the store in push */
    return out->head == out->tail_seen;
}

/* With the senders' lock: 0 when the item is in the ring, or is to be given to *ret_peer after
 * unlocking; -EAGAIN; -EPIPE. */
static inline int
put(struct weft_chan *chan, const void *item, struct weft__stand **ret_peer)
{
    *ret_peer = NULL;
    if (chan->closed)
        return -EPIPE;
    struct senders_end *in = &chan->in;
    if (!weft__list_empty(&in->receivers)) {
        *ret_peer = weft__stand_claim(&in->receivers);
        if (*ret_peer != NULL) {
            in->handed++;
            return 0;
        }
    }
    if (is_full(chan))
        return -EAGAIN;
    push(chan, item);
    return 0;
}

/* With both locks; the receivers' is enough where there is no ring. 0: *ret_item has it; from a
 * channel without a ring it gets it from *ret_peer after unlocking, while in one with a ring the
 * item of *ret_peer has moved in, and it only is to be told. */
static int
take_locked(struct weft_chan *chan, void *ret_item, struct weft__stand **ret_peer)
{
    struct receivers_end *out = &chan->out;
    *ret_peer = NULL;
    if (chan->capacity > 0 && is_empty(chan))
        return chan->closed ? -EPIPE : -EAGAIN;
    struct weft__stand *peer = weft__stand_claim(&out->senders);
    *ret_peer = peer;
    if (chan->capacity == 0) {
        if (peer == NULL)
            return chan->closed ? -EPIPE : -EAGAIN;
        out->taken++;
        return 0;
    }
    pop(chan, ret_item);
    if (peer != NULL)
        push(chan, peer->item);
    return 0;
}

/* Bytes that a peer of take_locked still has to hand over. With a lock: once the item of a peer is
 * in a ring, others may receive it, and then free the channel. */
static inline size_t
left_with_peer(const struct weft_chan *chan)
{
    return chan->capacity == 0 ? chan->item_size : 0;
}

/* What is left to be done after take_locked. */
static inline void
take_after(void *ret_item, struct weft__stand *peer, size_t left)
{
    if (peer == NULL)
        return;
    copy(ret_item, peer->item, left);
    weft__stand_deliver(peer, 0);
}

/* And after put. Without a peer nothing may be touched: who has received the item may have freed
 * the channel. */
static inline void
put_after(const struct weft_chan *chan, const void *item, struct weft__stand *peer)
{
    if (peer == NULL)
        return;
    copy(peer->item, item, chan->item_size);
    weft__stand_deliver(peer, 0);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

int
weft_chan_try_send(weft_chan *chan, const void *item)
{
    struct weft__stand *peer;
    weft__lock(&chan->in.lock);
    int rc = put(chan, item, &peer);
    weft__unlock(&chan->in.lock);
    put_after(chan, item, peer);
    return rc;
}

int
weft_chan_try_recv(weft_chan *chan, void *ret_item)
{
    struct receivers_end *out = &chan->out;
    weft__lock(&out->lock);
    if (weft__list_empty(&out->senders)) {
        int rc = 0;
        if (!is_empty(chan))
            pop(chan, ret_item);
        else
            rc = chan->closed ? -EPIPE : -EAGAIN;
        weft__unlock(&out->lock);
        return rc;
    }
    if (chan->capacity > 0) {
        /* An item may have to be moved in at the other end, whose lock comes first. */
        weft__unlock(&out->lock);
        weft__lock(&chan->in.lock);
        weft__lock(&out->lock);
    }
    struct weft__stand *peer;
    int rc = take_locked(chan, ret_item, &peer);
    size_t left = left_with_peer(chan);
    weft__unlock(&out->lock);
    if (chan->capacity > 0)
        weft__unlock(&chan->in.lock);
    take_after(ret_item, peer, left);
    return rc;
}

/* Each call uses up some of the turn, or two loops that keep pace with each other would keep all
 * other tasks of theirs waiting. */
static inline int
begin(void)
{
    return weft__task_self() != NULL ? weft_checkpoint() : weft__wait_begin();
}

/* With both locks: gets in line, unlocks, suspends. */
static int
stand_in(struct weft_chan *chan, struct weft__list *line, struct weft__lock *lock, void *item)
{
    struct weft__stand stand = {.waiter = weft__park_arm().waiter, .item = item};
    weft__stand_enter(&stand, line);
    unlock_both(chan);
    weft__waits_for("channel", chan);
    int rc = weft__park(true);
    if (rc < 0) {
        weft__stand_leave(&stand, lock);
        return rc;
    }
    return stand.status;
}

static __attribute__((noinline)) int
send_slow(struct weft_chan *chan, const void *item)
{
    struct weft__stand *peer;
    lock_both(chan);
    int rc = put(chan, item, &peer);
    if (rc == -EAGAIN)
        return stand_in(chan, &chan->out.senders, &chan->out.lock, (void *)(uintptr_t)item);
    unlock_both(chan);
    put_after(chan, item, peer);
    return rc;
}

int
weft_chan_send(weft_chan *chan, const void *item)
{
    int rc = begin();
    if (rc < 0)
        return rc;
    rc = weft_chan_try_send(chan, item);
    return rc == -EAGAIN ? send_slow(chan, item) : rc;
}

static __attribute__((noinline)) int
recv_slow(struct weft_chan *chan, void *ret_item)
{
    struct weft__stand *peer;
    lock_both(chan);
    int rc = take_locked(chan, ret_item, &peer);
    if (rc == -EAGAIN)
        return stand_in(chan, &chan->in.receivers, &chan->in.lock, ret_item);
    size_t left = left_with_peer(chan);
    unlock_both(chan);
    take_after(ret_item, peer, left);
    return rc;
}

int
weft_chan_recv(weft_chan *chan, void *ret_item)
{
    int rc = begin();
    if (rc < 0)
        return rc;
    rc = weft_chan_try_recv(chan, ret_item);
    return rc == -EAGAIN ? recv_slow(chan, ret_item) : rc;
}

void
weft_chan_close(weft_chan *chan)
{
    struct weft__list claimed;
    weft__list_init(&claimed);
    lock_both(chan);
    chan->closed = true;
    weft__stand_claim_all(&chan->in.receivers, &claimed);
    weft__stand_claim_all(&chan->out.senders, &claimed);
    unlock_both(chan);
    weft__stand_deliver_all(&claimed, -EPIPE);
}

static size_t
count(const struct weft__list *line)
{
    size_t n = 0;
    weft__list_foreach(link, line) n++;
    return n;
}

void
weft_chan_stats_get(weft_chan *chan, weft_chan_stats *ret_stats)
{
    lock_both(chan);
    uint64_t direct = chan->in.handed + chan->out.taken;
    weft_chan_stats stats = {
        .capacity = chan->capacity,
        .len = (size_t)(chan->in.tail - chan->out.head),
        .waiting_senders = count(&chan->out.senders),
        .waiting_receivers = count(&chan->in.receivers),
        .sent = chan->in.tail + direct,
        .received = chan->out.head + direct,
        .closed = chan->closed,
    };
    unlock_both(chan);
    *ret_stats = stats;
}

int
weft_chan_new(weft_chan **ret_chan, size_t item_size, size_t capacity)
{
    size_t bytes;
    if (__builtin_mul_overflow(item_size, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(weft_chan), &bytes))
        return -EOVERFLOW;
    weft_chan *chan = weft__alloc_lines(bytes);
    if (chan == NULL)
        return -ENOMEM;
    chan->item_size = item_size;
    chan->capacity = capacity;
    chan->ring = (unsigned char *)(chan + 1);
    weft__list_init(&chan->in.receivers);
    weft__list_init(&chan->out.senders);
    *ret_chan = chan;
    return 0;
}

void
weft_chan_free(weft_chan *chan)
{
    if (chan == NULL)
        return;
    /* Who put the last item in is seen to have done so before it has unlocked. */
    lock_both(chan);
    bool idle = weft__list_empty(&chan->in.receivers) && weft__list_empty(&chan->out.senders);
    unlock_both(chan);
    weft__assert(idle, "a channel was freed while somebody waits in it");
    weft__free_lines(chan);
}

/* ---- As branches of a select ----------------------------------------------------------------- */

static int
case_put(struct weft__case *branch)
{
    branch->result = weft_chan_try_send(branch->object, branch->stand.item);
    return branch->result == -EAGAIN ? -EAGAIN : 0;
}

static int
case_take(struct weft__case *branch)
{
    branch->result = weft_chan_try_recv(branch->object, branch->stand.item);
    return branch->result == -EAGAIN ? -EAGAIN : 0;
}

static unsigned
case_locks(struct weft__case *branch, struct weft__lock *locks[2])
{
    struct weft_chan *chan = branch->object;
    locks[0] = &chan->in.lock;
    locks[1] = &chan->out.lock;
    return 2;
}

static int
case_put_locked(struct weft__case *branch)
{
    branch->result = put(branch->object, branch->stand.item, &branch->peer);
    return branch->result == -EAGAIN ? -EAGAIN : 0;
}

static int
case_take_locked(struct weft__case *branch)
{
    branch->result = take_locked(branch->object, branch->stand.item, &branch->peer);
    branch->own[0] = left_with_peer(branch->object);
    return branch->result == -EAGAIN ? -EAGAIN : 0;
}

static void
case_put_after(struct weft__case *branch)
{
    put_after(branch->object, branch->stand.item, branch->peer);
}

static void
case_take_after(struct weft__case *branch)
{
    take_after(branch->stand.item, branch->peer, (size_t)branch->own[0]);
}

static void
case_enter_senders(struct weft__case *branch)
{
    weft__stand_enter(&branch->stand, &((struct weft_chan *)branch->object)->out.senders);
}

static void
case_enter_receivers(struct weft__case *branch)
{
    weft__stand_enter(&branch->stand, &((struct weft_chan *)branch->object)->in.receivers);
}

static void
case_leave_senders(struct weft__case *branch)
{
    weft__stand_leave(&branch->stand, &((struct weft_chan *)branch->object)->out.lock);
}

static void
case_leave_receivers(struct weft__case *branch)
{
    weft__stand_leave(&branch->stand, &((struct weft_chan *)branch->object)->in.lock);
}

static const struct weft__case_kind send_kind = {
    .take = case_put,
    .locks = case_locks,
    .take_locked = case_put_locked,
    .after = case_put_after,
    .enter = case_enter_senders,
    .leave = case_leave_senders,
};

static const struct weft__case_kind recv_kind = {
    .take = case_take,
    .locks = case_locks,
    .take_locked = case_take_locked,
    .after = case_take_after,
    .enter = case_enter_receivers,
    .leave = case_leave_receivers,
};

weft_case
weft_case_send(weft_chan *chan, const void *item)
{
    weft_case branch;
    weft__case_init(&branch, &send_kind, chan, (void *)(uintptr_t)item, NULL);
    return branch;
}

weft_case
weft_case_recv(weft_chan *chan, void *ret_item)
{
    weft_case branch;
    weft__case_init(&branch, &recv_kind, chan, ret_item, NULL);
    return branch;
}
