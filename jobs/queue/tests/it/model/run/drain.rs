//! The end of a run: all workers have died, no tenant is held back, and time passes.

use super::call::{Ending, Request};
use super::{Checked, Run};
use crate::model::commands::{Change, End};
use crate::model::plain::{Keeping, Place};
use crate::model::world::{LEASE_MS, QUEUES, TENANTS, TYPES};

/// Longer than anything waits.
const LONG_MS: u64 = 700_000;

impl Run {
    /// Everything drains, each continuation once, and nothing is left behind.
    pub(super) async fn drain(&mut self) -> Checked {
        self.last = None;
        self.open_all().await?;
        self.fail_some().await?;
        self.redrive_all().await?;
        for _ in 0..200 {
            self.advance(LEASE_MS);
            self.heal().await?;
            self.check().await?;
            self.reap(100).await?;
            self.check().await?;
            while self.sweep(100).await? > 0 {
                self.check().await?;
            }
            self.check().await?;
            while self.fetch_all().await? > 0 {
                self.end_last(End::Completed).await?;
            }
            if !self.model.jobs.values().any(|job| job.place.is_open()) {
                return self.drained().await;
            }
        }
        Err("it does not drain".into())
    }

    /// Some attempts fail, and then for good.
    async fn fail_some(&mut self) -> Checked {
        for end in [End::Retry(0), End::Retry(0), End::Discarded, End::Discarded, End::Discarded] {
            if self.fetch_all().await? > 0 {
                self.end_last(end).await?;
            }
        }
        Ok(())
    }

    async fn redrive_all(&mut self) -> Checked {
        for tenant in 0..TENANTS.len() {
            for keeping in [Keeping::Dead, Keeping::Quarantine] {
                self.redrive(tenant, keeping).await?;
                self.check().await?;
            }
        }
        Ok(())
    }

    async fn open_all(&mut self) -> Checked {
        for queue in 0..QUEUES.len() {
            self.queue_flow(None, queue, None).await?;
            for tenant in 0..TENANTS.len() {
                self.queue_flow(Some(tenant), queue, None).await?;
            }
        }
        for tenant in 0..TENANTS.len() {
            for kind in 0..TYPES.len() {
                self.set(tenant, Change::TypeCap(kind, None)).await?;
            }
            let open =
                [Change::Paused(false), Change::Suspended(false), Change::Draining(false), Change::Usual];
            for change in open {
                self.set(tenant, change).await?;
            }
        }
        self.check().await
    }

    async fn fetch_all(&mut self) -> Result<usize, String> {
        self.attempt += 1;
        let request =
            Request { worker: 0, attempt: self.attempt, limit: 8, skills: 15, quantum: 2, newcomers: false };
        let found = self.fetch(request).await?;
        self.check().await?;
        Ok(found)
    }

    async fn end_last(&mut self, end: End) -> Checked {
        let claim = self.model.claims.len() - 1;
        let jobs = self.model.claims[claim].jobs.clone();
        let ending = |(id, charged)| Ending {
            claim,
            id,
            end,
            children: Vec::new(),
            group: None,
            time: Some((charged, charged)),
        };
        self.finish(&jobs.into_iter().map(ending).collect::<Vec<_>>()).await?;
        self.check().await
    }

    async fn drained(&mut self) -> Checked {
        for tenant in 0..TENANTS.len() {
            self.purge(tenant, Keeping::Dead, None).await?;
            self.purge(tenant, Keeping::Quarantine, None).await?;
        }
        self.advance(LONG_MS);
        self.sweep(100).await?;
        self.heal().await?;
        self.check().await?;
        if let Some((id, job)) = self.model.jobs.iter().find(|(_, job)| job.completed > 1) {
            return Err(format!("{id} completed {} times", job.completed));
        }
        let lost = self.model.jobs.iter().find(|(_, job)| !matches!(job.place, Place::Gone | Place::Nowhere));
        if let Some((id, job)) = lost {
            return Err(format!("{id} is left: {job:?}"));
        }
        self.nothing_left().await
    }

    /// Except for lasting state: clocks, skills, hints, what ended, windows, and tenants that still owe time.
    async fn nothing_left(&mut self) -> Checked {
        let prefix = self.reader.key("");
        let rows: Vec<_> = self.before.rows.keys().map(|tenant| format!("t:{tenant}:S")).collect();
        let lasting = |key: &str| {
            let name = key.strip_prefix(&prefix).unwrap_or(key);
            matches!(name, "shards" | "F" | "L" | "T" | "V" | "G" | "f" | "o")
                || ["mk:", "u:", "W:"].iter().any(|start| name.starts_with(start))
                || name.ends_with(":r")
                || rows.iter().any(|settings| settings == name)
        };
        let left: Vec<_> = self.keys().await.into_iter().filter(|key| !lasting(key)).collect();
        if !left.is_empty() {
            return Err(format!("left behind: {left:?}"));
        }
        for (tenant, name) in TENANTS.iter().enumerate() {
            let clock = self.before.virtual_clock;
            if let Some(row) = self.before.row(tenant)? {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                let owes = row.virtual_time > clock as f64;
                if !owes {
                    return Err(format!("{name} has nothing, and still a row: {row:?}"));
                }
            }
        }
        Ok(())
    }
}
