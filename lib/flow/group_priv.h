/*
 * group_priv.h - what gather and race have a group do beyond what users see, and what those who
 * look at tasks may know of one.
 */
#ifndef WEFT_LIB_FLOW_GROUP_PRIV_H
#define WEFT_LIB_FLOW_GROUP_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/group.h>

#define WEFT__NO_WINNER SIZE_MAX

/* Has the result of child i written to the int that is i times stride bytes behind the first; with
 * race, the first child that succeeds ends the group. Before the first spawn. */
void weft__group_collect(weft_group *group, int *first, size_t stride, bool race);

/* The child whose success ended the group. */
size_t weft__group_winner(const weft_group *group);

struct weft__scope;

/* How many children of the group whose scope this is are alive, and how many of these are held
 * back by its limit. On the loop of its opener. */
void weft__group_look(const struct weft__scope *scope, size_t *ret_live, size_t *ret_held);

#endif
