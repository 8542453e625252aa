//! Standard error, written by its own thread: when the reader is gone, slow or full, log lines are lost, but no
//! request or job is delayed.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::aliases::tell_of_aliases;
use super::arguments::{SETTINGS_TARGET, warn_of_unknown_variables};
#[cfg(feature = "otlp")]
use super::traces;

/// Bytes that may wait for standard error. What comes on top is lost, and counted.
const ROOM_BYTES: usize = 4 << 20;
/// How long a reader of standard error that is full may take to make room before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(10);

static STANDARD_ERROR: LazyLock<Console> =
    LazyLock::new(|| Console::start(standard_error(), ROOM_BYTES, report));

/// Shows a line, or several, on standard error. Never waits and never fails.
pub fn say(text: impl Into<String>) {
    let mut line = text.into();
    line.push('\n');
    STANDARD_ERROR.push(line.as_bytes());
}

/// Prints a line on standard output, which is where the answer of a command goes.
///
/// # Errors
/// When standard output takes nothing more.
pub fn print(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| {
        anyhow::anyhow!("standard output cannot be written: {}", jobs::error::plain_io(&error))
    })
}

/// Waits until every line is written, but not for a reader that takes nothing.
pub(super) fn flush(patience: Duration) {
    STANDARD_ERROR.flush(patience);
}

/// Where the log writes: each `write` is one whole line.
pub(super) struct LogLine;

impl Write for LogLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STANDARD_ERROR.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A descriptor of its own: while a write blocks, the standard library's lock of standard error stays free for
/// libraries that print.
fn standard_error() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::stderr()),
    }
}

fn report(lost: u64) {
    tracing::warn!(
        log.lost = lost,
        "lines of this log were lost: standard error was closed, full or too slow"
    );
}

/// Lines on their way to a sink.
#[derive(Clone)]
struct Console(Arc<Shared>);

struct Shared {
    room_bytes: usize,
    state: Mutex<State>,
    pushed: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    /// Size of the waiting lines and of the line that is being written.
    bytes: usize,
    writing: bool,
    lost: u64,
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.writing
    }
}

impl Console {
    /// `report` receives the number of lost lines as soon as the sink has caught up.
    fn start(
        sink: impl Write + Send + 'static,
        room_bytes: usize,
        report: impl Fn(u64) + Send + 'static,
    ) -> Self {
        let (state, pushed, written) = Default::default();
        let console = Self(Arc::new(Shared { room_bytes, state, pushed, written }));
        let writer = console.clone();
        // If there can be no thread, the lines are lost: the program goes on.
        let _ = thread::Builder::new().name("log".into()).spawn(move || writer.write(sink, report));
        console
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.bytes + line.len() > self.0.room_bytes {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.waiting.push_back(line.to_vec());
        self.0.pushed.notify_one();
    }

    fn flush(&self, patience: Duration) {
        let state = self.lock();
        let waited = self.0.written.wait_timeout_while(state, patience, |state| !state.is_idle());
        drop(waited);
    }

    fn write(&self, mut sink: impl Write, report: impl Fn(u64)) {
        loop {
            let line = self.next();
            let taken = write_line(&mut sink, &line).is_ok();
            let lost = self.wrote(line.len(), taken);
            if lost > 0 {
                report(lost);
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.waiting.pop_front() {
                state.writing = true;
                return line;
            }
            state = self.0.pushed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns how many lines were lost, once the sink takes lines again and has caught up.
    fn wrote(&self, bytes: usize, taken: bool) -> u64 {
        let mut state = self.lock();
        state.bytes -= bytes;
        state.writing = false;
        state.lost += u64::from(!taken);
        self.0.written.notify_all();
        let caught_up = taken && state.waiting.is_empty();
        if caught_up { std::mem::take(&mut state.lost) } else { 0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole, so the state is too after a panic elsewhere.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Also to a pipe that another process made non-blocking.
fn write_line(sink: &mut impl Write, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match sink.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(ASK_AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The variable with the log filter.
const SETTING: &str = "RUST_LOG";

/// Logs to standard error: JSON lines for machines, text at a terminal. `RUST_LOG` sets the filter, else `filter`
/// does. Warns of variables that are no settings.
///
/// Logging never blocks on standard error and never fails: lines that cannot be written are dropped and counted.
pub fn start_log(filter: &str) {
    let chosen = std::env::var(SETTING).ok().filter(|text| !text.is_empty());
    let chosen = chosen.map(|text| EnvFilter::builder().parse(&text).map_err(|error| (text, error)));
    let (filter, unreadable) = match chosen {
        Some(Ok(chosen)) => (chosen, None),
        Some(Err(unreadable)) => (usual(filter), Some(unreadable)),
        None => (usual(filter), None),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| LogLine)
        // tracing would report an error in writing to standard error on standard error, and panic.
        .log_internal_errors(false);
    let lines = if std::io::stderr().is_terminal() { lines.compact().boxed() } else { lines.json().boxed() };
    let log = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(feature = "otlp")]
    let (traces, no_traces) = traces::layer().map_or_else(|error| (None, Some(error)), |layer| (layer, None));
    #[cfg(feature = "otlp")]
    let log = log.with(traces);
    // A second start in one process (tests) keeps the first.
    if log.try_init().is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
    #[cfg(feature = "otlp")]
    if let Some(error) = no_traces {
        tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is not used: {}", jobs::error::report(&error));
    }
    if let Some((text, error)) = unreadable {
        tracing::warn!(
            target: SETTINGS_TARGET,
            "{SETTING}={text} is not used: {error}; write levels such as info or warn,worker=debug"
        );
    }
    tell_of_aliases();
    warn_of_unknown_variables();
}

/// Adds what is said of settings to any filter.
fn usual(filter: &str) -> EnvFilter {
    EnvFilter::new(format!("{filter},{SETTINGS_TARGET}=info"))
}

/// The standard hook writes to standard error itself, and so waits for a reader that takes nothing.
fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(
            panic.location = place,
            panic.thread = thread,
            panic.backtrace = backtrace,
            "a thread panicked: {message}"
        );
    } else {
        say(format!("thread {thread} panicked at {place}: {message}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Takes a line whenever the test allows it, with the answer that the test chose.
    struct Reader {
        answers: mpsc::Receiver<io::Result<()>>,
        read: mpsc::Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.answers.recv().map_err(|_| ErrorKind::BrokenPipe)??;
            let _ = self.read.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        console: Console,
        answer: mpsc::Sender<io::Result<()>>,
        read: mpsc::Receiver<String>,
        lost: mpsc::Receiver<u64>,
    }

    fn bench(room_bytes: usize) -> Bench {
        let (answer, answers) = mpsc::channel();
        let (seen, read) = mpsc::channel();
        let (report, lost) = mpsc::channel();
        let reader = Reader { answers, read: seen };
        let console = Console::start(reader, room_bytes, move |lines| {
            let _ = report.send(lines);
        });
        Bench { console, answer, read, lost }
    }

    #[test]
    fn a_reader_that_takes_nothing_costs_lines_and_no_time() {
        let bench = bench(30);
        for number in 0..100 {
            bench.console.push(format!("line {number:04}\n").as_bytes());
        }
        bench.console.flush(Duration::from_millis(1));
        assert!(!bench.console.lock().is_idle(), "nothing was read");
        for _ in 0..3 {
            bench.answer.send(Ok(())).unwrap();
        }
        let read: Vec<_> = (0..3).map(|_| bench.read.recv_timeout(PATIENCE).unwrap()).collect();
        assert_eq!(read, ["line 0000\n", "line 0001\n", "line 0002\n"]);
        assert_eq!(bench.lost.recv_timeout(PATIENCE), Ok(97));
        bench.console.flush(PATIENCE);
        assert!(bench.console.lock().is_idle());
    }

    #[test]
    fn a_full_disk_is_survived_and_told_of_when_there_is_room() {
        let bench = bench(1_000);
        for kind in [ErrorKind::StorageFull, ErrorKind::BrokenPipe] {
            bench.console.push(b"lost\n");
            bench.answer.send(Err(kind.into())).unwrap();
        }
        bench.console.flush(PATIENCE);
        bench.console.push(b"kept\n");
        for answer in [Err(ErrorKind::Interrupted.into()), Err(ErrorKind::WouldBlock.into()), Ok(())] {
            bench.answer.send(answer).unwrap();
        }
        assert_eq!(bench.read.recv_timeout(PATIENCE).unwrap(), "kept\n");
        assert_eq!(bench.lost.recv_timeout(PATIENCE), Ok(2));
    }
}
