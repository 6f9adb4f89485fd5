/*
 * main.c - crawler: follows the links of a site and says what it found.
 *
 * A lane for each loop has a client and its share of the workers; a worker takes work from the
 * frontier, which all share, fetches, and hands back what it found. Nobody hands out work, and
 * nobody has to say that it is over: the frontier knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "frontier.h"
#include "page.h"
#include "report.h"

struct crawl {
    struct args args;
    struct frontier frontier;
    struct demo demo;
};

struct lane {
    struct crawl *crawl;
    weft_http_client *client;
    unsigned n_workers;
};

static int
fetch(struct lane *lane, struct page *page)
{
    struct frontier *frontier = &lane->crawl->frontier;
    struct outcome outcome;
    struct leads leads;
    page_fetch(lane->client, &lane->crawl->args, page, &outcome, &leads);
    int rc = outcome.rc == -ECANCELED ? outcome.rc : 0;
    if (outcome.rc == 0)
        rc = frontier_add(frontier, page, &leads.urls, leads.redirect);
    if (rc == -ELOOP) {
        outcome.rc = rc;
        outcome.detail = strdup("its redirects lead back to it");
        rc = 0;
    }
    weft_buf_free(&leads.urls);
    frontier_done(frontier, page, &outcome);
    if (lane->crawl->args.verbose && outcome.rc != -ECANCELED)
        report_page(page, report_is_alone(&lane->crawl->args) ? stderr : stdout);
    return rc;
}

static int
fetch_robots(struct lane *lane, struct host *host)
{
    struct robots robots;
    char *detail;
    int rc = page_fetch_robots(lane->client, &lane->crawl->args, frontier_origin(host), &robots,
                               &detail);
    frontier_robots_done(&lane->crawl->frontier, host, &robots, rc, detail);
    return rc == -ECANCELED ? rc : 0;
}

static int
work(void *arg)
{
    struct lane *lane = arg;
    struct work work;
    int rc;
    while ((rc = frontier_take(&lane->crawl->frontier, &work)) > 0) {
        rc = work.page != NULL ? fetch(lane, work.page) : fetch_robots(lane, work.host);
        if (rc < 0)
            break;
    }
    return rc;
}

static int
run_lane(void *arg)
{
    struct lane *lane = arg;
    const struct crawl *crawl = lane->crawl;
    weft_http_client_options options = {.user_agent = crawl->args.user_agent,
                                        .unix_path = crawl->args.demo ? crawl->demo.path : NULL};
    int rc = weft_http_client_new(&lane->client, &options);
    if (rc < 0)
        return rc;
    weft_group workers;
    weft_group_open(&workers, NULL);
    for (unsigned i = 0; i < lane->n_workers; i++)
        weft_group_spawn(&workers, work, lane);
    rc = weft_group_close(&workers);
    weft_http_client_free(lane->client);
    return rc;
}

static int
run_lanes(struct crawl *crawl)
{
    unsigned n = weft_loop_count(), workers = crawl->args.concurrency;
    if (n > workers)
        n = workers;
    struct lane *lanes = calloc(n, sizeof *lanes);
    if (lanes == NULL)
        return -ENOMEM;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < n; i++) {
        lanes[i] = (struct lane){.crawl = crawl, .n_workers = workers / n + (i < workers % n)};
        weft_group_spawn_with(&group, run_lane, &lanes[i],
                              &(weft_task_options){.name = "lane", .on = WEFT_ON(i)});
    }
    int rc = weft_group_close(&group);
    free(lanes);
    return rc;
}

static int
crawl_all(void *arg)
{
    struct crawl *crawl = arg;
    weft_buf start = {0};
    int rc = weft_buf_printf(&start, "%s%c", crawl->args.start, '\0');
    if (rc == 0)
        rc = frontier_add(&crawl->frontier, NULL, &start, false);
    weft_buf_free(&start);
    if (rc == 0 && crawl->args.demo)
        rc = demo_open(&crawl->demo);
    if (rc == 0) {
        weft_group beside; /* what goes on as long as the crawl does */
        weft_group_open(&beside, NULL);
        if (!crawl->args.quiet && !crawl->args.verbose)
            weft_group_spawn(&beside, report_progress, &crawl->frontier);
        if (crawl->args.demo)
            weft_group_spawn(&beside, demo_serve, &crawl->demo);
        rc = run_lanes(crawl);
        weft_group_cancel(&beside);
        int beside_rc = weft_group_close(&beside);
        if (rc == 0 && beside_rc != -ECANCELED)
            rc = beside_rc;
    }
    demo_close(&crawl->demo);
    return rc;
}

/* Everything that is said in the end. */
static int
report(const struct crawl *crawl, FILE *json, weft_time took, bool interrupted)
{
    int rc = json != NULL ? report_json(&crawl->frontier, json, took, interrupted) : 0;
    if (!crawl->args.quiet && !report_is_alone(&crawl->args))
        report_summary(&crawl->frontier, took, interrupted);
    if (fflush(stdout) != 0 || ferror(stdout))
        rc = rc < 0 ? rc : weft_error_note(-EIO, "standard output cannot be written");
    return rc;
}

int
main(int argc, char **argv)
{
    static struct crawl crawl;
    FILE *json = NULL;
    args_read(&crawl.args, argc, argv);
    int rc = frontier_open(&crawl.frontier, &crawl.args);
    if (rc < 0) {
        fprintf(stderr, "crawler: %s\n", weft_strerror(rc));
        return EXIT_TROUBLE;
    }
    rc = report_json_open(&crawl.args, &json); /* before the work, which may take hours */
    weft_time begun = weft_now();
    if (rc == 0)
        rc = weft_run(crawl_all, &crawl, &(weft_options){.loops = crawl.args.loops});
    bool interrupted = rc == -ECANCELED;
    if (rc == 0 || interrupted)
        rc = report(&crawl, json, weft_now() - begun, interrupted);
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "crawler: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    int status = rc < 0 ? EXIT_TROUBLE : report_exit_status(&crawl.frontier, interrupted);
    frontier_close(&crawl.frontier);
    free(crawl.args.start);
    return status;
}
