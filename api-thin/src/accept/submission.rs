use jobs::envelope::StampedJob;
use jobs::plan::Limits;
use jobs::tenant::{Identity, KbId, Role};
use serde::Serialize;
use stores::TenantStores;
use stores::model::{Acceptance, Accepted, Idempotency, NewDocument, NewKb, NewTenant, Replay, User};

use super::answer::Answer;
use super::deliver::deliver;
use super::fingerprint::Fingerprint;
use crate::extract::IdempotencyKey;
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// A request on its way to be accepted.
pub(super) struct Submission<'a> {
    pub(super) app: &'a ApiState,
    pub(super) stores: &'a TenantStores,
    pub(super) key: &'a IdempotencyKey,
    pub(super) fingerprint: Fingerprint,
}

/// What a request means.
#[derive(Default)]
pub(super) struct Proposal {
    pub(super) tenant: Option<NewTenant>,
    pub(super) founder: Option<User>,
    pub(super) member: Option<(Identity, Role)>,
    pub(super) kb: Option<NewKb>,
    pub(super) kb_close: Option<KbId>,
    pub(super) documents: Option<(KbId, Vec<NewDocument>)>,
    pub(super) jobs: Vec<StampedJob>,
    /// What the tenant may have.
    pub(super) limits: Limits,
}

/// What became of a [`Proposal`].
pub(super) enum Outcome<T, const STATUS: u16> {
    /// Accepted, now or before.
    Answer(Answer<T, STATUS>),
    /// A document was uploaded by someone else in between: look again and propose again.
    Moved,
}

impl<T, const STATUS: u16> Outcome<T, STATUS> {
    /// The answer, for whoever does not propose again.
    pub(super) fn answer(self) -> Result<Answer<T, STATUS>, Problem> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Moved => Err(outrun()),
        }
    }
}

/// The refusal of a request that others were always faster than.
pub(super) fn outrun() -> Problem {
    Problem::new(Code::UploadConflict, "try again in a moment").retry_after_s(1)
}

impl Submission<'_> {
    /// The answer that the same request got before. Saves the work of a request that is not new; that no
    /// request is accepted twice is ensured by [`Submission::propose`].
    pub(super) async fn earlier<T, const STATUS: u16>(&self) -> Result<Option<Answer<T, STATUS>>, Problem> {
        let Some(key) = &self.key.0 else { return Ok(None) };
        let replay = self.stores.catalog().replay(key).await?;
        replay.map(|replay| self.again(replay)).transpose()
    }

    /// Writes everything that the proposal means, or nothing, and hands its jobs to the queue. `body` is what the
    /// request is answered.
    pub(super) async fn propose<T: Serialize, const STATUS: u16>(
        &self,
        proposal: Proposal,
        body: T,
    ) -> Result<Outcome<T, STATUS>, Problem> {
        let Proposal { tenant, founder, member, kb, kb_close, documents, jobs, limits } = proposal;
        let answer = Answer::new(body);
        let idempotency = self.idempotency(&answer);
        let acceptance = Acceptance {
            tenant,
            founder,
            member,
            kb,
            kb_close,
            tenant_closed: None,
            documents,
            jobs,
            idempotency,
            limits,
        };
        let now = self.app.clock().now();
        let accepted = self.stores.catalog().accept(&acceptance, now).await?;
        match accepted {
            Accepted::New => {
                deliver(self.app, self.stores, acceptance.jobs).await;
                Ok(Outcome::Answer(answer))
            }
            Accepted::Replayed(replay) => self.again(replay).map(Outcome::Answer),
            Accepted::TenantExists => Err(Problem::new(Code::TenantExists, "choose another id")),
            Accepted::UserExists => Err(Problem::new(Code::UserExists, "choose another username")),
            Accepted::KbExists => {
                let detail = "choose another id, or wait until the one that is being deleted is gone";
                Err(Problem::new(Code::KbExists, detail))
            }
            Accepted::TenantGone | Accepted::KbGone => Err(Problem::not_found()),
            Accepted::RevisionMoved => Ok(Outcome::Moved),
            Accepted::OverQuota(over) => Err(Problem::over_quota(&over, now)),
        }
    }

    fn idempotency<T, const STATUS: u16>(&self, answer: &Answer<T, STATUS>) -> Option<Idempotency> {
        self.key.0.as_ref().map(|key| Idempotency {
            key: key.clone(),
            fingerprint: self.fingerprint.as_str().to_owned(),
            status: answer.status.as_u16(),
            body: answer.body.clone(),
        })
    }

    fn again<T, const STATUS: u16>(&self, replay: Replay) -> Result<Answer<T, STATUS>, Problem> {
        if replay.fingerprint == self.fingerprint.as_str() {
            return Ok(Answer::again(replay));
        }
        let detail = "this Idempotency-Key was used for another request: use a fresh key for each request";
        Err(Problem::new(Code::IdempotencyKeyReused, detail))
    }
}
