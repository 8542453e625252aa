//! The HTTP API, asked over HTTP.

mod bad_input;
mod credentials;
mod every_route;
mod idempotency;
mod jobs;
mod media;
mod pages;
mod queue_away;
mod requests;
mod schedules;
mod tenants;
mod uploads;
