//! Who asks, and what they may reach. Nothing here knows of HTTP frameworks: headers come in as text, and
//! what goes out is an [`Identity`] or a reason why not.

mod api_key;
mod authenticator;
mod identity;
mod key_usage;
mod names;
mod presented;
mod secret;
mod token;

pub use api_key::{ApiKey, KeyMint};
pub use authenticator::{AuthError, Authenticator};
pub use identity::{Identity, Member, SuperAdmin};
pub(crate) use key_usage::KeyUsage;
pub use names::{Conflict, one_name};
pub use presented::{Presented, Unreadable};
pub use secret::{SecretHash, ShortSecret};
pub use token::{
    ExternalIssuer, Grant, InvalidIssuer, InvalidToken, IssuerAway, Origin, OwnTokens, TokenClaims,
    TokenNames, Tokens, UnverifiedToken,
};
