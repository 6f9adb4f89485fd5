/*
 * test_jobs.c - the registry of jobs, and shared objects that bring some.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/job.h>

#include "t.h"
#include "t_jobs.h"
#include "workers/jobs.h"

TestSuite(jobs, .timeout = 60);

static int
nothing(weft_bytes in, weft_buf *out)
{
    (void)in;
    (void)out;
    return 0;
}

Test(jobs, a_registered_job_is_found_by_its_name)
{
    static const weft_job job = {.name = "test.one", .run = nothing};
    cr_assert_null(weft_job_find("test.one"));
    T_OK(weft_job_register(&job));
    cr_assert_eq(weft_job_find("test.one"), &job);
    cr_assert_null(weft_job_find("test.on"));
    cr_assert_null(weft_job_find(""));
    cr_assert_null(weft_job_find(NULL));
}

Test(jobs, the_same_job_may_be_registered_again_but_no_other_of_its_name)
{
    static const weft_job job = {.name = "test.one", .run = nothing};
    static const weft_job other = {.name = "test.one", .run = nothing};
    T_OK(weft_job_register(&job));
    T_OK(weft_job_register(&job));
    T_ERR(-EEXIST, weft_job_register(&other));
    cr_assert(strstr(weft_error_text(), "test.one") != NULL, "%s", weft_error_text());
    cr_assert_eq(weft_job_find("test.one"), &job);
}

Test(jobs, names_have_1_to_63_bytes)
{
    static const weft_job nameless = {.name = "", .run = nothing};
    static const weft_job unnamed = {.run = nothing};
    static const weft_job empty = {.name = "test.empty"};
    T_ERR(-EINVAL, weft_job_register(&nameless));
    T_ERR(-EINVAL, weft_job_register(&unnamed));
    T_ERR(-EINVAL, weft_job_register(&empty));
    static char name[65];
    memset(name, 'n', 64);
    static const weft_job job = {.name = name, .run = nothing};
    T_ERR(-EINVAL, weft_job_register(&job));
    name[63] = '\0';
    T_OK(weft_job_register(&job));
}

Test(jobs, there_is_room_for_1024)
{
    static char names[1025][16];
    static weft_job many[1025];
    size_t n = 0;
    int rc = 0;
    while (n < 1025 && rc == 0) {
        snprintf(names[n], sizeof names[n], "test.%zu", n);
        many[n] = (weft_job){.name = names[n], .run = nothing};
        rc = weft_job_register(&many[n]);
        n += rc == 0;
    }
    T_ERR(-ENOSPC, rc);
    cr_assert(n > 900 && n <= 1024, "%zu", n); /* the tests' own jobs are there already */
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(weft_job_find(names[i]), &many[i]);
    cr_assert_not_null(weft_job_find("t.echo"));
    cr_assert_null(weft_job_find("test.none"));
}

Test(jobs, what_cannot_be_loaded_is_said_in_words)
{
    T_ERR(WEFT_E_JOB_UNKNOWN, weft_job_load("/nowhere/jobs.so"));
    cr_assert(strstr(weft_error_text(), "/nowhere/jobs.so") != NULL, "%s", weft_error_text());
    T_ERR(WEFT_E_JOB_UNKNOWN, weft_job_load("libm.so.6"));
    cr_assert(strstr(weft_error_text(), "weft_jobs") != NULL, "%s", weft_error_text());
}

/* Compiles a shared object from the lines of a table; its path is in `path`. */
static void
compile(const char *rows, char path[64])
{
    char source[64], command[512];
    snprintf(path, 64, "/tmp/weft-jobs-%d.so", (int)getpid());
    snprintf(source, sizeof source, "/tmp/weft-jobs-%d.c", (int)getpid());
    FILE *f = fopen(source, "we");
    cr_assert_not_null(f);
    fprintf(f,
            "#include <weft/job.h>\n"
            "static int run(weft_bytes in, weft_buf *out) { (void)in; (void)out; return 41; }\n"
            "extern const weft_job weft_jobs[];\n"
            "const weft_job weft_jobs[] = {%s {0}};\n",
            rows);
    fclose(f);
    snprintf(command, sizeof command, "cc -std=gnu11 -shared -fPIC -Iinclude -o %s %s", path,
             source);
    cr_assert_eq(system(command), 0);
    unlink(source);
}

Test(jobs, a_shared_object_brings_its_jobs)
{
    char path[64];
    compile("{\"so.one\", run, 0}, {\"so.two\", run, WEFT_JOB_CPU},", path);
    T_ERR(2, weft_job_load(path));
    T_ERR(2, weft_job_load(path)); /* again: they are there */
    unlink(path);
    const weft_job *job = weft_job_find("so.two");
    cr_assert_not_null(job);
    cr_assert_eq(job->flags, WEFT_JOB_CPU);
    weft_buf out = {0};
    T_ERR(41, weft__job_run_here(job, t_text(""), &out, WEFT_FOREVER));
}

Test(jobs, a_shared_object_is_registered_whole_or_not_at_all)
{
    char path[64];
    compile("{\"so.one\", run, 0}, {\"t.echo\", run, 0},", path);
    T_ERR(-EEXIST, weft_job_load(path));
    unlink(path);
    cr_assert_null(weft_job_find("so.one"));
    compile("{\"so.one\", run, 0}, {\"so.one\", run, 0},", path);
    T_ERR(-EEXIST, weft_job_load(path));
    unlink(path);
    cr_assert_null(weft_job_find("so.one"));
    compile("{\"so.one\", run, 0}, {\"\", run, 0},", path);
    T_ERR(-EINVAL, weft_job_load(path));
    unlink(path);
    cr_assert_null(weft_job_find("so.one"));
}
