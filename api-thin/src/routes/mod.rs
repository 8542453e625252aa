//! The routes, one file per thing. [`ROUTES`] and the router are made from the same lists, so a test that
//! walks the table walks every route there is.

mod api_key_view;
mod api_keys;
mod auth;
mod auth_view;
mod cancel;
mod dead_letters;
mod docs;
mod document_view;
mod documents;
mod flow;
mod graph;
mod health;
mod home;
mod invitations;
mod job_counts;
mod job_filter;
mod job_view;
mod jobs;
mod kbs;
mod kept_view;
mod lanes;
mod members;
mod page;
mod plans;
mod rag_settings;
mod reindex;
mod schedules;
mod settings;
mod settings_view;
mod sign_up;
mod table;
mod tenants;
mod text;
mod usage;
mod versioned;

pub(crate) use docs::{Document, Page};
pub(crate) use home::{Home, Welcome};
pub(crate) use table::documented_routes;
pub use table::{Access, ROUTES, Route, Scope, router};
pub(crate) use versioned::{Created, Secret, Versioned};
