//! The catalog: tenants, documents, jobs in the outbox, job history; in PostgreSQL or in a SQLite file.
//!
//! Each rule is written once, beside its SQL, as a method of one of a few types: [`Catalog`] and [`Lifecycle`] for
//! one tenant, [`Identities`] for accounts, [`OutboxRelay`], [`DueSchedules`], [`SettingsRelay`], [`WebhookRelay`],
//! [`UnfinishedJobs`], [`AuditRetention`] and [`DirectoryRows`] for one purpose across tenants.

mod accept;
mod api_keys;
mod audit_chain;
mod audit_log;
mod batches;
mod cancel;
mod db;
mod deletions;
mod dialect;
mod directory;
mod documents;
pub(crate) mod history;
mod identities;
mod kbs;
mod lifecycle;
mod measures;
mod members;
mod operator_audit;
mod relays;
mod schedules;
mod tenant_catalog;
mod tenant_list;
mod tenants;
mod unfinished;
mod usage;
mod webhook_deliveries;
mod webhook_events;
mod webhooks;

pub use db::TRIPS;
#[cfg(feature = "postgres")]
pub(crate) use db::{Access, Whose};
pub(crate) use db::{Db, Reader, Tx, View};
pub(crate) use dialect::{Read, Row, Sql, Value, sql};
pub(crate) use directory::{DirectoryRows, MemberRecord};
pub use identities::Identities;
pub use lifecycle::Lifecycle;
pub use measures::{Connections, Measures, MissingMeasure, OutboxMeasure, TenantMeasure, WaitingDocument};
pub use operator_audit::AuditRetention;
pub use relays::{OutboxRelay, OutboxRow, SettingsRelay};
pub use schedules::DueSchedules;
pub use tenant_catalog::Catalog;
pub(crate) use tenant_catalog::Catalogs;
pub use unfinished::UnfinishedJobs;
pub use webhook_deliveries::WebhookRelay;
