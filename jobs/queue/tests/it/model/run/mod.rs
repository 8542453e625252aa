//! Runs commands on the queue and on its model.

mod call;
mod change;
mod drain;
mod fetch;
mod finish;
mod look;
mod make;
mod push;
mod resolve;
mod turns;

use std::collections::BTreeMap;

use fair_queue::clock::Clock as _;
use fair_queue::{NewJob, Queue};

use super::commands::Command;
use super::keys::{self, Reader, Snapshot};
use super::plain::{Id, Model};
use crate::support::Harness;

pub(super) type Checked = Result<(), String>;

pub(super) struct Run {
    h: Harness,
    reader: Reader,
    model: Model,
    before: Snapshot,
    made: BTreeMap<Id, NewJob>,
    attempt: u64,
    last: Option<call::Call>,
    fetched: Option<turns::Fetched>,
}

/// Runs a script on a queue with keys of its own, and removes them.
pub(super) async fn run(script: &[Command], queue: impl AsyncFn(&Harness) -> Queue) -> Checked {
    let mut h = Harness::new().await;
    h.queue = queue(&h).await;
    let reader = Reader::new(&h).await;
    let model = Model { now: h.clock.now_ms().unsigned_abs(), ..Model::default() };
    let (before, made) = (Snapshot::default(), BTreeMap::new());
    let mut run = Run { h, reader, model, before, made, attempt: 0, last: None, fetched: None };
    let done = run.all(script).await;
    run.remove_keys().await;
    done
}

impl Run {
    async fn all(&mut self, script: &[Command]) -> Checked {
        for command in script {
            self.step(command).await.map_err(|error| format!("{command:?}: {error}"))?;
            self.check().await.map_err(|error| format!("after {command:?}: {error}"))?;
        }
        self.drain().await.map_err(|error| format!("in the end: {error}"))
    }

    async fn check(&mut self) -> Checked {
        let now = self.reader.read(&self.model).await;
        keys::check(&self.before, &now, &mut self.model)?;
        if let Some(fetched) = self.fetched.take() {
            fetched.check(&self.before, &now)?;
        }
        self.before = now;
        Ok(())
    }

    async fn remove_keys(&mut self) {
        let keys = self.keys().await;
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).query_async::<()>(&mut self.reader.redis).await.ok();
        }
    }

    async fn keys(&mut self) -> Vec<String> {
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(format!("{}*", self.reader.key(""))).arg("COUNT").arg(1_000);
            let page: (u64, Vec<String>) =
                command.query_async(&mut self.reader.redis).await.expect("Redis answers");
            keys.extend(page.1);
            cursor = page.0;
            if cursor == 0 {
                return keys;
            }
        }
    }
}

/// An error of the queue as the reason why a script failed.
pub(super) fn failed(error: impl std::error::Error) -> String {
    let source = error.source().map_or_else(String::new, |source| format!(": {source}"));
    format!("{error}{source}")
}
