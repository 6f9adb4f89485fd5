/*
 * overflow.c - a stack overflow ends with a sentence, not with a bare SIGSEGV.
 *
 * The handler runs on the thread's alternate stack and uses only what is async-signal-safe: it
 * reads a fixed table of slabs, writes one line, restores the default action and returns, so that
 * the fault happens again and the core shows where. Any other fault goes to the handler that
 * stood there before, a sanitizer's for instance.
 *
 * A table entry is free when its base is NULL. The base is written last and cleared first, and
 * the handler reads it again after the rest; the slab of the stack that faults cannot go away
 * meanwhile.
 */
#include "ctx/stack.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/atomic.h"
#include "base/sys.h"
#include "ctx/slab.h"

/* A slab of the usual size has 1,024 stacks. Untouched entries are untouched memory. */
#define TABLE_ENTRIES 16384

/* The kernel's frame alone is 3.6 KB with AVX-512, more with tile registers; a sanitizer's handler
 * behind ours wants far more. Touched only when used. */
#define ALTERNATE_BYTES ((size_t)64 << 10)

const char *(*weft__stack_owner_name)(const struct weft__stack *stack);

static struct entry {
    char *base; /* all atomic: see above */
    size_t bytes;
    size_t stride;
    size_t header_bytes;
} table[TABLE_ENTRIES];
static uint32_t table_used; /* entries ever used; atomic */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over writing the table, and: */
static unsigned n_installs;
static struct sigaction before; /* written while no handler of ours is in place */

static __thread void *alternate;  /* this thread's, when it is ours */
static __thread unsigned entered; /* how often this thread has entered */

/* ---- The table ---------------------------------------------------------------------------- */

void
weft__overflow_add(const struct weft__slab *slab)
{
    pthread_mutex_lock(&lock);
    uint32_t used = table_used;
    uint32_t at = 0;
    while (at < used && weft__load_relaxed(&table[at].base) != NULL)
        at++;
    if (at < TABLE_ENTRIES) {
        struct entry *entry = &table[at];
        weft__store_relaxed(&entry->bytes, slab->bytes);
        weft__store_relaxed(&entry->stride, weft__slab_stride(slab));
        weft__store_relaxed(&entry->header_bytes, slab->header_bytes);
        weft__store(&entry->base, slab->base); /* pairs with the loads in guard_find */
        if (at == used)
            weft__store(&table_used, used + 1);
    }
    pthread_mutex_unlock(&lock);
}

void
weft__overflow_remove(const struct weft__slab *slab)
{
    pthread_mutex_lock(&lock);
    for (uint32_t at = 0; at < table_used; at++)
        if (weft__load_relaxed(&table[at].base) == slab->base) {
            weft__store(&table[at].base, NULL); /* pairs with the loads in guard_find */
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* The stack whose guard holds the address, or NULL; its size in *ret_size. */
static const struct weft__stack *
guard_find(const char *address, const char *sp, size_t *ret_size)
{
    uint32_t used = weft__load(&table_used);
    for (uint32_t at = 0; at < used; at++) {
        char *base = weft__load(&table[at].base);
        size_t bytes = weft__load_relaxed(&table[at].bytes);
        size_t stride = weft__load_relaxed(&table[at].stride);
        size_t header_bytes = weft__load_relaxed(&table[at].header_bytes);
        if (base == NULL || address < base || (size_t)(address - base) >= bytes ||
            weft__load(&table[at].base) != base)
            continue;
        size_t offset = (size_t)(address - base);
        size_t index = offset / stride;
        if (offset % stride >= WEFT__STACK_GUARD)
            return NULL; /* a stack itself: no overflow */
        char *block = base + index * stride;
        if (sp != NULL && (sp < block || sp > block + stride))
            return NULL; /* some other code has lost its way into the guard */
        *ret_size = stride - WEFT__STACK_GUARD;
        return weft__stack_header(block + stride, header_bytes, (uint32_t)index);
    }
    return NULL;
}

/* ---- The handler -------------------------------------------------------------------------- */

struct line {
    size_t len;
    char text[320];
};

static void
line_add(struct line *line, const char *text)
{
    while (*text != '\0' && line->len < sizeof line->text)
        line->text[line->len++] = *text++;
}

static void
line_add_number(struct line *line, size_t number)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    line_add(line, digits + at);
}

/* Another task's header, read from a signal handler: not for the sanitizers to judge. */
WEFT__SAN_BLIND static void
report(const struct weft__stack *stack, size_t size)
{
    const char *(*owner_name)(const struct weft__stack *) =
        weft__load_relaxed(&weft__stack_owner_name);
    const char *name = owner_name != NULL ? owner_name(stack) : "";
    struct line line = {.len = 0};
    line_add(&line, "weft: stack overflow in task \"");
    line_add(&line, name != NULL ? name : "");
    line_add(&line, "\": its stack has ");
    line_add_number(&line, size >> 10);
    line_add(&line, " KiB; raise .stack_size in weft_task_options (or weft_options for all "
                    "tasks)\n");
    ssize_t written = write(STDERR_FILENO, line.text, line.len);
    (void)written; /* the process is about to end; there is nobody else to tell */
}

/* The default action, which ends the process once the fault has happened again. */
static void
die_by_default(int number, const siginfo_t *info)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(number, &by_default, NULL);
    if (info->si_code <= 0) /* somebody sent it: it will not happen again by itself */
        (void)syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), number);
}

static const char *
stack_pointer(const void *context)
{
    const ucontext_t *uc = context;
#if defined(__x86_64__)
    return (const char *)(uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (const char *)(uintptr_t)uc->uc_mcontext.sp;
#else
    (void)uc;
    return NULL;
#endif
}

static void
on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    size_t size;
    const struct weft__stack *stack = NULL;
    if (info->si_code > 0)
        stack = guard_find(info->si_addr, stack_pointer(context), &size);
    if (stack != NULL) {
        report(stack, size);
        die_by_default(number, info);
    } else if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler == SIG_DFL) {
        die_by_default(number, info);
    } else if (before.sa_handler == SIG_IGN) {
        if (info->si_code > 0) /* a real fault cannot be ignored */
            die_by_default(number, info);
    } else {
        before.sa_handler(number);
    }
    errno = saved;
}

int
weft__overflow_install(void)
{
    int rc = 0;
    pthread_mutex_lock(&lock);
    if (n_installs == 0) {
        rc = weft__sys_sigaction(SIGSEGV, NULL, &before);
        if (rc == 0) {
            struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
            sigemptyset(&ours.sa_mask);
            rc = weft__sys_sigaction(SIGSEGV, &ours, NULL);
        }
    }
    if (rc == 0)
        n_installs++;
    pthread_mutex_unlock(&lock);
    return rc;
}

void
weft__overflow_uninstall(void)
{
    pthread_mutex_lock(&lock);
    if (n_installs > 0 && --n_installs == 0) {
        struct sigaction now;
        /* Somebody who put a handler of their own over ours keeps it. */
        if (sigaction(SIGSEGV, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
            now.sa_sigaction == on_fault)
            (void)sigaction(SIGSEGV, &before, NULL);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- Alternate stacks --------------------------------------------------------------------- */

int
weft__overflow_thread_enter(void)
{
    if (entered > 0) {
        entered++;
        return 0;
    }
    stack_t present;
    int rc = weft__sys_sigaltstack(NULL, &present);
    if (rc < 0)
        return rc;
    if (present.ss_flags & SS_DISABLE) {
        void *memory = NULL;
        rc = weft__sys_mmap(&memory, ALTERNATE_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
        if (rc < 0)
            return rc;
        stack_t ours = {.ss_sp = memory, .ss_size = ALTERNATE_BYTES};
        rc = weft__sys_sigaltstack(&ours, NULL);
        if (rc < 0) {
            weft__sys_munmap(memory, ALTERNATE_BYTES);
            return rc;
        }
        alternate = memory;
    }
    entered = 1;
    return 0;
}

void
weft__overflow_thread_leave(void)
{
    if (entered == 0 || --entered > 0 || alternate == NULL)
        return;
    stack_t present;
    if (sigaltstack(NULL, &present) == 0 && present.ss_sp == alternate) {
        stack_t none = {.ss_flags = SS_DISABLE};
        (void)sigaltstack(&none, NULL);
    }
    weft__sys_munmap(alternate, ALTERNATE_BYTES);
    alternate = NULL;
}
