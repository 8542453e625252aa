use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api_thin::IdentityConfig;
use api_thin::auth::ExternalIssuer;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::api::Api;

/// An `OpenID` issuer with one RSA key and one of P-256.
pub struct Issuer {
    /// URL of its keys (JWKS).
    pub jwks_url: String,
    keys: Arc<Mutex<Option<Value>>>,
    reads: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Issuer {
    /// The `iss` of its tokens.
    pub const NAME: &'static str = "https://id.example.com/";
    /// The `aud` of its tokens for us.
    pub const AUDIENCE: &'static str = "tenantry-tests";

    /// An issuer that publishes its RSA key as `rsa` and the other as `ec`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (keys, reads) = (Arc::default(), Arc::default());
        let serving = tokio::spawn(serve(listener, Arc::clone(&keys), Arc::clone(&reads)));
        let issuer = Self { jwks_url: format!("http://{address}/keys"), keys, reads, serving };
        issuer.publish(&[("rsa", Algorithm::RS256), ("ec", Algorithm::ES256)]);
        issuer
    }

    /// Publishes its keys under these ids, beside a key of an unknown kind.
    ///
    /// # Panics
    /// Never: the keys can be used.
    pub fn publish(&self, keys: &[(&str, Algorithm)]) {
        let mut published = vec![json!({ "kty": "XYZ", "kid": "unknown" })];
        for (id, algorithm) in keys {
            let mut jwk = Jwk::from_encoding_key(&signing(*algorithm), *algorithm).expect("a usable key");
            jwk.common.key_id = Some((*id).to_owned());
            published.push(serde_json::to_value(jwk).expect("a key is JSON"));
        }
        let set = json!({ "keys": published });
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(set);
    }

    /// Answers 503 from now on.
    pub fn fail(&self) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How often its keys were read.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// An API that trusts it.
    #[must_use]
    pub fn trusted(&self) -> IdentityConfig {
        let issuer = ExternalIssuer {
            issuer: Self::NAME.to_owned(),
            audience: Self::AUDIENCE.to_owned(),
            jwks_url: ExternalIssuer::jwks_url(&self.jwks_url).expect("a URL of this machine"),
        };
        IdentityConfig { issuer: Some(issuer), ..IdentityConfig::default() }
    }

    /// Claims for `user` in `tenant`, valid for an hour.
    #[must_use]
    pub fn claims(user: &str, tenant: &str) -> Value {
        let now_s = Api::start_time().timestamp();
        json!({
            "iss": Self::NAME, "aud": Self::AUDIENCE, "sub": user, "tenant_id": tenant,
            "iat": now_s, "exp": now_s + 3_600,
        })
    }

    /// A token signed with one of its keys.
    ///
    /// # Panics
    /// When it has no key for the algorithm.
    #[must_use]
    pub fn token(algorithm: Algorithm, id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
        encode(&header, claims, &signing(algorithm)).expect("the key signs")
    }
}

fn signing(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 | Algorithm::RS384 => EncodingKey::from_rsa_der(include_bytes!("rsa.der")),
        Algorithm::ES256 => EncodingKey::from_ec_der(include_bytes!("ec.der")),
        other => panic!("the issuer has no key for {other:?}"),
    }
}

async fn serve(listener: TcpListener, keys: Arc<Mutex<Option<Value>>>, reads: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        reads.fetch_add(1, Ordering::SeqCst);
        let keys = keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let _ = answer(stream, keys).await;
    }
}

async fn answer(mut stream: TcpStream, keys: Option<Value>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let status = if keys.is_some() { "200 OK" } else { "503 Service Unavailable" };
    let body = keys.unwrap_or_default().to_string();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}
