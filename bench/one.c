/*
 * one.c - one run of one model: before, during, after, and whether what came out can be true.
 *
 * The process is fresh, so what it used is what the model used. Figures a model gives about
 * itself are not believed: bodies count themselves in shared memory, time themselves, and the
 * run's own clock stands around all of them.
 */
#include "one.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft/error.h>

#include "measure.h"
#include "stat.h"

static char note[256]; /* the first thing that went wrong */

void
bench_one_note(const char *format, ...)
{
    va_list args;
    if (note[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
}

static void
files_back(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void
bench_use_up_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the first number that is free */
    if (lowest < 0)
        return;
    close(lowest);
    limit.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static double
ms(int64_t ns)
{
    return (double)ns / 1e6;
}

/* Stamps in order, inside the run's own clock, and no shorter than the body's own time. */
static void
check_stamps(const struct bench_one *one, unsigned i)
{
    const struct bench_record *r = &one->records[i];
    int64_t took = r->ended - r->started;
    int64_t least = one->plan.kase->flags & BENCH_WAITS ? one->plan.delay_ns : 0;
    if (r->submitted < one->begun || r->started < r->submitted || r->ended < r->started ||
        r->ended > one->ended) {
        bench_one_note("job %u: its times are not in order: submitted %+.3f, started %+.3f, ended "
                       "%+.3f ms in a run of %.3f ms",
                       i, ms(r->submitted - one->begun), ms(r->started - one->begun),
                       ms(r->ended - one->begun), ms(one->ended - one->begun));
    } else if (took < (int64_t)r->found.took_ns) {
        bench_one_note("job %u: latency of %.3f ms from start, but its body ran for %.3f ms", i,
                       ms(took), ms((int64_t)r->found.took_ns));
    } else if (took < least) {
        bench_one_note("job %u: latency of %.3f ms from start is less than the delay of %.3f ms", i,
                       ms(took), ms(least));
    }
}

/* Little's law: jobs present on average = rate x mean latency, so rate x sum of latencies / n has
 * to be what the bodies' own times say, but for what the model puts around them. */
static void
check_sum(const struct bench_one *one, unsigned n_good, double latencies, double bodies)
{
    double wall = (double)(one->ended - one->begun);
    double around = 20e6 * n_good;
    if (n_good == 0 || wall <= 0)
        return;
    if (latencies > bodies * 1.25 + around)
        bench_one_note(
            "latencies say that %.1f jobs were at once on average, their bodies say %.1f",
            latencies / wall, bodies / wall);
}

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Order does not count, but which job found what does. */
static uint64_t
result_hash(const weft_sample_result *found)
{
    uint64_t h = mix(found->body);
    h = mix(h ^ found->index);
    h = mix(h ^ found->value);
    h = mix(h ^ found->status);
    return mix(h ^ found->length);
}

static void
errors_write(const struct bench_one *one, char *text, size_t cap)
{
    struct {
        int result;
        unsigned n;
    } kinds[8] = {{0, 0}};
    size_t n_kinds = 0, len = 0;
    for (unsigned i = 0; i < one->model.jobs; i++) {
        int result = one->records[i].result;
        size_t k = 0;
        if (result >= 0)
            continue;
        while (k < n_kinds && kinds[k].result != result)
            k++;
        if (k == sizeof kinds / sizeof *kinds)
            k--; /* the last slot takes what has no room */
        kinds[k].result = result;
        kinds[k].n++;
        n_kinds += k == n_kinds;
    }
    for (size_t k = 0; k < n_kinds && len < cap; k++)
        len += (size_t)snprintf(text + len, cap - len, "%s%s %u", k > 0 ? ", " : "",
                                weft_errname(kinds[k].result), kinds[k].n);
}

static uint64_t
rank(const double *sorted, size_t n, double p)
{
    return (uint64_t)bench_percentile(sorted, n, p);
}

/* Goes over all records once: checks them, adds them up. */
static void
records_read(struct bench_one *one, struct bench_figures *f)
{
    unsigned n = one->model.jobs, good = 0;
    double *submit = calloc(4 * (size_t)n, sizeof *submit), latencies = 0, bodies = 0;
    if (submit == NULL) {
        bench_one_note("no memory for the latencies of %u jobs", n);
        return;
    }
    double *start = submit + n, *begins = start + n, *ends = begins + n;
    for (unsigned i = 0; i < n; i++) {
        struct bench_record *r = &one->records[i];
        if (r->result < 0) {
            f->failed++;
            continue;
        }
        if (r->found.index != i)
            bench_one_note("job %u handed back the result of job %llu", i,
                           (unsigned long long)r->found.index);
        check_stamps(one, i);
        uint64_t hash = result_hash(&r->found);
        f->checksum += hash;
        if (i < one->head)
            f->checksum_head += hash;
        submit[good] = (double)(r->ended - r->submitted);
        start[good] = (double)(r->ended - r->started);
        /* By the body's own time: handing a finished job over may overlap the next one's begin. */
        begins[good] = (double)(r->started - one->begun);
        ends[good] = begins[good] + (double)r->found.took_ns;
        latencies += start[good];
        bodies += (double)r->found.took_ns;
        good++;
    }
    check_sum(one, good, latencies, bodies);
    f->at_once = bench_overlap_peak(begins, ends, good);
    bench_sort(submit, good);
    bench_sort(start, good);
    f->submit_p50_ns = rank(submit, good, 50);
    f->submit_p90_ns = rank(submit, good, 90);
    f->submit_p99_ns = rank(submit, good, 99);
    f->submit_max_ns = rank(submit, good, 100);
    f->start_p50_ns = rank(start, good, 50);
    f->start_p90_ns = rank(start, good, 90);
    f->start_p99_ns = rank(start, good, 99);
    f->start_max_ns = rank(start, good, 100);
    f->first_value = one->records[0].found.value;
    free(submit);
}

/* What a dishonest model would do with its records. */
static void
sabotage_records(struct bench_one *one)
{
    struct bench_record *r = one->records;
    unsigned last = one->model.jobs - 1;
    if (one->sabotage == BENCH_DROP_JOB) {
        char *input = r[0].input;
        size_t input_len = r[0].input_len;
        r[0] = r[last];
        r[0].input = input;
        r[0].input_len = input_len;
        r[0].found.index = 0;
    } else if (one->sabotage == BENCH_LIE_LATENCY) {
        r[last].ended = r[last].started + (r[last].ended - r[last].started) / 2;
    }
}

static int
records_open(struct bench_one *one)
{
    char text[1024];
    one->records = calloc(one->model.jobs, sizeof *one->records);
    if (one->records == NULL)
        return -1;
    for (unsigned i = 0; i < one->model.jobs; i++) {
        struct bench_record *r = &one->records[i];
        r->input_len = (size_t)bench_input(&one->plan, i, text, sizeof text);
        r->input = r->input_len < sizeof text ? strdup(text) : NULL;
        if (r->input == NULL)
            return -1;
    }
    return 0;
}

static void
records_close(struct bench_one *one)
{
    for (unsigned i = 0; one->records != NULL && i < one->model.jobs; i++)
        free(one->records[i].input);
    free(one->records);
    one->records = NULL;
}

static void
measure(struct bench_one *one, struct bench_figures *f)
{
    struct bench_usage before, after;
    int several = one->model.kind->id == BENCH_PROCESS;
    uint64_t *bodies =
        mmap(NULL, sizeof *bodies, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(f->spec, sizeof f->spec, "%s", one->model.spec);
    if (bodies == MAP_FAILED || records_open(one) < 0) {
        bench_one_note("no memory for the records of %u jobs", one->model.jobs);
        return;
    }
    weft_sample_jobs_count(bodies);
    unsigned files = bench_descriptors();
    f->base_bytes = bench_status_bytes("VmRSS:");
    f->base_pss_bytes = several ? bench_pss_bytes(getpid()) : 0;
    bench_usage_read(&before);

    int plain = one->model.kind->id == BENCH_THREAD_PLAIN;
    int rc = plain ? bench_plain_run(one) : bench_weft_run(one);

    bench_usage_read(&after);
    if (one->sabotage == BENCH_FEW_FILES)
        files_back();
    f->peak_bytes = several ? 0 : bench_status_bytes("VmHWM:");
    if (one->sabotage == BENCH_HOLD_FD && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
        bench_one_note("the descriptor to hold cannot be opened");
    f->jobs = one->model.jobs;
    f->open_ns = (uint64_t)one->open_ns;
    f->wall_ns = (uint64_t)(one->ended - one->begun);
    f->user_us = after.user_us - before.user_us;
    f->system_us = after.system_us - before.system_us;
    f->voluntary = after.voluntary - before.voluntary;
    f->involuntary = after.involuntary - before.involuntary;
    f->crashed = one->crashed;
    f->executed = __atomic_load_n(bodies, __ATOMIC_SEQ_CST); /* after the last body ended */
    if (rc < 0) {
        bench_one_note("failed: %s", weft_strerror(rc));
        return;
    }
    sabotage_records(one);
    records_read(one, f);
    errors_write(one, f->errors, sizeof f->errors);

    uint64_t good = f->jobs - f->failed;
    if (f->executed > f->jobs || f->executed < good)
        bench_one_note("%llu bodies ran for %llu jobs", (unsigned long long)f->executed,
                       (unsigned long long)good);
    unsigned files_now = bench_descriptors();
    if (files_now != files)
        bench_one_note("open descriptors: %u before, %u afterwards", files, files_now);
}

/* "name" or "name:model": the second applies to that model alone. */
static enum bench_sabotage
sabotage_of(const struct bench_model *model)
{
    static const char *const names[] = {"", "drop-job", "lie-latency", "hold-fd", "few-files"};
    const char *asked = getenv("WEFT_COMPARE_SABOTAGE");
    if (asked == NULL)
        return BENCH_HONEST;
    for (unsigned i = 1; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(asked, names[i], len) != 0)
            continue;
        if (asked[len] == '\0' ||
            (asked[len] == ':' && (strcmp(asked + len + 1, model->spec) == 0 ||
                                   strcmp(asked + len + 1, model->kind->name) == 0)))
            return (enum bench_sabotage)i;
    }
    return BENCH_HONEST;
}

int
bench_one_main(int argc, char **argv)
{
    /* run-one FD CASE MODEL JOBS HEAD DELAY ROUNDS CPUS ADDRESS HOST PATH: ours, so it is right */
    static struct bench_one one;
    struct bench_figures figures;
    char why[200];
    if (argc != 13)
        return 2;
    memset(&figures, 0, sizeof figures);
    one.plan.kase = bench_case_find(argv[3]);
    one.plan.cpus = (unsigned)atoi(argv[9]);
    if (one.plan.kase == NULL ||
        bench_model_read(&one.model, argv[4], one.plan.cpus, why, sizeof why) < 0)
        return 2;
    one.model.jobs = one.plan.jobs = (unsigned)atoi(argv[5]);
    one.head = (unsigned)atoi(argv[6]);
    one.plan.delay_ns = atoll(argv[7]);
    one.plan.rounds = strtoull(argv[8], NULL, 10);
    snprintf(one.plan.address, sizeof one.plan.address, "%s", argv[10]);
    snprintf(one.plan.host, sizeof one.plan.host, "%s", argv[11]);
    snprintf(one.plan.path, sizeof one.plan.path, "%s", argv[12]);
    one.sabotage = sabotage_of(&one.model);

    FILE *to = fdopen(atoi(argv[2]), "w");
    if (to == NULL)
        return 3;
    fcntl(fileno(to), F_SETFD, FD_CLOEXEC);
    measure(&one, &figures);
    snprintf(figures.failure, sizeof figures.failure, "%s", note);
    bench_figures_write(to, &figures);
    putc('\n', to);
    records_close(&one);
    return fclose(to) == 0 && note[0] == '\0' ? 0 : 1;
}
