/*
 * gather.c - functions started together: all results, the first good one, or one for each item.
 *
 * Each is a group whose children are spawned in order, so that the number of a child is its place
 * in the array.
 */
#include <errno.h>

#include <weft/gather.h>
#include <weft/scope.h>

#include "flow/group_priv.h"
#include "task/task_priv.h"

/* Spawns all, and writes the result of those that could not be. */
static void
spawn_all(weft_group *group, weft_child *children, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        weft_child *child = &children[i];
        child->result = 0;
        int rc = child->on == 0 ? weft_group_spawn(group, child->fn, child->arg)
                                : weft_group_spawn_with(group, child->fn, child->arg,
                                                        &(weft_task_options){.on = child->on});
        if (rc < 0)
            child->result = rc;
    }
}

static int
nothing_began(weft_child *children, size_t n, int cause)
{
    for (size_t i = 0; i < n; i++)
        children[i].result = cause;
    return cause;
}

int
weft_gather(weft_child *children, size_t n, const weft_group_options *options)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return nothing_began(children, n, rc);
    weft_group group;
    weft_group_open(&group, options);
    if (n > 0)
        weft__group_collect(&group, &children->result, sizeof *children, false);
    spawn_all(&group, children, n);
    return weft_group_close(&group);
}

int
weft_race(weft_child *children, size_t n, size_t *ret_winner)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return nothing_began(children, n, rc);
    if (n == 0)
        return -EINVAL;
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    weft__group_collect(&group, &children->result, sizeof *children, true);
    spawn_all(&group, children, n);
    rc = weft_group_close(&group);
    size_t winner = weft__group_winner(&group);
    if (winner != WEFT__NO_WINNER) {
        if (ret_winner != NULL)
            *ret_winner = winner;
        return children[winner].result;
    }
    /* That one failed before does not matter when the others were not let try. */
    int cause = weft__scope_effective(weft__task_self()->scope);
    for (size_t i = 0; i < n && cause != 0; i++)
        if (children[i].result == cause)
            return cause;
    return rc;
}

struct map {
    weft_task_fn *fn;
    char *items;
    size_t item_size;
    size_t n;
    size_t next;
    size_t n_done;
};

static int
map_items(void *arg)
{
    struct map *map = arg;
    while (map->next < map->n) {
        char *item = map->items + map->next++ * map->item_size;
        weft_scope scope;
        weft_scope_open(&scope, WEFT_FOREVER);
        int rc = map->fn(item);
        weft_scope_close(&scope);
        if (rc < 0)
            return rc;
        map->n_done++;
        /* Calls that never wait let the others run, and end when told to, all the same. */
        rc = map->next < map->n ? weft_checkpoint() : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
weft_map(weft_task_fn *fn, void *items, size_t item_size, size_t n, unsigned limit)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct map map = {.fn = fn, .items = items, .item_size = item_size, .n = n};
    size_t n_tasks = limit == 0 || limit > n ? n : limit;
    weft_group group;
    weft_group_open(&group, NULL);
    for (size_t i = 0; i < n_tasks; i++)
        weft_group_spawn(&group, map_items, &map);
    rc = weft_group_close(&group);
    return map.n_done == n ? 0 : rc; /* what was cancelled had nothing left to do */
}
