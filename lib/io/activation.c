/*
 * activation.c - sockets that a service manager passed: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES.
 *
 * The variables are taken out of the environment when they are first looked at, so that children do
 * not mistake them for theirs, and the descriptors are made close-on-exec. Each can be taken once.
 */
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <weft/error.h>

#include "base/sys.h"
#include "io/listen_priv.h"

#define FIRST 3
#define FDS_MAX 256
#define NAMES_BYTES 8192

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int n_fds;
static bool taken[FDS_MAX];
static char names[NAMES_BYTES];

static bool
number_of(const char *text, unsigned long max, unsigned long *ret_number)
{
    char *end;
    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret_number = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *ret_number <= max;
}

/* Under the lock. What a later environment says replaces what an earlier one did. */
static void
look(void)
{
    unsigned long pid, n;
    if (!number_of(getenv("LISTEN_PID"), INT32_MAX, &pid) || (pid_t)pid != getpid())
        return;
    if (number_of(getenv("LISTEN_FDS"), FDS_MAX, &n)) {
        const char *given = getenv("LISTEN_FDNAMES");
        memset(taken, 0, sizeof taken);
        memset(names, 0, sizeof names);
        if (given != NULL)
            strncpy(names, given, sizeof names - 1);
        n_fds = (int)n;
        for (int i = 0; i < n_fds; i++)
            taken[i] = weft__sys_fcntl_setfd(FIRST + i, FD_CLOEXEC) == -EBADF;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool
is_named(int i, const char *name)
{
    const char *at = names;
    while (i-- > 0 && at != NULL) {
        at = strchr(at, ':');
        if (at != NULL)
            at++;
    }
    size_t len = at != NULL ? strcspn(at, ":") : 0;
    if (len == 0) {
        at = "unknown"; /* as sd_listen_fds_with_names(3) calls it */
        len = strlen(at);
    }
    return strlen(name) == len && memcmp(name, at, len) == 0;
}

int
weft__activation_take(const char *name, int *ret_raw, unsigned cap)
{
    unsigned n = 0;
    pthread_mutex_lock(&lock);
    look();
    for (int i = 0; i < n_fds && n < cap; i++) {
        if (!taken[i] && (strcmp(name, "*") == 0 || is_named(i, name))) {
            taken[i] = true;
            ret_raw[n++] = FIRST + i;
        }
    }
    pthread_mutex_unlock(&lock);
    return n > 0 ? (int)n : -ENOENT;
}

void
weft__activation_give_back(int raw)
{
    pthread_mutex_lock(&lock);
    if (raw >= FIRST && raw < FIRST + n_fds)
        taken[raw - FIRST] = false;
    pthread_mutex_unlock(&lock);
}
