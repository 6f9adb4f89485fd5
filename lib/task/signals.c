/*
 * signals.c - SIGINT and SIGTERM cancel the main task; a second one kills. SIGUSR1 has tasks named.
 *
 * The handler posts one message, which is a push and perhaps a write(2), to the first loop of each
 * runtime that asked for it. Dispositions are restored when the last such runtime ends. A signal
 * that was ignored before stays ignored.
 *
 * SIGUSR1 is taken only for runtimes in debug mode, and where nobody else has a handler for it: the
 * handler wakes the thread that watches, which dumps all tasks.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "task/task_priv.h"

#define RUNTIMES_MAX 64

static const int numbers[] = {SIGINT, SIGTERM};
#define N_NUMBERS (sizeof numbers / sizeof numbers[0])

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft__runtime *runtimes[RUNTIMES_MAX]; /* atomic: read by the handler */
static unsigned n_runtimes;
static struct sigaction before[N_NUMBERS];
static uint32_t handling; /* atomic: handlers in progress; the last runtime waits for none */
static uint32_t received; /* atomic: signals since the handler was installed */
static unsigned n_debug;  /* of the runtimes, those whose tasks can be dumped */

static void
on_signal(int number)
{
    int saved = errno;
    weft__fetch_add(&handling, 1);
    if (weft__fetch_add(&received, 1) > 0) {
        /* The second one: as if we were not there. */
        signal(number, SIG_DFL);
        raise(number);
    }
    for (unsigned i = 0; i < RUNTIMES_MAX; i++) {
        struct weft__runtime *runtime = weft__load(&runtimes[i]);
        if (runtime != NULL && weft__exchange(&runtime->signalled, 1) == 0)
            weft__inbox_post_raw(&runtime->loops[0]->loop, &runtime->signal_message);
    }
    weft__fetch_sub(&handling, 1);
    errno = saved;
}

static void
on_dump(int number)
{
    int saved = errno;
    (void)number;
    weft__fetch_add(&handling, 1);
    for (unsigned i = 0; i < RUNTIMES_MAX; i++) {
        struct weft__runtime *runtime = weft__load(&runtimes[i]);
        if (runtime == NULL || runtime->debug == NULL)
            continue;
        weft__store(&runtime->dump_wanted, 1); /* pairs with the exchange of who watches */
        weft__fetch_add(&runtime->debug_wake, 1);
        weft__sys_futex_wake(&runtime->debug_wake, 1);
        break; /* it dumps the tasks of all runtimes */
    }
    weft__fetch_sub(&handling, 1);
    errno = saved;
}

/* With the lock held. */
static void
dump_install(void)
{
    struct sigaction action = {.sa_handler = on_dump, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct sigaction present;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGUSR1, NULL, &present) == 0 && !(present.sa_flags & SA_SIGINFO) &&
        present.sa_handler == SIG_DFL)
        sigaction(SIGUSR1, &action, NULL);
}

static void
dump_uninstall(void)
{
    struct sigaction present;
    if (sigaction(SIGUSR1, NULL, &present) == 0 && present.sa_handler == on_dump)
        signal(SIGUSR1, SIG_DFL);
}

static void
cancel_main(struct weft__message *message)
{
    struct weft__runtime *runtime = weft__container(message, struct weft__runtime, signal_message);
    if (!runtime->main_done)
        weft__task_end_root(runtime->main, -ECANCELED);
}

int
weft__signals_install(struct weft__runtime *runtime)
{
    if (runtime->options.signals == WEFT_SIGNALS_NONE)
        return 0;
    runtime->signal_message.fn = cancel_main;
    WEFT__MESSAGE_FROM(&runtime->signal_message, &runtimes);
    pthread_mutex_lock(&lock);
    if (n_runtimes == RUNTIMES_MAX) {
        pthread_mutex_unlock(&lock);
        runtime->options.signals = WEFT_SIGNALS_NONE; /* the first 64 are told; that ends main() */
        return 0;
    }
    if (n_runtimes++ == 0) {
        weft__store(&received, 0);
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART};
        sigemptyset(&action.sa_mask);
        for (unsigned i = 0; i < N_NUMBERS; i++) {
            sigaction(numbers[i], NULL, &before[i]);
            if (before[i].sa_handler != SIG_IGN)
                sigaction(numbers[i], &action, NULL);
        }
    }
    for (unsigned i = 0; i < RUNTIMES_MAX; i++) {
        if (runtimes[i] == NULL) {
            weft__store(&runtimes[i], runtime);
            break;
        }
    }
    if (runtime->debug != NULL && n_debug++ == 0)
        dump_install();
    pthread_mutex_unlock(&lock);
    return 0;
}

void
weft__signals_uninstall(struct weft__runtime *runtime)
{
    if (runtime->options.signals == WEFT_SIGNALS_NONE)
        return;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < RUNTIMES_MAX; i++) {
        if (runtimes[i] == runtime)
            weft__store(&runtimes[i], NULL);
    }
    if (runtime->debug != NULL && --n_debug == 0)
        dump_uninstall();
    if (--n_runtimes == 0) {
        for (unsigned i = 0; i < N_NUMBERS; i++) {
            struct sigaction now;
            sigaction(numbers[i], NULL, &now);
            if (now.sa_handler == on_signal) /* unless somebody put a handler over ours */
                sigaction(numbers[i], &before[i], NULL);
        }
    }
    /* Pairs with the addition at the top of the handler: it counts, then reads the table. */
    while (weft__load(&handling) > 0)
        sched_yield();
    pthread_mutex_unlock(&lock);
}
