use super::{
    accept, api_keys, audit, batches, blobs, cache, called_off, closing, deletion, deletions, directory,
    documents, history, identities, index, invitations, kbs, live, measures, members, outbox, provenance,
    rag_settings, registry, schedules, settings, slugs, tenants, unfinished, usage, webhooks,
};
use crate::Opened;

/// Runs each named check and says which one is running.
macro_rules! checks {
    ($opened:ident: $($module:ident { $($check:ident),+ $(,)? })+) => {
        $($(
            tracing::info!(check = concat!(stringify!($module), "::", stringify!($check)));
            Box::pin($module::$check($opened)).await;
        )+)+
    };
}

/// Runs the whole suite against opened stores. They may contain other tenants, and other runs may be in progress.
///
/// # Panics
/// When a check fails.
pub async fn exercise(opened: &Opened) {
    checks! { opened:
        tenants { creation, status, knowledge_bases, api_keys }
        members {
            added_changed_and_removed, pages, kept_apart, last_admin_stays, no_more_than_the_maximum,
            invalidation_of_members, one_name_of_several_providers,
        }
        invitations {
            made_listed_and_withdrawn, accepted_once, accepted_with_a_new_account, only_the_right_secret,
            no_more_than_the_maximum, of_a_closed_tenant,
        }
        api_keys {
            made_and_listed, one_name_for_one_key, changed_and_revoked, extended, rotated, use_is_noted,
            invalidation_of_keys,
        }
        accept {
            whole, replay, racing_replays, nothing_by_half, racing_revisions, replacement, foreign_job, seen_before,
        }
        usage { counted, racing, racing_for_kbs, racing_for_small_things, replaced,
            refused_as_a_whole, jobs_of_a_day, jobs_of_schedules, api_calls, derived, both_versions }
        registry { states, stale_revisions, pages, partial, whole_again, totals, reopened_by_one, served, redriven }
        audit { added_once_and_kept_apart, pages_and_filters, the_operators, old_entries_go, each_log_is_a_chain }
        history { first_record_stays, several_tenants, what_was_started_again_ends_again, old_records_go, children }
        measures { outbox, sums_of_a_tenant }
        outbox { due_by_age, taken_out, rejected, another_tenants_job_stays }
        unfinished { until_it_has_ended, as_long_as_a_document_waits, taken_by_one }
        schedules { kept_and_replaced, due_in_order, fired_once, skipped, taken_over, paused }
        settings { put_by_revision, unapplied_until_told, all_by_id, flows }
        slugs { words, an_id_is_never_anothers_word, a_word_keeps_its_id_from_being_taken }
        rag_settings { put_by_revision }
        deletion { documents, replaced_meanwhile, uploaded_again, texts_and_originals }
        deletions { by_id_and_by_status, worked_off_and_forgotten }
        kbs { made_and_renamed, statistics, closed, emptied }
        closing { called_off, deleted, sessions, texts_and_values }
        called_off { documents_of_jobs, documents_of_a_tenant, outbox, jobs }
        directory {
            invalidation_of_tenants, tenants, tenants_in_order, tenants_held, knowledge_bases, keys_and_permissions,
            schedules_and_their_makers,
        }
        identities {
            users, founders, imported_memberships, imports_are_limited, sessions, another_password, racing_renewals,
            throttles,
        }
        documents { texts, extractions, failed_chunks, staged }
        index {
            replaced_as_a_whole, kept_apart, folded, replaced, unknown_ends, any_text, pages, foreign_cursor, limited,
            removal_leaves_no_trace, side_by_side, many_mentions, twins_apart, served_as_a_whole,
        }
        provenance { sources_of_an_entity, mentions_of_a_chunk }
        webhooks {
            made_changed_and_removed, told_of_documents, told_of_jobs, handed_on_with_care, given_up_and_sent_again,
            go_with_their_tenant,
        }
        blobs { originals, forgotten, left_over }
        cache { values, fields, lifetime }
        batches { counted_and_kept_apart, cancelled }
        live { reports, events, a_slow_listener }
    }
}
