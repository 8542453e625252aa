//! The HTTP API, asked over HTTP.

mod api_keys;
mod bad_input;
mod cancel;
mod credentials;
mod dead_letters;
mod every_route;
mod flow;
mod idempotency;
mod issuer;
mod jobs;
mod kbs;
mod limits;
mod log_in;
mod media;
mod members;
mod operators_lists;
mod pages;
mod queue_away;
mod quotas;
mod rates;
mod requests;
mod schedules;
mod sign_up;
mod super_admins;
mod tenants;
mod uploads;
