/*
 * slots.c - the children of a pool, each in its slot: from its start through its calls to its end.
 *
 * All of it is the supervisor's alone. A child's end shows as the end of file on its socket or on
 * its pidfd, whichever is seen first. (Where there are no pidfds, a process that the child left
 * behind with its socket can hide it.) A reply that was complete before is a reply; half of one is
 * the death of its call.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/log.h"
#include "pool/procpool_priv.h"

#define FAILED_STARTS_MAX 8     /* in a row, before the pool refuses calls */
#define BACKOFF_MIN WEFT_MS(10) /* after the first failed start; doubles */
#define BACKOFF_MAX WEFT_SEC(1)
#define REFUSAL WEFT_SEC(1)
#define KILL_PATIENCE WEFT_SEC(1)    /* how long a killed child may take to be gone */
#define LEAVE_PATIENCE WEFT_SEC(2)   /* how long a child may take to go at the close */
#define BLIND_PATIENCE WEFT_MS(100)  /* likewise, when there is no pidfd to see it gone */
#define TURN_BYTES ((size_t)1 << 20) /* read from one child before the others have their turn */

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

/* ---- Ends ------------------------------------------------------------------------------------*/

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

void
weft__slot_kill(weft_procpool *pool, struct slot *slot, int verdict, bool told)
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

void
weft__slot_send_off(weft_procpool *pool, struct slot *slot)
{
    slot->told = true;
    slot_hang_up(pool, slot, slot->child.pidfd >= 0 ? LEAVE_PATIENCE : BLIND_PATIENCE);
}

/* ---- Calls -----------------------------------------------------------------------------------*/

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
    weft__calls_finish(pool, call, result);
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
        weft__slot_kill(pool, slot, -EOWNERDEAD, false);
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
        weft__slot_kill(pool, slot, -EOWNERDEAD, false);
}

void
weft__slot_assign(weft_procpool *pool, struct slot *slot, weft_procpool_call *call)
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
    weft__calls_put_back(pool, call);
}

/* ---- Deaths and starts -----------------------------------------------------------------------*/

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
    weft__calls_finish_queue(pool, -EOWNERDEAD);
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
        weft__calls_finish(pool, call, verdict);
    if (!told && !used)
        failed_start(pool);
}

void
weft__slot_patience_over(weft_procpool *pool, struct slot *slot, weft_time now)
{
    if (slot->child.pidfd < 0) {
        slot_dead(pool, slot);
        return;
    }
    weft_ignore(weft__sys_pidfd_kill(slot->child.pidfd));
    if (slot->told && slot->verdict == 0) { /* would not go at the close */
        weft__fetch_add(&pool->stats.killed, 1);
        slot->verdict = -ECANCELED; /* it counts once */
    }
    slot->give_up = now + KILL_PATIENCE;
    weft_procpool_call *call = slot->call;
    slot->call = NULL;
    if (call != NULL)
        weft__calls_finish(pool, call, slot->verdict);
}

int
weft__slot_start(weft_procpool *pool, struct slot *slot)
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

void
weft__slots_event(weft_procpool *pool, uint64_t tag, uint32_t events)
{
    /* An event before this one may have ended the slot; none can have started it anew. */
    struct slot *slot = &pool->slots[tag / 2];
    if (slot->state == SLOT_FREE)
        return;
    if (tag % 2 == 1) {
        slot_dead(pool, slot);
        return;
    }
    if (slot->state == SLOT_BUSY && slot->sending && (events & EPOLLOUT) != 0)
        slot_send(pool, slot);
    if (slot->state != SLOT_ENDING && (events & ~(uint32_t)EPOLLOUT) != 0)
        slot_receive(pool, slot, TURN_BYTES);
}
