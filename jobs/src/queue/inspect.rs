//! Looking through a tenant's jobs, page by page, and into what they say.
//!
//! A page ends at a job, not at a number, and the next one begins after it, whatever has become of it. So every job
//! that stays where it is during a whole walk is shown exactly once; one that moves meanwhile (its time comes, it
//! starts, it is tried again) may be shown twice or not at all. Places are looked through in the direction in which
//! jobs move, so that twice is the usual case.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, WireEnvelope};
use crate::id::JobId;
use crate::job::Priority;
use crate::queue::answers::{JobState, Kept, KeptJob, QueueStats, Reason};
use crate::queue::error::QueueError;
use crate::queue::queue::{Queue, moment};
use crate::queue::script::Operation;
use crate::queue::{answers, encode};
use crate::tenant::{KbId, TenantId};

/// Most jobs in one call, because a script has to end soon.
pub(super) const PAGE: usize = 200;

/// Which jobs. An empty filter matches every open job: scheduled, available, active, retryable and parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of one of these types; of any when empty.
    pub kinds: Vec<String>,
    /// Of one of these Open Job Spec queues; of any when empty.
    pub queues: Vec<String>,
    /// In one of these states; when empty, in any that is open, or, for dead letters, in any of theirs.
    pub states: Vec<JobState>,
    /// Enqueued before this moment.
    pub created_before: Option<DateTime<Utc>>,
    /// Enqueued at this moment or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Kept for a reason with this code: for dead letters and quarantine only.
    pub reason_code: Option<String>,
    /// Whose stamp names this knowledge base.
    pub kb: Option<KbId>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its type.
    pub kind: String,
    /// The Open Job Spec queue it waits in.
    pub queue: String,
    /// The lane it waits in: its type and payload version.
    pub lane: String,
    /// The knowledge base that its stamp names.
    pub kb: Option<KbId>,
    /// Where it is.
    pub state: JobState,
    /// Its place among the tenant's jobs.
    pub priority: Priority,
    /// How often its handler failed.
    pub attempts: u32,
    /// When it was enqueued first, as its envelope says.
    pub created_at: DateTime<Utc>,
}

/// One page of a tenant's open jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs. Fewer than asked for, even none, do not mean that there are no more.
    pub jobs: Vec<JobSummary>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ListCursor>,
}

/// A dead letter or a quarantined job in a list.
#[derive(Debug, Clone)]
pub struct KeptEntry {
    /// Where it is, and why.
    pub job: KeptJob,
    /// What it says; `None` when that is damaged or another tenant's.
    pub said: Option<Inspected>,
    /// Whether its very id is that of another tenant's job.
    pub has_foreign_id: bool,
}

/// One page of a tenant's dead letters or quarantined jobs.
#[derive(Debug, Clone)]
pub struct KeptPage {
    /// The jobs, newest first. Fewer than asked for, even none, do not mean that there are no more.
    pub jobs: Vec<KeptEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ListCursor>,
}

/// Where a page ended. Its text is for [`FromStr`], and names jobs that a filter may have left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCursor {
    place: String,
    /// The last job that was looked at.
    last: String,
    /// What else it takes to find its place again: its time, or the last job of its list.
    mark: String,
    /// How many jobs were behind it, up to the one in `mark`.
    behind: u64,
}

/// A text that is no [`ListCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not where a page ended")]
pub struct InvalidCursor;

impl fmt::Display for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = (&self.place, &self.last, &self.mark, self.behind);
        f.write_str(&serde_json::to_string(&parts).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for ListCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (place, last, mark, behind) = serde_json::from_str(text).map_err(|_| InvalidCursor)?;
        Ok(Self { place, last, mark, behind })
    }
}

impl JobFilter {
    fn wants(&self, state: JobState) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether it takes a job's record to tell.
    fn asks_for_contents(&self) -> bool {
        let times = [self.created_before, self.created_after];
        let named = self.kb.is_some() || !self.kinds.is_empty() || !self.queues.is_empty();
        named || times.iter().any(Option::is_some)
    }

    fn matches(&self, said: &Inspected) -> bool {
        let envelope = &said.envelope;
        (self.kinds.is_empty() || self.kinds.contains(&envelope.kind))
            && (self.queues.is_empty() || self.queues.contains(&envelope.queue))
            && self.created_before.is_none_or(|moment| envelope.meta.created_at < moment)
            && self.created_after.is_none_or(|moment| envelope.meta.created_at >= moment)
            && self.kb.as_ref().is_none_or(|kb| said.kb.as_ref() == Some(kb))
    }
}

/// Where some of a tenant's jobs are, as `lua/list.lua` takes it, and their state there.
struct Place {
    name: String,
    state: JobState,
}

impl Place {
    /// Its turn in a walk.
    fn turn(name: &str) -> (u8, &str) {
        let class = match name {
            "s" => 0,
            "y" => 1,
            "k" => 2,
            "a" => 4,
            _ => 3,
        };
        (class, name)
    }
}

/// A job in a place.
struct Row {
    id: String,
    /// When it is due or since when it is kept; of a waiting one, whether it was cancelled.
    of: String,
    why: String,
}

/// Some jobs of a place, in their order there.
struct Part {
    rows: Vec<Row>,
    mark: String,
    behind: u64,
}

impl Part {
    fn read(place: &str, answer: Vec<String>) -> Result<Self, QueueError> {
        let mut words = answer.into_iter();
        let behind = words.next().and_then(|word| word.parse().ok());
        let (Some(behind), Some(mark)) = (behind, words.next()) else {
            return Err(QueueError::Answer("list"));
        };
        let mut rows = Vec::new();
        while let (Some(id), Some(of)) = (words.next(), words.next()) {
            let why = if is_kept(place) { words.next().unwrap_or_default() } else { String::new() };
            rows.push(Row { id, of, why });
        }
        Ok(Self { rows, mark, behind })
    }

    fn cursor(&self, place: &str, at: usize) -> ListCursor {
        let row = &self.rows[at];
        let (mark, behind) = if place.len() == 1 {
            (row.of.clone(), 0)
        } else {
            (self.mark.clone(), self.behind + (self.rows.len() - 1 - at) as u64)
        };
        ListCursor { place: place.to_owned(), last: row.id.clone(), mark, behind }
    }
}

fn is_kept(place: &str) -> bool {
    matches!(place, "x" | "q")
}

/// How much a page may hold and how much may be looked at for it.
#[derive(Clone, Copy)]
struct Bounds {
    items: usize,
    looked_at: usize,
    /// Jobs in one call to Redis.
    step: usize,
}

impl Queue {
    /// Most jobs that are looked at for one page.
    pub const LOOKED_AT: usize = 5_000;

    /// One page of a tenant's open jobs that match `filter`: at most `limit`, after what `after` says. What cannot be
    /// read, or is stamped for another tenant, is not among them.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn list(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<JobPage, QueueError> {
        self.list_looking_at(Self::LOOKED_AT, tenant, filter, after, limit).await
    }

    async fn list_looking_at(
        &self,
        looked_at: usize,
        tenant: &TenantId,
        filter: &JobFilter,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<JobPage, QueueError> {
        let places = self.places(tenant, filter).await?;
        let step = if filter.asks_for_contents() { PAGE } else { limit.saturating_add(1).min(PAGE) };
        let bounds = Bounds { items: limit, looked_at, step };
        let read = |row: &Row, record: Option<&[u8]>, state| {
            let (summary, said) = summary(tenant, &row.id, record?, state)?;
            filter.matches(&said).then_some(summary)
        };
        let (jobs, next) = self.walk(tenant, &places, after, bounds, read).await?;
        Ok(JobPage { jobs, next })
    }

    /// The first `most` open jobs of a tenant that match `filter`, and whether there are more. For one answer; a list
    /// is read with [`Queue::list`].
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn first_matching(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        most: usize,
    ) -> Result<(Vec<JobSummary>, bool), QueueError> {
        let page = self.list_looking_at(usize::MAX, tenant, filter, None, most).await?;
        Ok((page.jobs, page.next.is_some()))
    }

    /// Looks through places in their turn, from where `after` says.
    async fn walk<T: Send>(
        &self,
        tenant: &TenantId,
        places: &[Place],
        after: Option<&ListCursor>,
        bounds: Bounds,
        read: impl Fn(&Row, Option<&[u8]>, JobState) -> Option<T> + Send + Sync,
    ) -> Result<(Vec<T>, Option<ListCursor>), QueueError> {
        let (mut found, mut looked_at, mut last) = (Vec::new(), 0, after.cloned());
        let begun =
            |place: &&Place| after.is_none_or(|after| Place::turn(&place.name) >= Place::turn(&after.place));
        for Place { name, state } in places.iter().filter(begun) {
            loop {
                if looked_at >= bounds.looked_at {
                    return Ok((found, last));
                }
                let from = last.as_ref().filter(|last| last.place == *name);
                let part = self.part(tenant, name, from, bounds.step).await?;
                let ids: Vec<&str> = part.rows.iter().map(|row| row.id.as_str()).collect();
                let records = self.records(self.home(tenant), &ids).await?;
                for (at, (row, record)) in part.rows.iter().zip(&records).enumerate() {
                    let cancelled = name.len() > 1 && !row.of.is_empty();
                    let record = record.as_deref().filter(|_| !cancelled);
                    if let Some(item) = read(row, record, *state) {
                        if found.len() >= bounds.items {
                            return Ok((found, last));
                        }
                        found.push(item);
                    }
                    last = Some(part.cursor(name, at));
                }
                looked_at += part.rows.len();
                if part.behind == 0 || part.rows.is_empty() {
                    break;
                }
            }
        }
        Ok((found, None))
    }

    async fn part(
        &self,
        tenant: &TenantId,
        place: &str,
        from: Option<&ListCursor>,
        step: usize,
    ) -> Result<Part, QueueError> {
        let mut arguments = vec![tenant.to_string(), place.to_owned(), step.to_string()];
        if let Some(ListCursor { last, mark, behind, .. }) = from {
            arguments.extend([last.clone(), mark.clone(), behind.to_string()]);
        }
        let answer: Vec<redis::Value> = self.read_for(tenant, Operation::List, arguments).await?;
        Part::read(place, answers::texts(&answer)?)
    }

    /// Where jobs of the wanted states are, in the order of their turns.
    async fn places(&self, tenant: &TenantId, filter: &JobFilter) -> Result<Vec<Place>, QueueError> {
        let others = [
            ("s", JobState::Scheduled),
            ("y", JobState::Retryable),
            ("k", JobState::Parked),
            ("a", JobState::Active),
        ];
        let mut places: Vec<Place> =
            others.map(|(name, state)| Place { name: name.to_owned(), state }).into();
        if filter.wants(JobState::Available) || filter.wants(JobState::Parked) {
            let answer: Vec<String> =
                self.read_for(tenant, Operation::Places, vec![tenant.to_string()]).await?;
            let mut words = answer.into_iter();
            let state = words.next().and_then(|state| JobState::from_name(&state));
            let state = state.ok_or(QueueError::Answer("places"))?;
            places.extend(words.map(|name| Place { name, state }));
        }
        places.retain(|place| filter.wants(place.state));
        places.sort_by(|one, other| Place::turn(&one.name).cmp(&Place::turn(&other.name)));
        Ok(places)
    }

    /// One page of a tenant's dead letters or quarantined jobs that match `filter`, newest first: at most `limit`,
    /// after what `after` says.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_page(
        &self,
        tenant: &TenantId,
        kept: Kept,
        filter: &JobFilter,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<KeptPage, QueueError> {
        self.kept_looking_at(Self::LOOKED_AT, tenant, kept, filter, after, limit).await
    }

    async fn kept_looking_at(
        &self,
        looked_at: usize,
        tenant: &TenantId,
        kept: Kept,
        filter: &JobFilter,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<KeptPage, QueueError> {
        let place = match kept {
            Kept::Discarded => Place { name: "x".to_owned(), state: JobState::Discarded },
            Kept::Quarantined => Place { name: "q".to_owned(), state: JobState::Quarantined },
        };
        let places = if filter.wants(place.state) { vec![place] } else { Vec::new() };
        let chooses = filter.asks_for_contents() || filter.reason_code.is_some();
        let step = if chooses { PAGE } else { limit.saturating_add(1).min(PAGE) };
        let bounds = Bounds { items: limit, looked_at, step };
        let read = |row: &Row, record: Option<&[u8]>, _| kept_entry(tenant, filter, row, record);
        let (jobs, next) = self.walk(tenant, &places, after, bounds, read).await?;
        Ok(KeptPage { jobs, next })
    }

    /// The newest dead letters or quarantined jobs of a tenant.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept(
        &self,
        tenant: &TenantId,
        kept: Kept,
        limit: usize,
    ) -> Result<Vec<KeptJob>, QueueError> {
        let page = self.kept_page(tenant, kept, &JobFilter::default(), None, limit).await?;
        Ok(page.jobs.into_iter().map(|entry| entry.job).collect())
    }

    /// Dead letters or quarantined jobs that match `filter`: the oldest first, all that are there.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_where(
        &self,
        tenant: &TenantId,
        kept: Kept,
        filter: &JobFilter,
    ) -> Result<Vec<JobId>, QueueError> {
        let all = self.kept_looking_at(usize::MAX, tenant, kept, filter, None, usize::MAX).await?;
        Ok(all.jobs.iter().rev().map(|entry| entry.job.id).collect())
    }

    /// How many jobs of one knowledge base of a tenant are where. The queue does not count by knowledge base, so all
    /// of the tenant's jobs are looked at: `None` when those are more than [`Self::LOOKED_AT`]. How many have ended
    /// is not known.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn stats_of_kb(&self, tenant: &TenantId, kb: &KbId) -> Result<Option<QueueStats>, QueueError> {
        let all = self.stats(tenant).await?;
        if all.open() + all.discarded + all.quarantined > Self::LOOKED_AT as u64 {
            return Ok(None);
        }
        let filter = JobFilter { kb: Some(kb.clone()), ..JobFilter::default() };
        let mut stats = QueueStats::default();
        for job in self.list(tenant, &filter, None, Self::LOOKED_AT).await?.jobs {
            match job.state {
                JobState::Available => stats.available += 1,
                JobState::Active => stats.active += 1,
                JobState::Scheduled => stats.scheduled += 1,
                JobState::Retryable => stats.retryable += 1,
                JobState::Parked => stats.parked += 1,
                JobState::Completed | JobState::Cancelled | JobState::Discarded | JobState::Quarantined => {}
            }
            if job.state == JobState::Available && all.undeclared.contains_key(&job.lane) {
                *stats.undeclared.entry(job.lane).or_default() += 1;
            }
        }
        for (kept, count) in
            [(Kept::Discarded, &mut stats.discarded), (Kept::Quarantined, &mut stats.quarantined)]
        {
            *count = self.kept_page(tenant, kept, &filter, None, Self::LOOKED_AT).await?.jobs.len() as u64;
        }
        Ok(Some(stats))
    }
}

/// Reads what a record says without checking its signature: good enough to find a job, not to run it.
fn summary(tenant: &TenantId, id: &str, record: &[u8], state: JobState) -> Option<(JobSummary, Inspected)> {
    let record = encode::parse(record).filter(|record| record.tenant == tenant.as_str())?;
    let said = Inspected::read(tenant, record.wire)?;
    let summary = JobSummary {
        id: id.parse().ok()?,
        kind: said.envelope.kind.clone(),
        queue: said.envelope.queue.clone(),
        lane: record.lane.to_owned(),
        kb: said.kb.clone(),
        state,
        priority: Priority::from_level(record.level),
        attempts: record.attempts,
        created_at: said.envelope.meta.created_at,
    };
    Some((summary, said))
}

fn kept_entry(tenant: &TenantId, filter: &JobFilter, row: &Row, record: Option<&[u8]>) -> Option<KeptEntry> {
    // Who wrote something else than an id there did not write a job.
    let id: JobId = row.id.parse().ok()?;
    let unknown = || Reason { code: "unknown".to_owned(), text: String::new() };
    let reason = answers::reason(&row.why).unwrap_or_else(unknown);
    if filter.reason_code.as_ref().is_some_and(|wanted| *wanted != reason.code) {
        return None;
    }
    let record = record.and_then(encode::parse).filter(|record| record.tenant == tenant.as_str());
    let (said, has_foreign_id) = match record.map_or(Said::Damaged, |record| Said::of(tenant, record.wire)) {
        Said::Own(said) => (Some(*said), false),
        Said::Foreign(claimed) => (None, claimed == Some(id)),
        Said::Damaged => (None, false),
    };
    // What is damaged can be thrown away, too, as long as nothing is asked about its contents.
    if filter.asks_for_contents() && !said.as_ref().is_some_and(|said| filter.matches(said)) {
        return None;
    }
    let since = moment(&row.of).unwrap_or(DateTime::UNIX_EPOCH);
    Some(KeptEntry { job: KeptJob { id, since, reason }, said, has_foreign_id })
}

/// What a job in the queue says of itself. Good enough to look at, not to run: its signature was not checked, and its
/// stamp stays where it is.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// What it says.
    pub envelope: Envelope,
    /// The knowledge base that its stamp names.
    pub kb: Option<KbId>,
}

/// What signed bytes in a tenant's queue say, as far as that is the tenant's business.
pub(super) enum Said {
    /// A job of the tenant's.
    Own(Box<Inspected>),
    /// A job that is stamped for another tenant, with its id if that can be read.
    Foreign(Option<JobId>),
    /// Neither can be read, or the job is not the one that was stamped: its contents may be anybody's.
    Damaged,
}

impl Said {
    pub(super) fn of(tenant: &TenantId, wire: &str) -> Self {
        let Ok(wire) = serde_json::from_str::<WireEnvelope>(wire) else { return Self::Damaged };
        let Some(claimed) = wire.claimed() else { return Self::Damaged };
        if claimed.tenant != tenant.as_str() {
            return Self::Foreign(claimed.id.parse().ok());
        }
        let envelope = serde_json::from_str(wire.job.get()).ok().filter(|_| claimed.is_of(&wire.job));
        envelope.map_or(Self::Damaged, |envelope| Self::Own(Box::new(Inspected { envelope, kb: claimed.kb })))
    }
}

impl Inspected {
    /// Reads signed bytes in the queue of `tenant`; `None` when they are damaged, or stamped for another tenant.
    #[must_use]
    pub fn read(tenant: &TenantId, wire: &str) -> Option<Self> {
        match Said::of(tenant, wire) {
            Said::Own(said) => Some(*said),
            Said::Foreign(_) | Said::Damaged => None,
        }
    }
}

impl Queue {
    /// What jobs of a tenant say, in order; `None` for one that the tenant does not have in the queue, whose record is
    /// damaged, or that is stamped for another tenant.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn inspect(
        &self,
        tenant: &TenantId,
        ids: &[JobId],
    ) -> Result<Vec<Option<Inspected>>, QueueError> {
        let ids: Vec<String> = ids.iter().map(JobId::to_string).collect();
        let records = self.records(self.home(tenant), &ids).await?;
        let read = |bytes: Option<Vec<u8>>| {
            let bytes = bytes?;
            let record = encode::parse(&bytes).filter(|record| record.tenant == tenant.as_str())?;
            Inspected::read(tenant, record.wire)
        };
        Ok(records.into_iter().map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_shown() {
        let cursor = ListCursor {
            place: "test.ping@1.0".into(),
            last: "a \"b\"\n".into(),
            mark: String::new(),
            behind: 7,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "7", "[]", "[\"s\",\"\",\"\",-1]", "[\"s\",\"\",\"\",1,2]"] {
            assert_eq!(bad.parse::<ListCursor>(), Err(InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn places_are_looked_through_as_jobs_move() {
        let mut names = ["a", "b@1.0", "y", "a@2.3", "s", "k"];
        names.sort_by_key(|name| Place::turn(name));
        assert_eq!(names, ["s", "y", "k", "a@2.3", "b@1.0", "a"]);
    }
}
