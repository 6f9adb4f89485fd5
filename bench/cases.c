/*
 * cases.c - the workloads and the models, and what follows from them for a plan.
 */
#include "case.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct bench_case bench_cases[] = {
    {"sleep", "waits for --delay: what a timer costs", "sleep", weft_sample_sleep_plain,
     BENCH_WAITS, 100, INT64_C(1000000000)},
    {"fetch", "GETs a page that the server answers after --delay", "fetch", weft_sample_fetch_plain,
     BENCH_WAITS | BENCH_SERVER, 100, INT64_C(1000000000)},
    {"cpu", "computes for about 20 ms", "cpu", weft_sample_cpu_plain, BENCH_CPU, 40, 0},
    {"sleep_blocking", "as sleep, with nanosleep(2), which holds its thread", "sleep_blocking",
     weft_sample_sleep_plain, BENCH_WAITS | BENCH_BLOCKING, 20, INT64_C(100000000)},
    {"fetch_blocking", "as fetch, with a socket that holds its thread", "fetch_blocking",
     weft_sample_fetch_plain, BENCH_WAITS | BENCH_SERVER | BENCH_BLOCKING, 20, INT64_C(100000000)},
    {NULL, NULL, NULL, NULL, 0, 0, 0},
};

const struct bench_kind bench_kinds[] = {
    {"sync", BENCH_SYNC, 0, "one job after the other, in the caller"},
    {"thread-plain", BENCH_THREAD_PLAIN, 20000,
     "N plain threads that block, without weft: the baseline"},
    {"thread", BENCH_THREAD, 20000, "N threads of weft, one job at a time on each"},
    {"process", BENCH_PROCESS, 1024, "N child processes, one job at a time in each"},
    {"async", BENCH_ASYNC, 1024, "tasks on N loops; async:1 is what asyncio is"},
    {"hybrid", BENCH_HYBRID, 1024,
     "tasks on N loops; jobs that block or compute go to an executor"},
    {NULL, BENCH_SYNC, 0, NULL},
};

const struct bench_case *
bench_case_find(const char *name)
{
    for (const struct bench_case *kase = bench_cases; kase->name != NULL; kase++) {
        if (strcmp(kase->name, name) == 0)
            return kase;
    }
    return NULL;
}

static void
model_set(struct bench_model *model, const struct bench_kind *kind, unsigned width)
{
    model->kind = kind;
    model->width = kind->width_max == 0 ? 1 : width;
    model->jobs = 0;
    if (kind->width_max == 0)
        snprintf(model->spec, sizeof model->spec, "%s", kind->name);
    else
        snprintf(model->spec, sizeof model->spec, "%s:%u", kind->name, width);
}

static const struct bench_kind *
kind_find(const char *name, size_t len)
{
    for (const struct bench_kind *kind = bench_kinds; kind->name != NULL; kind++) {
        if (strlen(kind->name) == len && memcmp(kind->name, name, len) == 0)
            return kind;
    }
    return NULL;
}

int
bench_model_read(struct bench_model *model, const char *text, unsigned cpus, char *why,
                 size_t why_cap)
{
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    const struct bench_kind *kind = kind_find(text, len);
    if (kind == NULL) {
        snprintf(why, why_cap,
                 "unknown model '%.*s': there are sync, thread-plain:N, thread:N, process:N, "
                 "async:N and hybrid:N",
                 (int)(len > 100 ? 100 : len), text);
        return -1;
    }
    if (colon == NULL) {
        model_set(model, kind, cpus);
        return 0;
    }
    char *end = NULL;
    errno = 0;
    unsigned long width = colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
    if (kind->width_max == 0) {
        snprintf(why, why_cap, "model '%.100s': %s takes no number", text, kind->name);
        return -1;
    }
    if (end == NULL || *end != '\0' || errno != 0 || width < 1 || width > kind->width_max) {
        snprintf(why, why_cap, "model '%.100s': the number must be 1 to %u", text, kind->width_max);
        return -1;
    }
    model_set(model, kind, (unsigned)width);
    return 0;
}

int
bench_plan_add(struct bench_plan *plan, const struct bench_model *model)
{
    for (size_t i = 0; i < plan->n_models; i++) {
        if (strcmp(plan->models[i].spec, model->spec) == 0)
            return 0;
    }
    if (plan->n_models == BENCH_MODELS_MAX)
        return -1;
    plan->models[plan->n_models++] = *model;
    return 0;
}

static void
add_kind(struct bench_plan *plan, enum bench_kind_id id, unsigned width)
{
    struct bench_model model;
    const struct bench_kind *kind = bench_kinds;
    while (kind->id != id)
        kind++;
    model_set(&model, kind, width);
    bench_plan_add(plan, &model);
}

static unsigned
least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

void
bench_plan_defaults(struct bench_plan *plan)
{
    /* Computing is bounded by CPUs: more threads than these would only take turns. */
    unsigned width = plan->kase->flags & BENCH_CPU ? plan->cpus : least(plan->jobs, 1000);
    add_kind(plan, BENCH_SYNC, 1);
    add_kind(plan, BENCH_THREAD_PLAIN, width);
    add_kind(plan, BENCH_THREAD, width);
    add_kind(plan, BENCH_PROCESS, least(width, 100));
    add_kind(plan, BENCH_ASYNC, 1);
    add_kind(plan, BENCH_ASYNC, plan->cpus);
    add_kind(plan, BENCH_HYBRID, plan->cpus);
}

int
bench_plan_models(struct bench_plan *plan, const char *list, const unsigned *widths,
                  size_t n_widths, char *why, size_t why_cap)
{
    int plain = 0;
    for (const char *at = list; at != NULL;) {
        const char *comma = strchr(at, ',');
        char text[128];
        snprintf(text, sizeof text, "%.*s",
                 comma != NULL ? (int)least((unsigned)(comma - at), 120) : 120, at);
        struct bench_model model;
        if (bench_model_read(&model, text, plan->cpus, why, why_cap) < 0)
            return -1;
        plain |= model.kind->id == BENCH_THREAD_PLAIN;
        int spread = n_widths > 0 && strchr(text, ':') == NULL && model.kind->width_max > 0;
        for (size_t i = 0; i < (spread ? n_widths : 1); i++) {
            if (spread) {
                if (widths[i] > model.kind->width_max) {
                    snprintf(why, why_cap, "--width: %s takes 1 to %u, got %u", model.kind->name,
                             model.kind->width_max, widths[i]);
                    return -1;
                }
                model_set(&model, model.kind, widths[i]);
            }
            if (bench_plan_add(plan, &model) < 0) {
                snprintf(why, why_cap, "--models: more than %u", BENCH_MODELS_MAX - 1);
                return -1;
            }
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    if (!plain) {
        unsigned width = plan->kase->flags & BENCH_CPU ? plan->cpus : least(plan->jobs, 1000);
        if (plan->n_models == BENCH_MODELS_MAX) {
            snprintf(why, why_cap, "--models: more than %u", BENCH_MODELS_MAX - 1);
            return -1;
        }
        add_kind(plan, BENCH_THREAD_PLAIN, width);
    }
    return 0;
}

void
bench_plan_share(struct bench_plan *plan)
{
    for (size_t i = 0; i < plan->n_models; i++) {
        struct bench_model *model = &plan->models[i];
        model->jobs = plan->jobs;
        if (model->kind->id == BENCH_SYNC && plan->jobs_sync > 0)
            model->jobs = least(plan->jobs, plan->jobs_sync);
    }
}

unsigned
bench_at_once(const struct bench_plan *plan, const struct bench_model *model)
{
    unsigned jobs = model->jobs, flags = plan->kase->flags;
    switch (model->kind->id) {
    case BENCH_SYNC:
        return 1;
    case BENCH_ASYNC:
        /* A job that holds its thread holds the loop. */
        return flags & (BENCH_CPU | BENCH_BLOCKING) ? least(model->width, jobs) : jobs;
    case BENCH_HYBRID:
        if (flags & BENCH_CPU)
            return least(plan->cpus, jobs);
        if (flags & BENCH_BLOCKING)
            return least(plan->cpus * 2 > 64 ? plan->cpus * 2 : 64, jobs);
        return jobs;
    default:
        return least(model->width, jobs);
    }
}

int64_t
bench_expected_ns(const struct bench_plan *plan, const struct bench_model *model)
{
    int64_t each = plan->kase->flags & BENCH_CPU ? BENCH_CPU_NS : plan->delay_ns;
    unsigned lanes = bench_at_once(plan, model);
    if (plan->kase->flags & BENCH_CPU)
        lanes = least(lanes, plan->cpus);
    int64_t rounds = ((int64_t)model->jobs + lanes - 1) / lanes;
    return rounds * each + (int64_t)model->jobs * 50000; /* and the work around each job */
}

int
bench_input(const struct bench_plan *plan, unsigned index, char *text, size_t cap)
{
    if (plan->kase->flags & BENCH_SERVER)
        return snprintf(text, cap, "%u %s %s %s", index, plan->address, plan->host, plan->path);
    if (plan->kase->flags & BENCH_CPU)
        return snprintf(text, cap, "%u %llu", index, (unsigned long long)plan->rounds);
    return snprintf(text, cap, "%u %lld", index, (long long)plan->delay_ns);
}
