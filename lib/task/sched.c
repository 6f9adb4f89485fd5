/*
 * sched.c - the ready queue, and switching from task to task.
 *
 * A task that parks goes straight to the next ready one; only when none is ready, or the turn's
 * budget is used up, does it go to the loop's own stack. With a seed the next one is drawn from
 * the first few.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "task/task_priv.h"

#define BUDGET 256 /* switches per turn: descriptors and messages wait for no more than these */
#define LOOK_EVERY 8
#define SHUFFLE 8

static inline void
ready_push(struct weft__sched *sched, struct weft_task *task, uint8_t state)
{
    task->ready_next = NULL;
    if (sched->ready_head == NULL)
        sched->ready_head = task;
    else
        sched->ready_last->ready_next = task;
    sched->ready_last = task;
    weft__add_own(&sched->n_ready, 1);
    weft__store_relaxed(&task->state, state);
}

void
weft__ready_push(struct weft__sched *sched, struct weft_task *task)
{
    ready_push(sched, task,
               (uint8_t)(task->state == WEFT_TASK_NEW ? WEFT_TASK_NEW : WEFT_TASK_READY));
}

static __attribute__((noinline)) struct weft_task *
pop_shuffled(struct weft__sched *sched)
{
    unsigned skip = (unsigned)(weft__splitmix(&sched->loop.random) % SHUFFLE);
    struct weft_task *before = NULL;
    struct weft_task *task = sched->ready_head;
    for (; skip > 0 && task->ready_next != NULL; skip--) {
        before = task;
        task = task->ready_next;
    }
    if (before == NULL)
        sched->ready_head = task->ready_next;
    else
        before->ready_next = task->ready_next;
    if (sched->ready_last == task)
        sched->ready_last = before;
    weft__add_own(&sched->n_ready, -1);
    return task;
}

static inline struct weft_task *
ready_pop(struct weft__sched *sched)
{
    struct weft_task *task = sched->ready_head;
    if (task == NULL)
        return NULL;
    if (__builtin_expect(sched->loop.random != 0, 0))
        return pop_shuffled(sched);
    struct weft_task *next = task->ready_next;
    sched->ready_head = next;
    weft__add_own(&sched->n_ready, -1);
    if (next != NULL) /* its frame, while this one runs */
        __builtin_prefetch(next->stack != NULL ? next->ctx.sp : (void *)sched->stacks.free, 1);
    return task;
}

static inline void
make_current(struct weft__sched *sched, struct weft_task *task)
{
    sched->current = task;
    weft__store_relaxed(&task->state, (uint8_t)WEFT_TASK_RUNNING);
    weft__add_own(&sched->switches, 1);
}

/* A task that starts gets the stack that was reserved for it. */
static void
attach(struct weft__sched *sched, struct weft_task *task)
{
    struct weft__stack *stack = weft__stack_take_reserved(&sched->stacks);
    stack->owner = task;
    task->stack = stack;
    task->ctx = stack->ctx;
    if (__builtin_expect(sched->runtime->options.measure_stacks, 0))
        weft__stack_clear(stack);
}

/* Where to go for `task`: its own stack, or for the native one the loop's, where weft__loop_run
 * then returns into the task's wait. */
static inline struct weft__ctx *
enter(struct weft__sched *sched, struct weft_task *task)
{
    if (__builtin_expect(task->native, 0)) {
        sched->current = NULL;
        sched->loop.stop = true;
        return &sched->native;
    }
    if (task->stack == NULL)
        attach(sched, task);
    make_current(sched, task);
    return &task->ctx;
}

/* Whether the next task may be entered from here. Messages are looked for every few switches: a
 * busy loop must not keep others waiting for a whole turn. */
static inline bool
may_go_on(const struct weft__sched *sched)
{
    return sched->budget > 0 &&
           (sched->budget % LOOK_EVERY != 0 || weft__mpsc_empty(&sched->loop.inbox));
}

static inline __attribute__((always_inline)) void
switch_away(struct weft__sched *sched, struct weft_task *self)
{
    if (__builtin_expect(self->native, 0)) {
        /* Its stack is the loop's: take turns here until it is its turn again. */
        sched->current = NULL;
        sched->loop.stop = false;
        weft__loop_run(&sched->loop);
        make_current(sched, self);
        return;
    }
    struct weft_task *next = NULL;
    if (may_go_on(sched))
        next = ready_pop(sched);
    if (next != NULL) {
        sched->budget--;
        struct weft__ctx *to = enter(sched, next);
        if (next != self)
            weft__ctx_switch(&self->ctx, to);
        return;
    }
    sched->current = NULL;
    weft__ctx_switch(&self->ctx, &sched->native);
}

void
weft__switch_away(struct weft__sched *sched, struct weft_task *self)
{
    switch_away(sched, self);
}

void
weft__switch_back_later(struct weft__sched *sched, struct weft_task *self)
{
    ready_push(sched, self, WEFT_TASK_READY);
    switch_away(sched, self);
}

static void
trim(struct weft__timer *timer)
{
    struct weft__sched *sched = weft__container(timer, struct weft__sched, trim);
    if (weft__stack_cache_trim(&sched->stacks))
        weft__timers_add(&sched->loop.timers, timer,
                         weft__clock_now(sched->loop.clock) + WEFT_SEC(1));
}

/* Not with the virtual clock, on which nothing of ours may be seen to wait. */
static void
plan_trim(struct weft__sched *sched)
{
    if (weft__timer_pending(&sched->trim) || sched->loop.clock->is_virtual)
        return;
    sched->trim.fire = trim;
    weft__timers_add(&sched->loop.timers, &sched->trim,
                     weft__clock_now(sched->loop.clock) + WEFT_SEC(1));
}

void
weft__switch_out(struct weft__sched *sched, struct weft__stack *stack)
{
    struct weft_task *next = NULL;
    sched->current = NULL;
    /* To this loop's own cache it may go at once: nobody takes from there before we have left.
     * Elsewhere another thread could, so the loop's stack gives it away. */
    if (weft__stack_can_keep(&sched->stacks, stack)) {
        weft__stack_keep(&sched->stacks, stack);
        if (__builtin_expect(sched->stacks.n_free > WEFT__STACK_CACHE_MIN, 0))
            plan_trim(sched);
        if (may_go_on(sched))
            next = ready_pop(sched);
    } else {
        sched->finished = stack;
    }
    if (next == NULL) {
        weft__ctx_switch(&stack->ctx, &sched->native);
        return;
    }
    sched->budget--;
    if (next->stack == NULL && !next->native && !sched->runtime->options.measure_stacks &&
        sched->stacks.free == stack) {
        /* The next one starts, and its stack would be this one: it does, without a switch. */
        weft__stack_take_reserved(&sched->stacks);
        stack->owner = next;
        next->stack = stack;
        next->ctx = stack->ctx;
        make_current(sched, next);
        return;
    }
    weft__ctx_switch(&stack->ctx, enter(sched, next));
}

static void
give_finished(struct weft__sched *sched)
{
    struct weft__stack *stack = sched->finished;
    if (stack != NULL) {
        sched->finished = NULL;
        weft__stack_give(&sched->stacks, stack);
    }
}

static bool
run_ready(struct weft_loop *loop)
{
    struct weft__sched *sched = (struct weft__sched *)(void *)loop;
    if (weft__load_relaxed(&sched->runtime->n_any) > 0)
        weft__task_adopt_any(sched);
    sched->budget = BUDGET;
    while (sched->budget > 0) {
        struct weft_task *task = ready_pop(sched);
        if (task == NULL)
            break;
        sched->budget--;
        struct weft__ctx *ctx = enter(sched, task);
        if (ctx == &sched->native)
            return true; /* the native task: back into its wait */
        weft__ctx_switch(&sched->native, ctx);
        give_finished(sched);
        if (loop->stop)
            return true;
        if (!weft__mpsc_empty(&loop->inbox))
            break;
    }
    if (sched->draining)
        weft__close_check(sched);
    return sched->ready_head != NULL;
}

static bool
has_ready(struct weft_loop *loop)
{
    struct weft__sched *sched = (struct weft__sched *)(void *)loop;
    /* A loop that is to report itself empty takes one turn more. */
    return sched->ready_head != NULL || (sched->draining && !sched->reported && sched->live == 0);
}

static bool
has_work_elsewhere(struct weft_loop *loop)
{
    /* Pairs with the addition in weft__task_start: it counts, then looks who sleeps. */
    return weft__load(&((struct weft__sched *)(void *)loop)->runtime->n_any) > 0;
}

/* The top frame of every pooled stack: it stays, one owner after another runs in it. */
void
weft__task_entry(void *arg)
{
    struct weft__stack *stack = arg;
    for (;;) {
        struct weft_task *task = stack->owner;
        task->body(task);
    }
}

int
weft_on_loop_stack(weft_task_fn *fn, void *arg)
{
    struct weft__sched *sched = weft__sched_self();
    struct weft_task *task = sched != NULL ? sched->current : NULL;
    if (task == NULL || task->native)
        return fn(arg);
    sched->borrower = task;
    sched->current = NULL; /* as in a callback of the loop: who waits is told so */
    int result = weft__ctx_call(&task->ctx, &sched->native, fn, arg);
    sched->current = task;
    sched->borrower = NULL;
    return result;
}

static char *
task_text(bool make)
{
    static char nothing[1];
    struct weft__sched *sched = weft__sched_self();
    struct weft_task *task = sched != NULL ? weft__task_running(sched) : NULL;
    if (task == NULL)
        return NULL;
    if (task->error == NULL && make)
        task->error = weft__alloc_zeroed(WEFT__ERROR_TEXT_BYTES);
    return task->error == NULL && !make ? nothing : task->error;
}

static const char *
owner_name(const struct weft__stack *stack)
{
    const struct weft_task *task = stack->owner;
    return task != NULL ? task->name : "?";
}

/* Before main, when no other thread can be looking. */
__attribute__((constructor)) static void
set_hooks(void)
{
    weft__error_task_text = task_text;
    weft__stack_owner_name = owner_name;
}

int
weft__sched_init(struct weft__sched *sched, struct weft__runtime *runtime, unsigned index)
{
    weft__loop_init(&sched->loop, index, &runtime->clock);
    sched->loop.run_ready = run_ready;
    sched->loop.has_ready = has_ready;
    sched->loop.has_work_elsewhere = has_work_elsewhere;
    sched->runtime = runtime;
    sched->calls_left = WEFT__CALLS;
    weft__list_init(&sched->tasks);
    int len = index == 0 ? snprintf(sched->last_name, sizeof sched->last_name, "task 0")
                         : snprintf(sched->last_name, sizeof sched->last_name, "task %u.0", index);
    sched->name_len = (size_t)len;
    if (runtime->pool != NULL)
        weft__stack_cache_open(&sched->stacks, runtime->pool);
    return 0;
}

void
weft__sched_close(struct weft__sched *sched)
{
    if (sched->n_gens > 0)
        weft_log(WEFT_LOG_WARN, "loop %u: generators that were never closed: %zu",
                 sched->loop.index, sched->n_gens);
    weft__loop_close(&sched->loop);
    if (sched->stacks.pool != NULL)
        weft__stack_cache_close(&sched->stacks);
}
