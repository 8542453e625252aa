//! What happens when something breaks.

mod audit_unwritten;
mod envelope_tampered;
mod full_disk;
mod replayed;
mod worker_killed;
mod workers_die;
