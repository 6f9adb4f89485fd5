/*
 * procpool.c - making and ending a pool of processes; its figures.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/error.h>
#include <weft/run.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "pool/procpool_priv.h"

#define WIDTH_MAX 1024

/* Whether a program of that name would be found. What happens when it is run is another matter. */
static int
exec_check(const char *exec)
{
    if (exec[0] == '\0')
        return weft_error_note(-EINVAL, "process: the name of the program is empty");
    if (strchr(exec, '/') != NULL) {
        if (access(exec, X_OK) == 0)
            return 0;
        int rc = -errno;
        return weft_error_note(rc, "process: %s cannot be run: %s", exec, weft_strerror(rc));
    }
    const char *path = getenv("PATH");
    for (const char *at = path == NULL ? "/bin:/usr/bin" : path; at != NULL;) {
        const char *end = strchrnul(at, ':');
        char file[PATH_MAX];
        int len = snprintf(file, sizeof file, "%.*s%s%s", (int)(end - at), at, end == at ? "" : "/",
                           exec);
        if (len < (int)sizeof file && access(file, X_OK) == 0)
            return 0;
        at = *end == ':' ? end + 1 : NULL;
    }
    return weft_error_note(-ENOENT, "process: no program %s in PATH", exec);
}

/* The name and its arguments as one block: the pointers, then the texts. */
static char **
argv_copy(const char *exec, const char *const *args)
{
    size_t n = 0, bytes = strlen(exec) + 1;
    for (; args != NULL && args[n] != NULL; n++)
        bytes += strlen(args[n]) + 1;
    char **argv = weft__alloc((n + 2) * sizeof *argv + bytes);
    if (argv == NULL)
        return NULL;
    char *text = (char *)(argv + n + 2);
    for (size_t i = 0; i <= n; i++) {
        argv[i] = text;
        text = stpcpy(text, i == 0 ? exec : args[i - 1]) + 1;
    }
    argv[n + 1] = NULL;
    return argv;
}

static int
helper_prepare(const weft_procpool_options *options)
{
    int rc = weft__zygote_start();
    for (size_t i = 0; rc >= 0 && options->files != NULL && options->files[i] != NULL; i++) {
        rc = weft__zygote_load(options->load, options->files[i]);
        if (rc < 0)
            weft__zygote_stop();
    }
    return rc < 0 ? rc : 0;
}

static int
options_check(const weft_procpool_options *options)
{
    if (options->width > WIDTH_MAX)
        return weft_error_note(-EINVAL, "process pool: the width must be 1 to %d", WIDTH_MAX);
    if ((options->handler == NULL) == (options->exec == NULL))
        return weft_error_note(-EINVAL, "process pool: needs a handler or a program, not both");
    if (options->handler != NULL && options->files != NULL && options->load == NULL)
        return weft_error_note(-EINVAL, "process pool: files, and nothing to load them with");
    return options->exec != NULL ? exec_check(options->exec) : 0;
}

int
weft_procpool_new(weft_procpool **ret_pool, const weft_procpool_options *options)
{
    int rc = options_check(options);
    if (rc < 0)
        return rc;
    weft_procpool *pool = weft__alloc_zeroed(sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    pool->width = options->width;
    if (pool->width == 0)
        pool->width = weft_usable_cpus() < WIDTH_MAX ? weft_usable_cpus() : WIDTH_MAX;
    pool->handler = options->handler;
    pool->earliest = WEFT_FOREVER;
    pool->close_by = WEFT_FOREVER;

    rc = -ENOMEM;
    pool->slots = weft__alloc_zeroed(pool->width * sizeof *pool->slots);
    if (pool->slots == NULL)
        goto fail_pool;
    pool->idle = weft__alloc_zeroed(pool->width * sizeof *pool->idle);
    if (pool->idle == NULL)
        goto fail_slots;
    if (options->exec != NULL && (pool->argv = argv_copy(options->exec, options->args)) == NULL)
        goto fail_idle;
    rc = weft__sys_epoll_create();
    if (rc < 0)
        goto fail_argv;
    pool->epoll = rc;
    rc = weft__sys_eventfd(0);
    if (rc < 0)
        goto fail_epoll;
    pool->bell = rc;
    rc = weft__sys_epoll_ctl(pool->epoll, EPOLL_CTL_ADD, pool->bell,
                             &(struct epoll_event){.events = EPOLLIN, .data.u64 = TAG_BELL});
    if (rc < 0)
        goto fail_bell;
    if (pool->handler != NULL) {
        rc = helper_prepare(options);
        if (rc < 0)
            goto fail_bell;
    }
    rc = -pthread_mutex_init(&pool->lock, NULL);
    if (rc < 0)
        goto fail_helper;
    rc = weft__supervisor_start(pool);
    if (rc < 0)
        goto fail_lock;

    *ret_pool = pool;
    return 0;

fail_lock:
    (void)pthread_mutex_destroy(&pool->lock);
fail_helper:
    if (pool->handler != NULL)
        weft__zygote_stop();
fail_bell:
    weft__sys_close(pool->bell);
fail_epoll:
    weft__sys_close(pool->epoll);
fail_argv:
    weft__free(pool->argv);
fail_idle:
    weft__free(pool->idle);
fail_slots:
    weft__free(pool->slots);
fail_pool:
    weft__free(pool);
    return rc;
}

void
weft_procpool_free(weft_procpool *pool, weft_close_mode mode, weft_time grace)
{
    if (pool == NULL)
        return;
    weft_time now = weft__sys_monotonic();
    weft__calls_close(pool, mode, grace < WEFT_FOREVER - now ? now + grace : WEFT_FOREVER);
    (void)pthread_join(pool->supervisor, NULL);

    if (pool->handler != NULL)
        weft__zygote_stop();
    (void)pthread_mutex_destroy(&pool->lock);
    weft__sys_close(pool->bell);
    weft__sys_close(pool->epoll);
    weft__free(pool->argv);
    weft__free(pool->idle);
    weft__free(pool->slots);
    weft__free(pool);
}

void
weft_procpool_stats_get(weft_procpool *pool, weft_procpool_stats *ret_stats)
{
    *ret_stats = (weft_procpool_stats){
        .children = weft__load_relaxed(&pool->stats.children),
        .idle = weft__load_relaxed(&pool->stats.idle),
        .queued = weft__calls_queued(pool),
        .started = weft__load(&pool->stats.started),
        .crashed = weft__load(&pool->stats.crashed),
        .killed = weft__load(&pool->stats.killed),
    };
}
