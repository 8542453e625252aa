use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::embedded::column::{micros, moment, unsigned};
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::{GateRule, GateState};
use crate::retention::GATES_KEPT;

pub(super) async fn enter(
    file: &SqliteFile,
    key: &str,
    rule: GateRule,
    now: DateTime<Utc>,
) -> Result<Option<Duration>, Fault> {
    let mut tx = file.begin().await?;
    let before: Option<(i64, i64, i64)> =
        sqlx::query_as("SELECT tries, last_at_us, open_at_us FROM identity_gates WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut *tx)
            .await?;
    let after = match rule.enter(before.map(state).transpose()?, now) {
        Ok(after) => after,
        Err(wait) => return Ok(Some(wait)),
    };
    sqlx::query("DELETE FROM identity_gates WHERE last_at_us < ?")
        .bind(micros(now - GATES_KEPT))
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO identity_gates (key, tries, last_at_us, open_at_us) VALUES (?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET
         tries = excluded.tries, last_at_us = excluded.last_at_us, open_at_us = excluded.open_at_us",
    )
    .bind(key)
    .bind(after.tries)
    .bind(micros(after.last_at))
    .bind(micros(after.open_at))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(None)
}

fn state((tries, last_at, open_at): (i64, i64, i64)) -> Result<GateState, Fault> {
    Ok(GateState {
        tries: unsigned(tries, "identity_gates.tries")?,
        last_at: moment(last_at, "identity_gates.last_at_us")?,
        open_at: moment(open_at, "identity_gates.open_at_us")?,
    })
}

pub(super) async fn reset(file: &SqliteFile, key: &str) -> Result<(), Fault> {
    sqlx::query("DELETE FROM identity_gates WHERE key = ?").bind(key).execute(file.write()).await?;
    Ok(())
}
