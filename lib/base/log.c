/*
 * log.c - one line at a time to the user's function, or to standard error when asked for.
 *
 * The function is called without any lock held, so it may log, and set another function, itself.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"

#define LINE_BYTES 1024

/* A pthread mutex and not a weft__lock: logging is no step of a protocol that the simulator
 * should know of. */
static pthread_mutex_t target_lock = PTHREAD_MUTEX_INITIALIZER;
static weft_log_fn *target_fn;
static void *target_arg;
static int stderr_level = -1; /* of WEFT_LOG; -1: not looked at yet */

static int
stderr_level_read(void)
{
    const char *text = getenv("WEFT_LOG");
    if (text == NULL || text[0] < '1' || text[0] > '3' || text[1] != '\0')
        return 0;
    return text[0] - '0';
}

static const char *
level_name(weft_log_level level)
{
    switch (level) {
    case WEFT_LOG_ERROR:
        return "error";
    case WEFT_LOG_WARN:
        return "warning";
    case WEFT_LOG_INFO:
        return "info";
    }
    return "message";
}

void
weft__log_show_warnings(void)
{
    pthread_mutex_lock(&target_lock);
    if (getenv("WEFT_LOG") == NULL)
        stderr_level = WEFT_LOG_WARN;
    pthread_mutex_unlock(&target_lock);
}

void
weft_set_log(weft_log_fn *fn, void *arg)
{
    pthread_mutex_lock(&target_lock);
    target_fn = fn;
    target_arg = arg;
    pthread_mutex_unlock(&target_lock);
}

void
weft_log(weft_log_level level, const char *format, ...)
{
    pthread_mutex_lock(&target_lock);
    weft_log_fn *fn = target_fn;
    void *arg = target_arg;
    if (stderr_level < 0)
        stderr_level = stderr_level_read();
    int shown = stderr_level;
    pthread_mutex_unlock(&target_lock);
    if (fn == NULL && (int)level > shown)
        return;

    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int rc = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (rc < 0)
        return;
    if (fn != NULL) {
        fn(arg, level, line);
        return;
    }

    /* One writev, so that lines of several threads do not mix. */
    char head[32];
    int head_len = snprintf(head, sizeof head, "weft: %s: ", level_name(level));
    struct iovec parts[] = {{head, (size_t)head_len}, {line, strlen(line)}, {"\n", 1}};
    ssize_t written = writev(STDERR_FILENO, parts, 3);
    (void)written; /* there is nobody left to tell */
}
