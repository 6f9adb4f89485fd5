/*
 * test_log.c - where messages go.
 */
#include <stdlib.h>
#include <string.h>

#include "t.h"
#include "base/log.h"
#include "t_child.h"

TestSuite(log, .timeout = 20);

struct seen {
    int n;
    weft_log_level level;
    char line[2048];
};

static void
see(void *arg, weft_log_level level, const char *line)
{
    struct seen *seen = arg;
    seen->n++;
    seen->level = level;
    strcpy(seen->line, line);
}

static void
replace(void *arg, weft_log_level level, const char *line)
{
    weft_set_log(see, arg);
    weft_log(level, "again: %s", line);
}

Test(log, the_users_function_gets_level_and_line)
{
    struct seen seen = {0};
    weft_set_log(see, &seen);
    weft_log(WEFT_LOG_INFO, "%d loops", 2);
    cr_assert(seen.n == 1 && seen.level == WEFT_LOG_INFO);
    cr_assert_str_eq(seen.line, "2 loops");
    weft_set_log(NULL, NULL);
    weft_log(WEFT_LOG_INFO, "unseen");
    cr_assert(seen.n == 1);
}

Test(log, a_long_line_is_cut)
{
    struct seen seen = {0};
    weft_set_log(see, &seen);
    weft_log(WEFT_LOG_WARN, "%05000d", 1);
    cr_assert(strlen(seen.line) == 1023);
}

Test(log, the_function_may_log_and_replace_itself)
{
    struct seen seen = {0};
    weft_set_log(replace, &seen);
    weft_log(WEFT_LOG_WARN, "x");
    cr_assert(seen.n == 1);
    cr_assert_str_eq(seen.line, "again: x");
}

static void
log_three(void)
{
    weft_log(WEFT_LOG_ERROR, "one");
    weft_log(WEFT_LOG_WARN, "two");
    weft_log(WEFT_LOG_INFO, "three");
}

Test(log, nothing_is_written_unless_asked)
{
    char text[256];
    unsetenv("WEFT_LOG");
    cr_assert(t_child_run(log_three, text, sizeof text) == 0);
    cr_assert_str_eq(text, "");
}

Test(log, the_environment_chooses_the_highest_level_shown)
{
    char text[256];
    setenv("WEFT_LOG", "2", 1);
    cr_assert(t_child_run(log_three, text, sizeof text) == 0);
    cr_assert_str_eq(text, "weft: error: one\nweft: warning: two\n");
}

Test(log, another_value_in_the_environment_is_none)
{
    char text[256];
    setenv("WEFT_LOG", "22", 1);
    cr_assert(t_child_run(log_three, text, sizeof text) == 0);
    cr_assert_str_eq(text, "");
}
