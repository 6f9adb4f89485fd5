/*
 * runner.c - starts a process for each run, watches it, and ends it when it takes too long.
 *
 * Runs go round robin over the models, so that whatever else the machine does meets them all.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "measure.h"
#include "results.h"

/* Between two looks at a process's memory and threads; less at first, for short runs. */
#define SAMPLE_NS INT64_C(50000000)
#define SAMPLE_FIRST_NS INT64_C(4000000)

struct watch {
    pid_t pid;
    int pipe;
    int several; /* the model has processes of its own */
    int64_t begun, deadline;
    struct bench_tree peak;
    char *line; /* what the run has written so far */
    size_t len;
};

struct progress {
    int on;
    unsigned done, total;
    int64_t begun, left_ns; /* what the runs not done should take */
    int64_t shown;
};

static void
fail(struct bench_figures *f, const char *sentence)
{
    if (f->failure[0] == '\0')
        snprintf(f->failure, sizeof f->failure, "%s", sentence);
}

static void
progress_show(struct progress *p, const struct bench_plan *plan, const struct bench_model *model,
              unsigned repeat, int64_t begun)
{
    int64_t now = bench_clock_ns();
    if (!p->on || (now - p->shown < 200000000 && begun != 0))
        return;
    p->shown = now;
    int64_t run = begun != 0 ? now - begun : 0, expected = bench_expected_ns(plan, model);
    int64_t left = p->left_ns - (run < expected ? run : expected);
    fprintf(stderr, "\r\033[K%s: %s, repeat %u/%u, run %u/%u, %.1f s gone, about %.0f s left",
            plan->kase->name, model->spec, repeat + 1, plan->repeats, p->done + 1, p->total,
            (double)(now - p->begun) / 1e9, (double)left / 1e9);
    fflush(stderr);
}

static void
progress_end(const struct progress *p)
{
    if (p->on)
        fputs("\r\033[K", stderr);
}

static int
watch_start(struct watch *w, const struct bench_plan *plan, const struct bench_model *model,
            unsigned head)
{
    char fd[16], jobs[16], first[16], delay[32], rounds[32], cpus[16];
    int ends[2];
    memset(w, 0, sizeof *w);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    snprintf(fd, sizeof fd, "%d", ends[1]);
    snprintf(jobs, sizeof jobs, "%u", model->jobs);
    snprintf(first, sizeof first, "%u", head);
    /* What another server's delay is we only know from one trial: no measure for a run. */
    int known = !(plan->kase->flags & BENCH_SERVER) || plan->own_server;
    snprintf(delay, sizeof delay, "%lld", known ? (long long)plan->delay_ns : 0LL);
    snprintf(rounds, sizeof rounds, "%llu", (unsigned long long)plan->rounds);
    snprintf(cpus, sizeof cpus, "%u", plan->cpus);
    char *argv[] = {
        "weft-compare",
        "run-one",
        fd,
        (char *)plan->kase->name,
        (char *)model->spec,
        jobs,
        first,
        delay,
        rounds,
        cpus,
        (char *)plan->address,
        (char *)plan->host,
        (char *)plan->path,
        NULL,
    };
    pid_t pid = bench_child_start(argv, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return pid;
    }
    w->pid = pid;
    w->pipe = ends[0];
    w->several = model->kind->id == BENCH_PROCESS;
    w->begun = bench_clock_ns();
    w->deadline = w->begun + 10 * bench_expected_ns(plan, model) + INT64_C(10000000000);
    return 0;
}

static void
watch_sample(struct watch *w)
{
    struct bench_tree now;
    bench_tree_read(w->pid, w->several, &now);
    if (now.processes > w->peak.processes)
        w->peak.processes = now.processes;
    if (now.threads > w->peak.threads)
        w->peak.threads = now.threads;
    if (now.pss_bytes > w->peak.pss_bytes)
        w->peak.pss_bytes = now.pss_bytes;
}

/* Takes in what the run writes. Returns 1 at the end, 0 for more, or -ENOMEM. */
static int
watch_read(struct watch *w)
{
    char *more = realloc(w->line, w->len + 4096 + 1);
    if (more == NULL)
        return -ENOMEM;
    w->line = more;
    ssize_t n = read(w->pipe, w->line + w->len, 4096);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    w->len += (size_t)n;
    w->line[w->len] = '\0';
    return n == 0;
}

/* Whether a process of the run's group is still there, given a moment to go. */
static int
group_left(pid_t pid)
{
    for (int i = 0; i < 50; i++) {
        if (kill(-pid, 0) < 0)
            return 0;
        poll(NULL, 0, 10);
    }
    return 1;
}

static void
watch_end(struct watch *w, int ended, struct bench_figures *f)
{
    int status = 0;
    if (!ended) {
        bench_child_kill(w->pid);
    } else {
        while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (w->line == NULL || bench_figures_read(f, w->line) < 0) {
            char text[100];
            if (WIFSIGNALED(status))
                snprintf(text, sizeof text, "its process was killed by signal %d (%s)",
                         WTERMSIG(status), strsignal(WTERMSIG(status)));
            else
                snprintf(text, sizeof text, "its process ended with code %d and no result",
                         WEXITSTATUS(status));
            fail(f, text);
        } else if (status != 0) {
            fail(f, WIFSIGNALED(status) ? "its process was killed at the end" : "it failed");
        }
        if (group_left(w->pid)) {
            fail(f, "it left a process behind");
            kill(-w->pid, SIGKILL);
        }
    }
    close(w->pipe);
    free(w->line);
}

/* One run from start to end. Returns 0, or -EINTR when we were told to stop. */
static int
run_once(const struct bench_plan *plan, const struct bench_model *model, unsigned head,
         unsigned repeat, struct progress *progress, struct bench_figures *f)
{
    struct watch w;
    memset(f, 0, sizeof *f);
    snprintf(f->spec, sizeof f->spec, "%s", model->spec);
    int rc = watch_start(&w, plan, model, head);
    if (rc < 0) {
        fail(f, "its process could not be started");
        return 0;
    }
    int ended = 0;
    int64_t next = w.begun;
    while (!ended && !bench_interrupted()) {
        int64_t now = bench_clock_ns();
        if (now >= next) {
            watch_sample(&w);
            int64_t pause = (now - w.begun) / 4;
            pause = pause < SAMPLE_FIRST_NS ? SAMPLE_FIRST_NS : pause;
            next = now + (pause < SAMPLE_NS ? pause : SAMPLE_NS);
        }
        progress_show(progress, plan, model, repeat, w.begun);
        if (now >= w.deadline)
            break;
        struct pollfd ready = {.fd = w.pipe, .events = POLLIN};
        if (poll(&ready, 1, (int)((next - now) / 1000000) + 1) > 0) {
            rc = watch_read(&w);
            if (rc < 0)
                break;
            ended = rc;
        }
    }
    int late = !ended && rc == 0 && !bench_interrupted();
    watch_end(&w, ended, f);
    snprintf(f->spec, sizeof f->spec, "%s", model->spec);
    f->threads = w.peak.threads;
    f->processes = w.peak.processes;
    if (w.several) {
        /* Of the program's own pages PSS gives a share to us and to the server, who run the same
         * program; the other models' VmHWM does not. So what counts is how far PSS grew. */
        uint64_t grown =
            w.peak.pss_bytes > f->base_pss_bytes ? w.peak.pss_bytes - f->base_pss_bytes : 0;
        f->peak_pss_bytes = w.peak.pss_bytes;
        f->peak_bytes = f->base_bytes + grown;
    }
    if (late) {
        char text[80];
        snprintf(text, sizeof text, "timed out after %.0f s", (double)(w.deadline - w.begun) / 1e9);
        fail(f, text);
    } else if (rc < 0) {
        fail(f, "its result could not be read");
    }
    return bench_interrupted() ? -EINTR : 0;
}

/* What the server saw during a run against what the run says. */
static void
check_server(struct bench_server *server, const struct bench_server_counts *before,
             struct bench_figures *f)
{
    struct bench_server_counts after;
    if (bench_server_ask(server, &after) < 0) {
        fail(f, "the delay server does not answer");
        return;
    }
    uint64_t good = f->jobs - f->failed;
    char text[120];
    f->server_requests = after.requests - before->requests;
    if (f->failure[0] != '\0')
        return;
    if (f->server_requests > f->jobs || f->server_requests < good) {
        snprintf(text, sizeof text, "the server counted %llu requests for %llu jobs",
                 (unsigned long long)f->server_requests, (unsigned long long)good);
        fail(f, text);
    } else if (after.bodies - before->bodies < good) {
        snprintf(text, sizeof text, "the server sent %llu answers for %llu jobs",
                 (unsigned long long)(after.bodies - before->bodies), (unsigned long long)good);
        fail(f, text);
    }
}

static unsigned
head_of(const struct bench_plan *plan)
{
    unsigned head = plan->jobs;
    for (size_t i = 0; i < plan->n_models; i++)
        head = plan->models[i].jobs < head ? plan->models[i].jobs : head;
    return head;
}

/* The next run of a model. Returns 0, or -EINTR when we were told to stop. */
static int
run_model(const struct bench_plan *plan, struct bench_server *server, struct bench_result *result,
          unsigned head, unsigned repeat, struct progress *progress)
{
    struct bench_figures *f = &result->runs[result->n_runs];
    struct bench_server_counts before = {0, 0, 0, 0};
    uint64_t drops = bench_listen_overflows();
    progress_show(progress, plan, result->model, repeat, 0);
    if (plan->own_server && bench_server_ask(server, &before) < 0)
        before = (struct bench_server_counts){0, 0, 0, 0}; /* the check will say it */
    int rc = run_once(plan, result->model, head, repeat, progress, f);
    if (rc < 0)
        return rc;
    f->listen_drops = bench_listen_overflows() - drops;
    if (plan->own_server)
        check_server(server, &before, f);
    result->n_runs++;
    return 0;
}

int
bench_run_plan(const struct bench_plan *plan, struct bench_server *server, int progress_on,
               struct bench_results *ret_results)
{
    struct progress progress = {.on = progress_on, .begun = bench_clock_ns()};
    unsigned head = head_of(plan);
    int rc = bench_results_open(ret_results, plan);
    if (rc < 0)
        return rc;
    for (size_t m = 0; m < plan->n_models; m++)
        progress.left_ns += bench_expected_ns(plan, &plan->models[m]) * plan->repeats;
    progress.total = (unsigned)plan->n_models * plan->repeats;

    for (unsigned i = 0; rc == 0 && i < plan->repeats; i++) {
        for (size_t m = 0; rc == 0 && m < plan->n_models; m++) {
            struct bench_result *result = &ret_results->models[m];
            /* Who failed once has failed; another ten time-outs would only be waited for. */
            if (result->n_runs == 0 || result->runs[result->n_runs - 1].failure[0] == '\0')
                rc = run_model(plan, server, result, head, i, &progress);
            progress.done++;
            progress.left_ns -= bench_expected_ns(plan, result->model);
        }
    }
    progress_end(&progress);
    ret_results->interrupted = rc == -EINTR;
    bench_results_settle(ret_results);
    return 0;
}
