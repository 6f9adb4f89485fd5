/*
 * cpu.c - CPUs by affinity and by cgroup quota, and pinning.
 *
 * Nothing is kept: both limits may change while a process runs, and the calls are rare.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cpu.h"
#include <weft/run.h>
#include "base/mem.h"
#include "base/sys.h"

#define WORD_BITS (8 * sizeof(unsigned long))
#define WORDS (WEFT__CPU_MAX / WORD_BITS)

/* ---- Affinity ----------------------------------------------------------------------------- */

/* The system calls themselves: glibc's wrappers work on a cpu_set_t of 1,024 bits. */
static int
affinity_get(struct weft__cpu_mask *ret_mask)
{
    WEFT__SYS_RETRY(int,
                    (int)syscall(SYS_sched_getaffinity, 0, sizeof ret_mask->bits, ret_mask->bits));
}

static int
affinity_set(const struct weft__cpu_mask *mask)
{
    WEFT__SYS_RETRY(int, (int)syscall(SYS_sched_setaffinity, 0, sizeof mask->bits, mask->bits));
}

int
weft__cpu_mask_get(struct weft__cpu_mask *ret_mask)
{
    struct weft__cpu_mask mask = {{0}}; /* the kernel fills in only the words it has */
    int rc = affinity_get(&mask);
    if (rc < 0)
        return rc;
    *ret_mask = mask;
    return 0;
}

unsigned
weft__cpu_mask_count(const struct weft__cpu_mask *mask)
{
    unsigned count = 0;
    for (size_t i = 0; i < WORDS; i++)
        count += (unsigned)__builtin_popcountl(mask->bits[i]);
    return count;
}

int
weft__cpu_pin(const struct weft__cpu_mask *mask, unsigned nth)
{
    unsigned count = weft__cpu_mask_count(mask);
    if (count == 0)
        return -EINVAL;
    nth %= count;
    for (unsigned cpu = 0; cpu < WEFT__CPU_MAX; cpu++) {
        if (!(mask->bits[cpu / WORD_BITS] >> cpu % WORD_BITS & 1) || nth-- > 0)
            continue;
        struct weft__cpu_mask one = {{0}};
        one.bits[cpu / WORD_BITS] = 1UL << cpu % WORD_BITS;
        int rc = affinity_set(&one);
        return rc < 0 ? rc : (int)cpu;
    }
    return -EINVAL;
}

int
weft__cpu_unpin(const struct weft__cpu_mask *mask)
{
    return affinity_set(mask);
}

/* ---- Quota -------------------------------------------------------------------------------- */

#define PATH_BYTES 4096

/* On the heap: too much for the stack of a task. */
struct quota {
    const char *root;
    unsigned limit;     /* the least found so far; 0: none */
    char groups[16384]; /* /proc/self/cgroup */
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
};

static int
file_open(const char *path)
{
    WEFT__SYS_RETRY(int, open(path, O_RDONLY | O_CLOEXEC));
}

/* The file as text, as much of it as fits. */
static bool
file_text(const char *path, char *text, size_t size)
{
    int fd = file_open(path);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t rc;
    do {
        rc = weft__sys_read(fd, text + len, size - 1 - len);
        if (rc > 0)
            len += (size_t)rc;
    } while (rc > 0 && len < size - 1);
    weft__sys_close(fd);
    text[len] = '\0';
    return rc >= 0;
}

static void
quota_note(struct quota *q, long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0)
        return;
    long long cpus = quota_us / period_us + (quota_us % period_us > 0);
    if (cpus <= WEFT__CPU_MAX && (q->limit == 0 || cpus < q->limit))
        q->limit = (unsigned)cpus;
}

/* The text of a file of the folder looked at. */
static bool
quota_file(struct quota *q, const char *name, char *text, size_t size)
{
    int len = snprintf(q->path, sizeof q->path, "%s/%s", q->folder, name);
    return len > 0 && (size_t)len < sizeof q->path && file_text(q->path, text, size);
}

static void
quota_look_v2(struct quota *q)
{
    char text[64];
    long long quota_us, period_us;
    /* "max 100000" is no limit and no number. */
    if (quota_file(q, "cpu.max", text, sizeof text) &&
        sscanf(text, "%lld %lld", &quota_us, &period_us) == 2)
        quota_note(q, quota_us, period_us);
}

static void
quota_look_v1(struct quota *q)
{
    char quota_us[64], period_us[64];
    if (quota_file(q, "cpu.cfs_quota_us", quota_us, sizeof quota_us) &&
        quota_file(q, "cpu.cfs_period_us", period_us, sizeof period_us))
        quota_note(q, atoll(quota_us), atoll(period_us));
}

/* Looks at a group and at all above it, each of which limits it. In a container the path may be
 * the host's, of which only an end, or nothing, is mounted: what is not there is passed over, and
 * the top is what the container was given. */
static void
quota_walk(struct quota *q, const char *mount, const char *group, void (*look)(struct quota *q))
{
    int top = snprintf(q->folder, sizeof q->folder, "%s/sys/fs/cgroup%s", q->root, mount);
    if (top < 0 || (size_t)top >= sizeof q->folder)
        return;
    /* A group outside our namespace is shown as /../name and cannot be reached. */
    if (strstr(group, "/..") == NULL && strlen(group) < sizeof q->folder - (size_t)top)
        strcpy(q->folder + top, group);
    for (;;) {
        look(q);
        char *slash = strrchr(q->folder + top, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static bool
names_cpu(const char *controllers)
{
    for (const char *p = controllers; *p != '\0'; p += *p == ',') {
        size_t len = strcspn(p, ",");
        if (len == 3 && memcmp(p, "cpu", 3) == 0)
            return true;
        p += len;
    }
    return false;
}

/* One line of /proc/self/cgroup: "4:cpu,cpuacct:/group", or "0::/group" for version 2. */
static void
quota_line(struct quota *q, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL)
        return;
    *controllers++ = '\0';
    *group++ = '\0';
    if (*controllers == '\0') {
        quota_walk(q, "", group, quota_look_v2);
        quota_walk(q, "/unified", group, quota_look_v2);
    } else if (names_cpu(controllers)) {
        char mount[128];
        snprintf(mount, sizeof mount, "/%s", controllers);
        quota_walk(q, mount, group, quota_look_v1);
        quota_walk(q, "/cpu", group, quota_look_v1);
    }
}

unsigned
weft__cpu_quota(const char *root)
{
    struct quota *q = weft__alloc(sizeof *q);
    if (q == NULL)
        return 0;
    q->root = root;
    q->limit = 0;
    int len = snprintf(q->path, sizeof q->path, "%s/proc/self/cgroup", root);
    if (len > 0 && (size_t)len < sizeof q->path &&
        file_text(q->path, q->groups, sizeof q->groups)) {
        char *rest;
        for (char *line = strtok_r(q->groups, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest))
            quota_line(q, line);
    }
    unsigned limit = q->limit;
    weft__free(q);
    return limit;
}

unsigned
weft_usable_cpus(void)
{
    struct weft__cpu_mask mask;
    unsigned count = weft__cpu_mask_get(&mask) < 0 ? 0 : weft__cpu_mask_count(&mask);
    unsigned limit = weft__cpu_quota("");
    if (limit > 0 && limit < count)
        count = limit;
    return count > 0 ? count : 1;
}
