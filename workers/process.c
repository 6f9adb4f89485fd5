/*
 * process.c - the model whose jobs run in child processes; a crash costs one call.
 *
 * A thin layer over the process pool: a call goes out as the bytes of wire.h and comes back as
 * such. What a call needs on its way is one block of memory, its slot, which goes when the pool
 * is through with it; call->slot is looked at under the lock, because a cancel may come just then.
 */
#include <pthread.h>
#include <string.h>

#include <weft/error.h>
#include <weft/procpool.h>

#include "wire.h"
#include "worker_priv.h"

struct process_state {
    weft_procpool *pool;
    pthread_mutex_t lock; /* of every call->slot */
};

struct process_slot {
    weft_procpool_call request; /* first: `done` gets its address */
    struct process_state *model;
    weft_call *call;
    unsigned char prefix[WEFT__WIRE_PREFIX_MAX]; /* what stands before the input */
};

int
weft_procpool_run_job(weft_bytes request, weft_buf *reply)
{
    return weft__wire_serve(request, reply);
}

/* --load FILE for each file: what weft-worker takes. */
static int
args_make(const char *const *load, const char ***ret_args)
{
    size_t n = 0;
    while (load != NULL && load[n] != NULL)
        n++;
    const char **args = weft__alloc_zeroed((2 * n + 1) * sizeof *args);
    if (args == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        args[2 * i] = "--load";
        args[2 * i + 1] = load[i];
    }
    *ret_args = args;
    return 0;
}

static int
process_open(void *state, weft_workers *workers, unsigned width,
             const weft_workers_options *options)
{
    (void)workers;
    struct process_state *model = state;
    weft_procpool_options pool = {.width = width};
    const char **args = NULL;
    if (options->exec != NULL) {
        int rc = args_make(options->load, &args);
        if (rc < 0)
            return rc;
        pool.exec = options->exec;
        pool.args = args;
    } else {
        pool.handler = weft_procpool_run_job;
        pool.load = weft_job_load;
        pool.files = options->load;
    }
    (void)pthread_mutex_init(&model->lock, NULL);
    int rc = weft_procpool_new(&model->pool, &pool);
    if (rc < 0)
        (void)pthread_mutex_destroy(&model->lock);
    weft__free(args);
    return rc;
}

/* Makes the call's result from the bytes of a reply, which are moved, not copied. */
static int
reply_take(weft_call *call, weft_buf *reply)
{
    weft__wire_message message;
    int rc = weft__wire_parse((weft_bytes){reply->data, reply->len}, &message);
    if (rc == 0 && message.kind != WEFT__WIRE_REPLY)
        rc = -EPROTO;
    if (rc < 0) {
        weft_buf_free(reply);
        return rc;
    }
    /* The child's clock is ours, but only its spans are in the reply; the way back is short. */
    call->started = weft__worker_clock() - (message.ended - message.started);
    if (call->started < call->submitted)
        call->started = call->submitted;
    if (message.payload.len == 0) {
        weft_buf_free(reply);
        return message.result;
    }
    memmove(reply->data, message.payload.data, message.payload.len);
    reply->len = message.payload.len;
    call->out = *reply;
    return message.result;
}

static void
process_done(weft_procpool_call *request, int result)
{
    struct process_slot *slot = (struct process_slot *)request;
    weft_call *call = slot->call;
    (void)pthread_mutex_lock(&slot->model->lock);
    call->slot = NULL;
    (void)pthread_mutex_unlock(&slot->model->lock);
    if (result < 0)
        weft_buf_free(&request->reply);
    else
        result = reply_take(call, &request->reply);
    weft__free(slot);
    weft_call_done(call, result);
}

static int
process_submit(void *state, weft_call *call)
{
    struct process_state *model = state;
    weft__wire_message message = {
        .kind = WEFT__WIRE_CALL, .remaining = WEFT_FOREVER, .payload = call->in};
    weft_time now = weft__worker_clock();
    if (call->deadline != WEFT_FOREVER)
        message.remaining = call->deadline > now ? call->deadline - now : 0;
    (void)strncpy(message.name, call->job->name, sizeof message.name - 1);

    struct process_slot *slot = weft__alloc_zeroed(sizeof *slot);
    if (slot == NULL)
        return -ENOMEM;
    int rc = weft__wire_prefix(&message, slot->prefix);
    if (rc < 0)
        goto fail;
    slot->model = model;
    slot->call = call;
    slot->request = (weft_procpool_call){
        .request = {{slot->prefix, (size_t)rc}, call->in},
        .deadline = call->deadline,
        .done = process_done,
    };
    call->slot = slot;
    rc = weft_procpool_submit(model->pool, &slot->request);
    if (rc < 0)
        goto fail;
    return 0;

fail:
    call->slot = NULL;
    weft__free(slot);
    return rc;
}

static void
process_cancel(void *state, weft_call *call)
{
    struct process_state *model = state;
    (void)pthread_mutex_lock(&model->lock);
    struct process_slot *slot = call->slot;
    if (slot != NULL)
        weft_procpool_cancel(model->pool, &slot->request);
    (void)pthread_mutex_unlock(&model->lock);
}

static void
process_close(void *state, weft_close_mode mode, weft_time grace)
{
    struct process_state *model = state;
    weft_procpool_free(model->pool, mode, grace);
    (void)pthread_mutex_destroy(&model->lock);
}

static unsigned
process_workers(void *state)
{
    weft_procpool_stats stats;
    weft_procpool_stats_get(((struct process_state *)state)->pool, &stats);
    return stats.children;
}

static uint64_t
process_crashed(void *state)
{
    weft_procpool_stats stats;
    weft_procpool_stats_get(((struct process_state *)state)->pool, &stats);
    return stats.crashed;
}

const weft_worker_model weft_worker_process = {
    .name = "process",
    .traits = WEFT_WORKER_PARALLEL | WEFT_WORKER_ISOLATED | WEFT_WORKER_KILLABLE,
    .state_size = sizeof(struct process_state),
    .open = process_open,
    .submit = process_submit,
    .cancel = process_cancel,
    .close = process_close,
    .workers = process_workers,
    .crashed = process_crashed,
};
