/*
 * gen.c - generators: a stack of their own, inside the consumer's task.
 *
 * Pulling switches directly to the generator's stack, yielding switches back: two switches a
 * value. The scheduler knows nothing of it. When the generator's code waits, the task is suspended
 * with the generator's stack as its present one, and comes back to it; only what the sanitizers
 * are told about the task's stack has to be exchanged. The stack's owner is a task record that
 * never runs, for its name and its entry function.
 *
 * While a generator runs, its base scope is the task's innermost one, so that deferred functions
 * and closing have a place of their own. It is taken off whenever the generator is left.
 *
 * A generator that delegates is the `outer` of its `inner`; the consumer goes to the innermost one
 * directly. A generator that ends, or begins to delegate, says so to the consumer, who goes on in
 * the right one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/gen.h>

#include "base/assert.h"
#include "base/log.h"
#include "task/task_priv.h"

struct gen {
    struct weft_task *carrier; /* has its stack and where on it it is; NULL once it has ended */
    struct weft__ctx consumer; /* where its consumer is while it runs */
    struct weft__scope base;
    struct weft__sched *sched;
    weft_gen_fn *fn;
    void *arg;
    struct gen *inner; /* to which it delegates */
    struct gen *outer; /* that delegates to it */
    void *ret_value;   /* where the consumer wants the value */
    const void *sent;  /* what it sends, or NULL */
    size_t value_bytes;
    size_t sent_bytes;
    int32_t result;    /* once it has ended */
    int32_t delegated; /* the result of the one it delegated to */
    bool started;
    bool running;
    bool yielded; /* the last time it was left, it was for a value */
    bool returned;
    bool closing;
};
_Static_assert(sizeof(struct gen) <= sizeof(weft_gen), "weft_gen is too small");

/* Most values are a pointer or a number: no call for those. */
static inline void
copy(void *to, const void *from, size_t bytes)
{
    if (bytes == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t));
    else if (bytes == sizeof(uint32_t))
        memcpy(to, from, sizeof(uint32_t));
    else if (bytes > 0)
        memcpy(to, from, bytes);
}

/* Runs as the owner of a stack, on it. */
static void
run_generator(struct weft_task *carrier)
{
    struct gen *gen = carrier->arg;
    int rc = gen->fn((weft_gen *)(void *)gen, gen->arg);
    weft__assert(gen->sched->current->scope == &gen->base,
                 "a generator returned with a scope or group still open");
    weft__scope_run_deferred(&gen->base);
    gen->result = rc;
    gen->returned = true;
    /* For good. The consumer gives the stack away, and its next owner starts from here. */
    weft__ctx_switch(&carrier->stack->ctx, &gen->consumer);
}

static int
take_stack(struct weft__sched *sched, size_t own_size, struct weft__stack **ret_stack)
{
    if (sched->stacks.pool == NULL) { /* the first one of a thread's private loop */
        int rc = weft__here_grow(sched);
        if (rc < 0)
            return rc;
    }
    if (own_size == 0)
        return weft__stack_take(&sched->stacks, ret_stack);
    int rc = weft__stack_round(own_size, &own_size);
    if (rc < 0)
        return rc;
    return weft__stack_take_slow(&sched->stacks, own_size, ret_stack);
}

int
weft_gen_open(weft_gen *public, size_t value_bytes, weft_gen_fn *fn, void *arg,
              const weft_gen_options *options)
{
    struct gen *gen = (struct gen *)(void *)public;
    struct weft__sched *sched = weft__sched_self();
    if (sched == NULL || sched->current == NULL)
        return weft_error_note(-EPERM, "a generator runs inside a task: on a plain thread wrap "
                                       "its use in weft_run_here");
    struct weft__stack *stack;
    int rc = take_stack(sched, options != NULL ? options->stack_size : 0, &stack);
    if (rc < 0)
        return rc;
    struct weft_task *carrier = weft__task_record_take(sched);
    if (carrier == NULL) {
        weft__stack_give(&sched->stacks, stack);
        return -ENOMEM;
    }
    carrier->ctx = stack->ctx;
    carrier->stack = stack;
    carrier->body = run_generator;
    carrier->arg = gen;
    const char *name = options != NULL && options->name != NULL ? options->name : "generator";
    snprintf(carrier->name, sizeof carrier->name, "%s", name);
    stack->owner = carrier;

    *gen = (struct gen){.carrier = carrier,
                        .base = {.deadline = WEFT_FOREVER},
                        .sched = sched,
                        .fn = fn,
                        .arg = arg,
                        .value_bytes = value_bytes,
                        .sent_bytes = options != NULL ? options->sent_bytes : 0};
    sched->n_gens++;
    return 0;
}

/* Runs the generator until it yields, delegates or ends. */
static void
resume(struct gen *gen)
{
    struct weft__sched *sched = gen->sched;
    struct weft_task *task = sched->current;
    /* Where the task is suspended when it waits: from now on on that stack. */
    struct weft__ctx *own = task->native ? &sched->native : &task->ctx;
    gen->consumer.san = own->san;
    own->san = gen->carrier->ctx.san;
    gen->base.task = task;
    gen->base.outer = task->scope;
    task->scope = &gen->base;
    if (gen->closing)
        weft__scope_recompute(task);
    gen->started = true;
    gen->yielded = false;
    gen->running = true;
    weft__ctx_switch(&gen->consumer, &gen->carrier->ctx);
    gen->running = false;
    own->san = gen->consumer.san;
    task->scope = gen->base.outer;
    if (gen->closing)
        weft__scope_recompute(task);
}

static void
release(struct gen *gen)
{
    struct weft_task *carrier = gen->carrier;
    gen->carrier = NULL;
    weft__stack_give(&gen->sched->stacks, carrier->stack);
    carrier->stack = NULL;
    weft__task_record_give(gen->sched, carrier);
    gen->sched->n_gens--;
}

/* The one that is to run when `gen` is pulled, who must be at rest. */
static struct gen *
innermost(struct gen *gen)
{
    weft__assert(gen->sched == weft__sched_self() && gen->sched->current != NULL,
                 "a generator is used by tasks of the loop it was opened on");
    weft__assert(gen->outer == NULL,
                 "a generator that another one delegates to is pulled by that one");
    while (gen->inner != NULL)
        gen = gen->inner;
    weft__assert(!gen->running, "a generator was pulled or closed while it runs: by itself, or by "
                                "a second task");
    return gen;
}

static int
pull(struct gen *gen, const void *sent, void *ret_value)
{
    struct gen *leaf = innermost(gen);
    for (;;) {
        if (leaf->carrier != NULL) {
            leaf->sent = sent;
            leaf->ret_value = ret_value;
            resume(leaf);
            if (__builtin_expect(leaf->yielded, 1))
                return 1;
        }
        sent = NULL;
        if (leaf->inner != NULL) { /* it delegates from now on */
            leaf = leaf->inner;
            continue;
        }
        bool news = leaf->carrier != NULL;
        if (news)
            release(leaf);
        if (leaf == gen)
            return news && leaf->result < 0 ? leaf->result : 0;
        struct gen *outer = leaf->outer;
        outer->delegated = leaf->result;
        outer->inner = NULL;
        leaf->outer = NULL;
        leaf = outer;
    }
}

int
weft_gen_next(weft_gen *gen, void *ret_value)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    return pull((struct gen *)(void *)gen, NULL, ret_value);
}

int
weft_gen_send(weft_gen *public, const void *sent, void *ret_value)
{
    struct gen *gen = (struct gen *)(void *)public;
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    if (gen->sent_bytes == 0)
        return weft_error_note(-EINVAL, "a generator opened without sent_bytes is sent nothing");
    if (!gen->started)
        return weft_error_note(-EINVAL, "nothing can be sent to a generator that has not come to "
                                        "its first yield");
    return pull(gen, sent, ret_value);
}

static void
assert_inside(const struct gen *gen)
{
    weft__assert(gen->running && gen->sched == weft__sched_self() &&
                     gen->sched->current->scope == &gen->base,
                 "a generator yields from its own function, outside of the scopes and groups it "
                 "has opened");
}

int
weft_gen_yield(weft_gen *public, const void *value, void *ret_sent)
{
    struct gen *gen = (struct gen *)(void *)public;
    assert_inside(gen);
    if (gen->closing)
        return -ECANCELED;
    if (gen->ret_value != NULL)
        copy(gen->ret_value, value, gen->value_bytes);
    gen->yielded = true;
    weft__ctx_switch(&gen->carrier->ctx, &gen->consumer);
    if (gen->closing)
        return -ECANCELED;
    if (gen->sent == NULL)
        return 0;
    if (ret_sent != NULL)
        copy(ret_sent, gen->sent, gen->sent_bytes);
    return 1;
}

int
weft_gen_delegate(weft_gen *public, weft_gen *public_inner)
{
    struct gen *gen = (struct gen *)(void *)public;
    struct gen *inner = (struct gen *)(void *)public_inner;
    assert_inside(gen);
    if (inner->value_bytes != gen->value_bytes || inner->sent_bytes != gen->sent_bytes)
        return weft_error_note(-EINVAL,
                               "a generator of %zu bytes a value (%zu sent) cannot "
                               "delegate to one of %zu (%zu)",
                               gen->value_bytes, gen->sent_bytes, inner->value_bytes,
                               inner->sent_bytes);
    if (gen->closing)
        return -ECANCELED;
    innermost(inner); /* at rest, on this loop, and nobody else's */
    for (const struct gen *outer = gen->outer; outer != NULL; outer = outer->outer)
        weft__assert(outer != inner, "a generator delegates to one that delegates to it");
    gen->inner = inner;
    inner->outer = gen;
    weft__ctx_switch(&gen->carrier->ctx, &gen->consumer);
    if (gen->inner == NULL)
        return gen->delegated;
    gen->inner = NULL; /* closing */
    inner->outer = NULL;
    return -ECANCELED;
}

int
weft_gen_result(const weft_gen *public)
{
    const struct gen *gen = (const struct gen *)(const void *)public;
    return gen->returned ? gen->result : -EBUSY;
}

int
weft_gen_close(weft_gen *public)
{
    struct gen *gen = (struct gen *)(void *)public;
    if (gen == NULL || gen->carrier == NULL)
        return 0;
    innermost(gen);
    if (!gen->started) {
        release(gen);
        return 0;
    }
    gen->closing = true;
    gen->base.cause = -ECANCELED;
    resume(gen);
    release(gen);
    int outer = gen->sched->current->pending;
    return gen->result < 0 && gen->result != -ECANCELED && gen->result != outer ? gen->result : 0;
}
