//! What happens when something breaks.

mod envelope_tampered;
mod worker_killed;
mod workers_die;
