//! Changing the number of shards.
//!
//! The queue is frozen while it happens: every shard says `from>to` where it otherwise says how many there are, and
//! all operations that begin with a look at it refuse. So nothing moves but what is moved here, and each step can be
//! repeated: copy everything that changes its shard, note that (`from>to!`), remove what was copied, write the new
//! number. Whoever is killed in between starts again, with the copies or with the removal.

mod copy;
mod steps;

pub use steps::{ReshardError, Resharded, reshard};
