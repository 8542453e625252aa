//! People who log in: passwords, sessions, and how often somebody may try.

mod client_address;
mod log_in;
mod password;
mod refresh_token;
mod refusal;
mod rules;
mod sessions;
mod slug;

pub use client_address::ClientAddress;
pub use log_in::{Accounts, AccountsParts, Credentials, LoggedIn};
pub use password::{Hashing, PasswordFault, Passwords};
pub use refresh_token::{InvalidRefreshToken, RefreshToken};
pub use refusal::LogInRefused;
pub use rules::{AccountRules, Switch};
pub use sessions::Sessions;
pub use slug::{SlugFault, is_reserved, slug};
