//! The HTTP API: says who asks, stamps what they ask for, and answers 202.
//!
//! A request passes [`extract`], which turns credentials (checked by [`auth`]) into a
//! [`jobs::tenant::TenantContext`]; a handler in `routes` reads the tenant's stores or puts a request
//! together; [`accept`] writes it down in one transaction and hands the job to the queue. Every refusal is a
//! [`problem::Problem`].
//!
//! [`router`] and [`serve`] run it inside any program that holds the parts; the `api-thin` binary builds the
//! parts from the environment.

pub mod accept;
pub mod accounts;
pub mod auth;
mod cancel;
pub mod connections;
pub mod documents;
pub mod extract;
mod job_names;
mod meter;
pub mod openapi;
pub mod problem;
pub mod program;
mod redrive;
mod resolve;
pub mod routes;
pub mod server;

pub use connections::{ConnectionLimits, ConnectionSettings, Connections, listen};
pub use resolve::{Resolution, ResolutionSettings, TenantSource};
pub use routes::{ROUTES, Route, router};
pub use server::{
    ApiConfig, ApiParts, ApiRules, ApiSettings, ApiState, IdentityConfig, IdentitySettings, InvalidConfig,
    LimitSettings, SecretSettings, serve,
};
