//! The queue on a real Redis. One binary, so that it is linked once.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod apalis_program;
mod basics;
mod cancel;
mod census;
mod client;
mod coalesce;
mod conformance;
mod damage;
mod fairness;
mod group_policy;
mod groups;
mod healing;
mod incidents;
mod layout;
mod leases;
mod limits;
mod lists;
mod lost;
mod model;
mod mutations;
mod overview;
mod reschedule;
mod resharding;
mod robustness;
mod shares;
mod simulation;
mod storage;
mod support;
mod turns;
mod unique;
mod worker_queue;
