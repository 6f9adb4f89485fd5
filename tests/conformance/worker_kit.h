/*
 * worker_kit.h - what every worker model must do, written once and applied to each.
 *
 *     WORKER_KIT(workers_thread, "thread")
 *
 * makes a suite with one test for each behaviour. Traits decide what is asked where models differ.
 */
#ifndef WEFT_TESTS_WORKER_KIT_H
#define WEFT_TESTS_WORKER_KIT_H

#include <criterion/criterion.h>

#include <weft/worker.h>

/* clang-format off */
#define WORKER_KIT_TESTS(suite, model, each) \
    each(suite, model, a_thousand_small_calls_each_give_their_result) \
    each(suite, model, a_failing_job_hands_over_its_result_and_its_output) \
    each(suite, model, a_job_nobody_registered_is_refused_by_name) \
    each(suite, model, a_large_payload_goes_both_ways) \
    each(suite, model, nothing_in_and_nothing_out_is_a_call_like_any_other) \
    each(suite, model, no_more_calls_are_in_flight_than_allowed) \
    each(suite, model, several_threads_may_submit_at_once) \
    each(suite, model, tasks_may_submit_at_once) \
    each(suite, model, a_call_that_waits_in_line_can_be_taken_back) \
    each(suite, model, cancelling_a_running_job_does_what_the_traits_say) \
    each(suite, model, a_deadline_ends_a_job_that_waits) \
    each(suite, model, a_deadline_in_the_past_ends_the_call) \
    each(suite, model, a_job_that_never_waits_is_killed_where_the_model_can) \
    each(suite, model, closing_by_draining_runs_what_was_accepted) \
    each(suite, model, closing_by_cancelling_completes_every_call) \
    each(suite, model, a_close_out_of_patience_completes_calls_whose_jobs_go_on) \
    each(suite, model, a_submitter_in_line_is_turned_away_by_the_close) \
    each(suite, model, submitting_while_another_thread_closes_loses_no_call) \
    each(suite, model, a_job_may_spawn_groups_and_wait) \
    each(suite, model, the_figures_add_up) \
    each(suite, model, a_crash_costs_only_its_own_job_where_the_model_says_so) \
    each(suite, model, an_ended_scope_cancels_the_call_it_waits_for) \
    each(suite, model, opening_and_closing_without_a_call_leaves_nothing)
/* clang-format on */

#define WORKER_KIT_DECLARE(suite, model, name) void worker_kit_##name(const char *model_name);
WORKER_KIT_TESTS(, , WORKER_KIT_DECLARE)

#define WORKER_KIT_TEST(suite, model, name)                                                        \
    Test(suite, name)                                                                              \
    {                                                                                              \
        worker_kit_##name(model);                                                                  \
    }

#define WORKER_KIT(suite, model)                                                                   \
    TestSuite(suite, .timeout = 120);                                                              \
    WORKER_KIT_TESTS(suite, model, WORKER_KIT_TEST)

/* "model:width", or just the model where it takes no number; options may be NULL. Asserts. */
weft_workers *worker_kit_open(const char *model, unsigned width,
                              const weft_workers_options *options);

#endif
