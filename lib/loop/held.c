/*
 * held.c - the sentence about locks that were never given back.
 *
 * Nobody could take such a lock ever again, and what it protects may be half changed. Waiters
 * would hang without a word, so the process ends with the names of both.
 */
#include "loop/held.h"

#include <stdio.h>

#include "base/assert.h"

const char *
weft__held_text(const struct weft__held *held, char *text)
{
    if (held->name == NULL)
        snprintf(text, WEFT__HELD_TEXT, "a %s", held->what);
    else
        snprintf(text, WEFT__HELD_TEXT, "%s \"%.50s\"", held->what, held->name);
    return text;
}

void
weft__holdings_left(const struct weft__holdings *holdings, const char *task)
{
    char what[WEFT__HELD_TEXT];
    if (holdings->last != NULL)
        weft__held_text(holdings->last, what);
    else
        snprintf(what, sizeof what, "%u read lock%s", holdings->n_reads,
                 holdings->n_reads > 1 ? "s" : "");
    if (task == NULL)
        weft__fatal("a thread ended that still holds %s", what);
    weft__fatal("task \"%s\" ended and still holds %s", task, what);
}
