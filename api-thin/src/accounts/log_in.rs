//! Log-ins: creating, renewing and ending sessions; wrong passwords are throttled.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use jobs::clock::SharedClock;
use jobs::tenant::{Identity, Role, TenantId};
use secrecy::SecretString;
use stores::model::{
    Invitation, InvitationAccepted, Invitee, Membership, Renewal, Session, ThrottleRule, User, UserName,
};
use stores::{Identities, StoreError};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::password::{Hashing, PasswordFault, Passwords};
use super::refresh_token::{InvalidRefreshToken, RefreshToken};
use crate::auth::{Grant, InvitationToken, KeyDerivation, OwnTokens, Sessions};
use crate::config::AccountRules;
use crate::connections::ClientAddress;
use crate::problem::{Code, Problem};

/// The dependencies of [`Accounts`].
pub struct AccountsParts {
    /// Users and sessions.
    pub identities: Arc<Identities>,
    /// Cached check whether a session is still valid, shared with the authenticator.
    pub sessions: Sessions,
    /// Issues tokens, if the installation has a secret for them.
    pub tokens: Option<OwnTokens>,
    /// Derives refresh tokens.
    pub keys: KeyDerivation,
    /// The rules for accounts and the login throttle.
    pub rules: AccountRules,
    /// The clock.
    pub clock: SharedClock,
}

/// Logs people in and out.
pub struct Accounts {
    parts: AccountsParts,
    passwords: Passwords,
    turns: Turns,
}

/// Unchecked credentials of a log-in.
pub struct Credentials {
    /// The user's name, as it was typed.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// The tenant to act in, if it was named.
    pub tenant: Option<TenantId>,
}

/// A session that has begun, and its tokens.
pub struct LoggedIn {
    /// The user that logged in.
    pub user: UserName,
    /// The tenant and the user's role in it; `None` for a super-admin who acts in no tenant.
    pub tenant: Option<(TenantId, Role)>,
    /// Good for `access_life`.
    pub access_token: String,
    /// [`AccountRules::token_life`]
    pub access_life: TimeDelta,
    /// Good for one renewal within [`Accounts::SESSION_LIFE`].
    pub refresh_token: String,
}

impl Accounts {
    /// How long a session goes on without being renewed.
    pub const SESSION_LIFE: TimeDelta = TimeDelta::days(30);

    /// Accounts on these parts.
    #[must_use]
    pub fn new(parts: AccountsParts) -> Self {
        Self { parts, passwords: Passwords::default(), turns: Turns::default() }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &AccountRules {
        &self.parts.rules
    }

    /// Hashes passwords.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The memberships of a person, over all tenants.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn memberships(&self, identity: &Identity) -> Result<Vec<Membership>, stores::StoreError> {
        self.parts.identities.memberships(identity).await
    }

    /// Whether there is an account of this name.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn exists(&self, name: &str) -> Result<bool, stores::StoreError> {
        match name.parse() {
            Ok(name) => Ok(self.parts.identities.user(&name).await?.is_some()),
            Err(_) => Ok(false),
        }
    }

    /// The invitation that this text is the secret of.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn invitation(
        &self,
        token: &InvitationToken,
    ) -> Result<Option<Invitation>, stores::StoreError> {
        let now = self.parts.clock.now();
        self.parts.identities.invitation_of(&token.tenant, &token.stored(), now).await
    }

    /// The account that accepts an invitation: the existing one, if the password is correct, or a new one.
    ///
    /// # Errors
    /// When the account exists and the password is wrong, or the name or password is not allowed for a new one.
    pub async fn invitee(&self, name: UserName, password: SecretString) -> Result<Invitee, LogInRefused> {
        if self.parts.tokens.is_none() {
            return Err(LogInRefused::NoTokens);
        }
        if self.parts.identities.user(&name).await?.is_some() {
            let name = self.check(name.as_str(), password).await?;
            return Ok(Invitee::Known(name.identity()));
        }
        if self.is_super_admin(&name) {
            return Err(LogInRefused::Reserved);
        }
        Passwords::check(&password)?;
        Ok(Invitee::New(User { password_hash: self.passwords.hash(password).await?, name }))
    }

    /// Makes a person a member; the invitation cannot be used again.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn accept(
        &self,
        token: &InvitationToken,
        who: &Invitee,
        maximum: Option<u64>,
    ) -> Result<InvitationAccepted, stores::StoreError> {
        let now = self.parts.clock.now();
        self.parts.identities.invitation_accept(&token.tenant, &token.stored(), who, maximum, now).await
    }

    /// Begins a session.
    ///
    /// # Errors
    /// When it is not begun, and why.
    pub async fn log_in(
        &self,
        credentials: Credentials,
        from: ClientAddress,
    ) -> Result<LoggedIn, LogInRefused> {
        let tokens = self.parts.tokens.as_ref().ok_or(LogInRefused::NoTokens)?;
        self.count(&format!("login:address:{from}"), self.parts.rules.per_address).await?;
        let user = self.check(&credentials.username, credentials.password).await?;
        let tenant = self.choose(&user, credentials.tenant).await?;
        let now = self.parts.clock.now();
        let session = Session {
            id: Uuid::now_v7(),
            user,
            tenant: tenant.as_ref().map(|(tenant, _)| tenant.clone()),
            generation: 1,
            expires_at: now + Self::SESSION_LIFE,
        };
        self.parts.identities.session_insert(&session, now).await?;
        Ok(self.logged_in(tokens, session, tenant))
    }

    /// Renews a session. The refresh token is used up afterwards, also when this fails.
    ///
    /// # Errors
    /// When the session is not renewed, with the reason.
    pub async fn renew(&self, refresh_token: &str) -> Result<LoggedIn, LogInRefused> {
        let tokens = self.parts.tokens.as_ref().ok_or(LogInRefused::NoTokens)?;
        let token = RefreshToken::read(refresh_token, &self.parts.keys)?;
        let now = self.parts.clock.now();
        let (id, expires_at) = (token.session, now + Self::SESSION_LIFE);
        let session = match self.parts.identities.session_renew(id, token.generation, expires_at, now).await?
        {
            Renewal::Renewed(session) => session,
            Renewal::Reused => {
                tracing::warn!(session.id = %id, "a refresh token was used twice: its session has been ended");
                self.parts.sessions.forget(id);
                return Err(LogInRefused::Reused);
            }
            Renewal::Ended => return Err(InvalidRefreshToken.into()),
        };
        let tenant = match &session.tenant {
            Some(tenant) => self.choose(&session.user, Some(tenant.clone())).await?,
            None if self.is_super_admin(&session.user) => None,
            None => return Err(LogInRefused::NoMember(None)),
        };
        Ok(self.logged_in(tokens, session, tenant))
    }

    /// Ends a session: its tokens stop working here at once, elsewhere within seconds.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn log_out(&self, session: Uuid) -> Result<(), stores::StoreError> {
        self.parts.identities.session_end(session, self.parts.clock.now()).await?;
        self.parts.sessions.forget(session);
        Ok(())
    }

    /// Gives a user another password, if they know the one of now. Their sessions but `kept` end, here at once and
    /// elsewhere within seconds.
    ///
    /// # Errors
    /// When the password stays, and why.
    pub async fn change_password(
        &self,
        (name, kept): (&UserName, Uuid),
        (current, new): (SecretString, SecretString),
        from: ClientAddress,
    ) -> Result<(), LogInRefused> {
        self.count(&format!("login:address:{from}"), self.parts.rules.per_address).await?;
        let name = self.check(name.as_str(), current).await?;
        let user = User { password_hash: self.passwords.hash(new).await?, name };
        if !self.parts.identities.password_put(&user, kept, self.parts.clock.now()).await? {
            return Err(LogInRefused::Wrong);
        }
        self.parts.sessions.forget_all();
        Ok(())
    }

    /// Counts a try, or refuses it.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn count(&self, throttle: &str, rule: Option<ThrottleRule>) -> Result<(), LogInRefused> {
        let Some(rule) = rule else { return Ok(()) };
        match self.parts.identities.throttle_enter(throttle, rule, self.parts.clock.now()).await? {
            Some(wait) => Err(LogInRefused::TooMany(wait)),
            None => Ok(()),
        }
    }

    /// Whether a user has the operator's permissions.
    #[must_use]
    pub fn is_super_admin(&self, user: &UserName) -> bool {
        self.parts.rules.super_admins.contains(&user.identity())
    }

    /// Checks a password and returns its user. An unknown user and a wrong password cannot be told apart: same error,
    /// same duration, same counting.
    async fn check(&self, username: &str, password: SecretString) -> Result<UserName, LogInRefused> {
        let Ok(name) = username.parse::<UserName>() else {
            self.passwords.verify(password, None).await?;
            return Err(LogInRefused::Wrong);
        };
        let throttle = format!("login:user:{name}");
        // A try counts until it turns out to be good. Those of one user wait for each other, so that many good
        // ones at once are not taken for many bad ones.
        let _turn = self.turns.of(&name).await;
        self.count(&throttle, Some(self.parts.rules.lock)).await?;
        let hash = self.parts.identities.user(&name).await?.map(|user| user.password_hash);
        if !self.passwords.verify(password, hash).await? {
            return Err(LogInRefused::Wrong);
        }
        self.parts.identities.throttle_reset(&throttle).await?;
        Ok(name)
    }

    /// The tenant that a user acts in: the named one, or else the only one the user is a member of.
    async fn choose(
        &self,
        user: &UserName,
        named: Option<TenantId>,
    ) -> Result<Option<(TenantId, Role)>, LogInRefused> {
        let mut memberships = self.parts.identities.memberships(&user.identity()).await?;
        if let Some(named) = &named {
            memberships.retain(|membership| membership.tenant == *named);
        }
        match memberships.as_slice() {
            [only] => Ok(Some((only.tenant.clone(), only.role))),
            _ if named.is_none() && self.is_super_admin(user) => Ok(None),
            [] => Err(LogInRefused::NoMember(named)),
            many => Err(LogInRefused::Which(many.iter().map(|one| one.tenant.clone()).collect())),
        }
    }

    fn logged_in(&self, tokens: &OwnTokens, session: Session, tenant: Option<(TenantId, Role)>) -> LoggedIn {
        let Session { id, user, generation, .. } = session;
        let access_life = self.parts.rules.token_life;
        let grant = Grant {
            life: access_life,
            user: user.as_str(),
            session: id,
            tenant: tenant.as_ref().map(|(tenant, role)| (tenant, *role)),
        };
        let access_token = tokens.issue(&grant, self.parts.clock.now());
        let refresh_token = RefreshToken { session: id, generation }.reveal(&self.parts.keys);
        LoggedIn { user, tenant, access_token, access_life, refresh_token }
    }
}

/// Serialises the log-ins of one user: a fixed number of locks, each for a few users.
struct Turns {
    locks: [Mutex<()>; 64],
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())), hasher: RandomState::new() }
    }
}

impl Turns {
    async fn of(&self, name: &UserName) -> MutexGuard<'_, ()> {
        let slot = usize::try_from(self.hasher.hash_one(name) % 64).unwrap_or_default();
        self.locks[slot].lock().await
    }
}

/// Why a log-in, or another request with a password, is refused.
#[derive(Debug, thiserror::Error)]
pub enum LogInRefused {
    /// There is no such user, or the password is wrong. One text for both.
    #[error("user name or password is wrong")]
    Wrong,
    /// Too many tries.
    #[error("too many attempts: wait, then try again")]
    TooMany(Duration),
    /// The user is a member of no tenant, or not of the named one.
    #[error("the user is not a member of {}", .0.as_ref().map_or("any tenant", |_| "this tenant"))]
    NoMember(Option<TenantId>),
    /// The user is a member of several tenants and has to name one.
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
    /// The name is reserved for the operator.
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
    /// The login throttle refuses another try.
    pub(crate) fn too_many_attempts(wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        let detail = format!("wait {seconds} s, then try again");
        Self::new(Code::TooManyAttempts, detail).retry_after_s(seconds)
    }
}
