//! The routes, one file per thing. [`ROUTES`] and the router are made from the same lists, so a test that
//! walks the table walks every route there is.

mod documents;
mod graph;
mod health;
mod job_view;
mod jobs;
mod kbs;
mod page;
mod reindex;
mod schedules;
mod table;
mod tenants;

pub use table::{ROUTES, Route, Scope, router};
