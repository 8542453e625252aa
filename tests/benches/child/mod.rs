//! The processes that are measured: this program again, with a sub-command.

mod commands;
pub(crate) mod producer;
pub(crate) mod whole;
pub(crate) mod worker;

pub(crate) use producer::{Produced, ProducerSpec, Way};
pub(crate) use worker::{WorkerDone, WorkerSpec};
