//! The queue on Redis and the queue in memory keep the same promises: every scenario runs on both, and random
//! commands are given to both at once.

#![expect(clippy::panic, reason = "a panic is how a test fails, in its helpers too")]

mod cancelling;
mod claimed;
mod claims;
mod fairness;
mod groups;
mod limits;
mod site;
mod steps;
mod turns;
mod twins;
mod unique;

/// Makes two tests of each scenario. A scenario missing from the list is dead code, of which the compiler warns.
macro_rules! on_both {
    ($($file:ident: $($name:ident),+;)+) => {
        mod on_redis { $($(
            #[tokio::test]
            async fn $name() {
                super::$file::$name(super::site::Site::on_redis().await).await;
            }
        )+)+ }
        mod in_memory { $($(
            #[tokio::test]
            async fn $name() {
                super::$file::$name(super::site::Site::in_memory()).await;
            }
        )+)+ }
    };
}

on_both! {
    steps:
        a_job_is_kept_once_and_remembered_when_done,
        a_failure_comes_back_later_with_its_reason,
        a_job_that_waits_for_a_service_spends_no_attempt_and_holds_up_no_other,
        a_dead_letter_is_kept_and_starts_again_with_all_attempts,
        a_job_given_back_goes_first_and_spends_no_attempt,
        a_dropped_job_leaves_as_cancelled,
        a_scheduled_job_waits_for_its_time,
        high_priority_goes_first_and_none_starves,
        a_parked_tenant_waits_as_a_whole,
        a_skill_that_nobody_serves_is_in_nobodys_way,
        another_tenants_job_is_not_found,
        what_was_cancelled_waits_for_no_worker;
    claims:
        a_stale_fence_changes_nothing,
        a_renewed_claim_is_kept,
        three_deaths_end_in_quarantine_and_attempts_are_untouched,
        neighbours_of_a_poison_job_survive;
    groups:
        every_final_end_counts_and_no_other_does,
        a_group_without_members_continues_at_once,
        a_late_finish_leaves_nothing_behind,
        a_member_that_waits_already_is_waited_for,
        groups_nest,
        a_finish_cannot_reach_into_another_tenant;
    fairness:
        shares_follow_weights,
        a_newcomer_gets_neither_credit_nor_a_place_behind_the_backlog,
        a_cap_is_held_and_a_higher_one_applies_at_once,
        a_rate_is_held_and_its_burst_allowed,
        a_paused_tenant_is_invisible_to_others;
    turns:
        branches_take_turns,
        bulk_has_every_fifth_turn,
        a_job_keeps_lane_and_branch;
    cancelling:
        what_waits_leaves_and_what_runs_does_not_come_back,
        a_cancelled_job_that_completes_has_completed,
        a_failure_cancels_the_rest_of_a_group_that_says_so,
        a_group_is_called_off_as_a_whole,
        everything_of_a_tenant_is_called_off_and_new_work_runs,
        a_dead_letter_is_purged;
    unique:
        every_end_frees_the_key_and_nothing_else_does,
        a_redriven_job_takes_its_key_again_or_stays,
        until_started_lets_one_wait_while_one_runs,
        a_period_outlives_the_job,
        replace_takes_the_place,
        reschedule_moves_the_job_that_is_there;
    limits:
        a_full_backlog_refuses_all_of_a_tenants_jobs_and_nobody_elses,
        scheduled_jobs_and_bytes_have_quotas,
        a_type_has_a_cap_of_its_own,
        queues_are_paused_for_all_or_for_one,
        what_drains_takes_nothing_new,
        a_suspended_tenants_jobs_say_that_they_are_parked;
}
