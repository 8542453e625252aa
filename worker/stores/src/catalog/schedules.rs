//! Schedules of a knowledge base, and the due ones of all tenants.

use chrono::{DateTime, Utc};
use jobs::envelope::StampedJob;
use jobs::plan::{Limits, Quota};
use jobs::tenant::KbId;

use super::{Catalog, Catalogs, Reader, Row, Sql, sql};
use crate::error::StoreError;
use crate::model::{DueSchedule, Firing, NewSchedule, OverQuota, Schedule, Skipped};
use crate::ports::StoreResult;

fn read_schedule(row: &Row) -> sqlx::Result<Schedule> {
    Ok(Schedule {
        name: row.text("name")?,
        kb_id: row.parsed("kb_id")?,
        cron: row.text("cron")?,
        time_zone: row.text("time_zone")?,
        kind: row.text("kind")?,
        next_fire_at: row.time("next_fire_at")?,
        last_fire_at: row.time_or_null("last_fire_at")?,
        paused: row.flag("paused")?,
        created_by: row.text("created_by")?,
        skipped: read_skipped(row)?,
    })
}

fn read_skipped(row: &Row) -> sqlx::Result<Option<Skipped>> {
    let Some(at) = row.time_or_null("skipped_at")? else { return Ok(None) };
    Ok(Some(Skipped { at, code: row.text("skip_code")?, detail: row.text("skip_detail")? }))
}

impl Catalog {
    /// Creates or replaces a schedule; one that is paused stays so. Returns the quota that one more schedule would
    /// exceed; then nothing changed.
    pub async fn schedule_put(
        &self,
        schedule: &NewSchedule,
        limits: &Limits,
    ) -> StoreResult<Option<OverQuota>> {
        let stored = self.schedule_store(schedule, limits).await;
        // Invalidate also after an error: the transaction may have been committed.
        self.announced(stored).await
    }

    async fn schedule_store(&self, new: &NewSchedule, limits: &Limits) -> StoreResult<Option<OverQuota>> {
        const PUT: &str = "catalog.schedule_put";
        if new.template.tenant_id() != &self.tenant {
            let what = "the template was stamped for another tenant";
            return Err(StoreError::Conflict { operation: PUT, what });
        }
        let kind = new.kind().map_err(|error| StoreError::permanent(PUT, error))?;
        let mut tx = self.rows.write(PUT).await?;
        self.lock(&mut tx).await?;
        let known = self.sql(
            "select exists (select 1 from schedules
                            where tenant_id = $1 and kb_id = $2 and name = $3) as found",
        );
        let known = known.bind(new.kb_id.as_str()).bind(&new.name);
        let is_known = tx.one(known, |row| row.flag("found")).await?;
        let put = self.sql(
            "insert into schedules (tenant_id, kb_id, name, cron, time_zone, kind, template, created_by,
                 next_fire_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             on conflict (tenant_id, kb_id, name) do update set cron = excluded.cron,
                 time_zone = excluded.time_zone, kind = excluded.kind, template = excluded.template,
                 created_by = excluded.created_by, next_fire_at = excluded.next_fire_at,
                 skipped_at = null, skip_code = null, skip_detail = null",
        );
        let put = put.bind(new.kb_id.as_str()).bind(&new.name).bind(&new.cron).bind(&new.time_zone);
        let put = put.bind(kind).bind(new.template.wire()).bind(&new.created_by).bind(new.next_fire_at);
        tx.execute(put).await?;
        if !is_known && let Some(over) = self.last_refused(&mut tx, limits, Quota::MaxSchedules).await? {
            return Ok(Some(over));
        }
        tx.commit().await?;
        Ok(None)
    }

    /// The schedules of a knowledge base, by name.
    pub async fn schedules(&self, kb: &KbId) -> StoreResult<Vec<Schedule>> {
        let select = self.sql("select * from schedules where tenant_id = $1 and kb_id = $2 order by name");
        self.rows.all("catalog.schedules", select.bind(kb.as_str()), read_schedule).await
    }

    /// Removes a schedule. Returns whether there was one.
    pub async fn schedule_delete(&self, kb: &KbId, name: &str) -> StoreResult<bool> {
        let delete = self.sql("delete from schedules where tenant_id = $1 and kb_id = $2 and name = $3");
        let delete = delete.bind(kb.as_str()).bind(name);
        let gone = self.rows.execute("catalog.schedule_delete", delete).await? == 1;
        Ok(self.announced(gone).await)
    }

    /// One schedule of a knowledge base.
    pub async fn schedule(&self, kb: &KbId, name: &str) -> StoreResult<Option<Schedule>> {
        let select = self.sql("select * from schedules where tenant_id = $1 and kb_id = $2 and name = $3");
        self.rows.optional("catalog.schedule", select.bind(kb.as_str()).bind(name), read_schedule).await
    }

    /// Pauses a schedule. Returns whether there is one.
    pub async fn schedule_pause(&self, kb: &KbId, name: &str) -> StoreResult<bool> {
        let update =
            self.sql("update schedules set paused = $4 where tenant_id = $1 and kb_id = $2 and name = $3");
        let update = update.bind(kb.as_str()).bind(name).bind(true);
        Ok(self.rows.execute("catalog.schedule_pause", update).await? == 1)
    }

    /// Resumes the paused schedule `seen`, which fires at `next` then. Returns whether it was still as seen; if not,
    /// nothing changes.
    pub async fn schedule_resume(&self, seen: &Schedule, next: DateTime<Utc>) -> StoreResult<bool> {
        let update = self.sql(
            "update schedules set paused = $4, next_fire_at = $5
             where tenant_id = $1 and kb_id = $2 and name = $3 and paused and cron = $6 and time_zone = $7",
        );
        let update = update.bind(seen.kb_id.as_str()).bind(&seen.name).bind(false).bind(next);
        let update = update.bind(&seen.cron).bind(&seen.time_zone);
        Ok(self.rows.execute("catalog.schedule_resume", update).await? == 1)
    }

    /// Gives the schedule `seen` to another actor, whose template it fires from now on; its times stay. Returns whether
    /// it was still as seen; if not, nothing changes.
    pub async fn schedule_take_over(
        &self,
        seen: &Schedule,
        template: &StampedJob,
        actor: &str,
    ) -> StoreResult<bool> {
        const TAKE: &str = "catalog.schedule_take_over";
        if template.tenant_id() != &self.tenant {
            let what = "the template was stamped for another tenant";
            return Err(StoreError::Conflict { operation: TAKE, what });
        }
        let update = self.sql(
            "update schedules set template = $4, created_by = $5,
                 skipped_at = null, skip_code = null, skip_detail = null
             where tenant_id = $1 and kb_id = $2 and name = $3 and kind = $6 and created_by = $7",
        );
        let update = update.bind(seen.kb_id.as_str()).bind(&seen.name).bind(template.wire()).bind(actor);
        let update = update.bind(template.kind()).bind(&seen.created_by);
        let taken = self.rows.execute(TAKE, update).await.map(|rows| rows == 1);
        // Invalidate also after an error: the update may have been made.
        self.announced(taken).await
    }

    /// Records that a schedule was fired at `now` beside its times, which stay as they are.
    pub async fn schedule_fired(&self, kb: &KbId, name: &str, now: DateTime<Utc>) -> StoreResult<()> {
        let update = self.sql(
            "update schedules set last_fire_at = case when last_fire_at > $4 then last_fire_at else $4 end,
                 skipped_at = null, skip_code = null, skip_detail = null
             where tenant_id = $1 and kb_id = $2 and name = $3",
        );
        let update = update.bind(kb.as_str()).bind(name).bind(now);
        self.rows.execute("catalog.schedule_fired", update).await.map(drop)
    }

    /// Advances a schedule to `next` if it is still due at the moment that `due` saw. The condition is what lets
    /// only one of several workers succeed. A schedule that was paused meanwhile stays as it is. `skip` says why it did
    /// not fire, if it did not.
    fn schedule_move<'q>(
        &'q self,
        due: &'q DueSchedule,
        next: DateTime<Utc>,
        skip: Option<(&'q str, &'q str)>,
    ) -> Sql<'q> {
        let update = self.sql(
            "update schedules set next_fire_at = $5, last_fire_at = coalesce($6, last_fire_at), skipped_at = $7,
                 skip_code = $8, skip_detail = $9
             where tenant_id = $1 and kb_id = $2 and name = $3 and next_fire_at = $4 and not paused",
        );
        let (code, detail) = skip.unzip();
        let (fired_at, skipped_at) =
            if skip.is_none() { (Some(due.fire_at), None) } else { (None, Some(due.fire_at)) };
        let update = update.bind(due.kb_id.as_str()).bind(&due.name).bind(due.fire_at);
        update.bind(next).bind(fired_at).bind(skipped_at).bind(code).bind(detail)
    }
}

/// Reads due schedules of all tenants, and advances them.
pub struct DueSchedules {
    catalogs: Catalogs,
}

impl DueSchedules {
    pub(crate) const fn new(catalogs: Catalogs) -> Self {
        Self { catalogs }
    }

    /// Due schedules that are not paused, earliest first. At most `limit`.
    pub async fn schedules_due(&self, now: DateTime<Utc>, limit: u32) -> StoreResult<Vec<DueSchedule>> {
        let select =
            sql("select tenant_id, kb_id, name, cron, time_zone, next_fire_at, template from schedules
             where next_fire_at <= $1 and not paused order by next_fire_at, tenant_id, kb_id, name limit $2");
        let rows = self.catalogs.db.reader(Reader::Relay);
        rows.all("schedules.schedules_due", select.bind(now).bind(limit), read_due).await
    }

    /// Fires a schedule in one transaction: advances it to `next`, puts `job` into the tenant's outbox and counts
    /// it for the day. Only if it is still due at `due.fire_at`: of several workers that see the same due schedule,
    /// one fires it. If `limits` allow no more jobs today, the schedule advances without the job.
    pub async fn schedule_fire(
        &self,
        due: &DueSchedule,
        (job, limits): (&StampedJob, &Limits),
        next: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Firing> {
        let catalog = self.catalogs.of(&due.tenant_id);
        let mut tx = catalog.rows.write("schedules.schedule_fire").await?;
        if tx.execute(catalog.schedule_move(due, next, None)).await? == 0 {
            return Ok(Firing::NotDue);
        }
        tx.execute(catalog.outbox_insert(tx.operation(), std::slice::from_ref(job), now)?).await?;
        if let Some(over) = catalog.jobs_count(&mut tx, limits, 1, now).await? {
            // Rolls back the job in the outbox; the schedule itself advances in a statement of its own.
            drop(tx);
            let OverQuota { quota, current, maximum } = over;
            let detail = format!("{quota} is {current} of {maximum}");
            let skipped = self.schedule_skip(due, next, ("over_quota", &detail)).await?;
            return Ok(if skipped { Firing::OverQuota(over) } else { Firing::NotDue });
        }
        tx.commit().await?;
        Ok(Firing::Fired)
    }

    /// Advances a schedule to `next` without firing, under the same condition, and notes why: a code and a text.
    pub async fn schedule_skip(
        &self,
        due: &DueSchedule,
        next: DateTime<Utc>,
        why: (&str, &str),
    ) -> StoreResult<bool> {
        let catalog = self.catalogs.of(&due.tenant_id);
        let skip = catalog.schedule_move(due, next, Some(why));
        Ok(catalog.rows.execute("schedules.schedule_skip", skip).await? == 1)
    }
}

fn read_due(row: &Row) -> sqlx::Result<DueSchedule> {
    Ok(DueSchedule {
        tenant_id: row.parsed("tenant_id")?,
        kb_id: row.parsed("kb_id")?,
        name: row.text("name")?,
        cron: row.text("cron")?,
        time_zone: row.text("time_zone")?,
        fire_at: row.time("next_fire_at")?,
        template: row.text("template")?,
    })
}
