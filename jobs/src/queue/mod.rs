//! The fair queue on Redis.
