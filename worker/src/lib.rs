#![doc = include_str!("../README.md")]

pub mod builder;
pub mod compute;
pub mod context;
pub mod handler;
pub mod health;
pub mod layer;
pub mod limits_sync;
#[cfg(feature = "local-redis")]
pub mod local_redis;
pub mod metrics;
pub mod outbox;
pub mod reconcile;
pub mod registry;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod tenants;
#[cfg(feature = "test-support")]
pub mod test_bench;
pub mod webhooks;

mod activity;
mod held;
mod history;
mod periodic;
mod process;
mod registration;
mod retry;

pub use builder::{StartError, WorkerBuilder};
pub use context::JobContext;
pub use handler::{Handler, Reopen, Reopened};
pub use registry::Registry;
pub use run::{ConnectedWorker, Worker};
pub use stores;
pub use tenants::{NotAdmitted, Tenants};
#[cfg(feature = "test-support")]
pub use test_bench::TestBench;
