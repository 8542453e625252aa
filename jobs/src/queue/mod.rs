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

mod answer;
mod claim;
mod client;
mod config;
mod connection;
mod error;
mod finish;
mod finishing;
mod heartbeat;
mod lane;
mod library;
mod preflight;
mod push;
mod record;
mod status;
mod worker;

pub use claim::{Claim, ClaimedJob, FetchRequest, Fetched, Reaped};
pub use client::Queue;
pub use config::QueueConfig;
pub use error::QueueError;
pub use finish::{Finish, OpenGroup, Verdict};
pub use finishing::FinishedJob;
pub use lane::Lane;
pub use status::{JobState, JobStatus, Kept, KeptJob, PushOutcome, QueueStats, Reason, TenantShare};
#[cfg(feature = "test-support")]
pub use worker::run_for_tests;
pub use worker::{
    FetchedJob, JobBackend, QuarantinedJob, StopReport, WorkerObserver, WorkerOptions, WorkerQueue,
};
