//! How jobs ended.

use chrono::{DateTime, Utc};
use jobs::JobId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::model::{JobRecord, Redrives};
use crate::ports::StoreResult;
use crate::postgres::pool::TenantDb;
use crate::postgres::row;
use crate::postgres::tx::Tx;
use crate::retention::{HISTORY_KEPT, HISTORY_KEPT_MAX, HISTORY_PRUNED};

pub(super) async fn insert(db: &TenantDb, records: &[JobRecord], now: DateTime<Utc>) -> StoreResult<()> {
    let sql = sqlx::query(
        // Only what was started again ends twice.
        "insert into job_history as known (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, \
                                  created_at, started_at, finished_at, kb_id) \
         select $1, id::uuid, kind, queue, state, attempts, code, detail, created_at, started_at, finished_at, kb \
         from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], \
                     $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::text[]) \
             as new (id, kind, queue, state, attempts, code, detail, created_at, started_at, finished_at, kb) \
         where not exists (select from tenants where tenant_id = $1 and deleted_at is not null) \
         order by id on conflict (tenant_id, job_id) do update set state = excluded.state, \
             attempts = excluded.attempts, error_code = excluded.error_code, \
             error_detail = excluded.error_detail, started_at = excluded.started_at, \
             finished_at = excluded.finished_at \
         where known.state = 'discarded' and excluded.finished_at >= known.finished_at",
    );
    let texts = |of: fn(&JobRecord) -> &str| records.iter().map(of).collect::<Vec<_>>();
    let error = |record: &JobRecord| record.error.clone().unzip();
    let sql = sql.bind(db.tenant().as_str());
    let sql = sql.bind(records.iter().map(|record| record.id.to_string()).collect::<Vec<_>>());
    let sql = sql.bind(texts(|record| &record.kind)).bind(texts(|record| &record.queue));
    let sql = sql.bind(texts(|record| &record.state));
    let sql = sql.bind(records.iter().map(|record| i64::from(record.attempts)).collect::<Vec<_>>());
    let sql = sql.bind(records.iter().map(|record| error(record).0).collect::<Vec<_>>());
    let sql = sql.bind(records.iter().map(|record| error(record).1).collect::<Vec<_>>());
    let sql = sql.bind(records.iter().map(|record| record.created_at).collect::<Vec<_>>());
    let sql = sql.bind(records.iter().map(|record| record.started_at).collect::<Vec<_>>());
    let sql = sql.bind(records.iter().map(|record| record.finished_at).collect::<Vec<_>>());
    let kb = |record: &JobRecord| record.kb.as_ref().map(|kb| kb.as_str().to_owned());
    let sql = sql.bind(records.iter().map(kb).collect::<Vec<_>>());
    let mut tx = db.tx("catalog.history_insert").await?;
    if tx.execute(sql).await? > 0 {
        prune(&mut tx, db, now).await?;
    }
    tx.commit().await
}

/// Removes some records that are too old or too many. Those that another call is removing are left to it.
async fn prune(tx: &mut Tx, db: &TenantDb, now: DateTime<Utc>) -> StoreResult<()> {
    let too_old = sqlx::query(
        "delete from job_history where tenant_id = $1 and job_id in ( \
             select job_id from job_history where tenant_id = $1 and finished_at < $2 \
             order by finished_at limit $3 for update skip locked)",
    );
    let too_old = too_old.bind(db.tenant().as_str()).bind(now - HISTORY_KEPT);
    tx.execute(too_old.bind(HISTORY_PRUNED)).await?;
    let too_many = sqlx::query(
        "delete from job_history where tenant_id = $1 and job_id in ( \
             select job_id from job_history where tenant_id = $1 \
             order by finished_at desc, job_id desc offset $2 limit $3 for update skip locked)",
    );
    let too_many = too_many.bind(db.tenant().as_str()).bind(HISTORY_KEPT_MAX);
    tx.execute(too_many.bind(HISTORY_PRUNED)).await.map(drop)
}

pub(super) async fn redriven(db: &TenantDb, jobs: &[JobId], by: &str, now: DateTime<Utc>) -> StoreResult<()> {
    let note = sqlx::query(
        "insert into job_redrives as known (tenant_id, job_id, times, last_at, last_by) \
         select distinct $1, id::uuid, 1, $3::timestamptz, $4 from unnest($2::text[]) as new (id) order by id::uuid \
         on conflict (tenant_id, job_id) do update set times = known.times + 1, last_at = excluded.last_at, \
             last_by = excluded.last_by",
    );
    let ids: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let mut tx = db.tx("catalog.job_redriven").await?;
    tx.execute(note.bind(db.tenant().as_str()).bind(ids).bind(now).bind(by)).await?;
    let too_old = sqlx::query(
        "delete from job_redrives where tenant_id = $1 and job_id in ( \
             select job_id from job_redrives where tenant_id = $1 and last_at < $2 \
             order by last_at limit $3 for update skip locked)",
    );
    let too_old = too_old.bind(db.tenant().as_str()).bind(now - HISTORY_KEPT);
    tx.execute(too_old.bind(HISTORY_PRUNED)).await?;
    tx.commit().await
}

pub(super) async fn redrives(db: &TenantDb, id: JobId) -> StoreResult<Option<Redrives>> {
    let sql = sqlx::query(
        "select times, last_at, last_by from job_redrives where tenant_id = $1 and job_id = $2::uuid",
    );
    let mut tx = db.tx("catalog.job_redrives").await?;
    let read = |row: &PgRow| {
        let (last_at, last_by) = (row.try_get("last_at")?, row.try_get("last_by")?);
        Ok(Redrives { times: row::number(row, "times")?, last_at, last_by })
    };
    let found = tx.optional(sql.bind(db.tenant().as_str()).bind(id.to_string()), read).await?;
    tx.commit().await?;
    Ok(found)
}

pub(super) async fn record(db: &TenantDb, id: JobId) -> StoreResult<Option<JobRecord>> {
    let sql = sqlx::query(
        "select *, job_id::text as job from job_history where tenant_id = $1 and job_id = $2::uuid",
    );
    let mut tx = db.tx("catalog.history").await?;
    let found = tx.optional(sql.bind(db.tenant().as_str()).bind(id.to_string()), read_record).await?;
    tx.commit().await?;
    Ok(found)
}

fn read_record(row: &PgRow) -> sqlx::Result<JobRecord> {
    let (code, detail): (Option<String>, Option<String>) =
        (row.try_get("error_code")?, row.try_get("error_detail")?);
    Ok(JobRecord {
        id: row::parsed(row, "job")?,
        kb: row::parsed_optional(row, "kb_id")?,
        kind: row.try_get("kind")?,
        queue: row.try_get("queue")?,
        state: row.try_get("state")?,
        attempts: row::number(row, "attempts")?,
        error: code.zip(detail),
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}
