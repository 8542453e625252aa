//! Reaching Redis, one server or a cluster; and starting a server on this machine (feature `redis-server`).
//!
//! The driver's connections are named here and nowhere else: programs give their commands to a [`RedisClient`].

mod address;
mod client;
mod cluster;
mod connection;
#[cfg(feature = "redis-server")]
mod endpoint;
#[cfg(feature = "redis-server")]
mod server_process;
mod slots;
mod subscription;

#[cfg(feature = "test-support")]
pub use ::redis::make_extension_error;
pub use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Value, cmd};

pub use address::RedisAddress;
pub(crate) use client::Servers;
pub use client::{Master, RedisClient};
pub use connection::Resend;
#[cfg(feature = "redis-server")]
pub use endpoint::Endpoint;
#[cfg(feature = "redis-server")]
pub use server_process::{ServerCommand, ServerError, ServerProcess};
pub use subscription::{Subscription, SubscriptionEvent};

pub(crate) use slots::slot_of;
