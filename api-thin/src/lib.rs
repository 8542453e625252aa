#![doc = include_str!("../README.md")]

pub mod accept;
pub mod accounts;
pub mod answer;
mod audit;
pub mod auth;
pub mod authority;
mod bookkeeping;
pub mod config;
pub mod connections;
pub mod documents;
mod event_stream;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod program;
mod rate_limit;
pub mod request;
pub mod routes;
pub mod server;
mod state;

pub use config::{
    ApiConfig, ApiRules, ApiSettings, ConnectionLimits, ConnectionSettings, Cors, CorsSettings,
    IdentityConfig, IdentitySettings, InvalidConfig, LimitSettings, MetricsConfig, MetricsSettings,
    RequestLimits, Resolution, ResolutionSettings, SecretSettings, StampKeySettings, TenantSource,
};
pub use connections::{Connections, listen};
pub use dashboard::OneTimeLink;
pub use routes::{ROUTES, Route};
pub use server::{router, serve};
pub use state::{ApiParts, ApiState};
