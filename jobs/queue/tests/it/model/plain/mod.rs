//! The queue in plain Rust: slow, obvious, and exact.

mod cancel;
mod charge;
mod claims;
mod ends;
mod enqueue;
mod groups;
mod healing;
mod limits;
mod line;
mod settings;
mod state;
mod unique;
mod waiting;

pub(super) use ends::Ended;
pub(super) use enqueue::{Block, Conflict, Enqueued, Refused};
pub(super) use line::Line;
pub(super) use state::{
    Claim, DAMAGED, Flow, Id, Job, Keeping, Litter, Model, Place, Spec, Timer, UniqueSpec,
};
