//! The cache in Redis.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use jobs::queue::QueueError;
use jobs::redis::{
    Cmd, ErrorKind, FromRedisValue, Master, RedisAddress, RedisClient, RedisError, Resend, Value, cmd,
};
use jobs::tenant::TenantId;
use secrecy::SecretString;

use crate::config::InvalidStores;
use crate::deadline::{BULK, CALL, within};
use crate::error::{FaultKind, StoreError};
use crate::ports::{Cache, StoreResult};
use crate::scoped::Scope;

const SETTING: &str = "REDIS_URL";
/// How long Redis may take to answer one command.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Connects to Redis.
///
/// # Errors
/// When the address cannot be parsed, or no server answers there.
pub(crate) async fn connect(url: &SecretString) -> Result<RedisClient, InvalidStores> {
    let address = RedisAddress::parse(url)
        .map_err(|error| InvalidStores::Setting { setting: SETTING, problem: error.refusal(url) })?;
    RedisClient::connect(&address, ANSWER_LIMIT)
        .await
        .map_err(|error| InvalidStores::Unreachable { setting: SETTING, problem: error.refusal(url) })
}

/// Redis refuses a time to live that overflows its clock.
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// One step, so that no value stays without an end.
const PUT_FIELD: &str =
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return redis.call('PEXPIRE', KEYS[1], ARGV[3])";

/// The caches of all tenants.
pub(crate) struct RedisCache {
    redis: RedisClient,
    rewriter: Rewriter,
}

impl RedisCache {
    /// `own_files` is the data directory of a Redis that belongs to this process: its append-only file is rewritten
    /// after a tenant was deleted.
    pub(crate) fn new(redis: RedisClient, own_files: Option<PathBuf>) -> Self {
        Self { redis, rewriter: Rewriter::new(own_files) }
    }
}

impl Scope<dyn Cache> for RedisCache {
    fn scope(&self, tenant: &TenantId) -> Arc<dyn Cache> {
        // Tenant ids contain no colon, so no tenant's prefix is the beginning of another's.
        let (redis, rewriter) = (self.redis.clone(), self.rewriter.clone());
        Arc::new(TenantCache { redis, rewriter, prefix: format!("t:{tenant}:") })
    }
}

struct TenantCache {
    redis: RedisClient,
    rewriter: Rewriter,
    prefix: String,
}

impl TenantCache {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Sends a command about `key`, which has the tenant's prefix.
    async fn run<T: FromRedisValue + Send>(
        &self,
        operation: &'static str,
        key: &str,
        command: &Cmd,
        resend: Resend,
    ) -> StoreResult<T> {
        let call = async {
            let answer = self.redis.query(key, command, resend).await;
            answer.map_err(|error| fault(operation, error))
        };
        within(operation, CALL, call).await
    }
}

#[async_trait::async_trait]
impl Cache for TenantCache {
    async fn put(&self, key: &str, value: &str, ttl: Duration) -> StoreResult<()> {
        let ttl_ms = u64::try_from(ttl.min(TTL_MAX).as_millis()).unwrap_or(u64::MAX).max(1);
        let (key, mut command) = (self.key(key), cmd("SET"));
        command.arg(&key).arg(value).arg("PX").arg(ttl_ms);
        self.run("cache.put", &key, &command, Resend::Safe).await
    }

    async fn get(&self, key: &str) -> StoreResult<Option<String>> {
        let (key, mut command) = (self.key(key), cmd("GET"));
        command.arg(&key);
        self.run("cache.get", &key, &command, Resend::Safe).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let (key, mut command) = (self.key(key), cmd("UNLINK"));
        command.arg(&key);
        self.run("cache.delete", &key, &command, Resend::Safe).await
    }

    async fn put_field(&self, key: &str, field: &str, value: &str, ttl: Duration) -> StoreResult<()> {
        let ttl_ms = u64::try_from(ttl.min(TTL_MAX).as_millis()).unwrap_or(u64::MAX).max(1);
        let (key, mut command) = (self.key(key), cmd("EVAL"));
        command.arg(PUT_FIELD).arg(1).arg(&key).arg(field).arg(value).arg(ttl_ms);
        self.run("cache.put_field", &key, &command, Resend::Safe).await
    }

    async fn fields(&self, key: &str) -> StoreResult<BTreeMap<String, String>> {
        let (key, mut command) = (self.key(key), cmd("HGETALL"));
        command.arg(&key);
        self.run("cache.fields", &key, &command, Resend::Safe).await
    }

    async fn clear(&self) -> StoreResult<()> {
        let clear = async {
            clear_prefix(&self.redis, &self.prefix).await.map_err(|error| fault("cache.clear", error))
        };
        within("cache.clear", BULK, clear).await?;
        self.rewriter.soon(&self.redis);
        Ok(())
    }
}

/// Keys that the server examines in one call.
const LOOKED_AT: u32 = 1_000;

/// Removes every key that begins with `prefix`, which must not contain characters with a meaning in patterns.
async fn clear_prefix(redis: &RedisClient, prefix: &str) -> Result<(), QueueError> {
    for master in redis.masters().await? {
        let mut cursor = "0".to_owned();
        loop {
            let (next, keys) = scan(redis, &master, &cursor, prefix).await?;
            try_join_all(redis.grouped(keys).iter().map(|keys| unlink(redis, keys))).await?;
            if next == "0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(())
}

async fn scan(
    redis: &RedisClient,
    master: &Master,
    cursor: &str,
    prefix: &str,
) -> Result<(String, Vec<String>), QueueError> {
    let mut scan = cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(LOOKED_AT);
    redis.query_master(master, &scan, Resend::Safe).await
}

/// Removes keys that may be named in one command.
async fn unlink(redis: &RedisClient, keys: &[String]) -> Result<(), QueueError> {
    let Some(first) = keys.first() else { return Ok(()) };
    redis.query(first, cmd("UNLINK").arg(keys), Resend::Safe).await
}

/// Long enough for the deleting job to end as well, so that Redis has forgotten it before the rewrite.
const DELAY: Duration = Duration::from_secs(1);

/// Rewrites the append-only file of a Redis that belongs to this process. On a shared server this is up to its
/// operator.
#[derive(Clone)]
struct Rewriter {
    own_files: Option<PathBuf>,
    is_planned: Arc<AtomicBool>,
}

impl Rewriter {
    fn new(own_files: Option<PathBuf>) -> Self {
        Self { own_files, is_planned: Arc::default() }
    }

    /// Schedules a rewrite after a short delay, so that several deletions share one.
    fn soon(&self, redis: &RedisClient) {
        let Some(own_files) = self.own_files.clone() else { return };
        if self.is_planned.swap(true, Ordering::AcqRel) {
            return;
        }
        let (redis, is_planned) = (redis.clone(), Arc::clone(&self.is_planned));
        tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            is_planned.store(false, Ordering::Release);
            if let Err(error) = rewrite(&redis, &own_files).await {
                tracing::debug!("Redis did not rewrite its file: {error}");
            }
        });
    }
}

/// Rewrites if the server's files are in `own_files`: only then the server is ours.
async fn rewrite(redis: &RedisClient, own_files: &Path) -> Result<(), QueueError> {
    let mut ask = cmd("CONFIG");
    ask.arg("GET").arg("dir");
    for master in redis.masters().await? {
        let settings: HashMap<String, String> = redis.query_master(&master, &ask, Resend::Safe).await?;
        let directory = settings.get("dir").map(PathBuf::from).and_then(|path| path.canonicalize().ok());
        if directory.is_some() && directory == own_files.canonicalize().ok() {
            redis.query_master::<Value>(&master, &cmd("BGREWRITEAOF"), Resend::Safe).await?;
        }
    }
    Ok(())
}

/// Converts an error of Redis.
pub(crate) fn fault(operation: &'static str, error: QueueError) -> StoreError {
    match error {
        QueueError::Redis(error) => StoreError::of(kind(&error), operation, error),
        // A small command that hangs, or a slot without a master: Redis is away.
        error => StoreError::of(FaultKind::Unavailable, operation, error),
    }
}

fn kind(error: &RedisError) -> FaultKind {
    if error.is_connection_refusal() || error.kind() == ErrorKind::AuthenticationFailed {
        return FaultKind::Unavailable;
    }
    let misused = matches!(
        error.kind(),
        ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported
    );
    match error.code() {
        _ if misused => FaultKind::Permanent,
        Some(code) => code_kind(code, error.detail().unwrap_or_default()),
        None => FaultKind::Transient,
    }
}

/// What the first word of an error's reply, or the rest of it, says about a retry.
fn code_kind(code: &str, detail: &str) -> FaultKind {
    match code {
        // Starting, no memory, a full disk, a replica, a cluster without an owner for the slot, authentication
        // refused.
        "LOADING" | "OOM" | "MISCONF" | "READONLY" | "MASTERDOWN" | "NOREPLICAS" | "CLUSTERDOWN"
        | "NOAUTH" | "WRONGPASS" => FaultKind::Unavailable,
        "ERR" if detail.starts_with("max number of clients") => FaultKind::Unavailable,
        "WRONGTYPE" | "NOPERM" | "ERR" => FaultKind::Permanent,
        // BUSY, TRYAGAIN, MOVED, ASK, UNKILLABLE and any other.
        _ => FaultKind::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        let full = ["LOADING", "OOM", "MISCONF", "READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"];
        for code in full.into_iter().chain(["NOAUTH", "WRONGPASS"]) {
            assert_eq!(code_kind(code, ""), FaultKind::Unavailable, "{code}");
        }
        for code in ["BUSY", "TRYAGAIN", "MOVED", "ASK"] {
            assert_eq!(code_kind(code, ""), FaultKind::Transient, "{code}");
        }
        for code in ["WRONGTYPE", "NOPERM", "ERR"] {
            assert_eq!(code_kind(code, ""), FaultKind::Permanent, "{code}");
        }
        assert_eq!(code_kind("ERR", "max number of clients reached"), FaultKind::Unavailable);
    }

    #[test]
    fn a_lost_connection_passes_and_a_wrong_type_stays() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(fault("cache.get", lost.into()).is_transient());
        let wrong = jobs::redis::make_extension_error("WRONGTYPE".into(), None);
        assert!(!fault("cache.get", wrong.into()).is_transient());
    }
}
