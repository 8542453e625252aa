//! From presented credentials to a principal: API key, token, operator's key.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobs::clock::SharedClock;
use jobs::tenant::{
    Actor, DirectoryError, Identity, KbId, Permissions, Provider, Role, TenantId, TenantStatus,
};
use moka::sync::Cache;
use secrecy::SecretString;
use stores::model::{ApiKeyRecord, Standing};
use stores::{Directory, Identities, StoreError};
use uuid::Uuid;

use super::api_key::{ApiKey, SecretHash};
use super::key_derivation::KeyDerivation;
use super::token::{InvalidToken, Origin, TokenClaims, Tokens, UnverifiedToken};

/// Why credentials do not authenticate a caller.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// They are not valid. One text for every reason that a guesser could learn from.
    #[error("the key is not known, was revoked, or has expired")]
    Key,
    /// The token is not valid, or could not be checked.
    #[error(transparent)]
    Token(#[from] UnverifiedToken),
    /// The token is valid, and its person is not, or no longer, a member of its tenant.
    #[error("the person of this token is no member of its tenant: accept an invitation of an ADMIN")]
    NoMember,
    /// The catalog failed.
    #[error("the catalog failed")]
    Store(#[from] StoreError),
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Turns presented credentials into a [`Principal`].
#[derive(Clone)]
pub struct Authenticator {
    /// Looks up API keys.
    pub directory: Arc<dyn Directory>,
    /// The clock that decides whether a key has expired.
    pub clock: SharedClock,
    /// Derives the first key of each tenant.
    pub keys: KeyDerivation,
    /// Checks tokens.
    pub tokens: Tokens,
    /// Checks whether a token's session is still valid.
    pub sessions: Sessions,
    /// The operator's key, if one is configured.
    pub operator: Option<SecretHash>,
    /// People with the operator's permissions.
    pub super_admins: BTreeSet<Identity>,
    /// Whether a token that the product signed is valid for a person who is not a member.
    pub tokens_without_membership: bool,
    /// Whether a token for a tenant that does not exist creates it.
    pub auto_provision: bool,
}

/// A person with a valid token, wherever they are a member.
struct Person {
    identity: Identity,
    /// The session that the token ends with, if it came from a log-in here.
    session: Option<Uuid>,
    claims: TokenClaims,
}

impl Authenticator {
    /// Checks credentials.
    ///
    /// # Errors
    /// When the credentials are not valid, or the issuer or the catalog does not answer.
    pub async fn identify(&self, presented: &Presented) -> Result<Principal, AuthError> {
        match presented {
            Presented::ApiKey(key) => self.by_api_key(key).await.map(Principal::Member),
            Presented::Token(token) => match self.by_operator_key(&token.as_str().into()) {
                Ok(operator) => Ok(operator),
                Err(_) => self.by_token(token).await,
            },
            Presented::Other(text) => self.by_operator_key(text),
        }
    }

    fn by_operator_key(&self, text: &SecretString) -> Result<Principal, AuthError> {
        let given = SecretHash::of(text);
        let known = self.operator.as_ref().is_some_and(|operator| *operator == given);
        if known { Ok(Principal::Operator) } else { Err(AuthError::Key) }
    }

    async fn by_token(&self, token: &str) -> Result<Principal, AuthError> {
        let person = self.person(token).await?;
        let is_super_admin = self.super_admins.contains(&person.identity);
        let member = self.member(&person).await;
        if !is_super_admin {
            return member.map(Principal::Member);
        }
        // Without a tenant, or without a membership of it, they still run the installation.
        let member = match member {
            Ok(member) => Some(member),
            Err(AuthError::NoMember | AuthError::Token(UnverifiedToken::Invalid(InvalidToken::Refused))) => {
                None
            }
            Err(error) => return Err(error),
        };
        let Person { identity, session, .. } = person;
        Ok(Principal::SuperAdmin(SuperAdmin { identity, member, session }))
    }

    /// Checks a token and returns its person, wherever they are a member. The session in the token tells an account
    /// from a person of the same name in another program that signs with the same secret.
    async fn person(&self, token: &str) -> Result<Person, AuthError> {
        let (claims, origin) = self.tokens.verify(token).await?;
        let session = claims.sid.filter(|_| origin == Origin::Own);
        if let Some(session) = session
            && !self.sessions.is_live(session).await?
        {
            return Err(refused(InvalidToken::Ended));
        }
        let identity = match (origin, session) {
            (Origin::Issuer(issuer), _) => Identity::issued(issuer, &claims.sub),
            (Origin::Own, Some(_)) => claims.sub.parse().map(|name| Identity::local(&name)),
            (Origin::Own, None) => Identity::product(&claims.sub),
        };
        let identity = identity.map_err(|_| refused(InvalidToken::Refused))?;
        Ok(Person { identity, session, claims })
    }

    /// The person of the presented token, wherever they are a member; `None` for other credentials.
    ///
    /// # Errors
    /// When the token is not valid, or the issuer or the catalog does not answer.
    pub async fn identity(&self, presented: &Presented) -> Result<Option<Identity>, AuthError> {
        match presented {
            Presented::Token(token) if self.by_operator_key(&token.as_str().into()).is_err() => {
                Ok(Some(self.person(token).await?.identity))
            }
            Presented::Token(_) | Presented::ApiKey(_) | Presented::Other(_) => {
                self.identify(presented).await.map(|_| None)
            }
        }
    }

    /// The person's role in the tenant, or less if the token says less: a signer is trusted about the person's
    /// identity, not about their permissions here.
    async fn member(&self, person: &Person) -> Result<Member, AuthError> {
        let Person { identity, session, claims } = person;
        let tenant = claims.tenant_id.clone().ok_or(refused(InvalidToken::Refused))?;
        let (role, permissions) = match self.directory.standing(&tenant, identity).await? {
            Standing::Member(member) => {
                let role = claims.role.map_or(member, |claimed| member.at_most(claimed));
                (role, Some(member.permissions().intersection(role.permissions())))
            }
            Standing::Stranger => (self.role_of_non_member(person, &tenant).await?, None),
            Standing::Removed => return Err(AuthError::NoMember),
        };
        let (actor, kb) = (Actor::User(identity.clone()), claims.kb_id.clone());
        Ok(Member { tenant, actor, role, permissions, kb, session: *session })
    }

    /// The role of a person who is not a member, if the operator allowed one: that of a token which the product
    /// signed, or, in a tenant that does not exist yet, that of the person who creates it.
    async fn role_of_non_member(&self, person: &Person, tenant: &TenantId) -> Result<Role, AuthError> {
        let Person { identity, claims, .. } = person;
        let signed_by_product = *identity.provider() == Provider::Product;
        if signed_by_product && self.tokens_without_membership {
            return claims.role.ok_or(AuthError::NoMember);
        }
        if self.auto_provision && self.directory.tenant(tenant).await?.is_none() {
            return Ok(claims.role.unwrap_or(Role::Admin));
        }
        Err(AuthError::NoMember)
    }

    async fn by_api_key(&self, key: &ApiKey) -> Result<Member, AuthError> {
        match self.directory.api_key(&key.tenant, &key.id).await? {
            Some(record) => self.holder(key, record),
            None => self.holder_of_first_key(key).await,
        }
    }

    fn holder(&self, key: &ApiKey, record: ApiKeyRecord) -> Result<Member, AuthError> {
        let now = self.clock.now();
        let secret = key.secret_hash();
        let is = |sha256: &str| SecretHash::from_hex(sha256).is_some_and(|hash| hash == secret);
        let before = record.previous.as_ref().is_some_and(|(sha256, until)| now < *until && is(sha256));
        if record.is_live(now) && (is(&record.secret_sha256) || before) {
            Ok(member(key, record.role, record.kb_id, Some(record.permissions)))
        } else {
            Err(AuthError::Key)
        }
    }

    /// The first key of a tenant has no row until the provisioning job stores it. Its holder is told that the tenant
    /// is not ready rather than that the key is wrong; only this installation could have derived its secret.
    async fn holder_of_first_key(&self, key: &ApiKey) -> Result<Member, AuthError> {
        let derived = ApiKey::derived(&self.keys, &key.tenant, &key.id).secret_hash();
        if derived != key.secret_hash() {
            return Err(AuthError::Key);
        }
        match self.directory.tenant(&key.tenant).await?.map(|record| record.status) {
            Some(TenantStatus::Provisioning) => Ok(member(key, Role::Admin, None, None)),
            Some(_) => self.holder_after_invalidation(key).await,
            None => Err(AuthError::Key),
        }
    }

    /// The tenant became active a moment ago and the directory still remembers that there was no such key.
    async fn holder_after_invalidation(&self, key: &ApiKey) -> Result<Member, AuthError> {
        self.directory.invalidate(&key.tenant).await;
        let record = self.directory.api_key(&key.tenant, &key.id).await?;
        record.ok_or(AuthError::Key).and_then(|record| self.holder(key, record))
    }
}

fn member(key: &ApiKey, role: Role, kb: Option<KbId>, permissions: Option<Permissions>) -> Member {
    let (tenant, actor) = (key.tenant.clone(), Actor::ApiKey(key.id.clone()));
    Member { tenant, actor, role, permissions, kb, session: None }
}

fn refused(token: InvalidToken) -> AuthError {
    AuthError::Token(token.into())
}

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Runs the installation: makes tenants and watches them, and is a member of none.
    Operator,
    /// Belongs to one tenant.
    Member(Member),
    /// A person with the operator's permissions as well.
    SuperAdmin(SuperAdmin),
}

impl Principal {
    /// Whether this principal has the operator's permissions.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        !matches!(self, Self::Member(_))
    }

    /// The actor whose deeds those of this principal are.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Operator => Actor::Operator,
            Self::Member(member) => member.actor.clone(),
            Self::SuperAdmin(who) => Actor::User(who.identity.clone()),
        }
    }
}

/// A person with the operator's permissions and, in their own tenant, those of their membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperAdmin {
    /// The person.
    pub identity: Identity,
    /// Their membership in the tenant that their token names, if it names one.
    pub member: Option<Member>,
    /// The session that their token ends with, if it came from our own log-in.
    pub session: Option<Uuid>,
}

/// A caller in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The only tenant that the credentials reach.
    pub tenant: TenantId,
    /// The actor that the credentials belong to.
    pub actor: Actor,
    /// Their role in the tenant.
    pub role: Role,
    /// What they may do now in what the credentials reach, where the row that proved the credentials says so; else the
    /// directory is to be asked.
    pub permissions: Option<Permissions>,
    /// The only knowledge base that the credentials reach, if they are limited to one.
    pub kb: Option<KbId>,
    /// The session that they end with, if they came from our own log-in.
    pub session: Option<Uuid>,
}

impl Member {
    /// A caller without credentials, in an installation that asks for none.
    #[must_use]
    pub fn anonymous(tenant: TenantId) -> Self {
        let actor = Actor::User(Identity::product("anonymous").expect("a name without control characters"));
        Self { tenant, actor, role: Role::Admin, permissions: None, kb: None, session: None }
    }
}

/// The credentials of a request, not verified yet.
#[derive(Clone)]
pub enum Presented {
    /// An API key of a tenant.
    ApiKey(ApiKey),
    /// Three parts joined by dots: a JWT.
    Token(String),
    /// Neither an API key nor a JWT; compared with the operator key.
    Other(SecretString),
}

/// Why credentials cannot be read from the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The request has no credentials.
    #[error("send `Authorization: Bearer <API key or token>` or `X-API-Key: <API key>`")]
    Missing,
    /// Another scheme than `Bearer`.
    #[error("the Authorization header is not `Bearer <API key or token>`")]
    Scheme,
    /// Two that are not the same.
    #[error("Authorization and X-API-Key hold different credentials: send one of them")]
    Two,
}

impl Presented {
    /// Reads the values of the `Authorization` and `X-API-Key` headers.
    ///
    /// # Errors
    /// When there are no credentials, more than one, or an unknown scheme.
    pub fn from_headers(authorization: Option<&str>, api_key: Option<&str>) -> Result<Self, Unreadable> {
        let bearer = authorization.map(bearer).transpose()?;
        match (bearer, api_key.map(str::trim).filter(|key| !key.is_empty())) {
            (None, None) => Err(Unreadable::Missing),
            (Some(one), Some(other)) if one != other => Err(Unreadable::Two),
            (Some(text), _) | (None, Some(text)) => Ok(Self::classify(text)),
        }
    }

    fn classify(text: &str) -> Self {
        if let Ok(key) = text.parse() {
            Self::ApiKey(key)
        } else if text.split('.').count() == 3 && !text.starts_with(ApiKey::PREFIX) {
            Self::Token(text.to_owned())
        } else {
            Self::Other(text.into())
        }
    }
}

/// The scheme is case-insensitive (RFC 9110, 11.1).
fn bearer(value: &str) -> Result<&str, Unreadable> {
    let (scheme, rest) = value.trim().split_once(' ').ok_or(Unreadable::Scheme)?;
    let token = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        Ok(token)
    } else {
        Err(Unreadable::Scheme)
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey",
            Self::Token(_) => "Token",
            Self::Other(_) => "Other",
        })
    }
}

/// Whether sessions go on, asked once in a while for each.
#[derive(Clone)]
pub struct Sessions {
    identities: Arc<Identities>,
    clock: SharedClock,
    live: Cache<Uuid, bool>,
}

impl Sessions {
    /// How long an answer is used again: a session that ended in another process goes on here no longer than that.
    const USED_FOR: Duration = Duration::from_secs(2);
    const REMEMBERED: u64 = 100_000;

    /// The sessions that `identities` knows.
    #[must_use]
    pub fn new(identities: Arc<Identities>, clock: SharedClock) -> Self {
        let live = Cache::builder().max_capacity(Self::REMEMBERED).time_to_live(Self::USED_FOR).build();
        Self { identities, clock, live }
    }

    /// Whether a session goes on.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn is_live(&self, id: Uuid) -> Result<bool, StoreError> {
        if let Some(live) = self.live.get(&id) {
            return Ok(live);
        }
        let live = self.identities.session_is_live(id, self.clock.now()).await?;
        self.live.insert(id, live);
        Ok(live)
    }

    /// Notes that any session may have ended.
    pub fn forget_all(&self) {
        self.live.invalidate_all();
    }

    /// Notes that a session has ended.
    pub fn forget(&self, id: Uuid) {
        self.live.insert(id, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(authorization: Option<&str>, api_key: Option<&str>) -> Result<String, Unreadable> {
        Presented::from_headers(authorization, api_key).map(|presented| format!("{presented:?}"))
    }

    #[test]
    fn credentials_are_told_apart_by_their_shape() {
        let key = "tk_acme_abcd1234_secret";
        assert_eq!(kind(Some(&format!("Bearer {key}")), None).unwrap(), "ApiKey");
        assert_eq!(kind(None, Some(key)).unwrap(), "ApiKey");
        assert_eq!(kind(Some(&format!("bearer  {key}")), Some(key)).unwrap(), "ApiKey");
        assert_eq!(kind(Some("Bearer a.b.c"), None).unwrap(), "Token");
        assert_eq!(kind(Some("Bearer whatever"), None).unwrap(), "Other");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(kind(None, None), Err(Unreadable::Missing));
        assert_eq!(kind(None, Some(" ")), Err(Unreadable::Missing));
        assert_eq!(kind(Some("Basic dTpw"), None), Err(Unreadable::Scheme));
        assert_eq!(kind(Some("Bearer "), None), Err(Unreadable::Scheme));
        assert_eq!(kind(Some("Bearer a"), Some("b")), Err(Unreadable::Two));
    }
}
