//! What the queue keeps of settings that are decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use redis::Cmd;

use super::client::Queue;
use super::connection::Resend;
use super::error::QueueError;
use super::limits::Flow;
use crate::tenant::TenantId;

/// How many tenants that have something in the queue or settings are looked at in one step.
const PAGE: usize = 200;
/// How many tenants, of those that are to be served next, in each lane.
const NEXT: isize = 50;
const LANES_MAX: u16 = 64;

/// What is kept of some tenants.
#[derive(Debug)]
pub struct KeptSettings {
    /// Where to go on; `0` at the start and when all were seen.
    pub cursor: String,
    /// Fields by name, as the queue's scripts call them.
    pub tenants: Vec<(TenantId, BTreeMap<String, String>)>,
}

impl Queue {
    /// What a shard keeps of the settings of a page of tenants, and of those that it serves next: active tenants are
    /// looked at in each call, idle ones page by page, so that their number does not matter.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_settings(&self, shard: u16, cursor: &str) -> Result<KeptSettings, QueueError> {
        let mut page = redis::cmd("HSCAN");
        page.arg(self.key(shard, "T")).arg(cursor).arg("COUNT").arg(PAGE);
        let (cursor, rows): (String, Vec<Vec<u8>>) = self.servers().query(shard, &page, Resend::Safe).await?;
        let mut names: BTreeSet<TenantId> = rows.chunks_exact(2).filter_map(|row| name(&row[0])).collect();
        let lanes: u16 = self.ask(shard, "HLEN", "L").await?;
        let next = (0..(lanes / 3).min(LANES_MAX)).map(|lane| self.next(shard, lane));
        for served in join_all(next).await {
            names.extend(served?);
        }
        let fields = names.iter().map(|tenant| self.fields(shard, tenant));
        let fields = join_all(fields).await;
        Ok(KeptSettings { cursor, tenants: names.into_iter().zip(fields).collect() })
    }

    async fn next(&self, shard: u16, lane: u16) -> Result<Vec<TenantId>, QueueError> {
        let mut first = redis::cmd("ZRANGE");
        first.arg(self.key(shard, &format!("r:{lane}"))).arg(0).arg(NEXT - 1);
        let names: Vec<Vec<u8>> = self.servers().query(shard, &first, Resend::Safe).await?;
        Ok(names.iter().filter_map(|bytes| name(bytes)).collect())
    }

    /// None, when they cannot be read: then they are not what was decided.
    async fn fields(&self, shard: u16, tenant: &TenantId) -> BTreeMap<String, String> {
        let fields: Result<BTreeMap<Vec<u8>, Vec<u8>>, _> =
            self.ask(shard, "HGETALL", &format!("t:{tenant}:S")).await;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        fields.unwrap_or_default().into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// The queues that a shard holds back for all tenants.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn kept_flows(&self, shard: u16) -> Result<BTreeMap<String, Flow>, QueueError> {
        let kept: BTreeMap<Vec<u8>, Vec<u8>> = self.ask(shard, "HGETALL", "P").await?;
        let read = |(queue, flow): (Vec<u8>, Vec<u8>)| {
            let flow = Flow::from_name(std::str::from_utf8(&flow).ok()?)?;
            Some((String::from_utf8(queue).ok()?, flow))
        };
        Ok(kept.into_iter().filter_map(read).collect())
    }

    async fn ask<T: redis::FromRedisValue>(
        &self,
        shard: u16,
        command: &str,
        key: &str,
    ) -> Result<T, QueueError> {
        let mut call = Cmd::new();
        call.arg(command).arg(self.key(shard, key));
        self.servers().query(shard, &call, Resend::Safe).await
    }
}

fn name(bytes: &[u8]) -> Option<TenantId> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
