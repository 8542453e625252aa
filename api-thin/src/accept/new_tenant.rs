//! How a tenant comes to be: asked for by the operator, a sign-up or the settings. Depends on nothing that reads
//! requests, so that authorizing a request may create one.

use std::time::Duration;

use jobs::JobId;
use jobs::error::report;
use jobs::plan::Plans;
use jobs::tenant::{ApiKeyId, Identity, Role, TenantId, TenantStatus};
use jobs::types::{FirstApiKey, ProvisionTenant};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use stores::TenantStores;
use stores::model::{Acceptance, NewTenant, User};

use super::submission::{Fingerprint, IdempotencyKey, Names, Submission};
use crate::answer::{Answer, tenant_location};
use crate::auth::{ApiKey, KeyDerivation};
use crate::authority::TenantMaker;
use crate::problem::{Code, Problem};
use crate::state::ApiState;

/// A tenant to create.
#[derive(Debug, Clone)]
pub struct TenantRequest {
    /// Its id, if the caller chose one.
    pub id: Option<TenantId>,
    /// What is known of it.
    pub new: NewTenant,
    /// The user to create as its first ADMIN.
    pub founder: Option<User>,
    /// Its first member, if a person with valid credentials created it.
    pub member: Option<(Identity, Role)>,
}

/// A tenant that is being prepared.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AcceptedTenant {
    /// Its id, as in `tenant`.
    tenant_id: TenantId,
    /// Its display name, as in `tenant`.
    tenant_name: String,
    tenant: NamedTenant,
    /// The job that prepares it.
    job_id: JobId,
    /// URL of the tenant.
    location: String,
    api_key_id: ApiKeyId,
    /// The tenant's first API key. It is shown here and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    /// Its first ADMIN, if this is a sign-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
}

/// A tenant in short.
#[derive(Debug, Serialize, JsonSchema)]
struct NamedTenant {
    id: TenantId,
    /// Display name.
    name: String,
    /// The label of its subdomain.
    slug: String,
    plan: String,
    status: TenantStatus,
    description: String,
    metadata: Map<String, Value>,
}

/// Registers the tenant as provisioning and enqueues its `tenant.provision`. The answer holds its first API
/// key: it is derived, not stored, so the same request under the same idempotency key gets it again.
///
/// # Errors
/// When the tenant exists, the idempotency key was used for another request, or a store does not answer.
pub async fn accept_tenant(
    app: &ApiState,
    who: &TenantMaker,
    key: &IdempotencyKey,
    request: TenantRequest,
) -> Result<Answer<AcceptedTenant>, Problem> {
    let tenant = tenant_id(app, key, &request);
    let context = who.context_for_new(tenant.clone());
    let stores = app.stores().scoped(&context);
    let fingerprint = fingerprint(&tenant, &request.new);
    let submission = Submission { app, stores: &stores, key, fingerprint, names: Names::default() };
    if let Some(answer) = submission.earlier().await? {
        return Ok(with_api_key(app, &tenant, answer));
    }
    let api_key_id = fresh_key_id();
    let secret_sha256 = ApiKey::derived(app.key_derivation(), &tenant, &api_key_id).secret_hash().to_hex();
    let job = ProvisionTenant { api_key: FirstApiKey { id: api_key_id.clone(), secret_sha256 } };
    let job_id = JobId::generate(app.clock().now());
    let stamped = who.stamp(app.stamper(), &context, job_id, &job)?;
    let body = body(&tenant, &request, &api_key_id, job_id);
    let (founder, member) = (request.founder, request.member);
    let acceptance = Acceptance {
        tenant: Some(request.new),
        founder,
        member,
        jobs: vec![stamped],
        ..Acceptance::default()
    };
    let answer = submission.accept_once(acceptance, body).await?;
    // The directory may remember that there was no such tenant.
    app.directory().invalidate(&tenant).await;
    if !answer.replayed {
        apply_settings(app, &stores).await?;
    }
    Ok(with_api_key(app, &tenant, answer))
}

/// Without description and metadata it is what earlier releases made of the request, so that it can be repeated across
/// an update.
fn fingerprint(tenant: &TenantId, new: &NewTenant) -> Fingerprint {
    let metadata = Value::Object(new.metadata.clone()).to_string();
    let mut parts = vec![tenant.as_str(), &new.name, &new.plan];
    if !new.description.is_empty() || !new.metadata.is_empty() {
        parts.extend([new.description.as_str(), &metadata]);
    }
    Fingerprint::of("tenants", parts)
}

/// A request that comes again must mean the same tenant, so the id comes from the idempotency key if there is
/// one.
fn tenant_id(app: &ApiState, key: &IdempotencyKey, request: &TenantRequest) -> TenantId {
    let fresh = || JobId::generate(app.clock().now()).to_string();
    match (&request.id, &key.0) {
        (Some(id), _) => id.clone(),
        (None, Some(key)) => derived_id(app.key_derivation(), key),
        (None, None) => derived_id(app.key_derivation(), &fresh()),
    }
}

/// A UUID, the same each time for the same idempotency key.
fn derived_id(keys: &KeyDerivation, idempotency_key: &str) -> TenantId {
    let digest = keys.derive("tenant id", &[idempotency_key]);
    let bytes = u128::from_str_radix(&digest[..32], 16).expect("a derived key is hexadecimal digits");
    let uuid = uuid::Builder::from_custom_bytes(bytes.to_be_bytes()).into_uuid();
    uuid.to_string().parse().expect("a UUID is a label")
}

/// Random, so that a tenant created again under a deleted tenant's id does not get the old key.
fn fresh_key_id() -> ApiKeyId {
    let random = uuid::Uuid::now_v7().simple().to_string();
    random[16..].parse().expect("hexadecimal digits are an API key id")
}

fn body(tenant: &TenantId, request: &TenantRequest, key: &ApiKeyId, job_id: JobId) -> AcceptedTenant {
    let NewTenant { name, plan, description, metadata, .. } = request.new.clone();
    AcceptedTenant {
        tenant_id: tenant.clone(),
        tenant_name: name.clone(),
        tenant: NamedTenant {
            id: tenant.clone(),
            name,
            slug: tenant.to_string(),
            plan,
            status: TenantStatus::Provisioning,
            description,
            metadata,
        },
        job_id,
        location: tenant_location(tenant),
        api_key_id: key.clone(),
        // Added when the answer is sent: the stored answer holds no secrets.
        api_key: None,
        username: request.founder.as_ref().map(|founder| founder.name.as_str().to_owned()),
    }
}

fn with_api_key(
    app: &ApiState,
    tenant: &TenantId,
    mut answer: Answer<AcceptedTenant>,
) -> Answer<AcceptedTenant> {
    let id = answer.body["api_key_id"].as_str().and_then(|id| id.parse::<ApiKeyId>().ok());
    if let Some(id) = id {
        answer.body["api_key"] = ApiKey::derived(app.key_derivation(), tenant, &id).reveal().into();
    }
    answer
}

/// Creates `tenant` because the settings say so, with `plan` and its first member, unless it exists. Its first API key
/// is not shown.
///
/// # Errors
/// When a store does not answer.
pub(crate) async fn create_by_settings(
    app: &ApiState,
    tenant: &TenantId,
    plan: &str,
    member: Option<(Identity, Role)>,
) -> Result<(), Problem> {
    let request = TenantRequest {
        id: Some(tenant.clone()),
        new: NewTenant::new(tenant.as_str(), plan),
        founder: None,
        member,
    };
    match accept_tenant(app, &TenantMaker::of_installation(), &IdempotencyKey(None), request).await {
        Err(problem) if problem.code() != Code::TenantExists => Err(problem),
        _ => Ok(()),
    }
}

/// Creates the only tenant of a single-tenant installation. It shares that with no other, so it is no newcomer and has
/// no limits.
///
/// # Errors
/// When a store does not answer.
pub(crate) async fn create_only_tenant(app: &ApiState) -> Result<(), Problem> {
    match app.resolution().only_tenant.clone() {
        Some(tenant) => create_by_settings(app, &tenant, Plans::USUAL, None).await,
        None => Ok(()),
    }
}

/// How long an answer waits for the queue. Limits that the queue did not receive by then are sent by the workers.
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);
/// How often the settings may change in between before the rest is left to the workers.
const TRIES: u32 = 8;

/// Tells the queue the tenant's share and flows. `false` when it does not answer within a second: then a worker tells
/// it later.
pub(crate) async fn apply_settings(app: &ApiState, stores: &TenantStores) -> Result<bool, Problem> {
    let told = tokio::time::timeout(QUEUE_PATIENCE, tell_queue(app, stores)).await;
    told.unwrap_or(Ok(false))
}

/// Repeats until the catalog still has the limits that the queue was given, so that of two concurrent changes the
/// later one is in force.
async fn tell_queue(app: &ApiState, stores: &TenantStores) -> Result<bool, Problem> {
    let catalog = stores.catalog();
    for _ in 0..TRIES {
        let Some(tenant) = catalog.tenant().await? else { return Ok(false) };
        let share = app.plans().share(&tenant.plan, &tenant.limits, tenant.status);
        let share = share.with_flows(&tenant.flows);
        if let Err(error) = app.queue().partition_set(&tenant.id, share).await {
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
    use super::*;

    #[test]
    fn a_derived_id_repeats_and_differs_by_idempotency_key() {
        let keys = KeyDerivation::new(&"0123456789abcdef0123456789abcdef".into()).unwrap();
        assert_eq!(derived_id(&keys, "k1"), derived_id(&keys, "k1"));
        assert_ne!(derived_id(&keys, "k1"), derived_id(&keys, "k2"));
    }
}
