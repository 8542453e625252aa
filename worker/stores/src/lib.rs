//! The stores of a tenant, behind ports, and the only crate that names a database driver.
//!
//! [`Stores`] offers nothing but [`Stores::scoped`]: the holder of a [`jobs::tenant::TenantContext`] gets that
//! tenant's stores, and no method takes another tenant. The few things that work across tenants are separate types
//! with one purpose each: the [`Directory`] for verification, the [`OutboxRelay`], the [`UnfinishedJobs`], the
//! [`DueSchedules`], the
//! [`SettingsRelay`] with limits and status of tenants for the queue, the [`Leftovers`] of interrupted requests, the
//! [`AuditRetention`], the [`Measures`] for metrics, and the [`Identities`] of people, who belong to no tenant.

pub mod activity;
#[cfg(feature = "test-support")]
pub mod conformance;
#[cfg(feature = "test-support")]
pub mod direct;
pub mod metrics;
pub mod model;
pub mod ports;
pub mod workers;

mod blobs;
mod cache;
mod catalog;
mod config;
mod content_db;
mod data_dir;
mod deadline;
mod directory;
mod documents;
mod embedded;
mod error;
mod index;
mod live;
mod open;
mod page;
#[cfg(feature = "postgres")]
mod percent;
#[cfg(feature = "postgres")]
mod postgres;
mod scoped;
mod self_test;

pub use blobs::{Leftovers, Swept};
pub use catalog::{
    AuditRetention, Catalog, Connections, DueSchedules, Identities, Lifecycle, Measures, MissingMeasure,
    OutboxMeasure, OutboxRelay, OutboxRow, SettingsRelay, TRIPS, TenantMeasure, UnfinishedJobs,
    WaitingDocument, WebhookRelay,
};
pub use config::{Backends, InvalidStores, ServerSettings, StoresConfig};
pub use data_dir::{DataDirLock, Holder};
pub use directory::QUESTIONS;
pub use error::StoreError;
#[cfg(feature = "neo4j")]
pub use index::neo4j::TenantCypher;
pub use live::{End, Follow, Listener, ListenerLimits, Missed, TenantLive, Told, Topic};
#[cfg(feature = "test-support")]
pub use open::open_without_redis;
pub use open::{Opened, open};
pub use ports::Directory;
#[cfg(feature = "postgres")]
pub use postgres::migrate;
pub use scoped::{Stores, TenantStores};
