/*
 * args.h - what the command line asks for.
 */
#ifndef CRAWLER_ARGS_H
#define CRAWLER_ARGS_H

#include <stdbool.h>

#include <weft.h>

/* How the program ends. */
enum {
    EXIT_ALL_FETCHED = 0,
    EXIT_TROUBLE = 1, /* the start page could not be had, or the program itself failed */
    EXIT_ARGUMENTS = 2,
    EXIT_SOME_FAILED = 3, /* pages failed, or had a status of 400 or more */
    EXIT_INTERRUPTED = 130
};

struct args {
    char *start; /* the URL, normalised; to be freed */
    const char *user_agent;
    const char *json; /* a file, "-" for standard output; NULL: none */
    unsigned depth, per_host, concurrency, max_pages, retries, loops;
    size_t max_bytes;         /* of a page */
    weft_time timeout, delay; /* of an attempt; between two requests to a host */
    bool same_host, ignore_robots, quiet, verbose, demo;
};

/* Ends the program with EXIT_ARGUMENTS when they cannot be, and with 0 after --help. */
void args_read(struct args *ret_args, int argc, char **argv);

#endif
