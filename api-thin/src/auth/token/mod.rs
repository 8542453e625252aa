//! Tokens (JWT): our own, signed with one secret, and those of an issuer that the installation trusts.

mod issuer;
mod own;
mod tokens;

pub use issuer::{ExternalIssuer, InvalidIssuer, IssuerAway};
pub use own::{Grant, OwnTokens, TokenNames};
pub use tokens::{InvalidToken, LEEWAY_S, NumericDate, Origin, TokenClaims, Tokens, UnverifiedToken};
