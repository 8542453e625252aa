//! What happens when something breaks.

mod audit_unwritten;
mod envelope_tampered;
mod full_disk;
mod queue_lost;
mod reconciling;
mod relaying;
mod replayed;
mod worker_killed;
mod workers_die;
