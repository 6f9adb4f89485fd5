/*
 * test_assert.c - a broken promise says its sentence and aborts.
 */
#include <stdlib.h>
#include <string.h>

#include "t.h"
#include "base/assert.h"
#include "t_child.h"

TestSuite(assert, .timeout = 20);

static void
break_promise(void)
{
    weft__assert(1 + 1 == 2, "arithmetic holds");
    weft__assert(1 + 1 == 3, "a lock is released by its owner");
}

static void
hook(const char *sentence)
{
    if (strcmp(sentence, "loop 7 is closed") == 0)
        (void)!write(STDERR_FILENO, "hooked", 6);
}

static void
hook_that_breaks_too(const char *sentence)
{
    (void)sentence;
    weft__fatal("again");
}

static void
break_with_hook(void)
{
    weft_set_fatal(hook);
    weft__fatal("loop %d is closed", 7);
}

static void
break_in_hook(void)
{
    weft_set_fatal(hook_that_breaks_too);
    weft__fatal("once");
}

static void
assert_aborts(void (*fn)(void), const char *wanted)
{
    char text[256];
    int status = t_child_run(fn, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert_str_eq(text, wanted);
}

Test(assert, the_sentence_goes_to_standard_error)
{
    assert_aborts(break_promise, "weft: a lock is released by its owner\n");
}

Test(assert, the_hook_gets_the_sentence_and_the_process_aborts_all_the_same)
{
    assert_aborts(break_with_hook, "hooked");
}

Test(assert, a_hook_that_breaks_a_promise_ends_too)
{
    assert_aborts(break_in_hook, "");
}
