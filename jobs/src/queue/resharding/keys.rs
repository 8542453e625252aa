//! Walking through what a shard has, in bounded steps.

use redis::{Cmd, FromRedisValue};

use crate::queue::client::Queue;
use crate::queue::connection::Resend;
use crate::queue::error::QueueError;

/// How many entries are asked for at once.
pub(super) const PAGE: usize = 500;

/// Sends a command about one shard.
pub(super) async fn ask<T: FromRedisValue>(
    queue: &Queue,
    shard: u16,
    command: &[&[u8]],
) -> Result<T, QueueError> {
    let mut call = Cmd::new();
    for part in command {
        call.arg(*part);
    }
    queue.servers().query(shard, &call, Resend::Safe).await
}

/// One step of `SCAN` or one of its kin; `None` as the cursor means that there is no more.
#[derive(Debug)]
pub(super) struct Walk {
    command: &'static str,
    key: Vec<u8>,
    cursor: Option<String>,
}

impl Walk {
    /// Over the keys that match a pattern (`SCAN`), or the entries of a key (`HSCAN`, `SSCAN`, `ZSCAN`).
    pub(super) fn over(command: &'static str, key: impl Into<Vec<u8>>) -> Self {
        Self { command, key: key.into(), cursor: Some("0".to_owned()) }
    }

    /// Over all keys of a shard whose names begin with `name`.
    pub(super) fn over_keys(queue: &Queue, shard: u16, name: &str) -> Self {
        let escaped: String = queue.key(shard, name).chars().flat_map(escape).collect();
        Self::over("SCAN", format!("{escaped}*"))
    }

    pub(super) async fn next(
        &mut self,
        queue: &Queue,
        shard: u16,
    ) -> Result<Option<Vec<Vec<u8>>>, QueueError> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let mut call = redis::cmd(self.command);
        if self.command == "SCAN" {
            call.arg(&cursor).arg("MATCH").arg(&self.key);
        } else {
            call.arg(&self.key).arg(&cursor);
        }
        call.arg("COUNT").arg(PAGE);
        let (cursor, found): (String, Vec<Vec<u8>>) =
            queue.servers().query(shard, &call, Resend::Safe).await?;
        self.cursor = (cursor != "0").then_some(cursor);
        Ok(Some(found))
    }
}

/// For a pattern that means itself.
fn escape(character: char) -> impl Iterator<Item = char> {
    let special = matches!(character, '*' | '?' | '[' | ']' | '\\' | '^');
    special.then_some('\\').into_iter().chain([character])
}

/// The tenant, and what is left of the name, in a key under `p:t:`.
pub(super) fn tenant_of<'a>(queue: &Queue, shard: u16, key: &'a [u8]) -> Option<(&'a str, &'a str)> {
    let key = std::str::from_utf8(key).ok()?;
    key.strip_prefix(queue.key(shard, "t:").as_str())?.split_once(':')
}
