/*
 * signals.c - who gets a signal: those who listen for it; else SIGINT and SIGTERM cancel the main
 * task, a second one kills, and SIGUSR1 has tasks named.
 *
 * All of weft's signals have one handler. A number is taken from the program when the first user of
 * it comes, be it a runtime or a listener, and given back when the last one leaves, unless somebody
 * has put a handler over ours meanwhile. Runtimes leave a signal alone that was ignored before;
 * who listens says that it is wanted.
 *
 * The handler posts one message, which is a push and perhaps a write(2), to the first loop of each
 * runtime that asked for it. SIGUSR1 is taken only for runtimes in debug mode, and where nobody
 * else has a handler for it: the handler wakes the thread that watches, which dumps all tasks.
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
static struct weft__signal_listener *listeners;      /* atomic, as all their links: likewise */
static unsigned n_runtimes;
static bool cancels[N_NUMBERS]; /* runtimes are users of the number */
static bool dumps;              /* runtimes in debug mode are users of SIGUSR1 */
static unsigned users[WEFT__SIGNAL_MAX + 1];
static struct sigaction before[WEFT__SIGNAL_MAX + 1]; /* where there are users */
static uint32_t handling; /* atomic: handlers in progress; who leaves the tables waits for none */
static uint32_t received; /* atomic: signals since the first runtime came */
static unsigned n_debug;  /* of the runtimes, those whose tasks can be dumped */

static void
cancel_runtimes(int number)
{
    bool any = false;
    for (unsigned i = 0; i < RUNTIMES_MAX && !any; i++)
        any = weft__load(&runtimes[i]) != NULL;
    if (!any)
        return; /* the last one left as the signal came */
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
}

static void
dump_tasks(void)
{
    for (unsigned i = 0; i < RUNTIMES_MAX; i++) {
        struct weft__runtime *runtime = weft__load(&runtimes[i]);
        if (runtime == NULL || runtime->debug == NULL)
            continue;
        weft__store(&runtime->dump_wanted, 1); /* pairs with the exchange of who watches */
        weft__fetch_add(&runtime->debug_wake, 1);
        weft__sys_futex_wake(&runtime->debug_wake, 1);
        break; /* it dumps the tasks of all runtimes */
    }
}

static void
on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)context;
    weft__fetch_add(&handling, 1);
    bool heard = false;
    for (struct weft__signal_listener *listener = weft__load(&listeners); listener != NULL;
         listener = weft__load(&listener->next)) {
        if (listener->numbers & weft__signal_bit(number)) {
            listener->hear(listener, number, info);
            heard = true;
        }
    }
    if (!heard && number == SIGUSR1)
        dump_tasks();
    else if (!heard && (number == SIGINT || number == SIGTERM))
        cancel_runtimes(number);
    weft__fetch_sub(&handling, 1);
    errno = saved;
}

/* Pairs with the addition at the top of the handler: it counts, then reads the tables. */
static void
wait_for_handlers(void)
{
    while (weft__load(&handling) > 0)
        sched_yield();
}

/* ---- With the lock held: numbers taken and given back ---------------------------------------- */

static bool
is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_signal;
}

static struct sigaction
our_action(void)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    return action;
}

/* What the program had in mind for a number, without us. */
static void *
program_wants(int number)
{
    struct sigaction action = before[number];
    if (users[number] == 0)
        sigaction(number, NULL, &action);
    return action.sa_flags & SA_SIGINFO ? (void *)(uintptr_t)action.sa_sigaction
                                        : (void *)(uintptr_t)action.sa_handler;
}

/* For a runtime: who has put a handler over ours keeps it. */
static void
take(int number)
{
    struct sigaction action = our_action();
    if (users[number]++ == 0)
        sigaction(number, &action, &before[number]);
}

static void
give_back(int number)
{
    struct sigaction present;
    if (--users[number] == 0 && sigaction(number, NULL, &present) == 0 && is_ours(&present))
        sigaction(number, &before[number], NULL);
}

/* For a listener: it wants to hear, whatever is there. */
static int
take_over(int number)
{
    struct sigaction action = our_action(), present;
    int rc = weft__sys_sigaction(number, &action, &present);
    if (rc < 0)
        return rc;
    if (!is_ours(&present))
        before[number] = present;
    users[number]++;
    return 0;
}

/* ---- Listeners ------------------------------------------------------------------------------- */

static void
give_back_all(uint64_t set)
{
    for (int number = 1; number <= WEFT__SIGNAL_MAX; number++) {
        if (set & weft__signal_bit(number))
            give_back(number);
    }
}

static void
unlink_listener(struct weft__signal_listener *listener)
{
    struct weft__signal_listener **place = &listeners;
    while (*place != listener)
        place = &(*place)->next;
    weft__store(place, listener->next); /* pairs with the handler's loads */
}

int
weft__signals_listen(struct weft__signal_listener *listener)
{
    int rc = 0;
    uint64_t taken = 0;
    pthread_mutex_lock(&lock);
    /* First in the list: what is caught from now on is heard. */
    listener->next = listeners;
    weft__store(&listeners, listener);
    for (int number = 1; number <= WEFT__SIGNAL_MAX && rc == 0; number++) {
        if (!(listener->numbers & weft__signal_bit(number)))
            continue;
        rc = take_over(number);
        if (rc == 0)
            taken |= weft__signal_bit(number);
    }
    if (rc < 0) {
        unlink_listener(listener);
        give_back_all(taken);
        wait_for_handlers();
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void
weft__signals_unlisten(struct weft__signal_listener *listener)
{
    pthread_mutex_lock(&lock);
    /* The program's disposition first: what comes in between is still heard, not lost on us. */
    give_back_all(listener->numbers);
    unlink_listener(listener);
    wait_for_handlers();
    pthread_mutex_unlock(&lock);
}

/* ---- Runtimes -------------------------------------------------------------------------------- */

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
        for (unsigned i = 0; i < N_NUMBERS; i++) {
            cancels[i] = program_wants(numbers[i]) != (void *)(uintptr_t)SIG_IGN;
            if (cancels[i])
                take(numbers[i]);
        }
    }
    for (unsigned i = 0; i < RUNTIMES_MAX; i++) {
        if (runtimes[i] == NULL) {
            weft__store(&runtimes[i], runtime);
            break;
        }
    }
    if (runtime->debug != NULL && n_debug++ == 0) {
        dumps = program_wants(SIGUSR1) == (void *)(uintptr_t)SIG_DFL;
        if (dumps)
            take(SIGUSR1);
    }
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
    if (runtime->debug != NULL && --n_debug == 0 && dumps)
        give_back(SIGUSR1);
    if (--n_runtimes == 0) {
        for (unsigned i = 0; i < N_NUMBERS; i++) {
            if (cancels[i])
                give_back(numbers[i]);
        }
    }
    wait_for_handlers();
    pthread_mutex_unlock(&lock);
}
