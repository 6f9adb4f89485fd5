/*
 * test_backlog.c - the line of calls: order, holes, growth.
 *
 * A call is opaque to the line but for its position, which executor.c finds in its first word.
 */
#include <criterion/criterion.h>

#include "t.h"
#include "exec/backlog.h"

TestSuite(backlog, .timeout = 30);

static uint64_t calls[1000];

static struct call *
call(size_t i)
{
    return (struct call *)(void *)&calls[i];
}

Test(backlog, calls_come_out_in_the_order_they_went_in)
{
    struct weft__backlog line = {0};
    T_OK(weft__backlog_init(&line));
    cr_assert(weft__backlog_take(&line) == NULL);
    for (size_t i = 0; i < 1000; i++)
        T_OK(weft__backlog_push(&line, call(i)));
    cr_assert(line.n == 1000);
    for (size_t i = 0; i < 1000; i++)
        cr_assert(weft__backlog_take(&line) == call(i));
    cr_assert(weft__backlog_take(&line) == NULL);
    weft__backlog_free(&line);
}

Test(backlog, one_taken_back_is_passed_over)
{
    struct weft__backlog line = {0};
    T_OK(weft__backlog_init(&line));
    for (size_t i = 0; i < 3; i++)
        T_OK(weft__backlog_push(&line, call(i)));
    cr_assert(weft__backlog_remove(&line, call(1)));
    cr_assert(line.n == 2);
    cr_assert(weft__backlog_take(&line) == call(0));
    cr_assert(!weft__backlog_remove(&line, call(0)), "it has been taken");
    cr_assert(weft__backlog_take(&line) == call(2));
    weft__backlog_free(&line);
}

Test(backlog, the_last_ones_may_be_taken_back)
{
    struct weft__backlog line = {0};
    T_OK(weft__backlog_init(&line));
    T_OK(weft__backlog_push(&line, call(0)));
    cr_assert(weft__backlog_remove(&line, call(0)));
    cr_assert(weft__backlog_take(&line) == NULL);
    T_OK(weft__backlog_push(&line, call(1)));
    cr_assert(weft__backlog_take(&line) == call(1));
    weft__backlog_free(&line);
}

Test(backlog, holes_are_filled_before_it_grows)
{
    struct weft__backlog line = {0};
    T_OK(weft__backlog_init(&line));
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < 20; i++)
            T_OK(weft__backlog_push(&line, call(i)));
        for (size_t i = 0; i < 20; i++)
            if (i % 4 != 3)
                cr_assert(weft__backlog_remove(&line, call(i)));
        for (size_t i = 3; i < 20; i += 4)
            cr_assert(weft__backlog_take(&line) == call(i));
    }
    cr_assert(line.n == 0 && line.mask == WEFT__BACKLOG_SLOTS - 1);
    weft__backlog_free(&line);
}

Test(backlog, one_that_moved_can_still_be_taken_back)
{
    struct weft__backlog line = {0};
    T_OK(weft__backlog_init(&line));
    for (size_t i = 0; i < WEFT__BACKLOG_SLOTS; i++)
        T_OK(weft__backlog_push(&line, call(i)));
    for (size_t i = 0; i < WEFT__BACKLOG_SLOTS - 2; i++)
        cr_assert(weft__backlog_remove(&line, call(i + 1)));
    /* No slot is free, but most are holes: the two left move up. */
    T_OK(weft__backlog_push(&line, call(900)));
    cr_assert(weft__backlog_remove(&line, call(0)));
    cr_assert(weft__backlog_take(&line) == call(WEFT__BACKLOG_SLOTS - 1));
    cr_assert(weft__backlog_take(&line) == call(900));
    cr_assert(weft__backlog_take(&line) == NULL);
    weft__backlog_free(&line);
}

Test(backlog, without_memory_it_stays_as_it_was)
{
    struct weft__backlog line = {0};
    T_OK(weft__backlog_init(&line));
    for (size_t i = 0; i < WEFT__BACKLOG_SLOTS; i++)
        T_OK(weft__backlog_push(&line, call(i)));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    T_ERR(-ENOMEM, weft__backlog_push(&line, call(999)));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    for (size_t i = 0; i < WEFT__BACKLOG_SLOTS; i++)
        cr_assert(weft__backlog_take(&line) == call(i));
    weft__backlog_free(&line);
}
