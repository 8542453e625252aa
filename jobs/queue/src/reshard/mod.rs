//! Changing the number of shards.
//!
//! The queue is frozen while it happens: every shard holds `from>to` in the field for the number of shards, and every
//! operation that checks this field refuses. So only this module moves keys, and each step can be repeated: copy
//! everything that changes its shard, note that (`from>to!`), remove what was copied, write the new number. A run that
//! is killed in between starts again, with the copies or with the removal.

mod copy;
mod steps;

pub use steps::{ReshardError, Resharded, reshard};
