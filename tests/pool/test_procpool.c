/*
 * The pool: answers, deaths at every stage, deadlines, cancelling, closing, and the parent's end.
 *
 * The handler does what the first byte of its request says. Children share a page with the test,
 * for the stages at which they are to die and for meeting each other.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weft/procpool.h>

#include "base/atomic.h"
#include "base/san.h"
#include "base/sys.h"
#include "pool/pool_priv.h"
#include "t.h"

static void
count_framework(void)
{
    DIR *folder = opendir("/proc/self/task");
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(folder);
#if defined(WEFT__SAN_THREAD)
    n--; /* TSan's own; the pool knows of that one */
#endif
    weft__zygote_threads_besides = n - 1;
}

TestSuite(procpool, .init = count_framework, .timeout = 120);

#ifdef WEFT_VALGRIND
#define LARGE ((size_t)4 << 20)
#define DEATHS 15
#define UNDER_VALGRIND true
#else
#define DEATHS 100
#define UNDER_VALGRIND false
#define LARGE ((size_t)64 << 20)
#endif

/* ---- What the test and its children share ----------------------------------------------------*/

static struct {
    uint32_t die_at;
    uint32_t arrived; /* children that came to 'm', 'l' or 'w' */
    uint32_t n_pids;
    uint32_t go; /* lets those at 'w' go on */
    pid_t pids[16];
} * page;

static void
page_map(int fd)
{
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE,
                MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    if ((void *)page == MAP_FAILED)
        abort();
    weft__procchild_die_at = &page->die_at;
}

static void
page_open(void)
{
    page_map(-1);
}

/* This program's file: under valgrind /proc/self/exe is valgrind's for all but readlink(2). */
static const char *
self(void)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    return len < 0 ? "" : path;
}

static void
nap(void)
{
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 500000}, NULL);
}

extern char **environ;

/* Whether it comes true within 10 s. */
#define SOON(condition)                                                                            \
    __extension__({                                                                                \
        bool soon = false;                                                                         \
        for (int64_t end = weft__sys_monotonic() + WEFT_SEC(10);                                   \
             !(soon = (condition)) && weft__sys_monotonic() < end;)                                \
            nap();                                                                                 \
        soon;                                                                                      \
    })

/* ---- The handler -----------------------------------------------------------------------------*/

/* The descriptors that are open, one bit each. */
static uint64_t
open_descriptors(void)
{
    uint64_t bits = 0;
    for (int fd = 0; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            bits |= (uint64_t)1 << fd;
    return bits;
}

/* What a job has printed is flushed at the end of its child, unless that one was killed. */
static ssize_t
page_write(void *cookie, const char *text, size_t len)
{
    (void)cookie, (void)text;
    weft__fetch_add(&page->arrived, 1);
    return (ssize_t)len;
}

static void
print_to_page(void)
{
    FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){.write = page_write});
    (void)fputc('!', f);
}

static int
handler(weft_bytes request, weft_buf *reply)
{
    const char *text = request.data;
    switch (request.len > 0 ? text[0] : '\0') {
    case 'e': /* echo */
        return weft_buf_append(reply, text, request.len);
    case 'f': /* fail, with a reply */
        (void)weft_buf_append(reply, "why", 3);
        return -ENOENT;
    case 'k':
        (void)raise(SIGKILL);
        return 0;
    case 'x': /* exit(3) would let LeakSanitizer look for the framework's thread, and complain */
        quick_exit(0);
    case '3':
        _exit(3);
    case 'b': /* will say goodbye when it leaves by itself */
        print_to_page();
        return 0;
    case 'o': /* prints */
        weft_ignore(write(1, "out", 3));
        weft_ignore(write(2, "err", 3));
        return 0;
    case 'c': /* closes its socket, but lives */
        (void)close(3);
        for (;;)
            (void)pause();
    case 'g': /* bytes that are no frame */
        weft_ignore(write(3, "all work and no play", 20));
        return 0;
    case 'h': /* dies, while somebody holds its socket */
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, 0);
            (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_sec = 1}, NULL);
            _exit(0);
        }
        (void)raise(SIGKILL);
        return 0;
    case 's':
        (void)raise(SIGSTOP);
        return 0;
    case 'l': /* loops for ever */
        weft__fetch_add(&page->arrived, 1);
        for (;;)
            nap();
    case 'w': /* waits for the test */
        page->pids[weft__fetch_add(&page->n_pids, 1) % 16] = getpid();
        weft__fetch_add(&page->arrived, 1);
        while (weft__load(&page->go) == 0)
            nap();
        return 0;
    case 'm': /* meets another one */
        weft__fetch_add(&page->arrived, 1);
        while (weft__load(&page->arrived) < 2)
            nap();
        return 0;
    case 'p': {
        pid_t pid = getpid();
        return weft_buf_append(reply, &pid, sizeof pid);
    }
    case 'd': {
        uint64_t bits = open_descriptors();
        return weft_buf_append(reply, &bits, sizeof bits);
    }
    case 'i': { /* ignored, caught or blocked signals: 1 for none */
        sigset_t blocked;
        (void)sigprocmask(SIG_SETMASK, NULL, &blocked);
        int plain = 1;
        for (int number = 1; number < 32; number++) {
            struct sigaction action;
            if (number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE)
                continue;
            (void)sigaction(number, NULL, &action);
            plain &= action.sa_handler == SIG_DFL && !sigismember(&blocked, number);
        }
        return plain;
    }
    default:
        return 0;
    }
}

/* ---- Calls -----------------------------------------------------------------------------------*/

struct t_call {
    weft_procpool_call call;
    uint32_t n_done;
    int result;
};

static void
on_done(weft_procpool_call *call, int result)
{
    struct t_call *t = (struct t_call *)call;
    t->result = result;
    weft__fetch_add(&t->n_done, 1);
    weft__sys_futex_wake(&t->n_done, 1);
}

static struct t_call
call_of(const char *text)
{
    return (struct t_call){.call = {.request = {{text, strlen(text)}, {NULL, 0}},
                                    .deadline = WEFT_FOREVER,
                                    .done = on_done}};
}

static int
result_of(struct t_call *t)
{
    for (int64_t end = weft__sys_monotonic() + WEFT_SEC(60);
         weft__load(&t->n_done) == 0 && weft__sys_monotonic() < end;)
        (void)weft__sys_futex_wait(&t->n_done, 0, WEFT_MS(100));
    cr_assert_eq(weft__load(&t->n_done), 1u, "done was called %u times", t->n_done);
    return t->result;
}

/* Submits, waits, and forgets the reply. */
static int
run(weft_procpool *pool, const char *text)
{
    struct t_call t = call_of(text);
    int rc = weft_procpool_submit(pool, &t.call);
    if (rc == 0)
        rc = result_of(&t);
    weft_buf_free(&t.call.reply);
    return rc;
}

static weft_procpool *
pool_open(unsigned width)
{
    page_open();
    t_leak_begin();
    weft_procpool *pool = NULL;
    T_OK(weft_procpool_new(&pool, &(weft_procpool_options){.width = width, .handler = handler}));
    return pool;
}

static void
pool_close(weft_procpool *pool)
{
    weft_procpool_free(pool, WEFT_CANCEL, 0);
    t_leak_end();
}

static weft_procpool_stats
stats_of(weft_procpool *pool)
{
    weft_procpool_stats stats;
    weft_procpool_stats_get(pool, &stats);
    return stats;
}

/* ---- Answers ---------------------------------------------------------------------------------*/

Test(procpool, answers_a_request_with_its_reply)
{
    weft_procpool *pool = pool_open(2);
    struct t_call t = call_of("echo");
    T_OK(weft_procpool_submit(pool, &t.call));
    T_OK(result_of(&t));
    cr_assert_eq(t.call.reply.len, 4u);
    cr_assert_eq(memcmp(t.call.reply.data, "echo", 4), 0);
    weft_buf_free(&t.call.reply);
    pool_close(pool);
}

Test(procpool, a_failure_comes_with_what_was_written)
{
    weft_procpool *pool = pool_open(1);
    struct t_call t = call_of("fail");
    T_OK(weft_procpool_submit(pool, &t.call));
    T_ERR(-ENOENT, result_of(&t));
    cr_assert_eq(t.call.reply.len, 3u);
    weft_buf_free(&t.call.reply);
    pool_close(pool);
}

Test(procpool, an_empty_request_may_have_an_empty_reply)
{
    weft_procpool *pool = pool_open(1);
    struct t_call t = call_of("");
    T_OK(weft_procpool_submit(pool, &t.call));
    T_OK(result_of(&t));
    cr_assert_eq(t.call.reply.len, 0u);
    pool_close(pool);
}

Test(procpool, its_children_work_at_the_same_time)
{
    weft_procpool *pool = pool_open(2);
    struct t_call one = call_of("meet"), two = call_of("meet");
    one.call.request[0] = two.call.request[0] = (weft_bytes){"m", 1};
    T_OK(weft_procpool_submit(pool, &one.call));
    T_OK(weft_procpool_submit(pool, &two.call));
    T_OK(result_of(&one));
    T_OK(result_of(&two));
    pool_close(pool);
}

Test(procpool, children_start_on_demand_and_stay)
{
    weft_procpool *pool = pool_open(4);
    cr_assert_eq(stats_of(pool).children, 0u);
    for (int i = 0; i < 20; i++)
        T_OK(run(pool, "e"));
    cr_assert_eq(stats_of(pool).started, 1u);
    cr_assert_eq(stats_of(pool).idle, 1u);
    pool_close(pool);
}

Test(procpool, many_calls_are_each_done_once)
{
    enum { N = 2000 };
    weft_procpool *pool = pool_open(3);
    static struct t_call calls[N];
    static char texts[N][32];
    for (int i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "echo %d", i);
        calls[i] = call_of(texts[i]);
        T_OK(weft_procpool_submit(pool, &calls[i].call));
    }
    for (int i = 0; i < N; i++) {
        T_OK(result_of(&calls[i]));
        cr_assert_eq(calls[i].call.reply.len, strlen(texts[i]));
        cr_assert_eq(memcmp(calls[i].call.reply.data, texts[i], strlen(texts[i])), 0);
        weft_buf_free(&calls[i].call.reply);
    }
    pool_close(pool);
}

Test(procpool, large_payloads_go_both_ways_at_once)
{
    enum { N = 2 };
    size_t len = LARGE;
    unsigned char *bytes = malloc(len);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 131 + i / 65536);
    bytes[0] = 'e';
    weft_procpool *pool = pool_open(N);
    struct t_call calls[N];
    for (int i = 0; i < N; i++) {
        calls[i] = call_of("");
        calls[i].call.request[0] = (weft_bytes){bytes, 100};
        calls[i].call.request[1] = (weft_bytes){bytes + 100, len - 100};
        T_OK(weft_procpool_submit(pool, &calls[i].call));
    }
    for (int i = 0; i < N; i++) {
        T_OK(result_of(&calls[i]));
        cr_assert_eq(calls[i].call.reply.len, len);
        cr_assert_eq(memcmp(calls[i].call.reply.data, bytes, len), 0);
        weft_buf_free(&calls[i].call.reply);
    }
    pool_close(pool);
    free(bytes);
}

Test(procpool, a_request_over_the_limit_is_refused)
{
    weft_procpool *pool = pool_open(1);
    struct t_call t = call_of("e");
    t.call.request[1] = (weft_bytes){"", WEFT_PROCPOOL_BYTES_MAX};
    T_ERR(-EMSGSIZE, weft_procpool_submit(pool, &t.call));
    cr_assert_eq(t.n_done, 0u);
    pool_close(pool);
}

/* ---- The child's surroundings ----------------------------------------------------------------*/

Test(procpool, a_child_has_no_descriptor_but_its_socket)
{
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0); /* without O_CLOEXEC */
    weft_procpool *pool = pool_open(3);
    struct t_call waiting[2] = {call_of("w"), call_of("w")};
    for (int i = 0; i < 2; i++)
        T_OK(weft_procpool_submit(pool, &waiting[i].call));
    struct t_call t = call_of("d");
    T_OK(weft_procpool_submit(pool, &t.call));
    T_OK(result_of(&t));
    uint64_t bits;
    memcpy(&bits, t.call.reply.data, sizeof bits);
    cr_assert_eq(bits, 0xfu, "open in the child: %llx", (unsigned long long)bits);
    weft_buf_free(&t.call.reply);
    weft__store(&page->go, 1);
    for (int i = 0; i < 2; i++)
        T_OK(result_of(&waiting[i]));
    pool_close(pool);
}

Test(procpool, a_child_has_its_signals_at_their_defaults)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGUSR1, SIG_IGN);
    weft_procpool *pool = pool_open(1);
    T_ERR(1, run(pool, "i"));
    pool_close(pool);
}

/* ---- Deaths ----------------------------------------------------------------------------------*/

/* A call beside those that die: they must not touch it. */
static struct t_call bystander;

static weft_procpool *
pool_open_with_bystander(void)
{
    weft_procpool *pool = pool_open(2);
    bystander = call_of("w");
    T_OK(weft_procpool_submit(pool, &bystander.call));
    cr_assert(SOON(weft__load(&page->arrived) == 1));
    return pool;
}

static void
pool_close_with_bystander(weft_procpool *pool, uint64_t crashed)
{
    cr_assert_eq(weft__load(&bystander.n_done), 0u);
    weft__store(&page->go, 1);
    T_OK(result_of(&bystander));
    cr_assert_eq(stats_of(pool).crashed, crashed, "crashed: %llu",
                 (unsigned long long)stats_of(pool).crashed);
    pool_close(pool);
}

/* A request whose child dies at a stage; afterwards another one is answered. */
static void
die_again_and_again(uint32_t stage, size_t request_len, int expected)
{
    weft_procpool *pool = pool_open_with_bystander();
    char *bytes = calloc(1, request_len);
    cr_assert_not_null(bytes);
    bytes[0] = 'e';
    for (int i = 0; i < DEATHS; i++) {
        struct t_call t = call_of("");
        t.call.request[0] = (weft_bytes){bytes, request_len};
        weft__store(&page->die_at, stage);
        T_OK(weft_procpool_submit(pool, &t.call));
        T_ERR(expected, result_of(&t));
        weft_buf_free(&t.call.reply);
        cr_assert(SOON(stats_of(pool).crashed == (uint64_t)i + 1));
        T_OK(run(pool, "e"));
    }
    free(bytes);
    pool_close_with_bystander(pool, DEATHS);
}

Test(procpool, a_death_at_spawn_costs_no_call)
{
    weft_procpool *pool = pool_open_with_bystander();
    for (int i = 0; i < DEATHS; i++) {
        T_ERR(-EOWNERDEAD, run(pool, "k")); /* so that the next one needs a new child */
        weft__store(&page->die_at, WEFT__PROCCHILD_AT_SPAWN);
        T_OK(run(pool, "e"));
        cr_assert_eq(weft__load(&page->die_at), 0u);
    }
    pool_close_with_bystander(pool, 2 * DEATHS);
}

Test(procpool, a_death_while_reading_costs_its_call)
{
    die_again_and_again(WEFT__PROCCHILD_AT_READING, (size_t)3 << 20, -EOWNERDEAD);
}

Test(procpool, a_death_while_running_costs_its_call)
{
    die_again_and_again(WEFT__PROCCHILD_AT_RUNNING, 10, -EOWNERDEAD);
}

Test(procpool, a_death_with_half_a_reply_written_costs_its_call)
{
    die_again_and_again(WEFT__PROCCHILD_AT_HALF_REPLY, 100000, -EOWNERDEAD);
}

Test(procpool, a_reply_complete_before_the_death_counts)
{
    die_again_and_again(WEFT__PROCCHILD_AT_REPLY, 100000, 0);
}

Test(procpool, a_death_in_the_head_of_a_reply_costs_its_call)
{
    weft_procpool *pool = pool_open_with_bystander();
    weft__store(&page->die_at, WEFT__PROCCHILD_AT_HALF_REPLY);
    T_ERR(-EOWNERDEAD, run(pool, ""));
    T_OK(run(pool, "e"));
    pool_close_with_bystander(pool, 1);
}

Test(procpool, a_death_while_idle_costs_no_call)
{
    weft_procpool *pool = pool_open_with_bystander();
    for (int i = 0; i < DEATHS; i++) {
        struct t_call t = call_of("p");
        T_OK(weft_procpool_submit(pool, &t.call));
        T_OK(result_of(&t));
        pid_t pid;
        memcpy(&pid, t.call.reply.data, sizeof pid);
        weft_buf_free(&t.call.reply);
        cr_assert_eq(kill(pid, SIGKILL), 0);
        cr_assert(SOON(stats_of(pool).crashed == (uint64_t)i + 1));
        T_OK(run(pool, "e"));
    }
    pool_close_with_bystander(pool, DEATHS);
}

Test(procpool, a_child_that_ends_in_any_other_way_costs_its_call)
{
    static const char *const ways[] = {"x", "3", "c", "g", "h"};
    weft_procpool *pool = pool_open_with_bystander();
    uint64_t crashed = 0;
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            T_ERR(-EOWNERDEAD, run(pool, ways[i]));
            T_OK(run(pool, "e"));
            crashed++;
        }
    pool_close_with_bystander(pool, crashed);
}

/* A process that was forked from this one has copies of all descriptors, as any fork of the
 * program's own has until it calls exec. */
static pid_t
holder_start(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)pause();
    }
    return pid;
}

static void
holder_end(pid_t pid)
{
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

Test(procpool, copies_of_the_descriptors_of_a_dead_child_do_not_hurt_the_next)
{
    weft_procpool *pool = pool_open(1);
    T_OK(run(pool, "e"));
    pid_t holder = holder_start();
    for (int i = 0; i < 3; i++) {
        T_ERR(-EOWNERDEAD, run(pool, "k"));
        T_OK(run(pool, "e"));
    }
    cr_assert_eq(stats_of(pool).crashed, 3u);
    cr_assert_eq(stats_of(pool).started, 4u);
    holder_end(holder);
    pool_close(pool);
}

Test(procpool, copies_of_its_socket_do_not_keep_a_child_from_leaving)
{
    weft_procpool *pool = pool_open(1);
    T_OK(run(pool, "b"));
    pid_t holder = holder_start();
    weft_procpool_free(pool, WEFT_CANCEL, 0);
    cr_assert_eq(weft__load(&page->arrived), 1u, "the child was killed");
    holder_end(holder);
    t_leak_end();
}

Test(procpool, under_load_each_call_has_its_own_outcome)
{
    enum { N = 400 };
    weft_procpool *pool = pool_open(3);
    static struct t_call calls[N];
    for (int i = 0; i < N; i++) {
        calls[i] = call_of(i % 7 == 3 ? "k" : i % 11 == 5 ? "fail" : "e");
        T_OK(weft_procpool_submit(pool, &calls[i].call));
    }
    for (int i = 0; i < N; i++) {
        T_ERR(i % 7 == 3 ? -EOWNERDEAD : i % 11 == 5 ? -ENOENT : 0, result_of(&calls[i]));
        weft_buf_free(&calls[i].call.reply);
    }
    pool_close(pool);
}

/* How many children a process of one thread has, zombies too, and one of them. */
static unsigned
children_of(pid_t pid, pid_t *ret_one)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f);
    unsigned n = 0;
    for (int one; fscanf(f, "%d", &one) == 1; n++)
        *ret_one = one;
    fclose(f);
    return n;
}

Test(procpool, without_its_helper_it_fails_and_does_not_hang)
{
    weft_procpool *pool = pool_open(2);
    struct t_call t = call_of("l");
    T_OK(weft_procpool_submit(pool, &t.call));
    cr_assert(SOON(weft__load(&page->arrived) == 1));
    pid_t helper;
    cr_assert_eq(children_of(getpid(), &helper), 1u);
    cr_assert_eq(kill(helper, SIGKILL), 0);
    T_ERR(-EOWNERDEAD, result_of(&t));
    T_ERR(-EOWNERDEAD, run(pool, "e"));
    pool_close(pool);
}

/* ---- Deadlines and cancelling ----------------------------------------------------------------*/

Test(procpool, a_call_past_its_deadline_is_killed)
{
    weft_procpool *pool = pool_open_with_bystander();
    static const char *const ways[] = {"l", "s", "c"};
    for (int i = 0; i < 2; i++) {
        struct t_call t = call_of(ways[i]);
        t.call.deadline = weft__sys_monotonic() + WEFT_MS(50);
        T_OK(weft_procpool_submit(pool, &t.call));
        T_ERR(-ETIMEDOUT, result_of(&t));
        cr_assert_lt(weft__sys_monotonic() - t.call.deadline, WEFT_SEC(5));
        T_OK(run(pool, "e"));
    }
    cr_assert_eq(stats_of(pool).killed, 2u);
    pool_close_with_bystander(pool, 0);
}

Test(procpool, a_call_past_its_deadline_does_not_start)
{
    weft_procpool *pool = pool_open(1);
    struct t_call first = call_of("w"), late = call_of("k");
    T_OK(weft_procpool_submit(pool, &first.call));
    late.call.deadline = weft__sys_monotonic() + WEFT_MS(20);
    T_OK(weft_procpool_submit(pool, &late.call));
    T_ERR(-ETIMEDOUT, result_of(&late));
    weft__store(&page->go, 1);
    T_OK(result_of(&first));
    cr_assert_eq(stats_of(pool).killed, 0u);
    pool_close(pool);
}

Test(procpool, cancelling_a_call_that_waits_takes_it_out)
{
    weft_procpool *pool = pool_open(1);
    struct t_call first = call_of("w"), second = call_of("k"), third = call_of("e");
    T_OK(weft_procpool_submit(pool, &first.call));
    T_OK(weft_procpool_submit(pool, &second.call));
    T_OK(weft_procpool_submit(pool, &third.call));
    weft_procpool_cancel(pool, &second.call);
    T_ERR(-ECANCELED, result_of(&second));
    weft__store(&page->go, 1);
    T_OK(result_of(&first));
    T_OK(result_of(&third));
    weft_buf_free(&third.call.reply);
    pool_close(pool);
}

Test(procpool, cancelling_a_call_that_runs_kills_its_child)
{
    weft_procpool *pool = pool_open_with_bystander();
    for (int i = 0; i < 20; i++) {
        struct t_call t = call_of("w");
        T_OK(weft_procpool_submit(pool, &t.call));
        cr_assert(SOON(weft__load(&page->arrived) == (uint32_t)i + 2));
        weft_procpool_cancel(pool, &t.call);
        T_ERR(-ECANCELED, result_of(&t));
        /* Done means ended: nobody works on it any more. */
        cr_assert_eq(kill(page->pids[(i + 1) % 16], 0), -1);
    }
    T_OK(run(pool, "e"));
    pool_close_with_bystander(pool, 0);
}

Test(procpool, cancelling_a_call_that_is_done_changes_nothing)
{
    weft_procpool *pool = pool_open(1);
    struct t_call t = call_of("e");
    T_OK(weft_procpool_submit(pool, &t.call));
    T_OK(result_of(&t));
    weft_procpool_cancel(pool, &t.call);
    T_OK(run(pool, "e"));
    T_OK(result_of(&t));
    weft_buf_free(&t.call.reply);
    pool_close(pool);
}

Test(procpool, cancelling_at_any_moment_ends_a_call_once)
{
    enum { N = 300 };
    weft_procpool *pool = pool_open(2);
    static struct t_call calls[N];
    for (int i = 0; i < N; i++) {
        calls[i] = call_of("e");
        T_OK(weft_procpool_submit(pool, &calls[i].call));
        if (i >= 2 && i % 3 == 0)
            weft_procpool_cancel(pool, &calls[i - i % 5 % 3].call);
    }
    for (int i = 0; i < N; i++) {
        int result = result_of(&calls[i]);
        cr_assert(result == 0 || result == -ECANCELED, "%d", result);
        weft_buf_free(&calls[i].call.reply);
    }
    pool_close(pool);
}

/* ---- Closing ---------------------------------------------------------------------------------*/

Test(procpool, closing_with_drain_runs_what_was_accepted)
{
    enum { N = 50 };
    weft_procpool *pool = pool_open(2);
    static struct t_call calls[N];
    for (int i = 0; i < N; i++) {
        calls[i] = call_of("e");
        T_OK(weft_procpool_submit(pool, &calls[i].call));
    }
    weft_procpool_free(pool, WEFT_DRAIN, WEFT_FOREVER);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(calls[i].n_done, 1u);
        T_OK(calls[i].result);
        weft_buf_free(&calls[i].call.reply);
    }
    t_leak_end();
}

Test(procpool, closing_with_cancel_waits_for_what_runs_alone)
{
    weft_procpool *pool = pool_open(1);
    struct t_call runs = call_of("w"), waits = call_of("e");
    T_OK(weft_procpool_submit(pool, &runs.call));
    T_OK(weft_procpool_submit(pool, &waits.call));
    cr_assert(SOON(weft__load(&page->arrived) == 1));
    weft__store(&page->go, 1);
    weft_procpool_free(pool, WEFT_CANCEL, WEFT_SEC(30));
    T_OK(runs.result);
    T_ERR(-ECANCELED, waits.result);
    t_leak_end();
}

Test(procpool, closing_kills_what_runs_beyond_the_grace)
{
    static const weft_close_mode modes[] = {WEFT_DRAIN, WEFT_CANCEL};
    for (int i = 0; i < 2; i++) {
        weft_procpool *pool = pool_open(1);
        struct t_call runs = call_of("l"), waits = call_of("e");
        T_OK(weft_procpool_submit(pool, &runs.call));
        T_OK(weft_procpool_submit(pool, &waits.call));
        cr_assert(SOON(weft__load(&page->arrived) == 1));
        weft_procpool_free(pool, modes[i], WEFT_MS(20));
        T_ERR(-ECANCELED, runs.result);
        T_ERR(-ECANCELED, waits.result);
        t_leak_end();
    }
}

Test(procpool, closing_ends_a_child_that_was_stopped)
{
    weft_procpool *pool = pool_open(1);
    struct t_call t = call_of("p");
    T_OK(weft_procpool_submit(pool, &t.call));
    T_OK(result_of(&t));
    pid_t pid;
    memcpy(&pid, t.call.reply.data, sizeof pid);
    weft_buf_free(&t.call.reply);
    cr_assert_eq(kill(pid, SIGSTOP), 0);
    pool_close(pool);
}

struct late {
    struct t_call t;
    weft_procpool *pool;
    int refused;
};

static void
submit_another(weft_procpool_call *call, int result)
{
    struct late *late = (struct late *)call;
    static struct t_call another;
    another = call_of("e");
    late->refused = weft_procpool_submit(late->pool, &another.call);
    on_done(call, result);
}

Test(procpool, once_it_closes_it_takes_no_more)
{
    struct late late = {.t = call_of("e"), .pool = pool_open(1)};
    struct t_call first = call_of("w");
    late.t.call.done = submit_another;
    T_OK(weft_procpool_submit(late.pool, &first.call));
    T_OK(weft_procpool_submit(late.pool, &late.t.call));
    weft_procpool_free(late.pool, WEFT_CANCEL, 0);
    T_ERR(-ESHUTDOWN, late.refused);
    t_leak_end();
}

static uint32_t n_naps;

/* The close comes while the supervisor naps, between its last look at the world and its sleep. */
static void
nap_before_sleep(enum weft__point point)
{
    if (point == WEFT__POINT_SLEEPING && weft__fetch_add(&n_naps, 1) == 0) {
        weft__sys_futex_wake(&n_naps, 1);
        usleep(50000);
    }
}

static void
hold_the_supervisor(weft_procpool_call *call, int result)
{
    weft__store(&weft__point_hook, nap_before_sleep);
    on_done(call, result);
}

/* Runs a call; on return the supervisor is held before its sleep. */
static void
run_and_hold(weft_procpool *pool)
{
    struct t_call t = call_of("e");
    t.call.done = hold_the_supervisor;
    n_naps = 0;
    T_OK(weft_procpool_submit(pool, &t.call));
    T_OK(result_of(&t));
    weft_buf_free(&t.call.reply);
    cr_assert(SOON(weft__load(&n_naps) == 1));
}

Test(procpool, a_close_just_before_the_supervisor_sleeps_is_seen)
{
    weft_procpool *pool = pool_open(1);
    run_and_hold(pool);
    pool_close(pool);
    weft__store(&weft__point_hook, NULL);
}

Test(procpool, a_call_just_before_the_supervisor_sleeps_is_seen)
{
    weft_procpool *pool = pool_open(1);
    run_and_hold(pool);
    T_OK(run(pool, "e"));
    weft__store(&weft__point_hook, NULL);
    pool_close(pool);
}

Test(procpool, a_cancel_just_before_the_supervisor_sleeps_is_seen)
{
    weft_procpool *pool = pool_open(2);
    struct t_call runs = call_of("l");
    T_OK(weft_procpool_submit(pool, &runs.call));
    cr_assert(SOON(weft__load(&page->arrived) == 1));
    run_and_hold(pool);
    weft_procpool_cancel(pool, &runs.call);
    T_ERR(-ECANCELED, result_of(&runs));
    weft__store(&weft__point_hook, NULL);
    pool_close(pool);
}

Test(procpool, closing_null_does_nothing)
{
    weft_procpool_free(NULL, WEFT_DRAIN, 0);
}

/* ---- Starting --------------------------------------------------------------------------------*/

Test(procpool, options_out_of_range_are_refused)
{
    weft_procpool *pool = NULL;
    T_ERR(-EINVAL, weft_procpool_new(&pool, &(weft_procpool_options){.width = 1}));
    T_ERR(-EINVAL,
          weft_procpool_new(&pool, &(weft_procpool_options){.width = 1025, .handler = handler}));
    T_ERR(-EINVAL,
          weft_procpool_new(&pool, &(weft_procpool_options){.handler = handler, .exec = "true"}));
    cr_assert_null(pool);
}

static void *
wait_for_go(void *arg)
{
    (void)arg;
    while (weft__load(&page->go) == 0)
        nap();
    return NULL;
}

Test(procpool, with_threads_and_no_helper_it_says_what_to_do)
{
    page_open();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_go, NULL), 0);
    weft_procpool *pool = NULL;
    int rc = weft_procpool_new(&pool, &(weft_procpool_options){.width = 1, .handler = handler});
    weft__store(&page->go, 1);
    pthread_join(thread, NULL);
    T_ERR(-ENOTSUP, rc);
    cr_assert_str_eq(weft_error_text(),
                     "process: threads run already, so a safe fork is not possible: pass "
                     ".processes to weft_run, open the workers before any thread, or set .exec to "
                     "weft-worker");
    cr_assert_null(pool);
}

Test(procpool, with_a_helper_threads_do_not_matter)
{
    page_open();
    t_leak_begin();
    T_OK(weft__zygote_start_hook());
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_go, NULL), 0);
    weft_procpool *pool = NULL;
    T_OK(weft_procpool_new(&pool, &(weft_procpool_options){.width = 1, .handler = handler}));
    T_OK(run(pool, "e"));
    weft_procpool_free(pool, WEFT_DRAIN, WEFT_FOREVER);
    weft__store(&page->go, 1);
    pthread_join(thread, NULL);
    weft__zygote_stop_hook();
    t_leak_end();
}

Test(procpool, two_pools_share_a_helper)
{
    weft_procpool *one = pool_open(1), *two = NULL;
    T_OK(weft_procpool_new(&two, &(weft_procpool_options){.width = 1, .handler = handler}));
    T_OK(run(two, "e"));
    T_OK(run(one, "e"));
    weft_procpool_free(one, WEFT_DRAIN, WEFT_FOREVER);
    T_OK(run(two, "e"));
    pool_close(two);
}

static int
load_file(const char *file)
{
    if (strcmp(file, "good") == 0) {
        setenv("T_LOADED", file, 1);
        return 3;
    }
    return -ENOEXEC;
}

static int
loaded_handler(weft_bytes request, weft_buf *reply)
{
    (void)request;
    const char *loaded = getenv("T_LOADED");
    return loaded == NULL ? -ENOENT : weft_buf_append(reply, loaded, strlen(loaded));
}

Test(procpool, what_its_helper_loads_its_children_have)
{
    t_leak_begin();
    weft_procpool *pool = NULL;
    T_ERR(-ENOEXEC,
          weft_procpool_new(&pool, &(weft_procpool_options){
                                       .handler = loaded_handler,
                                       .load = load_file,
                                       .files = (const char *const[]){"good", "bad", NULL}}));
    T_OK(weft_procpool_new(&pool,
                           &(weft_procpool_options){.handler = loaded_handler,
                                                    .load = load_file,
                                                    .files = (const char *const[]){"good", NULL}}));
    struct t_call t = call_of("");
    T_OK(weft_procpool_submit(pool, &t.call));
    T_OK(result_of(&t));
    cr_assert_eq(t.call.reply.len, 4u);
    weft_buf_free(&t.call.reply);
    pool_close(pool);
}

static int
load_and_print(const char *file)
{
    (void)file;
    print_to_page();
    return 0;
}

Test(procpool, what_loading_has_printed_is_printed_once)
{
    page_open();
    t_leak_begin();
    weft_procpool *pool = NULL;
    T_OK(weft_procpool_new(&pool,
                           &(weft_procpool_options){.width = 1,
                                                    .handler = handler,
                                                    .load = load_and_print,
                                                    .files = (const char *const[]){"it", NULL}}));
    cr_assert_eq(weft__load(&page->arrived), 1u);
    T_OK(run(pool, "e"));
    weft_procpool_free(pool, WEFT_DRAIN, WEFT_FOREVER);
    cr_assert_eq(weft__load(&page->arrived), 1u);
    t_leak_end();
}

Test(procpool, without_descriptors_for_a_child_the_waiting_call_fails)
{
    if (UNDER_VALGRIND)
        cr_skip_test("valgrind has a table of descriptors of its own");
    weft_procpool *pool = pool_open(2);
    struct rlimit before;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int top = dup(0);
    close(top);
    struct rlimit tight = {.rlim_cur = (rlim_t)top + 1, .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int rc = run(pool, "e");
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    T_ERR(-EMFILE, rc);
    T_OK(run(pool, "e"));
    pool_close(pool);
}

Test(procpool, a_program_answers_as_well)
{
    page_open();
    t_leak_begin();
    setenv("T_PROCPOOL_MODE", "serve", 1);
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    weft_procpool *pool = NULL;
    T_OK(weft_procpool_new(
        &pool, &(weft_procpool_options){.width = 2,
                                        .exec = self(),
                                        .args = (const char *const[]){"--an-argument", NULL}}));
    for (int i = 0; i < 3; i++) {
        struct t_call t = call_of("d");
        T_OK(weft_procpool_submit(pool, &t.call));
        T_OK(result_of(&t));
        uint64_t bits;
        memcpy(&bits, t.call.reply.data, sizeof bits);
        if (!UNDER_VALGRIND) /* which keeps one of its own */
            cr_assert_eq(bits, 0xfu, "open in the child: %llx", (unsigned long long)bits);
        weft_buf_free(&t.call.reply);
        T_ERR(-EOWNERDEAD, run(pool, "k"));
    }
    close(pipes[0]);
    close(pipes[1]);
    weft_procpool_free(pool, WEFT_DRAIN, WEFT_FOREVER);
    t_leak_end();
}

Test(procpool, a_program_that_is_not_there_is_refused_by_name)
{
    weft_procpool *pool = NULL;
    T_ERR(-ENOENT, weft_procpool_new(&pool, &(weft_procpool_options){.exec = "no-such-program"}));
    cr_assert_str_eq(weft_error_text(), "process: no program no-such-program in PATH");
    T_ERR(-ENOENT, weft_procpool_new(&pool, &(weft_procpool_options){.exec = "./nor/this"}));
    T_ERR(-EACCES, weft_procpool_new(&pool, &(weft_procpool_options){.exec = "/etc/passwd"}));
    cr_assert_null(pool);
}

Test(procpool, a_program_that_ends_at_once_is_tried_eight_times_with_pauses)
{
    t_leak_begin();
    setenv("T_PROCPOOL_MODE", "leave", 1);
    weft_procpool *pool = NULL;
    T_OK(weft_procpool_new(&pool, &(weft_procpool_options){.width = 4, .exec = self()}));
    struct t_call calls[6];
    int64_t begin = weft__sys_monotonic();
    for (int i = 0; i < 6; i++) {
        calls[i] = call_of("e");
        T_OK(weft_procpool_submit(pool, &calls[i].call));
    }
    for (int i = 0; i < 6; i++)
        T_ERR(-EOWNERDEAD, result_of(&calls[i]));
    int64_t took = weft__sys_monotonic() - begin;
    cr_assert_eq(stats_of(pool).started, 8u);
    cr_assert_gt(took, WEFT_MS(1270), "%lld", (long long)took);
    cr_assert_lt(took, WEFT_SEC(20));
    T_ERR(-EOWNERDEAD, run(pool, "e")); /* refused, without a try */
    cr_assert_eq(stats_of(pool).started, 8u);

    /* A second later one more start is tried; when it succeeds all is well. */
    setenv("T_PROCPOOL_MODE", "serve", 1);
    cr_assert(SOON(run(pool, "e") == 0));
    cr_assert_eq(stats_of(pool).started, 9u);
    weft_procpool_free(pool, WEFT_DRAIN, WEFT_FOREVER);
    t_leak_end();
}

Test(procpool, serving_needs_the_socket_of_a_pool)
{
    T_ERR(-EBADF, weft_procpool_serve(-1, handler));
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    T_ERR(-ENOTSOCK, weft_procpool_serve(pipes[0], handler));
    close(pipes[0]);
    close(pipes[1]);
}

/* ---- This program as others ------------------------------------------------------------------*/

/* A parent with four children at work; it says so on the page, and waits for its end. */
static void
parent_main(bool exec)
{
    page_map(open(getenv("T_PROCPOOL_PAGE"), O_RDWR | O_CLOEXEC));
    setenv("T_PROCPOOL_MODE", "serve", 1);
    weft_procpool *pool = NULL;
    weft_procpool_options options = {.width = 4};
    if (exec)
        options.exec = self();
    else
        options.handler = handler;
    if (weft_procpool_new(&pool, &options) < 0)
        _exit(1);
    static struct t_call calls[4];
    for (int i = 0; i < 4; i++) {
        calls[i] = call_of("l");
        if (weft_procpool_submit(pool, &calls[i].call) < 0)
            _exit(1);
    }
    for (;;)
        (void)pause();
}

/* A parent without standard input, output and error, whose jobs print. */
static void
bare_main(void)
{
    page_map(open(getenv("T_PROCPOOL_PAGE"), O_RDWR | O_CLOEXEC));
    for (int fd = 0; fd <= 2; fd++)
        (void)close(fd);
    weft_procpool *pool = NULL;
    if (weft_procpool_new(&pool, &(weft_procpool_options){.width = 1, .handler = handler}) < 0)
        _exit(1);
    bool well = true;
    for (int i = 0; i < 3; i++) {
        well &= run(pool, "o") == 0;
        well &= run(pool, "k") == -EOWNERDEAD;
    }
    weft_procpool_free(pool, WEFT_DRAIN, WEFT_FOREVER);
    _exit(well ? 0 : 1);
}

/* Before main: instead of the tests, what the environment says. */
__attribute__((constructor)) static void
be_another(void)
{
    const char *mode = getenv("T_PROCPOOL_MODE");
    if (mode == NULL)
        return;
    if (strcmp(mode, "serve") == 0) {
        const char *fd = getenv("T_PROCPOOL_PAGE");
        page_map(fd == NULL ? -1 : open(fd, O_RDWR | O_CLOEXEC));
        (void)weft_procpool_serve(3, handler);
    } else if (strncmp(mode, "parent", 6) == 0) {
        parent_main(strcmp(mode, "parent of programs") == 0);
    } else if (strcmp(mode, "bare") == 0) {
        bare_main();
    }
    _exit(0);
}

/* ---- The parent's end ------------------------------------------------------------------------*/

/* Starts this program as another, with which it shares the page. The file is to be removed. */
static pid_t
another_start(const char *mode, char path[64])
{
    snprintf(path, 64, "/tmp/weft-test-%d", (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, sizeof *page), 0);
    page_map(fd);
    close(fd);
    setenv("T_PROCPOOL_PAGE", path, 1);
    setenv("T_PROCPOOL_MODE", mode, 1);
    pid_t pid;
    cr_assert_eq(
        posix_spawn(&pid, self(), NULL, NULL, (char *[]){(char *)(uintptr_t)mode, NULL}, environ),
        0);
    return pid;
}

Test(procpool, jobs_may_print_though_the_parent_has_no_standard_output)
{
    char path[64];
    pid_t pid = another_start("bare", path);
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    (void)unlink(path);
    cr_assert_eq(status, 0, "%x", (unsigned)status);
}

static void
kill_a_parent(const char *mode)
{
    /* Orphans come to us, so that they can be counted. */
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    char path[64];
    pid_t parent = another_start(mode, path);
    bool at_work = SOON(weft__load(&page->arrived) == 4);
    cr_assert_eq(kill(parent, SIGKILL), 0);
    int64_t begin = weft__sys_monotonic();
    int gone = 0;
    bool none_left = SOON(({
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            gone++;
        pid < 0;
    }));
    int64_t took = weft__sys_monotonic() - begin;
    (void)unlink(path);
    cr_assert(at_work);
    cr_assert(none_left);
    cr_assert_lt(took, WEFT_SEC(2));
    /* The parent and four children; without a program the helper as well, which takes those of
     * them with it that it still can. */
    cr_assert_geq(gone, 2);
}

Test(procpool, no_child_outlives_a_parent_that_was_killed)
{
    kill_a_parent("parent");
}

Test(procpool, no_program_outlives_a_parent_that_was_killed)
{
    kill_a_parent("parent of programs");
}

/* ---- Torture ---------------------------------------------------------------------------------*/

static void
a_short_life(void *arg)
{
    (void)arg;
    weft_procpool *pool = NULL;
    if (weft_procpool_new(&pool, &(weft_procpool_options){.width = 2, .handler = handler}) < 0)
        return;
    struct t_call calls[3] = {call_of("echo"), call_of("k"), call_of("echo")};
    for (int i = 0; i < 3; i++)
        if (weft_procpool_submit(pool, &calls[i].call) == 0) {
            (void)result_of(&calls[i]);
            weft_buf_free(&calls[i].call.reply);
        }
    weft_procpool_free(pool, WEFT_DRAIN, WEFT_SEC(5));
}

Test(procpool, survives_any_failing_allocation)
{
    page_open();
    t_torture(WEFT__TORTURE_ALLOC, a_short_life, NULL);
}

/* A child that the helper has forked, and whose descriptors then did not arrive. */
Test(procpool, no_child_is_left_to_the_helper_whichever_system_call_fails)
{
    weft_procpool *pool = pool_open(1);
    pid_t helper, child;
    cr_assert_eq(children_of(getpid(), &helper), 1u);
    for (uint64_t k = 1, n = k; n >= k && k < 200; k++) {
        T_ERR(-EOWNERDEAD, run(pool, "k"));
        weft__torture_arm(WEFT__TORTURE_SYSCALL, k, false, ENOMEM);
        (void)run(pool, "e");
        (void)run(pool, "k");
        (void)run(pool, "e");
        n = weft__torture_disarm(WEFT__TORTURE_SYSCALL);
        cr_assert(SOON(run(pool, "e") == 0)); /* unless it refuses for a moment */
        unsigned n_children = 0;
        cr_assert(SOON((run(pool, "k"), run(pool, "e"),
                        (n_children = children_of(helper, &child)) == stats_of(pool).children)),
                  "after call %llu of %llu there are %u", (unsigned long long)k,
                  (unsigned long long)n, n_children);
    }
    pool_close(pool);
}

Test(procpool, survives_any_failing_system_call)
{
    page_open();
    t_torture(WEFT__TORTURE_SYSCALL, a_short_life, NULL);
}
