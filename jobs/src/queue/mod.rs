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

mod address;
mod answer;
mod cancel;
mod charge;
mod claim;
mod client;
mod cluster;
mod config;
mod connection;
mod dead_letters;
mod error;
mod explain;
mod finish;
mod finishing;
mod heartbeat;
mod inspect;
mod kept_settings;
mod lane;
mod lanes;
mod layout;
mod library;
mod limits;
mod list;
#[cfg(feature = "test-support")]
mod memory;
mod memory_watch;
#[cfg(feature = "test-support")]
mod patched;
mod preflight;
mod push;
mod push_line;
mod pushing;
mod record;
mod resharding;
mod room;
mod routes;
mod servers;
mod shards;
mod slot;
mod status;
mod turn;
mod worker;

pub use address::RedisAddress;
pub use cancel::{CancelReport, Cancelled};
pub use charge::WorkerTime;
pub use claim::{Ceiling, Claim, ClaimedJob, FetchRequest, Fetched, Healed, Reaped, Turn, VirtualTime};
pub use client::Queue;
pub use config::QueueConfig;
pub use dead_letters::Redriven;
pub use error::QueueError;
pub use explain::{Explanation, WaitsFor};
pub use finish::{Finish, OnFailure, OpenGroup, Verdict};
pub use finishing::FinishedJob;
pub use inspect::Inspected;
pub use kept_settings::KeptSettings;
pub use lane::Lane;
pub use lanes::LaneStatus;
#[cfg(feature = "test-support")]
pub use library::LibraryPatch;
pub use limits::{Flow, LimitReached, TenantShare};
pub use list::{InvalidCursor, JobFilter, JobPage, JobSummary, KeptEntry, KeptPage, ListCursor};
#[cfg(feature = "test-support")]
pub use memory::MemoryQueue;
pub use resharding::{ReshardError, Resharded, reshard};
pub use status::{
    ConflictDone, JobState, JobStatus, Kept, KeptJob, PushOutcome, QueueStats, Reason, UniqueConflict,
};
#[cfg(feature = "test-support")]
pub use worker::run_for_tests;
pub use worker::{
    FetchedJob, JobBackend, NextShard, QuarantinedJob, ShardOrder, StopReport, WorkerObserver, WorkerOptions,
    WorkerQueue,
};
