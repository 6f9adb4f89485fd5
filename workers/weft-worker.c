/*
 * weft-worker.c - the program that serves jobs for a process pool opened with .exec.
 *
 * A pool starts it with the socket as descriptor 3. It knows the sample jobs, registers those of
 * the shared objects it is told of, then answers calls until the pool says goodbye.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/error.h>
#include <weft/job.h>
#include <weft/procpool.h>

#include "jobs/jobs.h"

static const char usage[] =
    "usage: weft-worker [--load FILE.so]... [--fd N]\n"
    "\n"
    "Runs jobs for a program that opened its workers with .exec = \"weft-worker\"; it is started\n"
    "by that program, not by hand. It knows weft's sample jobs and those of each FILE.so, which\n"
    "exports `const weft_job weft_jobs[]`.\n"
    "\n"
    "  --load FILE.so  register the jobs of a shared object\n"
    "  --fd N          the socket to the pool; 3 if not given\n"
    "  --help          this text\n"
    "  --version       the version of weft\n"
    "\n"
    "Exit status: 0 when the pool has closed the socket, 1 on failure, 2 for bad arguments.\n";

static int
refuse(const char *what, const char *argument)
{
    fprintf(stderr, "weft-worker: %s%s%s%s; --help shows how it is used\n", what,
            argument != NULL ? " \"" : "", argument != NULL ? argument : "",
            argument != NULL ? "\"" : "");
    return 2;
}

static int
fail(const char *what, const char *name, int rc)
{
    const char *text = weft_error_text();
    fprintf(stderr, "weft-worker: %s%s: %s\n", what, name,
            *text != '\0' ? text : weft_strerror(rc));
    return 1;
}

int
main(int argc, char **argv)
{
    long fd = 3;
    int rc = weft_sample_jobs_register();
    if (rc < 0)
        return fail("cannot register ", "the sample jobs", rc);
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(option, "--version") == 0) {
            printf("weft-worker %s\n", weft_version());
            return 0;
        }
        bool is_load = strcmp(option, "--load") == 0;
        if (!is_load && strcmp(option, "--fd") != 0)
            return refuse("there is no option", option);
        if (++i == argc)
            return refuse(is_load ? "--load needs a file" : "--fd needs a number", NULL);
        if (is_load) {
            rc = weft_job_load(argv[i]);
            if (rc < 0)
                return fail("cannot load the jobs of ", argv[i], rc);
            continue;
        }
        char *end;
        fd = strtol(argv[i], &end, 10);
        if (argv[i][0] == '\0' || *end != '\0' || fd < 0 || fd > 1 << 20)
            return refuse("not the number of a descriptor:", argv[i]);
    }

    rc = weft_procpool_serve((int)fd, weft_procpool_run_job);
    return rc < 0 ? fail("", "serving", rc) : 0;
}
