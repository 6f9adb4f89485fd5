/*
 * test_error.c - results in words, and the detail of the last failure.
 */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "t.h"
#include "base/log.h"

TestSuite(error, .timeout = 20);

Test(error, success_is_success_and_ok)
{
    cr_assert_str_eq(weft_strerror(0), "success");
    cr_assert_str_eq(weft_strerror(17), "success");
    cr_assert_str_eq(weft_errname(0), "OK");
    cr_assert_str_eq(weft_errname(INT_MAX), "OK");
}

Test(error, every_errno_of_the_system_has_its_name)
{
    for (int number = 1; number < 200; number++) {
        const char *name = strerrorname_np(number);
        if (name == NULL) {
            cr_assert_str_eq(weft_errname(-number), "EUNKNOWN", "%d", number);
            continue;
        }
        cr_assert_str_eq(weft_errname(-number), name);
        cr_assert(strlen(weft_strerror(-number)) > 0);
        cr_assert(strcmp(weft_strerror(-number), "unknown error") != 0, "%s", name);
    }
}

Test(error, our_own_codes_have_name_and_text)
{
#define ROW(name, value, text)                                                                     \
    cr_assert(name == (value));                                                                    \
    cr_assert_str_eq(weft_errname(name), #name);                                                   \
    cr_assert_str_eq(weft_strerror(name), text);
    WEFT_ERROR_TABLE(ROW)
#undef ROW
}

Test(error, what_is_in_no_table_is_unknown)
{
    int codes[] = {-41, -58, -134, -4095, WEFT_E_FIRST, WEFT_E_LAST_, -5000, INT_MIN};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        cr_assert_str_eq(weft_errname(codes[i]), "EUNKNOWN", "%d", codes[i]);
        cr_assert_str_eq(weft_strerror(codes[i]), "unknown error", "%d", codes[i]);
    }
}

Test(error, the_detail_stays_until_the_next_one)
{
    cr_assert_str_eq(weft_error_text(), "");
    T_ERR(-EINVAL, weft_error_note(-EINVAL, "width %d", 0));
    cr_assert_str_eq(weft_error_text(), "width 0");
    weft_error_note(-ENOMEM, "stack");
    cr_assert_str_eq(weft_error_text(), "stack");
}

Test(error, a_long_detail_is_cut)
{
    weft_error_note(-EINVAL, "%0500d", 1);
    cr_assert(strlen(weft_error_text()) == WEFT__ERROR_TEXT_BYTES - 1);
}

static void *
note_in_thread(void *arg)
{
    weft_error_note(-EINVAL, "theirs");
    strcpy(arg, weft_error_text());
    return NULL;
}

Test(error, each_thread_has_its_own_detail)
{
    char theirs[WEFT__ERROR_TEXT_BYTES];
    weft_error_note(-EINVAL, "ours");
    pthread_t thread;
    T_OK(pthread_create(&thread, NULL, note_in_thread, theirs));
    T_OK(pthread_join(thread, NULL));
    cr_assert_str_eq(theirs, "theirs");
    cr_assert_str_eq(weft_error_text(), "ours");
}

static char task_text[WEFT__ERROR_TEXT_BYTES];
static bool in_task;

static char *
text_of_task(bool make)
{
    (void)make;
    return in_task ? task_text : NULL;
}

Test(error, a_task_keeps_its_own_detail)
{
    weft__error_task_text = text_of_task;
    weft_error_note(-EINVAL, "thread");
    in_task = true;
    weft_error_note(-EINVAL, "task");
    cr_assert_str_eq(weft_error_text(), "task");
    in_task = false;
    cr_assert_str_eq(weft_error_text(), "thread");
}

Test(error, the_linked_version_is_that_of_the_headers)
{
    cr_assert_str_eq(weft_version(), WEFT_VERSION);
}
