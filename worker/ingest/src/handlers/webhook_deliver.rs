//! `webhook.deliver`: sends an event to an endpoint, and writes down what came of it.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobError;
use jobs::types::DeliverWebhook;
use secrecy::SecretString;
use stores::model::{AfterAttempt, Attempt, AuditEntry, DeliveryState, DeliveryToDo, DisabledReason};
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};

use crate::registry::Product;
use crate::webhooks::{Egress, Failure, Message};

impl Handler<Product> for DeliverWebhook {
    #[tracing::instrument(name = "webhook.deliver", skip_all,
        fields(webhook.id = %self.webhook_id, event.id = %self.event_id))]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let catalog = cx.stores().catalog();
        let to_do = catalog.webhook_to_do(&self.webhook_id, &self.event_id, cx.now()).await?;
        let Some(to_do) = to_do.filter(|to_do| is_for(cx, to_do)) else {
            tracing::info!("the webhook is gone or disabled, or its event needs no delivery any more");
            return Ok(());
        };
        let (at, begun) = (cx.now(), Instant::now());
        let sent = tokio::select! {
            biased;
            () = cx.cancelled().cancelled() => return Err(JobError::Interrupted),
            sent = send(self, cx, &to_do, at) => sent,
        };
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = match &sent {
            Ok(status) => Attempt { at, duration_ms, status: Some(*status), error: None },
            Err(Failure { code, detail, status }) => {
                let error = Some(((*code).to_owned(), detail.clone()));
                Attempt { at, duration_ms, status: *status, error }
            }
        };
        attempted(self, cx, &attempt, sent.err()).await
    }

    async fn discarded(&self, cx: &JobContext, code: &str, _: &str) -> Result<(), JobError> {
        let state = if code == "cancelled" { DeliveryState::Cancelled } else { DeliveryState::Failed };
        let delivery = (&self.webhook_id, &self.event_id);
        Ok(cx.stores().catalog().webhook_given_up(delivery, cx.job_id(), (state, code)).await?)
    }

    async fn refused(&self, cx: &JobContext, code: &str, reason: &str) -> Result<(), JobError> {
        self.discarded(cx, code, reason).await
    }
}

/// A rerun sends the event once more, with all its attempts.
impl Reopen<Product> for DeliverWebhook {
    async fn reopen(&self, cx: &JobContext) -> Result<Reopened, JobError> {
        let catalog = cx.stores().catalog();
        if catalog.webhook_reopen(&self.webhook_id, &self.event_id, cx.job_id()).await? {
            return Ok(Reopened::Run);
        }
        Ok(Reopened::Nothing("the webhook is gone or disabled, or the event was delivered meanwhile"))
    }
}

/// Whether this job has something to deliver: not when the event was delivered or given up, or has another job.
fn is_for(cx: &JobContext, to_do: &DeliveryToDo) -> bool {
    let delivery = &to_do.delivery;
    let is_open = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Queued);
    !to_do.disabled && is_open && delivery.run_id.is_none_or(|run| run == cx.job_id())
}

async fn send(
    job: &DeliverWebhook,
    cx: &JobContext,
    to_do: &DeliveryToDo,
    at: DateTime<Utc>,
) -> Result<u16, Failure> {
    let unreadable = || {
        Failure::new(
            "secret_unreadable",
            "the key that hides the webhook's secret is gone: rotate the secret",
        )
    };
    let purpose = job.webhook_id.secret_purpose();
    let secrets = to_do.sealed_secrets.iter().map(|sealed| cx.unseal(&purpose, sealed));
    let secrets: Vec<SecretString> = secrets.collect::<Option<_>>().ok_or_else(unreadable)?;
    let body = to_do.delivery.event.body(cx.tenant().tenant_id(), &job.webhook_id);
    let body = body.map_err(|error| Failure::new("body_unwritable", error.to_string()))?;
    let message = Message::signed(job.event_id.as_str(), at, body, &secrets).map_err(|_| unreadable())?;
    let egress = cx.state::<Egress>();
    let egress = egress.map_err(|error| Failure::new("no_client", jobs::error::report(&error)))?;
    egress.send(&to_do.url, message).await
}

/// Writes the attempt down, and decides what follows.
async fn attempted(
    job: &DeliverWebhook,
    cx: &JobContext,
    attempt: &Attempt,
    failure: Option<Failure>,
) -> Result<(), JobError> {
    let wait = DeliverWebhook::wait(cx.attempt());
    let after = match (&failure, wait) {
        (None, _) => AfterAttempt::Delivered,
        (Some(failure), _) if failure.code == "gone" => AfterAttempt::Gone,
        (Some(_), Some(wait)) => {
            AfterAttempt::Retry(cx.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX))
        }
        (Some(_), None) => AfterAttempt::GivenUp,
    };
    let delivery = (&job.webhook_id, &job.event_id);
    let catalog = cx.stores().catalog();
    let disabled = catalog.webhook_attempted(delivery, cx.job_id(), attempt, after).await?;
    if let Some(reason) = disabled {
        disabled_by(job, cx, reason).await?;
    }
    match (failure, wait) {
        (None, _) => Ok(()),
        (Some(Failure { detail, .. }), _) if disabled.is_some() => {
            Err(JobError::unusable("webhook_disabled", detail))
        }
        (Some(Failure { detail, .. }), Some(wait)) => Err(JobError::retry_after(wait, detail)),
        (Some(Failure { detail, .. }), None) => Err(JobError::unusable("webhook_failed", detail)),
    }
}

/// Leaves a record where administrators look for what changed: the job disabled the endpoint, and no person.
async fn disabled_by(job: &DeliverWebhook, cx: &JobContext, reason: DisabledReason) -> Result<(), JobError> {
    tracing::info!(reason = reason.as_str(), "webhook disabled");
    let entry = AuditEntry {
        id: AuditEntry::id_at(cx.now()),
        at: cx.now(),
        actor: cx.tenant().actor().to_string(),
        action: "webhooks_disable".to_owned(),
        target: [("webhook".to_owned(), job.webhook_id.to_string())].into(),
        reason: Some(reason.as_str().to_owned()),
        request_id: cx.job_id().to_string(),
        status: None,
    };
    cx.stores().catalog().audit_append(&entry).await?;
    Ok(())
}
