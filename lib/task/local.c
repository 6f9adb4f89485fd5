/*
 * local.c - values that belong to a task and are inherited by its children.
 *
 * All values of a task are in one counted table. Spawning shares it, which costs one addition
 * however many there are; who sets a value while others share the table gets one of its own first.
 * A table that is shared never changes. Values that are to be destroyed are counted as well, for
 * they may be in several tables.
 */
#include <errno.h>
#include <string.h>

#include <weft/local.h>

#include "base/mem.h"
#include "task/task_priv.h"

#define FIRST_CAP 4

struct entry {
    const weft_local *key;
    void *value;
    uint32_t *refs; /* atomic: tables that have the value; NULL when it need not be destroyed */
};

struct weft__locals {
    uint32_t refs; /* atomic: tasks, threads and calls that have the table */
    uint32_t n;
    uint32_t cap;
    uint32_t copied; /* values with a copy function: a child gets a table of its own */
    weft_trace_id trace;
    struct entry entries[];
};

/* Pairs with one another: whoever counts down to 0 sees all that the others did before. */
static bool
last(uint32_t *refs)
{
    return weft__fetch_sub(refs, 1) == 1;
}

static void
entry_drop(struct entry *entry)
{
    if (entry->refs == NULL || !last(entry->refs))
        return;
    weft__free(entry->refs);
    entry->key->destroy(entry->value);
}

static void
table_drop(struct weft__locals *table)
{
    if (!last(&table->refs))
        return;
    for (uint32_t i = 0; i < table->n; i++)
        entry_drop(&table->entries[i]);
    weft__free(table);
}

static struct weft__locals *
table_new(uint32_t cap)
{
    if (cap < FIRST_CAP)
        cap = FIRST_CAP;
    struct weft__locals *table =
        weft__alloc_zeroed(sizeof *table + (size_t)cap * sizeof(struct entry));
    if (table == NULL)
        return NULL;
    table->refs = 1;
    table->cap = cap;
    return table;
}

static struct entry *
find(struct weft__locals *table, const weft_local *key)
{
    if (table == NULL)
        return NULL;
    for (uint32_t i = 0; i < table->n; i++)
        if (table->entries[i].key == key)
            return &table->entries[i];
    return NULL;
}

/* Where the caller's table is; NULL when a plain thread cannot have one. */
static struct weft__locals **
slot(void)
{
    struct weft_task *task = weft__task_self();
    if (task != NULL)
        return &task->locals;
    struct weft__thread *thread = weft__thread_self();
    return thread != NULL ? &thread->locals : NULL;
}

struct weft__locals *
weft__locals_current(void)
{
    struct weft__locals **mine = slot();
    return mine != NULL ? *mine : NULL;
}

struct weft__locals *
weft__locals_ref(struct weft__locals *table)
{
    if (table != NULL)
        weft__fetch_add(&table->refs, 1);
    return table;
}

void
weft__locals_drop(struct weft__locals **mine)
{
    struct weft__locals *table;
    while ((table = *mine) != NULL) { /* a destroy function may have set something anew */
        *mine = NULL;
        table_drop(table);
    }
}

/* A child's own version of a value. False when there is no memory. */
static bool
inherit_entry(struct weft__locals *table, const struct entry *from)
{
    struct entry *to = &table->entries[table->n];
    *to = *from;
    if (from->key->copy == NULL) {
        if (to->refs != NULL)
            weft__fetch_add(to->refs, 1);
        table->n++;
        return true;
    }
    if (from->refs != NULL) {
        to->refs = weft__alloc(sizeof *to->refs);
        if (to->refs == NULL)
            return false;
        *to->refs = 1;
    }
    to->value = from->key->copy(from->value);
    if (to->value == NULL) {
        weft__free(to->refs);
        return true;
    }
    table->copied++;
    table->n++;
    return true;
}

int
weft__locals_inherit(struct weft__locals **ret_table, struct weft__locals *from)
{
    if (from == NULL || from->copied == 0) {
        *ret_table = weft__locals_ref(from);
        return 0;
    }
    struct weft__locals *table = table_new(from->n);
    if (table == NULL)
        return -ENOMEM;
    table->trace = from->trace;
    /* Shared meanwhile, and so unchanged: a copy function may set values of the parent. */
    weft__locals_ref(from);
    bool whole = true;
    for (uint32_t i = 0; i < from->n && whole; i++)
        whole = inherit_entry(table, &from->entries[i]);
    table_drop(from);
    if (!whole) {
        table_drop(table);
        return -ENOMEM;
    }
    *ret_table = table;
    return 0;
}

/* Makes the caller's table one that it may change, with room for `more` values. */
static int
own_table(struct weft__locals **mine, uint32_t more)
{
    struct weft__locals *table = *mine;
    uint32_t n = table != NULL ? table->n : 0;
    /* Pairs with `last`: with the only reference it is ours to change. */
    if (table != NULL && weft__load(&table->refs) == 1 && n + more <= table->cap)
        return 0;
    struct weft__locals *own = table_new(n + more > FIRST_CAP ? 2 * n : FIRST_CAP);
    if (own == NULL)
        return -ENOMEM;
    *mine = own;
    if (table == NULL)
        return 0;
    own->n = n;
    own->copied = table->copied;
    own->trace = table->trace;
    memcpy(own->entries, table->entries, n * sizeof(struct entry));
    for (uint32_t i = 0; i < n; i++)
        if (own->entries[i].refs != NULL)
            weft__fetch_add(own->entries[i].refs, 1);
    table_drop(table);
    return 0;
}

static void
set_count(struct weft__locals *table, const weft_local *key, int by)
{
    if (key->copy != NULL)
        table->copied += (uint32_t)by;
}

static void
take_away(struct weft__locals *table, const weft_local *key)
{
    struct entry *entry = find(table, key);
    struct entry old = *entry;
    *entry = table->entries[--table->n];
    set_count(table, key, -1);
    entry_drop(&old); /* last of all: it may call us */
}

static int
set(struct weft__locals **mine, const weft_local *key, void *value)
{
    bool had = find(*mine, key) != NULL;
    if (value == NULL && !had)
        return 0;
    struct entry entry = {.key = key, .value = value};
    if (value != NULL && key->destroy != NULL) {
        entry.refs = weft__alloc(sizeof *entry.refs);
        if (entry.refs == NULL)
            return -ENOMEM;
        *entry.refs = 1;
    }
    int rc = own_table(mine, had ? 0 : 1);
    if (rc < 0) {
        weft__free(entry.refs);
        return rc;
    }
    if (value == NULL) {
        take_away(*mine, key);
        return 0;
    }
    if (!had) {
        (*mine)->entries[(*mine)->n++] = entry;
        set_count(*mine, key, +1);
        return 0;
    }
    struct entry *place = find(*mine, key);
    struct entry old = *place;
    *place = entry;
    entry_drop(&old);
    return 0;
}

int
weft_local_set(const weft_local *key, void *value)
{
    struct weft__locals **mine = slot();
    int rc = mine != NULL ? set(mine, key, value) : -ENOMEM;
    if (rc < 0 && value != NULL && key->destroy != NULL)
        key->destroy(value);
    return rc;
}

void *
weft_local_get(const weft_local *key)
{
    struct entry *entry = find(weft__locals_current(), key);
    return entry != NULL ? entry->value : NULL;
}

int
weft_trace_set(weft_trace_id id)
{
    struct weft__locals **mine = slot();
    if (mine == NULL)
        return -ENOMEM;
    if (*mine == NULL && id.high == 0 && id.low == 0)
        return 0;
    int rc = own_table(mine, 0);
    if (rc == 0)
        (*mine)->trace = id;
    return rc;
}

weft_trace_id
weft_trace_get(void)
{
    struct weft__locals *table = weft__locals_current();
    return table != NULL ? table->trace : (weft_trace_id){0, 0};
}
