//! Where Redis is: one server, or nodes of a cluster.

use std::path::Path;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::QueueError;

/// A Redis, as named by one of
/// - `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS: one server;
/// - `redis+cluster://[user:password@]host:port[,host:port]...`, or `rediss+cluster://`: a cluster, by some of its
///   nodes, which name the others. `redis-cluster://` means the same;
/// - `redis+unix:///path`: one server, by its socket;
/// - several `redis://` URLs with commas between them: the same.
#[derive(Debug, Clone)]
pub struct RedisAddress {
    nodes: Vec<ConnectionInfo>,
    cluster: bool,
}

impl RedisAddress {
    /// Reads a URL. It may hold a password, so errors do not repeat it.
    ///
    /// # Errors
    /// When it is none of those above.
    pub fn parse(url: &SecretString) -> Result<Self, QueueError> {
        let url = url.expose_secret();
        let (urls, cluster) = match cluster_urls(url) {
            Some(urls) => (urls, true),
            None => (url.split(',').map(str::to_owned).collect(), url.contains(',')),
        };
        let nodes = urls.into_iter().map(|url| node(url.trim(), cluster)).collect::<Result<_, _>>()?;
        Ok(Self { nodes, cluster })
    }

    /// Whether it is a cluster.
    #[must_use]
    pub const fn is_cluster(&self) -> bool {
        self.cluster
    }

    /// The path of the server's socket, if that is how it is reached.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match self.nodes.first()?.addr() {
            ConnectionAddr::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// The server, or the nodes of the cluster that were named: at least one.
    pub(super) fn nodes(&self) -> &[ConnectionInfo] {
        &self.nodes
    }
}

/// One URL for each node of a cluster URL; `None` when it is not one.
fn cluster_urls(url: &str) -> Option<Vec<String>> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "redis+cluster" | "redis-cluster" => "redis",
        "rediss+cluster" | "rediss-cluster" => "rediss",
        _ => return None,
    };
    let (credentials, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
    let at = if credentials.is_empty() { "" } else { "@" };
    let hosts = hosts.trim_end_matches('/');
    Some(hosts.split(',').map(|host| format!("{scheme}://{credentials}{at}{}", host.trim())).collect())
}

fn node(url: &str, cluster: bool) -> Result<ConnectionInfo, QueueError> {
    let node = url.into_connection_info().map_err(|_| QueueError::Url)?;
    // Several calls share a connection: without this, one waits up to 40 ms for the acknowledgement of another.
    let node = node.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    // A cluster has one database, and its nodes name each other by host and port.
    let unusable = matches!(node.addr(), ConnectionAddr::Unix(_)) || node.redis_settings().db() != 0;
    // Finds out whether this build can connect that way.
    Client::open(node.clone()).map_err(|_| QueueError::Url)?;
    if cluster && unusable { Err(QueueError::Url) } else { Ok(node) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<RedisAddress, QueueError> {
        RedisAddress::parse(&url.to_owned().into())
    }

    fn hosts(url: &str) -> Vec<String> {
        parse(url).unwrap().nodes().iter().map(|node| node.addr().to_string()).collect()
    }

    #[test]
    fn a_cluster_is_named_by_some_of_its_nodes() {
        for url in [
            "redis+cluster://:s3cret@a:7000,b:7001",
            "redis-cluster://:s3cret@a:7000, b:7001/",
            "redis://:s3cret@a:7000,redis://:s3cret@b:7001",
        ] {
            let address = parse(url).unwrap();
            assert!(address.is_cluster(), "{url}");
            assert_eq!(hosts(url), ["a:7000", "b:7001"], "{url}");
            let passwords = address.nodes().iter().map(|node| node.redis_settings().password());
            assert!(passwords.into_iter().all(|password| password == Some("s3cret")), "{url}");
        }
        assert!(parse("redis+cluster://a:7000").unwrap().is_cluster());
        assert!(matches!(
            parse("rediss+cluster://a:7000").unwrap().nodes()[0].addr(),
            ConnectionAddr::TcpTls { .. }
        ));
    }

    #[test]
    fn a_server_is_one_url() {
        let address = parse("redis://a:6379/3").unwrap();
        assert!(!address.is_cluster());
        assert_eq!(hosts("redis://a:6379/3"), ["a:6379"]);
        assert!(address.nodes()[0].tcp_settings().nodelay(), "small calls wait for each other");
    }

    #[test]
    fn what_is_neither_is_refused_without_repeating_it() {
        for url in
            ["", "http://s3cret", "redis+cluster://a:7000/2", "redis://a:1/2,redis://b:1", "redis+cluster://"]
        {
            let error = parse(url).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{url}");
        }
    }
}
