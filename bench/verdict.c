/*
 * verdict.c - the results in words, each of them computed: who was fastest and with how many at
 * once, what it cost, who was narrower, and why it came out so.
 *
 * A model that had fewer jobs at once is never called slower without that number, and where plain
 * threads are as good as anything of weft, the words say that.
 */
#include <stdarg.h>
#include <string.h>

#include "report.h"

#define WIDTH 100
#define INDENT 4

/* Words on their way to a paragraph. */
struct prose {
    char text[4096];
    size_t len;
};

static void say(struct prose *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct prose *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->text + p->len, sizeof p->text - p->len, format, args);
    va_end(args);
    if (n > 0)
        p->len += (size_t)n;
    if (p->len >= sizeof p->text)
        p->len = sizeof p->text - 1;
}

static void
print_wrapped(FILE *to, const struct prose *p)
{
    size_t column = 0;
    for (const char *at = p->text; *at != '\0';) {
        /* A number stays with its unit: '~' is a space at which no line ends. */
        size_t len = strcspn(at, " ");
        if (column > 0 && column + 1 + len > WIDTH) {
            putc('\n', to);
            column = 0;
        }
        column += (size_t)fprintf(to, "%*s", column == 0 ? INDENT : 1, "") + len;
        for (size_t i = 0; i < len; i++)
            putc(at[i] == '~' ? ' ' : at[i], to);
        at += len + (at[len] == ' ');
    }
    putc('\n', to);
}

/* In one string, with its unit kept on the line. */
static const char *
kept(char text[16])
{
    char *space = strchr(text, ' ');
    if (space != NULL)
        *space = '~';
    return text;
}

static const char *
seconds(double value, char text[16])
{
    bench_show_seconds(value, text);
    return kept(text);
}

static const char *
bytes(double value, char text[16])
{
    bench_show_bytes(value, text);
    return kept(text);
}

enum standing { FASTEST, NARROWER, SLOWER, UNKNOWN };

struct verdict {
    const struct bench_results *results;
    enum standing standing[BENCH_MODELS_MAX];
    const struct bench_result *best;   /* least time */
    const struct bench_result *suited; /* of the fastest: least memory, then least CPU */
    const struct bench_result *plain;  /* thread-plain, if among the fastest */
};

static double
all_s(const struct verdict *v, const struct bench_result *r)
{
    return bench_all_jobs_s(v->results, r);
}

static double
cpu_s(const struct bench_result *r)
{
    return (double)(r->median.user_us + r->median.system_us) / 1e6;
}

/* Whether a does the workload at less cost than b; both are among the fastest. */
static int
cheaper(const struct bench_result *a, const struct bench_result *b)
{
    double ma = (double)a->median.peak_bytes, mb = (double)b->median.peak_bytes;
    if (ma < mb * 0.9 || mb < ma * 0.9)
        return ma < mb;
    return cpu_s(a) < cpu_s(b);
}

static void
weigh(struct verdict *v, const struct bench_results *results)
{
    memset(v, 0, sizeof *v);
    v->results = results;
    for (size_t m = 0; m < results->plan->n_models; m++) {
        const struct bench_result *r = &results->models[m];
        if (r->n_good > 0 && (v->best == NULL || all_s(v, r) < all_s(v, v->best)))
            v->best = r;
    }
    for (size_t m = 0; m < results->plan->n_models; m++) {
        const struct bench_result *r = &results->models[m];
        if (r->n_good == 0) {
            v->standing[m] = UNKNOWN;
            continue;
        }
        /* As fast as the best: within 5 %, or its spread reaches the best's median. */
        double scale = (double)results->plan->jobs / r->model->jobs;
        if (all_s(v, r) <= all_s(v, v->best) * 1.05 ||
            (r->n_good > 2 && r->wall_s.min * scale <= all_s(v, v->best)))
            v->standing[m] = FASTEST;
        else if (r->median.at_once * 10 < v->best->median.at_once * 9)
            v->standing[m] = NARROWER;
        else
            v->standing[m] = SLOWER;
        if (v->standing[m] != FASTEST)
            continue;
        if (v->suited == NULL || cheaper(r, v->suited))
            v->suited = r;
        if (r->model->kind->id == BENCH_THREAD_PLAIN && (v->plain == NULL || cheaper(r, v->plain)))
            v->plain = r;
    }
}

static size_t
count(const struct verdict *v, enum standing standing)
{
    size_t n = 0;
    for (size_t m = 0; m < v->results->plan->n_models; m++)
        n += v->standing[m] == standing;
    return n;
}

/* "a, b and c" of one standing, with times and widths where asked. */
static void
list(struct prose *p, const struct verdict *v, enum standing standing, int details)
{
    size_t left = count(v, standing);
    char time[16];
    for (size_t m = 0; m < v->results->plan->n_models; m++) {
        const struct bench_result *r = &v->results->models[m];
        if (v->standing[m] != standing)
            continue;
        say(p, "%s", r->model->spec);
        if (details)
            say(p, " (%s with %llu at once)", seconds(all_s(v, r), time),
                (unsigned long long)r->median.at_once);
        left--;
        say(p, "%s", left == 1 ? " and " : left > 1 ? ", " : "");
    }
}

static void
say_fastest(struct prose *p, const struct verdict *v)
{
    char least[16], most[16];
    double slowest = 0;
    unsigned long long few = v->best->median.at_once, many = few;
    for (size_t m = 0; m < v->results->plan->n_models; m++) {
        const struct bench_result *r = &v->results->models[m];
        if (v->standing[m] != FASTEST)
            continue;
        slowest = all_s(v, r) > slowest ? all_s(v, r) : slowest;
        few = r->median.at_once < few ? r->median.at_once : few;
        many = r->median.at_once > many ? r->median.at_once : many;
    }
    list(p, v, FASTEST, 0);
    if (count(v, FASTEST) == 1)
        say(p, " was fastest: %s", seconds(slowest, most));
    else
        say(p, " %s: %s to %s",
            slowest <= all_s(v, v->best) * 1.05 ? "were equally fast" : "cannot be told apart",
            seconds(all_s(v, v->best), least), seconds(slowest, most));
    if (few == many)
        say(p, " with %llu at once. ", many);
    else
        say(p, " with %llu to %llu at once. ", few, many);
}

static void
say_others(struct prose *p, const struct verdict *v)
{
    if (count(v, NARROWER) > 0) {
        list(p, v, NARROWER, 1);
        say(p, " had fewer at once, and took longer for that. ");
    }
    if (count(v, SLOWER) > 0) {
        list(p, v, SLOWER, 1);
        say(p, " took longer with no fewer at once. ");
    }
}

static void
say_why(struct prose *p, const struct verdict *v)
{
    const struct bench_plan *plan = v->results->plan;
    if (plan->kase->flags & BENCH_CPU)
        say(p,
            "Why: the jobs compute, so time follows the %u~CPU%s in use, not how many jobs have "
            "begun; one loop or one caller uses one CPU. ",
            plan->cpus, plan->cpus == 1 ? "" : "s");
    else if (plan->kase->flags & BENCH_BLOCKING)
        say(p, "Why: a call that blocks holds its thread, and a loop is one thread, so async waits "
               "for one job after the other on each loop; threads, processes and hybrid's executor "
               "wait side by side. ");
    else
        say(p, "Why: the jobs only wait, so time follows how many wait at once, and what a waiting "
               "job occupies decides the cost. ");
}

static void
say_cost(struct prose *p, const struct verdict *v)
{
    char memory[16], cpu[16], other[16], other_cpu[16];
    const struct bench_result *s = v->suited;
    say(p, "Of %s, %s cost least: %s of memory and %s of CPU",
        count(v, FASTEST) > 1 ? "the fastest" : "it alone", s->model->spec,
        bytes((double)s->median.peak_bytes, memory), seconds(cpu_s(s), cpu));
    for (size_t m = 0, said = 0; m < v->results->plan->n_models; m++) {
        const struct bench_result *r = &v->results->models[m];
        if (v->standing[m] != FASTEST || r == s)
            continue;
        say(p, "%s %s %s and %s", said++ == 0 ? "; against" : ",", r->model->spec,
            bytes((double)r->median.peak_bytes, other), seconds(cpu_s(r), other_cpu));
    }
    say(p, ". ");
}

static void
say_plain(struct prose *p, const struct verdict *v)
{
    char memory[16];
    if (v->plain == NULL)
        return;
    if (v->plain == v->suited) {
        say(p, "Plain threads win here: nothing of weft was faster, or as fast at less cost. ");
        return;
    }
    double more = (double)v->plain->median.peak_bytes - (double)v->suited->median.peak_bytes;
    double part = more / (double)v->suited->median.peak_bytes;
    if (part < 0.1)
        say(p, "Plain threads are as good here. ");
    else
        say(p, "Plain threads took %s more memory for the same time. ", bytes(more, memory));
}

static void
say_isolation(struct prose *p, const struct verdict *v)
{
    for (size_t m = 0; m < v->results->plan->n_models; m++) {
        const struct bench_result *r = &v->results->models[m];
        char memory[16];
        if (r->model->kind->id != BENCH_PROCESS || r->n_good == 0)
            continue;
        say(p, "What %s adds for its %s: a job that crashes costs itself alone. ", r->model->spec,
            bytes((double)r->median.peak_bytes, memory));
        return;
    }
}

/* How far the repeats of one model lay apart, at most, in percent of its median. */
static void
say_noise(struct prose *p, const struct verdict *v)
{
    double worst = 0;
    for (size_t m = 0; m < v->results->plan->n_models; m++) {
        const struct bench_spread *s = &v->results->models[m].wall_s;
        if (s->median > 0 && (s->max - s->min) / s->median > worst)
            worst = (s->max - s->min) / s->median;
    }
    if (v->results->plan->repeats == 1)
        say(p, "One repeat only: small differences mean nothing. ");
    else if (worst > 0.1)
        say(p,
            "Repeats of one model lay up to %.0f~%% apart: the machine was busy, and smaller "
            "differences mean nothing. ",
            worst * 100);
}

void
bench_report_verdict(FILE *to, const struct bench_results *results)
{
    struct verdict v;
    struct prose p = {"", 0};
    weigh(&v, results);
    fprintf(to, "%s, ", results->plan->kase->name);
    bench_show_load(to, results->plan);
    if (v.best == NULL) {
        fprintf(to, ": nothing was measured\n");
        return;
    }
    fprintf(to, ": %s suited it best%s\n", v.suited->model->spec,
            results->wrong[0] != '\0' ? ", of those that got through" : "");
    say_fastest(&p, &v);
    if (count(&v, FASTEST) > 1)
        say_cost(&p, &v);
    say_plain(&p, &v);
    say_others(&p, &v);
    say_why(&p, &v);
    say_isolation(&p, &v);
    say_noise(&p, &v);
    while (p.len > 0 && p.text[p.len - 1] == ' ')
        p.text[--p.len] = '\0';
    print_wrapped(to, &p);
}
