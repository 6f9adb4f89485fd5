/*
 * worker.c - what all models share: opening by spec, limits, waiting, accounting, closing.
 *
 * A call is accepted at most once and then done exactly once; this file sees to it whatever the
 * model. `gate` counts who is inside: calls accepted and not done, and submitters in the model's
 * submit. Once it is closed nobody gets in, so a model's close meets no submit, and the memory
 * goes when both counts are zero and no reference is left.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weft/error.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sync.h>
#include <weft/task.h>

#include "worker_priv.h"

#define GATE_CLOSED ((uint64_t)1 << 63)
#define GATE_SUBMITTER ((uint64_t)1 << 32) /* bits 32 to 62 count submitters */
#define GATE_CALL ((uint64_t)1)            /* bits 0 to 31 count calls */

#define IN_FLIGHT_DEFAULT 65536u
#define IN_FLIGHT_MAX (UINT32_MAX / 2)

struct weft_workers {
    const weft_worker_model *model;
    unsigned width;
    char spec[48];

    uint64_t gate;
    uint64_t refs;      /* the owner, submitters in line for room, threads left behind */
    uint64_t submitted; /* counted before the model sees the call, so never below done */
    uint64_t done;
    uint64_t failed;
    weft_semaphore room; /* a permit per call that may be in flight */

    pthread_mutex_t closing; /* for the closer, who waits for the gate to empty */
    pthread_cond_t emptied;
    bool deserted; /* under closing: the closer has gone, the last one inside drops its reference */

    _Alignas(max_align_t) unsigned char state[]; /* the model's */
};

/* States of a call; CANCELLING is added while its owner is inside the model's cancel, and
 * FINISHED only meets it: whoever comes second of the two completes the call. */
enum {
    CALL_NEW = 0,
    CALL_ACCEPTED = 1,
    CALL_CANCELLING = 2,
    CALL_FINISHED = 4,
};

weft_time
weft__worker_clock(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return WEFT_SEC(ts.tv_sec) + ts.tv_nsec;
}

weft_time
weft__worker_after(weft_time duration)
{
    weft_time now = weft__worker_clock();
    return duration < WEFT_FOREVER - now ? now + duration : WEFT_FOREVER;
}

void
weft__workers_ref(weft_workers *w)
{
    __atomic_fetch_add(&w->refs, 1, __ATOMIC_SEQ_CST);
}

void
weft__workers_unref(weft_workers *w)
{
    /* Pairs with itself: the last one sees all that the others did. */
    if (__atomic_fetch_sub(&w->refs, 1, __ATOMIC_SEQ_CST) != 1)
        return;
    weft_semaphore_close(&w->room);
    pthread_cond_destroy(&w->emptied);
    pthread_mutex_destroy(&w->closing);
    weft__free(w);
}

/* ---- The gate ---------------------------------------------------------------------------- */

/* Whether `who` got in; the gate was open then. */
static bool
gate_enter(weft_workers *w, uint64_t who)
{
    uint64_t gate = __atomic_load_n(&w->gate, __ATOMIC_SEQ_CST);
    do {
        if (gate & GATE_CLOSED)
            return false;
        /* Pairs with gate_close: either we are counted there, or we see it closed. */
    } while (!__atomic_compare_exchange_n(&w->gate, &gate, gate + who, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return true;
}

static void
gate_leave(weft_workers *w, uint64_t who)
{
    uint64_t gate = __atomic_load_n(&w->gate, __ATOMIC_SEQ_CST);
    while (!(gate & GATE_CLOSED)) {
        /* Pairs with gate_close: as long as it is open nobody waits, and w outlives us. */
        if (__atomic_compare_exchange_n(&w->gate, &gate, gate - who, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return;
    }
    /* Under the lock, because the closer may free w as soon as it sees the count. */
    pthread_mutex_lock(&w->closing);
    gate = __atomic_sub_fetch(&w->gate, who, __ATOMIC_SEQ_CST);
    bool last = w->deserted && gate == GATE_CLOSED;
    pthread_cond_broadcast(&w->emptied);
    pthread_mutex_unlock(&w->closing);
    if (last)
        weft__workers_unref(w);
}

static void
gate_close(weft_workers *w)
{
    /* Pairs with the compare-and-swap of gate_enter and gate_leave. */
    uint64_t old = __atomic_fetch_or(&w->gate, GATE_CLOSED, __ATOMIC_SEQ_CST);
    if (old & GATE_CLOSED)
        weft__fatal("weft_workers_close: %s is closed already", w->spec);
}

/* Blocks until the counts under `mask` are zero, or until the deadline: false then, and whoever
 * is inside drops the owner's reference. */
static bool
gate_wait(weft_workers *w, uint64_t mask, weft_time deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    int rc = 0;
    pthread_mutex_lock(&w->closing);
    while ((__atomic_load_n(&w->gate, __ATOMIC_SEQ_CST) & mask) != 0 && rc == 0)
        rc = deadline == WEFT_FOREVER ? pthread_cond_wait(&w->emptied, &w->closing)
                                      : pthread_cond_timedwait(&w->emptied, &w->closing, &until);
    bool empty = (__atomic_load_n(&w->gate, __ATOMIC_SEQ_CST) & mask) == 0;
    w->deserted = !empty;
    pthread_mutex_unlock(&w->closing);
    return empty;
}

#define GATE_SUBMITTERS (~GATE_CLOSED & ~(GATE_SUBMITTER - 1))
#define GATE_CALLS (GATE_SUBMITTER - 1)

/* ---- Opening and closing ----------------------------------------------------------------- */

static int
check_options(const weft_workers_options *options)
{
    if (options->max_in_flight > IN_FLIGHT_MAX)
        return weft_error_note(-EINVAL, "max_in_flight is %zu, the most is %u",
                               options->max_in_flight, IN_FLIGHT_MAX);
    if (options->stack_size != 0 &&
        (options->stack_size < 16384 || options->stack_size > (size_t)1 << 30))
        return weft_error_note(WEFT_E_STACK, "stack_size is %zu, not 16 KiB to 1 GiB",
                               options->stack_size);
    return 0;
}

static int
open_model(weft_workers **ret_workers, const weft_worker_model *model, unsigned width,
           const weft_workers_options *options)
{
    static const weft_workers_options defaults;
    if (options == NULL)
        options = &defaults;
    int rc = check_options(options);
    if (rc < 0)
        return rc;

    weft_workers *w = weft__alloc_zeroed(sizeof *w + model->state_size);
    if (w == NULL)
        return -ENOMEM;
    w->model = model;
    w->width = width;
    w->refs = 1;
    if (model == &weft_worker_sync)
        snprintf(w->spec, sizeof w->spec, "%s", model->name);
    else
        snprintf(w->spec, sizeof w->spec, "%.32s:%u", model->name, width);

    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->closing, NULL);
    pthread_cond_init(&w->emptied, &attributes);
    pthread_condattr_destroy(&attributes);
    size_t room = options->max_in_flight != 0 ? options->max_in_flight : IN_FLIGHT_DEFAULT;
    rc = weft_semaphore_open(&w->room, (uint32_t)room);
    if (rc < 0)
        goto fail_memory;
    if (model->open != NULL) {
        rc = model->open(w->state, w, width, options);
        if (rc < 0)
            goto fail_room;
    }
    *ret_workers = w;
    return 0;

fail_room:
    weft_semaphore_close(&w->room);
fail_memory:
    pthread_cond_destroy(&w->emptied);
    pthread_mutex_destroy(&w->closing);
    weft__free(w);
    return rc;
}

int
weft_workers_open_model(weft_workers **ret_workers, const weft_worker_model *model, unsigned width,
                        const weft_workers_options *options)
{
    if (model == NULL || model->name == NULL || model->submit == NULL)
        return weft_error_note(-EINVAL, "a worker model needs a name and a submit");
    if (width == 0)
        return weft_error_note(-EINVAL, "%.32s: the width must be 1 or more", model->name);
    return open_model(ret_workers, model, width, options);
}

static const weft__worker_entry *
entry_of(const char *name, size_t len)
{
    for (const weft__worker_entry *e = weft__worker_models; e->model != NULL; e++)
        if (strlen(e->model->name) == len && memcmp(e->model->name, name, len) == 0)
            return e;
    return NULL;
}

/* The models' names for a message. */
static const char *
names(char *text, size_t cap)
{
    size_t used = 0;
    text[0] = '\0';
    for (const weft__worker_entry *e = weft__worker_models; e->model != NULL && used < cap; e++)
        used +=
            (size_t)snprintf(text + used, cap - used, "%s%s", used > 0 ? ", " : "", e->model->name);
    return text;
}

/* The number behind the colon, 1 to the entry's limit. */
static int
read_width(const char *spec, const char *digits, const weft__worker_entry *entry,
           unsigned *ret_width)
{
    const char *name = entry->model->name;
    if (entry->width_max == 0)
        return weft_error_note(WEFT_E_SPEC, "%.40s: %s takes no number", spec, name);
    if (*digits == '\0')
        return weft_error_note(WEFT_E_SPEC, "%.40s a number must follow the colon, 1 to %u", spec,
                               entry->width_max);
    const char *first = *digits == '-' ? digits + 1 : digits;
    if (*first == '\0' || first[strspn(first, "0123456789")] != '\0')
        return weft_error_note(WEFT_E_SPEC, "%.40s: \"%.40s\" is not a number", spec, digits);

    uint64_t value = 0; /* stops growing above any limit */
    for (const char *c = first; *c != '\0' && value <= UINT32_MAX; c++)
        value = value * 10 + (uint64_t)(*c - '0');
    if (first != digits || value == 0 || value > entry->width_max)
        return weft_error_note(WEFT_E_SPEC, "%.40s: the number must be 1 to %u", spec,
                               entry->width_max);
    *ret_width = (unsigned)value;
    return 0;
}

int
weft_workers_open(weft_workers **ret_workers, const char *spec, const weft_workers_options *options)
{
    char text[96];
    if (spec == NULL || *spec == '\0')
        return weft_error_note(WEFT_E_SPEC, "an empty worker spec; there are: %s",
                               names(text, sizeof text));
    const char *colon = strchr(spec, ':');
    size_t len = colon != NULL ? (size_t)(colon - spec) : strlen(spec);
    if (len == 0)
        return weft_error_note(WEFT_E_SPEC, "%.40s: no model before the colon; there are: %s", spec,
                               names(text, sizeof text));
    const weft__worker_entry *entry = entry_of(spec, len);
    if (entry == NULL)
        return weft_error_note(WEFT_E_MODEL_UNKNOWN, "no worker model \"%.*s\"; there are: %s",
                               (int)(len < 40 ? len : 40), spec, names(text, sizeof text));

    unsigned width = entry->width_max == 0 ? 1 : weft_usable_cpus();
    if (width > entry->width_max && entry->width_max != 0)
        width = entry->width_max;
    if (colon != NULL) {
        int rc = read_width(spec, colon + 1, entry, &width);
        if (rc < 0)
            return rc;
    }
    return open_model(ret_workers, entry->model, width, options);
}

void
weft_workers_close(weft_workers *w, weft_close_mode mode, weft_time grace)
{
    if (w == NULL)
        return;
    weft_time deadline = weft__worker_after(grace > 0 ? grace : 0);
    gate_close(w);
    if (w->model->close == NULL) {
        /* The jobs run inside submit, on stacks of the submitters; one of them may be a task of
         * this very thread, so they can be waited for, but not for longer than asked. */
        if (!gate_wait(w, GATE_SUBMITTERS | GATE_CALLS, deadline))
            return;
    } else {
        weft_ignore(gate_wait(w, GATE_SUBMITTERS, WEFT_FOREVER));
        weft_time left = deadline == WEFT_FOREVER ? WEFT_FOREVER : deadline - weft__worker_clock();
        w->model->close(w->state, mode, left > 0 ? left : 0);
        weft_ignore(gate_wait(w, GATE_CALLS, WEFT_FOREVER));
    }
    weft__workers_unref(w);
}

const char *
weft_workers_spec(const weft_workers *w)
{
    return w->spec;
}

unsigned
weft_workers_traits(const weft_workers *w)
{
    return w->model->traits;
}

void
weft_workers_stats_get(weft_workers *w, weft_workers_stats *ret_stats)
{
    /* Backwards through a call's life, so that no figure is above the one before it. */
    uint64_t failed = __atomic_load_n(&w->failed, __ATOMIC_SEQ_CST);
    uint64_t done = __atomic_load_n(&w->done, __ATOMIC_SEQ_CST);
    uint64_t submitted = __atomic_load_n(&w->submitted, __ATOMIC_SEQ_CST);
    *ret_stats = (weft_workers_stats){
        .submitted = submitted,
        .done = done,
        .failed = failed,
        .in_flight = submitted - done,
        .crashed = w->model->crashed != NULL ? w->model->crashed(w->state) : 0,
        .workers = w->model->workers != NULL ? w->model->workers(w->state) : w->width,
    };
}

/* ---- Calls ------------------------------------------------------------------------------- */

int
weft_call_open(weft_call *call, const char *name, weft_bytes in)
{
    const weft_job *job = weft_job_find(name);
    if (job == NULL)
        return weft_error_note(WEFT_E_JOB_UNKNOWN, "no job \"%.63s\" is registered",
                               name != NULL ? name : "");
    memset(call, 0, sizeof *call);
    call->job = job;
    call->in = in;
    call->deadline = WEFT_FOREVER;
    weft_future_open(&call->done);
    return 0;
}

void
weft_call_set_deadline(weft_call *call, weft_time deadline)
{
    call->deadline = deadline;
}

/* Gives the call to the model; the caller is inside the gate as a submitter and has a permit. On
 * failure both are still there. */
static int
hand_over(weft_workers *w, weft_call *call)
{
    weft__call_private *p = weft__call_private_of(call);
    if (__atomic_load_n(&p->state, __ATOMIC_SEQ_CST) != CALL_NEW)
        weft__fatal("weft_workers_submit: the call has been submitted already");
    call->workers = w;
    call->submitted = weft__worker_clock();
    /* We are inside, so the gate cannot be past us: plain addition will do. */
    __atomic_fetch_add(&w->gate, GATE_CALL, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&w->submitted, 1, __ATOMIC_SEQ_CST);
    /* Pairs with the exchange in weft_call_done, which may happen before submit returns. */
    __atomic_store_n(&p->state, CALL_ACCEPTED, __ATOMIC_SEQ_CST);

    int rc = w->model->submit(w->state, call);
    if (rc < 0) {
        __atomic_store_n(&p->state, CALL_NEW, __ATOMIC_SEQ_CST);
        call->workers = NULL;
        call->submitted = 0;
        __atomic_fetch_sub(&w->submitted, 1, __ATOMIC_SEQ_CST);
        gate_leave(w, GATE_CALL);
    }
    return rc;
}

int
weft_workers_try_submit(weft_workers *w, weft_call *call)
{
    if (!gate_enter(w, GATE_SUBMITTER))
        return -ESHUTDOWN;
    int rc = weft_semaphore_try_acquire(&w->room);
    if (rc == 0) {
        rc = hand_over(w, call);
        if (rc < 0)
            weft_semaphore_release(&w->room);
    }
    gate_leave(w, GATE_SUBMITTER);
    return rc;
}

int
weft_workers_submit(weft_workers *w, weft_call *call)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    rc = weft_workers_try_submit(w, call);
    if (rc != -EAGAIN)
        return rc;

    /* In line for room we are outside the gate, so that closing need not wait for us; the
     * reference keeps the semaphore. Calls that end pass their permits down the line, closed or
     * not, so everybody gets through and sees the gate. */
    weft__workers_ref(w);
    rc = weft_semaphore_acquire(&w->room);
    if (rc == 0) {
        bool inside = gate_enter(w, GATE_SUBMITTER);
        rc = inside ? hand_over(w, call) : -ESHUTDOWN;
        if (rc < 0)
            weft_semaphore_release(&w->room);
        if (inside)
            gate_leave(w, GATE_SUBMITTER);
    }
    weft__workers_unref(w);
    return rc;
}

int
weft_call_wait(weft_call *call)
{
    if (__atomic_load_n(&weft__call_private_of(call)->state, __ATOMIC_SEQ_CST) == CALL_NEW)
        weft__fatal("weft_call_wait: the call was never accepted");
    return weft_future_wait(&call->done, NULL);
}

/* The call is back with its owner after this; only w may be touched. */
static void
complete(weft_call *call)
{
    weft_workers *w = call->workers;
    if (call->result < 0)
        __atomic_fetch_add(&w->failed, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&w->done, 1, __ATOMIC_SEQ_CST);
    /* Room and figures first: who has seen the call done may count on both. */
    weft_semaphore_release(&w->room);
    weft_future_set(&call->done, call->result);
    gate_leave(w, GATE_CALL);
}

void
weft_call_cancel(weft_call *call)
{
    weft__call_private *p = weft__call_private_of(call);
    uint32_t accepted = CALL_ACCEPTED;
    /* Pairs with the fetch_or in weft_call_done: until we are back from the model the call is
     * not completed, so neither it nor its workers can vanish under the model's hands. */
    if (!__atomic_compare_exchange_n(&p->state, &accepted, CALL_ACCEPTED | CALL_CANCELLING, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    weft_workers *w = call->workers;
    if (w->model->cancel != NULL)
        w->model->cancel(w->state, call);
    uint32_t old = __atomic_fetch_and(&p->state, ~(uint32_t)CALL_CANCELLING, __ATOMIC_SEQ_CST);
    if (old & CALL_FINISHED)
        complete(call);
}

void
weft_call_close(weft_call *call)
{
    if (__atomic_load_n(&weft__call_private_of(call)->state, __ATOMIC_SEQ_CST) != CALL_NEW &&
        !weft_future_done(&call->done))
        weft__fatal("weft_call_close: the call is not done yet");
    weft_buf_free(&call->out);
    weft_future_close(&call->done);
}

/* Waits whatever the scopes around say: the call's memory is ours and it must be done. */
static void
wait_shielded(weft_call *call)
{
    if (weft_task_self() == NULL) {
        weft_ignore(weft_call_wait(call));
        return;
    }
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_call_wait(call));
    weft_ignore(weft_scope_close(&shield));
}

int
weft_workers_run(weft_workers *w, const char *name, weft_bytes in, weft_buf *out)
{
    weft_call call;
    int rc = weft_call_open(&call, name, in);
    if (rc < 0)
        return rc;
    rc = weft_workers_submit(w, &call);
    if (rc < 0)
        goto close;
    rc = weft_call_wait(&call);
    if (rc < 0) {
        weft_call_cancel(&call);
        wait_shielded(&call);
        goto close;
    }

    rc = call.result;
    if (out != NULL && out->cap == 0) {
        *out = call.out;
        call.out = (weft_buf){0};
    } else if (out != NULL) {
        int added = weft_buf_append(out, call.out.data, call.out.len);
        rc = added < 0 ? added : rc;
    }

close:
    weft_call_close(&call);
    return rc;
}

/* ---- For models -------------------------------------------------------------------------- */

void
weft_call_begin(weft_call *call)
{
    call->started = weft__worker_clock();
}

void
weft_call_done(weft_call *call, int result)
{
    weft__call_private *p = weft__call_private_of(call);
    call->result = result;
    call->ended = weft__worker_clock();
    /* Pairs with weft_call_cancel: while the owner is inside the model, it completes the call. */
    uint32_t old = __atomic_fetch_or(&p->state, CALL_FINISHED, __ATOMIC_SEQ_CST);
    if ((old & CALL_ACCEPTED) == 0 || (old & CALL_FINISHED) != 0)
        weft__fatal("weft_call_done: a call is completed once, after it was accepted");
    if ((old & CALL_CANCELLING) == 0)
        complete(call);
}
