/*
 * env.c - machine, kernel, compiler and limits.
 */
#include "env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <weft/run.h>

#include "case.h"

static void
first_line(const char *path, char *text, size_t cap)
{
    FILE *file = fopen(path, "re");
    text[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(text, (int)cap, file) != NULL)
        text[strcspn(text, "\n")] = '\0';
    fclose(file);
}

static void
cpu_name(char *text, size_t cap)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(text, cap, "unknown processor");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL && colon[1] == ' ') {
            snprintf(text, cap, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    fclose(file);
}

uint64_t
bench_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

void
bench_env_read(struct bench_env *ret_env)
{
    struct bench_env *env = ret_env;
    struct utsname name;
    struct rlimit limit;
    time_t now = time(NULL);
    struct tm utc;
    memset(env, 0, sizeof *env);
    if (uname(&name) == 0)
        snprintf(env->kernel, sizeof env->kernel, "%.40s %.70s %.40s", name.sysname, name.release,
                 name.machine);
    cpu_name(env->cpu, sizeof env->cpu);
#ifdef __clang__
    snprintf(env->compiler, sizeof env->compiler, "clang %s", __clang_version__);
#else
    snprintf(env->compiler, sizeof env->compiler, "gcc %s", __VERSION__);
#endif
    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", env->governor,
               sizeof env->governor);
    env->cpus = weft_usable_cpus();
    env->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        env->files_max = limit.rlim_cur;
    env->somaxconn = weft_sample_connects_max() * 2;
    if (getloadavg(&env->load, 1) < 1)
        env->load = 0;
    strftime(env->date, sizeof env->date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}
