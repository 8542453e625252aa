//! Deliveries of webhooks: what is pending, what came of each attempt, and how long that is remembered.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::JobId;
use jobs::tenant::TenantId;
use jobs::webhook::{Event, EventId, WebhookId};

use super::{Catalog, Catalogs, Reader, Row, Tx, Value, sql};
use crate::model::{
    AfterAttempt, Attempt, Delivery, DeliveryState, DeliveryToDo, DisabledReason, DueWebhook, Page,
    PendingDelivery,
};
use crate::page;
use crate::ports::StoreResult;

/// How long a delivery that has ended is remembered.
const KEPT: TimeDelta = TimeDelta::days(30);
/// How many of them a tenant keeps.
const KEPT_MAX: i64 = 10_000;
/// How many that are too old or too many one call removes: more than it adds.
const PRUNED: i64 = 500;

/// An endpoint none of whose attempts succeeded for so long is disabled.
const FAILING_MAX: TimeDelta = TimeDelta::days(5);
/// How many deliveries of an endpoint the queue has at once. The others wait in the catalog, so that the target of one
/// cannot fill the tenant's backlog.
const QUEUED_MAX: u32 = 100;
/// How often an endpoint that fails gets one more delivery, to find out whether it works again.
const PROBE: TimeDelta = TimeDelta::minutes(15);
/// How many deliveries that a person asked for go to the queue in one round.
const ASKED_MAX: u32 = 50;

fn read_delivery(row: &Row) -> sqlx::Result<Delivery> {
    let state = DeliveryState::from_name(&row.text("state")?);
    Ok(Delivery {
        event: Event {
            id: row.parsed("event_id")?,
            kind: row.parsed("event_type")?,
            at: row.time("occurred_at")?,
            kb_id: row.parsed_or_null("kb_id")?,
            document_id: row.parsed_or_null("document_id")?,
            revision: row.number_or_null("revision")?,
            job_id: row.id_or_null("job_id")?,
            job_type: row.text_or_null("job_type")?,
            status: row.text_or_null("status")?,
            error_code: row.text_or_null("error_code")?,
        },
        state: state.ok_or_else(|| sqlx::Error::Decode("webhook_deliveries.state is none".into()))?,
        run_id: row.id_or_null("run_id")?,
        attempts: row.number("attempts")?,
        last_at: row.time_or_null("last_at")?,
        last_status: row.number_or_null("last_status")?,
        last_error: row.text_or_null("last_error")?,
        next_at: row.time_or_null("next_at")?,
        ended_at: row.time_or_null("ended_at")?,
    })
}

fn read_attempt(row: &Row) -> sqlx::Result<Attempt> {
    Ok(Attempt {
        at: row.time("at")?,
        duration_ms: row.number("duration_ms")?,
        status: row.number_or_null("status")?,
        error: row.text_or_null("error_code")?.zip(row.text_or_null("error_detail")?),
    })
}

impl Catalog {
    /// Deliveries to an endpoint, newest event first, after the event `after`. At most `limit` (1 to 1,000).
    pub async fn webhook_deliveries(
        &self,
        id: &WebhookId,
        state: Option<DeliveryState>,
        after: Option<&EventId>,
        limit: u32,
    ) -> StoreResult<Page<Delivery>> {
        let select = self.sql(
            "select * from webhook_deliveries
             where tenant_id = $1 and endpoint_id = $2 and event_id < $3 and ($4 is null or state = $4)
             order by event_id desc limit $5",
        );
        // A tilde sorts after every id.
        let select = select.bind(id.as_str()).bind(after.map_or("~", EventId::as_str));
        let select = select.bind(state.map(DeliveryState::as_str)).bind(page::rows_for(limit));
        let found = self.rows.all("catalog.webhook_deliveries", select, read_delivery).await?;
        Ok(page::cut(found, limit, |delivery| delivery.event.id.to_string()))
    }

    /// One delivery.
    pub async fn webhook_delivery(&self, id: &WebhookId, event: &EventId) -> StoreResult<Option<Delivery>> {
        let select = self.sql(
            "select * from webhook_deliveries where tenant_id = $1 and endpoint_id = $2 and event_id = $3",
        );
        let select = select.bind(id.as_str()).bind(event.as_str());
        self.rows.optional("catalog.webhook_delivery", select, read_delivery).await
    }

    /// The attempts at a delivery, in their order.
    pub async fn webhook_attempts(&self, id: &WebhookId, event: &EventId) -> StoreResult<Vec<Attempt>> {
        let select = self.sql(
            "select * from webhook_attempts where tenant_id = $1 and endpoint_id = $2 and event_id = $3
             order by attempt",
        );
        let select = select.bind(id.as_str()).bind(event.as_str());
        self.rows.all("catalog.webhook_attempts", select, read_attempt).await
    }

    /// What a delivery job needs to know; `None` when endpoint or event are gone.
    pub async fn webhook_to_do(
        &self,
        id: &WebhookId,
        event: &EventId,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<DeliveryToDo>> {
        let select = self.sql(
            "select delivery.*, hook.url, hook.secret, hook.disabled_at is not null as is_disabled,
                 case when hook.previous_until > $4 then hook.previous_secret end as previous_secret
             from webhook_deliveries as delivery join webhook_endpoints as hook
                 on hook.tenant_id = delivery.tenant_id and hook.endpoint_id = delivery.endpoint_id
             where delivery.tenant_id = $1 and delivery.endpoint_id = $2 and delivery.event_id = $3",
        );
        let select = select.bind(id.as_str()).bind(event.as_str()).bind(now);
        let read = |row: &Row| {
            let secrets = [Some(row.text("secret")?), row.text_or_null("previous_secret")?];
            Ok(DeliveryToDo {
                url: row.text("url")?,
                disabled: row.flag("is_disabled")?,
                sealed_secrets: secrets.into_iter().flatten().collect(),
                delivery: read_delivery(row)?,
            })
        };
        self.rows.optional("catalog.webhook_to_do", select, read).await
    }

    /// Writes down an attempt by the job `run` and what follows from it. Returns the reason when the endpoint is
    /// disabled because of it.
    pub async fn webhook_attempted(
        &self,
        (id, event): (&WebhookId, &EventId),
        run: JobId,
        attempt: &Attempt,
        after: AfterAttempt,
    ) -> StoreResult<Option<DisabledReason>> {
        let now = self.clock.now();
        let mut tx = self.rows.write("catalog.webhook_attempted").await?;
        // The endpoint before its delivery, as all do that change both.
        let failing_since = self.webhook_health(&mut tx, id, after, attempt.at).await?;
        let (state, next_at) = match after {
            AfterAttempt::Delivered => (DeliveryState::Delivered, None),
            AfterAttempt::Retry(at) => (DeliveryState::Queued, Some(at)),
            AfterAttempt::GivenUp | AfterAttempt::Gone => (DeliveryState::Failed, None),
        };
        let update = self.sql(
            "update webhook_deliveries set state = $4, run_id = $5, attempts = attempts + 1, last_at = $6,
                 last_status = $7, last_error = $8, next_at = $9, ended_at = $10, asked = $11
             where tenant_id = $1 and endpoint_id = $2 and event_id = $3 returning attempts",
        );
        let code = attempt.error.as_ref().map(|(code, _)| code.as_str());
        let status = Value::Number(attempt.status.map(i64::from));
        let update = update.bind(id.as_str()).bind(event.as_str()).bind(state.as_str()).bind(run);
        let update = update.bind(attempt.at).bind(status.clone()).bind(code).bind(next_at);
        let update = update.bind(state.is_final().then_some(now)).bind(false);
        let Some(number) = tx.optional(update, |row| row.number::<u32>("attempts")).await? else {
            return Ok(None);
        };
        let insert = self.sql(
            "insert into webhook_attempts (tenant_id, endpoint_id, event_id, attempt, at, duration_ms, status,
                 error_code, error_detail)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
        );
        let detail = attempt.error.as_ref().map(|(_, detail)| detail.as_str());
        let insert = insert.bind(id.as_str()).bind(event.as_str()).bind(number).bind(attempt.at);
        let insert = insert.bind(attempt.duration_ms).bind(status).bind(code).bind(detail);
        tx.execute(insert).await?;
        let disabled = match (after, failing_since) {
            (AfterAttempt::Gone, _) => Some(DisabledReason::Gone),
            (_, Some(since)) if since <= now - FAILING_MAX => Some(DisabledReason::Failing),
            _ => None,
        };
        if let Some(reason) = disabled {
            self.webhook_disable(&mut tx, id, reason, now).await?;
        }
        if state.is_final() {
            self.webhook_prune(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok(disabled)
    }

    /// Notes on the endpoint that an attempt succeeded or failed. Returns since when none has succeeded.
    async fn webhook_health(
        &self,
        tx: &mut Tx,
        id: &WebhookId,
        after: AfterAttempt,
        at: DateTime<Utc>,
    ) -> StoreResult<Option<DateTime<Utc>>> {
        if after == AfterAttempt::Delivered {
            let works = self.sql(
                "update webhook_endpoints set failing_since = null, probed_at = null
                 where tenant_id = $1 and endpoint_id = $2 and failing_since is not null",
            );
            tx.execute(works.bind(id.as_str())).await?;
            return Ok(None);
        }
        let fails = self.sql(
            "update webhook_endpoints set failing_since = coalesce(failing_since, $3)
             where tenant_id = $1 and endpoint_id = $2 and disabled_at is null returning failing_since",
        );
        let fails = fails.bind(id.as_str()).bind(at);
        Ok(tx.optional(fails, |row| row.time_or_null("failing_since")).await?.flatten())
    }

    /// Records that there will be no more attempts, unless the delivery has ended or another job has it.
    pub async fn webhook_given_up(
        &self,
        (id, event): (&WebhookId, &EventId),
        run: JobId,
        (state, code): (DeliveryState, &str),
    ) -> StoreResult<()> {
        let now = self.clock.now();
        let mut tx = self.rows.write("catalog.webhook_given_up").await?;
        let update = self.sql(
            "update webhook_deliveries set state = $4, run_id = $5, last_error = coalesce(last_error, $6),
                 next_at = null, ended_at = $7
             where tenant_id = $1 and endpoint_id = $2 and event_id = $3 and state in ('pending', 'queued')
               and (run_id is null or run_id = $5)",
        );
        let update = update.bind(id.as_str()).bind(event.as_str()).bind(state.as_str()).bind(run);
        if tx.execute(update.bind(code).bind(now)).await? == 1 {
            self.webhook_prune(&mut tx, now).await?;
        }
        tx.commit().await
    }

    /// Lets the job `run` try once more a delivery that has ended without success. Returns whether it may: the endpoint
    /// is there and enabled, and the event was not delivered.
    pub async fn webhook_reopen(&self, id: &WebhookId, event: &EventId, run: JobId) -> StoreResult<bool> {
        let update = self.sql(
            "update webhook_deliveries set state = 'queued', run_id = $4, next_at = null, ended_at = null
             where tenant_id = $1 and endpoint_id = $2 and event_id = $3 and state <> 'delivered'
               and (state in ('failed', 'cancelled') or run_id = $4)
               and exists (select 1 from webhook_endpoints
                           where tenant_id = $1 and endpoint_id = $2 and disabled_at is null)",
        );
        let update = update.bind(id.as_str()).bind(event.as_str()).bind(run);
        Ok(self.rows.execute("catalog.webhook_reopen", update).await? == 1)
    }

    /// Makes a delivery pending again, whatever became of it, in front of those that happened by themselves. Returns
    /// whether there is one, of an endpoint that is enabled.
    pub async fn webhook_redeliver(&self, id: &WebhookId, event: &EventId) -> StoreResult<bool> {
        let update = self.sql(
            "update webhook_deliveries set asked = $4, run_id = null, next_at = null, ended_at = null,
                 runs = case when state = 'pending' then runs else runs + 1 end, state = 'pending'
             where tenant_id = $1 and endpoint_id = $2 and event_id = $3
               and exists (select 1 from webhook_endpoints
                           where tenant_id = $1 and endpoint_id = $2 and disabled_at is null)",
        );
        let update = update.bind(id.as_str()).bind(event.as_str()).bind(true);
        Ok(self.rows.execute("catalog.webhook_redeliver", update).await? == 1)
    }

    /// Removes some deliveries that ended long ago, or that are too many.
    async fn webhook_prune(&self, tx: &mut Tx, now: DateTime<Utc>) -> StoreResult<()> {
        let too_old = self.sql(
            "delete from webhook_deliveries where tenant_id = $1 and (endpoint_id, event_id) in (
                 select endpoint_id, event_id from webhook_deliveries
                 where tenant_id = $1 and ended_at < $2 order by ended_at limit $3 {for update skip locked})",
        );
        tx.execute(too_old.bind(now - KEPT).bind(PRUNED)).await?;
        let too_many = self.sql(
            "delete from webhook_deliveries where tenant_id = $1 and (endpoint_id, event_id) in (
                 select endpoint_id, event_id from webhook_deliveries
                 where tenant_id = $1 and ended_at is not null
                 order by ended_at desc limit $3 offset $2 {for update skip locked})",
        );
        tx.execute(too_many.bind(KEPT_MAX).bind(PRUNED)).await.map(drop)
    }

    /// The pending deliveries of an endpoint that go to the queue now: those that a person asked for, and `room` of the
    /// others, the oldest first.
    async fn webhook_pending(&self, id: &WebhookId, room: u32) -> StoreResult<Vec<PendingDelivery>> {
        let read = |row: &Row| {
            let (event_id, at) = (row.parsed("event_id")?, row.time("occurred_at")?);
            Ok(PendingDelivery { event_id, at, runs: row.number("runs")? })
        };
        let mut tx = self.rows.read("catalog.webhook_pending").await?;
        let mut found = Vec::new();
        for (asked, limit) in [(true, ASKED_MAX), (false, room)] {
            let select = self.sql(
                "select event_id, occurred_at, runs from webhook_deliveries
                 where tenant_id = $1 and endpoint_id = $2 and state = 'pending' and asked = $3
                 order by event_id limit $4",
            );
            found.extend(tx.all(select.bind(id.as_str()).bind(asked).bind(limit), read).await?);
        }
        tx.commit().await?;
        Ok(found)
    }

    /// Records that the queue has these deliveries, each with its job.
    async fn webhook_queued(
        &self,
        id: &WebhookId,
        queued: &HashMap<EventId, JobId>,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let mut tx = self.rows.write("catalog.webhook_queued").await?;
        let probed = self.sql(
            "update webhook_endpoints set probed_at = $3
             where tenant_id = $1 and endpoint_id = $2 and failing_since is not null",
        );
        tx.execute(probed.bind(id.as_str()).bind(now)).await?;
        // Some may have been tried already: those are not pending any more.
        let update = self.sql(
            "update webhook_deliveries set state = 'queued', run_id = given.run
             from {rows $3 as given (event text, run uuid)}
             where tenant_id = $1 and endpoint_id = $2 and event_id = given.event and state = 'pending'",
        );
        let rows = queued
            .iter()
            .map(|(event, run)| [("event", Value::from(event.as_str())), ("run", Value::from(*run))]);
        tx.execute(update.bind(id.as_str()).bind_rows(rows)).await?;
        tx.commit().await
    }
}

/// Where a page of due endpoints ended.
type After<'a> = Option<(&'a TenantId, &'a WebhookId)>;

/// Reads which endpoints of all tenants have something pending, and records what the queue has. The deliveries
/// themselves are read of one tenant at a time.
pub struct WebhookRelay {
    catalogs: Catalogs,
}

impl WebhookRelay {
    pub(crate) const fn new(catalogs: Catalogs) -> Self {
        Self { catalogs }
    }

    /// Endpoints with deliveries that may go to the queue now, by tenant and id, after `after`. At most `limit`.
    pub async fn webhooks_due(
        &self,
        now: DateTime<Utc>,
        after: After<'_>,
        limit: u32,
    ) -> StoreResult<Vec<DueWebhook>> {
        let (tenant, id) = after.map_or(("", ""), |(tenant, id)| (tenant.as_str(), id.as_str()));
        let select = sql(DUE).bind(now - PROBE).bind(QUEUED_MAX).bind(tenant).bind(id).bind(limit);
        let read = |row: &Row| {
            Ok(DueWebhook {
                tenant_id: row.parsed("tenant_id")?,
                id: row.parsed("endpoint_id")?,
                template: row.text("template")?,
                room: u32::try_from(row.number::<i64>("room")?).unwrap_or(0),
            })
        };
        self.catalogs.db.reader(Reader::Relay).all("webhooks.webhooks_due", select, read).await
    }

    /// The deliveries of a due endpoint that go to the queue now.
    pub async fn pending(&self, due: &DueWebhook) -> StoreResult<Vec<PendingDelivery>> {
        self.catalogs.of(&due.tenant_id).webhook_pending(&due.id, due.room).await
    }

    /// Disables a due endpoint. What it was not told of yet is given up, with that reason.
    pub async fn disable(
        &self,
        due: &DueWebhook,
        reason: DisabledReason,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let catalog = self.catalogs.of(&due.tenant_id);
        let mut tx = catalog.rows.write("webhooks.disable").await?;
        catalog.webhook_disable(&mut tx, &due.id, reason, now).await?;
        tx.commit().await
    }

    /// Records that the queue has deliveries of an endpoint, each with its job.
    pub async fn queued(
        &self,
        due: &DueWebhook,
        queued: &HashMap<EventId, JobId>,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        self.catalogs.of(&due.tenant_id).webhook_queued(&due.id, queued, now).await
    }
}

/// An endpoint that works gets as many as the queue may have of it; one that fails gets one now and then.
const DUE: &str = "
select tenant_id, endpoint_id, template, room from (
    select hook.tenant_id, hook.endpoint_id, hook.template,
        case when hook.failing_since is null then cast($2 as bigint) - (
                 select count(*) from webhook_deliveries as queued where queued.tenant_id = hook.tenant_id
                     and queued.endpoint_id = hook.endpoint_id and queued.state = 'queued')
             when hook.probed_at is null or hook.probed_at <= $1 then 1 else 0 end as room,
        exists (select 1 from webhook_deliveries as wanted where wanted.tenant_id = hook.tenant_id
                    and wanted.endpoint_id = hook.endpoint_id and wanted.state = 'pending' and wanted.asked) as is_asked
    from webhook_endpoints as hook
    where hook.disabled_at is null and (hook.tenant_id, hook.endpoint_id) > ($3, $4)
        and exists (select 1 from webhook_deliveries as pending where pending.tenant_id = hook.tenant_id
                        and pending.endpoint_id = hook.endpoint_id and pending.state = 'pending')) as due
where room > 0 or is_asked order by tenant_id, endpoint_id limit $5";
