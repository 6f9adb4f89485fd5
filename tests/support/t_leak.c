/*
 * t_leak.c - looks at /proc/self before and after, and compares.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t_leak.h"
#include "base/mem.h"

/* How long threads and children may take to leave /proc: pthread_join returns before they do. */
#define PATIENCE_MS 2000

static struct t_leak at_begin;

static bool
fd_is_set(const struct t_leak *leak, int fd)
{
    return leak->fds[fd / 8] >> fd % 8 & 1;
}

static void
fds_take(struct t_leak *leak)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        int fd = atoi(entry->d_name);
        if (fd != dirfd(dir) && fd < T_LEAK_FDS_MAX)
            leak->fds[fd / 8] |= (unsigned char)(1 << fd % 8);
    }
    closedir(dir);
}

/* Numbers of processes in /proc/self/task/TID/children: of one thread, zombies too. */
static unsigned
children_of(const char *tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/children", tid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    unsigned n = 0;
    long pid;
    while (fscanf(file, "%ld", &pid) == 1)
        n++;
    fclose(file);
    return n;
}

static void
threads_take(struct t_leak *leak)
{
    DIR *dir = opendir("/proc/self/task");
    if (dir == NULL)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        leak->n_threads++;
        leak->n_children += children_of(entry->d_name);
    }
    closedir(dir);

    /* Kernels without those files still say whether there is any child. */
    siginfo_t info;
    if (leak->n_children == 0 && waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        leak->n_children = 1;
}

void
t_leak_take(struct t_leak *ret_leak)
{
    memset(ret_leak, 0, sizeof *ret_leak);
    threads_take(ret_leak);
    fds_take(ret_leak);
    ret_leak->n_blocks = weft__mem_blocks();
}

struct text {
    char *at;
    size_t room;
};

static void __attribute__((format(printf, 2, 3)))
text_add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->at, text->room, format, args);
    va_end(args);
    if (len < 0)
        return;
    size_t used = (size_t)len < text->room ? (size_t)len : text->room - 1;
    text->at += used;
    text->room -= used;
}

static void
fds_compare(struct text *text, const struct t_leak *before, const struct t_leak *after)
{
    for (int fd = 0; fd < T_LEAK_FDS_MAX; fd++) {
        if (fd_is_set(before, fd) == fd_is_set(after, fd))
            continue;
        if (fd_is_set(before, fd)) {
            text_add(text, "descriptor %d is gone; ", fd);
            continue;
        }
        char path[64], target[128];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        text_add(text, "descriptor %d (%s) is still open; ", fd, target);
    }
}

static bool
same_tasks(const struct t_leak *a, const struct t_leak *b)
{
    return a->n_threads == b->n_threads && a->n_children == b->n_children;
}

bool
t_leak_check(const struct t_leak *before, char *text, size_t text_bytes)
{
    struct t_leak *after = malloc(sizeof *after);
    cr_assert(after != NULL);
    t_leak_take(after);
    for (int waited_ms = 0; !same_tasks(before, after) && waited_ms < PATIENCE_MS; waited_ms++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        t_leak_take(after);
    }

    struct text out = {text, text_bytes};
    text[0] = '\0';
    fds_compare(&out, before, after);
    if (after->n_threads != before->n_threads)
        text_add(&out, "threads: %u, were %u; ", after->n_threads, before->n_threads);
    if (after->n_children != before->n_children)
        text_add(&out, "children: %u, were %u; ", after->n_children, before->n_children);
    if (after->n_blocks != before->n_blocks)
        text_add(&out, "blocks: %zu, were %zu; ", after->n_blocks, before->n_blocks);
    free(after);
    return text[0] == '\0';
}

void
t_leak_begin(void)
{
    t_leak_take(&at_begin);
}

void
t_leak_end(void)
{
    char text[1024];
    bool clean = t_leak_check(&at_begin, text, sizeof text);
    cr_assert(clean, "left behind: %s", text);
}
