//! From bytes on Redis back to a context: the only way in.

use std::sync::Arc;

use super::stamp;
use super::stamp::{Claims, Envelope, StampKeys};
use super::stamper::StampedJob;
use crate::clock::SharedClock;
use crate::job::JobPolicy;
use crate::tenant::{
    Authenticated, DirectoryError, Permission, Permissions, TenantContext, TenantDirectory, TenantId,
    TenantRecord, TenantStatus,
};

/// Why an envelope does not reach its handler.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not an envelope.
    #[error("the envelope cannot be read")]
    Malformed,
    /// The stamp names a signing key that this installation does not have.
    #[error("the stamp is signed by an unknown key")]
    UnknownKey,
    /// The stamp was not made with the key it names.
    #[error("the stamp's signature is wrong")]
    BadSignature,
    /// The job was changed after it was stamped.
    #[error("the envelope was changed after it was stamped")]
    Altered,
    /// The job lies in the queue of another tenant than the one it was stamped for.
    #[error("the job was moved to another tenant's queue")]
    ForeignQueue,
    /// The tenant does not exist.
    #[error("the tenant is gone")]
    UnknownTenant,
    /// The knowledge base does not belong to the tenant.
    #[error("the knowledge base is gone")]
    UnknownKb,
    /// The actor may no longer do this.
    #[error("the actor no longer has the permission {0}")]
    Forbidden(Permission),
    /// All of the tenant's work was cancelled after this job was stamped.
    #[error("the tenant's work was cancelled")]
    StaleEpoch,
    /// The job was cancelled after it was stamped, alone or with all of the tenant's work.
    #[error("the job was cancelled")]
    Cancelled,
    /// The job was to run before now.
    #[error("the job expired")]
    Expired,
    /// The tenant is not in the state in which this job may run. The job waits.
    #[error("the tenant is {0}")]
    TenantNotReady(TenantStatus),
    /// The directory did not answer. The job waits.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl Refusal {
    /// Stable code for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "envelope_malformed",
            Self::UnknownKey => "stamp_unknown_key",
            Self::BadSignature => "stamp_bad_signature",
            Self::Altered => "envelope_altered",
            Self::ForeignQueue => "foreign_queue",
            Self::UnknownTenant => "tenant_unknown",
            Self::UnknownKb => "kb_unknown",
            Self::Forbidden(_) => "actor_forbidden",
            Self::StaleEpoch => "tenant_epoch_passed",
            Self::Cancelled => "job_cancelled",
            Self::Expired => "job_expired",
            Self::TenantNotReady(_) => "tenant_not_ready",
            Self::Directory(_) => "directory_unavailable",
        }
    }
}

/// An envelope that was checked, and the authority it carries.
#[derive(Debug)]
pub struct Verified {
    /// The authority under which the job runs.
    pub tenant: TenantContext,
    /// The verified envelope.
    pub envelope: Envelope,
}

/// Checks envelopes against the signing keys and against the directory as it is now.
#[derive(Clone)]
pub struct Verifier {
    keys: StampKeys,
    directory: Arc<dyn TenantDirectory>,
    clock: SharedClock,
}

impl Verifier {
    /// A verifier that trusts `keys` and asks `directory`.
    #[must_use]
    pub fn new(keys: StampKeys, directory: Arc<dyn TenantDirectory>, clock: SharedClock) -> Self {
        Self { keys, directory, clock }
    }

    /// Verifies bytes that were fetched from the queue of `queue_of` and returns the envelope.
    ///
    /// `policy_of` returns the policy of a job type; an envelope of an unknown type is malformed, because workers
    /// fetch only the types they declare.
    ///
    /// # Errors
    /// A [`Refusal`] that says what to do with the job: quarantine it, drop it, or let it wait.
    pub async fn verify(
        &self,
        wire: &str,
        queue_of: &TenantId,
        policy_of: impl Fn(&str, u32) -> Option<JobPolicy> + Send,
    ) -> Result<Verified, Refusal> {
        let (claims, envelope, policy) = self.check(wire, queue_of, policy_of).await?;
        if self.directory.is_cancelled(&claims.tenant, claims.jti, envelope.meta.created_at).await? {
            return Err(Refusal::Cancelled);
        }
        self.permitted(claims, envelope, &policy).await
    }

    /// Like [`Self::verify`], for a template that never runs itself but from which jobs are made. Cancelling the
    /// tenant's work does not invalidate it.
    ///
    /// # Errors
    /// As for [`Self::verify`], but never [`Refusal::Cancelled`].
    pub async fn verify_template(
        &self,
        wire: &str,
        queue_of: &TenantId,
        policy_of: impl Fn(&str, u32) -> Option<JobPolicy> + Send,
    ) -> Result<Verified, Refusal> {
        let (claims, envelope, policy) = self.check(wire, queue_of, policy_of).await?;
        self.permitted(claims, envelope, &policy).await
    }

    async fn permitted(
        &self,
        claims: Claims,
        envelope: Envelope,
        policy: &JobPolicy,
    ) -> Result<Verified, Refusal> {
        let Claims { tenant, kb, actor, role, .. } = &claims;
        let permissions = self.directory.permissions(tenant, kb.as_ref(), actor, *role).await?;
        if !permissions.contains(policy.permission) {
            return Err(Refusal::Forbidden(policy.permission));
        }
        Ok(verified(claims, envelope, permissions))
    }

    /// Like [`Self::verify`], without checking the actor's current permissions: for the on-discard hook, which reports
    /// that the job will not run. The context has no permission.
    ///
    /// # Errors
    /// As for [`Self::verify`], but never [`Refusal::Forbidden`].
    pub async fn verify_without_actor(
        &self,
        wire: &str,
        queue_of: &TenantId,
        policy_of: impl Fn(&str, u32) -> Option<JobPolicy> + Send,
    ) -> Result<Verified, Refusal> {
        let (claims, envelope, _) = self.check(wire, queue_of, policy_of).await?;
        Ok(verified(claims, envelope, Permissions::NONE))
    }

    /// Checks everything but what the actor may do and whether the job was cancelled.
    async fn check(
        &self,
        wire: &str,
        queue_of: &TenantId,
        policy_of: impl Fn(&str, u32) -> Option<JobPolicy> + Send,
    ) -> Result<(Claims, Envelope, JobPolicy), Refusal> {
        let (claims, envelope) = self.open(wire)?;
        if claims.tenant != *queue_of {
            return Err(Refusal::ForeignQueue);
        }
        let policy = policy_of(&envelope.kind, envelope.meta.version).ok_or(Refusal::Malformed)?;
        let record = self.directory.tenant(&claims.tenant).await?.ok_or(Refusal::UnknownTenant)?;
        self.check_time(&claims, &envelope, &policy, record)?;
        self.check_kb(&claims, &policy).await?;
        Ok((claims, envelope, policy))
    }

    /// Reads the destination of signed bytes, for an outbox that stored them to enqueue them later. Grants no
    /// authority.
    ///
    /// # Errors
    /// When the bytes were not stamped by one of our keys, or were changed since.
    pub fn route(&self, wire: &str) -> Result<StampedJob, Refusal> {
        let (claims, envelope) = self.open(wire)?;
        Ok(StampedJob::route(&claims, &envelope, wire.to_owned()))
    }

    fn open(&self, wire: &str) -> Result<(Claims, Envelope), Refusal> {
        let (stamp, job) = stamp::split(wire).ok_or(Refusal::Malformed)?;
        let claims = stamp::open(&self.keys, &stamp, job)?;
        let envelope: Envelope = serde_json::from_str(job).map_err(|_| Refusal::Malformed)?;
        // Both are signed; that they disagree means we signed nonsense, which must not run either.
        let agree = envelope.id == claims.jti && envelope.kind == claims.kind;
        let readable = envelope.specversion == Envelope::SPECVERSION;
        if agree && readable { Ok((claims, envelope)) } else { Err(Refusal::Malformed) }
    }

    fn check_time(
        &self,
        claims: &Claims,
        envelope: &Envelope,
        policy: &JobPolicy,
        record: TenantRecord,
    ) -> Result<(), Refusal> {
        if claims.epoch < record.epoch {
            return Err(Refusal::StaleEpoch);
        }
        if envelope.expires_at.is_some_and(|at| at <= self.clock.now()) {
            return Err(Refusal::Expired);
        }
        // A provisioning job that is delivered again after it activated its tenant finds nothing left to do.
        let done_before =
            policy.runs_while == TenantStatus::Provisioning && record.status == TenantStatus::Active;
        if record.status == policy.runs_while || done_before {
            return Ok(());
        }
        Err(Refusal::TenantNotReady(record.status))
    }

    async fn check_kb(&self, claims: &Claims, policy: &JobPolicy) -> Result<(), Refusal> {
        let needs_kb = policy.needs_kb && policy.runs_while != TenantStatus::Provisioning;
        if let Some(kb) = &claims.kb
            && needs_kb
            && !self.directory.kb_exists(&claims.tenant, kb).await?
        {
            return Err(Refusal::UnknownKb);
        }
        Ok(())
    }
}

fn verified(claims: Claims, envelope: Envelope, permissions: Permissions) -> Verified {
    let Claims { tenant, kb, actor, role, epoch, .. } = claims;
    let who = Authenticated { tenant_id: tenant, epoch, kb_id: kb, actor, role, permissions };
    Verified { tenant: TenantContext::from_authenticated(who), envelope }
}
