/*
 * cross.c - a round trip between tasks on two loops, and what the runtime uses when idle.
 *
 * Spinning: nothing but the two tasks, so each loop meets the reply while it still looks for
 * work. Busy: on each loop a third task is always ready. Asleep: the other loop was left alone
 * long enough to be in the kernel, so the figure is the kernel's wake-up.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/future.h>
#include <weft/loop.h>
#include <weft/run.h>
#include <weft/sync.h>
#include <weft/task.h>
#include <weft/time.h>

#include "micro/micro.h"

#define ASLEEP_TRIPS 200
#define IDLE_SECONDS 5

static struct micro m = {.program = "cross",
                         .what = "a round trip between two loops on two CPUs",
                         .repeats = 9,
                         .count = 200000};

static double values[MICRO_REPEATS_MAX];

/* ---- Physical limits, in the same run ----------------------------------------------------- */

enum medium { LINE, FUTEX, EVENTFD };

/* Two threads take turns; `turns` counts them, so the second's turns are the odd numbers. */
static struct {
    enum medium medium;
    uint32_t trips;
    int fds[2];
    _Alignas(128) uint32_t turns;
} duel;

static void
pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void
duel_wait(int self, uint32_t turn)
{
    uint64_t n;
    uint32_t seen;
    switch (duel.medium) {
    case LINE:
        while (__atomic_load_n(&duel.turns, __ATOMIC_ACQUIRE) != turn)
            pause_cpu();
        break;
    case FUTEX:
        while ((seen = __atomic_load_n(&duel.turns, __ATOMIC_ACQUIRE)) != turn)
            syscall(SYS_futex, &duel.turns, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        break;
    case EVENTFD:
        if (read(duel.fds[self], &n, sizeof n) != sizeof n)
            micro_fail(&m, "read from an eventfd", -errno);
        break;
    }
}

static void
duel_pass(int self, uint32_t turn)
{
    uint64_t one = 1;
    __atomic_store_n(&duel.turns, turn, __ATOMIC_RELEASE);
    if (duel.medium == FUTEX)
        syscall(SYS_futex, &duel.turns, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    else if (duel.medium == EVENTFD && write(duel.fds[!self], &one, sizeof one) != sizeof one)
        micro_fail(&m, "write to an eventfd", -errno);
}

static void *
duel_answer(void *arg)
{
    (void)arg;
    micro_pin(&m, micro_cpu(1));
    for (uint32_t trip = 0; trip < duel.trips; trip++) {
        duel_wait(1, 2 * trip + 1);
        duel_pass(1, 2 * trip + 2);
    }
    return NULL;
}

static void *
duel_begin(void *ret_ns)
{
    pthread_t other;
    micro_check(&m, "thread", -pthread_create(&other, NULL, duel_answer, NULL));
    micro_pin(&m, micro_cpu(0));
    duel_pass(0, 1);
    duel_wait(0, 2); /* the other thread is there */
    int64_t start = micro_now();
    for (uint32_t trip = 1; trip < duel.trips; trip++) {
        duel_pass(0, 2 * trip + 1);
        duel_wait(0, 2 * trip + 2);
    }
    *(double *)ret_ns = (double)(micro_now() - start) / (duel.trips - 1);
    pthread_join(other, NULL);
    return NULL;
}

/* Runs on threads of its own, so that this one stays on all CPUs. */
static double
duel_ns(enum medium medium, uint32_t trips)
{
    duel.medium = medium;
    duel.trips = trips;
    duel.turns = 0;
    for (int i = 0; i < 2; i++)
        if ((duel.fds[i] = eventfd(0, EFD_CLOEXEC)) < 0)
            micro_fail(&m, "eventfd", -errno);
    double ns;
    pthread_t first;
    micro_check(&m, "thread", -pthread_create(&first, NULL, duel_begin, &ns));
    pthread_join(first, NULL);
    close(duel.fds[0]);
    close(duel.fds[1]);
    return ns;
}

static void
limits(void)
{
    static const struct {
        enum medium medium;
        uint32_t trips;
        const char *name;
        const char *peers;
    } rows[] = {
        {LINE, 500000, "limit: one cache line", "290 there"},
        {FUTEX, 3000, "limit: futex, asleep", "66,600 there"},
        {EVENTFD, 3000, "limit: eventfd, asleep", "67,800 there"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        for (long i = 0; i < m.repeats; i++)
            values[i] = duel_ns(rows[row].medium, rows[row].trips);
        micro_note(&m, rows[row].name, "ns", rows[row].peers, values, (size_t)m.repeats);
    }
}

/* ---- Two loops ---------------------------------------------------------------------------- */

static weft_semaphore ping, pong;
static struct round {
    _Alignas(128) weft_future call;
    _Alignas(128) weft_future reply;
} * rounds;
static uint32_t busy_over; /* atomic */

static int
semaphores_answer(void *arg)
{
    for (long i = *(long *)arg; i > 0; i--) {
        int rc = weft_semaphore_acquire(&ping);
        if (rc < 0)
            return rc;
        weft_semaphore_release(&pong);
    }
    return 0;
}

static void
semaphores_call(long trips)
{
    for (long i = 0; i < trips; i++) {
        weft_semaphore_release(&ping);
        micro_check(&m, "acquire", weft_semaphore_acquire(&pong));
    }
}

static int
futures_answer(void *arg)
{
    for (long i = 0; i < *(long *)arg; i++) {
        int rc = weft_future_wait(&rounds[i].call, NULL);
        if (rc < 0)
            return rc;
        weft_future_set(&rounds[i].reply, 0);
    }
    return 0;
}

static void
futures_call(long trips)
{
    for (long i = 0; i < trips; i++) {
        weft_future_set(&rounds[i].call, 0);
        micro_check(&m, "wait", weft_future_wait(&rounds[i].reply, NULL));
    }
}

static weft_task *
spawn_on(unsigned loop, weft_task_fn *fn, void *arg)
{
    weft_task *task;
    micro_check(&m, "spawn",
                weft_task_spawn(&task, fn, arg, &(weft_task_options){.on = WEFT_ON(loop)}));
    return task;
}

static void
join(weft_task *task)
{
    int result;
    micro_check(&m, "join", weft_task_join(task, &result));
    micro_check(&m, "task", result);
}

static double
trip_ns(weft_task_fn *answer, void (*call)(long trips))
{
    if (answer == futures_answer)
        for (long i = 0; i < m.count; i++) {
            weft_future_open(&rounds[i].call);
            weft_future_open(&rounds[i].reply);
        }
    micro_check(&m, "semaphore", weft_semaphore_open(&ping, 0));
    micro_check(&m, "semaphore", weft_semaphore_open(&pong, 0));
    weft_task *other = spawn_on(1, answer, &m.count);
    int64_t start = micro_now();
    call(m.count);
    int64_t end = micro_now();
    join(other);
    weft_semaphore_close(&ping);
    weft_semaphore_close(&pong);
    if (answer == futures_answer)
        for (long i = 0; i < m.count; i++) {
            weft_future_close(&rounds[i].call);
            weft_future_close(&rounds[i].reply);
        }
    return (double)(end - start) / (double)m.count;
}

static double
asleep_ns(void)
{
    long trips = ASLEEP_TRIPS;
    int64_t total = 0;
    micro_check(&m, "semaphore", weft_semaphore_open(&ping, 0));
    micro_check(&m, "semaphore", weft_semaphore_open(&pong, 0));
    weft_task *other = spawn_on(1, semaphores_answer, &trips);
    for (long i = 0; i < trips; i++) {
        micro_check(&m, "sleep", weft_sleep(WEFT_MS(1)));
        int64_t start = micro_now();
        semaphores_call(1);
        total += micro_now() - start;
    }
    join(other);
    weft_semaphore_close(&ping);
    weft_semaphore_close(&pong);
    return (double)total / (double)trips;
}

static int
keep_busy(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&busy_over, __ATOMIC_RELAXED)) {
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void
trips(const char *name, weft_task_fn *answer, void (*call)(long trips))
{
    trip_ns(answer, call);
    for (long i = 0; i < m.repeats; i++)
        values[i] = trip_ns(answer, call);
    micro_row(&m, name, "ns", 600, "Go 354; between threads 66,800 to 82,900", values,
              (size_t)m.repeats);
}

/* ---- Idle --------------------------------------------------------------------------------- */

/* utime + stime of /proc/self/stat, in ticks of 10 ms. */
static long
cpu_ticks(void)
{
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "r");
    if (file == NULL)
        micro_fail(&m, "/proc/self/stat", -errno);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    unsigned long user = 0, sys = 0;
    const char *rest = strrchr(text, ')');
    if (rest == NULL ||
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
        micro_fail(&m, "/proc/self/stat", 0);
    return (long)(user + sys);
}

static double
cpu_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void
idle(void)
{
    micro_check(&m, "sleep", weft_sleep(WEFT_MS(50))); /* what was still under way comes to rest */
    double us = cpu_us();
    double ticks = (double)cpu_ticks();
    micro_check(&m, "sleep", weft_sleep(WEFT_SEC(IDLE_SECONDS)));
    ticks = (double)cpu_ticks() - ticks;
    us = cpu_us() - us;
    micro_row(&m, "CPU of 5 s idle, once", "ticks", 0, "", &ticks, 1);
    micro_note(&m, "CPU of 5 s idle, once", "us", "", &us, 1);
}

static int
measure(void *arg)
{
    (void)arg;
    if (weft_loop_count() < 2)
        micro_fail(&m, "a second loop", 0);
    trips("spinning, semaphores", semaphores_answer, semaphores_call);
    trips("spinning, futures", futures_answer, futures_call);
    weft_task *busy[2] = {spawn_on(0, keep_busy, NULL), spawn_on(1, keep_busy, NULL)};
    trips("busy, semaphores", semaphores_answer, semaphores_call);
    trips("busy, futures", futures_answer, futures_call);
    __atomic_store_n(&busy_over, 1, __ATOMIC_RELAXED);
    join(busy[0]);
    join(busy[1]);
    for (long i = 0; i < m.repeats; i++)
        values[i] = asleep_ns();
    micro_note(&m, "asleep, semaphores", "ns", "", values, (size_t)m.repeats);
    idle();
    return 0;
}

int
main(int argc, char **argv)
{
    micro_options(&m, argc, argv, "round trips in a repeat");
    if (micro_cpu(1) < 0) {
        printf("cross: needs two CPUs, and this process may use one: nothing measured\n");
        return 0;
    }
    rounds = aligned_alloc(128, (size_t)m.count * sizeof *rounds);
    if (rounds == NULL)
        micro_fail(&m, "memory for futures", -ENOMEM);
    limits();
    micro_check(&m, "run", weft_run(measure, NULL, &(weft_options){.loops = 2, .pin = 1}));
    free(rounds);
    return micro_end(&m);
}
