//! How jobs end, on both sides.

use std::time::Duration;

use jobs::envelope::EnqueueOptions;
use jobs::queue::{Finish, FinishedJob, OnFailure, OpenGroup, Verdict};
use jobs::{GroupId, JobId};

use super::commands::{End, Lane};
use super::keys::same;
use super::run::{Checked, Run};
use super::state::{Claim, Group, Place, TENANTS};
use crate::queue::support::tenant;

impl Run {
    pub(super) async fn finish(
        &mut self,
        claim: usize,
        job: usize,
        end: End,
        children: usize,
        group: bool,
    ) -> Checked {
        if self.model.claims.is_empty() {
            return Ok(());
        }
        let claim = claim % self.model.claims.len();
        let id = self.model.claims[claim].jobs[job % self.model.claims[claim].jobs.len()].clone();
        let tenant = self.model.jobs[&id].tenant;
        let mut finish = Finish::of(verdict(end));
        let group_id = GroupId::of(id.parse::<JobId>().map_err(|error| error.to_string())?);
        let is_final = finish.verdict.is_final();
        let reopened = self.model.jobs[&id].completed > 0;
        if is_final && !reopened {
            let member = EnqueueOptions { group: group.then_some(group_id), ..EnqueueOptions::default() };
            finish.children = (0..children).map(|_| self.stamp(tenant, Lane::Known, member)).collect();
            finish.group = group.then(|| OpenGroup {
                id: group_id,
                continuation: self.stamp(tenant, Lane::Rare, EnqueueOptions::default()),
                on_failure: OnFailure::Continue,
            });
        }
        let finished = FinishedJob {
            shard: 0,
            tenant: TENANTS[tenant].into(),
            id: id.clone(),
            fence: self.model.claims[claim].fence,
            finish,
            record_bytes: 0,
            time: None,
        };
        let applied =
            self.h.queue.finish(std::slice::from_ref(&finished)).await.map_err(|error| error.to_string())?[0];
        let jitter_ms = self.jitter(&id, end, applied).await?;
        same("applied", &applied, &self.model.finish(claim, &id, end, jitter_ms))?;
        if applied {
            self.added(tenant, &finished.finish);
            self.model.leave_group(&id);
        }
        Ok(())
    }

    /// The queue's own choice, which the model takes over.
    async fn jitter(&self, id: &str, end: End, applied: bool) -> Result<u64, String> {
        if !applied || !matches!(end, End::Parked) {
            return Ok(0);
        }
        let job = &self.model.jobs[id];
        let base = self.model.now + u64::from((job.parks + 1).min(5)) * 1_000;
        let status = self.h.queue.lookup(&tenant(TENANTS[job.tenant]), id.parse().map_err(|_| "id")?).await;
        let due =
            status.map_err(|error| error.to_string())?.and_then(|status| status.at).ok_or("not parked")?;
        let jitter = due.timestamp_millis().unsigned_abs().checked_sub(base).ok_or("parked for too short")?;
        if jitter < 250 { Ok(jitter) } else { Err(format!("parked {jitter} ms too long")) }
    }

    fn added(&mut self, tenant: usize, finish: &Finish) {
        let group = finish.group.as_ref().map(|group| {
            let continuation = group.continuation.id().to_string();
            self.model.add(continuation.clone(), tenant, Lane::Rare, Place::Nowhere, None);
            let members = finish.children.iter().map(|job| job.id().to_string()).collect();
            self.model.groups.push(Group { members, continuation });
            self.model.groups.len() - 1
        });
        for job in &finish.children {
            self.model.add(job.id().to_string(), tenant, Lane::Known, Place::Waiting, group);
        }
        if let Some(group) = group {
            self.model.close_group(group);
        }
    }

    pub(super) async fn complete(&mut self, claim: usize) -> Checked {
        if self.model.claims.is_empty() {
            return Ok(());
        }
        let claim = claim % self.model.claims.len();
        let Claim { fence, jobs, .. } = &self.model.claims[claim];
        let (fence, jobs) = (*fence, jobs.clone());
        let batch: Vec<_> = jobs
            .iter()
            .map(|id| FinishedJob {
                shard: 0,
                tenant: TENANTS[self.model.jobs[id].tenant].into(),
                id: id.clone(),
                fence,
                finish: Verdict::Completed.into(),
                record_bytes: 0,
                time: None,
            })
            .collect();
        let applied = self.h.queue.finish(&batch).await.map_err(|error| error.to_string())?;
        for (id, applied) in jobs.iter().zip(applied) {
            same("applied", &applied, &self.model.finish(claim, id, End::Completed, 0))?;
            self.model.leave_group(id);
        }
        Ok(())
    }
}

fn verdict(end: End) -> Verdict {
    let reason = String::from("as the script says");
    match end {
        End::Completed => Verdict::Completed,
        End::Retry { after_ms } => Verdict::Retry { after: Duration::from_millis(after_ms), error: reason },
        End::Discarded => Verdict::Discarded { code: "discarded", reason },
        End::Quarantined => Verdict::Quarantined { code: "quarantined", reason },
        End::Parked => Verdict::Parked { reason },
        End::Dropped => Verdict::Dropped { reason },
        End::Released => Verdict::Released,
    }
}
