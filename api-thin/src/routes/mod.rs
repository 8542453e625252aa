//! The routes, one file per thing. [`ROUTES`] and the router are made from the same lists, so a test that
//! walks the table walks every route there is.

mod api_keys;
mod auth;
mod cancel;
mod dead_letters;
mod documents;
mod flow;
mod graph;
mod health;
mod job_filter;
mod job_view;
mod jobs;
mod kbs;
mod lanes;
mod members;
mod page;
mod plans;
mod rag_settings;
mod reindex;
mod schedules;
mod settings;
mod sign_up;
mod table;
mod tenants;
mod text;
mod usage;
mod versioned;

pub use table::{Access, ROUTES, Route, Scope, router};
