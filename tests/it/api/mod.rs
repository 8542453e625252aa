//! The HTTP API, asked over HTTP.

mod api_keys;
mod bad_input;
mod cancel;
mod credentials;
mod dead_letters;
mod every_route;
mod flow;
mod idempotency;
mod jobs;
mod limits;
mod media;
mod members;
mod operators_lists;
mod pages;
mod queue_away;
mod quotas;
mod rates;
mod requests;
mod schedules;
mod tenants;
mod uploads;
