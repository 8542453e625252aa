//! The client by itself: forms of address, outages, clusters, subscriptions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fair_queue::QueueError;
use fair_queue::redis::{RedisAddress, RedisClient, Resend, Subscription, SubscriptionEvent, cmd};
use fair_queue::testing::{RedisCluster, RedisServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::worker_queue::site::{PATIENCE, until};

const DEADLINE: Duration = Duration::from_secs(5);

fn address(url: impl Into<String>) -> RedisAddress {
    RedisAddress::parse(&url.into().into()).unwrap()
}

fn client(url: impl Into<String>) -> RedisClient {
    RedisClient::new(&address(url), DEADLINE).unwrap()
}

async fn set(client: &RedisClient, key: &str, value: &str) -> Result<(), QueueError> {
    client.query(key, cmd("SET").arg(key).arg(value), Resend::Safe).await
}

async fn get(client: &RedisClient, key: &str) -> Result<Option<String>, QueueError> {
    client.query(key, cmd("GET").arg(key), Resend::Safe).await
}

#[tokio::test]
async fn every_form_of_address_reaches_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis.sock").display().to_string();
    let options = ["--requirepass", "s3cret", "--unixsocket", &socket];
    let server = RedisServer::start(&options).unwrap();
    let port = server.port();

    let plain = RedisClient::connect(&address(server.url()), DEADLINE).await.unwrap_err();
    assert!(plain.refusal(&server.url().into()).contains("asks for a password"), "{plain:?}");
    let user = ["ACL", "SETUSER", "ann", "on", ">hers", "~*", "+@all"];
    let default = client(format!("redis://:s3cret@127.0.0.1:{port}"));
    let mut make_user = cmd(user[0]);
    default.query::<()>("", make_user.arg(&user[1..]), Resend::Safe).await.unwrap();
    set(&default, "where", "database 0").await.unwrap();
    let second = client(format!("redis://ann:hers@127.0.0.1:{port}/2"));
    assert_eq!(get(&second, "where").await.unwrap(), None);
    set(&second, "where", "database 2").await.unwrap();
    for (url, wanted) in [
        (format!("redis+unix://{socket}?pass=s3cret"), "database 0"),
        (format!("redis+unix://{socket}?db=2&user=ann&pass=hers"), "database 2"),
        (format!("redis://:s3cret@127.0.0.1:{port}/?protocol=resp3"), "database 0"),
    ] {
        assert_eq!(get(&client(&url), "where").await.unwrap().as_deref(), Some(wanted), "{url}");
    }
}

#[tokio::test]
async fn a_connection_comes_back_after_an_outage() {
    let mut server = RedisServer::start(&[]).unwrap();
    let client = RedisClient::connect(&address(server.url()), DEADLINE).await.unwrap();
    set(&client, "key", "value").await.unwrap();
    server.stop().unwrap();
    let error = get(&client, "key").await.unwrap_err();
    assert!(error.is_passing() && matches!(error, QueueError::Redis(_)), "{error:?}");
    server.resume().unwrap();
    assert_eq!(get(&client, "key").await.unwrap().as_deref(), Some("value"));

    // A server that restarts between two calls is noticed by neither, if both may be sent again.
    server.stop().unwrap();
    server.resume().unwrap();
    assert_eq!(get(&client, "key").await.unwrap().as_deref(), Some("value"));
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_and_the_next_one_gets_another_connection() {
    let server = RedisServer::start(&[]).unwrap();
    let client = client(server.url());
    let id = async || client.query::<u64>("", cmd("CLIENT").arg("ID"), Resend::Safe).await.unwrap();
    let first = id().await;
    let mut blocking = cmd("BLPOP");
    blocking.arg("list").arg(0);
    let short = Duration::from_millis(50);
    let blocked = client.query_within::<()>("list", &blocking, Resend::Never, short).await;
    assert!(matches!(blocked, Err(QueueError::Deadline(_))), "{blocked:?}");
    assert_ne!(id().await, first, "a connection that does not answer may be half open");
}

/// A way to a server that nothing passes while it is closed, although connections are accepted.
async fn behind_a_gate(port: u16) -> (u16, watch::Sender<bool>, Arc<AtomicUsize>) {
    let (gate, opened) = watch::channel(false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (own, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let mut opened = opened.clone();
            tokio::spawn(async move {
                opened.wait_for(|is_open| *is_open).await.unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut server).await;
            });
        }
    });
    (own, gate, connections)
}

/// Goal: callers that are less patient than connecting takes get a connection in the end, and do not each open one.
#[tokio::test]
async fn impatient_callers_share_one_attempt_to_connect() {
    let server = RedisServer::start(&[]).unwrap();
    let (port, gate, connections) = behind_a_gate(server.port()).await;
    let client = RedisClient::new(&address(format!("redis://127.0.0.1:{port}")), PATIENCE).unwrap();
    for _ in 0..3 {
        let impatient =
            client.query_within::<()>("", &cmd("PING"), Resend::Safe, Duration::from_millis(20)).await;
        assert!(matches!(impatient, Err(QueueError::Deadline(_))), "{impatient:?}");
    }
    gate.send_replace(true);
    client.query::<()>("", &cmd("PING"), Resend::Safe).await.unwrap();
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn keys_are_found_on_whichever_master_has_them() {
    let cluster = RedisCluster::start().unwrap();
    let client = RedisClient::connect(&address(cluster.url()), DEADLINE).await.unwrap();
    let keys: Vec<String> = (0..100).map(|number| format!("key-{number}")).collect();
    for key in &keys {
        set(&client, key, key).await.unwrap();
    }
    let masters = client.masters().await.unwrap();
    assert_eq!(masters.len(), 3);
    let mut found = BTreeSet::new();
    for master in &masters {
        let on_it: Vec<String> =
            client.query_master(master, cmd("KEYS").arg("key-*"), Resend::Safe).await.unwrap();
        assert!(!on_it.is_empty(), "{master:?} has none");
        found.extend(on_it);
    }
    assert_eq!(found.len(), keys.len());

    for group in client.grouped(keys.clone()) {
        client.query::<()>(&group[0], cmd("UNLINK").arg(&group), Resend::Safe).await.unwrap();
    }
    for key in &keys {
        assert_eq!(get(&client, key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_call_waits_for_the_replica_of_a_master_that_died() {
    let mut cluster = RedisCluster::start().unwrap();
    let client = RedisClient::connect(&address(cluster.url()), PATIENCE).await.unwrap();
    set(&client, "key", "value").await.unwrap();
    let victim = cluster.master_of("key").unwrap();
    cluster.wait_for_replica(victim).unwrap();
    cluster.kill(victim).unwrap();
    assert_eq!(get(&client, "key").await.unwrap().as_deref(), Some("value"));
}

/// Goal: while a slot is on its way, its keys are readable and writable on either side.
#[tokio::test]
async fn a_key_is_followed_while_its_slot_migrates() {
    let cluster = RedisCluster::start().unwrap();
    let client = RedisClient::connect(&address(cluster.url()), DEADLINE).await.unwrap();
    set(&client, "{slot}moved", "1").await.unwrap();
    set(&client, "{slot}stays", "2").await.unwrap();
    let from = cluster.master_of("{slot}").unwrap();
    let to = (from + 1) % 3;
    let slot: u16 = cluster.ask(from, &["CLUSTER", "KEYSLOT", "{slot}"]).unwrap();
    let (slot, port) = (slot.to_string(), cluster.node_url(to).rsplit_once(':').unwrap().1.to_owned());
    let ids: Vec<String> = [from, to].map(|index| cluster.ask(index, &["CLUSTER", "MYID"]).unwrap()).into();
    cluster.ask::<()>(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]]).unwrap();
    cluster.ask::<()>(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]]).unwrap();
    cluster.ask::<()>(from, &["MIGRATE", "127.0.0.1", &port, "{slot}moved", "0", "5000"]).unwrap();

    set(&client, "{slot}new", "3").await.unwrap();
    for (key, wanted) in [("moved", "1"), ("stays", "2"), ("new", "3")] {
        let found = get(&client, &format!("{{slot}}{key}")).await.unwrap();
        assert_eq!(found.as_deref(), Some(wanted), "{key}");
    }
    let on = |node: usize| cluster.ask::<Vec<String>>(node, &["KEYS", "{slot}*"]).unwrap().len();
    assert_eq!((on(from), on(to)), (1, 2));
}

async fn next(subscription: &mut Subscription) -> SubscriptionEvent {
    tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap()
}

/// The first message that is published from now on.
async fn hear(subscription: &mut Subscription, client: &RedisClient, text: &str) {
    client.query::<()>("channel", cmd("PUBLISH").arg("channel").arg(text), Resend::Safe).await.unwrap();
    let event = next(subscription).await;
    assert!(matches!(&event, SubscriptionEvent::Message(message) if message == text.as_bytes()), "{event:?}");
}

/// Waits until messages arrive; how many nodes were tried for nothing.
async fn live(subscription: &mut Subscription) -> usize {
    let mut failed = 0;
    loop {
        let event = next(subscription).await;
        if matches!(event, SubscriptionEvent::Live) {
            return failed;
        }
        assert!(matches!(event, SubscriptionEvent::Unreachable(_)), "{event:?}");
        failed += 1;
    }
}

#[tokio::test]
async fn a_subscription_tells_when_messages_are_missed() {
    let mut server = RedisServer::start(&[]).unwrap();
    let client = client(server.url());
    let mut subscription = client.subscribe("channel");
    assert_eq!(live(&mut subscription).await, 0);
    hear(&mut subscription, &client, "first").await;
    server.stop().unwrap();
    let lost = next(&mut subscription).await;
    assert!(matches!(lost, SubscriptionEvent::Lost), "{lost:?}");
    let away = next(&mut subscription).await;
    assert!(matches!(away, SubscriptionEvent::Unreachable(QueueError::Redis(_))), "{away:?}");
    server.resume().unwrap();
    live(&mut subscription).await;
    hear(&mut subscription, &client, "second").await;
}

/// All nodes of a cluster forward messages, so that it does not matter which one of those named is left.
#[tokio::test]
async fn a_subscription_goes_on_at_another_node() {
    let mut cluster = RedisCluster::start().unwrap();
    let client = RedisClient::connect(&address(cluster.url()), PATIENCE).await.unwrap();
    let mut subscription = client.subscribe("channel");
    live(&mut subscription).await;
    hear(&mut subscription, &client, "first").await;
    cluster.kill(0).unwrap();
    let lost = next(&mut subscription).await;
    assert!(matches!(lost, SubscriptionEvent::Lost), "{lost:?}");
    live(&mut subscription).await;
    until("the cluster is whole again", async || {
        client.query::<()>("channel", &cmd("PING"), Resend::Safe).await.is_ok()
    })
    .await;
    hear(&mut subscription, &client, "second").await;
}
