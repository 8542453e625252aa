//! Who asks, and what they may reach. Nothing here knows of HTTP frameworks: headers come in as text, and
//! what goes out is a [`Principal`] or a reason why not.

mod api_key;
mod authenticator;
mod invitation;
mod key_derivation;
mod secret;
mod token;

pub use api_key::ApiKey;
pub(crate) use api_key::KeyUsage;
pub use authenticator::{
    AuthError, Authenticator, Member, Presented, Principal, Sessions, SuperAdmin, Unreadable,
};
pub use invitation::{InvalidInvitation, InvitationToken};
pub use key_derivation::KeyDerivation;
pub use secret::{SecretHash, ShortSecret};
pub use token::{
    ExternalIssuer, Grant, InvalidIssuer, InvalidToken, IssuerAway, LEEWAY_S, NumericDate, Origin, OwnTokens,
    TokenClaims, TokenNames, Tokens, UnverifiedToken,
};
