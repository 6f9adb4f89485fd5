/*
 * test_loop_stack.c - calls of tasks that run on the stack of the loop.
 */
#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <weft/error.h>
#include <weft/gen.h>
#include <weft/group.h>
#include <weft/run.h>
#include <weft/task.h>

#include "base/t_child.h"
#include "support/t.h"
#include "task/t_core.h"

#define DEEP ((size_t)512 << 10) /* more than any task here has, and less than a thread */

/* Takes `arg` bytes of stack, or a little more; each byte is looked at again on the way back. */
static __attribute__((noinline)) int
dig(size_t left, int depth)
{
    volatile char frame[512];
    memset((char *)frame, depth & 0x7f, sizeof frame);
    int below = left > sizeof frame ? dig(left - sizeof frame, depth + 1) : 0;
    for (size_t i = 0; i < sizeof frame; i++)
        if (frame[i] != (depth & 0x7f))
            return -1;
    return below < 0 ? below : below + 1;
}

static int
dig_deep(void *arg)
{
    return dig(*(const size_t *)arg, 0);
}

static int
dig_in_task(void *arg)
{
    T_ERR((int)(DEEP / 512), weft_on_loop_stack(dig_deep, arg));
    T_OK(weft_yield());
    T_ERR((int)(DEEP / 512), weft_on_loop_stack(dig_deep, arg));
    return 0;
}

TASK_TEST(loop_stack, is_deeper_than_the_tasks)
{
    size_t deep = DEEP;
    weft_task *task;
    T_OK(weft_task_spawn(&task, dig_in_task, &deep, &(weft_task_options){.stack_size = 32 << 10}));
    int result;
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    cr_assert(weft_task_stack_used(task) <= 64 << 10);
    weft_task_close(task);
}

LOOPS_TEST(loop_stack, is_each_loops_own, 3)
{
    size_t deep = DEEP;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 12; i++)
        weft_group_spawn_with(&group, dig_in_task, &deep,
                              &(weft_task_options){.on = WEFT_ON(i % 3)});
    T_OK(weft_group_close(&group));
}

static int
who(void *arg)
{
    *(weft_task **)arg = weft_task_self();
    return weft_error_note(-ENOTTY, "said in %s", "the depth");
}

TASK_TEST(loop_stack, is_nobodys_but_errors_are_the_tasks)
{
    weft_task *self = weft_task_self(), *inside = self;
    T_ERR(-ENOTTY, weft_on_loop_stack(who, &inside));
    cr_assert(inside == NULL);
    cr_assert(weft_task_self() == self);
    cr_assert_str_eq(weft_error_text(), "said in the depth");
}

static int
again(void *arg)
{
    return weft_on_loop_stack(dig_deep, arg) + 1;
}

TASK_TEST(loop_stack, a_call_in_a_call_is_an_ordinary_one)
{
    size_t deep = DEEP / 2;
    T_ERR((int)(DEEP / 1024) + 1, weft_on_loop_stack(again, &deep));
}

Test(loop_stack, elsewhere_it_is_an_ordinary_call)
{
    size_t little = 4096;
    T_ERR(8, weft_on_loop_stack(dig_deep, &little));
}

static int
here_main(void *arg)
{
    return weft_on_loop_stack(dig_deep, arg);
}

Test(loop_stack, of_run_here_is_the_threads)
{
    size_t deep = DEEP;
    T_ERR((int)(DEEP / 512), weft_run_here(here_main, &deep));
}

static int
yield_depths(weft_gen *gen, void *arg)
{
    for (int i = 0; i < 3; i++) {
        int depth = weft_on_loop_stack(dig_deep, arg);
        T_OK(weft_gen_yield(gen, &depth, NULL));
    }
    return 0;
}

TASK_TEST(loop_stack, generators_may_use_it)
{
    size_t deep = DEEP;
    weft_gen gen;
    T_OK(weft_gen_open(&gen, sizeof(int), yield_depths, &deep, NULL));
    int n = 0;
    for (int depth; weft_gen_next(&gen, &depth) > 0; n++)
        cr_assert(depth == (int)(DEEP / 512));
    cr_assert(n == 3);
    T_OK(weft_gen_close(&gen));
}

struct trace {
    void *frames[64];
    int n;
};

static int
take_trace(void *arg)
{
    struct trace *trace = arg;
    trace->n = backtrace(trace->frames, 64);
    return 0;
}

static __attribute__((noinline)) void *
trace_from_here(struct trace *trace)
{
    T_OK(weft_on_loop_stack(take_trace, trace));
    return __builtin_return_address(0);
}

TASK_TEST(loop_stack, debuggers_see_who_called)
{
#if defined(WEFT_CTX_UCONTEXT)
    cr_skip_test("ucontext has no unwind information between stacks");
#endif
    struct trace trace;
    void *caller = trace_from_here(&trace);
    bool seen = false;
    for (int i = 0; i < trace.n; i++)
        seen |= trace.frames[i] == caller;
    cr_assert(seen, "%d frames, and not the caller's", trace.n);
}

static int
wait_in_depth(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_MS(1));
}

static int
wait_main(void *arg)
{
    return weft_on_loop_stack(wait_in_depth, arg);
}

static void
run_one_that_waits(void)
{
    weft_ignore(weft_run(wait_main, NULL, &(weft_options){.loops = 1}));
}

Test(loop_stack, who_waits_on_it_breaks_a_promise)
{
    char text[2048];
    int status = t_child_run(run_one_that_waits, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d: %s", status, text);
    cr_assert(strstr(text, "must not wait") != NULL, "%s", text);
}
