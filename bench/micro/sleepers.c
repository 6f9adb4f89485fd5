/*
 * sleepers.c - very many tasks asleep: what each keeps of memory, and how late they wake.
 *
 * All sleep until the same moment, which is the worst case for waking. Measured once: a second
 * time would find the memory mapped already.
 */
#include <sys/mman.h>
#include <unistd.h>

#include <weft/error.h>
#include <weft/future.h>
#include <weft/run.h>
#include <weft/task.h>
#include <weft/time.h>

#include "micro/micro.h"

#define BYTES_EACH 5200          /* needed free: what a task may keep, and its page tables */
#define COUNT_UNGUARDED 30000    /* without MADV_GUARD_INSTALL: two maps a stack, 65,530 at most */
#define ADVICE_GUARD_INSTALL 102 /* MADV_GUARD_INSTALL of Linux 6.13, which older headers lack */

static struct micro m = {
    .program = "sleepers", .what = "tasks asleep, one loop bound to one CPU", .count = 1000000};

static weft_time wake_at;
static long asleep, awake;
static double late_sum, late_max; /* nanoseconds */
static weft_future all_awake;

/* A figure of /proc, in bytes. */
static double
proc_bytes(const char *path, const char *field)
{
    char line[256];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        micro_fail(&m, path, -errno);
    double kib = -1;
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtod(line + strlen(field), NULL);
    fclose(file);
    if (kib < 0)
        micro_fail(&m, field, -ENOENT);
    return kib * 1024;
}

static bool
guards_are_cheap(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return false;
    bool works = madvise(map, page, ADVICE_GUARD_INSTALL) == 0;
    munmap(map, page);
    return works;
}

static int
sleeper(void *arg)
{
    (void)arg;
    asleep++;
    int rc = weft_sleep_until(wake_at);
    double late = (double)(weft_now() - wake_at);
    if (late < 0)
        rc = -EPROTO;
    late_sum += late;
    if (late > late_max)
        late_max = late;
    if (++awake == m.count)
        weft_future_set(&all_awake, rc);
    return rc;
}

static void
note(const char *name, const char *unit, double value, const char *peers)
{
    micro_note(&m, name, unit, peers, &value, 1);
}

static int
measure(void *arg)
{
    (void)arg;
    const char *status = "/proc/self/status";
    double rss = proc_bytes(status, "VmRSS:"), tables = proc_bytes(status, "VmPTE:");
    double n = (double)m.count;
    weft_future_open(&all_awake);

    wake_at = weft_now() + WEFT_SEC(2) + m.count * WEFT_US(12);
    int64_t begun = micro_now();
    for (long i = 0; i < m.count; i++) {
        int rc = weft_task_spawn(NULL, sleeper, NULL, NULL);
        if (rc < 0) {
            fprintf(stderr, "sleepers: task %ld: %s\n", i, weft_error_text());
            micro_fail(&m, "spawn", rc);
        }
    }
    int64_t spawned = micro_now();
    while (asleep < m.count)
        micro_check(&m, "yield", weft_yield());
    int64_t settled = micro_now();
    if (weft_now() >= wake_at)
        micro_fail(&m, "they took too long to fall asleep", 0);

    rss = (proc_bytes(status, "VmRSS:") - rss) / n;
    tables = (proc_bytes(status, "VmPTE:") - tables) / n;
    micro_row(&m, "memory of a task (RSS)", "bytes", 4500,
              "tokio 1,169, Go 1,657, neco 4,497, photon 8,608", &rss, 1);
    note("page tables of a task", "bytes", tables, "");
    note("spawn", "ns", (double)(spawned - begun) / n, "");
    note("from spawned to asleep", "ns", (double)(settled - spawned) / n, "a page fault: 1,576");

    int result;
    micro_check(&m, "wait", weft_future_wait(&all_awake, &result));
    micro_check(&m, "sleep", result);
    weft_future_close(&all_awake);
    double late_ms = late_max / 1e6;
    micro_row(&m, "the last one is late by", "ms", 2000,
              "in all 1,720 tokio, 3,060 Go, 25,000 neco", &late_ms, 1);
    note("late on average", "ms", late_sum / n / 1e6, "");
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "tasks");
    double available = proc_bytes("/proc/meminfo", "MemAvailable:");
    if (available < (double)m.count * BYTES_EACH) {
        long fits = (long)(available / BYTES_EACH);
        printf("sleepers: %ld tasks need %.1f GB, available are %.1f GB: measuring %ld\n", m.count,
               (double)m.count * BYTES_EACH / 1e9, available / 1e9, fits);
        m.count = fits;
    }
    if (!guards_are_cheap() && m.count > COUNT_UNGUARDED) {
        printf("sleepers: this kernel has no MADV_GUARD_INSTALL (Linux 6.13): measuring %d tasks\n",
               COUNT_UNGUARDED);
        m.count = COUNT_UNGUARDED;
    }
    if (m.count < 1)
        micro_fail(&m, "no memory for a single task", -ENOMEM);
    micro_pin(&m, micro_cpu(0));
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 1}));
    return micro_end(&m);
}
