//! Removes what was copied from where it was.

use super::copy::{DRAFT, timed};
use super::keys::{Walk, ask, tenant_of};
use super::reshard::Plan;
use crate::queue::error::QueueError;
use crate::queue::record;

/// Removes from one shard what is elsewhere now: everything, when the shard is no more.
pub(super) async fn remove_copied(plan: &Plan, shard: u16) -> Result<(), QueueError> {
    let gone = shard >= plan.to;
    let mut walk = Walk::over_keys(&plan.queue, shard, if gone { "" } else { "t:" });
    let keep = plan.key(shard, "shards");
    while let Some(keys) = walk.next(&plan.queue, shard).await? {
        for key in keys {
            let left = || {
                tenant_of(&plan.queue, shard, &key).is_some_and(|(tenant, name)| {
                    plan.leaves(shard, tenant).is_some() || name.starts_with(DRAFT)
                })
            };
            if key != keep.as_bytes() && (gone || left()) {
                ask::<()>(&plan.queue, shard, &[b"UNLINK", &key]).await?;
            }
        }
    }
    if gone {
        return Ok(());
    }
    remove(plan, shard, "e", ("HSCAN", "HDEL"), |_, record| {
        record::parse(record).is_some_and(|record| plan.leaves(shard, record.tenant).is_some())
    })
    .await?;
    let left = |tenant: Option<&str>| tenant.is_some_and(|tenant| plan.leaves(shard, tenant).is_some());
    let name = |member: &[u8]| left(std::str::from_utf8(member).ok());
    remove(plan, shard, "T", ("HSCAN", "HDEL"), |tenant, _| name(tenant)).await?;
    remove(plan, shard, "w", ("ZSCAN", "ZREM"), |timer, _| left(timed(timer))).await?;
    let mut indexes = Walk::over_keys(&plan.queue, shard, "r:");
    let prefix = plan.key(shard, "");
    while let Some(keys) = indexes.next(&plan.queue, shard).await? {
        for key in keys {
            let index = String::from_utf8_lossy(&key).replacen(&prefix, "", 1);
            remove(plan, shard, &index, ("ZSCAN", "ZREM"), |tenant, _| name(tenant)).await?;
        }
    }
    Ok(())
}

async fn remove(
    plan: &Plan,
    shard: u16,
    name: &str,
    (scan, take): (&'static str, &str),
    is_gone: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<(), QueueError> {
    let key = plan.key(shard, name);
    let mut walk = Walk::over(scan, key.as_bytes());
    while let Some(entries) = walk.next(&plan.queue, shard).await? {
        let gone = entries.chunks_exact(2).filter(|entry| is_gone(&entry[0], &entry[1]));
        let mut call: Vec<&[u8]> = vec![take.as_bytes(), key.as_bytes()];
        call.extend(gone.map(|entry| entry[0].as_slice()));
        if call.len() > 2 {
            ask::<()>(&plan.queue, shard, &call).await?;
        }
    }
    Ok(())
}
