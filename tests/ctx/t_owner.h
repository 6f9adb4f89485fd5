/*
 * t_owner.h - a minimal owner of pooled stacks, as tasks are: a header with more behind it, and
 * an entry function that runs one body after another.
 */
#ifndef WEFT_TESTS_CTX_T_OWNER_H
#define WEFT_TESTS_CTX_T_OWNER_H

#include <stdio.h>
#include <string.h>

#include "ctx/stack.h"

struct owner {
    struct weft__stack stack; /* first */
    void (*body)(struct owner *owner);
    struct weft__ctx *home; /* who switched to it */
    unsigned entries;       /* how often the entry function began on this memory */
    unsigned runs;
    char name[16];
    char more[200]; /* a task's other fields */
};

static inline __attribute__((always_inline)) void
owner_leave(struct owner *owner)
{
    weft__ctx_switch(&owner->stack.ctx, owner->home);
}

static inline void
owner_entry(void *stack)
{
    struct owner *owner = stack;
    owner->entries++;
    for (;;) {
        if (owner->body != NULL)
            owner->body(owner);
        owner->runs++;
        owner_leave(owner);
    }
}

/* Switches there until it comes back. */
static inline __attribute__((always_inline)) void
owner_run(struct owner *owner, struct weft__ctx *home)
{
    owner->home = home;
    weft__ctx_switch(home, &owner->stack.ctx);
}

static inline struct owner *
owner_take(struct weft__stack_cache *cache)
{
    struct weft__stack *stack;
    if (weft__stack_take(cache, &stack) < 0)
        return NULL;
    struct owner *owner = (struct owner *)(void *)stack;
    owner->body = NULL;
    return owner;
}

/* Mappings of this process. TSan and valgrind make their own as they go: always 0 there. */
static inline unsigned
mappings(void)
{
#if defined(WEFT__SAN_THREAD) || defined(WEFT_VALGRIND)
    return 0;
#endif
    unsigned n = 0;
    char line[512];
    FILE *file = fopen("/proc/self/maps", "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        n += strchr(line, '\n') != NULL;
    fclose(file);
    return n;
}

#endif
