#![doc = include_str!("../README.md")]

mod admission;
mod answers;
mod apalis;
mod cancel;
mod census;
mod claim;
pub mod clock;
mod coalesce;
mod config;
pub mod describe;
mod encode;
mod error;
mod explain;
mod finish;
mod id;
mod inspect;
mod job;
mod limits;
mod lost;
mod overview;
mod preflight;
mod push;
mod queue;
pub mod redis;
mod reschedule;
mod reshard;
mod script;
mod shards;
pub mod storage;
#[cfg(feature = "test-support")]
pub mod testing;
pub mod url;
mod worker;

pub use admission::{RateTaken, RateWindow, RoomLeft};
pub use answers::{
    ConflictDone, JobState, JobStatus, Kept, KeptJob, PushOutcome, QueueStats, Reason, UniqueConflict,
};
pub use apalis::JobBackend;
pub use cancel::{CancelReport, Cancelled, Redriven};
pub use census::{Census, PartitionStates, QueueOverview, SkillOverview};
pub use claim::{Ceiling, Claim, ClaimedJob, FetchRequest, Fetched, Healed, Reaped, Turn, VirtualTime};
pub use config::{QueueConfig, Wording};
pub use error::QueueError;
pub use explain::{Explanation, WaitsFor};
pub use finish::{Finish, FinishedJob, OnFailure, OpenGroup, Verdict, WorkerTime};
pub use id::{GroupId, InvalidId, JobId, PartitionId};
pub use inspect::{InvalidCursor, JobFilter, JobSummary, KeptRecord, ListCursor, OpenJob, Page, Select};
pub use job::{
    Branch, Lane, NewJob, OnConflict, Priority, RetryPolicy, RetryRule, Skill, Unique, UniqueScope,
};
pub use limits::{Flow, KeptSettings, LimitReached, PartitionShare};
pub use lost::{Damage, Whereabouts};
pub use overview::{PartitionOverview, PartitionState};
pub use queue::{Queue, SkillStatus, WorkerSeen};
pub use reschedule::Rescheduled;
pub use reshard::{ReshardError, Resharded, reshard};
pub use worker::{
    FetchedJob, NextShard, QuarantinedJob, ShardOrder, StopReport, WorkerObserver, WorkerOptions, WorkerQueue,
};
