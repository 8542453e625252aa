//! What the operator and the administrators decide about a tenant: name, slug, plan, limits, status.

use axum::Json as JsonAnswer;
use axum::extract::State;
use jobs::plan::Limits;
use jobs::tenant::TenantStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stores::TenantStores;
use stores::model::{Tenant, TenantChange, TenantSettings};

use super::job_filter::NameOf;
use super::parameters::{Nothing, description, metadata, plan_in, present, refused_slug, text};
use super::plans::check_plan;
use super::tenants::{TenantView, two_plans};
use crate::accept::apply_settings;
use crate::accounts::slug;
use crate::answer::Versioned;
use crate::problem::{Code, Problem};
use crate::request::{
    AnyMember, IfMatch, Json, ManageTenant, OptionalJson, TenantCaller, TenantOperator, merge_patch, read,
};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TenantChange")]
pub(super) struct Change {
    /// Display name: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// Its slug, the label of its subdomain: 3 to 63 of a-z, 0-9 and -, not another tenant's.
    slug: Option<String>,
    /// One of `/api/v1/plans`. For the operator.
    plan: Option<String>,
    /// What the tenant has beyond its plan, as a merge patch (RFC 7396): null is as the plan says again. For the
    /// operator.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<Limits>")]
    limits: Option<Value>,
    /// `active` or `suspended`. For the operator.
    #[schemars(with = "Option<super::enumerations::ChosenTenantStatus>")]
    status: Option<String>,
    /// What people say of it: up to 2,000 characters.
    #[schemars(length(max = 2000))]
    description: Option<String>,
    /// A merge patch (RFC 7396) of what is kept with it: an object of up to 16 KiB. Another `plan` in it is for the
    /// operator.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<Map<String, Value>>")]
    metadata: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TenantDescription")]
pub(super) struct Replacement {
    /// Display name: 1 to 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// What people say of it: up to 2,000 characters.
    #[schemars(length(max = 2000))]
    description: Option<String>,
    /// All that is kept with it: an object of up to 16 KiB. Another `plan` in it is for the operator.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<Map<String, Value>>")]
    metadata: Option<Value>,
}

/// `PUT /api/v1/tenants/{tenant}`: what it says replaces what there is; what it leaves out stays.
pub(super) async fn put(
    State(app): State<ApiState>,
    who: TenantCaller<ManageTenant>,
    if_match: IfMatch,
    Json(Replacement { name, description: told, metadata: kept }): Json<Replacement>,
) -> Result<Versioned<ChangedTenant>, Problem> {
    let change = SettingsChange {
        name: name.map(|name| text("name", name, 200)).transpose()?,
        description: told.map(description).transpose()?,
        metadata: kept.map(metadata).transpose()?.map(MetadataChange::Replace),
        may_set_plan: who.is_operator,
        ..SettingsChange::default()
    };
    change_to(&app, &who.stores, &if_match, change).await
}

/// `PATCH /api/v1/tenants/{tenant}`: another name or slug; for the operator also another plan, other limits,
/// suspended, or active again.
pub(super) async fn change(
    State(app): State<ApiState>,
    who: TenantCaller<ManageTenant>,
    if_match: IfMatch,
    Json(body): Json<Change>,
) -> Result<Versioned<ChangedTenant>, Problem> {
    let Change { name, slug, plan, limits, status, description: told, metadata } = body;
    let operators = plan.is_some() || limits.is_some() || status.is_some();
    if operators && !who.is_operator {
        let detail = "only the operator's key may change plan, limits and status";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let name = name.map(|name| text("name", name, 200)).transpose()?;
    let slug = slug.map(|chosen| chosen_slug(&who, chosen)).transpose()?;
    let status = status.as_deref().map(status_of).transpose()?;
    let description = told.map(description).transpose()?;
    let metadata = metadata.map(MetadataChange::Merge);
    let may_set_plan = who.is_operator;
    let change = SettingsChange { name, slug, plan, limits, status, description, metadata, may_set_plan };
    change_to(&app, &who.stores, &if_match, change).await
}

/// A tenant's own id is always allowed as its slug, even if the rules would refuse it now.
fn chosen_slug(who: &TenantCaller<ManageTenant>, chosen: String) -> Result<String, Problem> {
    if chosen != who.tenant().as_str() {
        slug(&chosen).map_err(|fault| refused_slug("slug", fault))?;
    }
    Ok(chosen)
}

/// `POST …/suspend`: closed for now; its jobs are parked.
pub(super) async fn suspend(
    State(app): State<ApiState>,
    who: TenantOperator,
    if_match: IfMatch,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Versioned<ChangedTenant>, Problem> {
    status_change(&app, &who, &if_match, TenantStatus::Suspended).await
}

/// `POST …/resume`: in use again; its jobs come back.
pub(super) async fn resume(
    State(app): State<ApiState>,
    who: TenantOperator,
    if_match: IfMatch,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Versioned<ChangedTenant>, Problem> {
    status_change(&app, &who, &if_match, TenantStatus::Active).await
}

async fn status_change(
    app: &ApiState,
    who: &TenantOperator,
    if_match: &IfMatch,
    status: TenantStatus,
) -> Result<Versioned<ChangedTenant>, Problem> {
    let change = SettingsChange { status: Some(status), ..SettingsChange::default() };
    change_to(app, &who.stores, if_match, change).await
}

async fn change_to(
    app: &ApiState,
    stores: &TenantStores,
    if_match: &IfMatch,
    change: SettingsChange,
) -> Result<Versioned<ChangedTenant>, Problem> {
    let (tenant, applied) = change_settings(app, stores, if_match, &change).await?;
    let (revision, tenant) = (tenant.revision, TenantSettingsView::of(app, tenant));
    Ok(Versioned { revision, body: ChangedTenant { tenant, applied } })
}

fn status_of(name: &str) -> Result<TenantStatus, Problem> {
    match name {
        "active" => Ok(TenantStatus::Active),
        "suspended" => Ok(TenantStatus::Suspended),
        _ => Err(Problem::new(Code::InvalidField, "expected active or suspended").field("status")),
    }
}

/// `GET …/limits`: what the tenant may use, where that comes from, and how much of it is used.
pub(super) async fn limits(
    State(app): State<ApiState>,
    who: TenantCaller<AnyMember>,
) -> Result<JsonAnswer<TenantLimits>, Problem> {
    let tenant = who.stores.catalog().tenant().await?.ok_or_else(Problem::not_found)?;
    let stats = app.queue().stats(who.tenant()).await?;
    let usage = QueueUse {
        active: stats.active,
        backlog_jobs: stats.available + stats.scheduled + stats.retryable + stats.parked,
        scheduled_jobs: stats.scheduled,
    };
    Ok(JsonAnswer(TenantLimits { tenant: TenantSettingsView::of(&app, tenant), usage }))
}

/// A tenant and its limits.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TenantSettingsView {
    #[serde(flatten)]
    tenant: TenantView,
    /// Its limits.
    limits: Limits,
    /// The limits that differ from the plan's.
    beyond_plan: Limits,
}

impl TenantSettingsView {
    pub(super) fn of(app: &ApiState, tenant: Tenant) -> Self {
        let limits = app.plans().limits(&tenant.plan, &tenant.limits);
        let beyond_plan = tenant.limits.clone();
        Self { tenant: tenant.into(), limits, beyond_plan }
    }
}

/// A tenant that was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChangedTenant {
    #[serde(flatten)]
    pub(super) tenant: TenantSettingsView,
    /// Whether the queue has the change already. If not, a worker sends it.
    pub(super) applied: bool,
}

/// A tenant, its limits, and how much of them its jobs use.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TenantLimits {
    #[serde(flatten)]
    pub(super) tenant: TenantSettingsView,
    pub(super) usage: QueueUse,
}

/// The current usage by a tenant's jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct QueueUse {
    /// Jobs that run.
    pub(super) active: u64,
    /// Waiting jobs, scheduled ones included.
    pub(super) backlog_jobs: u64,
    /// Jobs that wait for their time.
    pub(super) scheduled_jobs: u64,
}

/// How often others may change the same tenant in between before we give up.
const TRIES: u32 = 8;

/// A change to a tenant's settings.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingsChange {
    /// Another name.
    pub name: Option<String>,
    /// Another slug, already checked.
    pub slug: Option<String>,
    /// Another plan.
    pub plan: Option<String>,
    /// A merge patch (RFC 7396) of what the tenant has beyond its plan.
    pub limits: Option<Value>,
    /// Suspended, or active again.
    pub status: Option<TenantStatus>,
    /// Another description.
    pub description: Option<String>,
    /// Other metadata.
    pub metadata: Option<MetadataChange>,
    /// Whether the caller may give the tenant another plan by naming it in the metadata.
    pub may_set_plan: bool,
}

/// A change to a tenant's metadata.
#[derive(Debug, Clone)]
pub(super) enum MetadataChange {
    /// A merge patch (RFC 7396).
    Merge(Value),
    /// All of it.
    Replace(Map<String, Value>),
}

impl MetadataChange {
    fn of(&self, before: &Map<String, Value>) -> Result<Map<String, Value>, Problem> {
        match self {
            Self::Replace(all) => Ok(all.clone()),
            Self::Merge(patch) => {
                let mut merged = Value::Object(before.clone());
                merge_patch(&mut merged, patch);
                metadata(merged)
            }
        }
    }
}

/// Changes the settings of a tenant and tells the queue, where they hold at once for what waits there. Returns
/// the tenant, and whether the queue knows.
///
/// # Errors
/// When a setting cannot be used, the tenant is not in use or not as `if_match` says, or the catalog does not answer.
async fn change_settings(
    app: &ApiState,
    stores: &TenantStores,
    if_match: &IfMatch,
    change: &SettingsChange,
) -> Result<(Tenant, bool), Problem> {
    let catalog = stores.catalog();
    if let Some(limits) = &change.limits {
        check_types(app, limits).await?;
    }
    for _ in 0..TRIES {
        let before = catalog.tenant().await?.ok_or_else(Problem::not_found)?;
        if_match.expect(before.revision)?;
        let settings = changed(app, &before, change)?;
        match catalog.tenant_settings_put(&settings, before.revision).await? {
            TenantChange::Done => {
                app.directory().invalidate(&before.id).await;
                let applied = apply_settings(app, stores).await?;
                let after = catalog.tenant().await?.ok_or_else(Problem::not_found)?;
                return Ok((after, applied));
            }
            TenantChange::SlugTaken => {
                return Err(Problem::new(Code::SlugTaken, "choose another slug").field("slug"));
            }
            TenantChange::Stale => {}
        }
    }
    Err(Problem::new(Code::UploadConflict, "others change the same tenant").retry_after_s(1))
}

fn changed(app: &ApiState, before: &Tenant, change: &SettingsChange) -> Result<TenantSettings, Problem> {
    let (plan, metadata) = plan_and_metadata(before, change)?;
    if plan != before.plan || change.plan.is_some() {
        check_plan(app, &plan)?;
    }
    let limits = match &change.limits {
        Some(patch) => patched(&before.limits, patch)?,
        None => before.limits.clone(),
    };
    let status = match change.status {
        Some(wanted) if wanted != before.status => {
            if !matches!(before.status, TenantStatus::Active | TenantStatus::Suspended) {
                let detail = format!("the tenant is {}: try again when it is in use", before.status);
                return Err(Problem::new(Code::TenantNotReady, detail).retry_after_s(2));
            }
            wanted
        }
        _ => before.status,
    };
    let name = change.name.clone().unwrap_or_else(|| before.name.clone());
    let slug = change.slug.clone().unwrap_or_else(|| before.slug.clone());
    let description = change.description.clone().unwrap_or_else(|| before.description.clone());
    Ok(TenantSettings { name, slug, plan, limits, status, description, metadata })
}

/// A plan that the metadata names is the tenant's plan, so each of them changes with the other.
fn plan_and_metadata(
    before: &Tenant,
    change: &SettingsChange,
) -> Result<(String, Map<String, Value>), Problem> {
    let mut after = change
        .metadata
        .as_ref()
        .map_or_else(|| Ok(before.metadata.clone()), |change| change.of(&before.metadata))?;
    let named = plan_in(&after)?.map(str::to_owned);
    let plan = match (&change.plan, named) {
        (Some(plan), Some(named)) if *plan != named => {
            let sent = match &change.metadata {
                Some(MetadataChange::Merge(patch)) => patch.get("plan").is_some(),
                Some(MetadataChange::Replace(_)) => true,
                None => false,
            };
            if sent {
                return Err(two_plans());
            }
            after.insert("plan".to_owned(), plan.as_str().into());
            plan.clone()
        }
        (Some(plan), _) => plan.clone(),
        (None, Some(named)) if named != before.plan && change.metadata.is_some() => {
            if !change.may_set_plan {
                let detail = "metadata.plan is the tenant's plan, which only the operator's key may change";
                return Err(Problem::new(Code::Forbidden, detail));
            }
            named
        }
        (None, _) => before.plan.clone(),
    };
    Ok((plan, after))
}

/// Refuses caps for unknown job types. Existing caps of the tenant may always be removed.
async fn check_types(app: &ApiState, patch: &Value) -> Result<(), Problem> {
    let caps = patch.get("type_caps").and_then(Value::as_object);
    let named = caps.into_iter().flatten().filter(|(_, cap)| !cap.is_null()).map(|(kind, _)| kind.as_str());
    let Some(problem) = NameOf::Type.unknown(app, named).await? else { return Ok(()) };
    Err(Problem::new(Code::InvalidField, problem).field("limits.type_caps"))
}

/// RFC 7396 on limits: what the patch does not name stays, and `null` is as the plan says again.
fn patched(limits: &Limits, patch: &Value) -> Result<Limits, Problem> {
    if !patch.is_object() && !patch.is_null() {
        return Err(Problem::new(Code::InvalidField, "expected an object, or null").field("limits"));
    }
    let mut target = serde_json::to_value(limits).map_err(|error| Problem::internal(&error))?;
    merge_patch(&mut target, patch);
    if target.is_null() {
        return Ok(Limits::default());
    }
    let limits: Limits = read(&target).map_err(|misfit| {
        let problem = misfit.problem(Code::InvalidField, Code::UnknownField);
        let field = problem.field_name().map_or_else(|| "limits".to_owned(), |name| format!("limits.{name}"));
        let detail =
            format!("{}; a limit is a whole number, 0 for none, null for the plan's", problem.detail());
        Problem::new(problem.code(), detail).field(field)
    })?;
    limits.check().map_err(|invalid| {
        let field = format!("limits.{}", invalid.field);
        Problem::new(Code::InvalidField, invalid.problem).field(field)
    })?;
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names() {
        let before = patched(&Limits::default(), &json!({ "cap": 2, "type_caps": { "a.b": 1, "c.d": 2 } }));
        let before = before.unwrap();
        let patch = json!({ "cap": null, "weight": 3, "type_caps": { "a.b": null } });
        let after = patched(&before, &patch).unwrap();
        assert_eq!((after.cap, after.weight), (None, Some(3)));
        assert_eq!(after.type_caps, [("c.d".to_owned(), 2)].into());
        assert!(patched(&after, &Value::Null).unwrap().is_empty());
        assert_eq!(patched(&after, &json!({})).unwrap(), after);
    }

    #[test]
    fn limits_that_cannot_be_used_name_their_field() {
        for (patch, code, field) in [
            (json!({ "weight": 0 }), Code::InvalidField, "limits.weight"),
            (json!({ "cap": "two" }), Code::InvalidField, "limits.cap"),
            (json!({ "weight": 2, "kbs": -1 }), Code::InvalidField, "limits.kbs"),
            (json!({ "max_documents": 1.5 }), Code::InvalidField, "limits.max_documents"),
            (json!({ "members": 1_000_001 }), Code::InvalidField, "limits.members"),
            (json!({ "isolation": "planet" }), Code::InvalidField, "limits.isolation"),
            (json!({ "max": 2 }), Code::UnknownField, "limits.max"),
            (json!([1]), Code::InvalidField, "limits"),
            (json!({ "type_caps": [1] }), Code::InvalidField, "limits.type_caps"),
        ] {
            let problem = patched(&Limits::default(), &patch).unwrap_err();
            assert_eq!((problem.code(), problem.field_name()), (code, Some(field)), "{patch}");
        }
    }
}
