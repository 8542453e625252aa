//! A program that was written for apalis-redis, moved to this queue: what had to change, and that it works.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fair_queue::testing::RedisServer;

/// `tests/benches/peers/apalis-redis` builds it, so that it stays a program.
const BEFORE: &str = include_str!("../../examples/mails-apalis-redis.txt");
const AFTER: &str = include_str!("../../examples/mails.rs");

/// How many lines may be others.
const CHANGED_MOST: usize = 5;
/// For everything that a loaded machine may be slow at.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn it_is_moved_by_changing_a_few_lines() {
    let (before, after): (Vec<_>, Vec<_>) = (BEFORE.lines().collect(), AFTER.lines().collect());
    assert_eq!(before.len(), after.len(), "the same lines, some of them changed");
    let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!((1..=CHANGED_MOST).contains(&changed.len()), "{changed:#?}");
    assert!(BEFORE.contains("use apalis_redis::") && !AFTER.contains("apalis_redis"));
}

/// The example as it was built beside this test.
struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    fn start(redis_url: &str) -> Self {
        let test = std::env::current_exe().unwrap();
        let folder =
            test.parent().and_then(Path::parent).expect("tests are built into a folder of their own");
        let mut command = Command::new(folder.join("examples/mails"));
        command.env("REDIS_URL", redis_url).stdout(Stdio::piped());
        let mut child = command.spawn().expect("build it first: cargo build -p fair-queue --examples");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next line that it prints; `None` when it has ended.
    fn line(&self, end: Instant) -> Option<String> {
        let line = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()));
        assert_ne!(line, Err(mpsc::RecvTimeoutError::Timeout), "it neither goes on nor ends");
        line.ok()
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Single mails, many at once, those of a stream, one for later, and one that fails at first.
fn expected() -> Vec<String> {
    let sent = |subject: &str, to: &str| format!("mx.example.com sent {subject:?} to {to}@example.com");
    let mut expected =
        vec![sent("Welcome", "ann"), sent("News", "bob"), sent("News", "full"), sent("Reminder", "eve")];
    expected.extend((1..=20).map(|n| sent("News", &format!("member-{n}"))));
    expected.sort();
    expected
}

#[test]
fn it_sends_every_mail_once() {
    let server = RedisServer::start(&[]).unwrap();
    let mut program = Program::start(&server.url());
    let (end, expected) = (Instant::now() + PATIENCE, expected());
    let mut sent: Vec<_> = (0..expected.len()).map(|_| program.line(end).expect("it goes on")).collect();
    program.interrupt();
    // Whatever it does beyond that would be too much.
    sent.extend(std::iter::from_fn(|| program.line(end)));
    sent.sort();
    assert_eq!(sent, expected);
    assert!(program.child.wait().unwrap().success(), "it ends by itself");

    // Nothing is left over: the next program finds only what it pushes itself.
    let mut next = Program::start(&server.url());
    let mut sent: Vec<_> = (0..expected.len()).map(|_| next.line(end).expect("it goes on")).collect();
    next.interrupt();
    sent.extend(std::iter::from_fn(|| next.line(end)));
    sent.sort();
    assert_eq!(sent, expected);
    assert!(next.child.wait().unwrap().success(), "it ends by itself");
}
