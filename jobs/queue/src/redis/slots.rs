//! The hash slots of a cluster: which slot a key is in, and which master has each slot.

use std::collections::{BTreeSet, HashMap};

use redis::{ConnectionAddr, ConnectionInfo, RedisError, Value};

/// Host and port.
pub(crate) type Node = (String, u16);

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a key. Keys with the same part in braces have the same slot.
pub(crate) fn slot_of(key: &str) -> u16 {
    let tagged = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tagged.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// Which master has which slots, as far as known.
#[derive(Debug, Default)]
pub(super) struct SlotMap {
    /// First slot, last slot, master.
    ranges: Vec<(u16, u16, Node)>,
    /// Slots that have left their range since the cluster was asked.
    moved: HashMap<u16, Node>,
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS` of the node `asked`.
    pub(super) fn read(ranges: &[Value], asked: &Node) -> Self {
        let ranges = ranges.iter().filter_map(|range| read_range(range, asked)).collect();
        Self { ranges, moved: HashMap::new() }
    }

    pub(super) fn master(&self, slot: u16) -> Option<&Node> {
        let has = |range: &&(u16, u16, Node)| (range.0..=range.1).contains(&slot);
        self.moved.get(&slot).or_else(|| self.ranges.iter().find(has).map(|(_, _, node)| node))
    }

    /// Records a redirect: `slot` is on another node now.
    pub(super) fn moved(&mut self, slot: u16, to: Node) {
        self.moved.insert(slot, to);
    }

    /// The nodes that have slots.
    pub(super) fn masters(&self) -> BTreeSet<Node> {
        self.ranges.iter().map(|(_, _, node)| node).chain(self.moved.values()).cloned().collect()
    }
}

/// A node that does not know its own name leaves it out.
fn read_range(range: &Value, asked: &Node) -> Option<(u16, u16, Node)> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => String::from_utf8_lossy(host).into_owned(),
        _ => String::new(),
    };
    let host = if host.is_empty() || host == "?" { asked.0.clone() } else { host };
    Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, (host, u16::try_from(*port).ok()?)))
}

/// The node in `MOVED slot host:port`, or in `ASK slot host:port`.
pub(super) fn redirect(error: &RedisError, asked: &Node) -> Option<Node> {
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &asked.0 } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}

/// Host and port of a node that was named in a URL.
pub(super) fn node_of(node: &ConnectionInfo) -> Option<Node> {
    match node.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some((host.clone(), *port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `CLUSTER KEYSLOT` answers.
    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of("tenantry:{q.0}"), 15_490);
        assert_eq!(slot_of("tenantry:{q.1}:T"), 11_427);
        assert_eq!(slot_of("{user1000}.following"), slot_of("{user1000}.followers"));
        assert_eq!(slot_of("foo{}{bar}"), crc16(b"foo{}{bar}") % 16_384);
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())]),
        ])
    }

    #[test]
    fn a_redirect_is_newer_than_the_map() {
        let named = |host: &str| Value::BulkString(host.as_bytes().to_vec());
        let asked = ("asked".to_owned(), 1);
        let ranges = [
            range(0, 99, named("a"), 7_000),
            range(100, 199, named(""), 7_001),
            range(200, 299, Value::Nil, 7_002),
        ];
        let mut map = SlotMap::read(&ranges, &asked);
        let at = |map: &SlotMap, slot| map.master(slot).map(|(host, port)| format!("{host}:{port}"));
        assert_eq!(at(&map, 99).as_deref(), Some("a:7000"));
        assert_eq!(
            at(&map, 100).as_deref(),
            Some("asked:7001"),
            "a node without a name is where it was asked"
        );
        assert_eq!(at(&map, 299).as_deref(), Some("asked:7002"));
        assert_eq!(at(&map, 300), None);
        for port in [7_003, 7_004] {
            map.moved(100, ("b".to_owned(), port));
            assert_eq!(at(&map, 100), Some(format!("b:{port}")));
        }
        assert_eq!(at(&map, 101).as_deref(), Some("asked:7001"));
        assert_eq!(map.masters().len(), 4);
    }
}
