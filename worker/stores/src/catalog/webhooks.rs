//! The tenant's endpoints for webhooks.

use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::plan::{Limits, Quota};
use jobs::webhook::{EventId, EventType, WebhookId};

use super::{Catalog, Row, Sql, Tx};
use crate::error::StoreError;
use crate::model::{DisabledReason, NewWebhook, Page, Webhook, WebhookChange, WebhookEdit, WebhookMade};
use crate::page;
use crate::ports::StoreResult;

const SELECT: &str = "select * from webhook_endpoints where tenant_id = $1 and endpoint_id = $2";
/// As [`SELECT`], with the row locked until the end of the transaction. A change of an endpoint and of its
/// deliveries locks the endpoint first.
const SELECT_LOCKED: &str =
    "select * from webhook_endpoints where tenant_id = $1 and endpoint_id = $2 {for no key update}";

fn read_webhook(row: &Row) -> sqlx::Result<Webhook> {
    let events = row.text("events")?.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    let reason = row.text_or_null("disabled_reason")?;
    let reason = reason.and_then(|reason| DisabledReason::from_name(&reason));
    Ok(Webhook {
        id: row.parsed("endpoint_id")?,
        url: row.text("url")?,
        description: row.text("description")?,
        events: events.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        revision: row.number("revision")?,
        previous_until: row.time_or_null("previous_until")?,
        disabled: row.time_or_null("disabled_at")?.zip(reason),
        failing_since: row.time_or_null("failing_since")?,
    })
}

/// Types as stored in a column, where one of them is found by `like`.
fn events_text(events: &[EventType]) -> String {
    events.iter().fold(" ".to_owned(), |text, kind| format!("{text}{kind} "))
}

impl Catalog {
    /// Stores an endpoint, unless `limits` allow no more.
    pub async fn webhook_insert(
        &self,
        new: &NewWebhook,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<WebhookMade> {
        let mut tx = self.rows.write("catalog.webhook_insert").await?;
        self.own_template(&tx, &new.template)?;
        self.lock(&mut tx).await?;
        let insert = self.sql(
            "insert into webhook_endpoints (tenant_id, endpoint_id, url, description, events, secret, template,
                 created_by, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let insert = insert.bind(new.id.as_str()).bind(&new.url).bind(&new.description);
        let insert = insert.bind(events_text(&new.events)).bind(&new.sealed_secret);
        tx.execute(insert.bind(new.template.wire()).bind(&new.created_by).bind(now)).await?;
        if let Some(over) = self.last_refused(&mut tx, limits, Quota::MaxWebhooks).await? {
            return Ok(WebhookMade::OverQuota(over));
        }
        let stored = tx.one(self.sql(SELECT).bind(new.id.as_str()), read_webhook).await?;
        tx.commit().await?;
        Ok(WebhookMade::Done(stored))
    }

    fn own_template(&self, tx: &Tx, template: &StampedJob) -> StoreResult<()> {
        if template.tenant_id() == &self.tenant {
            return Ok(());
        }
        let what = "the template was stamped for another tenant";
        Err(StoreError::Conflict { operation: tx.operation(), what })
    }

    /// One endpoint.
    pub async fn webhook(&self, id: &WebhookId) -> StoreResult<Option<Webhook>> {
        self.rows.optional("catalog.webhook", self.sql(SELECT).bind(id.as_str()), read_webhook).await
    }

    /// Endpoints by id, beginning after `after`. At most `limit` (1 to 1,000).
    pub async fn webhooks(&self, after: Option<&WebhookId>, limit: u32) -> StoreResult<Page<Webhook>> {
        let select = self.sql(
            "select * from webhook_endpoints where tenant_id = $1 and endpoint_id > $2
             order by endpoint_id limit $3",
        );
        let select = select.bind(after.map_or("", WebhookId::as_str)).bind(page::rows_for(limit));
        let found = self.rows.all("catalog.webhooks", select, read_webhook).await?;
        Ok(page::cut(found, limit, |webhook| webhook.id.to_string()))
    }

    /// Changes an endpoint, if `revision` (when given) is still its revision.
    pub async fn webhook_change(
        &self,
        id: &WebhookId,
        edit: &WebhookEdit,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<WebhookChange> {
        let mut tx = self.rows.write("catalog.webhook_change").await?;
        let locked = self.sql(SELECT_LOCKED).bind(id.as_str());
        let Some(before) = tx.optional(locked, read_webhook).await? else {
            return Ok(WebhookChange::Unknown);
        };
        if revision.is_some_and(|revision| revision != before.revision) {
            return Ok(WebhookChange::Stale);
        }
        if let WebhookEdit::Secret { template, .. } = edit {
            self.own_template(&tx, template)?;
        }
        tx.execute(self.webhook_update(id, edit)).await?;
        match edit {
            WebhookEdit::Details { enabled: Some(false), .. } if before.disabled.is_none() => {
                self.webhook_disable(&mut tx, id, DisabledReason::Asked, now).await?;
            }
            WebhookEdit::Details { enabled: Some(true), .. } if before.disabled.is_some() => {
                let enable = self.sql(
                    "update webhook_endpoints set disabled_at = null, disabled_reason = null,
                         failing_since = null, probed_at = null
                     where tenant_id = $1 and endpoint_id = $2",
                );
                tx.execute(enable.bind(id.as_str())).await?;
            }
            _ => {}
        }
        let after = tx.one(self.sql(SELECT).bind(id.as_str()), read_webhook).await?;
        tx.commit().await?;
        Ok(WebhookChange::Done(after))
    }

    fn webhook_update<'q>(&'q self, id: &'q WebhookId, edit: &'q WebhookEdit) -> Sql<'q> {
        match edit {
            // Another URL is another receiver, of which nothing is known yet.
            WebhookEdit::Details { url, description, events, .. } => self
                .sql(
                    "update webhook_endpoints set url = coalesce($3, url),
                         description = coalesce($4, description), events = coalesce($5, events),
                         failing_since = case when $3 is null then failing_since end,
                         probed_at = case when $3 is null then probed_at end, revision = revision + 1
                     where tenant_id = $1 and endpoint_id = $2",
                )
                .bind(id.as_str())
                .bind(url.as_deref())
                .bind(description.as_deref())
                .bind(events.as_deref().map(events_text)),
            WebhookEdit::Secret { sealed, previous_until, template } => self
                .sql(
                    "update webhook_endpoints set
                         previous_secret = case when $4 is null then null else secret end,
                         previous_until = $4, secret = $3, template = $5, revision = revision + 1
                     where tenant_id = $1 and endpoint_id = $2",
                )
                .bind(id.as_str())
                .bind(sealed)
                .bind(*previous_until)
                .bind(template.wire()),
        }
    }

    /// Disables an endpoint that the transaction has locked. What it was not told of yet is given up, with that reason.
    pub(super) async fn webhook_disable(
        &self,
        tx: &mut Tx,
        id: &WebhookId,
        reason: DisabledReason,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let disable = self.sql(
            "update webhook_endpoints set disabled_at = $3, disabled_reason = $4
             where tenant_id = $1 and endpoint_id = $2",
        );
        tx.execute(disable.bind(id.as_str()).bind(now).bind(reason.as_str())).await?;
        let give_up = self.sql(
            "update webhook_deliveries set state = 'failed', last_error = 'webhook_disabled', ended_at = $3,
                 next_at = null
             where tenant_id = $1 and endpoint_id = $2 and state in ('pending', 'queued')",
        );
        tx.execute(give_up.bind(id.as_str()).bind(now)).await.map(drop)
    }

    /// Removes an endpoint with its deliveries, if `revision` (when given) is still its revision.
    pub async fn webhook_delete(&self, id: &WebhookId, revision: Option<u64>) -> StoreResult<WebhookChange> {
        let mut tx = self.rows.write("catalog.webhook_delete").await?;
        let locked = self.sql(SELECT_LOCKED).bind(id.as_str());
        let Some(before) = tx.optional(locked, read_webhook).await? else {
            return Ok(WebhookChange::Unknown);
        };
        if revision.is_some_and(|revision| revision != before.revision) {
            return Ok(WebhookChange::Stale);
        }
        let delete = self.sql("delete from webhook_endpoints where tenant_id = $1 and endpoint_id = $2");
        tx.execute(delete.bind(id.as_str())).await?;
        tx.commit().await?;
        Ok(WebhookChange::Done(before))
    }

    /// Writes down an event that tests the endpoint. Returns it; `None` when there is no such endpoint, or it is
    /// disabled.
    pub async fn webhook_test(&self, id: &WebhookId, now: DateTime<Utc>) -> StoreResult<Option<EventId>> {
        let event = EventId::generate(now);
        let insert = self.sql(
            "insert into webhook_deliveries (tenant_id, endpoint_id, event_id, event_type, occurred_at, asked)
             select $1, endpoint_id, $3, $4, $5, $6 from webhook_endpoints
             where tenant_id = $1 and endpoint_id = $2 and disabled_at is null",
        );
        let insert = insert.bind(id.as_str()).bind(event.as_str()).bind(EventType::Test.as_str());
        let made = self.rows.execute("catalog.webhook_test", insert.bind(now).bind(true)).await? == 1;
        Ok(made.then_some(event))
    }
}
