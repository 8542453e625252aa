//! The queue on a real Redis.

mod basics;
mod fairness;
mod groups;
mod leases;
mod robustness;
mod support;
mod worker_queue;
