//! `tenantry top`: tenants by what waits and runs, live at a terminal and as tables anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use console::{Key, Term, truncate_str};
use futures::{StreamExt as _, stream};
use jobs::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::connection::{ConnectionSettings, Session, tenant_path};
use super::failure::Failure;
use super::output::{As, Column, Output, plain, table};

/// Tenants that are asked about at once.
const AT_ONCE: usize = 16;
/// Tenants that are looked for work each time, page by page; those that have some are asked about every time.
const PAGE: usize = 200;
/// How many of those that have work are asked about every time.
const BUSY: usize = 200;

/// Shows tenants by what waits and runs, live; `q` ends it. For operators all tenants, for members theirs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry top --once
  tenantry top --once --output json")]
pub(crate) struct Top {
    #[command(flatten)]
    connection: ConnectionSettings,
    /// Look once at every tenant, and end.
    #[arg(long)]
    once: bool,
    /// How long to wait before looking again, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    every: u64,
}

const COLUMNS: [Column; 9] = [
    Column("TENANT", "/tenant", As::Text),
    Column("STATE", "/state", As::Text),
    Column("RUNNING", "/active", As::Number),
    Column("CAP", "/cap", As::Number),
    Column("WAITING", "/waiting", As::Number),
    Column("LONGEST", "/oldest_at", As::Age),
    Column("PARKED", "/parked", As::Number),
    Column("DEAD", "/dead_letters", As::Number),
    Column("WEIGHT", "/weight", As::Number),
];

/// What is known of the tenants.
struct Watch<'a> {
    session: &'a Session,
    /// The only tenant, for a member.
    only: Option<String>,
    rows: BTreeMap<String, Value>,
    /// Where the next page of tenants begins.
    after: String,
}

impl Top {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.connection.open()?;
        let only = match session.named_tenant() {
            Some(tenant) => Some(tenant.to_owned()),
            None if session.is_operator().await? => None,
            None => Some(session.tenant().await?),
        };
        let mut watch = Watch { session: &session, only, rows: BTreeMap::new(), after: String::new() };
        watch.look().await?;
        if self.once {
            while !watch.after.is_empty() {
                watch.look().await?;
            }
            return watch.print(session.output);
        }
        let every = Duration::from_secs(self.every);
        if io::stdout().is_terminal() && io::stdin().is_terminal() {
            return watch.live(every).await;
        }
        loop {
            watch.print(session.output)?;
            tokio::time::sleep(every).await;
            watch.look().await?;
        }
    }
}

impl Watch<'_> {
    /// Looks at the next page of tenants, and again at those that have work.
    async fn look(&mut self) -> Result<(), Failure> {
        let mut tenants: BTreeSet<String> = self.only.iter().cloned().collect();
        if self.only.is_none() {
            let size = PAGE.to_string();
            let paging = [("limit", &*size), ("after", &*self.after)];
            let (page, next) = self.session.api.page("/tenants", &[], "tenants", &paging).await?;
            tenants.extend(page.iter().filter_map(|tenant| tenant["id"].as_str().map(str::to_owned)));
            self.after = next.unwrap_or_default();
            tenants.extend(
                self.sorted().iter().take(BUSY).filter_map(|row| row["tenant"].as_str().map(str::to_owned)),
            );
        }
        let session = self.session;
        let rows = tenants.into_iter().map(|tenant| async move { (row(session, &tenant).await, tenant) });
        let rows: Vec<_> = stream::iter(rows).buffer_unordered(AT_ONCE).collect().await;
        for (row, tenant) in rows {
            match row {
                Ok(Some(row)) => drop(self.rows.insert(tenant, row)),
                Ok(None) => drop(self.rows.remove(&tenant)),
                // It was deleted meanwhile.
                Err(Failure::Refused(problem)) if problem.status == 404 && self.only.is_none() => {
                    self.rows.remove(&tenant);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Those with most to do first.
    fn sorted(&self) -> Vec<Value> {
        let mut rows: Vec<_> = self.rows.values().cloned().collect();
        let work = |row: &Value| {
            let number = |field: &str| row[field].as_u64().unwrap_or_default();
            (number("waiting"), number("active"), number("dead_letters"))
        };
        rows.sort_by_key(|row| std::cmp::Reverse(work(row)));
        rows
    }

    fn print(&self, output: Output) -> Result<(), Failure> {
        output.list(&COLUMNS, &self.sorted())
    }

    async fn live(mut self, every: Duration) -> Result<(), Failure> {
        let mut screen = Screen::open();
        let mut quit = keys();
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = String::new();
        loop {
            screen.draw(&self.lines(&trouble));
            tokio::select! {
                _ = &mut quit => return Ok(()),
                _ = ticks.tick() => {}
            }
            let looked = tokio::select! {
                _ = &mut quit => return Ok(()),
                looked = self.look() => looked,
            };
            trouble = looked.err().map(|failure| plain(&failure.to_string())).unwrap_or_default();
        }
    }

    fn lines(&self, trouble: &str) -> Vec<String> {
        let rows = self.sorted();
        let sum = |field: &str| rows.iter().filter_map(|row| row[field].as_u64()).sum::<u64>();
        let now = SystemClock.now().format("%H:%M:%S");
        let mut lines = vec![
            format!("tenantry top  {}  {now} UTC  q ends", self.session.api.url()),
            format!(
                "{} tenants with work  {} running  {} waiting  {trouble}",
                rows.len(),
                sum("active"),
                sum("waiting")
            ),
            String::new(),
        ];
        lines.extend(table(&COLUMNS, &rows).lines().map(str::to_owned));
        lines
    }
}

/// A tenant's row; `None` when it has nothing to do.
async fn row(session: &Session, tenant: &str) -> Result<Option<Value>, Failure> {
    let found = session.api.get(&tenant_path(tenant, "jobs?limit=1&state=available")).await?;
    let count = |state: &str| found["counts"][state].as_u64().unwrap_or_default();
    let waiting = count("available") + count("scheduled") + count("retryable") + count("parked");
    let (active, dead) = (count("active"), count("discarded") + count("quarantined"));
    if waiting + active + dead == 0 {
        return Ok(None);
    }
    let limits = session.api.get(&tenant_path(tenant, "limits")).await?;
    let cap = limits["limits"]["cap"].as_u64().filter(|cap| *cap > 0);
    let oldest: Option<DateTime<Utc>> =
        found["jobs"][0]["created_at"].as_str().and_then(|at| at.parse().ok());
    let state = match limits["status"].as_str() {
        Some("active") if cap.is_some_and(|cap| active >= cap) && waiting > 0 => "capped",
        Some("active") if active > 0 => "running",
        Some("active") if waiting > 0 => "waiting",
        Some("active") => "idle",
        other => other.unwrap_or_default(),
    };
    Ok(Some(json!({
        "tenant": tenant, "state": state, "active": active, "cap": cap, "waiting": waiting, "oldest_at": oldest,
        "parked": count("parked"), "dead_letters": dead, "weight": limits["limits"]["weight"],
    })))
}

/// The terminal's other screen, which leaves what was there before as it was.
struct Screen(Term);

impl Screen {
    fn open() -> Self {
        let term = Term::buffered_stdout();
        let _ = term.write_str("\u{1b}[?1049h");
        let _ = term.hide_cursor();
        Self(term)
    }

    fn draw(&mut self, lines: &[String]) {
        let (rows, columns) = self.0.size();
        let _ = self.0.move_cursor_to(0, 0);
        for line in lines.iter().take(usize::from(rows).saturating_sub(1)) {
            let _ = self.0.write_str(&truncate_str(line, columns.into(), "…"));
            let _ = self.0.write_str("\u{1b}[K\r\n");
        }
        let _ = self.0.clear_to_end_of_screen();
        let _ = self.0.flush();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        let _ = self.0.write_str("\u{1b}[?1049l");
        let _ = self.0.flush();
    }
}

/// Resolves at the key that ends the view.
fn keys() -> oneshot::Receiver<()> {
    let (pressed, quit) = oneshot::channel();
    // Reading a key blocks; a thread of the runtime would delay the end of the program.
    thread::spawn(move || {
        let term = Term::stdout();
        while let Ok(key) = term.read_key_raw() {
            if matches!(key, Key::Char('q' | 'Q') | Key::Escape | Key::CtrlC) {
                break;
            }
        }
        let _ = pressed.send(());
    });
    quit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_something_in_every_column() {
        let now = SystemClock.now();
        let row = json!({ "tenant": "acme", "state": "capped", "active": 4, "cap": 4, "waiting": 9, "oldest_at": now,
            "parked": 0, "dead_letters": 1, "weight": 2 });
        let table = table(&COLUMNS, &[row]);
        let cells: Vec<_> = table.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(cells, ["acme", "capped", "4", "4", "9", "0s", "0", "1", "2"]);
    }
}
