//! The cache in Redis, and the connection that cache invalidation travels on.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jobs::queue::{QueueError, RedisAddress};
use jobs::tenant::TenantId;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use secrecy::SecretString;

use crate::config::InvalidStores;
use crate::deadline::{BULK, CALL, within};
use crate::error::{FaultKind, StoreError};
use crate::ports::{Cache, StoreResult};
use crate::scoped::Scope;

/// A connection for commands that reconnects by itself: to one server, or to a cluster.
#[derive(Clone)]
pub(crate) enum Commands {
    Server(ConnectionManager),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Commands {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

const SETTING: &str = "REDIS_URL";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// A connection for commands, which reconnects by itself, and the nodes for further connections.
#[derive(Clone)]
pub(crate) struct RedisLink {
    pub(crate) nodes: Vec<Client>,
    pub(crate) commands: Commands,
}

/// Connects to Redis.
///
/// # Errors
/// When the address cannot be parsed, or no server answers there.
pub(crate) async fn connect(url: &SecretString) -> Result<RedisLink, InvalidStores> {
    let address = RedisAddress::parse(url)
        .map_err(|error| InvalidStores::Setting { setting: SETTING, problem: error.refusal(url) })?;
    let unreachable = |error: redis::RedisError| InvalidStores::Unreachable {
        setting: SETTING,
        problem: QueueError::from(error).refusal(url),
    };
    let nodes = address.nodes().iter().map(|node| Client::open(node.clone())).collect::<Result<Vec<_>, _>>();
    let nodes = nodes.map_err(unreachable)?;
    let mut commands =
        if address.is_cluster() { cluster(address.nodes()).await } else { server(nodes[0].clone()).await }
            .map_err(unreachable)?;
    let pong = redis::cmd("PING").query_async::<redis::Value>(&mut commands).await;
    pong.map_err(unreachable)?;
    Ok(RedisLink { nodes, commands })
}

async fn server(client: Client) -> RedisResult<Commands> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(RESPONSE_LIMIT))
        .set_number_of_retries(2)
        .set_max_delay(Duration::from_secs(1));
    ConnectionManager::new_with_config(client, config).await.map(Commands::Server)
}

async fn cluster(nodes: &[ConnectionInfo]) -> RedisResult<Commands> {
    let client = ClusterClientBuilder::new(nodes.iter().cloned())
        .connection_timeout(CONNECT_LIMIT)
        .response_timeout(RESPONSE_LIMIT)
        .tcp_settings(TcpSettings::default().set_nodelay(true))
        .build()?;
    client.get_async_connection().await.map(Commands::Cluster)
}

/// Redis refuses a time to live that overflows its clock.
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The caches of all tenants.
pub(crate) struct RedisCache {
    redis: Commands,
    rewriter: Rewriter,
}

impl RedisCache {
    /// `own_files` is the data directory of a Redis that belongs to this process: its append-only file is rewritten
    /// after a tenant was deleted.
    pub(crate) fn new(redis: Commands, own_files: Option<PathBuf>) -> Self {
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
    redis: Commands,
    rewriter: Rewriter,
    prefix: String,
}

impl TenantCache {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn run<T: redis::FromRedisValue + Send>(
        &self,
        operation: &'static str,
        command: &Cmd,
    ) -> StoreResult<T> {
        let mut redis = self.redis.clone();
        let call = async { command.query_async(&mut redis).await.map_err(|error| fault(operation, error)) };
        within(operation, CALL, call).await
    }
}

#[async_trait::async_trait]
impl Cache for TenantCache {
    async fn put(&self, key: &str, value: &str, ttl: Duration) -> StoreResult<()> {
        let ttl_ms = u64::try_from(ttl.min(TTL_MAX).as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(value).arg("PX").arg(ttl_ms);
        self.run("cache.put", &command).await
    }

    async fn get(&self, key: &str) -> StoreResult<Option<String>> {
        let mut command = redis::cmd("GET");
        command.arg(self.key(key));
        self.run("cache.get", &command).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let mut command = redis::cmd("UNLINK");
        command.arg(self.key(key));
        self.run("cache.delete", &command).await
    }

    async fn clear(&self) -> StoreResult<()> {
        let mut redis = self.redis.clone();
        let clear = async {
            clear_prefix(&mut redis, &self.prefix).await.map_err(|error| fault("cache.clear", error))
        };
        within("cache.clear", BULK, clear).await?;
        self.rewriter.soon(&self.redis);
        Ok(())
    }
}

/// Keys that the server examines in one call.
const LOOKED_AT: u32 = 1_000;

/// Removes every key that begins with `prefix`, which must not contain characters with a meaning in patterns.
async fn clear_prefix(redis: &mut Commands, prefix: &str) -> RedisResult<()> {
    let nodes = match redis {
        Commands::Server(_) => vec![None],
        Commands::Cluster(cluster) => masters(cluster).await?.into_iter().map(Some).collect(),
    };
    for node in nodes {
        let mut cursor = "0".to_owned();
        loop {
            let (next, keys) = scan(redis, node.clone(), &cursor, prefix).await?;
            if !keys.is_empty() {
                redis::cmd("UNLINK").arg(keys).query_async::<()>(redis).await?;
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(())
}

async fn scan(
    redis: &mut Commands,
    node: Option<SingleNodeRoutingInfo>,
    cursor: &str,
    prefix: &str,
) -> RedisResult<(String, Vec<String>)> {
    let mut scan = Cmd::new();
    scan.arg("SCAN").arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(LOOKED_AT);
    match (redis, node) {
        (Commands::Cluster(cluster), Some(node)) => {
            let answer = cluster.route_command(scan, RoutingInfo::SingleNode(node)).await?;
            Ok(redis::from_redis_value(answer)?)
        }
        (redis, _) => scan.query_async(redis).await,
    }
}

/// The nodes of a cluster that own slots.
async fn masters(cluster: &mut ClusterConnection) -> RedisResult<Vec<SingleNodeRoutingInfo>> {
    let slots: Vec<Vec<Value>> = redis::cmd("CLUSTER").arg("SLOTS").query_async(cluster).await?;
    let found: Option<BTreeSet<(String, u16)>> = slots.iter().map(|range| address(range.get(2)?)).collect();
    let unnamed = (ErrorKind::UnexpectedReturnType, "the cluster does not say where one of its nodes is");
    let found = found.ok_or(unnamed)?;
    Ok(found.into_iter().map(|(host, port)| SingleNodeRoutingInfo::ByAddress { host, port }).collect())
}

fn address(node: &Value) -> Option<(String, u16)> {
    let Value::Array(parts) = node else { return None };
    match parts.as_slice() {
        [Value::BulkString(host), Value::Int(port), ..] => {
            Some((String::from_utf8_lossy(host).into_owned(), u16::try_from(*port).ok()?))
        }
        _ => None,
    }
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
    fn soon(&self, redis: &Commands) {
        let Some(own_files) = self.own_files.clone() else { return };
        if self.is_planned.swap(true, Ordering::AcqRel) {
            return;
        }
        let (mut redis, is_planned) = (redis.clone(), Arc::clone(&self.is_planned));
        tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            is_planned.store(false, Ordering::Release);
            if let Err(error) = rewrite(&mut redis, own_files).await {
                tracing::debug!("Redis did not rewrite its file: {error}");
            }
        });
    }
}

/// Rewrites if the server's files are in `own_files`: only then the server is ours.
async fn rewrite(redis: &mut Commands, own_files: PathBuf) -> RedisResult<()> {
    let settings: HashMap<String, String> =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(redis).await?;
    let directory = settings.get("dir").map(PathBuf::from).and_then(|path| path.canonicalize().ok());
    if directory.is_some() && directory == own_files.canonicalize().ok() {
        redis::cmd("BGREWRITEAOF").query_async::<redis::Value>(redis).await?;
    }
    Ok(())
}

/// Converts an error of Redis.
fn fault(operation: &'static str, error: RedisError) -> StoreError {
    StoreError::of(kind(&error), operation, error)
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
        assert!(fault("cache.get", lost).is_transient());
        let wrong = redis::make_extension_error("WRONGTYPE".into(), None);
        assert!(!fault("cache.get", wrong).is_transient());
    }
}
