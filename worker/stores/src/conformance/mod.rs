//! The conformance suite: what every implementation of the stores has to do.
//!
//! Each check creates two tenants with similar ids, stores the same data for both, and compares what each of them
//! reads.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check fails by panicking")]

mod accept;
mod api_keys;
mod audit;
mod batches;
mod blobs;
mod cache;
mod called_off;
mod closing;
mod deletion;
mod deletions;
mod directory;
mod documents;
mod fixture;
mod history;
mod identities;
mod index;
mod invitations;
mod kbs;
mod live;
mod measures;
mod members;
mod outbox;
mod provenance;
mod rag_settings;
mod registry;
mod run;
mod schedules;
mod settings;
mod slugs;
mod tenants;
mod unfinished;
mod usage;
mod webhooks;

pub use run::exercise;
