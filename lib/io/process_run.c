/*
 * process_run.c - a program from its start to its end, with its input and its outputs.
 *
 * The input is written while both outputs are read, by one task each, so that neither side waits
 * for the other one for ever.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>
#include <weft/group.h>
#include <weft/process.h>
#include <weft/task.h>

#define OUTPUT_MAX ((size_t)16 << 20)
#define GRACE WEFT_SEC(5)

struct feed {
    weft_stream *stream;
    weft_bytes input;
};

struct drain {
    weft_stream *stream;
    weft_buf *out;
    size_t max;
};

static int
feed(void *arg)
{
    struct feed *feed = arg;
    int rc = weft_stream_write_all(feed->stream, feed->input.data, feed->input.len, NULL);
    weft_stream_close(feed->stream);
    return rc == -EPIPE ? 0 : rc; /* a program need not read it all */
}

static int
drain(void *arg)
{
    struct drain *drain = arg;
    int rc = weft_stream_read_all(drain->stream, drain->out, drain->max);
    weft_stream_close(drain->stream);
    return rc;
}

static bool
is_pipe(const weft_stdio *stdio)
{
    return stdio->kind == WEFT_STDIO_PIPE;
}

/* Pipes where nothing else was asked for. */
static int
fill_in(weft_process_options *options, weft_bytes input)
{
    if (options->in.kind == WEFT_STDIO_DEFAULT)
        options->in.kind = input.len > 0 ? WEFT_STDIO_PIPE : WEFT_STDIO_NULL;
    if (options->out.kind == WEFT_STDIO_DEFAULT)
        options->out.kind = WEFT_STDIO_PIPE;
    if (options->err.kind == WEFT_STDIO_DEFAULT)
        options->err.kind = WEFT_STDIO_PIPE;
    if (options->max_output == 0)
        options->max_output = OUTPUT_MAX;
    if (options->grace == 0)
        options->grace = GRACE;
    return input.len > 0 && !is_pipe(&options->in)
               ? weft_error_note(-EINVAL, "input for a program whose input is no pipe")
               : 0;
}

static int
talk(weft_process *process, const weft_process_options *options, weft_bytes input,
     weft_process_result *result)
{
    struct feed in = {&process->in, input};
    struct drain out = {&process->out, &result->out, options->max_output};
    struct drain err = {&process->err, &result->err, options->max_output};
    weft_group group;
    weft_group_open(&group, NULL);
    if (is_pipe(&options->in))
        weft_group_spawn_with(&group, feed, &in, &(weft_task_options){.name = "input"});
    if (is_pipe(&options->out))
        weft_group_spawn_with(&group, drain, &out, &(weft_task_options){.name = "output"});
    if (is_pipe(&options->err))
        weft_group_spawn_with(&group, drain, &err, &(weft_task_options){.name = "errors"});
    int rc = weft_group_close(&group);
    if (rc == -EMSGSIZE)
        return weft_error_note(rc, "%s printed more than %zu bytes", options->arguments[0],
                               options->max_output);
    return rc < 0 ? rc : weft_process_wait(process, &result->status);
}

int
weft_process_run(const weft_process_options *public, weft_bytes input,
                 weft_process_result *ret_result)
{
    memset(ret_result, 0, sizeof *ret_result);
    ret_result->status.code = -1;
    weft_process_options options = *public;
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = fill_in(&options, input);
    weft_process process;
    if (rc == 0)
        rc = weft_process_spawn(&process, &options);
    if (rc < 0)
        return rc;
    rc = talk(&process, &options, input, ret_result);
    if (rc < 0) {
        /* Why it was ended is what the caller is told; the status stays what it is without one. */
        weft_ignore(weft_process_stop(&process, options.grace, &ret_result->status));
    } else if (options.check) {
        rc = weft_process_check(options.arguments[0], &ret_result->status);
    }
    weft_process_close(&process);
    return rc;
}

int
weft_process_check(const char *program, const weft_process_status *status)
{
    if (status->code == 0)
        return 0;
    if (status->code > 0)
        return weft_error_note(WEFT_E_EXIT, "%s exited with code %d", program, status->code);
    if (status->signal > 0)
        return weft_error_note(WEFT_E_EXIT, "%s was ended by signal %d (%s)%s", program,
                               status->signal, strsignal(status->signal),
                               status->core_dumped ? " with a core dump" : "");
    return weft_error_note(WEFT_E_EXIT, "%s did not start", program);
}

void
weft_process_result_free(weft_process_result *result)
{
    weft_buf_free(&result->out);
    weft_buf_free(&result->err);
}
