/*
 * report.c - tables for people and JSON for programs, in an order that does not depend on which
 * page came first.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

#define SLOWEST_MAX 5
#define PROBLEMS_MAX 20
#define PROGRESS_EVERY WEFT_MS(200)

/* ELOOP is of symbolic links elsewhere. */
static const char *
reason(int rc)
{
    return rc == -ELOOP ? "redirects without end" : weft_strerror(rc);
}

/* ---- While it goes on ----------------------------------------------------------------------- */

int
report_progress(void *arg)
{
    struct frontier *f = arg;
    if (!isatty(STDERR_FILENO))
        return 0;
    weft_time begun = weft_now();
    int rc;
    while ((rc = weft_sleep(PROGRESS_EVERY)) == 0) {
        struct totals t;
        frontier_totals(f, &t);
        size_t done = t.fetched + t.failed + t.excluded;
        fprintf(stderr, "\r\033[K%zu done, %zu being fetched, %zu queued, %zu failed, %.1f pages/s",
                done, t.taken, t.queued, t.failed,
                (double)(t.fetched + t.failed) * 1e9 / (double)(weft_now() - begun));
    }
    fputs("\r\033[K", stderr);
    return rc;
}

static const char *
what_became_of(const struct page *page, char *text, size_t size)
{
    const struct outcome *o = &page->outcome;
    switch (page->state) {
    case PAGE_FETCHED:
        snprintf(text, size, "%d", o->status);
        return text;
    case PAGE_FAILED:
        return reason(o->rc);
    case PAGE_EXCLUDED:
        return "excluded";
    default:
        return "not reached";
    }
}

void
report_page(const struct page *page, FILE *file)
{
    char text[16];
    fprintf(file, "%-4s %8" PRIu64 " bytes %6.0f ms  %s\n", what_became_of(page, text, sizeof text),
            page->outcome.bytes, (double)page->outcome.took / 1e6, page->url);
    fflush(file);
}

/* ---- In the end ----------------------------------------------------------------------------- */

static int
by_url(const void *a, const void *b)
{
    const struct page *const *left = a, *const *right = b;
    return strcmp((*left)->url, (*right)->url);
}

static int
by_time(const void *a, const void *b)
{
    const struct page *const *left = a, *const *right = b;
    weft_time l = (*left)->outcome.took, r = (*right)->outcome.took;
    return l < r ? 1 : l > r ? -1 : 0;
}

/* To be freed; NULL without memory. */
static struct page **
sorted(const struct frontier *f, int (*order)(const void *, const void *))
{
    size_t n = f->totals.known;
    struct page **pages = malloc((n > 0 ? n : 1) * sizeof(struct page *));
    if (pages != NULL && n > 0) {
        memcpy(pages, f->pages, n * sizeof(struct page *));
        qsort(pages, n, sizeof(struct page *), order);
    }
    return pages;
}

static bool
is_problem(const struct page *page)
{
    return page->state == PAGE_FAILED ||
           (page->state == PAGE_FETCHED && page->outcome.status >= 400);
}

struct sums {
    uint64_t bytes, retries, redirects, cut, problems;
    unsigned statuses[600];
};

static void
sum_up(const struct frontier *f, struct sums *s)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < f->totals.known; i++) {
        const struct page *page = f->pages[i];
        const struct outcome *o = &page->outcome;
        s->bytes += o->bytes;
        s->retries += o->attempts > 1 ? o->attempts - 1 : 0;
        s->cut += o->cut;
        s->problems += is_problem(page);
        s->redirects += page->state == PAGE_FETCHED && o->status / 100 == 3;
        if (page->state == PAGE_FETCHED && o->status >= 0 && o->status < 600)
            s->statuses[o->status]++;
    }
}

static void
row(const char *name, uint64_t n, const char *more)
{
    if (n > 0)
        printf("  %-20s %9" PRIu64 "%s\n", name, n, more);
}

/* Kinds of failures, in the order in which pages had them by URL. */
static void
print_errors(struct page **pages, size_t n)
{
    bool head = false;
    for (size_t i = 0; i < n; i++) {
        if (pages[i]->state != PAGE_FAILED)
            continue;
        uint64_t same = 0;
        bool first = true;
        for (size_t j = 0; j < n && first; j++) {
            bool alike =
                pages[j]->state == PAGE_FAILED && pages[j]->outcome.rc == pages[i]->outcome.rc;
            first = !(alike && j < i);
            same += alike;
        }
        if (!first)
            continue;
        if (!head)
            printf("\nErrors\n");
        head = true;
        printf("  %9" PRIu64 "  %s\n", same, reason(pages[i]->outcome.rc));
    }
}

static void
print_problems(struct page **pages, size_t n, uint64_t problems)
{
    char text[16];
    size_t shown = 0;
    if (problems > 0)
        printf("\nProblems\n");
    for (size_t i = 0; i < n && shown < PROBLEMS_MAX; i++) {
        const struct page *page = pages[i];
        if (!is_problem(page))
            continue;
        shown++;
        printf("  %s: %s\n", what_became_of(page, text, sizeof text), page->url);
        if (page->outcome.detail != NULL)
            printf("      %s\n", page->outcome.detail);
        if (page->from != NULL)
            printf("      on %s\n", page->from->url);
    }
    if (problems > shown)
        printf("  and %" PRIu64 " more; --json has all\n", problems - shown);
}

static void
print_slowest(const struct frontier *f)
{
    struct page **pages = sorted(f, by_time);
    size_t n = f->totals.known < SLOWEST_MAX ? f->totals.known : SLOWEST_MAX;
    if (pages != NULL && n > 0 && pages[0]->outcome.took > 0)
        printf("\nSlowest\n");
    for (size_t i = 0; pages != NULL && i < n && pages[i]->outcome.took > 0; i++)
        printf("  %6.0f ms  %s\n", (double)pages[i]->outcome.took / 1e6, pages[i]->url);
    free(pages);
}

void
report_summary(const struct frontier *f, weft_time took, bool interrupted)
{
    const struct totals *t = &f->totals;
    struct page **pages = sorted(f, by_url);
    struct sums *s = malloc(sizeof *s);
    if (pages == NULL || s == NULL) {
        free(pages);
        free(s);
        return;
    }
    sum_up(f, s);
    printf("%s %s", interrupted ? "Interrupted:" : "Crawled", f->args->start);
    if (!f->args->demo) /* which prints the same each time */
        printf(" in %.1f s, %.1f pages/s", (double)took / 1e9,
               (double)(t->fetched + t->failed) * 1e9 / (double)(took > 0 ? took : 1));
    printf("\n\nPages\n");
    row("fetched", t->fetched, "");
    row("redirects of these", s->redirects, "");
    row("failed", t->failed, "");
    row("excluded", t->excluded, " by robots.txt");
    row("not reached", t->queued, "");
    row("retries", s->retries, "");
    row("cut off", s->cut, " at --max-bytes");
    row("links not followed", t->over_limit, " because of --max-pages");
    row("bytes", s->bytes, "");
    if (t->fetched > 0)
        printf("\nStatuses\n");
    for (int i = 0; i < 600; i++) {
        if (s->statuses[i] > 0)
            printf("  %9u  %d %s\n", s->statuses[i], i, weft_http_reason(i));
    }
    print_errors(pages, t->known);
    if (!f->args->demo)
        print_slowest(f);
    print_problems(pages, t->known, s->problems);
    free(pages);
    free(s);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *
page_json(const struct page *page)
{
    static const char *const states[] = {"not reached", "not reached", "fetched", "failed",
                                         "excluded"};
    const struct outcome *o = &page->outcome;
    json_t *json = json_pack("{s:s, s:i, s:s}", "url", page->url, "depth", (int)page->depth,
                             "state", states[page->state]);
    if (json == NULL)
        return NULL;
    bool failed = page->state == PAGE_FAILED;
    int rc = 0;
    if (page->from != NULL)
        rc |= json_object_set_new(json, "from", json_string(page->from->url));
    if (page->to != NULL)
        rc |= json_object_set_new(json, "to", json_string(page->to->url));
    if (page->state == PAGE_FETCHED)
        rc |= json_object_set_new(json, "status", json_integer(o->status));
    if (o->attempts > 0) {
        rc |= json_object_set_new(json, "attempts", json_integer(o->attempts));
        rc |= json_object_set_new(json, "bytes", json_integer((json_int_t)o->bytes));
        rc |= json_object_set_new(json, "seconds", json_real((double)o->took / 1e9));
    }
    if (o->cut)
        rc |= json_object_set_new(json, "cut", json_true());
    if (failed)
        rc |= json_object_set_new(json, "error", json_string(reason(o->rc)));
    /* What others say may be no UTF-8, which JSON has to be. */
    if (failed && o->detail != NULL)
        weft_ignore(json_object_set_new(json, "detail", json_string(o->detail)));
    if (rc == 0)
        return json;
    json_decref(json);
    return NULL;
}

static json_t *
whole_json(const struct frontier *f, weft_time took, bool interrupted)
{
    const struct totals *t = &f->totals;
    struct page **pages = sorted(f, by_url);
    struct sums *s = malloc(sizeof *s);
    json_t *list = json_array(), *json = NULL;
    bool whole = pages != NULL && s != NULL && list != NULL;
    for (size_t i = 0; whole && i < t->known; i++)
        whole = json_array_append_new(list, page_json(pages[i])) == 0;
    if (whole) {
        sum_up(f, s);
        json = json_pack("{s:s, s:b, s:f, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:O}",
                         "start", f->args->start, "interrupted", (int)interrupted, "seconds",
                         (double)took / 1e9, "totals", "fetched", (json_int_t)t->fetched, "failed",
                         (json_int_t)t->failed, "excluded", (json_int_t)t->excluded, "not_reached",
                         (json_int_t)t->queued, "redirects", (json_int_t)s->redirects, "retries",
                         (json_int_t)s->retries, "over_limit", (json_int_t)t->over_limit, "bytes",
                         (json_int_t)s->bytes, "pages", list);
    }
    json_decref(list);
    free(pages);
    free(s);
    return json;
}

bool
report_is_alone(const struct args *args)
{
    return args->json != NULL && strcmp(args->json, "-") == 0;
}

static int
not_written(const struct args *args, int rc)
{
    return weft_error_note(rc, "%s cannot be written",
                           report_is_alone(args) ? "standard output" : args->json);
}

int
report_json_open(const struct args *args, FILE **ret_file)
{
    *ret_file = NULL;
    if (args->json != NULL)
        *ret_file = report_is_alone(args) ? stdout : fopen(args->json, "we");
    return args->json != NULL && *ret_file == NULL ? not_written(args, -errno) : 0;
}

int
report_json(const struct frontier *f, FILE *file, weft_time took, bool interrupted)
{
    json_t *json = whole_json(f, took, interrupted);
    int rc = 0;
    if (json == NULL)
        rc = weft_error_note(-ENOMEM, "no memory for the JSON");
    else if (json_dumpf(json, file, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0 ||
             putc('\n', file) == EOF)
        rc = not_written(f->args, -EIO);
    if ((file == stdout ? fflush(file) : fclose(file)) != 0 && rc == 0)
        rc = not_written(f->args, -errno);
    json_decref(json);
    return rc;
}

int
report_exit_status(const struct frontier *f, bool interrupted)
{
    if (interrupted)
        return EXIT_INTERRUPTED;
    const struct page *start = f->totals.known > 0 ? f->pages[0] : NULL;
    for (int i = 0; i < HOPS_MAX && start != NULL && start->to != NULL; i++)
        start = start->to;
    if (start == NULL || start->state != PAGE_FETCHED || start->outcome.status >= 400)
        return EXIT_TROUBLE;
    for (size_t i = 0; i < f->totals.known; i++) {
        if (is_problem(f->pages[i]))
            return EXIT_SOME_FAILED;
    }
    return EXIT_ALL_FETCHED;
}
