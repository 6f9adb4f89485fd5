/*
 * test_buf.c - growable bytes, and failures that change nothing.
 */
#include <stdint.h>
#include <string.h>

#include "t.h"

TestSuite(buf, .timeout = 20);

static bool
holds(const weft_buf *buf, const char *text)
{
    return buf->len == strlen(text) && memcmp(buf->data, text, buf->len) == 0;
}

Test(buf, a_zeroed_buffer_is_empty_and_usable)
{
    weft_buf buf = {0};
    T_OK(weft_buf_append(&buf, "ab", 2));
    T_OK(weft_buf_append(&buf, "c", 1));
    cr_assert(holds(&buf, "abc"));
    weft_buf_free(&buf);
    cr_assert(buf.data == NULL && buf.len == 0 && buf.cap == 0);
}

Test(buf, nothing_can_be_added_without_memory)
{
    weft_buf buf = {0};
    T_OK(weft_buf_append(&buf, NULL, 0));
    T_OK(weft_buf_reserve(&buf, 0));
    cr_assert(buf.data == NULL && buf.cap == 0);
}

Test(buf, reserved_room_is_filled_without_moving)
{
    weft_buf buf = {0};
    T_OK(weft_buf_reserve(&buf, 1000));
    unsigned char *data = buf.data;
    for (int i = 0; i < 1000; i++)
        T_OK(weft_buf_append(&buf, "x", 1));
    cr_assert(buf.data == data && buf.len == 1000);
    weft_buf_free(&buf);
}

Test(buf, many_small_additions_allocate_seldom)
{
    weft_buf buf = {0};
    weft__torture_arm(WEFT__TORTURE_ALLOC, 0, false, 0);
    for (int i = 0; i < 100000; i++)
        T_OK(weft_buf_append(&buf, "x", 1));
    cr_assert(weft__torture_disarm(WEFT__TORTURE_ALLOC) < 20);
    weft_buf_free(&buf);
}

Test(buf, printf_adds_text_without_its_zero)
{
    weft_buf buf = {0};
    T_OK(weft_buf_printf(&buf, "%d-%s", 7, "x"));
    T_OK(weft_buf_printf(&buf, "%0200d", 1));
    cr_assert(buf.len == 203 && memcmp(buf.data, "7-x000", 6) == 0 && buf.data[202] == '1');
    weft_buf_free(&buf);
}

Test(buf, a_sum_past_size_max_overflows)
{
    weft_buf buf = {0};
    T_OK(weft_buf_append(&buf, "abc", 3));
    T_ERR(-EOVERFLOW, weft_buf_reserve(&buf, SIZE_MAX - 2));
    cr_assert(holds(&buf, "abc"));
    weft_buf_free(&buf);
}

Test(buf, without_memory_the_buffer_stays_as_it_was)
{
    weft_buf buf = {0};
    T_OK(weft_buf_append(&buf, "abc", 3));
    weft_buf was = buf;
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, 0);
    T_ERR(-ENOMEM, weft_buf_reserve(&buf, 1000));
    T_ERR(-ENOMEM, weft_buf_printf(&buf, "%01000d", 1));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    cr_assert(buf.data == was.data && buf.cap == was.cap && holds(&buf, "abc"));
    weft_buf_free(&buf);
}
