//! What the stores count and measure, through the facade [`metrics`].

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::envelope::SPANS;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use tracing::Span;

use crate::catalog::{Connections, Measures};
use crate::directory::Answers;
use crate::ports::StoreResult;

const CALL_SECONDS: &str = "tenantry_store_call_seconds";
const CALL_ERRORS: &str = "tenantry_store_errors_total";
const CONNECTIONS: &str = "tenantry_store_connections";
const CONNECTIONS_MAX: &str = "tenantry_store_connections_max";
const CACHE_REQUESTS: &str = "tenantry_cache_requests_total";
const CACHE_ENTRIES: &str = "tenantry_cache_entries";
const OUTBOX_ROWS: &str = "tenantry_outbox_rows";
const OUTBOX_OLDEST: &str = "tenantry_outbox_oldest_seconds";
const MISSING: &str = "tenantry_accepted_without_job";
const MISSING_OLDEST: &str = "tenantry_accepted_without_job_oldest_seconds";

/// The first words of operations.
const STORES: [&str; 6] = ["blobs", "cache", "catalog", "directory", "documents", "index"];

/// Tells the recorder what the metrics of this crate mean.
pub fn describe() {
    describe_histogram!(CALL_SECONDS, "How long calls of a store took, waits for a connection included.");
    describe_counter!(CALL_ERRORS, "Calls of a store that failed or had no answer in time.");
    describe_gauge!(CONNECTIONS, "Connections of this process to the catalog's database, by state.");
    describe_gauge!(CONNECTIONS_MAX, "The most connections that this process makes to it.");
    describe_counter!(CACHE_REQUESTS, "Questions to a cache, by whether it had the answer.");
    describe_gauge!(CACHE_ENTRIES, "Entries of a cache.");
    describe_gauge!(OUTBOX_ROWS, "Accepted jobs that the queue does not have yet; 10000 stands for more.");
    describe_gauge!(OUTBOX_OLDEST, "How long ago the oldest of them was accepted.");
    describe_gauge!(
        MISSING,
        "Accepted jobs that the queue lost and that have not been seen there since; 10000 stands for more."
    );
    describe_gauge!(MISSING_OLDEST, "How long the first of them has been missing.");
}

/// The span of a call, in the trace of what calls.
pub(crate) fn call_span(operation: &'static str) -> Span {
    tracing::trace_span!(target: SPANS, "call", operation)
}

/// Records one call. The operation's name begins with that of its store, as in `catalog.accept`.
pub(crate) fn called(operation: &'static str, took: Duration, is_done: bool) {
    let store = operation.split_once('.').map_or(operation, |(store, _)| store);
    histogram!(CALL_SECONDS, "store" => store).record(took);
    if !is_done {
        counter!(CALL_ERRORS, "store" => store).increment(1);
    }
}

/// Records that a cache was asked.
pub(crate) fn cache_asked(cache: &'static str, has_answer: bool) {
    let result = if has_answer { "hit" } else { "miss" };
    counter!(CACHE_REQUESTS, "cache" => cache, "result" => result).increment(1);
}

/// Reads how the stores are, and records it.
#[derive(Clone)]
pub struct StoreSampler {
    measures: Arc<Measures>,
    answers: Answers,
}

impl StoreSampler {
    pub(crate) fn new(measures: Arc<Measures>, answers: Answers) -> Self {
        // So that the first error is an increase too.
        for store in STORES {
            counter!(CALL_ERRORS, "store" => store).increment(0);
        }
        Self { measures, answers }
    }

    /// Counts for metrics of single tenants.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Records pools, caches and the outbox as they are. It costs the same however many tenants there are.
    ///
    /// # Errors
    /// When the catalog is not available. What this process knows by itself is recorded then too.
    pub async fn sample(&self, now: DateTime<Utc>) -> StoreResult<()> {
        let Connections { store, used, idle, most } = self.measures.connections();
        gauge!(CONNECTIONS, "store" => store, "state" => "used").set(used);
        gauge!(CONNECTIONS, "store" => store, "state" => "idle").set(idle);
        gauge!(CONNECTIONS_MAX, "store" => store).set(most);
        gauge!(CACHE_ENTRIES, "cache" => "directory").set(float(self.answers.len()));
        let outbox = self.measures.outbox().await?;
        gauge!(OUTBOX_ROWS).set(float(outbox.rows));
        let age = outbox.oldest.and_then(|oldest| (now - oldest).to_std().ok()).unwrap_or_default();
        gauge!(OUTBOX_OLDEST).set(age.as_secs_f64());
        let missing = self.measures.missing().await?;
        gauge!(MISSING).set(float(missing.rows));
        let age = missing.since.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
        gauge!(MISSING_OLDEST).set(age.as_secs_f64());
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and counts are far below 2^52")]
const fn float(count: u64) -> f64 {
    count as f64
}
