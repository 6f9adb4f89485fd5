/*
 * local.h - values of a task's own, which its children inherit; and the trace id.
 *
 * A key is a static weft_local; its address is its identity. What a task has set, it and all it
 * calls see, and tasks it spawns from then on see it too: groups' children on any loop,
 * detached tasks, weft_loop_call and weft_run, and calls of an executor (but not those that may be
 * abandoned). A child sees what was set when it was spawned; what it sets itself its parent does
 * not see. Plain threads have values like tasks; a callback of a loop sees those of the thread. A
 * generator sees its consumer's. Jobs in another process see none of it.
 *
 * What else goes along: the trace id below goes wherever values go. Deadlines and cancellation go
 * with groups, and are not a matter of spawning. A task's name stays its own.
 */
#ifndef WEFT_LOCAL_H
#define WEFT_LOCAL_H

#include <weft/base.h>

/*
 * A key: static, or in memory that stays until all who have a value have ended. All zero will do:
 * then a value is a pointer to something that lives long enough by itself.
 *
 *     static weft_local user = {.destroy = free};
 */
typedef struct weft_local {
    void (*destroy)(void *value); /* called once nobody has the value any more: not NULL, from
                                     whichever task, loop or thread had it last; must not wait */
    void *(*copy)(void *value);   /* a child gets its own copy, made when it is spawned; NULL
                                     returned: it gets none. Without: the value is shared */
} weft_local;

/* As in W3C Trace Context: 16 bytes; all zero is none. */
typedef struct weft_trace_id {
    uint64_t high;
    uint64_t low;
} weft_trace_id;

WEFT_BEGIN_DECLS

/*
 * weft_local_set - give the calling task a value
 *
 * value    the task's from now on when the key has a destroy function, also on failure; NULL takes
 *          the present value away. The old value is destroyed unless somebody else has it
 *
 * Returns  0; -ENOMEM: the old value stays
 * Waits    no
 * Threads  any
 * Source   contextvars.ContextVar.set
 */
int weft_local_set(const weft_local *key, void *value);

/*
 * weft_local_get - the calling task's value
 *
 * Returns  what it, or the one that spawned it before, has set; NULL when nobody has
 * Waits    no
 * Threads  any
 * Source   contextvars.ContextVar.get
 */
void *weft_local_get(const weft_local *key);

/*
 * weft_trace_set - say which request, or other story, the calling task is part of from now on
 *
 * Returns  0; -ENOMEM
 * Waits    no
 * Threads  any
 * Source   W3C Trace Context, trace-id
 */
int weft_trace_set(weft_trace_id id);

/*
 * weft_trace_get - the id that the calling task, or the one that spawned it before, has set
 *
 * Returns  the id; all zero when there is none
 * Waits    no
 * Threads  any
 * Source   W3C Trace Context, trace-id
 */
weft_trace_id weft_trace_get(void);

WEFT_END_DECLS

#endif
