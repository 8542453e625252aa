//! The open connections with the requests on them, and which connection is closed when the table is full.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::Version;
use ipnet::IpNet;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client_address::{ClientAddress, is_trusted};
use super::socket::Activity;
use crate::config::{ConnectionLimits, InvalidConfig};

/// The connections of one listener.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    limits: ConnectionLimits,
    trusted: Vec<IpNet>,
    table: Mutex<Table>,
}

impl Connections {
    /// No connections yet. Those from `trusted` proxies are not counted by address.
    ///
    /// # Errors
    /// When more connections are asked for than the process may open files.
    pub fn new(limits: ConnectionLimits, trusted: Vec<IpNet>) -> Result<Self, InvalidConfig> {
        let most = limits.fit()?;
        let table = Mutex::new(Table::new(most, limits.per_address));
        Ok(Self { most, limits, trusted, table })
    }

    /// Maximum number of open connections.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// Whether the address is a proxy's, whose connections carry the requests of many clients.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        is_trusted(address, &self.trusted)
    }

    /// Enters a connection from `address`; `None` when all places are taken by callers with valid credentials.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let is_proxy = self.is_proxy(address);
        self.table().enter(address, is_proxy)
    }

    /// Closes the least valuable connection, if there is one.
    pub(super) fn make_room(&self) {
        self.table().make_room();
    }

    /// A request with good credentials began.
    pub(super) fn authenticated(&self, id: ConnectionId) {
        self.table().authenticated(id);
    }

    /// A request with good credentials ended.
    pub(super) fn rest(&self, id: ConnectionId) {
        self.table().rest(id);
    }

    pub(super) fn leave(&self, id: ConnectionId) {
        self.table().remove(id);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No method panics between its changes, so that a poisoned table is still consistent.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shared state of one connection's requests.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: SocketAddr,
    pub(super) is_proxy: bool,
    pub(super) all: Arc<Connections>,
    pub(super) activity: Arc<Activity>,
    pub(super) was_authenticated: AtomicBool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.leave(self.id);
    }
}

/// A request that is being answered, as its connection sees it.
#[derive(Debug)]
pub struct OpenRequest {
    connection: Arc<Connection>,
    is_authenticated: AtomicBool,
}

impl OpenRequest {
    /// The request, and how many others there are on the connection.
    pub(super) fn begin(connection: &Arc<Connection>, version: Version) -> (Arc<Self>, usize) {
        let requests = connection.activity.begin(version == Version::HTTP_2);
        let open = Self { connection: Arc::clone(connection), is_authenticated: AtomicBool::new(false) };
        (Arc::new(open), requests.saturating_sub(1))
    }

    /// Its credentials are good: the connection is not closed to make room for others meanwhile.
    pub(crate) fn authenticated(&self) {
        if !self.is_authenticated.swap(true, Ordering::Relaxed) {
            self.connection.was_authenticated.store(true, Ordering::Relaxed);
            self.connection.all.authenticated(self.connection.id);
        }
    }

    /// Whether its credentials are good.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.is_authenticated.load(Ordering::Relaxed)
    }

    /// Its body is not read to the end, and the connection ends with the answer.
    pub(crate) fn leave_unread(&self) {
        self.connection.activity.leave_unread();
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.connection.activity.end(Instant::now());
        if self.is_authenticated() {
            self.connection.all.rest(self.connection.id);
        }
    }
}

/// Numbered in the order of their creation.
pub(super) type ConnectionId = u64;

/// The entry of one connection in the table; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: ConnectionId,
    /// Fires when the connection has to close at once.
    pub(super) close: Arc<Notify>,
}

/// The share that a connection counts towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    Address(ClientAddress),
    /// Each of a proxy's connections counts alone: the address does not tell which client sent the request.
    Proxy(ConnectionId),
}

#[derive(Debug)]
struct Entry {
    source: Source,
    standing: Standing,
    close: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No request had good credentials yet.
    Unauthenticated,
    /// None has any right now; since which turn.
    Resting(u64),
    /// So many have.
    Busy(u32),
}

/// A source's strangers, ordered so that the last is the one to lose a connection: the most first, then the oldest.
type Crowd = (usize, Reverse<ConnectionId>, Source);

#[derive(Debug)]
struct Table {
    most: usize,
    per_address: usize,
    /// Counts connections and the ends of requests.
    turn: u64,
    entries: HashMap<ConnectionId, Entry>,
    counts: HashMap<Source, usize>,
    strangers: HashMap<Source, BTreeSet<ConnectionId>>,
    crowds: BTreeSet<Crowd>,
    resting: BTreeSet<(u64, ConnectionId)>,
}

impl Table {
    fn new(most: usize, per_address: usize) -> Self {
        let (entries, counts, strangers) = Default::default();
        let (crowds, resting) = Default::default();
        Self { most, per_address, turn: 0, entries, counts, strangers, crowds, resting }
    }

    fn enter(&mut self, address: IpAddr, is_proxy: bool) -> Option<Place> {
        let id = self.next_turn();
        let source = if is_proxy { Source::Proxy(id) } else { Source::Address(ClientAddress::of(address)) };
        let has_room = if self.counts.get(&source).is_some_and(|count| *count >= self.per_address) {
            self.make_room_of(source)
        } else {
            self.entries.len() < self.most || self.make_room()
        };
        if !has_room {
            return None;
        }
        let close = Arc::new(Notify::new());
        let entry = Entry { source, standing: Standing::Unauthenticated, close: Arc::clone(&close) };
        self.entries.insert(id, entry);
        *self.counts.entry(source).or_default() += 1;
        self.change_strangers(source, |ids| ids.insert(id));
        Some(Place { id, close })
    }

    /// Closes the oldest stranger of the source with the most strangers, or else the longest idle connection.
    fn make_room(&mut self) -> bool {
        let stranger = self.crowds.last().map(|(_, Reverse(oldest), _)| *oldest);
        let victim = stranger.or_else(|| self.resting.first().map(|(_, id)| *id));
        victim.is_some_and(|id| self.close(id))
    }

    /// The same among the connections of one source.
    fn make_room_of(&mut self, source: Source) -> bool {
        let stranger = self.strangers.get(&source).and_then(|ids| ids.first().copied());
        let resting = || {
            let of_source = |(_, id): &&(u64, ConnectionId)| {
                self.entries.get(id).is_some_and(|entry| entry.source == source)
            };
            self.resting.iter().find(of_source).map(|(_, id)| *id)
        };
        let victim = stranger.or_else(resting);
        victim.is_some_and(|id| self.close(id))
    }

    fn close(&mut self, id: ConnectionId) -> bool {
        let closed = self.remove(id);
        if let Some(entry) = &closed {
            entry.close.notify_one();
        }
        closed.is_some()
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.forget_standing(id, entry.source, entry.standing);
        if let Some(count) = self.counts.get_mut(&entry.source) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&entry.source);
            }
        }
        Some(entry)
    }

    fn authenticated(&mut self, id: ConnectionId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (source, before) = (entry.source, entry.standing);
        entry.standing = match before {
            Standing::Busy(requests) => Standing::Busy(requests + 1),
            Standing::Unauthenticated | Standing::Resting(_) => Standing::Busy(1),
        };
        self.forget_standing(id, source, before);
    }

    fn rest(&mut self, id: ConnectionId) {
        let turn = self.next_turn();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match entry.standing {
            Standing::Busy(requests) if requests > 1 => entry.standing = Standing::Busy(requests - 1),
            Standing::Busy(_) => {
                entry.standing = Standing::Resting(turn);
                self.resting.insert((turn, id));
            }
            Standing::Unauthenticated | Standing::Resting(_) => {}
        }
    }

    fn forget_standing(&mut self, id: ConnectionId, source: Source, standing: Standing) {
        match standing {
            Standing::Unauthenticated => self.change_strangers(source, |ids| ids.remove(&id)),
            Standing::Resting(turn) => {
                self.resting.remove(&(turn, id));
            }
            Standing::Busy(_) => {}
        }
    }

    fn change_strangers(&mut self, source: Source, change: impl FnOnce(&mut BTreeSet<ConnectionId>) -> bool) {
        let ids = self.strangers.entry(source).or_default();
        let crowd =
            |ids: &BTreeSet<ConnectionId>| ids.first().map(|oldest| (ids.len(), Reverse(*oldest), source));
        if let Some(before) = crowd(ids) {
            self.crowds.remove(&before);
        }
        change(ids);
        match crowd(ids) {
            Some(after) => {
                self.crowds.insert(after);
            }
            None => {
                self.strangers.remove(&source);
            }
        }
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 6;

    fn table() -> Table {
        Table::new(MOST, 4)
    }

    fn enter(table: &mut Table, address: &str) -> ConnectionId {
        table.enter(address.parse().unwrap(), false).expect("there is a place").id
    }

    fn open(table: &Table) -> Vec<ConnectionId> {
        let mut ids: Vec<_> = table.entries.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_oldest_of_the_largest_crowd_makes_room() {
        let mut table = table();
        let lonely = enter(&mut table, "192.0.2.1");
        let crowd: Vec<_> = (0..3).map(|_| enter(&mut table, "192.0.2.2")).collect();
        let pair: Vec<_> = (0..2).map(|_| enter(&mut table, "192.0.2.3")).collect();
        let newcomer = enter(&mut table, "192.0.2.4");
        assert_eq!(open(&table), [vec![lonely], crowd[1..].to_vec(), pair.clone(), vec![newcomer]].concat());
        // Two addresses with two connections each: the one with the oldest connection loses it.
        let next = enter(&mut table, "192.0.2.5");
        assert_eq!(open(&table), [vec![lonely, crowd[2]], pair, vec![newcomer, next]].concat());
    }

    #[test]
    fn who_has_good_credentials_stays_and_rests_before_it_leaves() {
        let mut table = table();
        let ids: Vec<_> = (1..=MOST).map(|last| enter(&mut table, &format!("192.0.2.{last}"))).collect();
        for id in &ids {
            table.authenticated(*id);
        }
        assert!(table.enter("198.51.100.1".parse().unwrap(), false).is_none(), "all are busy");
        table.authenticated(ids[3]);
        table.rest(ids[3]);
        assert!(table.enter("198.51.100.1".parse().unwrap(), false).is_none(), "one of its requests goes on");
        table.rest(ids[4]);
        table.rest(ids[3]);
        let stranger = enter(&mut table, "198.51.100.1");
        assert!(!open(&table).contains(&ids[4]), "it rested longest");
        let second = enter(&mut table, "198.51.100.2");
        assert!(!open(&table).contains(&stranger), "strangers leave before callers that rest");
        table.authenticated(second);
        enter(&mut table, "198.51.100.3");
        assert!(!open(&table).contains(&ids[3]));
    }

    #[test]
    fn an_address_makes_room_for_itself() {
        let mut table = table();
        let other = enter(&mut table, "192.0.2.1");
        let own: Vec<_> = (0..4).map(|_| enter(&mut table, "192.0.2.2")).collect();
        let fifth = enter(&mut table, "192.0.2.2");
        assert_eq!(open(&table), [vec![other], own[1..].to_vec(), vec![fifth]].concat());
        own[1..].iter().chain([&fifth]).for_each(|id| table.authenticated(*id));
        assert!(table.enter("192.0.2.2".parse().unwrap(), false).is_none());
        table.rest(own[2]);
        enter(&mut table, "192.0.2.2");
        assert!(!open(&table).contains(&own[2]));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let mut table = table();
        (1..=5).for_each(|last| {
            enter(&mut table, &format!("2001:db8::{last}"));
        });
        assert_eq!(table.entries.len(), 4);
    }

    #[test]
    fn a_proxys_connections_are_not_counted_together() {
        let mut table = table();
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let own: Vec<_> = (0..5).map(|_| table.enter(proxy, true).expect("no limit by address").id).collect();
        let stranger = enter(&mut table, "192.0.2.2");
        enter(&mut table, "192.0.2.2");
        // All addresses have one connection: the oldest is closed.
        assert_eq!(open(&table)[..5], [own[1..].to_vec(), vec![stranger]].concat());
    }

    #[test]
    fn what_left_is_forgotten() {
        let mut table = table();
        let ids: Vec<_> = (0..4).map(|_| enter(&mut table, "192.0.2.2")).collect();
        table.authenticated(ids[0]);
        table.authenticated(ids[1]);
        table.rest(ids[1]);
        for id in &ids {
            table.remove(*id);
            table.remove(*id);
            table.authenticated(*id);
            table.rest(*id);
        }
        assert!(table.entries.is_empty() && table.counts.is_empty() && table.strangers.is_empty());
        assert!(table.crowds.is_empty() && table.resting.is_empty());
        assert!(!table.make_room());
    }
}
