/*
 * holder.c - holders of locks by their names, for sentences about broken promises.
 */
#include "flow/holder.h"

#include <stdio.h>

const char *
weft__holder_text(const struct weft__waiter *waiter, char *text)
{
    if (waiter->loop == NULL) {
        snprintf(text, WEFT__HELD_TEXT, "a plain thread");
    } else {
        const struct weft_task *task = weft__container(waiter, struct weft_task, waiter);
        snprintf(text, WEFT__HELD_TEXT, "task \"%s\"", task->name);
    }
    return text;
}
