//! Finishing, on both sides.

use std::time::Duration;

use fair_queue::{Finish, FinishedJob, JobState, Verdict, WorkerTime};

use super::call::Ending;
use super::push::block;
use super::{Checked, Run, failed};
use crate::model::commands::End;
use crate::model::keys::same;
use crate::model::plain::{Ended, Place};
use crate::model::world::TENANTS;
use crate::support::tenant;

impl Run {
    pub(super) async fn finish(&mut self, endings: &[Ending]) -> Checked {
        let batch: Vec<_> = endings.iter().map(|ending| self.finished(ending)).collect();
        let found = self.h.queue.finish(&batch).await.map_err(failed)?;
        let mut ended = Vec::new();
        for ending in endings {
            let mut children: Vec<_> = ending.group.iter().map(|&group| block(group)).collect();
            children.extend(self.model.blocks(&ending.children));
            let Ending { claim, id, end, time, .. } = *ending;
            let jitter_ms = self.jitter(ending).await?;
            ended.push(Ended { claim, id, end, jitter_ms, children, time });
        }
        same("applied", &found, &self.model.finish(&ended))
    }

    fn finished(&self, ending: &Ending) -> FinishedJob {
        let claim = &self.model.claims[ending.claim];
        let mut finish = Finish::of(verdict(ending.end));
        finish.children = ending.children.iter().map(|id| self.made[id].clone()).collect();
        finish.group = ending.group.map(|group| self.open(group));
        let time = |(charged, took)| WorkerTime {
            charged: Duration::from_micros(charged),
            took: Duration::from_micros(took),
        };
        FinishedJob {
            shard: 0,
            partition: TENANTS[self.model.tenant_of(ending.id)].into(),
            id: ending.id.to_string().into(),
            fence: claim.fence,
            finish,
            record_bytes: claim.bytes[&ending.id],
            time: ending.time.map(time),
        }
    }

    /// The queue's own choice, which the model takes over.
    async fn jitter(&self, ending: &Ending) -> Result<u64, String> {
        let job = &self.model.jobs[&ending.id];
        if ending.end != End::Parked || job.place != Place::Active(ending.claim) {
            return Ok(0);
        }
        let owner = tenant(TENANTS[job.spec.tenant]);
        let status = self.h.queue.lookup(&owner, ending.id).await.map_err(failed)?;
        let Some(due) = status.filter(|status| status.state == JobState::Parked).and_then(|status| status.at)
        else {
            return Ok(0);
        };
        let base = self.model.now + u64::from((job.parks + 1).min(5)) * 1_000;
        let due = due.timestamp_millis().unsigned_abs();
        let jitter = due.checked_sub(base).ok_or("parked for too short")?;
        if jitter < 250 { Ok(jitter) } else { Err(format!("parked {jitter} ms too long")) }
    }
}

fn verdict(end: End) -> Verdict {
    let reason = String::from("as the script says");
    match end {
        End::Completed => Verdict::Completed,
        End::Retry(after) => Verdict::Retry { after: Duration::from_millis(after), error: reason },
        End::Waiting(after) => Verdict::Waiting { after: Duration::from_millis(after), reason },
        End::Discarded => Verdict::Discarded { code: "discarded", reason },
        End::Quarantined => Verdict::Quarantined { code: "quarantined", reason },
        End::Parked => Verdict::Parked { reason },
        End::Dropped => Verdict::Dropped { reason },
        End::Released => Verdict::Released,
    }
}
