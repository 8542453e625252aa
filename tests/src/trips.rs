//! Counts how often something asks a server: the catalog and the directory by the stores' trace events, PostgreSQL by
//! its own answers, Redis by what it says it was sent.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// The trips to databases, and the directory's questions, of all that runs on this test's thread. A test on a runtime
/// of one thread sees those of its own API and of no other test.
pub struct Trips {
    seen: Arc<Mutex<Vec<(&'static str, String)>>>,
    _watching: DefaultGuard,
}

impl Trips {
    /// Begins to watch, until it is dropped.
    #[must_use]
    pub fn watch() -> Self {
        let seen = Arc::default();
        let watching = tracing::subscriber::set_default(Watcher(Arc::clone(&seen)));
        Self { seen, _watching: watching }
    }

    /// The trips since the last call, each by the name of its operation.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        self.take_of(stores::TRIPS)
    }

    /// The questions that the directory was asked since the last call, from its cache or not.
    #[must_use]
    pub fn take_questions(&self) -> Vec<String> {
        self.take_of(stores::QUESTIONS)
    }

    fn take_of(&self, target: &str) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, left) = std::mem::take(&mut *seen).into_iter().partition(|(of, _)| *of == target);
        *seen = left;
        let taken: Vec<(&str, String)> = taken;
        taken.into_iter().map(|(_, what)| what).collect()
    }
}

struct Watcher(Arc<Mutex<Vec<(&'static str, String)>>>);

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        [stores::TRIPS, stores::QUESTIONS].contains(&metadata.target())
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((event.metadata().target(), text.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The value of the only field.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, _: &Field, value: &str) {
        value.clone_into(&mut self.0);
    }

    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0 = format!("{value:?}");
    }
}

/// A proxy in front of PostgreSQL that counts round trips: the server says once for each that it is ready again.
pub struct CountingProxy {
    /// The URL of the database behind it.
    pub url: String,
    count: Arc<AtomicUsize>,
}

impl CountingProxy {
    /// Starts one in front of the database at `url`.
    ///
    /// # Panics
    /// When `url` is none, or no port is free.
    pub async fn start(url: &str) -> Self {
        let (credentials, rest) = url.rsplit_once('@').expect("the URL names a role");
        let (server, database) = rest.split_once('/').expect("the URL names a database");
        let database = database.split('?').next().unwrap_or_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (count, server) = (Arc::<AtomicUsize>::default(), server.to_owned());
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("PostgreSQL answers");
                tokio::spawn(relay(client, server, Arc::clone(&counted)));
            }
        });
        Self { url: format!("{credentials}@{address}/{database}?sslmode=disable"), count }
    }

    /// The round trips so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

async fn relay(client: TcpStream, server: TcpStream, count: Arc<AtomicUsize>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    // Until one of them hangs up.
    let mut message = Vec::new();
    loop {
        let mut header = [0; 5];
        if from_server.read_exact(&mut header).await.is_err() {
            return;
        }
        let [kind, length @ ..] = header;
        message.clear();
        message.extend(header);
        message.resize(u32::from_be_bytes(length) as usize + 1, 0);
        let body = from_server.read_exact(&mut message[5..]).await;
        if body.is_err() || to_client.write_all(&message).await.is_err() {
            return;
        }
        count.fetch_add(usize::from(kind == b'Z'), Ordering::SeqCst);
    }
}

/// What clients send to a Redis, but for what keeps connections alive.
pub struct RedisMonitor {
    lines: BufReader<TcpStream>,
    redis: redis::Client,
}

impl RedisMonitor {
    /// Begins to watch the server on `port`.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn start(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("Redis answers");
        stream.write_all(b"MONITOR\r\n").await.expect("Redis reads");
        let mut lines = BufReader::new(stream);
        lines.read_line(&mut String::new()).await.expect("Redis says OK");
        Self { lines, redis: redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("it is a URL") }
    }

    /// The commands since the last call: their names, and for a function its own name.
    ///
    /// # Panics
    /// When Redis does not answer.
    pub async fn take(&mut self) -> Vec<String> {
        const END: &str = "end-of-what-is-watched";
        let mut connection = self.redis.get_multiplexed_async_connection().await.expect("Redis answers");
        redis::cmd("ECHO").arg(END).exec_async(&mut connection).await.expect("Redis answers");
        let mut commands = Vec::new();
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).await.expect("Redis goes on");
            // What a function does inside of Redis is no trip.
            let Some((_, words)) = line.split_once("] ").filter(|(from, _)| !from.ends_with(" lua")) else {
                continue;
            };
            let words: Vec<_> = words.split('"').skip(1).step_by(2).collect();
            match words[..] {
                ["ECHO", END] => return commands,
                [] | ["PING" | "CONFIG" | "CLIENT" | "HELLO" | "INFO", ..] => {}
                ["FCALL", function, ..] => {
                    commands.push(function.rsplit_once('_').map_or(function, |(_, name)| name).to_owned());
                }
                [command, ..] => commands.push(command.to_owned()),
            }
        }
    }
}
