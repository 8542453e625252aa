//! What became of the events of an endpoint: list, show, send again.

use axum::Json as JsonAnswer;
use axum::extract::Path;
use chrono::{DateTime, Utc};
use jobs::tenant::KbId;
use jobs::webhook::{EventId, EventType, WebhookId};
use jobs::{DocumentId, JobId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stores::model::{Attempt, Delivery, DeliveryState};

use super::parameters::{invalid_parameter, page_after, page_limit};
use super::webhooks::{OnItsWay, disabled, found, on_its_way};
use crate::answer::Answer;
use crate::problem::Problem;
use crate::request::{ManageTenant, Query, TenantCaller};

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct OfWebhook {
    #[schemars(with = "WebhookId")]
    webhook: String,
}

/// Which deliveries are wanted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Asked {
    /// Only those that are `pending`, `queued`, `delivered`, `failed` or `cancelled`.
    #[schemars(with = "Option<super::enumerations::WebhookDeliveryState>")]
    state: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// `GET …/webhooks/{webhook}/deliveries`: newest event first.
pub(super) async fn list(
    who: TenantCaller<ManageTenant>,
    Path(named): Path<OfWebhook>,
    Query(asked): Query<Asked>,
) -> Result<JsonAnswer<DeliveryPage>, Problem> {
    let state = asked.state.as_deref().map(|name| {
        let known = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
        let unknown = || invalid_parameter("state", &format!("expected one of {known}"));
        DeliveryState::from_name(name).ok_or_else(unknown)
    });
    let (state, after): (_, Option<EventId>) = (state.transpose()?, page_after(asked.after.as_deref())?);
    let limit = page_limit(asked.limit.as_deref())?;
    let webhook = found(&who, &named.webhook).await?;
    let page = who.stores.catalog().webhook_deliveries(&webhook.id, state, after.as_ref(), limit).await?;
    let deliveries = page.items.into_iter().map(DeliveryView::from).collect();
    Ok(JsonAnswer(DeliveryPage { deliveries, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    #[schemars(with = "WebhookId")]
    webhook: String,
    #[schemars(with = "EventId")]
    event: String,
}

/// The delivery of the caller's tenant that a path names.
async fn known(who: &TenantCaller<ManageTenant>, named: &Named) -> Result<(WebhookId, Delivery), Problem> {
    let webhook = found(who, &named.webhook).await?;
    let event: EventId = named.event.parse().map_err(|_| Problem::not_found())?;
    let delivery = who.stores.catalog().webhook_delivery(&webhook.id, &event).await?;
    Ok((webhook.id, delivery.ok_or_else(Problem::not_found)?))
}

/// `GET …/webhooks/{webhook}/deliveries/{event}`: with each attempt.
pub(super) async fn show(
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
) -> Result<JsonAnswer<DeliveryWithAttempts>, Problem> {
    let (webhook, delivery) = known(&who, &named).await?;
    let attempts = who.stores.catalog().webhook_attempts(&webhook, &delivery.event.id).await?;
    let log = (1..).zip(attempts).map(|(number, attempt)| AttemptView::of(number, attempt)).collect();
    Ok(JsonAnswer(DeliveryWithAttempts { delivery: delivery.into(), log }))
}

/// `POST …/webhooks/{webhook}/deliveries/{event}/redeliver`: the same event once more, with all its attempts.
pub(super) async fn redeliver(
    who: TenantCaller<ManageTenant>,
    Path(named): Path<Named>,
) -> Result<Answer<OnItsWay>, Problem> {
    let (webhook, delivery) = known(&who, &named).await?;
    let event = delivery.event.id;
    if !who.stores.catalog().webhook_redeliver(&webhook, &event).await? {
        return Err(disabled());
    }
    Ok(on_its_way(who.tenant(), &webhook, event))
}

/// An event for an endpoint, and how far it is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookDelivery")]
pub(super) struct DeliveryView {
    /// What the receiver gets as `webhook-id`.
    event_id: EventId,
    #[serde(rename = "type")]
    kind: EventType,
    occurred_at: DateTime<Utc>,
    kb_id: Option<KbId>,
    document_id: Option<DocumentId>,
    #[schemars(with = "Option<String>")]
    job_id: Option<JobId>,
    /// `pending` (written down), `queued` (a job delivers it), `delivered`, `failed` or `cancelled`.
    #[schemars(with = "super::enumerations::WebhookDeliveryState")]
    state: &'static str,
    /// The job that delivers it, or did last.
    #[schemars(with = "Option<String>")]
    delivery_job_id: Option<JobId>,
    /// How often it was tried.
    attempts: u32,
    last_attempt_at: Option<DateTime<Utc>>,
    /// Of the last answer, if there was one.
    last_status: Option<u16>,
    /// Why the last attempt failed, or why there is none any more: a stable code.
    last_error: Option<String>,
    /// When it is tried again, at the earliest.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it was delivered or given up.
    ended_at: Option<DateTime<Utc>>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let Delivery { event, state, run_id, attempts, last_at, last_status, last_error, next_at, ended_at } =
            delivery;
        Self {
            event_id: event.id,
            kind: event.kind,
            occurred_at: event.at,
            kb_id: event.kb_id,
            document_id: event.document_id,
            job_id: event.job_id,
            state: state.as_str(),
            delivery_job_id: run_id,
            attempts,
            last_attempt_at: last_at,
            last_status,
            last_error,
            next_attempt_at: next_at,
            ended_at,
        }
    }
}

/// One attempt at a delivery.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookAttempt")]
struct AttemptView {
    attempt: u32,
    at: DateTime<Utc>,
    duration_ms: u64,
    /// Of the answer, if there was one.
    status: Option<u16>,
    /// Why it failed: a stable code; null when it was accepted.
    error_code: Option<String>,
    /// The same for people.
    error_detail: Option<String>,
}

impl AttemptView {
    fn of(attempt: u32, Attempt { at, duration_ms, status, error }: Attempt) -> Self {
        let (error_code, error_detail) = error.unzip();
        Self { attempt, at, duration_ms, status, error_code, error_detail }
    }
}

/// A delivery with each of its attempts.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookDeliveryWithAttempts")]
pub(super) struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// The attempts, in their order.
    log: Vec<AttemptView>,
}

/// Deliveries, newest event first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookDeliveryPage")]
pub(super) struct DeliveryPage {
    deliveries: Vec<DeliveryView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}
