/*
 * group_priv.h - what gather and race have a group do beyond what users see.
 */
#ifndef WEFT_LIB_FLOW_GROUP_PRIV_H
#define WEFT_LIB_FLOW_GROUP_PRIV_H

#include <stdbool.h>

#include <weft/group.h>

#define WEFT__NO_WINNER SIZE_MAX

/* Has the result of child i written to the int that is i times stride bytes behind the first; with
 * race, the first child that succeeds ends the group. Before the first spawn. */
void weft__group_collect(weft_group *group, int *first, size_t stride, bool race);

/* The child whose success ended the group. */
size_t weft__group_winner(const weft_group *group);

#endif
