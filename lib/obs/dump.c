/*
 * dump.c - all tasks as text: children under their group, groups under who opened them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/debug.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/symbol.h"
#include "obs/obs_priv.h"

#define PATIENCE_NS WEFT_SEC(1)
#define INDENT_MAX 60

/* ---- One line ------------------------------------------------------------------------------- */

static void
duration(int64_t ns, char text[32])
{
    if (ns < 0)
        ns = 0;
    if (ns < WEFT_SEC(10))
        snprintf(text, 32, "%lld ms", (long long)(ns / 1000000));
    else if (ns < WEFT_SEC(7200))
        snprintf(text, 32, "%lld.%lld s", (long long)(ns / 1000000000),
                 (long long)(ns / 100000000 % 10));
    else
        snprintf(text, 32, "%lld h", (long long)(ns / WEFT_SEC(3600)));
}

void
weft__dump_state(const struct weft__task_look *task, char *text, size_t text_bytes)
{
    static const char *const words[] = {"has not started", "is ready", "is running"};
    if (task->state < sizeof words / sizeof words[0]) {
        snprintf(text, text_bytes, "%s", words[task->state]);
        return;
    }
    if (task->state != WEFT_TASK_WAITING) {
        snprintf(text, text_bytes, "has ended");
        return;
    }
    char what[WEFT__WAIT_BYTES];
    weft__debug_wait_text(task->what, task->object, task->awaited, what);
    int len = snprintf(text, text_bytes, "%s", what);
    if (task->waited_ms >= 0 && len >= 0 && (size_t)len < text_bytes) {
        char since[32];
        duration(WEFT_MS(task->waited_ms), since);
        snprintf(text + len, text_bytes - (size_t)len, ", for %s", since);
    }
}

static int
put_task(weft_buf *buf, const struct weft__task_look *task, size_t depth)
{
    char state[WEFT__WAIT_BYTES + 64];
    char place[WEFT__SYMBOL_BYTES];
    char number[32];
    int indent = depth * 4 < INDENT_MAX ? (int)depth * 4 : INDENT_MAX;
    weft__dump_state(task, state, sizeof state);
    int rc = weft_buf_printf(buf, "%*s\"%s\"", indent, "", task->name);
    if (rc == 0 && task->loop != UINT32_MAX)
        rc = weft_buf_printf(buf, " on loop %u", task->loop);
    if (rc == 0)
        rc = weft_buf_printf(buf, " %s", state);
    if (rc == 0 && task->deadline != WEFT_FOREVER) {
        duration(task->deadline, number);
        rc = weft_buf_printf(buf, "; deadline in %s", number);
    }
    if (rc == 0 && task->stack_used != 0)
        rc = weft_buf_printf(buf, "; stack %zu of %zu KiB", (task->stack_used + 1023) / 1024,
                             task->stack_size / 1024);
    if (rc == 0 && !task->native) {
        weft__symbol_text(task->site, place);
        rc = weft_buf_printf(buf, "; spawned at %s", place);
    }
    if (rc == 0)
        rc = weft_buf_append(buf, "\n", 1);
    return rc;
}

static int
put_group(weft_buf *buf, const struct weft__group_look *group, size_t depth)
{
    int indent = depth * 4 < INDENT_MAX ? (int)depth * 4 + 2 : INDENT_MAX + 2;
    int rc = weft_buf_printf(buf, "%*sgroup %p: %zu alive", indent, "", group->group, group->live);
    if (rc == 0 && group->held > 0)
        rc = weft_buf_printf(buf, ", %zu of them held back by its limit", group->held);
    if (rc == 0 && group->deadline != WEFT_FOREVER) {
        char number[32];
        duration(group->deadline, number);
        rc = weft_buf_printf(buf, "; deadline in %s", number);
    }
    if (rc == 0)
        rc = weft_buf_append(buf, "\n", 1);
    return rc;
}

/* ---- The tree ------------------------------------------------------------------------------- */

struct node {
    const struct weft__task_look *task;
    const struct weft__group_look *groups; /* its own, innermost first */
    bool shown;
};

/* Where the walk is within one task. */
struct step {
    size_t node;
    uint32_t group;    /* the next of its groups to show */
    size_t child, end; /* children of the last one, yet to show */
};

struct tree {
    struct node *nodes; /* by group, then by the order of spawning; those without a group first */
    size_t n_nodes;
    struct step *steps;
};

static int
by_group(const void *left, const void *right)
{
    const struct weft__task_look *a = ((const struct node *)left)->task;
    const struct weft__task_look *b = ((const struct node *)right)->task;
    if (a->group != b->group)
        return (uintptr_t)a->group < (uintptr_t)b->group ? -1 : 1;
    if (a->group != NULL && a->child != b->child)
        return a->child < b->child ? -1 : 1;
    if (a->loop != b->loop)
        return a->loop < b->loop ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* The first node whose group is not below this one. */
static size_t
first_of(const struct tree *tree, uintptr_t group)
{
    size_t low = 0, high = tree->n_nodes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)tree->nodes[middle].task->group < group)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A task and all below it. Not recursive: it may run on a small stack. */
static int
put_tree(weft_buf *buf, struct tree *tree, size_t root)
{
    size_t depth = 0;
    tree->steps[0] = (struct step){.node = root};
    tree->nodes[root].shown = true;
    int rc = put_task(buf, tree->nodes[root].task, 0);
    while (rc == 0) {
        struct step *step = &tree->steps[depth];
        const struct node *node = &tree->nodes[step->node];
        if (step->child < step->end) {
            size_t child = step->child++;
            if (tree->nodes[child].shown)
                continue;
            tree->nodes[child].shown = true;
            tree->steps[++depth] = (struct step){.node = child};
            rc = put_task(buf, tree->nodes[child].task, depth);
        } else if (step->group < node->task->n_groups) {
            const struct weft__group_look *group =
                &node->groups[node->task->n_groups - 1 - step->group++];
            rc = put_group(buf, group, depth);
            step->child = first_of(tree, (uintptr_t)group->group);
            step->end = first_of(tree, (uintptr_t)group->group + 1);
        } else if (depth-- == 0) {
            break;
        }
    }
    return rc;
}

static int
put_tasks(weft_buf *buf, const struct weft__look *look)
{
    size_t n = 0;
    for (unsigned i = 0; i < look->n_loops; i++)
        n += look->loops[i].tasks.len / sizeof(struct weft__task_look);
    if (n == 0)
        return 0;
    struct tree tree = {.nodes = weft__alloc_zeroed(n * sizeof *tree.nodes),
                        .steps = weft__alloc(n * sizeof *tree.steps)};
    int rc = tree.nodes == NULL || tree.steps == NULL ? -ENOMEM : 0;
    for (unsigned i = 0; i < look->n_loops && rc == 0; i++) {
        const struct weft__loop_look *loop = &look->loops[i];
        const struct weft__task_look *tasks = weft__look_tasks(loop);
        for (size_t k = 0; k < loop->tasks.len / sizeof *tasks; k++) {
            const struct weft__group_look *groups =
                tasks[k].n_groups > 0 ? weft__look_groups(loop) + tasks[k].first_group : NULL;
            tree.nodes[tree.n_nodes++] = (struct node){.task = &tasks[k], .groups = groups};
        }
    }
    if (rc == 0)
        qsort(tree.nodes, n, sizeof *tree.nodes, by_group);
    /* First those that are nobody's children; then whose group was not seen, because it was of a
     * loop that did not answer or opened after that one had been looked at. */
    for (size_t i = 0; i < n && rc == 0 && tree.nodes[i].task->group == NULL; i++)
        rc = put_tree(buf, &tree, i);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (!tree.nodes[i].shown)
            rc = put_tree(buf, &tree, i);
    }
    weft__free(tree.nodes);
    weft__free(tree.steps);
    return rc;
}

int
weft__dump_look(weft_buf *buf, const struct weft__look *look)
{
    static const char *const answers[] = {"does not answer", "", "is closing",
                                          "had no memory to answer in full"};
    size_t live = 0;
    for (unsigned i = 0; i < look->n_loops; i++)
        live += look->loops[i].live + look->loops[i].n_floating;
    int rc = weft_buf_printf(buf, "weft: %u loop%s, %zu task%s%s\n", look->n_loops,
                             look->n_loops == 1 ? "" : "s", live, live == 1 ? "" : "s",
                             look->is_virtual ? ", virtual clock" : "");
    for (unsigned i = 0; i < look->n_loops && rc == 0; i++) {
        const struct weft__loop_look *loop = &look->loops[i];
        if (loop->answer != WEFT__ANSWERED)
            rc = weft_buf_printf(buf, "loop %u %s\n", i, answers[loop->answer]);
        else
            rc = weft_buf_printf(buf, "loop %u: %zu alive, %zu ready, %zu timers\n", i, loop->live,
                                 loop->ready, loop->timers);
        if (rc == 0 && loop->n_hidden > 0)
            rc = weft_buf_printf(buf, "loop %u: %zu of its tasks are not shown\n", i,
                                 loop->n_hidden);
    }
    return rc < 0 ? rc : put_tasks(buf, look);
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* A task's own runtime: no lock is needed, it cannot end now. */
static int
dump_own(weft_buf *buf, struct weft__runtime *runtime)
{
    weft__wait_uncancellable();
    struct weft__look *look = weft__look_begin(runtime);
    if (look == NULL)
        return -ENOMEM;
    weft__look_wait(look, weft_now() + PATIENCE_NS);
    int rc = weft__dump_look(buf, look);
    weft__look_free(look);
    return rc;
}

static int
dump_all(weft_buf *buf)
{
    /* Everybody is asked under the lock, which keeps the runtimes; answers need none of it. */
    struct weft__look *looks = NULL;
    struct weft__look **end = &looks;
    int rc = 0;
    weft__lock(&weft__runtimes_lock);
    weft__list_foreach(link, &weft__runtimes)
    {
        struct weft__look *look =
            weft__look_begin(weft__container(link, struct weft__runtime, all));
        if (look == NULL) {
            rc = -ENOMEM;
            break;
        }
        *end = look;
        end = &look->next;
    }
    weft__unlock(&weft__runtimes_lock);
    if (looks == NULL && rc == 0)
        rc = weft_buf_printf(buf, "weft: nothing runs\n");
    int64_t until = weft__sys_monotonic() + PATIENCE_NS;
    while (looks != NULL) {
        struct weft__look *look = looks;
        looks = look->next;
        weft__look_wait(look, until);
        if (rc == 0)
            rc = weft__dump_look(buf, look);
        weft__look_free(look);
    }
    return rc;
}

int
weft_dump_buf(weft_buf *buf)
{
    struct weft__sched *sched = weft__sched_self();
    if (sched == NULL)
        return dump_all(buf);
    weft__assert(sched->current != NULL,
                 "a callback of the loop (weft_loop_post, weft_call_soon…) must not wait");
    return dump_own(buf, sched->runtime);
}

int
weft_dump(int fd)
{
    weft_buf buf = {0};
    int rc = weft_dump_buf(&buf);
    size_t written = 0;
    while (rc == 0 && written < buf.len) {
        ssize_t n = weft__sys_write(fd, buf.data + written, buf.len - written);
        if (n >= 0)
            written += (size_t)n;
        else if (n == -EAGAIN) /* non-blocking, and full: it is for people, and may take a moment */
            weft__sys_ppoll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, WEFT_MS(100));
        else if (n != -EINTR)
            rc = (int)n;
    }
    weft_buf_free(&buf);
    return rc;
}
