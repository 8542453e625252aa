//! Runs jobs: from a fetched envelope to a verified context, a handler, and the job's end.
//!
//! Programs with job types of their own implement [`jobs::Job`] and [`Handler`] and begin at
//! [`Worker::builder`]; [`layer`] says how to put middleware around every job. `jobs/examples/invoices` is a
//! whole program.

pub mod builder;
pub mod command;
pub mod compute;
pub mod context;
pub mod demo;
pub mod dev;
pub mod extract;
pub mod handler;
pub mod health;
pub mod layer;
pub mod limits_sync;
pub mod outbox;
pub mod registry;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod system;
pub mod tenants;
#[cfg(feature = "test-support")]
pub mod test_bench;
pub mod text;
pub mod tools;
pub mod users;

mod handlers;
mod history;
mod periodic;
mod process;
mod retry;

pub use builder::{StartError, WorkerBuilder};
pub use context::JobContext;
pub use handler::Handler;
pub use registry::Registry;
pub use run::Worker;
pub use stores;
pub use tenants::{NotAdmitted, Tenants};
#[cfg(feature = "test-support")]
pub use test_bench::TestBench;
