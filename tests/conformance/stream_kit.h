/*
 * stream_kit.h - what every transport must do, written once and applied to each.
 *
 *     STREAM_KIT(stream_tcp, stream_kit_tcp)
 *
 * makes a suite with one test for each behaviour. A maker opens two ends on the calling task's
 * loop: what is written to `a` is read from `b`, and the other way round where it is duplex.
 */
#ifndef WEFT_TESTS_STREAM_KIT_H
#define WEFT_TESTS_STREAM_KIT_H

#include <criterion/criterion.h>

#include <weft/stream.h>

struct stream_maker {
    const char *name;
    bool duplex;       /* both ends read and write */
    bool half_close;   /* after a shutdown the other direction goes on */
    bool by_kernel;    /* a descriptor carries it: system calls can fail, time is real */
    bool cut_is_error; /* an end closed without a shutdown is told from a clean end */
    /* 0, or an error, which has left nothing open. */
    int (*open)(weft_stream *a, weft_stream *b);
    /* Further streams that a and b stand on, to be closed after them; NULL: none. */
    void (*cleanup)(void);
};

extern const struct stream_maker stream_kit_tcp, stream_kit_unix, stream_kit_pipe,
    stream_kit_memory, stream_kit_tiny;

/* clang-format off */
#define STREAM_KIT_TESTS(suite, maker, each) \
    each(suite, maker, a_megabyte_arrives_whole_and_in_order) \
    each(suite, maker, both_directions_carry_a_megabyte_at_once) \
    each(suite, maker, one_byte_at_a_time_arrives) \
    each(suite, maker, reading_waits_for_the_first_byte) \
    each(suite, maker, a_writer_waits_for_a_reader_that_does_not_read) \
    each(suite, maker, the_end_comes_after_the_last_byte) \
    each(suite, maker, after_the_end_reading_gives_the_end_again) \
    each(suite, maker, after_a_shutdown_the_other_direction_goes_on) \
    each(suite, maker, writing_after_a_shutdown_is_refused) \
    each(suite, maker, writing_to_a_closed_peer_fails_in_the_end) \
    each(suite, maker, reading_exactly_crosses_writes) \
    each(suite, maker, reading_exactly_past_the_end_says_what_it_has) \
    each(suite, maker, lines_come_one_by_one_whatever_ends_them) \
    each(suite, maker, a_last_line_needs_no_end) \
    each(suite, maker, a_line_over_the_limit_is_refused_and_not_lost) \
    each(suite, maker, a_separator_is_found_across_reads) \
    each(suite, maker, a_missing_separator_leaves_the_bytes) \
    each(suite, maker, reading_all_stops_at_its_limit) \
    each(suite, maker, what_is_buffered_can_be_looked_at_and_taken) \
    each(suite, maker, filling_stops_at_the_limit) \
    each(suite, maker, pieces_are_written_in_order) \
    each(suite, maker, a_file_is_sent) \
    each(suite, maker, a_file_that_is_too_short_says_so) \
    each(suite, maker, a_file_for_a_closed_peer_fails_in_the_end) \
    each(suite, maker, copying_ends_with_the_source) \
    each(suite, maker, copying_stops_at_its_limit) \
    each(suite, maker, a_read_that_is_cancelled_takes_nothing) \
    each(suite, maker, a_read_past_its_deadline_takes_nothing) \
    each(suite, maker, a_write_that_is_cancelled_tells_how_far_it_came) \
    each(suite, maker, closing_wakes_the_reader) \
    each(suite, maker, closing_wakes_the_writer) \
    each(suite, maker, closing_wakes_who_shuts_down) \
    each(suite, maker, a_second_reader_is_refused) \
    each(suite, maker, a_second_writer_is_refused) \
    each(suite, maker, a_closed_stream_refuses_everything) \
    each(suite, maker, an_ended_scope_ends_calls_that_need_not_wait) \
    each(suite, maker, a_conversation_survives_a_cancellation_at_any_point) \
    each(suite, maker, a_conversation_survives_a_deadline_at_any_point) \
    each(suite, maker, a_conversation_survives_a_failing_allocation) \
    each(suite, maker, a_conversation_survives_failing_system_calls) \
    each(suite, maker, an_interrupted_system_call_changes_nothing) \
    each(suite, maker, short_reads_and_writes_change_nothing)
/* clang-format on */

#define STREAM_KIT_DECLARE(suite, maker, name)                                                     \
    void stream_kit_##name(const struct stream_maker *maker_);
STREAM_KIT_TESTS(, , STREAM_KIT_DECLARE)

#define STREAM_KIT_TEST(suite, maker, name)                                                        \
    Test(suite, name)                                                                              \
    {                                                                                              \
        stream_kit_##name(&maker);                                                                 \
    }

#define STREAM_KIT(suite, maker)                                                                   \
    TestSuite(suite, .timeout = 120);                                                              \
    STREAM_KIT_TESTS(suite, maker, STREAM_KIT_TEST)

#endif
