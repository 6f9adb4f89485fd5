/*
 * procpool.c - the parent's side of a pool: one thread that starts, feeds, watches and replaces
 * the children.
 *
 * The queue, the closing order and the states of calls are under the lock, for any thread. The
 * slots with the children in them are the supervisor's alone, and so is every call of `done`. A
 * call is on the queue, on the list of the cancelled, or in exactly one slot; it is finished
 * where it leaves the last of them, so it is finished once.
 *
 * A child's end shows as the end of file on its socket or on its pidfd, whichever is seen first.
 * (Where there are no pidfds, a process that the child left behind with its socket can hide it.)
 * A reply that was complete before is a reply; half of one is the death of its call.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/error.h>
#include <weft/run.h>

#include "base/atomic.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seam.h"
#include "pool/pool_priv.h"
#include "pool/pool_sys.h"

#define WIDTH_MAX 1024
#define FAILED_STARTS_MAX 8     /* in a row, before the pool refuses calls */
#define BACKOFF_MIN WEFT_MS(10) /* after the first failed start; doubles */
#define BACKOFF_MAX WEFT_SEC(1)
#define REFUSAL WEFT_SEC(1)
#define RETRY_START WEFT_MS(100)     /* no resources for a child, but others are alive */
#define KILL_PATIENCE WEFT_SEC(1)    /* how long a killed child may take to be gone */
#define LEAVE_PATIENCE WEFT_SEC(2)   /* how long a child may take to go at the close */
#define BLIND_PATIENCE WEFT_MS(100)  /* likewise, when there is no pidfd to see it gone */
#define TURN_BYTES ((size_t)1 << 20) /* read from one child before the others have their turn */
#define EVENTS_MAX 64

enum call_state { CALL_NEW, CALL_QUEUED, CALL_CANCELLED, CALL_RUNNING, CALL_STOPPING, CALL_DONE };

struct call_list {
    weft_procpool_call *first;
    weft_procpool_call *last;
};

enum slot_state {
    SLOT_FREE,
    SLOT_STARTING, /* has not said hello */
    SLOT_IDLE,
    SLOT_BUSY,  /* has a call */
    SLOT_ENDING /* its socket is closed; the pidfd will tell */
};

struct slot {
    struct weft__child child;
    enum slot_state state;
    bool used;    /* was ever given a call */
    bool told;    /* its end is our doing */
    bool sending; /* the request is not out yet */
    weft_procpool_call *call;
    int verdict;       /* of the call, when we ended the child */
    weft_time give_up; /* ENDING: when to kill, or to stop waiting */
    struct weft__frame_out out;
    struct weft__frame_in in;
};

struct weft_procpool {
    /* Fixed from the start. */
    unsigned width;
    weft_procpool_handler *handler; /* NULL: exec */
    char **argv;                    /* exec: its arguments, name first, and NULL; one block */
    int epoll;
    int bell; /* eventfd, rung when the supervisor sleeps */
    pthread_t supervisor;

    pthread_mutex_t lock; /* the following */
    struct call_list queue;
    struct call_list cancelled;
    size_t n_queued;
    weft_time earliest; /* no call on the queue has a deadline before this */
    weft_time refuse_until;
    bool sleeping; /* the supervisor is in epoll_wait, or about to be, and must be woken */
    bool stopping; /* some call is CALL_STOPPING */
    bool closing;
    bool close_seen; /* the supervisor has acted on it */
    weft_close_mode close_mode;
    weft_time close_by;

    /* The supervisor's. */
    struct slot *slots;
    unsigned *idle; /* indices of idle slots; the last one came last, and is warm */
    unsigned n_idle;
    unsigned n_alive; /* not FREE */
    unsigned n_starting;
    unsigned n_busy;
    unsigned failed_starts; /* in a row */
    bool proven;            /* some child has said hello */
    weft_time next_start;

    /* Written by the supervisor, read by anybody. */
    struct {
        unsigned children;
        unsigned idle;
        uint64_t started;
        uint64_t crashed;
        uint64_t killed;
    } stats;
};

/* ---- Lists of calls --------------------------------------------------------------------------*/

static void
list_insert(struct call_list *list, weft_procpool_call *call, weft_procpool_call *before)
{
    weft_procpool_call *prev = before == NULL ? list->last : before->prev_;
    call->next_ = before;
    call->prev_ = prev;
    *(prev == NULL ? &list->first : &prev->next_) = call;
    *(before == NULL ? &list->last : &before->prev_) = call;
}

static void
list_remove(struct call_list *list, weft_procpool_call *call)
{
    *(call->prev_ == NULL ? &list->first : &call->prev_->next_) = call->next_;
    *(call->next_ == NULL ? &list->last : &call->next_->prev_) = call->prev_;
    call->next_ = call->prev_ = NULL;
}

/* ---- Finishing calls: the supervisor only, without the lock ----------------------------------*/

static void
call_finish(weft_procpool *pool, weft_procpool_call *call, int result)
{
    (void)pthread_mutex_lock(&pool->lock);
    call->state_ = CALL_DONE; /* a cancel from now on finds nothing to do */
    (void)pthread_mutex_unlock(&pool->lock);
    call->done(call, result);
}

static void
list_finish(weft_procpool *pool, struct call_list *list, int result)
{
    for (weft_procpool_call *call; (call = list->first) != NULL;) {
        list_remove(list, call);
        call_finish(pool, call, result);
    }
}

static void
queue_finish(weft_procpool *pool, int result)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct call_list all = pool->queue;
    pool->queue = (struct call_list){0};
    pool->n_queued = 0;
    /* Still named by their callers: who cancels one now must not look for it on the queue. */
    for (weft_procpool_call *call = all.first; call != NULL; call = call->next_)
        call->state_ = CALL_DONE;
    (void)pthread_mutex_unlock(&pool->lock);
    list_finish(pool, &all, result);
}

/* ---- Slots -----------------------------------------------------------------------------------*/

static void
slot_becomes(weft_procpool *pool, struct slot *slot, enum slot_state state)
{
    unsigned index = (unsigned)(slot - pool->slots);
    switch (slot->state) {
    case SLOT_FREE:
        pool->n_alive++;
        break;
    case SLOT_STARTING:
        pool->n_starting--;
        break;
    case SLOT_IDLE:
        for (unsigned i = pool->n_idle; i-- > 0;)
            if (pool->idle[i] == index) {
                memmove(&pool->idle[i], &pool->idle[i + 1],
                        (pool->n_idle - i - 1) * sizeof *pool->idle);
                break;
            }
        pool->n_idle--;
        break;
    case SLOT_BUSY:
        pool->n_busy--;
        break;
    case SLOT_ENDING:
        break;
    }
    slot->state = state;
    switch (state) {
    case SLOT_FREE:
        pool->n_alive--;
        break;
    case SLOT_STARTING:
        pool->n_starting++;
        break;
    case SLOT_IDLE:
        pool->idle[pool->n_idle++] = index;
        break;
    case SLOT_BUSY:
        pool->n_busy++;
        break;
    case SLOT_ENDING:
        break;
    }
    weft__store_relaxed(&pool->stats.children, pool->n_alive);
    weft__store_relaxed(&pool->stats.idle, pool->n_idle);
}

/* Two descriptors of each slot are watched. */
static uint64_t
tag_of(const weft_procpool *pool, const struct slot *slot, bool is_pidfd)
{
    return (uint64_t)(slot - pool->slots) * 2 + is_pidfd;
}

#define TAG_BELL UINT64_MAX

static int
watch(const weft_procpool *pool, int operation, int fd, uint32_t events, uint64_t tag)
{
    return weft__sys_epoll_ctl(pool->epoll, operation, fd,
                               &(struct epoll_event){.events = events, .data.u64 = tag});
}

/* Before a descriptor is closed: a fork of the program may hold a copy, and as long as one does,
 * epoll would go on to tell of it, to whoever has the slot by then. */
static void
unwatch(const weft_procpool *pool, int fd)
{
    if (fd >= 0)
        (void)epoll_ctl(pool->epoll, EPOLL_CTL_DEL, fd, NULL); /* no fault: it only takes away */
}

/* Hangs up. The child ends by itself, or is killed when its patience is over. */
static void
slot_hang_up(weft_procpool *pool, struct slot *slot, weft_time patience)
{
    unwatch(pool, slot->child.socket);
    /* Copies of the socket do not keep the end of file from the child. */
    (void)shutdown(slot->child.socket, SHUT_RDWR);
    weft__sys_close(slot->child.socket);
    slot->child.socket = -1;
    weft__frame_in_reset(&slot->in);
    slot->give_up = weft__sys_monotonic() + patience;
    slot_becomes(pool, slot, SLOT_ENDING);
}

/* Ends a child; its call, if any, is finished with the verdict once it is gone. */
static void
slot_kill(weft_procpool *pool, struct slot *slot, int verdict, bool told)
{
    if (slot->child.pidfd >= 0)
        weft_ignore(weft__sys_pidfd_kill(slot->child.pidfd));
    slot->verdict = verdict;
    slot->told = told;
    if (told)
        weft__fetch_add(&pool->stats.killed, 1);
    /* Without a pidfd the next turn kills it, and waits for its end. */
    slot_hang_up(pool, slot, slot->child.pidfd >= 0 ? KILL_PATIENCE : 0);
}

static void
failed_start(weft_procpool *pool)
{
    weft_time pause = BACKOFF_MAX;
    if (pool->failed_starts < 7)
        pause = BACKOFF_MIN << pool->failed_starts;
    pool->failed_starts++;
    pool->next_start = weft__sys_monotonic() + (pause < BACKOFF_MAX ? pause : BACKOFF_MAX);
    if (pool->failed_starts < FAILED_STARTS_MAX || pool->n_alive > 0)
        return;

    weft_log(WEFT_LOG_ERROR, "process pool: %u children in a row ended before they served a call",
             pool->failed_starts);
    (void)pthread_mutex_lock(&pool->lock);
    pool->refuse_until = weft__sys_monotonic() + REFUSAL;
    (void)pthread_mutex_unlock(&pool->lock);
    pool->next_start = 0; /* the refusal is pause enough */
    queue_finish(pool, -EOWNERDEAD);
}

static void
log_crash(pid_t pid, int rc, int status)
{
    if (rc < 0)
        weft_log(WEFT_LOG_WARN, "process pool: child %d ended", (int)pid);
    else if (WIFSIGNALED(status))
        weft_log(WEFT_LOG_WARN, "process pool: child %d was ended by signal %d (%s)", (int)pid,
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        weft_log(WEFT_LOG_WARN, "process pool: child %d exited with status %d", (int)pid,
                 WEXITSTATUS(status));
}

static void
slot_replied(weft_procpool *pool, struct slot *slot)
{
    weft_procpool_call *call = slot->call;
    int result = slot->in.status;
    if (slot->in.lost < 0) {
        result = slot->in.lost;
    } else {
        call->reply = slot->in.body;
        slot->in.body = (weft_buf){0};
    }
    weft__frame_in_reset(&slot->in);
    slot->call = NULL;
    pool->failed_starts = 0;
    slot_becomes(pool, slot, SLOT_IDLE);
    call_finish(pool, call, result);
}

static void
slot_receive(weft_procpool *pool, struct slot *slot, size_t budget)
{
    int rc = weft__frame_receive(&slot->in, slot->child.socket, budget);
    if (rc == -EAGAIN)
        return;
    if (rc == 1 && slot->state == SLOT_STARTING && slot->in.kind == WEFT__FRAME_HELLO) {
        weft__frame_in_reset(&slot->in);
        pool->proven = true;
        slot_becomes(pool, slot, SLOT_IDLE);
    } else if (rc == 1 && slot->state == SLOT_BUSY && !slot->sending &&
               slot->in.kind == WEFT__FRAME_REPLY) {
        slot_replied(pool, slot);
    } else {
        /* The end of file; or the job has written to our socket, and nothing that comes from
         * there can be believed. */
        slot_kill(pool, slot, -EOWNERDEAD, false);
    }
}

static void
slot_send(weft_procpool *pool, struct slot *slot)
{
    int rc = weft__frame_send(&slot->out, slot->child.socket);
    bool more = rc == -EAGAIN;
    if (more != slot->sending && (more || rc == 0)) {
        rc = watch(pool, EPOLL_CTL_MOD, slot->child.socket, EPOLLIN | (more ? EPOLLOUT : 0u),
                   tag_of(pool, slot, false));
        if (rc == 0)
            slot->sending = more;
    } else if (more) {
        rc = 0;
    }
    if (rc < 0)
        slot_kill(pool, slot, -EOWNERDEAD, false);
}

static void
slot_assign(weft_procpool *pool, struct slot *slot, weft_procpool_call *call)
{
    bool used = slot->used;
    slot->call = call;
    slot->used = true;
    slot->verdict = 0;
    weft__frame_out_open(&slot->out, WEFT__FRAME_REQUEST, 0, call->request[0], call->request[1]);
    slot_becomes(pool, slot, SLOT_BUSY);
    slot_send(pool, slot);
    if (slot->state != SLOT_ENDING || slot->out.sent > 0)
        return;

    /* It had died while idle and has seen nothing of the call: the next one takes it. */
    slot->used = used;
    slot->call = NULL;
    (void)pthread_mutex_lock(&pool->lock);
    bool cancelled = call->state_ == CALL_STOPPING;
    call->state_ = cancelled ? CALL_CANCELLED : CALL_QUEUED;
    list_insert(cancelled ? &pool->cancelled : &pool->queue, call,
                cancelled ? NULL : pool->queue.first);
    pool->n_queued += !cancelled;
    (void)pthread_mutex_unlock(&pool->lock);
}

/* The pidfd says that the process is no more; or there is none, and we make sure. */
static void
slot_dead(weft_procpool *pool, struct slot *slot)
{
    /* What it sent before counts. */
    if (slot->state == SLOT_BUSY)
        slot_receive(pool, slot, SIZE_MAX);
    weft_procpool_call *call = slot->call;
    int verdict = slot->verdict < 0 ? slot->verdict : -EOWNERDEAD;
    bool told = slot->told, used = slot->used;
    pid_t pid = slot->child.pid;

    unwatch(pool, slot->child.socket);
    unwatch(pool, slot->child.pidfd);
    int status = 0;
    int rc = weft__child_end(&slot->child, &status);
    weft__frame_in_reset(&slot->in);
    slot_becomes(pool, slot, SLOT_FREE);
    *slot = (struct slot){0};
    if (!told) {
        weft__fetch_add(&pool->stats.crashed, 1);
        log_crash(pid, rc, status);
    }
    if (call != NULL)
        call_finish(pool, call, verdict);
    if (!told && !used)
        failed_start(pool);
}

static int
slot_start(weft_procpool *pool, struct slot *slot)
{
    struct weft__child child;
    int rc = pool->handler != NULL ? weft__zygote_spawn(&child, pool->handler)
                                   : weft__child_spawn(&child, pool->argv[0], pool->argv);
    if (rc < 0)
        return rc;
    *slot = (struct slot){.child = child};
    rc = watch(pool, EPOLL_CTL_ADD, child.socket, EPOLLIN, tag_of(pool, slot, false));
    if (rc == 0 && child.pidfd >= 0)
        rc = watch(pool, EPOLL_CTL_ADD, child.pidfd, EPOLLIN, tag_of(pool, slot, true));
    if (rc < 0) {
        int status;
        unwatch(pool, child.socket);
        weft_ignore(weft__child_end(&slot->child, &status));
        *slot = (struct slot){0};
        return rc;
    }
    weft__fetch_add(&pool->stats.started, 1);
    slot_becomes(pool, slot, SLOT_STARTING);
    return 0;
}

/* ---- The supervisor's turn -------------------------------------------------------------------*/

static size_t
queue_len(weft_procpool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_queued;
    (void)pthread_mutex_unlock(&pool->lock);
    return n;
}

/* Calls taken back: those that waited are done; those that run lose their child. */
static void
turn_cancels(weft_procpool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct call_list cancelled = pool->cancelled;
    pool->cancelled = (struct call_list){0};
    if (pool->stopping) {
        pool->stopping = false;
        for (unsigned i = 0; i < pool->width; i++) {
            struct slot *slot = &pool->slots[i];
            if (slot->state == SLOT_BUSY && slot->call->state_ == CALL_STOPPING)
                slot_kill(pool, slot, -ECANCELED, true);
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    list_finish(pool, &cancelled, -ECANCELED);
}

static void
turn_deadlines(weft_procpool *pool, weft_time now)
{
    struct call_list late = {0};
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->earliest <= now) {
        pool->earliest = WEFT_FOREVER;
        for (weft_procpool_call *call = pool->queue.first, *next; call != NULL; call = next) {
            next = call->next_;
            if (call->deadline <= now) {
                list_remove(&pool->queue, call);
                pool->n_queued--;
                call->state_ = CALL_DONE;
                list_insert(&late, call, NULL);
            } else if (call->deadline < pool->earliest) {
                pool->earliest = call->deadline;
            }
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    list_finish(pool, &late, -ETIMEDOUT);

    for (unsigned i = 0; i < pool->width && pool->n_alive > 0; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->state == SLOT_BUSY && slot->call->deadline <= now) {
            slot_kill(pool, slot, -ETIMEDOUT, true);
        } else if (slot->state == SLOT_ENDING && slot->give_up <= now && slot->child.pidfd < 0) {
            slot_dead(pool, slot);
        } else if (slot->state == SLOT_ENDING && slot->give_up <= now) {
            weft_ignore(weft__sys_pidfd_kill(slot->child.pidfd));
            if (slot->told && slot->verdict == 0) { /* would not go at the close */
                weft__fetch_add(&pool->stats.killed, 1);
                slot->verdict = -ECANCELED; /* it counts once */
            }
            slot->give_up = now + KILL_PATIENCE;
            weft_procpool_call *call = slot->call;
            slot->call = NULL;
            if (call != NULL)
                call_finish(pool, call, slot->verdict);
        }
    }
}

/* Whether all is over. */
static bool
turn_close(weft_procpool *pool, weft_time now)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool closing = pool->closing;
    pool->close_seen = closing;
    bool drop = closing && (pool->close_mode == WEFT_CANCEL || pool->close_by <= now);
    bool stop = closing && pool->close_by <= now;
    (void)pthread_mutex_unlock(&pool->lock);
    if (!closing)
        return false;
    if (drop)
        queue_finish(pool, -ECANCELED);
    (void)pthread_mutex_lock(&pool->lock);
    bool over = pool->queue.first == NULL && pool->cancelled.first == NULL;
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->width; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->state == SLOT_BUSY && stop) {
            slot_kill(pool, slot, -ECANCELED, true);
        } else if ((slot->state == SLOT_IDLE || slot->state == SLOT_STARTING) && over) {
            slot->told = true;
            slot_hang_up(pool, slot, slot->child.pidfd >= 0 ? LEAVE_PATIENCE : BLIND_PATIENCE);
        }
    }
    return over && pool->n_alive == 0;
}

static void
turn_assign(weft_procpool *pool)
{
    while (pool->n_idle > 0) {
        (void)pthread_mutex_lock(&pool->lock);
        weft_procpool_call *call = pool->queue.first;
        if (call != NULL) {
            list_remove(&pool->queue, call);
            pool->n_queued--;
            call->state_ = CALL_RUNNING;
        }
        (void)pthread_mutex_unlock(&pool->lock);
        if (call == NULL)
            return;
        slot_assign(pool, &pool->slots[pool->idle[pool->n_idle - 1]], call);
    }
}

/* As long as it is open whether children live at all, they are tried one at a time: the next
 * when the one before has said hello, or is gone. */
static bool
start_is_wanted(const weft_procpool *pool, size_t n_queued)
{
    bool doubtful = !pool->proven || pool->failed_starts > 0;
    return n_queued > pool->n_idle + pool->n_starting && pool->n_alive < pool->width &&
           !(doubtful && pool->n_alive > pool->n_idle + pool->n_busy);
}

static void
turn_start(weft_procpool *pool, weft_time now)
{
    if (!start_is_wanted(pool, queue_len(pool)) || now < pool->next_start)
        return;
    struct slot *slot = pool->slots;
    while (slot->state != SLOT_FREE)
        slot++;
    int rc = slot_start(pool, slot);
    if (rc == 0)
        return;
    weft_log(WEFT_LOG_WARN, "process pool: no child could be started: %s", weft_strerror(rc));
    if (pool->n_alive == 0)
        queue_finish(pool, rc);
    else
        pool->next_start = now + RETRY_START;
}

static weft_time
earlier(weft_time a, weft_time b)
{
    return a < b ? a : b;
}

/* When there is something to do without anybody saying so. Marks the supervisor as sleeping. */
static weft_time
next_turn(weft_procpool *pool)
{
    weft_time when = WEFT_FOREVER;
    for (unsigned i = 0; i < pool->width && pool->n_alive > 0; i++) {
        const struct slot *slot = &pool->slots[i];
        if (slot->state == SLOT_BUSY)
            when = earlier(when, slot->call->deadline);
        else if (slot->state == SLOT_ENDING)
            when = earlier(when, slot->give_up);
    }
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->n_queued > 0) {
        when = earlier(when, pool->earliest);
        if (pool->n_idle > 0)
            when = 0;
        if (start_is_wanted(pool, pool->n_queued))
            when = earlier(when, pool->next_start);
    }
    if (pool->closing && (pool->n_queued > 0 || pool->n_busy > 0))
        when = earlier(when, pool->close_by);
    if (pool->cancelled.first != NULL || pool->stopping || pool->closing != pool->close_seen ||
        (pool->closing && pool->n_queued == 0 && pool->n_alive == 0))
        when = 0;
    /* Who submits, cancels or closes after this sees it and rings; who did so before has been
     * looked at above. */
    pool->sleeping = when != 0;
    (void)pthread_mutex_unlock(&pool->lock);
    return when;
}

static int
timeout_ms(weft_time when)
{
    if (when == WEFT_FOREVER)
        return -1;
    weft_time left = when == 0 ? 0 : when - weft__sys_monotonic();
    if (left <= 0)
        return 0;
    left = left / WEFT_MS(1) + 1; /* rounded up: too early would be a turn for nothing */
    return left < INT_MAX ? (int)left : INT_MAX;
}

static void
turn_events(weft_procpool *pool)
{
    struct epoll_event events[EVENTS_MAX];
    int n = weft__sys_epoll_wait(pool->epoll, events, EVENTS_MAX, timeout_ms(next_turn(pool)));
    (void)pthread_mutex_lock(&pool->lock);
    pool->sleeping = false;
    (void)pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 == TAG_BELL) {
            uint64_t rings;
            weft_ignore(weft__sys_read(pool->bell, &rings, sizeof rings));
            continue;
        }
        /* An event before this one may have ended the slot; none can have started it anew. */
        struct slot *slot = &pool->slots[events[i].data.u64 / 2];
        if (slot->state == SLOT_FREE)
            continue;
        if (events[i].data.u64 % 2 == 1) {
            slot_dead(pool, slot);
            continue;
        }
        if (slot->state == SLOT_BUSY && slot->sending && (events[i].events & EPOLLOUT) != 0)
            slot_send(pool, slot);
        if (slot->state != SLOT_ENDING && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            slot_receive(pool, slot, TURN_BYTES);
    }
}

static void *
supervisor_main(void *arg)
{
    weft_procpool *pool = arg;
    (void)pthread_setname_np(pthread_self(), "weft-pool");
    for (;;) {
        turn_cancels(pool);
        weft_time now = weft__sys_monotonic();
        turn_deadlines(pool, now);
        if (turn_close(pool, now))
            return NULL;
        turn_assign(pool);
        turn_start(pool, now);
        WEFT_POINT(WEFT__POINT_SLEEPING);
        turn_events(pool);
    }
}

/* ---- For any thread --------------------------------------------------------------------------*/

/* With the lock held: the supervisor, woken, may finish the last call, and then whoever waits for
 * that may free the pool. */
static void
ring(weft_procpool *pool)
{
    if (!pool->sleeping)
        return;
    pool->sleeping = false;
    weft_ignore(write(pool->bell, &(uint64_t){1}, sizeof(uint64_t)));
}

int
weft_procpool_submit(weft_procpool *pool, weft_procpool_call *call)
{
    if (call->done == NULL)
        return weft_error_note(-EINVAL, "process pool: a call without `done`");
    if (call->request[0].len > WEFT_PROCPOOL_BYTES_MAX ||
        call->request[1].len > WEFT_PROCPOOL_BYTES_MAX - call->request[0].len)
        return weft_error_note(-EMSGSIZE, "process pool: a request of more than %zu bytes",
                               WEFT_PROCPOOL_BYTES_MAX);
    (void)pthread_mutex_lock(&pool->lock);
    int rc = 0;
    if (pool->closing) {
        rc = -ESHUTDOWN;
    } else if (pool->refuse_until > 0 && pool->refuse_until > weft__sys_monotonic()) {
        rc = -EOWNERDEAD;
    } else {
        call->state_ = CALL_QUEUED;
        list_insert(&pool->queue, call, NULL);
        pool->n_queued++;
        pool->earliest = earlier(pool->earliest, call->deadline);
        ring(pool);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return rc;
}

void
weft_procpool_cancel(weft_procpool *pool, weft_procpool_call *call)
{
    (void)pthread_mutex_lock(&pool->lock);
    if (call->state_ == CALL_QUEUED) {
        list_remove(&pool->queue, call);
        pool->n_queued--;
        list_insert(&pool->cancelled, call, NULL);
        call->state_ = CALL_CANCELLED;
        ring(pool);
    } else if (call->state_ == CALL_RUNNING) {
        call->state_ = CALL_STOPPING;
        pool->stopping = true;
        ring(pool);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

void
weft_procpool_stats_get(weft_procpool *pool, weft_procpool_stats *ret_stats)
{
    *ret_stats = (weft_procpool_stats){
        .children = weft__load_relaxed(&pool->stats.children),
        .idle = weft__load_relaxed(&pool->stats.idle),
        .queued = queue_len(pool),
        .started = weft__load(&pool->stats.started),
        .crashed = weft__load(&pool->stats.crashed),
        .killed = weft__load(&pool->stats.killed),
    };
}

/* ---- Making and ending a pool ----------------------------------------------------------------*/

/* Whether a program of that name would be found. What happens when it is run is another matter. */
static int
exec_check(const char *exec)
{
    if (exec[0] == '\0')
        return weft_error_note(-EINVAL, "process: the name of the program is empty");
    if (strchr(exec, '/') != NULL) {
        if (access(exec, X_OK) == 0)
            return 0;
        int rc = -errno;
        return weft_error_note(rc, "process: %s cannot be run: %s", exec, weft_strerror(rc));
    }
    const char *path = getenv("PATH");
    for (const char *at = path == NULL ? "/bin:/usr/bin" : path; at != NULL;) {
        const char *end = strchrnul(at, ':');
        char file[PATH_MAX];
        int len = snprintf(file, sizeof file, "%.*s%s%s", (int)(end - at), at, end == at ? "" : "/",
                           exec);
        if (len < (int)sizeof file && access(file, X_OK) == 0)
            return 0;
        at = *end == ':' ? end + 1 : NULL;
    }
    return weft_error_note(-ENOENT, "process: no program %s in PATH", exec);
}

/* The name and its arguments as one block: the pointers, then the texts. */
static char **
argv_copy(const char *exec, const char *const *args)
{
    size_t n = 0, bytes = strlen(exec) + 1;
    for (; args != NULL && args[n] != NULL; n++)
        bytes += strlen(args[n]) + 1;
    char **argv = weft__alloc((n + 2) * sizeof *argv + bytes);
    if (argv == NULL)
        return NULL;
    char *text = (char *)(argv + n + 2);
    for (size_t i = 0; i <= n; i++) {
        argv[i] = text;
        text = stpcpy(text, i == 0 ? exec : args[i - 1]) + 1;
    }
    argv[n + 1] = NULL;
    return argv;
}

static int
helper_prepare(const weft_procpool_options *options)
{
    int rc = weft__zygote_start();
    for (size_t i = 0; rc >= 0 && options->files != NULL && options->files[i] != NULL; i++) {
        rc = weft__zygote_load(options->load, options->files[i]);
        if (rc < 0)
            weft__zygote_stop();
    }
    return rc < 0 ? rc : 0;
}

/* Signals are for the threads that know of them. */
static int
supervisor_start(weft_procpool *pool)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = weft__sys_thread_create(&pool->supervisor, NULL, supervisor_main, pool);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static int
options_check(const weft_procpool_options *options)
{
    if (options->width > WIDTH_MAX)
        return weft_error_note(-EINVAL, "process pool: the width must be 1 to %d", WIDTH_MAX);
    if ((options->handler == NULL) == (options->exec == NULL))
        return weft_error_note(-EINVAL, "process pool: needs a handler or a program, not both");
    if (options->handler != NULL && options->files != NULL && options->load == NULL)
        return weft_error_note(-EINVAL, "process pool: files, and nothing to load them with");
    return options->exec != NULL ? exec_check(options->exec) : 0;
}

int
weft_procpool_new(weft_procpool **ret_pool, const weft_procpool_options *options)
{
    int rc = options_check(options);
    if (rc < 0)
        return rc;
    weft_procpool *pool = weft__alloc_zeroed(sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    pool->width = options->width;
    if (pool->width == 0)
        pool->width = weft_usable_cpus() < WIDTH_MAX ? weft_usable_cpus() : WIDTH_MAX;
    pool->handler = options->handler;
    pool->earliest = WEFT_FOREVER;
    pool->close_by = WEFT_FOREVER;

    rc = -ENOMEM;
    pool->slots = weft__alloc_zeroed(pool->width * sizeof *pool->slots);
    if (pool->slots == NULL)
        goto fail_pool;
    pool->idle = weft__alloc_zeroed(pool->width * sizeof *pool->idle);
    if (pool->idle == NULL)
        goto fail_slots;
    if (options->exec != NULL && (pool->argv = argv_copy(options->exec, options->args)) == NULL)
        goto fail_idle;
    rc = weft__sys_epoll_create();
    if (rc < 0)
        goto fail_argv;
    pool->epoll = rc;
    rc = weft__sys_eventfd(0);
    if (rc < 0)
        goto fail_epoll;
    pool->bell = rc;
    rc = watch(pool, EPOLL_CTL_ADD, pool->bell, EPOLLIN, TAG_BELL);
    if (rc < 0)
        goto fail_bell;
    if (pool->handler != NULL) {
        rc = helper_prepare(options);
        if (rc < 0)
            goto fail_bell;
    }
    rc = -pthread_mutex_init(&pool->lock, NULL);
    if (rc < 0)
        goto fail_helper;
    rc = supervisor_start(pool);
    if (rc < 0)
        goto fail_lock;

    *ret_pool = pool;
    return 0;

fail_lock:
    (void)pthread_mutex_destroy(&pool->lock);
fail_helper:
    if (pool->handler != NULL)
        weft__zygote_stop();
fail_bell:
    weft__sys_close(pool->bell);
fail_epoll:
    weft__sys_close(pool->epoll);
fail_argv:
    weft__free(pool->argv);
fail_idle:
    weft__free(pool->idle);
fail_slots:
    weft__free(pool->slots);
fail_pool:
    weft__free(pool);
    return rc;
}

void
weft_procpool_free(weft_procpool *pool, weft_close_mode mode, weft_time grace)
{
    if (pool == NULL)
        return;
    weft_time now = weft__sys_monotonic();
    (void)pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pool->close_mode = mode;
    pool->close_by = grace < WEFT_FOREVER - now ? now + grace : WEFT_FOREVER;
    ring(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    (void)pthread_join(pool->supervisor, NULL);

    if (pool->handler != NULL)
        weft__zygote_stop();
    (void)pthread_mutex_destroy(&pool->lock);
    weft__sys_close(pool->bell);
    weft__sys_close(pool->epoll);
    weft__free(pool->argv);
    weft__free(pool->idle);
    weft__free(pool->slots);
    weft__free(pool);
}
