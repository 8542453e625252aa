//! Accepting a request that causes work: replay under its `Idempotency-Key`, room in the queue, one transaction that
//! writes everything, delivery to the queue.

use std::time::Duration;

use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::error::report;
use jobs::queue::QueueError;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use stores::TenantStores;
use stores::model::{Acceptance, Accepted, Idempotency, Replay};
use tracing::Instrument as _;

use crate::answer::Answer;
use crate::problem::{Code, Problem};
use crate::rate_limit::KnownRoom;
use crate::state::ApiState;

/// The `Idempotency-Key` of a request, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

/// A request on its way to be accepted.
pub(crate) struct Submission<'a> {
    pub(crate) app: &'a ApiState,
    pub(crate) stores: &'a TenantStores,
    pub(crate) key: &'a IdempotencyKey,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) names: Names<'a>,
}

/// The names that a request gives to what it makes, and where its answer repeats them (JSON pointers). An answer is
/// stored without them and gets them from the request that replays it, so that a deletion finds all places where a name
/// is stored: the fingerprint covers the names, so that both requests have the same.
#[derive(Debug, Default)]
pub(crate) struct Names<'a>(pub(crate) Vec<(String, &'a str)>);

impl Names<'_> {
    fn removed(&self, mut body: Value) -> Value {
        for (place, _) in &self.0 {
            body.pointer_mut(place).map(Value::take);
        }
        body
    }

    fn restored(&self, mut body: Value) -> Value {
        for (place, name) in &self.0 {
            if let Some(stored) = body.pointer_mut(place) {
                *stored = Value::from(*name);
            }
        }
        body
    }
}

/// Returned when the retries of an upload are exhausted, because other requests changed its documents each time.
pub(crate) fn retries_exhausted() -> Problem {
    Problem::new(Code::UploadConflict, "try again in a moment").retry_after_s(1)
}

impl Submission<'_> {
    /// The stored answer to an earlier request with the same `Idempotency-Key`. Only saves work:
    /// [`Submission::accept`] checks the key again in its transaction, so that no request is accepted twice.
    pub(crate) async fn earlier<T, const STATUS: u16>(&self) -> Result<Option<Answer<T, STATUS>>, Problem> {
        let Some(key) = &self.key.0 else { return Ok(None) };
        let replay = self.stores.catalog().replay(key).await?;
        replay.map(|replay| self.again(replay)).transpose()
    }

    /// Writes everything that the request changes in one transaction, then hands its jobs to the queue. `body` is its
    /// answer. `None` on a conflict: another request uploaded one of the documents since its revision was read. The
    /// caller reads the revision again and retries.
    pub(crate) async fn accept<T: Serialize, const STATUS: u16>(
        &self,
        acceptance: Acceptance,
        body: T,
    ) -> Result<Option<Answer<T, STATUS>>, Problem> {
        let answer = Answer::new(body);
        let acceptance = Acceptance { idempotency: self.idempotency(&answer), ..acceptance };
        let now = self.app.clock().now();
        match self.stores.catalog().accept(&acceptance, now).await? {
            // Delivered after the commit. If that fails, the jobs stay in the outbox and the relay delivers them.
            Accepted::New => {
                deliver(self.app, self.stores, acceptance.jobs).await;
                Ok(Some(answer))
            }
            Accepted::Replayed(replay) => self.again(replay).map(Some),
            Accepted::TenantExists => Err(Problem::new(Code::TenantExists, "choose another id")),
            Accepted::UserExists => Err(Problem::new(Code::UserExists, "choose another username")),
            Accepted::KbExists => {
                let detail = "choose another id, or wait until the one that is being deleted is gone";
                Err(Problem::new(Code::KbExists, detail))
            }
            Accepted::TenantGone | Accepted::KbGone => Err(Problem::not_found()),
            Accepted::RevisionMoved => Ok(None),
            Accepted::OverQuota(over) => Err(Problem::over_quota(&over, now)),
        }
    }

    /// [`Self::accept`] for a request without documents, which no other request can outdate.
    pub(crate) async fn accept_once<T: Serialize, const STATUS: u16>(
        &self,
        acceptance: Acceptance,
        body: T,
    ) -> Result<Answer<T, STATUS>, Problem> {
        self.accept(acceptance, body).await?.ok_or_else(retries_exhausted)
    }

    fn idempotency<T, const STATUS: u16>(&self, answer: &Answer<T, STATUS>) -> Option<Idempotency> {
        self.key.0.as_ref().map(|key| Idempotency {
            key: key.clone(),
            fingerprint: self.fingerprint.as_str().to_owned(),
            status: answer.status.as_u16(),
            body: self.names.removed(answer.body.clone()),
        })
    }

    /// The stored answer `replay`, if it is one to this request.
    pub(crate) fn again<T, const STATUS: u16>(&self, replay: Replay) -> Result<Answer<T, STATUS>, Problem> {
        if replay.fingerprint == self.fingerprint.as_str() {
            return Ok(Answer::again(Replay { body: self.names.restored(replay.body), ..replay }));
        }
        let detail = "this Idempotency-Key was used for another request: use a fresh key for each request";
        Err(Problem::new(Code::IdempotencyKeyReused, detail))
    }
}

/// Digest of a request's contents, so that an `Idempotency-Key` cannot be used for another request.
///
/// It covers the meaning, not the encoding: the same documents as multipart or as JSON are the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of an operation with its parts. Each part goes in with its length, so that no two
    /// lists of parts are alike.
    #[must_use]
    pub fn of<'a>(operation: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut digest = Sha256::new();
        for part in std::iter::once(operation).chain(parts) {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self(hex::encode(digest.finalize()))
    }

    /// The digest in hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long an answer waits for the queue. A slower delivery goes on in the background, and undelivered jobs stay in
/// the outbox.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(1);

/// Pushes accepted jobs to the queue. Never fails: what cannot be pushed stays in the outbox, from where the relay
/// delivers it.
pub(crate) async fn deliver(app: &ApiState, stores: &TenantStores, jobs: Vec<StampedJob>) {
    let (app, stores) = (app.clone(), stores.clone());
    // A task of its own: a client that hangs up shall not stop the delivery halfway.
    let delivery = tokio::spawn(async move { push(&app, &stores, &jobs).await }.in_current_span());
    if tokio::time::timeout(DELIVERY_PATIENCE, delivery).await.is_err() {
        tracing::warn!("the queue is slow: answering before it has the job");
    }
}

async fn push(app: &ApiState, stores: &TenantStores, jobs: &[StampedJob]) {
    let Some(tenant) = jobs.first().map(StampedJob::tenant_id) else { return };
    let outcome = match app.queue().push_accepted(jobs).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let error = report(&error);
            tracing::warn!(jobs = jobs.len(), error, "the queue is away: the outbox keeps the jobs");
            return;
        }
    };
    let now = app.clock().now();
    if let Err(error) = stores.catalog().history_same_work(jobs, &outcome.conflicts, now).await {
        tracing::warn!(error = report(&error), "the outbox keeps jobs that others do as well");
        return;
    }
    let ids: Vec<JobId> = jobs.iter().map(StampedJob::id).collect();
    app.bookkeeper().delivered(stores, tenant, &ids, app.clock().now());
}

/// The job that waits already and does the same as `job`. `None` also when the queue does not answer: then both are
/// accepted, and the queue decides when it gets the second.
pub(crate) async fn same_work(app: &ApiState, job: &StampedJob) -> Option<JobId> {
    match tokio::time::timeout(LIMITS_PATIENCE, app.queue().same_as(job)).await {
        Ok(Ok(other)) => other,
        Ok(Err(error)) => {
            tracing::warn!(
                error = report(&error),
                "the queue does not say whether the same work waits: accepting"
            );
            None
        }
        Err(_) => {
            tracing::warn!("the queue is slow to say whether the same work waits: accepting");
            None
        }
    }
}

/// How long an answer waits for the queue to say whether there is room.
const LIMITS_PATIENCE: Duration = Duration::from_millis(500);

/// Refuses jobs for which their tenant has no room in the queue, before anything is written. Where room is `known` the
/// queue is not asked again. When the queue does not answer, nothing is refused: the accepted jobs are delivered later.
///
/// # Errors
/// When a limit is reached.
pub(crate) async fn ensure_room(
    app: &ApiState,
    known: Option<&KnownRoom>,
    jobs: &[StampedJob],
) -> Result<(), Problem> {
    if let Some(checked) = known.and_then(|known| known.check(jobs)) {
        return checked.map_err(Problem::from);
    }
    match tokio::time::timeout(LIMITS_PATIENCE, app.queue().room_for(jobs)).await {
        Ok(Err(QueueError::LimitReached(limits))) if !limits.is_empty() => {
            Err(Problem::from(QueueError::LimitReached(limits)))
        }
        Ok(Err(error)) => {
            tracing::warn!(error = report(&error), "the queue does not say whether there is room: accepting");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("the queue is slow to say whether there is room: accepting");
            Ok(())
        }
        Ok(Ok(())) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_repeats_and_sees_every_boundary() {
        let one = Fingerprint::of("documents", ["default", "a.md", "x"]);
        assert_eq!(one, Fingerprint::of("documents", ["default", "a.md", "x"]));
        for other in [
            Fingerprint::of("reindex", ["default", "a.md", "x"]),
            Fingerprint::of("documents", ["default", "a.md", "y"]),
            Fingerprint::of("documents", ["defaulta.md", "x"]),
            Fingerprint::of("documents", ["default", "a.md", "x", ""]),
        ] {
            assert_ne!(one, other);
        }
    }
}
