//! The audit log: what was done to steer or administer a tenant, or the installation.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{AuditCheck, AuditEntry, AuditFilter, AuditFlaw, LoggedAction};
use uuid::Uuid;

use super::parameters::{page_after, page_limit, parameter};
use crate::problem::Problem;
use crate::request::{ManageTenant, Query, TenantCaller};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Listing {
    /// Only what this actor did: an identity, `api_key:` and the id of a key, or `operator`.
    actor: Option<String>,
    /// Only this action: the id of an operation in `/openapi.json`, such as `flow_pause`.
    action: Option<String>,
    /// Only what is not older.
    #[schemars(with = "Option<DateTime<Utc>>")]
    since: Option<String>,
    /// Only what is older.
    #[schemars(with = "Option<DateTime<Utc>>")]
    until: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET …/audit`: a page of the tenant's audit log, newest first; for an operator who names no tenant, of all audit
/// logs as one.
pub(super) async fn list(
    State(app): State<ApiState>,
    owner: Option<TenantCaller<ManageTenant>>,
    Query(asked): Query<Listing>,
) -> Result<Json<AuditPage>, Problem> {
    let after: Option<Uuid> = page_after(asked.after.as_deref())?;
    let limit = page_limit(asked.limit.as_deref())?;
    let filter = AuditFilter {
        since: parameter("since", asked.since.as_deref())?,
        until: parameter("until", asked.until.as_deref())?,
        actor: asked.actor,
        action: asked.action,
    };
    let page = match owner {
        Some(who) => who.stores.catalog().audit(&filter, after, limit).await?,
        None => app.directory().audit(&filter, after, limit).await?,
    };
    Ok(Json(AuditPage { entries: page.items.into_iter().map(EntryView::from).collect(), next: page.next }))
}

/// `GET …/audit/check`: whether the tenant's audit log is as it was written; for an operator who names no tenant, the
/// operator's own.
pub(super) async fn check(
    State(app): State<ApiState>,
    owner: Option<TenantCaller<ManageTenant>>,
    Query(asked): Query<Checked>,
) -> Result<Json<CheckView>, Problem> {
    let last = parameter("number", asked.number.as_deref())?.unwrap_or(u64::MAX);
    // No database has a larger number.
    let last = last.min(i64::MAX.unsigned_abs());
    let check = match owner {
        Some(who) => who.stores.catalog().audit_check(last).await?,
        None => app.directory().audit_check(last).await?,
    };
    Ok(Json(CheckView::from(check)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Checked {
    /// Only up to the entry with this number, to compare its hash with one that was noted.
    #[schemars(with = "Option<u64>")]
    number: Option<String>,
}

/// What a check of an audit log found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditCheck")]
pub(super) struct CheckView {
    /// Whether every entry is as it was written and none between two is gone.
    is_intact: bool,
    /// How many entries are as they were written, up to the flaw.
    entries: u64,
    /// The newest of them. Kept elsewhere, it shows later whether anything up to it was changed or removed.
    head: HeadView,
    /// Older entries, which are no longer kept.
    removed: u64,
    /// Entries of releases that did not chain them.
    unchained: u64,
    /// The first entry that is not as it was written; null when there is none.
    flaw: Option<FlawView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditHead")]
struct HeadView {
    /// The first entry has number 1; 0 is that of an empty log.
    number: u64,
    /// SHA-256 of the entry together with the hash of the one before; empty for an empty log.
    hash: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditFlaw")]
struct FlawView {
    /// `missing`: the entry is gone. `changed`: it is not what it was.
    code: &'static str,
    /// The entry's number.
    number: u64,
    /// The entry's id; null when it is gone.
    #[schemars(with = "Option<String>")]
    id: Option<Uuid>,
}

impl From<AuditCheck> for CheckView {
    fn from(AuditCheck { entries, head, removed, unchained, flaw }: AuditCheck) -> Self {
        let flaw = flaw.map(|flaw| match flaw {
            AuditFlaw::Missing { number } => FlawView { code: "missing", number, id: None },
            AuditFlaw::Changed { number, id } => FlawView { code: "changed", number, id: Some(id) },
        });
        let head = HeadView { number: head.number, hash: head.hash };
        Self { is_intact: flaw.is_none(), entries, head, removed, unchained, flaw }
    }
}

/// An action that was taken.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct EntryView {
    #[schemars(with = "String")]
    id: Uuid,
    /// The tenant that it was about; null for all tenants, and for one whose log goes with it.
    tenant: Option<TenantId>,
    at: DateTime<Utc>,
    /// An identity, `api_key:` and the id of a key, or `operator`.
    actor: String,
    /// The id of the operation in `/openapi.json`.
    action: String,
    /// What the path named, and as `location` what the answer pointed to.
    target: BTreeMap<String, String>,
    /// The `Audit-Reason` of the request.
    reason: Option<String>,
    /// The `X-Request-Id` of the request.
    request_id: String,
    /// The status of the answer; null when the client left before there was one.
    status: Option<u16>,
}

impl From<LoggedAction> for EntryView {
    fn from(LoggedAction { tenant, entry }: LoggedAction) -> Self {
        let AuditEntry { id, at, actor, action, target, reason, request_id, status } = entry;
        Self { id, tenant, at, actor, action, target, reason, request_id, status }
    }
}

/// Actions, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AuditPage {
    entries: Vec<EntryView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
