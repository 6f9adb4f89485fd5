/*
 * watchdog.c - the thread that watches a runtime in debug mode.
 *
 * Every few milliseconds it looks whether each thread of loops has got on: its turns and switches
 * are counted anyway. One that stands still without sleeping is blocked; a real-time signal, sent
 * to that thread alone, then has it note its task and its backtrace, for only itself can read
 * either. When everything has been asleep for a while, the tasks are looked at once: if each waits
 * for something that only another could give, nothing can go on.
 *
 * The loops themselves do nothing for this but run; it costs them nothing until one is blocked.
 */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include <weft/debug.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/symbol.h"
#include "obs/obs_priv.h"

#define SLOW_DEFAULT WEFT_MS(100)
#define TICKS 4                 /* looks in the time that is too long */
#define QUIET 10                /* times what is too long, all asleep: is anything still to come? */
#define CAPTURE_NS WEFT_MS(200) /* how long a blocked thread may take to note where it is */
#define FRAMES 32
#define TASKS_NAMED 20
#define HOLDS 64 /* locks that are watched at the same time; more are not */

/* Here, because this file needs all the others. */
const char weft_debug_linked[] = "weft debug";

/* Written by the thread that is asked, between WANTED and TAKEN. */
enum { CAPTURE_NONE, CAPTURE_WANTED, CAPTURE_TAKEN };

struct capture {
    uint32_t phase; /* atomic */
    bool in_task;
    char name[32];
    const void *site;
    int n_frames;
    void *frames[FRAMES];
};

/* A thread that runs loops: one each, or with the virtual clock all of them. */
struct watched {
    struct weft__lock lock; /* over `running`, and while the thread is sent a signal */
    bool running;           /* it takes turns, and its handle is good */
    pthread_t thread;
    sigset_t mask_before;
    uint64_t progress; /* its counters when they were last seen to change, */
    int64_t since;     /* and when that was */
    bool reported;
    struct capture capture;
};

/* A lock that a task holds. */
struct hold {
    const void *lock; /* NULL: free */
    const char *what;
    int64_t since;
    uint64_t switches; /* of the holder's loop then: when they have not changed, nobody waited */
    const struct weft__sched *sched;
    const void *site;
    bool reported;
    char name[32];
};

struct watchdog {
    struct weft__runtime *runtime;
    pthread_t thread;
    uint32_t stop; /* atomic */
    int64_t slow;
    int signal;         /* 0: none was to be had, and there are no backtraces */
    bool quiet_looked;  /* at the tasks, since something last moved */
    bool stuck_told;    /* once is enough */
    uint64_t quiet_sum; /* of all counters, and */
    int64_t quiet_since;
    struct weft__lock holds_lock;
    struct hold holds[HOLDS];
    unsigned n_watched;
    struct watched watched[];
};

/* ---- The signal ----------------------------------------------------------------------------- */

static pthread_mutex_t signal_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned n_signal_users;
static int signal_number;

static struct watched *
watched_self(struct weft__sched *sched)
{
    struct watchdog *watchdog = sched->runtime->debug;
    return &watchdog->watched[sched->runtime->clock.is_virtual ? 0 : sched->loop.index];
}

static const void *
interrupted_at(const void *context)
{
    const ucontext_t *uc = context;
#if defined(__x86_64__)
    return (const void *)(uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (const void *)(uintptr_t)uc->uc_mcontext.pc;
#else
    (void)uc;
    return NULL;
#endif
}

/* On the thread that is blocked, on its alternate stack. backtrace(3) has been called before, so it
 * loads nothing any more. */
static void
on_capture(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)number;
    (void)info;
    struct weft__sched *sched = weft__sched_self();
    if (sched != NULL && sched->runtime->debug != NULL) {
        struct capture *capture = &watched_self(sched)->capture;
        if (weft__load(&capture->phase) == CAPTURE_WANTED) {
            const struct weft_task *task = weft__task_running(sched);
            capture->in_task = task != NULL;
            if (task != NULL) {
                memcpy(capture->name, task->name, sizeof capture->name);
                capture->site = task->site;
            }
            capture->n_frames = backtrace(capture->frames, FRAMES);
            /* The handler's own frames go: the first of interest is where it was interrupted. */
            const void *at = interrupted_at(context);
            for (int i = 0; i < capture->n_frames; i++) {
                if (capture->frames[i] != at)
                    continue;
                capture->n_frames -= i;
                memmove(capture->frames, capture->frames + i,
                        (size_t)capture->n_frames * sizeof capture->frames[0]);
                break;
            }
            weft__store(&capture->phase, CAPTURE_TAKEN); /* pairs with the load in capture */
            weft__sys_futex_wake(&capture->phase, 1);
        }
    }
    errno = saved;
}

/* A real-time signal that nobody uses. */
static int
signal_acquire(void)
{
    pthread_mutex_lock(&signal_lock);
    if (n_signal_users == 0) {
        signal_number = 0;
        for (int number = SIGRTMAX - 1; number > SIGRTMIN && signal_number == 0; number--) {
            struct sigaction present;
            if (sigaction(number, NULL, &present) < 0 || (present.sa_flags & SA_SIGINFO) ||
                present.sa_handler != SIG_DFL)
                continue;
            struct sigaction ours = {.sa_sigaction = on_capture,
                                     .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
            sigfillset(&ours.sa_mask);
            if (sigaction(number, &ours, NULL) == 0)
                signal_number = number;
        }
        void *frames[1];
        (void)backtrace(frames, 1); /* loads the unwinder */
    }
    n_signal_users++;
    int number = signal_number;
    pthread_mutex_unlock(&signal_lock);
    return number;
}

static void
signal_release(void)
{
    pthread_mutex_lock(&signal_lock);
    if (--n_signal_users == 0 && signal_number != 0)
        signal(signal_number, SIG_DFL);
    pthread_mutex_unlock(&signal_lock);
}

static void
thread_enter(struct weft__runtime *runtime, unsigned index)
{
    struct watchdog *watchdog = runtime->debug;
    struct watched *watched = &watchdog->watched[index];
    watched->thread = pthread_self();
    sigset_t set;
    sigemptyset(&set);
    if (watchdog->signal != 0)
        sigaddset(&set, watchdog->signal);
    pthread_sigmask(SIG_UNBLOCK, &set, &watched->mask_before);
    weft__lock(&watched->lock);
    watched->running = true;
    weft__unlock(&watched->lock);
}

static void
thread_leave(struct weft__runtime *runtime, unsigned index)
{
    struct watchdog *watchdog = runtime->debug;
    struct watched *watched = &watchdog->watched[index];
    weft__lock(&watched->lock);
    watched->running = false;
    weft__unlock(&watched->lock);
    /* One that was sent just now is taken on the way back from the kernel, and none comes later. */
    sched_yield();
    if (watchdog->signal != 0 && sigismember(&watched->mask_before, watchdog->signal) == 1) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, watchdog->signal);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
    }
}

static bool
is_running(struct watched *watched)
{
    weft__lock(&watched->lock);
    bool running = watched->running;
    weft__unlock(&watched->lock);
    return running;
}

/* ---- A blocked loop ------------------------------------------------------------------------- */

static uint64_t
loop_progress(const struct weft__sched *sched)
{
    return weft__load_relaxed(&sched->loop.turns) + weft__load_relaxed(&sched->switches);
}

static uint64_t
progress_of(const struct watchdog *watchdog, unsigned index)
{
    const struct weft__runtime *runtime = watchdog->runtime;
    if (!runtime->clock.is_virtual)
        return loop_progress(runtime->loops[index]);
    uint64_t sum = 0;
    for (unsigned i = 0; i < runtime->n_loops; i++)
        sum += loop_progress(runtime->loops[i]);
    return sum;
}

/* Asleep in its poller. A callback of libevent that blocks is there too, and is found out when
 * messages are left lying. */
static bool
asleep(const struct watchdog *watchdog, unsigned index)
{
    const struct weft__runtime *runtime = watchdog->runtime;
    if (runtime->clock.is_virtual)
        return weft__load(&runtime->bell.sleeping) != 0;
    const struct weft_loop *loop = &runtime->loops[index]->loop;
    return weft__load(&loop->bell->sleeping) != 0 && weft__mpsc_empty(&loop->inbox);
}

/* Has the thread note where it is. */
static bool
capture(struct watchdog *watchdog, struct watched *watched)
{
    struct capture *capture = &watched->capture;
    if (watchdog->signal == 0)
        return false;
    weft__store(&capture->phase, CAPTURE_WANTED);
    weft__lock(&watched->lock);
    bool sent = watched->running && pthread_kill(watched->thread, watchdog->signal) == 0;
    weft__unlock(&watched->lock);
    if (!sent)
        return false;
    int64_t until = weft__sys_monotonic() + CAPTURE_NS;
    for (;;) {
        if (weft__load(&capture->phase) == CAPTURE_TAKEN)
            return true;
        int64_t left = until - weft__sys_monotonic();
        if (left <= 0)
            break;
        weft__sys_futex_wait(&capture->phase, CAPTURE_WANTED, left);
    }
    /* It may be writing just now; whoever wins decides. */
    return !weft__cas(&capture->phase, CAPTURE_WANTED, CAPTURE_NONE);
}

static void
report_blocked(struct watchdog *watchdog, unsigned index, int64_t ns)
{
    struct watched *watched = &watchdog->watched[index];
    char who[32] = "all loops have";
    if (!watchdog->runtime->clock.is_virtual)
        snprintf(who, sizeof who, "loop %u has", index);
    long long ms = (long long)(ns / 1000000);
    if (!capture(watchdog, watched)) {
        weft_log(WEFT_LOG_WARN, "%s been blocked for %lld ms; the thread does not say where", who,
                 ms);
        return;
    }
    const struct capture *found = &watched->capture;
    char place[WEFT__SYMBOL_BYTES];
    if (found->in_task) {
        weft__symbol_text(found->site, place);
        weft_log(WEFT_LOG_WARN, "%s been blocked for %lld ms by task \"%s\", spawned at %s", who,
                 ms, found->name, place);
    } else {
        weft_log(WEFT_LOG_WARN, "%s been blocked for %lld ms by a callback", who, ms);
    }
    for (int i = 0; i < found->n_frames; i++) {
        weft__symbol_text(found->frames[i], place);
        weft_log(WEFT_LOG_WARN, "  #%d %s", i, place);
    }
}

static void
look_at_thread(struct watchdog *watchdog, unsigned index, int64_t now)
{
    struct watched *watched = &watchdog->watched[index];
    uint64_t progress = progress_of(watchdog, index);
    if (!is_running(watched) || progress != watched->progress || asleep(watchdog, index)) {
        if (watched->reported)
            weft_log(WEFT_LOG_INFO, "it goes on, after %lld ms",
                     (long long)((now - watched->since) / 1000000));
        watched->progress = progress;
        watched->since = now;
        watched->reported = false;
        return;
    }
    if (watched->reported || now - watched->since < watchdog->slow)
        return;
    watched->reported = true;
    report_blocked(watchdog, index, now - watched->since);
}

/* ---- Nothing can go on ---------------------------------------------------------------------- */

static bool
all_quiet(struct watchdog *watchdog)
{
    const struct weft__runtime *runtime = watchdog->runtime;
    for (unsigned i = 0; i < runtime->n_loops; i++) {
        if (!is_running(&watchdog->watched[i]) || !asleep(watchdog, i) ||
            weft__load_relaxed(&runtime->loops[i]->loop.timers.n) > 0)
            return false;
    }
    return weft__load(&runtime->n_any) == 0;
}

static bool
seems_stuck(const struct weft__look *look)
{
    size_t n = 0;
    for (unsigned i = 0; i < look->n_loops; i++) {
        const struct weft__loop_look *loop = &look->loops[i];
        const struct weft__task_look *tasks = weft__look_tasks(loop);
        if (loop->answer != WEFT__ANSWERED || loop->foreign || loop->timers > 0 ||
            loop->n_hidden > 0)
            return false;
        for (size_t k = 0; k < loop->n_tasks; k++) {
            if (tasks[k].state != WEFT_TASK_WAITING || weft__debug_outside(tasks[k].what))
                return false;
        }
        n += loop->n_tasks;
    }
    return n > 0;
}

static void
report_stuck(const struct watchdog *watchdog, const struct weft__look *look)
{
    unsigned own = watchdog->runtime->n_loops + 1;
    unsigned threads = weft__debug_threads();
    char others[96] = "a signal or another process could still wake them";
    if (threads > own)
        snprintf(others, sizeof others, "%u other threads of this process could still wake them",
                 threads - own);
    weft_log(WEFT_LOG_WARN,
             "it seems that nothing can go on: all tasks wait and nothing is pending (%s)", others);
    size_t n = 0;
    for (unsigned i = 0; i < look->n_loops; i++) {
        const struct weft__task_look *tasks = weft__look_tasks(&look->loops[i]);
        for (size_t k = 0; k < look->loops[i].n_tasks; k++) {
            if (n++ >= TASKS_NAMED)
                continue;
            char state[WEFT__WAIT_BYTES + 64];
            char place[WEFT__SYMBOL_BYTES];
            weft__dump_state(&tasks[k], state, sizeof state);
            weft__symbol_text(tasks[k].site, place);
            weft_log(WEFT_LOG_WARN, "task \"%s\" cannot go on: %s; spawned at %s", tasks[k].name,
                     state, place);
        }
    }
    if (n > TASKS_NAMED)
        weft_log(WEFT_LOG_WARN, "and %zu more", n - TASKS_NAMED);
}

/* With the virtual clock the runtime itself finds out, unless there are other threads, and then it
 * looks again each second: its turns do not count. */
static void
look_for_stuck(struct watchdog *watchdog, int64_t now)
{
    const struct weft__runtime *runtime = watchdog->runtime;
    if (watchdog->stuck_told || runtime->clock.is_virtual)
        return;
    uint64_t sum = 0;
    for (unsigned i = 0; i < runtime->n_loops; i++)
        sum += loop_progress(runtime->loops[i]);
    if (sum != watchdog->quiet_sum || !all_quiet(watchdog)) {
        watchdog->quiet_sum = sum;
        watchdog->quiet_since = now;
        watchdog->quiet_looked = false;
        return;
    }
    /* Divided, for slow may be WEFT_FOREVER. */
    if (watchdog->quiet_looked || (now - watchdog->quiet_since) / QUIET < watchdog->slow)
        return;
    struct weft__look *look = weft__look_begin(watchdog->runtime);
    if (look == NULL)
        return;
    weft__look_wait(look, weft__sys_monotonic() + WEFT_SEC(1));
    if (seems_stuck(look)) {
        watchdog->stuck_told = true;
        report_stuck(watchdog, look);
    }
    weft__look_free(look);
    /* Our own message was a turn; once more only after something else has moved. */
    sum = 0;
    for (unsigned i = 0; i < runtime->n_loops; i++)
        sum += loop_progress(runtime->loops[i]);
    watchdog->quiet_sum = sum;
    watchdog->quiet_looked = true;
}

/* ---- Locks that are held -------------------------------------------------------------------- */

static void
lock_taken(struct weft__runtime *runtime, const void *lock, const char *what)
{
    struct watchdog *watchdog = runtime->debug;
    struct weft__sched *sched = weft__sched_self();
    const struct weft_task *task = sched->current;
    if (watchdog == NULL || task == NULL)
        return;
    int64_t now = weft__sys_monotonic();
    weft__lock(&watchdog->holds_lock);
    for (unsigned i = 0; i < HOLDS; i++) {
        struct hold *hold = &watchdog->holds[i];
        if (hold->lock != NULL)
            continue;
        *hold = (struct hold){.lock = lock,
                              .what = what,
                              .since = now,
                              .switches = sched->switches,
                              .sched = sched,
                              .site = task->site};
        memcpy(hold->name, task->name, sizeof hold->name);
        break;
    }
    weft__unlock(&watchdog->holds_lock);
}

static void
lock_released(struct weft__runtime *runtime, const void *lock)
{
    struct watchdog *watchdog = runtime->debug;
    if (watchdog == NULL)
        return;
    weft__lock(&watchdog->holds_lock);
    for (unsigned i = 0; i < HOLDS; i++) {
        if (watchdog->holds[i].lock == lock) {
            watchdog->holds[i].lock = NULL;
            break;
        }
    }
    weft__unlock(&watchdog->holds_lock);
}

static void
look_at_holds(struct watchdog *watchdog, int64_t now)
{
    for (unsigned i = 0; i < HOLDS; i++) {
        weft__lock(&watchdog->holds_lock);
        struct hold *hold = &watchdog->holds[i];
        struct hold found = *hold;
        bool tell = found.lock != NULL && !found.reported && now - found.since >= watchdog->slow &&
                    weft__load_relaxed(&found.sched->switches) != found.switches;
        if (tell)
            hold->reported = true;
        weft__unlock(&watchdog->holds_lock);
        if (!tell)
            continue;
        char place[WEFT__SYMBOL_BYTES];
        weft__symbol_text(found.site, place);
        weft_log(WEFT_LOG_WARN,
                 "task \"%s\" has held %s %p for %lld ms, across a wait; it was spawned at %s",
                 found.name, found.what, found.lock, (long long)((now - found.since) / 1000000),
                 place);
    }
}

/* ---- Its thread ----------------------------------------------------------------------------- */

static void *
watchdog_main(void *arg)
{
    struct watchdog *watchdog = arg;
    struct weft__runtime *runtime = watchdog->runtime;
    pthread_setname_np(pthread_self(), "weft-debug");
    int64_t tick = watchdog->slow / TICKS > WEFT_MS(1) ? watchdog->slow / TICKS : WEFT_MS(1);
    int64_t before = weft__sys_monotonic();
    for (;;) {
        uint32_t wake = weft__load(&runtime->debug_wake);
        if (weft__load(&watchdog->stop)) /* pairs with the store in stop */
            return NULL;
        if (weft__exchange(&runtime->dump_wanted, 0)) /* pairs with the store of the handler */
            weft_ignore(weft_dump(STDERR_FILENO));
        weft__sys_futex_wait(&runtime->debug_wake, wake, tick);
        int64_t now = weft__sys_monotonic();
        bool late = now - before > watchdog->slow;
        before = now;
        for (unsigned i = 0; i < watchdog->n_watched; i++) {
            if (late) /* the machine was busy or asleep: others had no time either */
                watchdog->watched[i].since = now;
            look_at_thread(watchdog, i, now);
        }
        look_at_holds(watchdog, now);
        look_for_stuck(watchdog, now);
    }
}

static void
start(struct weft__runtime *runtime)
{
    unsigned n = runtime->clock.is_virtual ? 1 : runtime->n_loops;
    struct watchdog *watchdog =
        weft__alloc_zeroed(sizeof *watchdog + n * sizeof watchdog->watched[0]);
    int rc = -ENOMEM;
    if (watchdog != NULL) {
        watchdog->runtime = runtime;
        watchdog->n_watched = n;
        watchdog->slow = runtime->options.slow != 0 ? runtime->options.slow : SLOW_DEFAULT;
        watchdog->signal = signal_acquire();
        runtime->debug = watchdog;
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = weft__sys_thread_create(&watchdog->thread, NULL, watchdog_main, watchdog);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (rc == 0)
        return;
    weft_log(WEFT_LOG_WARN, "debug mode: nobody watches the loops: %s", strerror(-rc));
    if (watchdog != NULL)
        signal_release();
    weft__free(watchdog);
    runtime->debug = NULL;
}

static void
stop(struct weft__runtime *runtime)
{
    struct watchdog *watchdog = runtime->debug;
    weft__store(&watchdog->stop, 1);
    weft__fetch_add(&runtime->debug_wake, 1);
    weft__sys_futex_wake(&runtime->debug_wake, 1);
    pthread_join(watchdog->thread, NULL);
    signal_release();
    runtime->debug = NULL;
    weft__free(watchdog);
}

/* Before main, when no other thread can be looking. */
__attribute__((constructor)) static void
set_hooks(void)
{
    static const struct weft__debug_hooks hooks = {.start = start,
                                                   .stop = stop,
                                                   .thread_enter = thread_enter,
                                                   .thread_leave = thread_leave,
                                                   .lock_taken = lock_taken,
                                                   .lock_released = lock_released};
    weft__debug_hooks = &hooks;
}
