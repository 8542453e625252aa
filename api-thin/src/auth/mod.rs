//! Who asks, and what they may reach. Nothing here knows of HTTP frameworks: headers come in as text, and
//! what goes out is a [`Principal`] or a reason why not.

mod api_key;
mod authenticator;
mod invitation;
mod key_usage;
mod names;
mod presented;
mod principal;
mod seal;
mod secret;
mod token;

pub use api_key::{ApiKey, KeyMint};
pub use authenticator::{AuthError, Authenticator};
pub use invitation::{InvalidInvitation, InvitationToken};
pub(crate) use key_usage::KeyUsage;
pub use names::{Conflict, one_name};
pub use presented::{Presented, Unreadable};
pub use principal::{Member, Principal, SuperAdmin};
pub use secret::{SecretHash, ShortSecret};
pub use token::{
    ExternalIssuer, Grant, InvalidIssuer, InvalidToken, IssuerAway, LEEWAY_S, NumericDate, Origin, OwnTokens,
    TokenClaims, TokenNames, Tokens, UnverifiedToken,
};
