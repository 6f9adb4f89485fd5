/*
 * report_json.c - everything that was measured, every run of it, as one JSON document.
 *
 * A document is complete or it is not there: it is written beside its place and renamed.
 */
#include "report.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/base.h>

static void
environment(FILE *to, const struct bench_env *env)
{
    fputs("  \"environment\": {\"date\":", to);
    bench_json_string(to, env->date);
    fputs(",\"kernel\":", to);
    bench_json_string(to, env->kernel);
    fputs(",\"cpu\":", to);
    bench_json_string(to, env->cpu);
    fputs(",\"compiler\":", to);
    bench_json_string(to, env->compiler);
    fputs(",\"governor\":", to);
    bench_json_string(to, env->governor);
    fprintf(to,
            ",\"weft\":\"%s\",\"cpus\":%u,\"memory_bytes\":%llu,\"files_max\":%llu,"
            "\"somaxconn\":%u,\"load\":%.2f},\n",
            weft_version(), env->cpus, (unsigned long long)env->memory_bytes,
            (unsigned long long)env->files_max, env->somaxconn, env->load);
}

static void
spread(FILE *to, const char *name, const struct bench_spread *s)
{
    fprintf(to, "\"%s\":{\"median\":%.9g,\"min\":%.9g,\"max\":%.9g}", name, s->median, s->min,
            s->max);
}

static void
model(FILE *to, const struct bench_results *results, const struct bench_result *r)
{
    fputs("    {\"model\":", to);
    bench_json_string(to, r->model->spec);
    fprintf(to, ",\"jobs\":%u,\"at_once_nominal\":%u,\"good_runs\":%u,\n     ", r->model->jobs,
            bench_at_once(results->plan, r->model), r->n_good);
    spread(to, "wall_s", &r->wall_s);
    fputc(',', to);
    spread(to, "jobs_per_s", &r->rate);
    fprintf(to, ",\"bytes_per_job\":%.0f,\n     \"runs\":[", bench_bytes_per_job(r));
    for (unsigned i = 0; i < r->n_runs; i++) {
        fputs(i > 0 ? ",\n      " : "\n      ", to);
        bench_figures_write(to, &r->runs[i]);
    }
    fputs("]}", to);
}

static void
document(FILE *to, const struct bench_results *results, const struct bench_env *env)
{
    const struct bench_plan *plan = results->plan;
    fputs("{\n  \"workload\":", to);
    bench_json_string(to, plan->kase->name);
    fprintf(to, ",\n  \"jobs\":%u,\n  \"delay_ns\":%lld,\n  \"rounds\":%llu,\n  \"repeats\":%u,\n",
            plan->jobs, (long long)plan->delay_ns, (unsigned long long)plan->rounds, plan->repeats);
    fputs("  \"server\":", to);
    bench_json_string(to, plan->kase->flags & BENCH_SERVER
                              ? (plan->own_server ? "own delay server" : plan->address)
                              : "");
    fprintf(to, ",\n  \"interrupted\":%s,\n  \"listen_drops\":%llu,\n  \"wrong\":",
            results->interrupted ? "true" : "false", (unsigned long long)results->listen_drops);
    bench_json_string(to, results->wrong);
    fputs(",\n", to);
    environment(to, env);
    fputs("  \"models\": [\n", to);
    for (size_t m = 0; m < plan->n_models; m++) {
        model(to, results, &results->models[m]);
        fputs(m + 1 < plan->n_models ? ",\n" : "\n", to);
    }
    fputs("  ]\n}\n", to);
}

int
bench_report_json(const char *path, const struct bench_results *results,
                  const struct bench_env *env)
{
    char beside[4096];
    struct stat there;
    /* A pipe or a device cannot be replaced by renaming, and must not be. */
    int direct = stat(path, &there) == 0 && !S_ISREG(there.st_mode);
    int n = direct ? snprintf(beside, sizeof beside, "%s", path)
                   : snprintf(beside, sizeof beside, "%s.%d.tmp", path, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof beside)
        return -ENAMETOOLONG;
    FILE *to = fopen(beside, "we");
    if (to == NULL)
        return -errno;
    int rc = 0;
    errno = 0;
    document(to, results, env);
    if (fflush(to) != 0 || ferror(to) || (!direct && fsync(fileno(to)) < 0))
        rc = errno != 0 ? -errno : -EIO;
    if (fclose(to) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && !direct && rename(beside, path) < 0)
        rc = -errno;
    if (rc < 0 && !direct)
        unlink(beside);
    return rc;
}
