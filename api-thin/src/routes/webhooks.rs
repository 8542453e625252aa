//! Endpoints for webhooks of a tenant: list, make, show, change, remove, rotate the secret, test.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::NoContent;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use jobs::tenant::TenantId;
use jobs::webhook::{EventId, EventType, WebhookId};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use stores::model::{NewWebhook, Webhook, WebhookChange, WebhookEdit, WebhookMade};

use super::parameters::{Paging, invalid_field, page_after, page_limit, text};
use crate::answer::{Answer, Created, Secret, Versioned};
use crate::problem::{Code, Problem};
use crate::request::{IfMatch, Json, ManageTenant, OptionalJson, Query, TenantCaller};
use crate::state::ApiState;

/// The longest description, in characters.
const DESCRIPTION_MAX: usize = 200;
/// How long deliveries may go on to be signed with an old secret as well.
const GRACE_MAX_S: u32 = 7 * 24 * 60 * 60;
/// Of a fresh secret. Standard Webhooks asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// `GET …/webhooks`: a page of endpoints, by id.
pub(super) async fn list(
    who: TenantCaller<ManageTenant>,
    Query(asked): Query<Paging>,
) -> Result<JsonAnswer<WebhookPage>, Problem> {
    let after: Option<WebhookId> = page_after(asked.after.as_deref())?;
    let page = who.stores.catalog().webhooks(after.as_ref(), page_limit(asked.limit.as_deref())?).await?;
    let webhooks = page.items.into_iter().map(WebhookView::from).collect();
    Ok(JsonAnswer(WebhookPage { webhooks, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhook")]
pub(super) struct Wanted {
    /// Where it is: `https`, at a public address.
    #[schemars(length(max = 2048))]
    url: String,
    /// What it is told of.
    #[schemars(with = "Vec<EventType>", length(min = 1))]
    events: Vec<String>,
    /// At most 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    description: Option<String>,
}

/// `POST …/webhooks`: the secret is in this answer and nowhere else.
pub(super) async fn create(
    State(app): State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Json(wanted): Json<Wanted>,
) -> Result<Secret<Created<WebhookWithSecret>>, Problem> {
    let now = app.clock().now().trunc_subsecs(6);
    let Wanted { url, events, description } = wanted;
    let (id, secret) = (WebhookId::generate(), fresh_secret());
    let new = NewWebhook {
        url: checked_url(&app, &url)?,
        events: event_types(&events)?,
        description: description.map_or(Ok(String::new()), described)?,
        sealed_secret: app.stamper().seal(&who.context, &id.secret_purpose(), &secret),
        template: who.stamp_for_webhook(&app, &id)?,
        created_by: who.context.actor().to_string(),
        id,
    };
    let limits = who.limits(&app).await?;
    match who.stores.catalog().webhook_insert(&new, &limits, now).await? {
        WebhookMade::Done(webhook) => {
            let location = location(who.tenant(), &webhook.id);
            Ok(Secret(Created { location, thing: with_secret(webhook, &secret) }))
        }
        WebhookMade::OverQuota(over) => Err(Problem::over_quota(&over, now)),
    }
}

/// `whsec_` and base64, as Standard Webhooks writes secrets.
fn fresh_secret() -> SecretString {
    format!("whsec_{}", STANDARD.encode(rand::random::<[u8; SECRET_BYTES]>())).into()
}

fn checked_url(app: &ApiState, url: &str) -> Result<String, Problem> {
    let target = app.webhook_targets().check(url);
    target.map(|target| target.url().to_string()).map_err(|refused| invalid_field("url", refused.to_string()))
}

fn event_types(names: &[String]) -> Result<Vec<EventType>, Problem> {
    let offered = |name: &String| EventType::offered().find(|kind| kind.as_str() == name);
    let mut kinds: Vec<EventType> = names.iter().map(offered).collect::<Option<_>>().unwrap_or_default();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        let known: Vec<_> = EventType::offered().map(EventType::as_str).collect();
        return Err(invalid_field("events", format!("expected some of {}", known.join(", "))));
    }
    Ok(kinds)
}

fn described(description: String) -> Result<String, Problem> {
    text("description", description, DESCRIPTION_MAX)
}

pub(super) fn location(tenant: &TenantId, id: &WebhookId) -> String {
    format!("/api/v1/tenants/{tenant}/webhooks/{id}")
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    #[schemars(with = "WebhookId")]
    webhook: String,
}

/// The caller's tenant's endpoint that a path names.
pub(super) async fn found(who: &TenantCaller<ManageTenant>, named: &str) -> Result<Webhook, Problem> {
    let id: WebhookId = named.parse().map_err(|_| Problem::not_found())?;
    who.stores.catalog().webhook(&id).await?.ok_or_else(Problem::not_found)
}

/// `GET …/webhooks/{webhook}`
pub(super) async fn show(
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
) -> Result<Versioned<WebhookView>, Problem> {
    found(&who, &named.webhook).await.map(shown)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookChange")]
pub(super) struct Change {
    /// Where it is: `https`, at a public address.
    #[schemars(length(max = 2048))]
    url: Option<String>,
    /// What it is told of.
    #[schemars(with = "Option<Vec<EventType>>", length(min = 1))]
    events: Option<Vec<String>>,
    /// At most 200 printable characters.
    #[schemars(length(min = 1, max = 200))]
    description: Option<String>,
    /// Whether it is told of anything. What happens while it is not is not kept for it.
    enabled: Option<bool>,
}

/// `PATCH …/webhooks/{webhook}`
pub(super) async fn edit(
    app: State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    Json(Change { url, events, description, enabled }): Json<Change>,
) -> Result<Versioned<WebhookView>, Problem> {
    let edit = WebhookEdit::Details {
        url: url.map(|url| checked_url(&app, &url)).transpose()?,
        events: events.map(|events| event_types(&events)).transpose()?,
        description: description.map(described).transpose()?,
        enabled,
    };
    let webhook = found(&who, &named.webhook).await?;
    change(&app, &who, &webhook, &if_match, &edit).await.map(shown)
}

async fn change(
    app: &ApiState,
    who: &TenantCaller<ManageTenant>,
    webhook: &Webhook,
    if_match: &IfMatch,
    edit: &WebhookEdit,
) -> Result<Webhook, Problem> {
    let (revision, now) = (if_match.expect(webhook.revision)?, app.clock().now());
    outcome(who.stores.catalog().webhook_change(&webhook.id, edit, revision, now).await?)
}

fn outcome(change: WebhookChange) -> Result<Webhook, Problem> {
    match change {
        WebhookChange::Done(webhook) => Ok(webhook),
        WebhookChange::Unknown => Err(Problem::not_found()),
        WebhookChange::Stale => Err(IfMatch::failed()),
    }
}

/// `DELETE …/webhooks/{webhook}`: with its delivery log.
pub(super) async fn remove(
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let webhook = found(&who, &named.webhook).await?;
    let revision = if_match.expect(webhook.revision)?;
    outcome(who.stores.catalog().webhook_delete(&webhook.id, revision).await?).map(|_| NoContent)
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookRotation")]
pub(super) struct Rotation {
    /// For how many seconds deliveries are signed with the old secret as well: 0 to 604800, a day by default.
    #[schemars(range(min = 0, max = 604_800))]
    grace_s: Option<u32>,
}

/// `POST …/webhooks/{webhook}/rotate`: another secret for the same endpoint.
pub(super) async fn rotate(
    app: State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
    if_match: IfMatch,
    OptionalJson(Rotation { grace_s }): OptionalJson<Rotation>,
) -> Result<Secret<Versioned<WebhookWithSecret>>, Problem> {
    let grace_s = grace_s.unwrap_or(24 * 60 * 60);
    if grace_s > GRACE_MAX_S {
        return Err(invalid_field("grace_s", format!("expected 0 to {GRACE_MAX_S} seconds")));
    }
    let webhook = found(&who, &named.webhook).await?;
    let secret = fresh_secret();
    let until = app.clock().now().trunc_subsecs(6) + TimeDelta::seconds(grace_s.into());
    let edit = WebhookEdit::Secret {
        sealed: app.stamper().seal(&who.context, &webhook.id.secret_purpose(), &secret),
        previous_until: (grace_s > 0).then_some(until),
        template: who.stamp_for_webhook(&app, &webhook.id)?,
    };
    let webhook = change(&app, &who, &webhook, &if_match, &edit).await?;
    Ok(Secret(with_secret(webhook, &secret)))
}

/// `POST …/webhooks/{webhook}/test`: an event of its own, delivered like any other.
pub(super) async fn test(
    State(app): State<ApiState>,
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
) -> Result<Answer<OnItsWay>, Problem> {
    let webhook = found(&who, &named.webhook).await?;
    let now = app.clock().now().trunc_subsecs(6);
    let event = who.stores.catalog().webhook_test(&webhook.id, now).await?.ok_or_else(disabled)?;
    Ok(on_its_way(who.tenant(), &webhook.id, event))
}

/// A disabled endpoint is told of nothing.
pub(super) fn disabled() -> Problem {
    let detail = "the webhook is disabled and told of nothing: enable it first";
    Problem::new(Code::WebhookDisabled, detail)
}

pub(super) fn on_its_way(tenant: &TenantId, id: &WebhookId, event_id: EventId) -> Answer<OnItsWay> {
    let location = format!("{}/deliveries/{event_id}", location(tenant, id));
    Answer::new(OnItsWay { event_id, location })
}

/// A delivery that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookOnItsWay")]
pub(super) struct OnItsWay {
    /// What the receiver gets as `webhook-id`.
    event_id: EventId,
    /// Where to see what came of it.
    location: String,
}

fn shown(webhook: Webhook) -> Versioned<WebhookView> {
    Versioned { revision: webhook.revision, body: webhook.into() }
}

fn with_secret(webhook: Webhook, secret: &SecretString) -> Versioned<WebhookWithSecret> {
    let Versioned { revision, body } = shown(webhook);
    let secret = secret.expose_secret().to_owned();
    Versioned { revision, body: WebhookWithSecret { webhook: body, secret } }
}

/// An endpoint, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub(super) struct WebhookView {
    id: WebhookId,
    url: String,
    description: String,
    /// What it is told of.
    events: Vec<EventType>,
    /// Whether it is told of anything.
    enabled: bool,
    /// Since when it is not.
    disabled_at: Option<DateTime<Utc>>,
    /// Why: `asked`, `gone` (it answered 410), `failing` (no attempt succeeded for five days) or `key_gone` (rotate its
    /// secret, and enable it).
    #[schemars(with = "Option<super::enumerations::WebhookDisabledReason>")]
    disabled_reason: Option<&'static str>,
    /// Since when no attempt has succeeded; null when the last one did.
    failing_since: Option<DateTime<Utc>>,
    /// The actor that created it.
    created_by: String,
    revision: u64,
    created_at: DateTime<Utc>,
    /// How long deliveries are signed with the secret before this one as well.
    previous_until: Option<DateTime<Utc>>,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        let (disabled_at, reason) = webhook.disabled.unzip();
        Self {
            id: webhook.id,
            url: webhook.url,
            description: webhook.description,
            events: webhook.events,
            enabled: disabled_at.is_none(),
            disabled_at,
            disabled_reason: reason.map(stores::model::DisabledReason::as_str),
            failing_since: webhook.failing_since,
            created_by: webhook.created_by,
            revision: webhook.revision,
            created_at: webhook.created_at,
            previous_until: webhook.previous_until,
        }
    }
}

/// An endpoint with its secret.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What deliveries are signed with. Shown here and nowhere else.
    secret: String,
}

/// Endpoints, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WebhookPage {
    webhooks: Vec<WebhookView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
