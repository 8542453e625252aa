use std::time::Duration;

use jobs::queue::{QueueError, RedisAddress};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, RedisResult};
use secrecy::SecretString;

use super::Commands;
use crate::config::InvalidStores;

const SETTING: &str = "REDIS_URL";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// One connection for commands, which reconnects by itself, and the nodes that others are made from.
#[derive(Clone)]
pub(crate) struct RedisLink {
    pub(crate) nodes: Vec<Client>,
    pub(crate) commands: Commands,
}

/// Connects to Redis.
///
/// # Errors
/// When the address cannot be read, or nothing answers there.
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
