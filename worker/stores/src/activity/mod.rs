//! What workers did in the last hour, minute by minute: a few small hashes in Redis that expire. For people who look at
//! an installation, not for accounting: what a worker counted since its last flush is lost when it dies.

mod counts;
mod minutes;

pub use counts::{Counts, Minute};
pub use minutes::{Activity, Held, HeldState};
