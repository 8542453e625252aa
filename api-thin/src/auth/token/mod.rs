//! Tokens (JWT): our own, signed with one secret, and those of an issuer that the installation trusts.

mod claims;
mod external;
mod issuer_keys;
mod own;
mod tokens;

pub use claims::{InvalidToken, LEEWAY_S, NumericDate, TokenClaims};
pub use external::{ExternalIssuer, InvalidIssuer};
pub use issuer_keys::IssuerAway;
pub use own::{Grant, OwnTokens, TokenNames};
pub use tokens::{Origin, Tokens, UnverifiedToken};
