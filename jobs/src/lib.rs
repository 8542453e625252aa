//! What a job is: its tenant, its signed envelope, and its way through the queue on Redis.
//!
//! Data flows through this crate in one direction: [`tenant`] is the authenticated caller, [`envelope`] stamps the job
//! with it, [`queue`] carries the stamped bytes, and [`envelope::Verifier`] is the only way from those bytes back to a
//! [`tenant::TenantContext`].
//! No database driver is named here; Redis is reached only by [`fair_queue`], behind [`queue`].

pub mod cron;
pub mod enqueuer;
pub mod envelope;
pub mod error;
pub mod id;
pub mod job;
pub mod kind;
pub mod metrics;
pub mod plan;
pub mod queue;
#[cfg(feature = "schemars")]
mod schema;
pub mod seal;
pub mod tenant;
pub mod types;
pub mod webhook;

pub use fair_queue::{clock, redis, url};

pub use enqueuer::{EnqueueError, Enqueuer};
pub use error::JobError;
pub use id::{BatchId, DocumentId, GroupId, JobId};
pub use job::{Job, JobPolicy, Lane, Priority};
pub use kind::JobKind;
