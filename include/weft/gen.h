/*
 * gen.h - generators: functions that hand out one value after another, and wait for the next call
 * in between.
 *
 * A generator is a function with a stack of its own. Its consumer pulls: weft_gen_next runs it to
 * its next weft_gen_yield, on the consumer's task, so that everything the generator calls may
 * wait, and the consumer's scopes, deadlines and cancellation hold inside. weft_task_self, the
 * task's locals and weft_error_text are the consumer's.
 *
 * Scopes and groups that a generator opens are closed before it yields: a deadline would go on
 * counting, and children running, in the midst of whatever the consumer does. What weft_defer
 * registers outside of them runs when the generator ends. A generator belongs to the loop it was
 * opened on, and is pulled by one task at a time.
 */
#ifndef WEFT_GEN_H
#define WEFT_GEN_H

#include <weft/base.h>

/* In the caller's memory, from open to close; it stays where it is. */
typedef struct weft_gen {
    uint64_t opaque_[36];
} weft_gen;

/* The body of a generator. Negative means failed; 0 or more is its result, for the delegator or
 * weft_gen_result. */
typedef int weft_gen_fn(weft_gen *gen, void *arg);

typedef struct weft_gen_options {
    const char *name;  /* for reports of a stack overflow; up to 31 bytes are copied */
    size_t stack_size; /* usable bytes; 0: as tasks have; 16 KiB to 1 GiB */
    size_t sent_bytes; /* size of what weft_gen_send hands in; 0: nothing is sent */
} weft_gen_options;

WEFT_BEGIN_DECLS

/*
 * weft_gen_open - make a generator; its function starts with the first weft_gen_next
 *
 * value_bytes  size of each value, which is copied from the generator to its consumer
 * fn           gets the generator, to yield with, and arg
 * options      NULL for the defaults
 *
 * Returns  0; -ENOMEM (memory or stacks); WEFT_E_STACK for a size out of range; -EPERM outside a
 *          task: a plain thread wraps what it does in weft_run_here
 * Waits    no
 * Threads  tasks
 * Source   calling a Python generator function
 */
int weft_gen_open(weft_gen *gen, size_t value_bytes, weft_gen_fn *fn, void *arg,
                  const weft_gen_options *options);

/*
 * weft_gen_next - the next value
 *
 * ret_value  out: value_bytes of it, when there is one; NULL when it is of no interest
 *
 * Returns  1 with a value; 0 at the end, and from then on; negative when the generator failed
 *          (weft_error_text() has the detail it noted; 0 from then on), or -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope had ended before: the generator was not touched
 * Waits    yes: as long as the generator does; looks for cancellation first
 * Threads  tasks of the loop it was opened on, one at a time
 * Source   Python next, anext
 */
WEFT_WAITS int weft_gen_next(weft_gen *gen, void *ret_value);

/*
 * weft_gen_send - hand a value in, which becomes the result of the yield, and get the next one
 *
 * sent     sent_bytes of it
 *
 * Returns  as weft_gen_next; -EINVAL when the generator has not come to its first yield, or was
 *          opened without sent_bytes
 * Waits    yes: as long as the generator does; looks for cancellation first
 * Threads  tasks of the loop it was opened on, one at a time
 * Source   Python generator.send, asend
 */
WEFT_WAITS int weft_gen_send(weft_gen *gen, const void *sent, void *ret_value);

/*
 * weft_gen_yield - hand a value to the consumer, and wait until it asks for the next one
 *
 * value     value_bytes, copied
 * ret_sent  out: sent_bytes, when the consumer sends something; NULL drops it
 *
 * Returns  0 when the consumer asks for the next value; 1 when it sends something; -ECANCELED
 *          when it closes the generator: clean up and return
 * Waits    yes, for the consumer; its cancellation is for weft_gen_next to look for
 * Threads  the generator's own function, outside of scopes and groups it has opened
 * Source   Python yield
 */
WEFT_WAITS int weft_gen_yield(weft_gen *gen, const void *value, void *ret_sent);

/*
 * weft_gen_delegate - hand out all the values of another generator as one's own
 *
 * inner    a generator with the same value_bytes and sent_bytes, opened by whoever closes it. What
 *          is sent goes to it. It is resumed directly, however deep delegation goes
 *
 * Returns  the result of inner's function, 0 or more; negative when inner failed; -ECANCELED when
 *          the consumer closes the generator (inner is then as its last yield left it);
 *          -EINVAL when the sizes differ
 * Waits    yes, for the consumer
 * Threads  the generator's own function, outside of scopes and groups it has opened
 * Source   Python yield from
 */
WEFT_WAITS int weft_gen_delegate(weft_gen *gen, weft_gen *inner);

/*
 * weft_gen_result - what a generator's function returned
 *
 * Returns  its result; -EBUSY as long as it has not ended
 * Waits    no
 * Threads  tasks of the loop it was opened on
 * Source   Python StopIteration.value
 */
int weft_gen_result(const weft_gen *gen);

/*
 * weft_gen_close - end a generator, wherever it is
 *
 * One that is suspended is cancelled: its yield, and every wait of its outside a shield, returns
 * -ECANCELED; deferred functions run as ever. One that never started never does. Every generator
 * must be closed, also one that came to its end by itself.
 *
 * Returns  0; what its function returned when that is negative and not the cancellation
 * Waits    only as far as the generator's clean-up does; never looks for cancellation
 * Threads  tasks of the loop it was opened on
 * Source   Python generator.close, aclose
 */
int weft_gen_close(weft_gen *gen);

WEFT_END_DECLS

#endif
