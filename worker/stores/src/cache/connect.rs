use std::time::Duration;

use redis::Client;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::InvalidStores;

const SETTING: &str = "REDIS_URL";
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// One connection for commands, which reconnects by itself, and the client that others are made from.
#[derive(Clone)]
pub(crate) struct RedisLink {
    pub(crate) client: Client,
    pub(crate) commands: ConnectionManager,
}

/// Connects to Redis.
///
/// # Errors
/// When the address cannot be read, or nothing answers there.
pub(crate) async fn connect(url: &SecretString) -> Result<RedisLink, InvalidStores> {
    let client = Client::open(url.expose_secret()).map_err(|_| InvalidStores::Setting {
        setting: SETTING,
        problem: "not an address: expected redis://host:port or rediss://host:port".into(),
    })?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(RESPONSE_LIMIT))
        .set_number_of_retries(2)
        .set_max_delay(Duration::from_secs(1));
    let unreachable = |source| InvalidStores::Unreachable {
        setting: SETTING,
        hint: "redis does not answer; start it or correct the address".into(),
        source,
    };
    let mut commands = ConnectionManager::new_with_config(client.clone(), config)
        .await
        .map_err(|error| unreachable(error.into()))?;
    let pong = redis::cmd("PING").query_async::<redis::Value>(&mut commands).await;
    pong.map_err(|error| unreachable(error.into()))?;
    Ok(RedisLink { client, commands })
}
