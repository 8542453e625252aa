//! User accounts: passwords, sessions, and the login throttle.

mod log_in;
mod password;
mod refresh_token;
mod slug;

pub use log_in::{Accounts, AccountsParts, Credentials, LogInRefused, LoggedIn};
pub use password::{Hashing, PasswordFault, Passwords};
pub use refresh_token::{InvalidRefreshToken, RefreshToken};
pub use slug::{SlugFault, is_reserved, slug};
