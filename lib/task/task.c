/*
 * task.c - the life of a task: spawn, start, finish, release.
 *
 * A task is released when it has ended and its handle is given up; its stack then goes to the
 * cache of the loop it ran on. Requests from other threads come as bits in task->ops and one
 * message that carries however many there are by the time it arrives.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/symbol.h"
#include "task/task_priv.h"

void (*weft__group_child_finished)(struct weft_task *child);

/* ---- Memory of tasks -------------------------------------------------------------------------
 *
 * Tasks lie close together, in chunks that stay until the runtime ends: a wake-up that comes too
 * late still finds a task there, with another id. */

#define CHUNK_TASKS 64
#define CANCEL_DEPTH 16 /* groups inside groups cancelled in one go; deeper ones by a message */
#define HANDLES_NAMED 20
#define FREE_TASKS_MAX 16384 /* kept by a loop; beyond it a chunk's worth goes to the runtime */

struct weft__task_chunk {
    struct weft__task_chunk *next;
    struct weft_task tasks[CHUNK_TASKS];
};

static __attribute__((noinline)) struct weft_task *
task_take_slow(struct weft__sched *sched)
{
    struct weft__runtime *runtime = sched->runtime;
    weft__lock(&runtime->any_lock);
    struct weft_task *batch = runtime->free_tasks;
    unsigned n = 0;
    for (struct weft_task *task = batch; task != NULL && n < CHUNK_TASKS; n++) {
        runtime->free_tasks = task->ready_next;
        if (n == CHUNK_TASKS - 1)
            task->ready_next = NULL;
        task = runtime->free_tasks;
    }
    weft__unlock(&runtime->any_lock);
    if (batch == NULL) {
        struct weft__task_chunk *chunk = weft__alloc_lines(sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        for (n = 0; n < CHUNK_TASKS; n++)
            chunk->tasks[n].ready_next = n + 1 < CHUNK_TASKS ? &chunk->tasks[n + 1] : NULL;
        batch = chunk->tasks;
        weft__lock(&runtime->any_lock);
        chunk->next = runtime->chunks;
        runtime->chunks = chunk;
        weft__unlock(&runtime->any_lock);
    }
    sched->free_tasks = batch->ready_next;
    sched->n_free_tasks += n - 1;
    return batch;
}

static inline struct weft_task *
task_take(struct weft__sched *sched)
{
#ifdef WEFT_TEST
    if (weft__torture_hit(WEFT__TORTURE_ALLOC))
        return NULL;
#endif
    struct weft_task *task = sched->free_tasks;
    if (__builtin_expect(task == NULL, 0))
        return task_take_slow(sched);
    sched->free_tasks = task->ready_next;
    sched->n_free_tasks--;
    return task;
}

static inline void
task_give(struct weft__sched *sched, struct weft_task *task)
{
    task->ready_next = sched->free_tasks;
    sched->free_tasks = task;
    if (__builtin_expect(++sched->n_free_tasks <= FREE_TASKS_MAX, 1))
        return;
    struct weft__runtime *runtime = sched->runtime;
    weft__lock(&runtime->any_lock);
    for (unsigned n = 0; n < CHUNK_TASKS; n++) {
        struct weft_task *surplus = sched->free_tasks;
        sched->free_tasks = surplus->ready_next;
        surplus->ready_next = runtime->free_tasks;
        runtime->free_tasks = surplus;
    }
    weft__unlock(&runtime->any_lock);
    sched->n_free_tasks -= CHUNK_TASKS;
}

struct weft_task *
weft__task_record_take(struct weft__sched *sched)
{
    return task_take(sched);
}

void
weft__task_record_give(struct weft__sched *sched, struct weft_task *record)
{
    task_give(sched, record);
}

void
weft__task_chunks_free(struct weft__runtime *runtime)
{
    while (runtime->chunks != NULL) {
        struct weft__task_chunk *chunk = runtime->chunks;
        runtime->chunks = chunk->next;
        weft__free_lines(chunk);
    }
}

void
weft__debug_log_handles(struct weft__runtime *runtime)
{
    size_t n = 0;
    for (struct weft__task_chunk *chunk = runtime->chunks; chunk != NULL; chunk = chunk->next) {
        for (unsigned i = 0; i < CHUNK_TASKS; i++) {
            /* Those that were never used are zero, those that were released have none. */
            const struct weft_task *task = &chunk->tasks[i];
            if (!task->has_handle || !weft__task_ended(task))
                continue;
            if (n++ >= HANDLES_NAMED)
                continue;
            char place[WEFT__SYMBOL_BYTES];
            weft__symbol_text(task->site, place);
            weft_log(WEFT_LOG_WARN,
                     "task \"%s\" was neither joined nor closed, its handle is lost; spawned at %s",
                     task->name, place);
            if (task->state == WEFT_TASK_FAILED && !task->observed)
                weft__debug_log_failure(task);
        }
    }
    if (n > HANDLES_NAMED)
        weft_log(WEFT_LOG_WARN, "and %zu more", n - HANDLES_NAMED);
}

/* ---- Life ------------------------------------------------------------------------------------ */

void
weft__joiner_wake(struct weft_task *task, struct weft__joiner *joiner)
{
    if (joiner->arrive != NULL) {
        joiner->result = task->result;
        joiner->arrive(joiner);
        return;
    }
    /* Whose wait was ended by something else sees nothing of the result. */
    if (!weft__claim(joiner->ticket))
        return;
    joiner->result = task->result;
    task->observed = true;
    weft__deliver(joiner->ticket.waiter, 0);
}

/* Runs as the owner of a stack, on it. */
static void
run_task(struct weft_task *task)
{
    struct weft__sched *sched = weft__sched_self();
    int rc = task->pending; /* cancelled before it started: never does */
    if (rc == 0)
        rc = task->fn(task->arg);

    weft__assert(task->scope == &task->root, "a task returned with a scope or group still open");
    weft__scope_run_deferred(&task->root);
    if (__builtin_expect(task->locals != NULL, 0))
        weft__locals_drop(&task->locals);
    weft__holdings_check(&task->holdings, task->name);

    struct weft__stack *stack = task->stack;
    if (__builtin_expect(sched->runtime->options.measure_stacks, 0))
        task->stack_used = (uint32_t)weft__stack_used(stack);
    task->stack = NULL;
    weft__task_finish(sched, task, rc);
    weft__switch_out(sched, stack);
}

void
weft__task_settle(struct weft_task *task, int rc)
{
    task->result = rc;
    weft_task_state state = rc >= 0 ? WEFT_TASK_DONE : WEFT_TASK_FAILED;
    if (rc < 0 && rc == task->root.cause)
        state = WEFT_TASK_CANCELLED;
    weft__store_release(&task->state, (uint8_t)state);
    while (!weft__list_empty(&task->joiners)) {
        struct weft__link *link = weft__list_pop_front(&task->joiners);
        weft__joiner_wake(task, weft__container(link, struct weft__joiner, link));
    }
}

/* The last of a task. It may be gone when this returns. */
void
weft__task_finish(struct weft__sched *sched, struct weft_task *task, int rc)
{
    weft__list_remove(&task->link);
    weft__add_own(&sched->live, -1);
    weft__task_settle(task, rc);
    if (task == sched->runtime->main) {
        /* Its record stays: were it another task's, that one would be taken for the main task. */
        weft__runtime_begin_close(sched->runtime);
        return;
    }
    if (task->group != NULL) {
        weft__group_child_finished(task);
        return; /* the group gives the handle up */
    }
    /* Not released outright: a request may be on its way. */
    if (!task->has_handle)
        weft__task_request(task, WEFT__OP_CLOSE, 0);
}

void
weft__task_release(struct weft__sched *sched, struct weft_task *task)
{
    if (task->result < 0 && !task->observed && task->state == WEFT_TASK_FAILED)
        weft__debug_log_failure(task);
    if (__builtin_expect(task->error != NULL, 0)) {
        weft__free(task->error);
        task->error = NULL;
    }
    task_give(sched, task);
}

static void
resume(struct weft__waiter *waiter)
{
    struct weft_task *task = weft__container(waiter, struct weft_task, waiter);
    weft__ready_push((struct weft__sched *)(void *)waiter->loop, task);
}

static void
resume_message(struct weft__message *message)
{
    resume((struct weft__waiter *)(void *)message);
}

static void
do_op(struct weft_task *task, uint32_t ops)
{
    struct weft__sched *sched = weft__sched_self();
    if (ops & WEFT__OP_CANCEL)
        weft__task_end_root(task, weft__load(&task->cancel_cause));
    if (ops & WEFT__OP_OBSERVE)
        task->observed = true;
    if (ops & WEFT__OP_CLOSE) {
        task->has_handle = false;
        if (weft__task_ended(task))
            weft__task_release(sched, task);
    }
}

static void
do_ops(struct weft_task *task)
{
    do_op(task, weft__exchange(&task->ops, 0)); /* pairs with the or in weft__task_request */
}

void
weft__task_ops_message(struct weft__message *message)
{
    do_ops(weft__container(message, struct weft_task, remote));
}

int
weft__task_on(const weft_task_options *options, unsigned n_loops)
{
    int on = options != NULL ? options->on : 0;
    if (on == 0)
        return WEFT_LOOP_HERE;
    if (on == WEFT_LOOP_HERE || on == WEFT_LOOP_ANY)
        return on;
    if (on < 0 || (unsigned)(on - 1) >= n_loops)
        return weft_error_note(-EINVAL, "task: there is no loop %d, only 0 to %u", on - 1,
                               n_loops - 1);
    return on - 1;
}

/* Counts the name of the last nameless task on, in decimal: cheaper than formatting a number. */
static void
next_name(struct weft__sched *sched)
{
    char *digit = sched->last_name + sched->name_len - 1;
    while (*digit == '9')
        *digit-- = '0';
    if (*digit >= '0') {
        ++*digit;
        return;
    }
    if (sched->name_len + 1 >= sizeof sched->last_name)
        return; /* 10^20 tasks: they share a name from here on */
    digit++;
    memmove(digit + 1, digit, sched->name_len - (size_t)(digit - sched->last_name));
    *digit = '1';
    sched->name_len++;
}

int
weft__task_new(struct weft_task **ret_task, weft_task_fn *fn, void *arg,
               const weft_task_options *options, int64_t deadline)
{
    struct weft__sched *sched = weft__sched_self();
    weft__assert(sched != NULL, "a task can be spawned only from a loop: use weft_loop_post or "
                                "weft_loop_call from a plain thread");
    if (__builtin_expect(sched->closing, 0))
        return -ESHUTDOWN;
    if (__builtin_expect(sched->stacks.pool == NULL, 0)) {
        int rc = weft__here_grow(sched);
        if (rc < 0)
            return rc;
    }
    struct weft_task *task = task_take(sched);
    if (task == NULL)
        return -ENOMEM;
    /* A stack now for a size of its own, or when it goes elsewhere; else the promise of one. */
    int rc;
    size_t own_size = options != NULL ? options->stack_size : 0;
    task->stack = NULL;
    if (__builtin_expect(own_size != 0, 0)) {
        rc = weft__stack_round(own_size, &own_size);
        if (rc == 0)
            rc = weft__stack_take_slow(&sched->stacks, own_size, &task->stack);
    } else if (__builtin_expect(options != NULL && options->on != 0, 0)) {
        rc = weft__stack_take(&sched->stacks, &task->stack);
    } else {
        rc = weft__stack_reserve(&sched->stacks);
    }
    if (__builtin_expect(rc < 0, 0)) {
        task_give(sched, task);
        return rc;
    }
    if (task->stack != NULL) {
        task->stack->owner = task;
        task->ctx = task->stack->ctx;
        if (sched->runtime->options.measure_stacks)
            weft__stack_clear(task->stack);
    }
    task->waiter.message.fn = resume_message;
    task->waiter.resume = resume;
    task->waiter.loop = &sched->loop;
    task->waiter.state = 0;
    task->pending = 0;
    task->state = WEFT_TASK_NEW;
    task->native = false;
    task->cancellable = false;
    task->observed = false;
    task->has_handle = false;
    task->holdings = (struct weft__holdings){.last = NULL};
    task->body = run_task;
    task->fn = fn;
    task->arg = arg;
    task->site = (const void *)(uintptr_t)fn; /* who spawns for a user knows better */
    task->what = NULL;
    task->result = 0;
    task->ops = 0;
    task->cancel_cause = 0;
    task->stack_used = 0;
    task->group = NULL;
    task->error = NULL;
    task->remote.fn = weft__task_ops_message;
    weft__scope_init_root(task, deadline);
    weft__list_init(&task->joiners);
    if (options != NULL && options->name != NULL) {
        size_t len = strnlen(options->name, sizeof task->name - 1);
        memcpy(task->name, options->name, len);
        task->name[len] = '\0';
    } else {
        next_name(sched);
        memcpy(task->name, sched->last_name, sizeof task->name);
    }
    struct weft__locals *locals =
        sched->current != NULL ? sched->current->locals : weft__locals_current();
    task->locals = NULL;
    if (__builtin_expect(locals != NULL, 0)) {
        rc = weft__locals_inherit(&task->locals, locals);
        if (rc < 0) {
            weft__task_discard(task);
            return rc;
        }
    }
    *ret_task = task;
    return 0;
}

void
weft__task_discard(struct weft_task *task)
{
    struct weft__sched *sched = weft__sched_self();
    weft__locals_drop(&task->locals);
    if (task->stack != NULL)
        weft__stack_give(&sched->stacks, task->stack);
    else
        weft__stack_unreserve(&sched->stacks);
    task_give(sched, task);
}

/* On the loop the task shall live on. */
static void
arrive(struct weft__sched *sched, struct weft_task *task)
{
    weft__add_own(&sched->live, 1);
    weft__add_own(&sched->spawned, 1);
    weft__list_push_back(&sched->tasks, &task->link);
    weft__ready_push(sched, task);
    if (__builtin_expect(sched->closing, 0))
        weft__task_end_root(task, -ECANCELED);
}

static void
arrive_message(struct weft__message *message)
{
    struct weft_task *task =
        weft__container((struct weft__waiter *)(void *)message, struct weft_task, waiter);
    message->fn = resume_message;
    arrive(weft__sched_self(), task);
}

void
weft__task_start(struct weft_task *task, int on)
{
    struct weft__sched *sched = weft__sched_self();
    struct weft__runtime *runtime = sched->runtime;
    if (on == WEFT_LOOP_HERE || (on >= 0 && (unsigned)on == sched->loop.index)) {
        arrive(sched, task);
        return;
    }
    if (on >= 0) {
        struct weft__sched *target = runtime->loops[on];
        weft__store(&task->waiter.loop, &target->loop);
        task->waiter.message.fn = arrive_message;
        weft__inbox_post(&target->loop, &task->waiter.message);
        return;
    }
    weft__store(&task->waiter.loop, weft__floating_mark(&sched->loop));
    weft__lock(&runtime->any_lock);
    weft__list_push_back(&runtime->any, &task->link);
    weft__fetch_add(&runtime->n_any, 1);
    weft__unlock(&runtime->any_lock);
    /* Pairs with has_work_elsewhere after the store of `sleeping`: one who sleeps takes it; when
     * nobody sleeps, whoever comes round first does. */
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        struct weft_loop *loop = &runtime->loops[i]->loop;
        if (loop != &sched->loop && weft__load(&loop->bell->sleeping)) {
            weft__bell_ring(loop);
            break;
        }
    }
}

/* Takes tasks that may run anywhere: a fair share of what waits when this loop has none, one of
 * them when it is busy. */
void
weft__task_adopt_any(struct weft__sched *sched)
{
    struct weft__runtime *runtime = sched->runtime;
    weft__lock(&runtime->any_lock);
    uint32_t waiting = weft__load_relaxed(&runtime->n_any);
    uint32_t share =
        sched->ready_head != NULL ? 1 : (waiting + runtime->n_loops - 1) / runtime->n_loops;
    for (uint32_t i = 0; i < share; i++) {
        struct weft__link *link = weft__list_pop_front(&runtime->any);
        if (link == NULL)
            break;
        weft__fetch_sub(&runtime->n_any, 1);
        struct weft_task *task = weft__container(link, struct weft_task, link);
        /* Requests first: as long as nobody knows its loop, nobody sends it a message. */
        uint32_t ops = weft__exchange(&task->ops, 0);
        weft__store(&task->waiter.loop, &sched->loop);
        arrive(sched, task);
        if (ops != 0)
            do_op(task, ops);
    }
    weft__unlock(&runtime->any_lock);
}

int
weft_task_spawn(weft_task **ret_task, weft_task_fn *fn, void *arg, const weft_task_options *options)
{
    struct weft__sched *sched = weft__sched_self();
    int on = WEFT_LOOP_HERE;
    if (options != NULL && options->on != 0) {
        weft__assert(sched != NULL, "weft_task_spawn needs a loop");
        on = weft__task_on(options, sched->runtime->n_loops);
        if (on < 0 && on != WEFT_LOOP_HERE && on != WEFT_LOOP_ANY)
            return on;
    }
    struct weft_task *task;
    int rc = weft__task_new(&task, fn, arg, options, WEFT_FOREVER);
    if (rc < 0)
        return rc;
    if (ret_task != NULL) {
        task->has_handle = true;
        *ret_task = task;
    }
    task->site = __builtin_return_address(0);
    weft__task_start(task, on);
    return 0;
}

/* Has something done on the task's home loop, now if that is this one. */
void
weft__task_request(struct weft_task *task, unsigned op, int cause)
{
    if (op == WEFT__OP_CANCEL)
        weft__store(&task->cancel_cause, cause);
    struct weft_loop *home = weft__load(&task->waiter.loop);
    if (home == weft__loop_self && home != NULL) {
        struct weft__sched *sched = (struct weft__sched *)(void *)home;
        /* A message from elsewhere that is on its way carries this along: were the task closed
         * now, it would arrive at another one. */
        if (weft__load(&task->ops) & WEFT__OP_PENDING) {
            __atomic_fetch_or(&task->ops, op, __ATOMIC_SEQ_CST);
            return;
        }
        if (op != WEFT__OP_CANCEL || sched->cancel_depth < CANCEL_DEPTH) {
            sched->cancel_depth++; /* a task's end is its groups' end, and that their children's */
            do_op(task, op);
            sched->cancel_depth--;
            return;
        }
    }
    struct weft__runtime *runtime = weft__floating_in(home);
    if (runtime != NULL) {
        weft__lock(&runtime->any_lock);
        home = weft__load(&task->waiter.loop);
        bool floats = weft__floating_in(home) != NULL;
        if (floats)
            __atomic_fetch_or(&task->ops, op, __ATOMIC_SEQ_CST); /* done by the adopter */
        weft__unlock(&runtime->any_lock);
        if (floats)
            return;
        weft__task_request(task, op, cause);
        return;
    }
    /* Pairs with the exchange in do_ops: whoever sets PENDING sends the message. */
    uint32_t before = __atomic_fetch_or(&task->ops, op | WEFT__OP_PENDING, __ATOMIC_SEQ_CST);
    if (!(before & WEFT__OP_PENDING))
        weft__inbox_post(home, &task->remote);
}

void
weft__task_end_root(struct weft_task *task, int cause)
{
    if (!weft__task_ended(task))
        weft__scope_end(&task->root, cause);
}

void
weft__task_give_back(struct weft_task *task)
{
    /* Depth that is measured to the word is read off the very pages. */
    struct weft__sched *sched = weft__sched_self();
    if (task->stack != NULL && !task->native && !sched->runtime->options.measure_stacks)
        weft__stack_give_back(task->stack, &task->ctx);
}
