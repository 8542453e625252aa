use chrono::{DateTime, Utc};
use jobs::plan::Limits;
use jobs::tenant::ApiKeyId;

use super::StoreResult;
use crate::model::{ApiKeyChange, ApiKeyEdit, ApiKeyMade, ApiKeyRow, NewApiKey, Page};

/// The tenant's API keys. One that was revoked is none any more, but its row stays.
#[async_trait::async_trait]
pub trait ApiKeys: Send + Sync {
    /// One key.
    async fn api_key(&self, id: &ApiKeyId) -> StoreResult<Option<ApiKeyRow>>;

    /// Keys by id, beginning after `after`. At most `limit` (1 to 1,000).
    async fn api_keys(&self, after: Option<&ApiKeyId>, limit: u32) -> StoreResult<Page<ApiKeyRow>>;

    /// Stores an API key unless its id is known, whatever its name.
    async fn api_key_ensure(&self, key: &NewApiKey, now: DateTime<Utc>) -> StoreResult<()>;

    /// Stores an API key, unless another has its name or id, or there are as many as `limits` allow.
    async fn api_key_insert(
        &self,
        key: &NewApiKey,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> StoreResult<ApiKeyMade>;

    /// Changes a key, if `revision` (when given) is still its revision.
    async fn api_key_change(
        &self,
        id: &ApiKeyId,
        edit: &ApiKeyEdit,
        revision: Option<u64>,
    ) -> StoreResult<ApiKeyChange>;

    /// Notes that a key was used, unless a use in the minute before is known.
    async fn api_key_used(&self, id: &ApiKeyId, now: DateTime<Utc>) -> StoreResult<()>;
}
