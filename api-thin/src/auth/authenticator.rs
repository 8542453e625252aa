use std::collections::BTreeSet;
use std::sync::Arc;

use jobs::clock::SharedClock;
use jobs::tenant::{Actor, DirectoryError, KbId, Role, TenantId, TenantStatus};
use secrecy::SecretString;
use stores::model::{ApiKeyRecord, UserName};
use stores::{Directory, StoreError};

use super::api_key::{ApiKey, KeyMint};
use super::identity::{Identity, Member, SuperAdmin};
use super::presented::Presented;
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
    /// The token is valid, and its user is not, or no longer, a member of its tenant.
    #[error("the token's user is not a member of its tenant")]
    NoMember,
    /// The catalog failed.
    #[error("the catalog failed")]
    Store(#[from] StoreError),
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Turns presented credentials into an [`Identity`].
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
    /// Users who may do what the operator may.
    pub super_admins: BTreeSet<UserName>,
}

impl Authenticator {
    /// Checks credentials.
    ///
    /// # Errors
    /// When they are not valid, or a server that knows does not answer.
    pub async fn identify(&self, presented: &Presented) -> Result<Identity, AuthError> {
        match presented {
            Presented::ApiKey(key) => self.by_api_key(key).await.map(Identity::Member),
            Presented::Token(token) => match self.by_operator_key(&token.as_str().into()) {
                Ok(operator) => Ok(operator),
                Err(_) => self.by_token(token).await,
            },
            Presented::Other(text) => self.by_operator_key(text),
        }
    }

    fn by_operator_key(&self, text: &SecretString) -> Result<Identity, AuthError> {
        let given = SecretHash::of(text);
        let known = self.operator.as_ref().is_some_and(|operator| *operator == given);
        if known { Ok(Identity::Operator) } else { Err(AuthError::Key) }
    }

    async fn by_token(&self, token: &str) -> Result<Identity, AuthError> {
        let (claims, origin) = self.tokens.verify(token).await?;
        let user = self.super_admin(&claims, origin);
        let session = claims.sid.filter(|_| origin == Origin::Own);
        let member = self.member(claims, origin).await;
        let Some(user) = user else { return member.map(Identity::Member) };
        // Without a tenant, or without a place in it, they still run the installation.
        let member = match member {
            Ok(member) => Some(member),
            Err(AuthError::NoMember | AuthError::Token(UnverifiedToken::Invalid(InvalidToken::Refused))) => {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Identity::SuperAdmin(SuperAdmin { user, member, session }))
    }

    /// Only we say who that is: an issuer has names of its own.
    fn super_admin(&self, claims: &TokenClaims, origin: Origin) -> Option<UserName> {
        let name = claims.sub.parse::<UserName>().ok().filter(|name| name.as_str() == claims.sub)?;
        (origin == Origin::Own && self.super_admins.contains(&name)).then_some(name)
    }

    async fn member(&self, claims: TokenClaims, origin: Origin) -> Result<Member, AuthError> {
        let session = claims.sid.filter(|_| origin == Origin::Own);
        if let Some(session) = session
            && !self.sessions.is_live(session).await?
        {
            return Err(refused(InvalidToken::Ended));
        }
        let actor = claims.actor().ok_or(refused(InvalidToken::Refused))?;
        let tenant = claims.tenant_id.clone().ok_or(refused(InvalidToken::Refused))?;
        let role = if origin == Origin::Own && session.is_none() {
            claims.role.ok_or(refused(InvalidToken::Refused))?
        } else {
            self.role_of_member(&tenant, &claims).await?
        };
        Ok(Member { tenant, actor, role, kb: claims.kb_id, session })
    }

    /// What the tenant says the token's user is, or less if the token says less: an issuer is believed about who
    /// somebody is, not about what they may do here.
    async fn role_of_member(&self, tenant: &TenantId, claims: &TokenClaims) -> Result<Role, AuthError> {
        let role = self.directory.member_role(tenant, &claims.sub).await?.ok_or(AuthError::NoMember)?;
        Ok(claims.role.unwrap_or(role))
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
