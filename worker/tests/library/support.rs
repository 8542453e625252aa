//! A job type whose behaviour the test chooses, and a log of what happened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobs::envelope::{EnqueueOptions, StampKeys, StampedJob, Stamper};
use jobs::tenant::TenantContext;
use jobs::{Job, JobError};
use serde::{Deserialize, Serialize};
use worker::{Handler, JobContext, TestBench};

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// What happened since the last call.
    pub(crate) fn read(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Behaves as its payload says, and logs that it ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    Succeed,
    Fail,
    GiveUp,
    /// Gives up, and its on-discard hook never returns.
    GiveUpAndHang,
    Panic,
    Hang,
    /// Opens a group of this many tasks that succeed.
    FanOut(u32),
    /// A fan-out of two, followed by another task of the continuation's type.
    FanOutAndGather,
}

impl Job for Task {
    const TYPE: &'static str = "test.task";
    const MAX_ATTEMPTS: u32 = 3;
    const TIMEOUT: Duration = Duration::from_secs(2);
}

impl Handler for Task {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        cx.state::<Diary>()?.note(format!("{} {self:?} {}", cx.tenant().tenant_id(), cx.attempt()));
        match self {
            Self::Succeed => Ok(()),
            Self::Fail => Err(JobError::retry("told to")),
            Self::GiveUp | Self::GiveUpAndHang => Err(JobError::fail("no_use", "told to")),
            Self::Panic => panic!("told to"),
            Self::Hang => std::future::pending().await,
            Self::FanOut(count) => {
                let members: Vec<Self> = (0..*count).map(|_| Self::Succeed).collect();
                cx.open_group(&members, &Gather)
            }
            Self::FanOutAndGather => {
                cx.open_group(&[Self::Succeed, Self::Succeed], &Gather)?;
                cx.enqueue(&Gather).map(drop)
            }
        }
    }

    async fn discarded(&self, cx: &JobContext, code: &str, _: &str) -> Result<(), JobError> {
        cx.state::<Diary>()?.note(format!("{} {self:?} discarded: {code}", cx.tenant().tenant_id()));
        if matches!(self, Self::GiveUpAndHang) { std::future::pending().await } else { Ok(()) }
    }
}

/// The continuation of a fan-out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Gather;

impl Job for Gather {
    const TYPE: &'static str = "test.gather";
}

impl Handler for Gather {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        cx.state::<Diary>()?.note("gather");
        Ok(())
    }
}

/// A bench with both types and a log.
pub(crate) async fn bench() -> (TestBench, Diary) {
    let diary = Diary::default();
    let bench =
        TestBench::start(|worker| worker.register::<Task>().register::<Gather>().state(diary.clone())).await;
    (bench, diary)
}

/// A job stamped with keys that the worker does not know.
pub(crate) fn forged(bench: &TestBench, tenant: &TenantContext) -> StampedJob {
    let keys = StampKeys::parse(&StampKeys::generate("forger")).unwrap();
    let stamper = Stamper::new(keys, Arc::new(bench.clock().clone()));
    stamper.stamp(tenant, &Task::Succeed, EnqueueOptions::default()).unwrap()
}
