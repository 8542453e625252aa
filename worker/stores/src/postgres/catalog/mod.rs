//! The catalog of one tenant.

mod accept;
mod api_key;
mod called_off;
mod closing;
mod deletion;
mod document;
mod history;
mod idempotency;
mod invitation;
mod kb;
mod lifecycle;
mod member;
mod port;
mod rag_settings;
mod schedule;
mod settings;
mod slug;
mod tenant;
mod usage;

pub(super) use invitation::{delete as invitation_delete, of_secret as invitation_of, open_total};
pub(super) use member::{put as member_put, total as member_total};
pub(crate) use port::PgCatalogs;
pub(super) use settings::applied as settings_applied;
pub(super) use tenant::{lock as tenant_lock, read_tenant};
pub(super) use usage::jobs_count;
