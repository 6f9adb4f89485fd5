/*
 * report_text.c - the tables on the terminal: time with bars, then cost. 110 columns at most.
 *
 * How many jobs were at once stands right behind each model's name: a time says nothing without.
 */
#include "report.h"

#include <string.h>

#define BAR_CELLS 18

const char *
bench_show_seconds(double seconds, char text[16])
{
    static const struct {
        double least;
        double scale;
        const char *unit;
    } units[] = {{1, 1, "s"}, {1e-3, 1e3, "ms"}, {0, 1e6, "us"}};
    size_t u = 0;
    while (seconds > 0 && seconds < units[u].least * 0.9995)
        u++;
    double shown = seconds * units[u].scale;
    if (seconds <= 0) /* CPU is split into user and system by ticks: one of them may have none */
        return strcpy(text, "0 s");
    snprintf(text, 16, "%.*f %s", shown < 9.995 ? 2 : shown < 99.95 ? 1 : 0, shown, units[u].unit);
    return text;
}

const char *
bench_show_bytes(double bytes, char text[16])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    size_t u = 0;
    while (bytes >= 1023.5 && u < 4) {
        bytes /= 1024;
        u++;
    }
    snprintf(text, 16, "%.*f %s",
             u == 0 || bytes >= 99.95 ? 0
             : bytes < 9.995          ? 2
                                      : 1,
             bytes, units[u]);
    return text;
}

void
bench_show_load(FILE *to, const struct bench_plan *plan)
{
    char each[16];
    double seconds = (double)(plan->kase->flags & BENCH_CPU ? BENCH_CPU_NS : plan->delay_ns) / 1e9;
    fprintf(to, "%u job%s of %s%s", plan->jobs, plan->jobs == 1 ? "" : "s",
            plan->kase->flags & BENCH_CPU ? "about " : "", bench_show_seconds(seconds, each));
}

/* Filled cells for value of most, in eighths of a cell; something is always to be seen. */
static void
bar(FILE *to, double value, double most)
{
    static const char *const part[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    unsigned eighths = most > 0 ? (unsigned)(value / most * BAR_CELLS * 8 + 0.5) : 0;
    if (eighths < 1)
        eighths = 1;
    for (unsigned i = 0; i < eighths / 8; i++)
        fputs("█", to);
    fputs(part[eighths % 8], to);
}

struct extremes {
    double best, slowest; /* seconds for all jobs */
};

static struct extremes
extremes_of(const struct bench_results *results)
{
    struct extremes e = {0, 0};
    for (size_t m = 0; m < results->plan->n_models; m++) {
        const struct bench_result *r = &results->models[m];
        double all = bench_all_jobs_s(results, r);
        if (r->n_good == 0)
            continue;
        if (e.best == 0 || all < e.best)
            e.best = all;
        if (all > e.slowest)
            e.slowest = all;
    }
    return e;
}

static void
time_row(FILE *to, const struct bench_results *results, const struct bench_result *r,
         struct extremes e, int colour)
{
    char time[16], least[16], most[16], spread[40], p50[16], p99[16], rate[16], fewer[2] = "";
    double all = bench_all_jobs_s(results, r);
    int best = all <= e.best * 1.02;
    if (r->model->jobs != results->plan->jobs)
        snprintf(fewer, sizeof fewer, "*");
    bench_show_seconds(r->wall_s.min, least);
    bench_show_seconds(r->wall_s.max, most);
    /* "1.01-1.03 s": the unit once, where it is the same. */
    size_t number = strcspn(least, " ");
    int same = strcmp(least + number, most + strcspn(most, " ")) == 0;
    snprintf(spread, sizeof spread, "%.*s-%s", (int)(same ? number : strlen(least)), least, most);
    snprintf(rate, sizeof rate, r->rate.median < 99.95 ? "%.1f" : "%.0f", r->rate.median);
    fprintf(to, "%s%-18s%7llu %8s%1s%14s %7s %7s %7s %6.4gx %6.4gx ",
            colour && best ? "\033[32m" : "", r->model->spec, (unsigned long long)r->median.at_once,
            bench_show_seconds(r->wall_s.median, time), fewer, r->n_good > 1 ? spread : "", rate,
            bench_show_seconds((double)r->median.submit_p50_ns / 1e9, p50),
            bench_show_seconds((double)r->median.submit_p99_ns / 1e9, p99), e.slowest / all,
            all / e.best);
    bar(to, all, e.slowest);
    fprintf(to, "%s\n", colour && best ? "\033[0m" : "");
}

static void
cost_row(FILE *to, const struct bench_result *r)
{
    char user[16], sys[16], memory[16], per_job[16], sw[40], failed[48];
    const struct bench_figures *f = &r->median;
    snprintf(sw, sizeof sw, "%llu+%llu", (unsigned long long)f->voluntary,
             (unsigned long long)f->involuntary);
    snprintf(failed, sizeof failed, "%llu", (unsigned long long)r->n_failed);
    fprintf(to, "%-18s%8s %8s %9s %9s %7llu %6llu %14s %7s\n", r->model->spec,
            bench_show_seconds((double)f->user_us / 1e6, user),
            bench_show_seconds((double)f->system_us / 1e6, sys),
            bench_show_bytes((double)f->peak_bytes, memory),
            bench_show_bytes(bench_bytes_per_job(r), per_job), (unsigned long long)f->threads,
            (unsigned long long)f->processes, sw, failed);
}

static void
notes(FILE *to, const struct bench_results *results)
{
    for (size_t m = 0; m < results->plan->n_models; m++) {
        const struct bench_result *r = &results->models[m];
        char each[16], all[16];
        if (r->n_good > 0 && r->model->jobs != results->plan->jobs)
            fprintf(to, "* %s: %u jobs; the rest follows by %s each, %s for all %u\n",
                    r->model->spec, r->model->jobs,
                    bench_show_seconds(r->wall_s.median / r->model->jobs, each),
                    bench_show_seconds(bench_all_jobs_s(results, r), all), results->plan->jobs);
        if (r->failure != NULL)
            fprintf(to, "! %s: %s\n", r->model->spec, r->failure);
        else if (r->errors != NULL)
            fprintf(to, "! %s: %llu jobs failed, in one run: %s\n", r->model->spec,
                    (unsigned long long)r->n_failed, r->errors);
        if (r->n_good > 0 && r->median.crashed > 0)
            fprintf(to, "! %s: %llu workers died and were replaced\n", r->model->spec,
                    (unsigned long long)r->median.crashed);
    }
    if (results->listen_drops > 0)
        fprintf(to,
                "! full listen queues turned connections away %llu times: those waited for the "
                "kernel's next try\n",
                (unsigned long long)results->listen_drops);
}

void
bench_report_text(FILE *to, const struct bench_results *results, int colour)
{
    const struct bench_plan *plan = results->plan;
    struct extremes e = extremes_of(results);
    const char *on = colour ? "\033[1m" : "", *off = colour ? "\033[0m" : "";

    fprintf(to, "%s%s: ", on, plan->kase->name);
    bench_show_load(to, plan);
    fprintf(to, ", %u repeat%s, %u CPU%s%s\n", plan->repeats, plan->repeats == 1 ? "" : "s",
            plan->cpus, plan->cpus == 1 ? "" : "s", off);
    fprintf(to, "%s%-18s%7s %8s %14s %7s %7s %7s %7s %7s time for all jobs%s\n", on, "model",
            "at once", "time", "min-max", "jobs/s", "p50", "p99", "gain", "to best", off);
    for (size_t m = 0; m < plan->n_models; m++) {
        if (results->models[m].n_good > 0)
            time_row(to, results, &results->models[m], e, colour);
    }
    fputs("p50 and p99: of a job, from submit to done; gain: over the slowest\n", to);
    fprintf(to, "\n%s%-18s%8s %8s %9s %9s %7s %6s %14s %7s%s\n", on, "model", "CPU user", "system",
            "memory", "per job", "threads", "procs", "switches v+i", "failed", off);
    for (size_t m = 0; m < plan->n_models; m++) {
        if (results->models[m].n_good > 0)
            cost_row(to, &results->models[m]);
    }
    notes(to, results);
    for (size_t m = 0; m < plan->n_models; m++) {
        const struct bench_result *r = &results->models[m];
        if (r->n_good == 0)
            continue;
        fprintf(to, "results: checksum %016llx over %llu jobs",
                (unsigned long long)r->median.checksum_head,
                (unsigned long long)(r->median.checksum == r->median.checksum_head
                                         ? r->median.jobs
                                         : plan->jobs_sync));
        if (plan->kase->flags & BENCH_CPU)
            fprintf(to, ", job 0 computed %llu", (unsigned long long)r->median.first_value);
        fputs(results->wrong[0] == '\0' ? ", the same for every model\n" : "\n", to);
        break;
    }
}
