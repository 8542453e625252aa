use std::collections::BTreeSet;
use std::sync::Arc;

use jobs::clock::SharedClock;
use jobs::tenant::{Actor, DirectoryError, Identity, KbId, Provider, Role, TenantId, TenantStatus};
use secrecy::SecretString;
use stores::model::{ApiKeyRecord, Standing};
use stores::{Directory, StoreError};
use uuid::Uuid;

use super::api_key::{ApiKey, KeyMint};
use super::presented::Presented;
use super::principal::{Member, Principal, SuperAdmin};
use super::secret::SecretHash;
use super::token::{InvalidToken, Origin, TokenClaims, Tokens, UnverifiedToken};
use crate::accounts::Sessions;

/// Why credentials do not tell who asks.
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
    /// Knows API keys.
    pub directory: Arc<dyn Directory>,
    /// Tells when a key has expired.
    pub clock: SharedClock,
    /// Derives first keys.
    pub mint: KeyMint,
    /// Checks tokens.
    pub tokens: Tokens,
    /// Knows whether a token's session goes on.
    pub sessions: Sessions,
    /// The operator's key, if there is one.
    pub operator: Option<SecretHash>,
    /// People who may do what the operator may.
    pub super_admins: BTreeSet<Identity>,
    /// Whether a token that the product signed counts for a person who is no member.
    pub tokens_without_membership: bool,
    /// Whether a token for a tenant that does not exist brings it into being.
    pub auto_provision: bool,
}

/// A person whose token is good, wherever they are a member.
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
    /// When they are not valid, or a server that knows does not answer.
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

    /// Whose token it is, wherever they are a member. A session is what tells an account from a person that another
    /// program, which signs with the same secret, calls by the same name.
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

    /// The person whose token was presented, wherever they are a member; `None` for credentials of no person.
    ///
    /// # Errors
    /// When the token is not valid, or a server that knows does not answer.
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

    /// What the tenant says that the person is, or less if the token says less: a signer is believed about who a person
    /// is, not about what they may do here.
    async fn member(&self, person: &Person) -> Result<Member, AuthError> {
        let Person { identity, session, claims } = person;
        let tenant = claims.tenant_id.clone().ok_or(refused(InvalidToken::Refused))?;
        let role = match self.directory.standing(&tenant, identity).await? {
            Standing::Member(role) => claims.role.map_or(role, |claimed| role.at_most(claimed)),
            Standing::Stranger => self.role_of_stranger(person, &tenant).await?,
            Standing::Removed => return Err(AuthError::NoMember),
        };
        let (actor, kb) = (Actor::User(identity.clone()), claims.kb_id.clone());
        Ok(Member { tenant, actor, role, kb, session: *session })
    }

    /// A stranger has a role only where the operator chose so: that of a token which the product signed, or, in a
    /// tenant
    /// that does not exist yet, that of the person who brings it into being.
    async fn role_of_stranger(&self, person: &Person, tenant: &TenantId) -> Result<Role, AuthError> {
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
            Ok(member(key, record.role, record.kb_id))
        } else {
            Err(AuthError::Key)
        }
    }

    /// The first key of a tenant has no row until the provisioning job stores it. Whoever holds it shall be
    /// told that the tenant is not ready rather than that their key is wrong; only we could have derived its
    /// secret.
    async fn holder_of_first_key(&self, key: &ApiKey) -> Result<Member, AuthError> {
        let derived = self.mint.api_key(&key.tenant, &key.id).secret_hash();
        if derived != key.secret_hash() {
            return Err(AuthError::Key);
        }
        match self.directory.tenant(&key.tenant).await?.map(|record| record.status) {
            Some(TenantStatus::Provisioning) => Ok(member(key, Role::Admin, None)),
            Some(_) => self.holder_after_news(key).await,
            None => Err(AuthError::Key),
        }
    }

    /// The tenant became active a moment ago and the directory still remembers that there was no such key.
    async fn holder_after_news(&self, key: &ApiKey) -> Result<Member, AuthError> {
        self.directory.invalidate(&key.tenant).await;
        let record = self.directory.api_key(&key.tenant, &key.id).await?;
        record.ok_or(AuthError::Key).and_then(|record| self.holder(key, record))
    }
}

fn member(key: &ApiKey, role: Role, kb: Option<KbId>) -> Member {
    let (tenant, actor) = (key.tenant.clone(), Actor::ApiKey(key.id.clone()));
    Member { tenant, actor, role, kb, session: None }
}

fn refused(token: InvalidToken) -> AuthError {
    AuthError::Token(token.into())
}
