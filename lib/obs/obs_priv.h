/*
 * obs_priv.h - what one look at a runtime's tasks found.
 */
#ifndef WEFT_LIB_OBS_OBS_PRIV_H
#define WEFT_LIB_OBS_OBS_PRIV_H

#include <weft/base.h>

#include "task/task_priv.h"

/* A group that is open. */
struct weft__group_look {
    const void *group;
    size_t live;
    size_t held; /* of these, not started yet */
    int64_t deadline;
};

/* A task, copied: pointers are names only, what they point to may be gone. */
struct weft__task_look {
    const void *task;
    char name[32];
    uint8_t state;
    bool native;
    unsigned loop;
    const char *what; /* while it waits */
    const void *object;
    char awaited[32];  /* the name of the task it waits for */
    int64_t waited_ms; /* -1: nobody noted */
    int64_t deadline;  /* as far away as it is; WEFT_FOREVER */
    size_t stack_used, stack_size;
    const void *site;
    const void *group;
    uint32_t child;
    uint32_t first_group, n_groups; /* in groups of its loop, innermost first */
};

enum weft__answer { WEFT__UNANSWERED, WEFT__ANSWERED, WEFT__CLOSING, WEFT__NO_MEMORY };

struct weft__look;

/* What one loop said. */
struct weft__loop_look {
    struct weft__message message;
    struct weft__look *look;
    unsigned index;
    uint32_t answer; /* enum weft__answer, final once the look is over */
    size_t live, ready, timers;
    bool foreign;      /* somebody else's libevent events wait on its base */
    size_t n_tasks;    /* copied */
    size_t n_hidden;   /* alive, and not copied */
    size_t n_floating; /* of all loops, that no loop has taken yet; told by the first loop */
    weft_buf tasks, groups;
};

/* Of one runtime. Counted: the one who looks, and each loop that was asked, hold it. */
struct weft__look {
    struct weft__lock lock;
    unsigned refs;
    unsigned pending; /* loops that have yet to answer */
    bool over;        /* answers are no longer waited for */
    bool has_ticket;
    struct weft__ticket ticket; /* of who waits for the last answer */
    unsigned n_loops;
    bool is_virtual;
    struct weft__look *next; /* of who looks at several runtimes */
    struct weft__loop_look loops[];
};

/* Asks all loops of the runtime, which must not end meanwhile: the caller belongs to it, or holds
 * weft__runtimes_lock. NULL when there is no memory. */
struct weft__look *weft__look_begin(struct weft__runtime *runtime);
/* Waits for the answers, until then (real time) at most. Afterwards the look is over. */
void weft__look_wait(struct weft__look *look, int64_t until);
void weft__look_free(struct weft__look *look);

static inline const struct weft__task_look *
weft__look_tasks(const struct weft__loop_look *loop)
{
    return (const struct weft__task_look *)(const void *)loop->tasks.data;
}

static inline const struct weft__group_look *
weft__look_groups(const struct weft__loop_look *loop)
{
    return (const struct weft__group_look *)(const void *)loop->groups.data;
}

/* dump.c: adds the tasks of a look to the text. */
int weft__dump_look(weft_buf *buf, const struct weft__look *look);
/* Of one task: "waits for …, for 1.2 s" and the like. */
void weft__dump_state(const struct weft__task_look *task, char *text, size_t text_bytes);

#endif
