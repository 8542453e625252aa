//! The fair queue on Redis.
//!
//! [`Queue`] pushes and answers questions; [`WorkerQueue`] hands jobs to an apalis worker. Everything that
//! changes the queue is one atomic function in `lua/`, which Redis keeps as a library; `jobs/README.md`
//! explains the keys.
//!
//! A job waits in the [`Lane`] of its type and payload version, inside its tenant's own lists. Tenants that
//! may run are served in the order of their virtual time (start-time fair queueing), so a tenant with a long
//! queue delays its own jobs and nobody else's. A claim has a lease and a fence: whoever lost the lease
//! cannot finish any more.

mod answers;
mod apalis;
mod cancel;
mod claim;
mod coalesce;
mod config;
mod encode;
mod error;
mod explain;
mod finish;
mod inspect;
mod job;
mod limits;
mod preflight;
mod push;
mod queue;
mod redis;
mod reshard;
mod script;
mod shards;
#[cfg(feature = "test-support")]
mod testing;
mod verdict;
mod worker;

pub use self::redis::RedisAddress;
pub use answers::{
    ConflictDone, JobState, JobStatus, Kept, KeptJob, PushOutcome, QueueStats, Reason, UniqueConflict,
};
pub use apalis::JobBackend;
#[cfg(feature = "test-support")]
pub use apalis::run_for_tests;
pub use cancel::{CancelReport, Cancelled, Redriven};
pub use claim::{Ceiling, Claim, ClaimedJob, FetchRequest, Fetched, Healed, Reaped, Turn, VirtualTime};
pub use config::QueueConfig;
pub use error::QueueError;
pub use explain::{Explanation, WaitsFor};
pub use finish::{FinishedJob, WorkerTime};
pub use inspect::{
    Inspected, InvalidCursor, JobFilter, JobPage, JobSummary, KeptEntry, KeptPage, ListCursor,
};
pub use job::Lane;
pub use limits::{Flow, KeptSettings, LimitReached, TenantShare};
pub use queue::{LaneStatus, Queue};
pub use reshard::{ReshardError, Resharded, reshard};
#[cfg(feature = "test-support")]
pub use script::LibraryPatch;
#[cfg(feature = "test-support")]
pub use testing::MemoryQueue;
pub use verdict::{Finish, OnFailure, OpenGroup, Verdict};
pub use worker::{
    FetchedJob, NextShard, QuarantinedJob, ShardOrder, StopReport, WorkerObserver, WorkerOptions, WorkerQueue,
};
