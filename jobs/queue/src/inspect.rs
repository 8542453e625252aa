//! Listing a partition's jobs, page by page.
//!
//! A page ends at a job, not at an offset, and the next page begins after that job, even if it has moved since. So
//! every job that stays in the same state during a whole walk is shown exactly once; a job that moves meanwhile (its
//! time comes, it starts, it is retried) may be shown twice or not at all. States are walked in the direction in which
//! jobs move, so that twice is the usual case.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::answers::{self, JobState, Kept, KeptJob, Reason};
use crate::encode;
use crate::error::QueueError;
use crate::id::{JobId, PartitionId};
use crate::job::{Lane, Priority, kind_of};
use crate::queue::{Queue, moment};
use crate::redis::Resend;
use crate::script::Operation;

/// Most jobs in one call, because a script has to end soon.
pub(crate) const PAGE: usize = 200;

/// Which jobs of a partition to list, and how to convert each. [`JobFilter`] is the implementation for programs that
/// do not read payloads.
pub trait Select: Sync {
    /// The result for a job that has not ended.
    type Open: Send;
    /// The result for a dead letter or a quarantined job.
    type Kept: Send;

    /// In one of these states; when empty, in any that is open, or, for dead letters, in any of theirs.
    fn states(&self) -> &[JobState];

    /// Kept for a reason with this code: for dead letters and quarantine only.
    fn reason_code(&self) -> Option<&str>;

    /// Whether it takes more than a job's state to tell. More jobs are read at a time then, because fewer are wanted.
    fn reads_records(&self) -> bool;

    /// Converts an open job; `None` leaves it out.
    fn open(&self, partition: &PartitionId, job: OpenJob<'_>) -> Option<Self::Open>;

    /// Converts a dead letter or a quarantined job; `None` leaves it out. Its skill and payload are `None` when the
    /// record is damaged or missing.
    fn kept(
        &self,
        partition: &PartitionId,
        job: KeptJob,
        record: Option<KeptRecord<'_>>,
    ) -> Option<Self::Kept>;

    /// Whether jobs of this priority are wanted. What waits for a worker is in a list for each priority, so that the
    /// lists of others are not read.
    fn wants_priority(&self, _: Priority) -> bool {
        true
    }

    /// Whether jobs of this lane are wanted. Lanes have lists of their own as well.
    fn wants_lane(&self, _: Lane) -> bool {
        true
    }

    /// Whether jobs in `state` are wanted.
    fn wants(&self, state: JobState) -> bool {
        self.states().is_empty() || self.states().contains(&state)
    }
}

/// A job that has not ended, as the queue has it.
#[derive(Debug, Clone, Copy)]
pub struct OpenJob<'a> {
    /// Its id.
    pub id: JobId,
    /// The skill it waits in.
    pub skill: &'a str,
    /// The state of the job.
    pub state: JobState,
    /// Its lane among the partition's jobs.
    pub lane: Lane,
    /// Its priority among the partition's jobs of the same lane.
    pub priority: Priority,
    /// How often its handler failed.
    pub attempts: u32,
    /// The pushed payload.
    pub payload: &'a [u8],
}

/// A dead letter or a quarantined job.
#[derive(Debug, Clone, Copy)]
pub struct KeptRecord<'a> {
    /// The skill it waited in.
    pub skill: &'a str,
    /// Its lane among the partition's jobs.
    pub lane: Lane,
    /// Its priority among the partition's jobs of the same lane.
    pub priority: Priority,
    /// How often its handler failed.
    pub attempts: u32,
    /// The pushed payload.
    pub payload: &'a [u8],
}

impl<'a> From<encode::Record<'a>> for KeptRecord<'a> {
    fn from(record: encode::Record<'a>) -> Self {
        let encode::Record { skill, lane, priority, attempts, payload, .. } = record;
        Self { skill, lane, priority, attempts, payload }
    }
}

/// Jobs by type, state and reason. An empty filter matches every open job: scheduled, available, active, retryable and
/// parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of one of these types; of any when empty.
    pub kinds: Vec<String>,
    /// Of one of these priorities; of any when empty.
    pub priorities: Vec<Priority>,
    /// Of this lane; of both when `None`.
    pub lane: Option<Lane>,
    /// In one of these states; when empty, in any that is open, or, for dead letters, in any of theirs.
    pub states: Vec<JobState>,
    /// Created before this moment, according to its id.
    pub created_before: Option<DateTime<Utc>>,
    /// Created at this moment or later, according to its id.
    pub created_after: Option<DateTime<Utc>>,
    /// Kept for a reason with this code: for dead letters and quarantine only.
    pub reason_code: Option<String>,
}

impl JobFilter {
    fn matches(&self, id: JobId, skill: &str, (lane, priority): (Lane, Priority)) -> bool {
        let created_at = id.created_at();
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == kind_of(skill)))
            && self.wants_priority(priority)
            && self.wants_lane(lane)
            && self.created_before.is_none_or(|moment| created_at.is_some_and(|at| at < moment))
            && self.created_after.is_none_or(|moment| created_at.is_some_and(|at| at >= moment))
    }
}

impl Select for JobFilter {
    type Open = JobSummary;
    type Kept = KeptJob;

    fn states(&self) -> &[JobState] {
        &self.states
    }

    fn reason_code(&self) -> Option<&str> {
        self.reason_code.as_deref()
    }

    fn reads_records(&self) -> bool {
        let is_named = !self.kinds.is_empty() || !self.priorities.is_empty() || self.lane.is_some();
        is_named || self.created_before.is_some() || self.created_after.is_some()
    }

    fn wants_priority(&self, priority: Priority) -> bool {
        self.priorities.is_empty() || self.priorities.contains(&priority)
    }

    fn wants_lane(&self, lane: Lane) -> bool {
        self.lane.is_none_or(|wanted| wanted == lane)
    }

    fn open(&self, _: &PartitionId, job: OpenJob<'_>) -> Option<JobSummary> {
        self.matches(job.id, job.skill, (job.lane, job.priority)).then(|| JobSummary {
            id: job.id,
            skill: job.skill.to_owned(),
            state: job.state,
            lane: job.lane,
            priority: job.priority,
            attempts: job.attempts,
            payload: Bytes::copy_from_slice(job.payload),
        })
    }

    fn kept(&self, _: &PartitionId, job: KeptJob, record: Option<KeptRecord<'_>>) -> Option<KeptJob> {
        let wanted = match record {
            Some(record) => self.matches(job.id, record.skill, (record.lane, record.priority)),
            // A job with a damaged record can be purged too, as long as the filter does not read records.
            None => !self.reads_records(),
        };
        wanted.then_some(job)
    }
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// The skill it waits in: its type and payload version.
    pub skill: String,
    /// The state of the job.
    pub state: JobState,
    /// Its lane among the partition's jobs.
    pub lane: Lane,
    /// Its priority among the partition's jobs of the same lane.
    pub priority: Priority,
    /// How often its handler failed.
    pub attempts: u32,
    /// The pushed payload.
    pub payload: Bytes,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The jobs. Fewer than asked for, even none, do not mean that there are no more.
    pub jobs: Vec<T>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<ListCursor>,
}

/// Where a page ended. Its text is for [`FromStr`], and names jobs that a filter may have left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCursor {
    place: String,
    /// The last job that was looked at.
    last: String,
    /// The rest of the cursor: the job's time, or the last job of its list.
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

/// Where some of a partition's jobs are, as `lua/list.lua` takes it, and their state there.
struct Place {
    name: String,
    state: JobState,
}

impl Place {
    fn of(kept: Kept) -> Self {
        match kept {
            Kept::Discarded => Self { name: "x".to_owned(), state: JobState::Discarded },
            Kept::Quarantined => Self { name: "q".to_owned(), state: JobState::Quarantined },
        }
    }

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

/// One job in one of the lists or sets that are walked.
struct Row {
    id: String,
    /// When it is due or since when it is kept; of a waiting one, whether it was cancelled.
    of: String,
    why: String,
}

/// Consecutive jobs of one list or set.
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

/// The skill, lane and priority of the jobs in a waiting list, `SKILL.LEVEL`, and behind a tab the branch, if there is
/// one. `None` for another place.
fn waiting_in(place: &str) -> Option<(&str, (Lane, Priority))> {
    let list = place.split_once('\t').map_or(place, |(list, _)| list);
    let (skill, level) = list.rsplit_once('.')?;
    Some((skill, Lane::from_level(level.parse().ok()?)))
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

    /// One page of a partition's open jobs that match `filter`: at most `limit`, after what `after` says. What cannot
    /// be read is not among them.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn list<S: Select>(
        &self,
        partition: &PartitionId,
        filter: &S,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<Page<S::Open>, QueueError> {
        let read = |job: OpenJob<'_>| filter.open(partition, job);
        self.list_looking_at(Self::LOOKED_AT, partition, filter, after, limit, read).await
    }

    async fn list_looking_at<S: Select, T: Send>(
        &self,
        looked_at: usize,
        partition: &PartitionId,
        filter: &S,
        after: Option<&ListCursor>,
        limit: usize,
        read: impl Fn(OpenJob<'_>) -> Option<T> + Send + Sync,
    ) -> Result<Page<T>, QueueError> {
        let places = self.places(partition, filter).await?;
        let step = if filter.reads_records() { PAGE } else { limit.saturating_add(1).min(PAGE) };
        let bounds = Bounds { items: limit, looked_at, step };
        let read = |row: &Row, record: Option<&[u8]>, state| {
            let record = encode::parse(record?).filter(|record| record.partition == partition.as_str())?;
            read(OpenJob {
                id: row.id.parse().ok()?,
                skill: record.skill,
                state,
                lane: record.lane,
                priority: record.priority,
                attempts: record.attempts,
                payload: record.payload,
            })
        };
        let (jobs, next) = self.walk(partition, &places, after, bounds, read).await?;
        Ok(Page { jobs, next })
    }

    /// The first `most` open jobs of a partition that match `filter`, and whether there are more. For one answer; a
    /// list is read with [`Queue::list`].
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn first_matching<S: Select>(
        &self,
        partition: &PartitionId,
        filter: &S,
        most: usize,
    ) -> Result<(Vec<S::Open>, bool), QueueError> {
        let read = |job: OpenJob<'_>| filter.open(partition, job);
        let page = self.list_looking_at(usize::MAX, partition, filter, None, most, read).await?;
        Ok((page.jobs, page.next.is_some()))
    }

    /// All open jobs that match `filter`, by id.
    pub(crate) async fn open_where<S: Select>(
        &self,
        partition: &PartitionId,
        filter: &S,
    ) -> Result<Vec<JobId>, QueueError> {
        let read = |job: OpenJob<'_>| filter.open(partition, job).map(|_| job.id);
        let all = self.list_looking_at(usize::MAX, partition, filter, None, usize::MAX, read).await?;
        Ok(all.jobs)
    }

    /// Looks through places in their turn, from where `after` says.
    async fn walk<T: Send>(
        &self,
        partition: &PartitionId,
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
                let part = self.part(partition, name, from, bounds.step).await?;
                let ids: Vec<&str> = part.rows.iter().map(|row| row.id.as_str()).collect();
                let records = self.records(self.home(partition), &ids).await?;
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
        partition: &PartitionId,
        place: &str,
        from: Option<&ListCursor>,
        step: usize,
    ) -> Result<Part, QueueError> {
        let mut arguments = vec![partition.to_string(), place.to_owned(), step.to_string()];
        if let Some(ListCursor { last, mark, behind, .. }) = from {
            arguments.extend([last.clone(), mark.clone(), behind.to_string()]);
        }
        let answer: Vec<redis::Value> = self.read_for(partition, Operation::List, arguments).await?;
        Part::read(place, answers::texts(&answer)?)
    }

    /// Where jobs of the wanted states are, in the order of their turns.
    async fn places<S: Select>(&self, partition: &PartitionId, filter: &S) -> Result<Vec<Place>, QueueError> {
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
                self.read_for(partition, Operation::Places, vec![partition.to_string()]).await?;
            let mut words = answer.into_iter();
            let state = words.next().and_then(|state| JobState::from_name(&state));
            let state = state.ok_or(QueueError::Answer("places"))?;
            let is_wanted = |name: &String| {
                waiting_in(name).is_none_or(|(_, (lane, priority))| {
                    filter.wants_lane(lane) && filter.wants_priority(priority)
                })
            };
            places.extend(words.filter(is_wanted).map(|name| Place { name, state }));
        }
        places.retain(|place| filter.wants(place.state));
        places.sort_by(|one, other| Place::turn(&one.name).cmp(&Place::turn(&other.name)));
        Ok(places)
    }

    /// One page of a partition's dead letters or quarantined jobs that match `filter`, newest first: at most `limit`,
    /// after what `after` says.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_page<S: Select>(
        &self,
        partition: &PartitionId,
        kept: Kept,
        filter: &S,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<Page<S::Kept>, QueueError> {
        let read = |job, record: Option<KeptRecord<'_>>| filter.kept(partition, job, record);
        let page = self.kept_looking_at(Self::LOOKED_AT, partition, kept, filter, after, limit, read);
        page.await
    }

    #[expect(clippy::too_many_arguments, reason = "the bounds of a walk, in one private place")]
    async fn kept_looking_at<S: Select, T: Send>(
        &self,
        looked_at: usize,
        partition: &PartitionId,
        kept: Kept,
        filter: &S,
        after: Option<&ListCursor>,
        limit: usize,
        read: impl Fn(KeptJob, Option<KeptRecord<'_>>) -> Option<T> + Send + Sync,
    ) -> Result<Page<T>, QueueError> {
        let place = Place::of(kept);
        let places = if filter.wants(place.state) { vec![place] } else { Vec::new() };
        let chooses = filter.reads_records() || filter.reason_code().is_some();
        let step = if chooses { PAGE } else { limit.saturating_add(1).min(PAGE) };
        let bounds = Bounds { items: limit, looked_at, step };
        let read = |row: &Row, record: Option<&[u8]>, _| {
            let job = kept_job(row)?;
            if filter.reason_code().is_some_and(|wanted| wanted != job.reason.code) {
                return None;
            }
            let record = record.and_then(encode::parse);
            let record = record.filter(|record| record.partition == partition.as_str());
            read(job, record.map(KeptRecord::from))
        };
        let (jobs, next) = self.walk(partition, &places, after, bounds, read).await?;
        Ok(Page { jobs, next })
    }

    /// The newest dead letters or quarantined jobs of a partition.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept(
        &self,
        partition: &PartitionId,
        kept: Kept,
        limit: usize,
    ) -> Result<Vec<KeptJob>, QueueError> {
        Ok(self.kept_page(partition, kept, &JobFilter::default(), None, limit).await?.jobs)
    }

    /// Dead letters or quarantined jobs that match `filter`: the oldest first, all that are there.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_where<S: Select>(
        &self,
        partition: &PartitionId,
        kept: Kept,
        filter: &S,
    ) -> Result<Vec<JobId>, QueueError> {
        let read = |job: KeptJob, record: Option<KeptRecord<'_>>| {
            let id = job.id;
            filter.kept(partition, job, record).map(|_| id)
        };
        let all = self.kept_looking_at(usize::MAX, partition, kept, filter, None, usize::MAX, read).await?;
        Ok(all.jobs.into_iter().rev().collect())
    }

    /// The payloads of a partition's jobs, in the order of `ids`; `None` for a job that the partition does not have in
    /// the queue, or whose record is damaged.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn payloads(
        &self,
        partition: &PartitionId,
        ids: &[JobId],
    ) -> Result<Vec<Option<Bytes>>, QueueError> {
        let ids: Vec<String> = ids.iter().map(JobId::to_string).collect();
        let records = self.records(self.home(partition), &ids).await?;
        let read = |bytes: Option<Vec<u8>>| {
            let bytes = bytes?;
            let record = encode::parse(&bytes).filter(|record| record.partition == partition.as_str())?;
            Some(Bytes::copy_from_slice(record.payload))
        };
        Ok(records.into_iter().map(read).collect())
    }
}

/// A job that was found by its id alone.
#[derive(Debug)]
pub(crate) struct FoundJob {
    pub(crate) partition: PartitionId,
    pub(crate) skill: String,
    pub(crate) payload: Bytes,
}

impl Queue {
    /// The job with this id of whatever partition, if there is a record of it.
    pub(crate) async fn find(&self, id: JobId) -> Result<Option<FoundJob>, QueueError> {
        for shard in self.shards() {
            let records = self.records(shard, &[id.to_string()]).await?;
            let record = records.first().and_then(|record| encode::parse(record.as_deref()?));
            if let Some(record) = record
                && let Ok(partition) = record.partition.parse()
            {
                let (skill, payload) = (record.skill.to_owned(), Bytes::copy_from_slice(record.payload));
                return Ok(Some(FoundJob { partition, skill, payload }));
            }
        }
        Ok(None)
    }

    /// The number of a partition's jobs in `skills`, by state. Those that wait for a worker are counted by their lists,
    /// however long these are; of the others the records are read.
    pub(crate) async fn count_in(
        &self,
        partition: &PartitionId,
        skills: &BTreeSet<String>,
    ) -> Result<HashMap<JobState, u64>, QueueError> {
        let mut counts: HashMap<JobState, u64> = HashMap::new();
        let mut places = self.places(partition, &JobFilter::default()).await?;
        places.extend([Kept::Discarded, Kept::Quarantined].map(Place::of));
        let bounds = Bounds { items: usize::MAX, looked_at: usize::MAX, step: PAGE };
        let own = |record: Option<&[u8]>| skills.contains(encode::parse(record?)?.skill).then_some(());
        for place in places {
            let count = match waiting_in(&place.name) {
                Some((skill, _)) if !skills.contains(skill) => 0,
                Some(_) => {
                    let part = self.part(partition, &place.name, None, 1).await?;
                    part.rows.len() as u64 + part.behind
                }
                None => {
                    let places = std::slice::from_ref(&place);
                    let read = |_: &Row, record: Option<&[u8]>, _| own(record);
                    self.walk(partition, places, None, bounds, read).await?.0.len() as u64
                }
            };
            *counts.entry(place.state).or_default() += count;
        }
        // Cancelled jobs stay in the middle of lists until these are served.
        let mut command = redis::cmd("HVALS");
        command.arg(self.key(self.home(partition), &format!("t:{partition}:H")));
        let cancelled: Vec<String> =
            self.servers().query(self.home(partition), &command, Resend::Safe).await.unwrap_or_default();
        let skill_of = |label: &String| label.split('\t').next().is_some_and(|skill| skills.contains(skill));
        let cancelled = cancelled.iter().filter(|label| skill_of(label)).count() as u64;
        if let Some(waiting) = counts.get_mut(&JobState::Available) {
            *waiting = waiting.saturating_sub(cancelled);
        }
        Ok(counts)
    }
}

/// `None` for an entry that is no id: a program that wrote it there did not write a job.
fn kept_job(row: &Row) -> Option<KeptJob> {
    let id = row.id.parse().ok()?;
    let unknown = || Reason { code: "unknown".to_owned(), text: String::new() };
    let reason = answers::reason(&row.why).unwrap_or_else(unknown);
    Some(KeptJob { id, since: moment(&row.of).unwrap_or(DateTime::UNIX_EPOCH), reason })
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
    fn a_waiting_list_names_its_lane_and_priority() {
        let named = ["a@1.0", "a.b@1.1", "a@1.2\tb.7", "a@1.7"].map(waiting_in);
        let expected = [
            ("a@1", Lane::Interactive, Priority::High),
            ("a.b@1", Lane::Interactive, Priority::Normal),
            ("a@1", Lane::Interactive, Priority::Low),
            ("a@1", Lane::Bulk, Priority::Background),
        ];
        assert_eq!(named, expected.map(|(skill, lane, priority)| Some((skill, (lane, priority)))));
        assert_eq!(waiting_in("a"), None);
    }

    #[test]
    fn places_are_looked_through_as_jobs_move() {
        let mut names = ["a", "b@1.0", "y", "a@2.3", "s", "k"];
        names.sort_by_key(|name| Place::turn(name));
        assert_eq!(names, ["s", "y", "k", "a@2.3", "b@1.0", "a"]);
    }
}
