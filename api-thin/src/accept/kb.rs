use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::tenant::KbId;
use jobs::types::DeleteKb;
use schemars::JsonSchema;
use serde::Serialize;
use stores::TenantStores;
use stores::model::{Kb, NewKb, WorkspaceId};

use super::answer::{Answer, job_location, kb_location};
use super::fingerprint::Fingerprint;
use super::room::ensure_room;
use super::submission::{Outcome, Proposal, Submission};
use crate::extract::{CreateKbs, DeleteKbs, IdempotencyKey, KbCaller, TenantCaller};
use crate::problem::Problem;
use crate::server::ApiState;

/// A knowledge base that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MadeKb {
    id: KbId,
    /// What people call it.
    name: String,
    created_at: DateTime<Utc>,
    /// Where it is shown.
    location: String,
}

/// Work on a knowledge base.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KbJob {
    /// The job that does the work.
    pub(super) job_id: JobId,
    /// Where the job is shown.
    pub(super) location: String,
    pub(super) kb_id: KbId,
}

/// Makes a knowledge base, its index first: what keeps two nodes of one name apart cannot be added later.
///
/// # Errors
/// When the id is taken, the idempotency key stands for another request, or a store is away.
pub async fn accept_kb(
    app: &ApiState,
    TenantCaller(who): &TenantCaller<CreateKbs>,
    key: &IdempotencyKey,
    id: Option<KbId>,
    name: String,
) -> Result<Answer<MadeKb, 201>, Problem> {
    let wanted = id.as_ref().map_or("", KbId::as_str);
    let submission = Submission {
        app,
        stores: &who.stores,
        key,
        fingerprint: Fingerprint::of("kbs", [wanted, name.as_str()]),
    };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let (now, limits) = (app.clock().now(), app.limits_of(who.tenant()).await?);
    let workspace = WorkspaceId::generate(now, random());
    let new = NewKb { id: id.unwrap_or_else(fresh_id), name, workspace };
    let kb = new.at(now);
    who.stores.documents().provision().await?;
    who.stores.index().provision(&kb).await?;
    let location = kb_location(who.tenant(), &kb.id);
    let body = MadeKb { id: kb.id.clone(), name: kb.name.clone(), created_at: kb.created_at, location };
    let outcome = submission.propose(Proposal { kb: Some(new), limits, ..Proposal::default() }, body).await;
    if !matches!(&outcome, Ok(Outcome::Answer(answer)) if !answer.replayed) {
        forget_unless_made(&who.stores, &kb).await?;
    }
    outcome?.answer()
}

/// An attempt whose answer was lost may have made it.
async fn forget_unless_made(stores: &TenantStores, kb: &Kb) -> Result<(), Problem> {
    let found = stores.catalog().kb(&kb.id).await?;
    if found.is_none_or(|found| found.workspace != kb.workspace) {
        stores.index().kb_forget(kb).await?;
    }
    Ok(())
}

/// Closes a knowledge base at once and enqueues the `kb.delete` that empties it.
///
/// # Errors
/// When the tenant may not have more work in the queue, the idempotency key stands for another request, or a
/// store is away.
pub async fn accept_kb_delete(
    app: &ApiState,
    who: &KbCaller<DeleteKbs>,
    key: &IdempotencyKey,
) -> Result<Answer<KbJob>, Problem> {
    let fingerprint = Fingerprint::of("kb.delete", [who.kb.id.as_str(), who.kb.workspace.as_str()]);
    let submission = Submission { app, stores: &who.caller.stores, key, fingerprint };
    if let Some(answer) = submission.earlier().await? {
        return Ok(answer);
    }
    let job_id = JobId::generate(app.clock().now());
    let job = who.caller.stamp(app, job_id, &DeleteKb::default())?;
    ensure_room(app, std::slice::from_ref(&job)).await?;
    let location = job_location(who.caller.tenant(), job_id);
    let body = KbJob { job_id, location, kb_id: who.kb.id.clone() };
    let kb_close = Some(who.kb.id.clone());
    submission.propose(Proposal { kb_close, jobs: vec![job], ..Proposal::default() }, body).await?.answer()
}

fn fresh_id() -> KbId {
    let id = format!("kb-{}", &uuid::Uuid::now_v7().simple().to_string()[12..]);
    id.parse().expect("letters, a dash and hexadecimal digits are a label")
}

/// Keeps the workspaces of one millisecond apart.
fn random() -> u32 {
    let uuid = uuid::Uuid::now_v7();
    let bytes = uuid.as_bytes();
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}
