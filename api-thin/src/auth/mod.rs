//! Authentication: from header values as text to a [`Principal`], or the reason for its refusal. Independent of HTTP
//! frameworks.

mod api_key;
mod authenticator;
mod invitation;
mod key_derivation;
mod token;

pub(crate) use api_key::KeyUsage;
pub use api_key::{ApiKey, SecretHash};
pub use authenticator::{
    AuthError, Authenticator, Member, Presented, Principal, Sessions, SuperAdmin, Unreadable,
};
pub use invitation::{InvalidInvitation, InvitationToken};
pub use key_derivation::{KeyDerivation, ShortSecret};
pub use token::{
    ExternalIssuer, Grant, InvalidIssuer, InvalidToken, IssuerAway, LEEWAY_S, NumericDate, Origin, OwnTokens,
    TokenClaims, TokenNames, Tokens, UnverifiedToken,
};
