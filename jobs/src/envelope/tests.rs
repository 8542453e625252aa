//! The envelope under attack by someone with access to Redis.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::*;
use crate::clock::ManualClock;
use crate::id::{DocumentId, JobId};
use crate::job::{Job, JobPolicy, Lane};
use crate::kind::JobKind;
use crate::tenant::*;
use crate::types::{IngestDocument, ProvisionTenant};

const KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER_KEY: &str = "k2:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";

/// A directory in which `acme` is as the test wants it.
struct OneTenant {
    record: Option<TenantRecord>,
    kb_exists: bool,
    cancelled: bool,
    permissions: Permissions,
}

impl Default for OneTenant {
    fn default() -> Self {
        let record = TenantRecord { status: TenantStatus::Active, epoch: 3 };
        Self {
            record: Some(record),
            kb_exists: true,
            cancelled: false,
            permissions: Role::Admin.permissions(),
        }
    }
}

#[async_trait::async_trait]
impl TenantDirectory for OneTenant {
    async fn tenant(&self, _: &TenantId) -> Result<Option<TenantRecord>, DirectoryError> {
        Ok(self.record)
    }

    async fn kb_exists(&self, _: &TenantId, _: &KbId) -> Result<bool, DirectoryError> {
        Ok(self.kb_exists)
    }

    async fn is_cancelled(&self, _: &TenantId, _: JobId, _: DateTime<Utc>) -> Result<bool, DirectoryError> {
        Ok(self.cancelled)
    }

    async fn permissions(
        &self,
        _: &TenantId,
        _: Option<&KbId>,
        _: &Actor,
        _: Role,
    ) -> Result<Permissions, DirectoryError> {
        Ok(self.permissions)
    }
}

fn keys(text: &str) -> StampKeys {
    StampKeys::parse(&SecretString::from(text)).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at(DateTime::from_timestamp_millis(1_700_000_000_000).unwrap())
}

fn ann() -> Actor {
    Actor::User(Identity::product("ann").unwrap())
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the stamp is tested with any role, as the API would grant it")]
fn context(role: Role) -> TenantContext {
    TenantContext::for_request(Authenticated {
        tenant_id: acme(),
        epoch: 3,
        kb_id: Some(KbId::first()),
        actor: ann(),
        role,
        permissions: role.permissions(),
    })
}

fn job() -> IngestDocument {
    IngestDocument { document_id: DocumentId::of_name("curie.md"), revision: 1 }
}

fn options() -> EnqueueOptions {
    let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
    EnqueueOptions { id: Some(JobId::derived(now, "golden")), ..EnqueueOptions::default() }
}

fn stamped(by: &str) -> StampedJob {
    Stamper::new(keys(by), Arc::new(clock())).stamp(&context(Role::Editor), &job(), options()).unwrap()
}

fn policy(kind: &str, version: u32) -> Option<JobPolicy> {
    JobKind::ALL
        .iter()
        .map(|kind| kind.policy())
        .find(|policy| policy.kind == kind && policy.version == version)
}

async fn verify(wire: &str, directory: OneTenant) -> Result<Verified, Refusal> {
    Verifier::new(keys(KEYS), Arc::new(directory), Arc::new(clock())).verify(wire, &acme(), policy).await
}

async fn refusal(wire: &str, directory: OneTenant) -> &'static str {
    verify(wire, directory).await.expect_err("the envelope should have been refused").code()
}

/// An envelope written in version 1.0 must stay readable for ever: records in an installation's Redis outlive our
/// code.
#[tokio::test]
async fn the_golden_envelope_is_still_read() {
    let wire = include_str!("golden/v1.0.json").trim_end();
    let verified = verify(wire, OneTenant::default()).await.unwrap();
    assert_eq!(verified.tenant.tenant_id(), &acme());
    assert_eq!(verified.tenant.actor(), &"user:ann".parse().unwrap());
    assert_eq!(verified.envelope.payload::<IngestDocument>().unwrap(), job());
    assert_eq!(verified.envelope.kind, IngestDocument::TYPE);
    assert_eq!(verified.envelope.meta.lane, Lane::Interactive, "it is of before there were lanes");
}

#[tokio::test]
async fn the_lane_of_a_job_is_signed() {
    let stamper = Stamper::new(keys(KEYS), Arc::new(clock()));
    let bulk = EnqueueOptions { lane: Some(Lane::Bulk), ..options() };
    let stamped = stamper.stamp(&context(Role::Editor), &job(), bulk).unwrap();
    let (wire, said) = (stamped.wire().to_owned(), r#","lane":"bulk""#);
    assert_eq!(verify(&wire, OneTenant::default()).await.unwrap().envelope.meta.lane, Lane::Bulk);
    for promoted in [wire.replace(said, ""), wire.replace(said, r#","lane":"interactive""#)] {
        assert_ne!(promoted, wire);
        assert_eq!(refusal(&promoted, OneTenant::default()).await, "envelope_altered");
    }
    let in_queue = stamped.into_new_job();
    assert_eq!((in_queue.lane, in_queue.branch.as_str()), (Lane::Bulk, KbId::first().as_str()));
}

#[tokio::test]
async fn what_a_schedule_starts_is_bulk() {
    let stamper = Stamper::new(keys(KEYS), Arc::new(clock()));
    let context = context(Role::Editor);
    let template = verify(stamped(KEYS).wire(), OneTenant::default()).await.unwrap().envelope;
    assert_eq!(template.meta.lane, Lane::Interactive);
    let fired = stamper.restamp(&context, &template, JobId::derived(DateTime::UNIX_EPOCH, "fired")).unwrap();
    assert_eq!(fired.into_new_job().lane, Lane::Bulk);
}

/// Today's output has the fields of the golden file in the same order; only trace ids differ. The default retry policy
/// is omitted now, and means what the file spells out.
#[test]
fn what_is_written_has_the_golden_shape() {
    let shape = |wire: &str| {
        let wire: WireEnvelope = serde_json::from_str(wire).unwrap();
        let job: serde_json::Value = serde_json::from_str(wire.job.get()).unwrap();
        let read: Envelope = serde_json::from_str(wire.job.get()).unwrap();
        let fields = job.as_object().unwrap().keys().filter(|field| *field != "retry").cloned();
        (fields.collect::<Vec<_>>(), read.retry, job["args"].clone(), job["timeout"].clone())
    };
    assert_eq!(shape(stamped(KEYS).wire()), shape(include_str!("golden/v1.0.json").trim_end()));
}

/// Every single byte is covered, in the stamp, in the job and around them.
#[tokio::test]
async fn a_change_of_any_one_byte_is_refused() {
    let stamped = stamped(KEYS);
    let wire = stamped.wire().as_bytes();
    for at in 0..wire.len() {
        for flip in [0x01, 0x20] {
            let mut changed = wire.to_vec();
            changed[at] ^= flip;
            if let Ok(text) = String::from_utf8(changed) {
                assert!(verify(&text, OneTenant::default()).await.is_err(), "byte {at} ^ {flip:#x}: {text}");
            }
        }
    }
    assert!(verify(stamped.wire(), OneTenant::default()).await.is_ok());
}

#[tokio::test]
async fn a_stamp_by_an_unknown_key_is_refused() {
    assert_eq!(refusal(stamped(OTHER_KEY).wire(), OneTenant::default()).await, "stamp_unknown_key");
    let same_name = OTHER_KEY.replace("k2", "k1");
    assert_eq!(refusal(stamped(&same_name).wire(), OneTenant::default()).await, "stamp_bad_signature");
}

#[tokio::test]
async fn a_rotated_key_still_opens_what_it_signed() {
    let both = format!("{OTHER_KEY},{KEYS}");
    let verifier = Verifier::new(keys(&both), Arc::new(OneTenant::default()), Arc::new(clock()));
    for by in [KEYS, OTHER_KEY] {
        assert!(verifier.verify(stamped(by).wire(), &acme(), policy).await.is_ok());
    }
}

/// A stamp cannot be taken from one job and put on another.
#[tokio::test]
async fn a_stamp_does_not_fit_another_job() {
    let mut wire: WireEnvelope = serde_json::from_str(stamped(KEYS).wire()).unwrap();
    let other = IngestDocument { revision: 2, ..job() };
    let other =
        Stamper::new(keys(KEYS), Arc::new(clock())).stamp(&context(Role::Editor), &other, options()).unwrap();
    wire.job = serde_json::from_str::<WireEnvelope>(other.wire()).unwrap().job;
    assert_eq!(
        refusal(&serde_json::to_string(&wire).unwrap(), OneTenant::default()).await,
        "envelope_altered"
    );
}

#[tokio::test]
async fn a_job_in_another_tenants_queue_is_refused() {
    let verifier = Verifier::new(keys(KEYS), Arc::new(OneTenant::default()), Arc::new(clock()));
    let other = "acme-2".parse().unwrap();
    let refusal = verifier.verify(stamped(KEYS).wire(), &other, policy).await.unwrap_err();
    assert_eq!(refusal.code(), "foreign_queue");
}

#[tokio::test]
async fn the_directory_decides_as_it_is_now() {
    let wire = stamped(KEYS).wire().to_owned();
    let with =
        |status, epoch| OneTenant { record: Some(TenantRecord { status, epoch }), ..OneTenant::default() };
    let gone = OneTenant { record: None, ..OneTenant::default() };
    assert_eq!(refusal(&wire, gone).await, "tenant_unknown");
    assert_eq!(refusal(&wire, with(TenantStatus::Suspended, 3)).await, "tenant_not_ready");
    assert_eq!(refusal(&wire, with(TenantStatus::Provisioning, 3)).await, "tenant_not_ready");
    assert_eq!(refusal(&wire, with(TenantStatus::Active, 4)).await, "tenant_epoch_passed");
    assert_eq!(refusal(&wire, OneTenant { kb_exists: false, ..OneTenant::default() }).await, "kb_unknown");
    assert_eq!(refusal(&wire, OneTenant { cancelled: true, ..OneTenant::default() }).await, "job_cancelled");
    let demoted = OneTenant { permissions: Role::Viewer.permissions(), ..OneTenant::default() };
    assert_eq!(refusal(&wire, demoted).await, "actor_forbidden");
}

#[tokio::test]
async fn a_template_is_not_cancelled_with_the_jobs_that_were_made_out_of_it() {
    let directory = OneTenant { cancelled: true, ..OneTenant::default() };
    let verifier = Verifier::new(keys(KEYS), Arc::new(directory), Arc::new(clock()));
    let wire = stamped(KEYS);
    assert!(verifier.verify_template(wire.wire(), &acme(), policy).await.is_ok());
    assert!(verifier.verify_without_actor(wire.wire(), &acme(), policy).await.is_ok());
}

#[tokio::test]
async fn without_its_actor_a_job_may_do_nothing_and_is_checked_all_the_same() {
    let wire = stamped(KEYS).wire().to_owned();
    let check = async |directory: OneTenant, queue_of: &str| {
        let verifier = Verifier::new(keys(KEYS), Arc::new(directory), Arc::new(clock()));
        verifier.verify_without_actor(&wire, &queue_of.parse().unwrap(), policy).await
    };
    let removed = OneTenant { permissions: Permissions::NONE, ..OneTenant::default() };
    let verified = check(removed, acme().as_str()).await.unwrap();
    assert_eq!((verified.tenant.tenant_id(), verified.tenant.permissions()), (&acme(), Permissions::NONE));
    // The actor's permissions make no difference, even if it has all of them.
    assert_eq!(check(OneTenant::default(), "acme").await.unwrap().tenant.permissions(), Permissions::NONE);
    assert_eq!(check(OneTenant::default(), "acme-2").await.unwrap_err().code(), "foreign_queue");
    let no_kb = OneTenant { kb_exists: false, ..OneTenant::default() };
    assert_eq!(check(no_kb, "acme").await.unwrap_err().code(), "kb_unknown");
}

#[tokio::test]
async fn an_expired_job_is_refused() {
    let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
    let late = EnqueueOptions { expires_at: Some(now), ..options() };
    let late =
        Stamper::new(keys(KEYS), Arc::new(clock())).stamp(&context(Role::Editor), &job(), late).unwrap();
    assert_eq!(refusal(late.wire(), OneTenant::default()).await, "job_expired");
}

#[test]
fn an_actor_without_the_permission_cannot_stamp() {
    let stamper = Stamper::new(keys(KEYS), Arc::new(clock()));
    assert!(matches!(
        stamper.stamp(&context(Role::Viewer), &job(), options()),
        Err(StampError::Forbidden(_))
    ));
}

#[test]
fn provisioning_needs_the_highest_role() {
    let api_key = crate::types::FirstApiKey { id: "abcd1234".parse().unwrap(), secret_sha256: String::new() };
    let provision = ProvisionTenant { api_key };
    let stamper = Stamper::new(keys(KEYS), Arc::new(clock()));
    assert!(stamper.stamp(&context(Role::Editor), &provision, options()).is_err());
    assert!(stamper.stamp(&context(Role::Admin), &provision, options()).is_ok());
}
