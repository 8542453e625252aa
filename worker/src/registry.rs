//! Which handler runs which job type.

use std::collections::HashMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use jobs::envelope::Envelope;
use jobs::queue::Skill;
use jobs::{Job, JobError, JobPolicy};

use crate::context::JobContext;
use crate::handler::{Handler, Reopen, Reopened};

/// A running handler or hook.
type Work<'a> = BoxFuture<'a, Result<(), JobError>>;

/// The on-discard hook of a handler: called with the code and the reason why the job will not be done.
pub(crate) type OnDiscard = for<'a> fn(&'a Envelope, &'a JobContext, &'a str, &'a str) -> Work<'a>;

/// The preparation of a job that was started again.
type Reopening<'a> = BoxFuture<'a, Result<Reopened, JobError>>;

/// The handler and hooks of one job type, the type itself erased.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) policy: JobPolicy,
    pub(crate) handle: for<'a> fn(&'a Envelope, &'a JobContext) -> Work<'a>,
    pub(crate) reopen: for<'a> fn(&'a Envelope, &'a JobContext) -> Reopening<'a>,
    pub(crate) discarded: OnDiscard,
    pub(crate) refused: OnDiscard,
}

/// The job types that a worker runs. It fetches these and no others.
#[derive(Clone, Default)]
pub struct Registry {
    entries: HashMap<&'static str, Entry>,
}

impl Registry {
    /// A registry without any type.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Registers a job type with its handler. A type of the same name is replaced.
    #[must_use]
    pub fn with<J: Handler>(self) -> Self {
        self.with_entry::<J, ()>(|_, _| async { Ok(Reopened::Run) }.boxed())
    }

    /// Registers a job type that prepares its reruns with [`Reopen`].
    #[must_use]
    pub fn with_reopen<J: Reopen<Owner>, Owner>(self) -> Self {
        self.with_entry::<J, Owner>(reopen::<J, Owner>)
    }

    fn with_entry<J: Handler<Owner>, Owner>(
        mut self,
        reopen: for<'a> fn(&'a Envelope, &'a JobContext) -> Reopening<'a>,
    ) -> Self {
        let entry = Entry {
            policy: JobPolicy::of::<J>(),
            handle: handle::<J, Owner>,
            reopen,
            discarded: discarded::<J, Owner>,
            refused: refused::<J, Owner>,
        };
        self.entries.insert(J::TYPE, entry);
        self
    }

    /// The skills that a worker with this registry fetches from.
    #[must_use]
    pub fn skills(&self) -> Vec<Skill> {
        self.entries.values().map(|entry| Skill::from(&entry.policy)).collect()
    }

    /// Whether no type is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The policies of all types.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &JobPolicy> {
        self.entries.values().map(|entry| &entry.policy)
    }

    pub(crate) fn entry(&self, kind: &str) -> Option<&Entry> {
        self.entries.get(kind)
    }

    /// The policy of a job type at this version of its payload; `None` when a worker with this registry does not
    /// run it.
    #[must_use]
    pub fn policy(&self, kind: &str, version: u32) -> Option<JobPolicy> {
        self.entry(kind).map(|entry| entry.policy).filter(|policy| policy.version == version)
    }
}

fn handle<'a, J: Handler<Owner>, Owner>(envelope: &'a Envelope, cx: &'a JobContext) -> Work<'a> {
    async move { payload::<J>(envelope)?.handle(cx).await }.boxed()
}

fn reopen<'a, J: Reopen<Owner>, Owner>(envelope: &'a Envelope, cx: &'a JobContext) -> Reopening<'a> {
    async move { payload::<J>(envelope)?.reopen(cx).await }.boxed()
}

fn discarded<'a, J: Handler<Owner>, Owner>(
    envelope: &'a Envelope,
    cx: &'a JobContext,
    code: &'a str,
    reason: &'a str,
) -> Work<'a> {
    async move { payload::<J>(envelope)?.discarded(cx, code, reason).await }.boxed()
}

fn refused<'a, J: Handler<Owner>, Owner>(
    envelope: &'a Envelope,
    cx: &'a JobContext,
    code: &'a str,
    reason: &'a str,
) -> Work<'a> {
    async move { payload::<J>(envelope)?.refused(cx, code, reason).await }.boxed()
}

fn payload<J: Job>(envelope: &Envelope) -> Result<J, JobError> {
    let invalid =
        |error| JobError::fail("payload_invalid", format!("the payload is not a {}: {error}", J::TYPE));
    envelope.payload().map_err(invalid)
}
