/*
 * report.h - what a crawl is doing, and what it found.
 */
#ifndef CRAWLER_REPORT_H
#define CRAWLER_REPORT_H

#include <stdio.h>

#include "frontier.h"

/* A task: a line on the terminal that is written anew now and then, until it is cancelled; no line
 * at all when standard error is no terminal. `frontier` is a struct frontier. */
int report_progress(void *frontier);

/* A line for a page that has ended (--verbose). */
void report_page(const struct page *page, FILE *file);

/* Whether the JSON goes to standard output, where nothing else may be then. */
bool report_is_alone(const struct args *args);

/* The tables, on standard output. `took` is the time of the whole crawl. */
void report_summary(const struct frontier *frontier, weft_time took, bool interrupted);

/* The file that was asked for; NULL: none was. 0, or a failure that weft_error_text() explains. */
int report_json_open(const struct args *args, FILE **ret_file);

/* All pages and figures as JSON, into that file, which is closed. Fails as that. */
int report_json(const struct frontier *frontier, FILE *file, weft_time took, bool interrupted);

/* One of the EXIT codes. */
int report_exit_status(const struct frontier *frontier, bool interrupted);

#endif
