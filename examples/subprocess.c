/*
 * subprocess.c - programs started, fed, read from, stopped.
 *
 * asyncio: create_subprocess_exec(), communicate(), wait(), terminate().
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <weft.h>

#define PROGRAM(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Input in, output out, and the status: neither side waits for the other for ever. */
static int
run_to_the_end(void)
{
    weft_bytes words = {"weft\nwarp\nloom\n", 15};
    weft_process_result result;
    int rc =
        weft_process_run(&(weft_process_options){.arguments = PROGRAM("sort")}, words, &result);
    if (rc == 0)
        printf("sort: code %d\n%.*s", result.status.code, (int)result.out.len,
               (const char *)result.out.data);
    weft_process_result_free(&result);
    return rc;
}

/* A conversation over its pipes. */
static int
talk(void)
{
    weft_process cat;
    int rc = weft_process_spawn(&cat, &(weft_process_options){.arguments = PROGRAM("cat"),
                                                              .in = {WEFT_STDIO_PIPE, 0},
                                                              .out = {WEFT_STDIO_PIPE, 0}});
    if (rc < 0)
        return rc;
    for (int i = 1; i <= 2 && rc == 0; i++) {
        char line[16];
        weft_bytes echo = {NULL, 0};
        snprintf(line, sizeof line, "line %d\n", i);
        rc = weft_stream_write_all(&cat.in, line, strlen(line), NULL);
        if (rc == 0)
            rc = weft_stream_read_line(&cat.out, &echo) < 0 ? -EIO : 0;
        printf("cat says: %.*s\n", (int)echo.len, (const char *)echo.data);
    }
    weft_stream_close(&cat.in); /* the end of its input */
    weft_process_status status;
    if (rc == 0)
        rc = weft_process_wait(&cat, &status);
    if (rc == 0)
        printf("cat: code %d\n", status.code);
    weft_process_close(&cat);
    return rc;
}

static void
fail_in_several_ways(void)
{
    weft_process_result result;
    weft_bytes none = {NULL, 0};
    int rc = weft_process_run(&(weft_process_options){.arguments = PROGRAM("no-such-program")},
                              none, &result);
    printf("%s: %s\n", weft_errname(rc), weft_error_text());
    weft_process_result_free(&result);

    rc = weft_process_run(
        &(weft_process_options){.arguments = PROGRAM("sh", "-c", "exit 3"), .check = 1}, none,
        &result);
    printf("%s: %s\n", weft_errname(rc), weft_error_text());
    weft_process_result_free(&result);

    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(100));
    rc = weft_process_run(&(weft_process_options){.arguments = PROGRAM("sleep", "1000")}, none,
                          &result);
    weft_ignore(weft_scope_close(&scope));
    printf("%s: sleep was ended by %s\n", weft_errname(rc), strsignal(result.status.signal));
    weft_process_result_free(&result);
}

static int
main_task(void *arg)
{
    (void)arg;
    int rc = run_to_the_end();
    if (rc == 0)
        rc = talk();
    fail_in_several_ways();
    return rc;
}

int
main(void)
{
    int rc = weft_run(main_task, NULL, NULL);
    if (rc < 0)
        fprintf(stderr, "subprocess: %s\n", weft_strerror(rc));
    return rc < 0;
}
