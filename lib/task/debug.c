/*
 * debug.c - what debug mode and dumps say of tasks, in words; and the list of all runtimes.
 *
 * Noting costs the task a few stores on a line that is at hand; everything else here is cold.
 * Whoever watches from another thread is a layer above, and stands behind weft__debug_hooks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/error.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/symbol.h"
#include "task/task_priv.h"

#define NAMED_MAX 20 /* tasks that one finding names; the others are counted */

const struct weft__debug_hooks *weft__debug_hooks;
struct weft__lock weft__runtimes_lock;
struct weft__list weft__runtimes = {.ends = {&weft__runtimes.ends, &weft__runtimes.ends}};

void
weft__runtimes_add(struct weft__runtime *runtime)
{
    weft__lock(&weft__runtimes_lock);
    weft__list_push_back(&weft__runtimes, &runtime->all);
    weft__unlock(&weft__runtimes_lock);
}

void
weft__runtimes_remove(struct weft__runtime *runtime)
{
    weft__lock(&weft__runtimes_lock);
    if (weft__link_on_list(&runtime->all))
        weft__list_remove(&runtime->all);
    weft__unlock(&weft__runtimes_lock);
}

bool
weft__debug_asked(const weft_options *options)
{
    if (options->debug)
        return true;
    const char *text = getenv("WEFT_DEBUG");
    return text != NULL && strcmp(text, "1") == 0;
}

unsigned
weft__debug_threads(void)
{
    /* A folder has two links and one for each folder in it: here one for each thread. */
    struct stat status;
    if (stat("/proc/self/task", &status) < 0 || status.st_nlink < 3)
        return 0;
    return (unsigned)status.st_nlink - 2;
}

/* ---- Words ---------------------------------------------------------------------------------- */

void
weft__debug_wait_text(const char *what, const void *object, const char *name,
                      char text[WEFT__WAIT_BYTES])
{
    if (what == NULL)
        snprintf(text, WEFT__WAIT_BYTES, "waits");
    else if (what == weft__what_sleep)
        snprintf(text, WEFT__WAIT_BYTES, "sleeps");
    else if (what == weft__what_readable || what == weft__what_writable)
        snprintf(text, WEFT__WAIT_BYTES, "waits for descriptor %d (%s)", (int)(intptr_t)object,
                 what);
    else if (what == weft__what_task)
        snprintf(text, WEFT__WAIT_BYTES, "waits for task \"%s\"", name);
    else if (object != NULL)
        snprintf(text, WEFT__WAIT_BYTES, "waits for %s %p", what, object);
    else
        snprintf(text, WEFT__WAIT_BYTES, "waits for %s", what);
}

void
weft__debug_task_waits(const struct weft_task *task, char text[WEFT__WAIT_BYTES])
{
    if (task->state != WEFT_TASK_WAITING) {
        snprintf(text, WEFT__WAIT_BYTES, "%s",
                 task->state == WEFT_TASK_NEW ? "has not started" : "is ready to run");
        return;
    }
    /* The name of the one it waits for never changes, and its handle is in use just now. */
    const char *name =
        task->what == weft__what_task ? ((const struct weft_task *)task->object)->name : NULL;
    weft__debug_wait_text(task->what, task->object, name, text);
}

bool
weft__debug_outside(const char *what)
{
    return what == weft__what_sleep || what == weft__what_readable || what == weft__what_writable ||
           what == weft__what_executor || what == weft__what_select_outside;
}

static const char *
running_name(void)
{
    const struct weft_task *task = weft__task_self();
    return task != NULL ? task->name : NULL;
}

/* Before main, when no other thread can be looking. */
__attribute__((constructor)) static void
set_hooks(void)
{
    weft__assert_who = running_name;
}

/* ---- Findings ------------------------------------------------------------------------------- */

void
weft__debug_log_failure(const struct weft_task *task)
{
    char place[WEFT__SYMBOL_BYTES];
    weft__symbol_text(task->site, place);
    bool detailed = task->error != NULL && task->error[0] != '\0';
    weft_log(WEFT_LOG_WARN, "task \"%s\" failed and nobody looked: %s (%s)%s%s; spawned at %s",
             task->name, weft_strerror(task->result), weft_errname(task->result),
             detailed ? ": " : "", detailed ? task->error : "", place);
}

static void
log_more(weft_log_level level, size_t n)
{
    if (n > NAMED_MAX)
        weft_log(level, "and %zu more", n - NAMED_MAX);
}

void
weft__debug_log_alive(struct weft__sched *sched, weft_log_level level, const char *how)
{
    size_t n = 0;
    weft__list_foreach(link, &sched->tasks)
    {
        const struct weft_task *task = weft__container(link, struct weft_task, link);
        if (n++ >= NAMED_MAX)
            continue;
        char place[WEFT__SYMBOL_BYTES];
        char waits[WEFT__WAIT_BYTES];
        weft__symbol_text(task->site, place);
        weft__debug_task_waits(task, waits);
        weft_log(level, "task \"%s\" %s: %s; spawned at %s", task->name, how, waits, place);
    }
    log_more(level, n);
}
