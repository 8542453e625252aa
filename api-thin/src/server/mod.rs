//! The server around the routes: what it is built from, what surrounds every request, and how it starts and
//! stops.

mod api_settings;
mod config;
mod deadline;
mod identity_config;
mod identity_settings;
mod observe;
mod refuse;
mod serve;
mod settings;
mod state;
mod surround;
mod unread;

pub use api_settings::{ApiRules, ApiSettings, SecretSettings};
pub use config::{ApiConfig, InvalidConfig};
pub use identity_config::IdentityConfig;
pub use identity_settings::IdentitySettings;
pub use serve::serve;
pub use settings::LimitSettings;
pub use state::{ApiParts, ApiState};
pub(crate) use surround::surround;
