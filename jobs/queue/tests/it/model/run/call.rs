//! Calls, with everything in them that was left open in the commands: so that they can be sent again.

use fair_queue::GroupId;

use super::{Checked, Run};
use crate::model::commands::{Change, End};
use crate::model::plain::{Flow, Id, Keeping};

#[derive(Debug, Clone)]
pub(super) enum Call {
    Push { ids: Vec<Id>, accepted: bool },
    Group { group: GroupOf, members: Vec<Id> },
    Chain { ids: Vec<Id> },
    Fetch(Request),
    Finish(Vec<Ending>),
    Renew { claim: usize, extra_us: u64 },
    Reap { max_claims: u32 },
    Heal,
    Sweep { limit: u32 },
    Cancel { tenant: usize, ids: Vec<Id> },
    Reschedule { tenant: usize, id: Id, due: u64 },
    CancelTenant { tenant: usize },
    CancelGroup { tenant: usize, group: GroupId },
    Set { tenant: usize, change: Change },
    QueueFlow { tenant: Option<usize>, queue: usize, flow: Option<Flow> },
    Redrive { tenant: usize, keeping: Keeping },
    Purge { tenant: usize, keeping: Keeping, code: Option<&'static str> },
    Heartbeat { worker: usize, skills: u8, stay: bool },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) worker: usize,
    pub(super) attempt: u64,
    pub(super) limit: usize,
    pub(super) skills: u8,
    pub(super) quantum: u32,
    /// For tenants only that have nothing running.
    pub(super) newcomers: bool,
}

/// A group that is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupOf {
    pub(super) id: GroupId,
    pub(super) continuation: Id,
    pub(super) cancels: bool,
}

/// How one job ends.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) claim: usize,
    pub(super) id: Id,
    pub(super) end: End,
    pub(super) children: Vec<Id>,
    pub(super) group: Option<GroupOf>,
    /// Charged and taken, in microseconds.
    pub(super) time: Option<(u64, u64)>,
}

impl Run {
    pub(super) async fn call(&mut self, call: Call) -> Checked {
        self.last = Some(call.clone());
        self.perform(&call).await
    }

    /// The answer got lost: the same again.
    pub(super) async fn again(&mut self) -> Checked {
        let Some(call) = self.last.clone() else { return Ok(()) };
        self.perform(&call).await.map_err(|error| format!("{call:?}: {error}"))
    }

    async fn perform(&mut self, call: &Call) -> Checked {
        match call {
            Call::Push { ids, accepted } => self.push(ids, *accepted).await,
            Call::Group { group, members } => self.push_group(*group, members).await,
            Call::Chain { ids } => self.push_chain(ids).await,
            Call::Fetch(request) => self.fetch(*request).await.map(drop),
            Call::Finish(endings) => self.finish(endings).await,
            Call::Renew { claim, extra_us } => self.renew(*claim, *extra_us).await,
            Call::Reap { max_claims } => self.reap(*max_claims).await,
            Call::Heal => self.heal().await,
            Call::Sweep { limit } => self.sweep(*limit).await.map(drop),
            Call::Cancel { tenant, ids } => self.cancel(*tenant, ids).await,
            Call::Reschedule { tenant, id, due } => self.reschedule(*tenant, *id, *due).await,
            Call::CancelTenant { tenant } => self.cancel_tenant(*tenant).await,
            Call::CancelGroup { tenant, group } => self.cancel_group(*tenant, *group).await,
            Call::Set { tenant, change } => self.set(*tenant, *change).await,
            Call::QueueFlow { tenant, queue, flow } => self.queue_flow(*tenant, *queue, *flow).await,
            Call::Redrive { tenant, keeping } => self.redrive(*tenant, *keeping).await,
            Call::Purge { tenant, keeping, code } => self.purge(*tenant, *keeping, *code).await,
            Call::Heartbeat { worker, skills, stay } => self.heartbeat(*worker, *skills, *stay).await,
        }
    }
}
