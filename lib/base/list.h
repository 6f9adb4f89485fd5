/*
 * list.h - a doubly linked list through links inside its members.
 *
 * A link is on one list or on none; all zero is "on none", and removing leaves it so. The list
 * itself must be initialised and must not be moved while it has members.
 */
#ifndef WEFT_LIB_BASE_LIST_H
#define WEFT_LIB_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct weft__link {
    struct weft__link *prev;
    struct weft__link *next;
};

struct weft__list {
    struct weft__link ends; /* next is the first member, prev the last; itself when empty */
};

/* The struct whose member `member` the pointer points to. */
#define weft__container(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* for (each link of the list), first to last. The body may remove `link`, not others. */
#define weft__list_foreach(link, list)                                                             \
    for (struct weft__link *link = (list)->ends.next, *weft__after = link->next;                   \
         link != &(list)->ends; link = weft__after, weft__after = link->next)

static inline void
weft__list_init(struct weft__list *list)
{
    list->ends.prev = list->ends.next = &list->ends;
}

static inline bool
weft__list_empty(const struct weft__list *list)
{
    return list->ends.next == &list->ends;
}

static inline bool
weft__link_on_list(const struct weft__link *link)
{
    return link->next != NULL;
}

static inline void
weft__link_insert(struct weft__link *prev, struct weft__link *link, struct weft__link *next)
{
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

static inline void
weft__list_push_back(struct weft__list *list, struct weft__link *link)
{
    weft__link_insert(list->ends.prev, link, &list->ends);
}

static inline void
weft__list_push_front(struct weft__list *list, struct weft__link *link)
{
    weft__link_insert(&list->ends, link, list->ends.next);
}

/* From whatever list it is on; it must be on one. */
static inline void
weft__list_remove(struct weft__link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
}

/* The first member, or NULL; it stays. */
static inline struct weft__link *
weft__list_first(const struct weft__list *list)
{
    return weft__list_empty(list) ? NULL : list->ends.next;
}

/* The first member, taken off; or NULL. */
static inline struct weft__link *
weft__list_pop_front(struct weft__list *list)
{
    struct weft__link *link = weft__list_first(list);
    if (link != NULL)
        weft__list_remove(link);
    return link;
}

/* Moves all members of `from` behind those of `list`. */
static inline void
weft__list_append_all(struct weft__list *list, struct weft__list *from)
{
    if (weft__list_empty(from))
        return;
    from->ends.next->prev = list->ends.prev;
    list->ends.prev->next = from->ends.next;
    from->ends.prev->next = &list->ends;
    list->ends.prev = from->ends.prev;
    weft__list_init(from);
}

#endif
