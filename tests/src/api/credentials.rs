use api_thin::{ApiConfig, ApiRules};
use jobs::plan::Plans;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use super::bed::Api;

/// The operator's key.
pub const OPERATOR_KEY: &str = "operator-key-of-the-tests-0123456789";
const JWT_SECRET: &str = "jwt-secret-of-the-tests-0123456789ab";

pub(super) fn config() -> ApiConfig {
    ApiConfig {
        key_secret: "key-secret-of-the-tests-0123456789ab".into(),
        operator_key: Some(OPERATOR_KEY.into()),
        jwt_secret: Some(JWT_SECRET.into()),
        plans: Plans::default(),
        rules: ApiRules::default(),
    }
}

/// The claims of a token.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// The person.
    pub sub: String,
    /// The tenant.
    pub tenant_id: String,
    /// Their role in it.
    pub role: String,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
    /// The only knowledge base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kb_id: Option<String>,
}

impl Claims {
    /// Ann, in `tenant`, for an hour.
    #[must_use]
    pub fn of(tenant: &str, role: &str) -> Self {
        let exp = Api::start_time().timestamp() + 3_600;
        Self { sub: "ann".into(), tenant_id: tenant.into(), role: role.into(), exp, kb_id: None }
    }

    /// The token, signed as the API expects it.
    #[must_use]
    pub fn token(&self) -> String {
        self.signed(Algorithm::HS256, JWT_SECRET)
    }

    /// The token, signed in another way.
    ///
    /// # Panics
    /// When the algorithm is not one of HMAC.
    #[must_use]
    pub fn signed(&self, algorithm: Algorithm, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(algorithm), self, &key).expect("HMAC signs any claims")
    }
}
