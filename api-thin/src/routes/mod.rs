//! The routes, one file per thing. [`ROUTES`] and the router are made from the same lists, so a test that
//! walks the table walks every route there is.

mod activity;
mod api_keys;
mod audit_log;
mod auth;
mod batches;
mod chunks;
mod dead_letters;
mod document_deletions;
mod document_waits;
mod documents;
mod enumerations;
mod events;
mod graph;
mod health;
mod home;
mod invitations;
mod job_cancel;
mod job_family;
mod job_filter;
mod job_reschedule;
mod jobs;
mod kbs;
mod members;
mod parameters;
mod plans;
mod queues;
mod rag_settings;
mod schedules;
mod sign_up;
mod table;
mod tenant_list;
mod tenant_settings;
mod tenants;
mod usage;
mod webhook_deliveries;
mod webhooks;
mod workers;

pub(crate) use events::{EventPage, Events};
pub(crate) use health::Exposition;
pub(crate) use home::{Document, Home, Page, Welcome};
pub(crate) use table::documented_routes;
pub use table::{Access, Audit, ROUTES, Route, Scope};
