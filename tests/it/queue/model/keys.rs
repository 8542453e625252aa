//! What must be true of the keys after every command.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::MultiplexedConnection;

use super::commands::Lane;
use super::state::{Model, Place, TENANTS};
use crate::queue::support::Harness;

pub(super) struct Keys {
    redis: MultiplexedConnection,
    virtual_clock: u64,
}

impl Keys {
    pub(super) async fn new(h: &Harness) -> Self {
        Self { redis: h.redis().await, virtual_clock: 0 }
    }

    async fn ask<T: redis::FromRedisValue>(
        &mut self,
        h: &Harness,
        command: &str,
        key: &str,
        rest: &[&str],
    ) -> T {
        let mut command = redis::cmd(command);
        command.arg(h.key(key));
        for argument in rest {
            command.arg(argument);
        }
        command.query_async(&mut self.redis).await.unwrap()
    }

    pub(super) async fn check(&mut self, h: &Harness, model: &Model) -> Result<(), String> {
        self.check_records(h, model).await?;
        self.check_leases(h, model).await?;
        self.check_index(h, model).await?;
        self.check_groups(h, model).await?;
        let v: Option<u64> = self.ask(h, "GET", "V", &[]).await;
        let v = v.unwrap_or(0);
        let before = std::mem::replace(&mut self.virtual_clock, v);
        if v >= before { Ok(()) } else { Err(format!("the virtual clock went back from {before} to {v}")) }
    }

    /// Each job that is somewhere has one record, and nothing else has.
    async fn check_records(&mut self, h: &Harness, model: &Model) -> Result<(), String> {
        let stored: Vec<String> = self.ask(h, "HKEYS", "e", &[]).await;
        let expected =
            model.jobs.iter().filter(|(_, job)| !matches!(job.place, Place::Gone | Place::Nowhere));
        let expected: BTreeSet<String> = expected.map(|(id, _)| id.clone()).collect();
        same("records", &stored.into_iter().collect(), &expected)
    }

    /// In flight = leased, and each claim knows how many of its jobs are left.
    async fn check_leases(&mut self, h: &Harness, model: &Model) -> Result<(), String> {
        let stored: BTreeMap<String, u64> = self.ask(h, "HGETALL", "n", &[]).await;
        let leases: BTreeSet<String> = self.ask(h, "ZRANGE", "l", &["0", "-1"]).await;
        let mut expected = BTreeMap::new();
        for job in model.jobs.values() {
            if let Place::Active(claim) = job.place {
                *expected.entry(model.claims[claim].fence.to_string()).or_insert(0) += 1;
            }
        }
        same("jobs left of claims", &stored, &expected)?;
        same("leases", &leases, &expected.into_keys().collect())?;
        for (number, name) in TENANTS.iter().enumerate() {
            let held: BTreeMap<String, String> = self.ask(h, "HGETALL", &format!("t:{name}:a"), &[]).await;
            let expected =
                model.jobs.iter().filter(|(_, job)| job.tenant == number).filter_map(|(id, job)| {
                    let Place::Active(claim) = job.place else { return None };
                    Some((id.clone(), model.claims[claim].fence.to_string()))
                });
            same("in flight", &held, &expected.collect())?;
        }
        Ok(())
    }

    /// A tenant is in a lane's ready index exactly when it may start and has a job there. (A list that was
    /// emptied to the last job leaves the index at the next visit.) One that is merely held back has a timer.
    async fn check_index(&mut self, h: &Harness, model: &Model) -> Result<(), String> {
        let lanes: BTreeMap<String, String> = self.ask(h, "HGETALL", "L", &[]).await;
        let timers: BTreeSet<String> = self.ask(h, "ZRANGE", "w", &["0", "-1"]).await;
        for (lane, name) in [(Lane::Known, "test.ping@1"), (Lane::Rare, "test.pong@2")] {
            let Some(index) = lanes.get(name) else { continue };
            let ready: BTreeSet<String> = self.ask(h, "ZRANGE", &format!("r:{index}"), &["0", "-1"]).await;
            for (number, tenant) in TENANTS.iter().enumerate() {
                let has_work = model
                    .jobs
                    .values()
                    .any(|job| job.tenant == number && job.lane == lane && job.place == Place::Waiting);
                let limited = timers.contains(&format!("r{tenant}"));
                let (may_start, is_ready) = (model.may_start(number), ready.contains(*tenant));
                if has_work && may_start && !is_ready && !limited {
                    return Err(format!("{tenant} has work in {name} and may start, but is not ready"));
                }
                if is_ready && !may_start && model.tenants[number].hold <= model.now {
                    return Err(format!("{tenant} is ready in {name} but may not start"));
                }
            }
        }
        Ok(())
    }

    async fn check_groups(&mut self, h: &Harness, model: &Model) -> Result<(), String> {
        let mut stored = BTreeSet::new();
        for name in TENANTS {
            stored.extend(self.ask::<Vec<String>>(h, "HKEYS", &format!("t:{name}:m"), &[]).await);
        }
        same(
            "members of groups",
            &stored,
            &model.groups.iter().flat_map(|group| group.members.clone()).collect(),
        )
    }

    /// Nothing of what came and went is left.
    pub(super) async fn check_drained(&mut self, h: &Harness) -> Result<(), String> {
        let pattern = format!("{}:*", h.config.prefix);
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut self.redis).await.unwrap();
        let lasting = |key: &str| {
            let name = key.split_once("}:").map_or(key, |(_, name)| name);
            matches!(name, "shards" | "F" | "L" | "T" | "V" | "e" | "w")
                || ["mk:", "u:", "W:"].iter().any(|prefix| name.starts_with(prefix))
                || [":o", ":f", ":x", ":q", ":z", ":S"].iter().any(|suffix| name.ends_with(suffix))
        };
        let left: Vec<_> = keys.into_iter().filter(|key| !lasting(key)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
    }
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}
