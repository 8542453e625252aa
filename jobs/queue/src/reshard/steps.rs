//! The steps of a change, in order.

use std::collections::BTreeMap;

use crate::config::QueueConfig;
use crate::error::QueueError;
use crate::queue::Queue;
use crate::redis::Resend;
use crate::reshard::copy;
use crate::reshard::copy::{ask, copy_clocks, copy_shard, remove_copied};
use crate::script::{Library, Operation};
use crate::shards::{Layout, home, read_layout};

/// The result of a change of the number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resharded {
    /// The old number of shards.
    pub from: u16,
    /// The new number of shards.
    pub to: u16,
    /// Partitions that were moved by this run. (A run that was interrupted after its copies has none left to move.)
    pub partitions: u64,
    /// Jobs of theirs.
    pub jobs: u64,
}

/// The number of shards was not changed, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum ReshardError {
    /// Redis failed, or the queue is on the way to another number.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Live workers use the queue.
    #[error(
        "{count} workers are alive: stop all workers, wait 15 s, and run this again; nothing was changed \
         (the API may run on: what it accepts meanwhile is enqueued afterwards)"
    )]
    WorkersAlive {
        /// Number of live workers.
        count: u64,
    },
    /// Leases do not end.
    #[error("{claims} claims are still held, although no worker says that it is alive: run this again later")]
    JobsRunning {
        /// Number of claims with a live lease.
        claims: u64,
    },
    /// The queue has a key that this version does not know.
    #[error(
        "the queue has a key that this version cannot move, {0}: nothing was changed; use a newer version"
    )]
    UnknownKey(String),
    /// Not a number of shards.
    #[error("{number} is not a number of shards: choose 1 to {}", QueueConfig::MOST_SHARDS)]
    Number {
        /// The requested number of shards.
        number: u16,
    },
}

/// Which partition moves to which shard.
pub(super) struct Plan {
    pub(super) queue: Queue,
    pub(super) from: u16,
    pub(super) to: u16,
    /// Names this run.
    pub(super) run: String,
}

impl Plan {
    pub(super) fn key(&self, shard: u16, name: &str) -> String {
        self.queue.key(shard, name)
    }

    /// Where `partition`, found in `shard`, belongs, if that is another.
    pub(super) fn leaves(&self, shard: u16, partition: &str) -> Option<u16> {
        let to = home(partition, self.to);
        (to != shard).then_some(to)
    }

    pub(super) async fn adopt(
        &self,
        to: u16,
        partition: &[u8],
        row: &[u8],
        skills: &BTreeMap<u64, (String, String)>,
    ) -> Result<(), QueueError> {
        let mut arguments = vec![self.queue.now().into_bytes(), partition.to_vec(), row.to_vec()];
        for (number, (skill, queue)) in skills {
            arguments.extend([number.to_string(), skill.clone(), queue.clone()].map(String::into_bytes));
        }
        self.queue.call_as_is(to, Operation::Adopt, Resend::Safe, arguments).await
    }

    /// Writes the state of the change, or its end, to every shard there was or will be. The first one decides how a
    /// run that was interrupted goes on: it comes first when a state begins, and last at the end.
    async fn write(&self, state: Layout, first: bool) -> Result<(), QueueError> {
        let state = state.text();
        let mut shards: Vec<u16> = (0..self.from.max(self.to)).collect();
        if !first {
            shards.reverse();
        }
        for shard in shards {
            let key = self.key(shard, "shards");
            ask::<()>(&self.queue, shard, &[b"SET", key.as_bytes(), state.as_bytes()]).await?;
        }
        Ok(())
    }

    async fn copy(&self) -> Result<(u64, u64), ReshardError> {
        let (mut jobs, mut partitions) = (0, 0);
        copy_clocks(self).await?;
        for shard in 0..self.from {
            let copied = copy_shard(self, shard).await?;
            tracing::info!(queue.shard = shard, jobs = copied.0, partitions = copied.1, "copied");
            (jobs, partitions) = (jobs + copied.0, partitions + copied.1);
        }
        Ok((jobs, partitions))
    }
}

/// Changes the number of shards of the queue at `config` to `to`; [`QueueConfig::shards`] is ignored. May be run again
/// after an interruption at any point; until it ends, the queue refuses all operations.
///
/// # Errors
/// When workers are alive, when Redis fails, or when the queue is on the way to another number.
pub async fn reshard(config: QueueConfig, to: u16) -> Result<Resharded, ReshardError> {
    if to == 0 || to > QueueConfig::MOST_SHARDS {
        return Err(ReshardError::Number { number: to });
    }
    let first = Queue::open(QueueConfig { shards: 1, ..config.clone() }, Library::for_shards(to)).await?;
    let state = read_layout(first.servers(), first.layout()).await?;
    let (from, copied) = match &state {
        Layout::Of(from) if *from == to => return Ok(Resharded { from: to, to, partitions: 0, jobs: 0 }),
        Layout::Of(from) => (*from, false),
        Layout::Changing { from, to: begun, .. } if *begun != to => {
            return Err(QueueError::Resharding { from: *from, to: *begun, wording: config.wording }.into());
        }
        Layout::Changing { from, copied, .. } => (*from, *copied),
    };
    let queue = Queue::open(QueueConfig { shards: from.max(to), ..config }, Library::for_shards(to)).await?;
    let plan = Plan { queue, from, to, run: hex::encode(rand::random::<[u8; 8]>()) };
    let begun = matches!(state, Layout::Changing { .. });
    let (jobs, partitions) = if copied { (0, 0) } else { prepare_and_copy(&plan, begun).await? };
    plan.write(Layout::Changing { from, to, copied: true }, true).await?;
    for shard in 0..from.max(to) {
        remove_copied(&plan, shard).await?;
    }
    plan.write(Layout::Of(to), false).await?;
    Ok(Resharded { from, to, partitions, jobs })
}

async fn prepare_and_copy(plan: &Plan, begun: bool) -> Result<(u64, u64), ReshardError> {
    refuse_workers(plan).await?;
    copy::check_keys(&plan.queue, plan.from.max(plan.to)).await?;
    plan.write(Layout::Changing { from: plan.from, to: plan.to, copied: false }, true).await?;
    // One may have come between the look and the freeze. It found the queue as it was.
    if let Err(error) = refuse_workers(plan).await {
        if !begun {
            plan.write(Layout::Of(plan.from), false).await?;
        }
        return Err(error);
    }
    copy::settle(&plan.queue, plan.from).await?;
    plan.copy().await
}

async fn refuse_workers(plan: &Plan) -> Result<(), ReshardError> {
    match copy::live_workers(&plan.queue, plan.from).await? {
        0 => Ok(()),
        count => Err(ReshardError::WorkersAlive { count }),
    }
}
