use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::model::{GateRule, GateState};
use crate::ports::StoreResult;
use crate::postgres::pool::{Postgres, Reader};
use crate::postgres::row::number;
use crate::retention::GATES_KEPT;

pub(super) async fn enter(
    postgres: &Postgres,
    key: &str,
    rule: GateRule,
    now: DateTime<Utc>,
) -> StoreResult<Option<Duration>> {
    let prune = sqlx::query(
        "delete from tenantry.gates where key in ( \
             select key from tenantry.gates where last_at < $1 limit 100 for update skip locked)",
    );
    // A row that is there can be locked, so that two tries at once are counted as two.
    let ensure = sqlx::query(
        "insert into tenantry.gates (key, tries, last_at, open_at) values ($1, 0, $2, $2) \
         on conflict (key) do nothing",
    );
    let select = sqlx::query("select tries, last_at, open_at from tenantry.gates where key = $1 for update");
    let update =
        sqlx::query("update tenantry.gates set tries = $2, last_at = $3, open_at = $4 where key = $1");
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.gate_enter").await?;
    tx.execute(prune.bind(now - GATES_KEPT)).await?;
    tx.execute(ensure.bind(key).bind(now)).await?;
    let before = tx.one(select.bind(key), read_state).await?;
    let after = match rule.enter(Some(before), now) {
        Ok(after) => after,
        Err(wait) => return Ok(Some(wait)),
    };
    let update = update.bind(key).bind(i64::from(after.tries)).bind(after.last_at).bind(after.open_at);
    tx.execute(update).await?;
    tx.commit().await?;
    Ok(None)
}

fn read_state(row: &PgRow) -> sqlx::Result<GateState> {
    Ok(GateState {
        tries: number(row, "tries")?,
        last_at: row.try_get("last_at")?,
        open_at: row.try_get("open_at")?,
    })
}

pub(super) async fn reset(postgres: &Postgres, key: &str) -> StoreResult<()> {
    let sql = sqlx::query("delete from tenantry.gates where key = $1");
    let mut tx = postgres.reader_tx(Reader::Identity, "identities.gate_reset").await?;
    tx.execute(sql.bind(key)).await?;
    tx.commit().await
}
