use std::time::Duration;

use jobs::tenant::TenantId;
use stores::StoreError;

use super::password::{Hashing, PasswordFault};
use super::refresh_token::InvalidRefreshToken;
use crate::problem::{Code, Problem};

/// Why somebody is not logged in.
#[derive(Debug, thiserror::Error)]
pub enum LogInRefused {
    /// There is no such user, or the password is another. One text for both.
    #[error("user name or password is wrong")]
    Wrong,
    /// Too many tries.
    #[error("too many attempts: wait, then try again")]
    TooMany(Duration),
    /// The user is a member of no tenant, or not of the one that they named.
    #[error("the user is not a member of {}", .0.as_ref().map_or("any tenant", |_| "this tenant"))]
    NoMember(Option<TenantId>),
    /// The user has to say which of their tenants they mean.
    #[error("name one of your tenants in tenant_id: {}", .0.iter().map(TenantId::as_str).collect::<Vec<_>>().join(", "))]
    Which(Vec<TenantId>),
    /// The refresh token is not good.
    #[error(transparent)]
    RefreshToken(#[from] InvalidRefreshToken),
    /// The refresh token was used before.
    #[error("the refresh token was used before, so its session has been ended: log in again")]
    Reused,
    /// This installation issues no tokens.
    #[error("this installation issues no tokens: it has no TENANTRY_JWT_SECRET")]
    NoTokens,
    /// The name is kept for those who run the installation.
    #[error("choose another username")]
    Reserved,
    /// No account can have this password.
    #[error(transparent)]
    Password(#[from] PasswordFault),
    /// A password could not be checked.
    #[error(transparent)]
    Hashing(#[from] Hashing),
    /// The catalog failed.
    #[error("the catalog failed")]
    Store(#[from] StoreError),
}

impl From<LogInRefused> for Problem {
    fn from(error: LogInRefused) -> Self {
        let code = match error {
            LogInRefused::Wrong => Code::LoginFailed,
            LogInRefused::TooMany(wait) => return Self::too_many_attempts(wait),
            LogInRefused::NoMember(_) => Code::NoMembership,
            LogInRefused::Which(_) => Code::TenantRequired,
            LogInRefused::RefreshToken(_) | LogInRefused::Reused => Code::CredentialsInvalid,
            LogInRefused::NoTokens => Code::UnknownRoute,
            LogInRefused::Reserved => Code::UserExists,
            LogInRefused::Password(fault) => {
                return Self::new(Code::InvalidField, fault.to_string()).field("password");
            }
            LogInRefused::Hashing(error) => return Self::internal(&error),
            LogInRefused::Store(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl Problem {
    /// Somebody tries too often.
    pub(crate) fn too_many_attempts(wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        let detail = format!("wait {seconds} s, then try again");
        Self::new(Code::TooManyAttempts, detail).retry_after_s(seconds)
    }
}
