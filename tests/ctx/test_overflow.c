/*
 * test_overflow.c - an overflow names its task; other faults are left to others.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t.h"
#include "base/t_child.h"
#include "t_owner.h"

TestSuite(overflow, .timeout = 60);

#if defined(WEFT_VALGRIND)
#define CRASHES() cr_skip_test("memcheck logs the crash")
#else
#define CRASHES() ((void)0)
#endif

static struct weft__ctx home;
static struct weft__stack_pool *pool;
static struct weft__stack_cache cache;
static bool use_mprotect;

static const char *
owner_name(const struct weft__stack *stack)
{
    return ((const struct owner *)(const void *)stack)->name;
}

static void
open_pool(void)
{
    weft__stack_owner_name = owner_name;
    weft__stack_pool_new(&pool, sizeof(struct owner), WEFT__STACK_DEFAULT, owner_entry,
                         use_mprotect);
    weft__stack_cache_open(&cache, pool);
    weft__ctx_adopt(&home);
}

/* ---- Overflows ---------------------------------------------------------------------------- */

static __attribute__((noinline)) int
recurse(volatile int *depth)
{
    volatile char frame[256];
    frame[0] = (char)*depth;
    *depth += 1;
    if (*depth > 0) /* always; the compiler cannot know */
        recurse(depth);
    return frame[0];
}

static void
recurse_body(struct owner *owner)
{
    (void)owner;
    volatile int depth = 0;
    recurse(&depth);
}

static void
large_frame_body(struct owner *owner)
{
    (void)owner;
    volatile char frame[100 * 1024 * WEFT__SAN_STACK_FACTOR];
    frame[0] = 1; /* the low end: without probes on the way it would lie beyond the guard */
    __asm__ volatile("" : : "r"(frame) : "memory"); /* the whole of it exists */
}

static void (*overflow_body)(struct owner *);

static void
overflow(void)
{
    open_pool();
    weft__overflow_install();
    weft__overflow_thread_enter();
    struct owner *owner = NULL;
    for (unsigned i = 0; i < 20; i++)
        owner = owner_take(&cache);
    strcpy(owner->name, "digger");
    owner->body = overflow_body;
    owner_run(owner, &home);
}

static void
assert_named(void (*fn)(void))
{
    char text[1024];
    char wanted[256];
    int status = t_child_run(fn, text, sizeof text);
    snprintf(wanted, sizeof wanted,
             "weft: stack overflow in task \"digger\": its stack has %zu KiB; raise .stack_size "
             "in weft_task_options (or weft_options for all tasks)\n",
             WEFT__STACK_DEFAULT >> 10);
    cr_assert_str_eq(text, wanted);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

Test(overflow, recursion_ends_with_the_name_of_the_task)
{
    CRASHES();
    overflow_body = recurse_body;
    assert_named(overflow);
}

Test(overflow, recursion_ends_so_with_mprotect_too)
{
    CRASHES();
    use_mprotect = true;
    overflow_body = recurse_body;
    assert_named(overflow);
}

Test(overflow, a_frame_larger_than_the_stack_hits_the_guard)
{
    CRASHES();
    overflow_body = large_frame_body;
    assert_named(overflow);
}

static void *
overflow_main(void *arg)
{
    overflow();
    return arg;
}

static void
overflow_on_a_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, overflow_main, NULL);
    pthread_join(thread, NULL);
}

Test(overflow, it_is_named_on_other_threads_too)
{
    CRASHES();
#if defined(WEFT__SAN_THREAD)
    cr_skip_test("TSan starts no threads in a forked child");
#endif
    overflow_body = recurse_body;
    assert_named(overflow_on_a_thread);
}

static void
overflow_without_names(void)
{
    weft__stack_owner_name = NULL;
    weft__overflow_install();
    weft__overflow_thread_enter();
    open_pool();
    weft__stack_owner_name = NULL;
    struct owner *owner = owner_take(&cache);
    owner->body = recurse_body;
    owner_run(owner, &home);
}

Test(overflow, it_is_reported_without_a_name_as_well)
{
    CRASHES();
    char text[1024];
    int status = t_child_run(overflow_without_names, text, sizeof text);
    cr_assert(strstr(text, "stack overflow in task \"\"") != NULL, "%s", text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- Other faults ------------------------------------------------------------------------- */

static void
guest_handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    (void)!write(STDERR_FILENO, "guest\n", 6);
    _exit(7);
}

static void
install_guest(void)
{
    struct sigaction guest = {.sa_sigaction = guest_handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &guest, NULL);
}

static void
fault_elsewhere(void)
{
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void
fault_with_guest(void)
{
    install_guest();
    open_pool();
    owner_take(&cache);
    weft__overflow_install();
    fault_elsewhere();
}

Test(overflow, another_fault_goes_to_the_handler_that_was_there)
{
    CRASHES();
    char text[256];
    int status = t_child_run(fault_with_guest, text, sizeof text);
    cr_assert_str_eq(text, "guest\n");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void
stray_into_a_guard(void)
{
    install_guest();
    open_pool();
    struct owner *owner = owner_take(&cache);
    weft__overflow_install();
    *(volatile char *)(owner->stack.lo - 64) = 1; /* by code on another stack */
}

Test(overflow, a_stray_pointer_into_a_guard_is_none)
{
    CRASHES();
    char text[256];
    int status = t_child_run(stray_into_a_guard, text, sizeof text);
    cr_assert_str_eq(text, "guest\n");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void
fault_by_default(void)
{
    signal(SIGSEGV, SIG_DFL);
    weft__overflow_install();
    fault_elsewhere();
}

static void
ignored_fault(void)
{
    signal(SIGSEGV, SIG_IGN);
    weft__overflow_install();
    fault_elsewhere();
}

static void
sent_by_default(void)
{
    signal(SIGSEGV, SIG_DFL);
    weft__overflow_install();
    raise(SIGSEGV);
}

Test(overflow, another_fault_ends_the_process_by_default)
{
    CRASHES();
    void (*const ways[])(void) = {fault_by_default, ignored_fault, sent_by_default};
    for (unsigned i = 0; i < 3; i++) {
        char text[256];
        int status = t_child_run(ways[i], text, sizeof text);
        cr_assert_str_eq(text, "");
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "way %u: %x", i, status);
    }
}

static void
sent_and_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    weft__overflow_install();
    raise(SIGSEGV);
}

Test(overflow, a_sent_signal_that_was_ignored_stays_so)
{
    char text[256];
    int status = t_child_run(sent_and_ignored, text, sizeof text);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
}

/* ---- Being a good guest ------------------------------------------------------------------- */

Test(overflow, the_last_uninstall_restores_the_handler)
{
    struct sigaction now;
    install_guest();
    T_OK(weft__overflow_install());
    T_OK(weft__overflow_install());
    weft__overflow_uninstall();
    sigaction(SIGSEGV, NULL, &now);
    cr_assert(now.sa_sigaction != guest_handler);
    weft__overflow_uninstall();
    sigaction(SIGSEGV, NULL, &now);
    cr_assert(now.sa_sigaction == guest_handler);
    weft__overflow_uninstall(); /* one too many is nothing */
}

static void
other_handler(int number)
{
    (void)number;
}

Test(overflow, a_handler_put_over_ours_stays)
{
    struct sigaction now;
    T_OK(weft__overflow_install());
    signal(SIGSEGV, other_handler);
    weft__overflow_uninstall();
    sigaction(SIGSEGV, NULL, &now);
    cr_assert(now.sa_handler == other_handler);
    signal(SIGSEGV, SIG_DFL);
}

Test(overflow, a_thread_gets_an_alternate_stack_and_loses_it)
{
    stack_t none = {.ss_flags = SS_DISABLE}, present;
    sigaltstack(&none, NULL);
    T_OK(weft__overflow_thread_enter());
    T_OK(weft__overflow_thread_enter());
    sigaltstack(NULL, &present);
    cr_assert(!(present.ss_flags & SS_DISABLE) && present.ss_size >= 16384);
    weft__overflow_thread_leave();
    sigaltstack(NULL, &present);
    cr_assert(!(present.ss_flags & SS_DISABLE), "still entered once");
    weft__overflow_thread_leave();
    sigaltstack(NULL, &present);
    cr_assert(present.ss_flags & SS_DISABLE);
    weft__overflow_thread_leave();
}

Test(overflow, an_existing_alternate_stack_is_kept)
{
    static char theirs[65536];
    stack_t stack = {.ss_sp = theirs, .ss_size = sizeof theirs}, present;
    stack_t before;
    sigaltstack(&stack, &before);
    T_OK(weft__overflow_thread_enter());
    sigaltstack(NULL, &present);
    cr_assert(present.ss_sp == theirs);
    weft__overflow_thread_leave();
    sigaltstack(NULL, &present);
    cr_assert(present.ss_sp == theirs);
    sigaltstack(&before, NULL);
}

Test(overflow, failing_system_calls_leave_nothing_behind)
{
    stack_t none = {.ss_flags = SS_DISABLE}, present;
    struct sigaction before, now;
    sigaltstack(&none, NULL);
    sigaction(SIGSEGV, NULL, &before);
    for (unsigned k = 1; k <= 3; k++) {
        weft__torture_arm(WEFT__TORTURE_SYSCALL, k, false, ENOMEM);
        int rc = weft__overflow_thread_enter();
        weft__torture_disarm(WEFT__TORTURE_SYSCALL);
        cr_assert(rc == -ENOMEM, "call %u gave %d", k, rc);
        sigaltstack(NULL, &present);
        cr_assert(present.ss_flags & SS_DISABLE);
    }
    for (unsigned k = 1; k <= 2; k++) {
        weft__torture_arm(WEFT__TORTURE_SYSCALL, k, false, EPERM);
        int rc = weft__overflow_install();
        weft__torture_disarm(WEFT__TORTURE_SYSCALL);
        cr_assert(rc == -EPERM, "call %u gave %d", k, rc);
        sigaction(SIGSEGV, NULL, &now);
        cr_assert(now.sa_sigaction == before.sa_sigaction);
    }
    T_OK(weft__overflow_thread_enter());
    T_OK(weft__overflow_install());
    weft__overflow_uninstall();
    weft__overflow_thread_leave();
}
