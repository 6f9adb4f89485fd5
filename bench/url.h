/*
 * url.h - the server of --url: read, resolved once, and asked once before any model runs.
 */
#ifndef BENCH_URL_H
#define BENCH_URL_H

#include "case.h"

/* Reads "http://HOST[:PORT][/PATH]" and resolves HOST. Returns 0; 2 for a bad URL, 3 when the name
 * cannot be resolved, each after saying so. */
int bench_url_read(struct bench_plan *plan, const char *url);

/* GETs the plan's page once. Returns 0 and how long it took; 3 after saying why it failed. */
int bench_url_try(const struct bench_plan *plan, int64_t *ret_ns);

#endif
