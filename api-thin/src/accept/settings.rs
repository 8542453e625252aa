use std::time::Duration;

use jobs::error::report;
use jobs::plan::Limits;
use jobs::tenant::TenantStatus;
use serde_json::Value;
use stores::TenantStores;
use stores::model::{Tenant, TenantChange, TenantSettings};

use super::merge_patch::merge_patch;
use crate::extract::{IfMatch, read};
use crate::job_names::NameOf;
use crate::problem::{Code, Problem};
use crate::server::ApiState;

/// How often others may change the same tenant in between before we give up.
const TRIES: u32 = 8;
/// How long an answer waits for the queue. Workers tell it what it was not told here.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be changed of a tenant.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// Another name.
    pub name: Option<String>,
    /// Another word in host names, which one may be.
    pub slug: Option<String>,
    /// Another plan.
    pub plan: Option<String>,
    /// A merge patch (RFC 7396) of what the tenant has beyond its plan.
    pub limits: Option<Value>,
    /// Suspended, or active again.
    pub status: Option<TenantStatus>,
}

/// Changes the settings of a tenant and tells the queue, where they hold at once for what waits there. Returns
/// the tenant, and whether the queue knows.
///
/// # Errors
/// When a setting cannot be used, the tenant is not in use or not as `if_match` says, or the catalog is away.
pub async fn change_settings(
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
    let plan = change.plan.clone().unwrap_or_else(|| before.plan.clone());
    if change.plan.is_some() {
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
    Ok(TenantSettings { name, slug, plan, limits, status })
}

/// Refuses caps for job types that there are not. Those that a tenant has already may be ended.
async fn check_types(app: &ApiState, patch: &Value) -> Result<(), Problem> {
    let caps = patch.get("type_caps").and_then(Value::as_object);
    let named = caps.into_iter().flatten().filter(|(_, cap)| !cap.is_null()).map(|(kind, _)| kind.as_str());
    let Some(problem) = NameOf::Type.unknown(app, named).await? else { return Ok(()) };
    Err(Problem::new(Code::InvalidField, problem).field("limits.type_caps"))
}

/// Refuses a plan that nobody defined: its tenant would have no limits at all.
pub(crate) fn check_plan(app: &ApiState, plan: &str) -> Result<(), Problem> {
    if app.plans().has(plan) {
        return Ok(());
    }
    let known = app.plans().names().join(", ");
    let detail = format!("there is no such plan: expected one of {known}, or define it in TENANTRY_PLANS");
    Err(Problem::new(Code::InvalidField, detail).field("plan"))
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

/// Tells the queue what it has to know of the tenant. `false` when it is away: then a worker tells it later.
pub(crate) async fn apply_settings(app: &ApiState, stores: &TenantStores) -> Result<bool, Problem> {
    let told = tokio::time::timeout(PATIENCE, tell(app, stores)).await;
    told.unwrap_or(Ok(false))
}

/// Until what was told is still what the catalog says: of two changes at once, the later one has the last word.
async fn tell(app: &ApiState, stores: &TenantStores) -> Result<bool, Problem> {
    let catalog = stores.catalog();
    for _ in 0..TRIES {
        let Some(tenant) = catalog.tenant().await? else { return Ok(false) };
        let share = app.plans().share(&tenant.plan, &tenant.limits, tenant.status);
        let share = share.with_flows(&tenant.flows);
        if let Err(error) = app.queue().tenant_set(&tenant.id, share).await {
            tracing::warn!(tenant.id = %tenant.id, error = report(&error),
                "the queue is away: a worker tells it the tenant's settings later");
            return Ok(false);
        }
        if catalog.tenant_settings_applied(tenant.revision).await? {
            return Ok(true);
        }
    }
    Ok(false)
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
