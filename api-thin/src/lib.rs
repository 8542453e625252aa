//! The HTTP API: says who asks, stamps what they ask for, and answers 202.
//!
//! A request passes [`request`], which turns credentials (checked by [`auth`]) into a
//! [`jobs::tenant::TenantContext`]; a handler in `routes` reads the tenant's stores or puts a request
//! together; [`accept`] writes it down in one transaction and hands the job to the queue. Every refusal is a
//! [`problem::Problem`].
//!
//! [`router`] and [`serve`] run it inside any program that holds the parts; the `api-thin` binary builds the
//! parts from the environment.

pub mod accept;
pub mod accounts;
mod answer;
pub mod auth;
pub mod config;
pub mod connections;
pub mod documents;
pub mod openapi;
pub mod problem;
pub mod program;
mod rate_limit;
pub mod request;
pub mod routes;
pub mod server;
mod state;

pub use config::{
    ApiConfig, ApiRules, ApiSettings, ConnectionLimits, ConnectionSettings, IdentityConfig, IdentitySettings,
    InvalidConfig, LimitSettings, Resolution, ResolutionSettings, SecretSettings, TenantSource,
};
pub use connections::{Connections, listen};
pub use routes::{ROUTES, Route};
pub use server::{router, serve};
pub use state::{ApiParts, ApiState};
