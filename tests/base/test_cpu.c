/*
 * test_cpu.c - CPUs by affinity and by cgroup, against made-up trees of files.
 */
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "t.h"
#include "base/cpu.h"

static char root[64];

static void
make_root(void)
{
    strcpy(root, "/tmp/weft-cpu-XXXXXX");
    cr_assert(mkdtemp(root) != NULL);
}

static int
remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void
remove_root(void)
{
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(cpu, .timeout = 20, .init = make_root, .fini = remove_root);

/* Writes a file below the root, and the folders it needs. */
static void
write_file(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    cr_assert(file != NULL, "%s", full);
    fputs(text, file);
    fclose(file);
}

Test(cpu, without_files_there_is_no_quota)
{
    cr_assert(weft__cpu_quota(root) == 0);
}

Test(cpu, a_quota_of_version_2_is_rounded_up)
{
    write_file("/proc/self/cgroup", "0::/app\n");
    write_file("/sys/fs/cgroup/app/cpu.max", "150000 100000\n");
    cr_assert(weft__cpu_quota(root) == 2);
    write_file("/sys/fs/cgroup/app/cpu.max", "200000 100000\n");
    cr_assert(weft__cpu_quota(root) == 2);
    write_file("/sys/fs/cgroup/app/cpu.max", "1000 100000\n");
    cr_assert(weft__cpu_quota(root) == 1);
}

Test(cpu, max_is_no_quota)
{
    write_file("/proc/self/cgroup", "0::/app\n");
    write_file("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
    cr_assert(weft__cpu_quota(root) == 0);
}

Test(cpu, every_group_above_limits_too)
{
    write_file("/proc/self/cgroup", "0::/slice/app/worker\n");
    write_file("/sys/fs/cgroup/slice/cpu.max", "300000 100000\n");
    write_file("/sys/fs/cgroup/slice/app/cpu.max", "max 100000\n");
    write_file("/sys/fs/cgroup/slice/app/worker/cpu.max", "800000 100000\n");
    cr_assert(weft__cpu_quota(root) == 3);
}

Test(cpu, a_group_that_is_not_mounted_falls_back_to_the_top)
{
    write_file("/proc/self/cgroup", "0::/docker/0123abcd\n");
    write_file("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    cr_assert(weft__cpu_quota(root) == 4);
}

Test(cpu, a_group_outside_the_namespace_counts_as_the_top)
{
    write_file("/proc/self/cgroup", "0::/../other\n");
    write_file("/other/cpu.max", "100000 100000\n");
    write_file("/sys/fs/cgroup/cpu.max", "500000 100000\n");
    cr_assert(weft__cpu_quota(root) == 5);
}

Test(cpu, a_quota_of_version_1_counts)
{
    write_file("/proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/app\n3:cpuacct:/\n");
    write_file("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "250000\n");
    write_file("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
    cr_assert(weft__cpu_quota(root) == 3);
}

Test(cpu, minus_one_is_no_quota_in_version_1)
{
    write_file("/proc/self/cgroup", "4:cpu:/app\n0::/\n");
    write_file("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "-1\n");
    write_file("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
    cr_assert(weft__cpu_quota(root) == 0);
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    cr_assert(weft__cpu_quota(root) == 2);
}

Test(cpu, nonsense_is_no_quota)
{
    write_file("/proc/self/cgroup", "no colon\n1:one\n\n0::/app\n:::\n4:xcpu,cpus:/app\n");
    write_file("/sys/fs/cgroup/app/cpu.max", "100000 0\n");
    write_file("/sys/fs/cgroup/cpu.max", "");
    write_file("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "100000\n");
    write_file("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
    cr_assert(weft__cpu_quota(root) == 0);
}

Test(cpu, without_memory_or_files_the_affinity_decides)
{
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, 0);
    cr_assert(weft_usable_cpus() >= 1);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, true, EIO);
    cr_assert(weft_usable_cpus() == 1);
    weft__torture_disarm(WEFT__TORTURE_SYSCALL);
}

Test(cpu, usable_cpus_follow_the_affinity)
{
    struct weft__cpu_mask mask;
    T_OK(weft__cpu_mask_get(&mask));
    cr_assert(weft_usable_cpus() >= 1);
    cr_assert(weft_usable_cpus() <= weft__cpu_mask_count(&mask));
    cr_assert(weft__cpu_pin(&mask, 0) >= 0);
    cr_assert(weft_usable_cpus() == 1);
}

Test(cpu, each_number_is_a_cpu_of_its_own_and_then_round_again)
{
    struct weft__cpu_mask mask, one;
    T_OK(weft__cpu_mask_get(&mask));
    unsigned count = weft__cpu_mask_count(&mask);
    int last = -1;
    for (unsigned i = 0; i < count; i++) {
        int cpu = weft__cpu_pin(&mask, i);
        cr_assert(cpu > last && sched_getcpu() == cpu);
        T_OK(weft__cpu_mask_get(&one));
        cr_assert(weft__cpu_mask_count(&one) == 1);
        cr_assert(weft__cpu_pin(&mask, i + count) == cpu);
        last = cpu;
    }
    T_OK(weft__cpu_unpin(&mask));
    T_OK(weft__cpu_mask_get(&one));
    cr_assert(memcmp(&one, &mask, sizeof mask) == 0);
}

Test(cpu, an_empty_mask_pins_nothing)
{
    struct weft__cpu_mask none = {{0}};
    T_ERR(-EINVAL, weft__cpu_pin(&none, 0));
}
