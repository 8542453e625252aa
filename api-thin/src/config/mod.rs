//! Settings of the API: what they are called as flags and environment variables, what they may be, and what they mean
//! together.

mod api;
mod connection_limits;
mod cors;
mod identity;
mod metrics;
mod request_limits;
mod resolution;
mod webhook_targets;

pub use api::{ApiConfig, ApiRules, ApiSettings, InvalidConfig, SecretSettings, StampKeySettings};
pub use connection_limits::{ConnectionLimits, ConnectionSettings};
pub use cors::{Cors, CorsSettings};
pub use identity::{AccountRules, IdentityConfig, IdentitySettings, Switch};
pub use metrics::{MetricsConfig, MetricsSettings};
pub use request_limits::{LimitSettings, RequestLimits};
pub use resolution::{Resolution, ResolutionSettings, TenantSource};
pub use webhook_targets::WebhookSettings;
