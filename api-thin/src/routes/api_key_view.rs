use chrono::{DateTime, Utc};
use jobs::tenant::{ApiKeyId, KbId, Permission, Role};
use schemars::JsonSchema;
use serde::Serialize;
use stores::model::ApiKeyRow;

/// An API key, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(super) struct ApiKeyView {
    id: ApiKeyId,
    name: String,
    role: Role,
    /// The only knowledge base that it reaches; null for all of them.
    kb_id: Option<KbId>,
    /// What it may do.
    permissions: Vec<Permission>,
    /// Who made it.
    created_by: Option<String>,
    revision: u64,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// Written down once a minute.
    last_used_at: Option<DateTime<Utc>>,
    /// How long the secret before this one goes on to work.
    previous_until: Option<DateTime<Utc>>,
}

impl From<ApiKeyRow> for ApiKeyView {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            kb_id: row.kb_id,
            permissions: row.permissions.iter().collect(),
            created_by: row.created_by,
            revision: row.revision,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            previous_until: row.previous_until,
        }
    }
}

/// An API key with its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiKeyWithSecret")]
pub(super) struct NewApiKeyView {
    #[serde(flatten)]
    pub(super) key: ApiKeyView,
    /// What to send. It is shown here and nowhere else.
    pub(super) api_key: String,
}

/// API keys, by id.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ApiKeyPage {
    pub(super) api_keys: Vec<ApiKeyView>,
    /// Where the next page begins; null at the end.
    pub(super) next: Option<String>,
}
