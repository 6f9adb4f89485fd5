/*
 * figure.c - time and memory by model, side by side, drawn by gnuplot through a pipe.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

static int
have_gnuplot(void)
{
    const char *path = getenv("PATH");
    char program[4096];
    for (const char *at = path; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ":");
        if (len < sizeof program - 16) {
            snprintf(program, sizeof program, "%.*s/gnuplot", (int)len, at);
            if (access(program, X_OK) == 0)
                return 1;
        }
        at += len + (at[len] == ':');
    }
    return 0;
}

/* In single quotes for gnuplot, where two of them mean one. */
static void
quoted(FILE *to, const char *text)
{
    putc('\'', to);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            putc('\'', to);
        putc(*text, to);
    }
    putc('\'', to);
}

static void
data(FILE *to, const struct bench_results *results)
{
    fputs("$runs << END\n", to);
    for (size_t m = 0; m < results->plan->n_models; m++) {
        const struct bench_result *r = &results->models[m];
        char seconds[16], bytes[16];
        double all = bench_all_jobs_s(results, r);
        double scale = (double)results->plan->jobs / r->model->jobs;
        if (r->n_good == 0)
            continue;
        bench_show_seconds(all, seconds);
        bench_show_bytes((double)r->median.peak_bytes, bytes);
        fprintf(to, "\"%s\" %.9g %.9g %.9g %.9g \"%s%s\" \"%s\"\n", r->model->spec, all,
                r->wall_s.min * scale, r->wall_s.max * scale,
                (double)r->median.peak_bytes / 1048576, scale > 1 ? "about " : "", seconds, bytes);
    }
    fputs("END\n", to);
}

struct panel {
    const char *title, *unit, *colour;
    int value, label; /* columns of the data */
    int spread;       /* columns 3 and 4 hold least and greatest */
    double from, to;  /* of the axis */
};

static void
panel_draw(FILE *to, const struct panel *p)
{
    fprintf(to,
            "set title '%s' font ',14' offset 0,-0.4\nset xlabel '%s'\nset xrange [%.9g:%.9g]\n",
            p->title, p->unit, p->from, p->to);
    fprintf(to,
            "plot $runs using %d:0:(%.9g):%d:($0-0.33):($0+0.33):ytic(1) with boxxyerror fs "
            "solid 0.85 noborder lc rgb '%s' notitle",
            p->value, p->from, p->value, p->colour);
    if (p->spread)
        fputs(", $runs using 2:0:3:4 with xerrorbars pt -1 lw 1.2 lc rgb '#333333' notitle", to);
    fprintf(to, ", $runs using %d:0:%d with labels left offset 0.8,0 font ',11' notitle\n",
            p->spread ? 4 : p->value, p->label);
}

struct extent {
    size_t rows;
    double best, slowest, memory; /* seconds, seconds, MB */
};

static struct extent
extent_of(const struct bench_results *results)
{
    struct extent e = {0, 0, 0, 0};
    for (size_t m = 0; m < results->plan->n_models; m++) {
        const struct bench_result *r = &results->models[m];
        double all = bench_all_jobs_s(results, r);
        double memory = (double)r->median.peak_bytes / 1048576;
        if (r->n_good == 0)
            continue;
        e.rows++;
        e.slowest = all > e.slowest ? all : e.slowest;
        e.best = e.rows == 1 || all < e.best ? all : e.best;
        e.memory = memory > e.memory ? memory : e.memory;
    }
    return e;
}

static void
script(FILE *to, const char *path, const struct bench_results *results)
{
    const struct bench_plan *plan = results->plan;
    struct extent e = extent_of(results);
    /* One slow model would press the others into a line: then the axis is logarithmic. */
    int logarithmic = e.slowest > 20 * e.best;
    data(to, results);
    fprintf(to, "set terminal svg size 1000,%zu font 'sans-serif,12' background rgb 'white'\n",
            140 + 30 * e.rows);
    fputs("set output ", to);
    quoted(to, path);
    fprintf(to, "\nset multiplot layout 1,2 title \"%s: ", plan->kase->name);
    bench_show_load(to, plan);
    fprintf(to, ", %u CPU%s\" font ',16' noenhanced\n", plan->cpus, plan->cpus == 1 ? "" : "s");
    fprintf(to,
            "set yrange [%zu.6:-0.6]\nset grid x lc rgb '#dddddd'\nset border 3\n"
            "set tics nomirror out\nset ytics scale 0 noenhanced\nset xtics scale 0.5\n",
            e.rows - 1);
    if (logarithmic)
        fputs("set logscale x\n", to);
    panel_draw(to,
               &(struct panel){
                   .title = logarithmic ? "Time for all jobs (logarithmic)" : "Time for all jobs",
                   .unit = "seconds",
                   .colour = "#3b6ea8",
                   .value = 2,
                   .label = 6,
                   .spread = 1,
                   .from = logarithmic ? e.best / 4 : 0,
                   .to = logarithmic ? e.slowest * 20 : e.slowest * 1.35,
               });
    fputs("unset logscale x\n", to);
    panel_draw(to, &(struct panel){
                       .title = "Peak memory",
                       .unit = "MB",
                       .colour = "#c2703d",
                       .value = 5,
                       .label = 7,
                       .to = e.memory > 0 ? e.memory * 1.3 : 1,
                   });
    fputs("unset multiplot\nunset output\n", to);
}

int
bench_report_figure(const char *path, const struct bench_results *results)
{
    int any = 0;
    for (size_t m = 0; m < results->plan->n_models; m++)
        any |= results->models[m].n_good > 0;
    if (!any)
        return -ENODATA;
    if (!have_gnuplot())
        return 1;
    FILE *to = popen("gnuplot", "we");
    if (to == NULL)
        return -errno;
    script(to, path, results);
    int status = pclose(to);
    if (status == -1)
        return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
