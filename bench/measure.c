/*
 * measure.c - reading /proc and rusage.
 *
 * Memory of one process is VmHWM: its own high-water mark. ru_maxrss is never used, because a
 * child inherits its parent's. Of several processes it is the sum of PSS, in which pages that
 * they share count once.
 */
#include "measure.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int64_t
bench_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
usage_add(struct bench_usage *usage, int who)
{
    struct rusage ru;
    if (getrusage(who, &ru) < 0)
        return;
    usage->user_us += (uint64_t)ru.ru_utime.tv_sec * 1000000 + (uint64_t)ru.ru_utime.tv_usec;
    usage->system_us += (uint64_t)ru.ru_stime.tv_sec * 1000000 + (uint64_t)ru.ru_stime.tv_usec;
    usage->voluntary += (uint64_t)ru.ru_nvcsw;
    usage->involuntary += (uint64_t)ru.ru_nivcsw;
}

void
bench_usage_read(struct bench_usage *ret_usage)
{
    memset(ret_usage, 0, sizeof *ret_usage);
    usage_add(ret_usage, RUSAGE_SELF);
    usage_add(ret_usage, RUSAGE_CHILDREN);
}

/* Reads a small file as text; returns its length, or -1. */
static ssize_t
slurp(const char *path, char *text, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t n;
    while (len + 1 < cap && (n = read(fd, text + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    text[len] = '\0';
    return (ssize_t)len;
}

/* The number behind a field that stands at the begin of a line. */
static uint64_t
field(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, name, len) == 0)
            return strtoull(line + len, NULL, 10);
    }
    return 0;
}

uint64_t
bench_status_bytes(const char *name)
{
    char text[4096];
    return slurp("/proc/self/status", text, sizeof text) < 0 ? 0 : field(text, name) * 1024;
}

uint64_t
bench_pss_bytes(pid_t pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    return slurp(path, text, sizeof text) < 0 ? 0 : field(text, "Pss:") * 1024;
}

unsigned
bench_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;
    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 3; /* ".", ".." and the directory's own descriptor */
}

struct process {
    pid_t pid, parent;
    unsigned threads;
    int ours;
};

/* Parent and threads of a process; the name, in parentheses, may hold anything. */
static int
process_read(struct process *p, pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (slurp(path, text, sizeof text) < 0)
        return -1;
    const char *rest = strrchr(text, ')');
    int parent;
    unsigned threads;
    char state;
    if (rest == NULL ||
        sscanf(rest + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u",
               &state, &parent, &threads) != 3 ||
        state == 'Z' || state == 'X')
        return -1;
    *p = (struct process){.pid = pid, .parent = parent, .threads = threads};
    return 0;
}

static void
descendants_read(pid_t root, struct bench_tree *tree)
{
    static struct process all[32768];
    size_t n = 0;
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return;
    for (struct dirent *e; n < sizeof all / sizeof *all && (e = readdir(dir)) != NULL;) {
        if (isdigit((unsigned char)e->d_name[0]) && process_read(&all[n], atoi(e->d_name)) == 0) {
            all[n].ours = all[n].pid == root;
            n++;
        }
    }
    closedir(dir);
    /* A child has usually a greater pid than its parent, so one pass does, or a few. */
    static pid_t family[32768 + 1];
    size_t n_family = 1, before = 0;
    family[0] = root;
    while (n_family > before) {
        before = n_family;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; !all[i].ours && j < n_family; j++) {
                if (all[i].parent == family[j]) {
                    all[i].ours = 1;
                    family[n_family++] = all[i].pid;
                }
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!all[i].ours)
            continue;
        tree->processes++;
        tree->threads += all[i].threads;
        tree->pss_bytes += bench_pss_bytes(all[i].pid);
    }
}

void
bench_tree_read(pid_t root, int descendants, struct bench_tree *ret_tree)
{
    memset(ret_tree, 0, sizeof *ret_tree);
    if (descendants) {
        descendants_read(root, ret_tree);
        return;
    }
    /* Not stat: that adds up the times of all threads, and there may be ten thousand. */
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)root);
    if (slurp(path, text, sizeof text) > 0) {
        ret_tree->processes = 1;
        ret_tree->threads = (unsigned)field(text, "Threads:");
    }
}

uint64_t
bench_listen_overflows(void)
{
    /* Pairs of lines: names, then numbers in the same order. */
    char text[16384];
    if (slurp("/proc/net/netstat", text, sizeof text) < 0)
        return 0;
    char *names = strstr(text, "TcpExt:");
    char *numbers = names != NULL ? strstr(names + 1, "TcpExt:") : NULL;
    if (numbers == NULL)
        return 0;
    numbers[-1] = '\0';
    uint64_t overflows = 0;
    char *name_at = NULL, *number_at = NULL;
    char *name = strtok_r(names, " ", &name_at), *number = strtok_r(numbers, " \n", &number_at);
    while (name != NULL && number != NULL) {
        if (strcmp(name, "ListenDrops") == 0) /* overflows, and what was dropped in their wake */
            overflows = strtoull(number, NULL, 10);
        name = strtok_r(NULL, " ", &name_at);
        number = strtok_r(NULL, " \n", &number_at);
    }
    return overflows;
}
