use std::sync::Arc;

use jobs::clock::SharedClock;
use jobs::tenant::{Actor, DirectoryError, KbId, Role, TenantStatus};
use secrecy::SecretString;
use stores::model::ApiKeyRecord;
use stores::{Directory, StoreError};

use super::api_key::{ApiKey, KeyMint};
use super::identity::{Identity, Member};
use super::presented::Presented;
use super::secret::SecretHash;
use super::token::{InvalidToken, TokenVerifier};

/// Why credentials do not tell who asks.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// They are not valid. One text for every reason that a guesser could learn from.
    #[error("the key is not known, was revoked, or has expired")]
    Key,
    /// The token is not valid.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// This installation takes no tokens.
    #[error("this installation takes no tokens: it has no TENANTRY_JWT_SECRET")]
    NoTokens,
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
    /// Checks tokens, if the installation takes any.
    pub tokens: Option<TokenVerifier>,
    /// The operator's key, if there is one.
    pub operator: Option<SecretHash>,
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
                Err(_) => self.by_token(token),
            },
            Presented::Other(text) => self.by_operator_key(text),
        }
    }

    fn by_operator_key(&self, text: &SecretString) -> Result<Identity, AuthError> {
        let given = SecretHash::of(text);
        let known = self.operator.as_ref().is_some_and(|operator| *operator == given);
        if known { Ok(Identity::Operator) } else { Err(AuthError::Key) }
    }

    fn by_token(&self, token: &str) -> Result<Identity, AuthError> {
        let claims = self.tokens.as_ref().ok_or(AuthError::NoTokens)?.verify(token)?;
        let actor = claims.actor().ok_or(InvalidToken::Refused)?;
        Ok(Identity::Member(Member { tenant: claims.tenant_id, actor, role: claims.role, kb: claims.kb_id }))
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
    Member { tenant: key.tenant.clone(), actor: Actor::ApiKey(key.id.clone()), role, kb }
}
