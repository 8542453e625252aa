//! Black-box tests on real servers. One binary, so that they are linked once.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod actors_gone;
mod api;
mod browser;
mod busy_worker;
mod cancelled;
mod chaos;
mod cli;
mod clients;
mod fates;
mod faults;
mod fence;
mod fetching;
mod fuzz;
mod isolation;
mod jobs;
mod metrics;
mod model_answers;
mod pages;
mod pages_at_scale;
mod process;
mod progress;
mod queue;
mod readme;
mod redriven;
mod replaced;
mod same_everywhere;
mod schedule;
mod tidy;
mod traces;
mod turns;
mod two_tenants;
mod upgraded;
mod uploads_per_second;
mod users_import;
mod webhooks;
