/*
 * inbox.c - messages from other threads, the bell that announces them, and thread records.
 *
 * A message is pushed with one compare-and-swap and belongs to the loop until its function is
 * called. The bell is rung only when the loop sleeps, and by one of a burst. Closing a runtime
 * must not pull a loop away from under a poster: its other loops' threads are joined first; a
 * thread from outside marks the loop in its record while it posts, and the closer waits for the
 * mark to go.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "loop/loop_priv.h"

#define MESSAGES_PER_TURN 4096

static void
bell_wake(struct weft__bell *bell)
{
    /* Set before others learn of the loop; one who rings while a lone loop grows wakes the futex,
     * on which nobody sleeps, and the loop looks at its inbox before it sleeps again. */
    int fd = weft__load(&bell->fd);
    if (fd >= 0) {
        static const uint64_t one = 1;
        /* Never read: edge-triggered, and 2^64 rings are far away. */
        ssize_t rc = write(fd, &one, sizeof one);
        (void)rc;
        return;
    }
    weft__sys_futex_wake(&bell->sleeping, 1);
}

void
weft__bell_ring(struct weft_loop *loop)
{
    struct weft__bell *bell = loop->bell;
    /* Pairs with the store and the re-check in weft__loop_sleep. The exchange makes one of
     * several posters ring. */
    if (weft__load(&bell->sleeping) && weft__exchange(&bell->sleeping, 0)) {
        __atomic_fetch_add(&loop->rings, 1, __ATOMIC_RELAXED); /* a count, read by stats alone */
        bell_wake(bell);
    }
}

void
weft__inbox_post_raw(struct weft_loop *loop, struct weft__message *message)
{
    weft__mpsc_push(&loop->inbox, &message->node);
    weft__bell_ring(loop);
}

void
weft__inbox_post(struct weft_loop *loop, struct weft__message *message)
{
    struct weft_loop *self = weft__loop_self;
    /* Loops of one runtime, which is who shares a clock, end together: no mark is needed. */
    if (self != NULL && self->clock == loop->clock) {
        WEFT__MESSAGE_FROM(message, self);
        weft__mpsc_push(&loop->inbox, &message->node);
        WEFT_POINT(WEFT__POINT_INBOX_PUSHED);
        weft__bell_ring(loop);
        return;
    }
    struct weft__thread *thread = weft__thread_self();
    weft__assert(thread != NULL, "no memory for the record of a thread that wakes a loop");
    WEFT__MESSAGE_FROM(message, thread);
    /* Visible before the push, which is a read-modify-write: pairs with weft__threads_quiesce. */
    weft__store(&thread->posting, loop);
    weft__mpsc_push(&loop->inbox, &message->node);
    WEFT_POINT(WEFT__POINT_INBOX_PUSHED);
    weft__bell_ring(loop);
    weft__store_release(&thread->posting, NULL);
}

int
weft__inbox_post_unless_closing(struct weft_loop *loop, struct weft__message *message)
{
    struct weft__thread *thread = weft__thread_self();
    if (thread == NULL)
        return -ENOMEM;
    WEFT__MESSAGE_FROM(message, weft__loop_self != NULL ? (void *)weft__loop_self : thread);
    /* The mark first, then the look: pairs with the closer, which sets `refuses`, waits for marks
     * to go, and then drains once more. So an accepted message is always called. */
    weft__store(&thread->posting, loop);
    int rc = -ESHUTDOWN;
    if (!weft__load(&loop->refuses)) {
        weft__mpsc_push(&loop->inbox, &message->node);
        WEFT_POINT(WEFT__POINT_INBOX_PUSHED);
        weft__bell_ring(loop);
        rc = 0;
    }
    weft__store_release(&thread->posting, NULL);
    return rc;
}

#ifdef WEFT_TEST
/* Takes one message from the list: with a seed the first one of a random sender, so that each
 * sender's messages keep their order. */
static struct weft__message *
take_shuffled(struct weft_loop *loop, struct weft__mpsc_node **list)
{
    unsigned skip = (unsigned)(weft__splitmix(&loop->random) % 8);
    struct weft__mpsc_node *chosen = *list;
    for (; skip > 0 && weft__mpsc_next(chosen) != NULL; skip--)
        chosen = weft__mpsc_next(chosen);
    const void *from = ((struct weft__message *)(void *)chosen)->from;

    struct weft__mpsc_node *before = NULL;
    struct weft__mpsc_node *node = *list;
    while (((struct weft__message *)(void *)node)->from != from) {
        before = node;
        node = weft__mpsc_next(node);
    }
    if (before == NULL)
        *list = weft__mpsc_next(node);
    else
        weft__mpsc_set_next(before, weft__mpsc_next(node));
    return (struct weft__message *)(void *)node;
}
#endif

static void
send_back(struct weft__returns *returns)
{
    weft__mpsc_push_chain(&returns->owner->returned, returns->newest, returns->oldest);
    returns->owner = NULL;
}

bool
weft__inbox_run(struct weft_loop *loop)
{
    WEFT_POINT(WEFT__POINT_INBOX_DRAIN);
    if (loop->pending == NULL)
        loop->pending = weft__mpsc_take_all_fifo(&loop->inbox);
    struct weft__mpsc_node *list = loop->pending;
    unsigned budget = MESSAGES_PER_TURN;
    if (WEFT_BUGGIFY(8))
        budget = 1;
    while (list != NULL && budget-- > 0) {
        struct weft__message *message = (struct weft__message *)(void *)list;
#ifdef WEFT_TEST
        if (loop->random != 0)
            message = take_shuffled(loop, &list);
        else
#endif
            list = weft__mpsc_next(list);
        weft__add_own(&loop->messages, 1);
        loop->pending = list; /* fn may look */
        message->fn(message);
    }
    for (unsigned i = 0; i < sizeof loop->returns / sizeof loop->returns[0]; i++) {
        if (loop->returns[i].owner != NULL)
            send_back(&loop->returns[i]);
    }
    return list != NULL;
}

void
weft__deliver(struct weft__waiter *waiter, int result)
{
    WEFT_POINT(WEFT__POINT_WAKE_DELIVER);
    waiter->result = result;
    struct weft_loop *loop = waiter->loop;
    if (loop == weft__loop_self && loop != NULL) {
        waiter->resume(waiter);
        return;
    }
    if (loop != NULL) {
        weft__inbox_post(loop, &waiter->message); /* its fn calls resume */
        return;
    }
    /* A plain thread. Its record outlives it, so waking late is harmless. */
    weft__store(&waiter->delivered, 1);
    weft__sys_futex_wake(&waiter->delivered, 1);
}

/* Records of plain threads. */

static pthread_mutex_t records_lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft__thread *records;      /* all ever made; read by the closer, under the lock */
static struct weft__thread *records_free; /* left by threads that ended */
static pthread_key_t records_key;
static pthread_once_t records_once = PTHREAD_ONCE_INIT;
static bool records_usable;
static __thread struct weft__thread *thread_self __attribute__((tls_model("initial-exec")));

void (*weft__thread_exit_hook)(struct weft__thread *thread);

static void
thread_exit(void *value)
{
    struct weft__thread *thread = value;
    if ((thread->private_loop != NULL || thread->locals != NULL) && weft__thread_exit_hook != NULL)
        weft__thread_exit_hook(thread);
    weft__holdings_check(&thread->holdings, NULL);
    thread_self = NULL;
    pthread_mutex_lock(&records_lock);
    thread->next_free = records_free;
    records_free = thread;
    pthread_mutex_unlock(&records_lock);
}

static void
records_init(void)
{
    records_usable = pthread_key_create(&records_key, thread_exit) == 0;
}

static void
woken_thread(struct weft__waiter *waiter)
{
    (void)waiter;
}

struct weft__thread *
weft__thread_self(void)
{
    struct weft__thread *thread = thread_self;
    if (thread != NULL)
        return thread;
    pthread_once(&records_once, records_init);
    if (!records_usable)
        return NULL;
    pthread_mutex_lock(&records_lock);
    thread = records_free;
    if (thread != NULL)
        records_free = thread->next_free;
    pthread_mutex_unlock(&records_lock);
    if (thread == NULL) {
        /* Not from the user's allocator: a record is never given back. */
        thread = aligned_alloc(_Alignof(struct weft__thread), sizeof *thread);
        if (thread == NULL)
            return NULL;
        memset(thread, 0, sizeof *thread);
        thread->next_id = weft__id_space();
        thread->waiter.resume = woken_thread;
        pthread_mutex_lock(&records_lock);
        thread->next_all = records;
        records = thread;
        pthread_mutex_unlock(&records_lock);
    }
    thread->error[0] = '\0';
    if (pthread_setspecific(records_key, thread) != 0) {
        thread_exit(thread);
        return NULL;
    }
    thread_self = thread;
    return thread;
}

void
weft__threads_quiesce(const struct weft_loop *loop)
{
    /* A lone loop nobody was told of, and to which nobody ever posted: there is no one to wait
     * for. 10,000 threads that end together need not look at each other. */
    if (loop->poll == NULL && loop->messages == 0 && weft__mpsc_empty(&loop->inbox))
        return;
    pthread_mutex_lock(&records_lock);
    for (struct weft__thread *thread = records; thread != NULL; thread = thread->next_all) {
        while (weft__load(&thread->posting) == loop)
            sched_yield(); /* it is between two instructions of weft__inbox_post */
    }
    pthread_mutex_unlock(&records_lock);
}

/* Posts of users: messages from a stock of the posting thread's, which come back to it. They are
 * two to a cache line, in blocks that know their owner, and go out and come back in the order in
 * which they lie, so that both sides' prefetchers see a stream. */

struct weft__post {
    struct weft__message message;
    weft_callback_fn *fn;
    void *arg;
};

#define BLOCK_BYTES 4096

struct post_block {
    struct weft__thread *owner;
    char pad_[64 - sizeof(void *)];
    struct weft__post posts[(BLOCK_BYTES - 64) / sizeof(struct weft__post)];
};
_Static_assert(sizeof(struct post_block) <= BLOCK_BYTES, "a block is found by its address");

static void
post_run(struct weft__message *message)
{
    struct weft__post *post = (struct weft__post *)(void *)message;
    weft_callback_fn *fn = post->fn;
    void *arg = post->arg;
    struct post_block *block =
        (struct post_block *)((uintptr_t)post & ~(uintptr_t)(BLOCK_BYTES - 1));
    struct weft__thread *owner = block->owner;

    struct weft_loop *loop = weft__loop_self;
    struct weft__returns *returns =
        &loop->returns[((uintptr_t)owner >> 8) % (sizeof loop->returns / sizeof loop->returns[0])];
    if (returns->owner != owner) {
        if (returns->owner != NULL)
            send_back(returns);
        returns->owner = owner;
        returns->oldest = &message->node;
    } else {
        weft__mpsc_set_next(&message->node, returns->newest);
    }
    returns->newest = &message->node;
    fn(arg);
}

static bool
stock_up(struct weft__thread *thread)
{
    struct weft__mpsc_node *node = weft__mpsc_take_all_fifo(&thread->returned);
    thread->posts = (struct weft__post *)(void *)node;
    if (node != NULL)
        return true;
    if (weft__torture_hit(WEFT__TORTURE_ALLOC))
        return false;
    struct post_block *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    if (block == NULL)
        return false;
    block->owner = thread;
    for (size_t i = sizeof block->posts / sizeof block->posts[0]; i-- > 0;) {
        struct weft__post *post = &block->posts[i];
        post->message.fn = post_run;
        weft__mpsc_set_next(&post->message.node,
                            thread->posts != NULL ? &thread->posts->message.node : NULL);
        thread->posts = post;
    }
    return true;
}

static inline struct weft__post *
post_take(struct weft__thread *thread)
{
    if (thread->posts == NULL && !stock_up(thread))
        return NULL;
    struct weft__post *post = thread->posts;
    thread->posts = (struct weft__post *)(void *)weft__mpsc_next(&post->message.node);
    return post;
}

int
weft_loop_post(weft_loop *loop, weft_callback_fn *fn, void *arg)
{
    struct weft__thread *thread = weft__thread_self();
    if (thread == NULL)
        return -ENOMEM;
    struct weft__post *post = post_take(thread);
    if (post == NULL)
        return -ENOMEM;
    post->fn = fn;
    post->arg = arg;
    int rc = weft__inbox_post_unless_closing(loop, &post->message);
    if (rc < 0) {
        weft__mpsc_set_next(&post->message.node,
                            thread->posts != NULL ? &thread->posts->message.node : NULL);
        thread->posts = post;
    }
    return rc;
}
