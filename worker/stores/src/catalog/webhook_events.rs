//! Events for webhooks, written in the transaction in which the thing happens that they tell of: a row for each
//! endpoint that asked for such events, and none for a tenant without endpoints.
//!
//! The statements say what was so before: they run in front of the statement that changes it, and on PostgreSQL in one
//! trip with it.

use chrono::{DateTime, Utc};
use jobs::Job as _;
use jobs::tenant::KbId;
use jobs::types::DeliverWebhook;
use jobs::webhook::{EventId, EventType};

use super::{Catalog, Sql, Value};
use crate::model::JobRecord;

/// A row for each document of `doc` that the condition leaves, and each endpoint. Arguments `$7` and so on are the
/// condition's.
macro_rules! document_events {
    ($condition:literal) => {
        concat!(
            "insert into webhook_deliveries (tenant_id, endpoint_id, event_id, event_type, occurred_at, kb_id,
                 document_id, revision, job_id, status, error_code)
             select $1, hook.endpoint_id, cast($2 as text)
                     || cast(dense_rank() over (order by doc.kb_id, doc.document_id) as text),
                 $3, $4, doc.kb_id, doc.document_id, doc.revision, doc.job_id, $5, $6
             from documents as doc join webhook_endpoints as hook on hook.tenant_id = $1
                 and hook.disabled_at is null and hook.events like '% ' || $3 || ' %'
             where doc.tenant_id = $1 and ",
            $condition
        )
    };
}

/// One revision of a document that had another status before.
pub(super) const OF_REVISION: &str = document_events!(
    "doc.kb_id = $7 and doc.document_id = $8 and doc.revision = $9 and doc.status <> $5
     and doc.deleting_at is null"
);
/// A document that is being removed.
pub(super) const OF_REMOVED: &str = document_events!(
    "doc.kb_id = $7 and doc.document_id = $8 and doc.revision = $9 and doc.deleting_at is not null"
);
/// Documents of jobs, unless they are done.
pub(super) const OF_JOBS: &str =
    document_events!("doc.job_id {in $7 uuid} and doc.status in ('pending', 'processing')");
/// Every document that is not done and was last changed before now.
pub(super) const OF_UNDONE: &str =
    document_events!("doc.status in ('pending', 'processing') and doc.updated_at <= $4");

/// A row for each job that has no record yet, or that was discarded and has ended once more. Endpoints come first, and
/// the join is a cross join so that SQLite keeps it so: most tenants have none, and nothing is read then.
const OF_JOB_ENDS: &str = "
insert into webhook_deliveries (tenant_id, endpoint_id, event_id, event_type, occurred_at, kb_id, job_id, job_type,
    status, error_code)
select $1, hook.endpoint_id, new.event, new.event_type, new.ended, new.kb, new.id, new.kind, new.state, new.code
from webhook_endpoints as hook cross join {rows $2 as new (event text, event_type text, ended timestamptz, kb text, \
id uuid, kind text, state text, code text)}
where hook.tenant_id = $1 and hook.disabled_at is null and hook.events like '% ' || new.event_type || ' %'
  and not exists (
    select 1 from job_history as known where known.tenant_id = $1 and known.job_id = new.id
        and not (known.state = 'discarded' and new.ended >= known.finished_at))";

impl Catalog {
    /// A statement of this module about documents, whose further arguments are those of its condition.
    pub(super) fn document_events<'q>(
        &'q self,
        text: &'static str,
        kind: EventType,
        (status, error_code): (Option<&'q str>, Option<&'q str>),
        now: DateTime<Utc>,
    ) -> Sql<'q> {
        let events = self.sql(text).bind(EventId::prefix(now)).bind(kind.as_str()).bind(now);
        events.bind(status).bind(error_code)
    }

    /// The events of jobs that ended; `None` when there are none. The end of a delivery is none: it would cause the
    /// next.
    pub(super) fn job_events<'q>(&'q self, records: &'q [JobRecord], now: DateTime<Utc>) -> Option<Sql<'q>> {
        let prefix = EventId::prefix(now);
        let rows: Vec<_> = (1..)
            .zip(records.iter().filter(|record| record.kind != DeliverWebhook::TYPE))
            .filter_map(|(number, record)| {
                let kind = EventType::of_job_end(&record.state)?;
                let code = record.error.as_ref().map(|(code, _)| code.as_str());
                Some([
                    ("event", Value::from(format!("{prefix}{number}"))),
                    ("event_type", kind.as_str().into()),
                    ("ended", record.finished_at.into()),
                    ("kb", record.kb.as_ref().map(KbId::as_str).into()),
                    ("id", record.id.into()),
                    ("kind", record.kind.as_str().into()),
                    ("state", record.state.as_str().into()),
                    ("code", code.into()),
                ])
            })
            .collect();
        (!rows.is_empty()).then(|| self.sql(OF_JOB_ENDS).bind_rows(rows))
    }
}
