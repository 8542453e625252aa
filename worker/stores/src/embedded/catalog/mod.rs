//! The catalog in `SQLite`. Every statement filters by the tenant that the object was bound to.

mod accept;
mod api_keys;
mod called_off;
mod closing;
mod deletion;
mod documents;
mod history;
mod idempotency;
mod invitations;
mod kbs;
mod lifecycle;
mod members;
mod port;
mod rag_settings;
mod schedules;
mod settings;
mod slug;
mod tenants;
mod usage;

pub(super) use accept::outbox_insert;
pub(super) use invitations::{of_secret as invitation_of, open_total, spend as invitation_spend};
pub(super) use members::{member_put, member_total};
pub(super) use port::SqliteCatalog;
pub(super) use settings::applied as settings_applied;
pub(super) use tenants::{KB_SELECT, KbRow, TenantRow};
pub(super) use usage::jobs_count;
