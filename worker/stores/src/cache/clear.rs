//! Removing all keys of one prefix.

use std::collections::BTreeSet;

use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ErrorKind, RedisResult, Value};

use super::Commands;

/// How many keys the server looks at in one call.
const LOOKED_AT: u32 = 1_000;

/// Removes every key that begins with `prefix`, which has no character that means something in a pattern.
pub(super) async fn all(redis: &mut Commands, prefix: &str) -> RedisResult<()> {
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
