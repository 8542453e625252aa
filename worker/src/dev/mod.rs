//! The whole system in one process: API, worker and scheduler on embedded stores and a Redis of its own.

mod redis_child;
mod redis_socket;
mod secrets;
mod system;

pub use redis_child::{LocalRedis, RedisMissing};
pub use secrets::DevSecrets;
pub use system::{DevOptions, DevSystem};
