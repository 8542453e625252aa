//! What every implementation of the stores has to do, as one suite that is run against each of them.
//!
//! Each check makes two tenants of its own whose ids look alike, gives both the same, and looks at what the
//! other sees.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check fails by panicking")]

mod accept;
mod api_keys;
mod blobs;
mod cache;
mod called_off;
mod closing;
mod deletion;
mod directory;
mod documents;
mod fixture;
mod history;
mod identities;
mod index;
mod invitations;
mod kbs;
mod members;
mod outbox;
mod rag_settings;
mod registry;
mod run;
mod schedules;
mod settings;
mod slugs;
mod tenants;
mod usage;

pub use run::exercise;
