//! The cache of the directory's answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jobs::tenant::{ApiKeyId, Identity, KbId, TenantId, TenantRecord};
use moka::sync::Cache;

use crate::catalog::MemberRecord;
use crate::metrics;
use crate::model::{ApiKeyRecord, Cancellations, Kb, TenantPlan};
use crate::ports::StoreResult;

/// The target of the trace events that tell of each question, whether its answer is cached or not.
pub const QUESTIONS: &str = "stores::questions";

/// TTL of an answer while invalidation messages arrive.
const FRESH: Duration = Duration::from_secs(5);
/// TTL of a negative answer, and of any answer while no invalidation messages arrive.
const SHORT: Duration = Duration::from_secs(1);
const TENANTS_MAX: u64 = 10_000;
const QUESTIONS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Tenant,
    Cancellations,
    Plan,
    Kb(KbId),
    ApiKey(ApiKeyId),
    Member(Identity),
    ScheduleCreator(KbId, Arc<str>),
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a few are kept of a tenant, and a plan is read the most often"
)]
pub(super) enum Answer {
    Tenant(Option<TenantRecord>),
    Cancellations(Option<Cancellations>),
    Plan(Option<TenantPlan>),
    Kb(Option<Kb>),
    ApiKey(Option<ApiKeyRecord>),
    Member(Option<MemberRecord>),
    ScheduleCreator(Option<String>),
}

impl Answer {
    fn is_empty(&self) -> bool {
        match self {
            Self::Tenant(found) => found.is_none(),
            Self::Cancellations(found) => found.is_none(),
            Self::Plan(found) => found.is_none(),
            Self::Kb(found) => found.is_none(),
            Self::ApiKey(found) => found.is_none(),
            Self::Member(found) => found.is_none(),
            Self::ScheduleCreator(found) => found.is_none(),
        }
    }
}

/// The answers about one tenant. Invalidating a tenant drops the whole map: the answer of a read in flight goes
/// into the dropped map, and is never returned.
type TenantAnswers = Mutex<HashMap<Question, (Answer, Instant)>>;

/// Cached answers of the directory, kept for a few seconds.
#[derive(Clone)]
pub(crate) struct Answers {
    tenants: Cache<TenantId, Arc<TenantAnswers>>,
    invalidations_arrive: Arc<AtomicBool>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let tenants =
            Cache::builder().max_capacity(TENANTS_MAX).time_to_idle(Duration::from_secs(60)).build();
        Self { tenants, invalidations_arrive: Arc::default() }
    }

    /// The cached answer, or the result of `ask`, which is then cached.
    pub(super) async fn get(
        &self,
        tenant: &TenantId,
        question: Question,
        ask: impl Future<Output = StoreResult<Answer>> + Send,
    ) -> StoreResult<Answer> {
        tracing::trace!(target: QUESTIONS, ?question);
        let known = self.tenants.get_with_by_ref(tenant, Arc::default);
        let answer = lookup(&known, &question);
        metrics::cache_asked("directory", answer.is_some());
        if let Some(answer) = answer {
            return Ok(answer);
        }
        let asked_at = Instant::now();
        let answer = ask.await?;
        let ttl = if self.invalidations_arrive() && !answer.is_empty() { FRESH } else { SHORT };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= QUESTIONS_MAX {
            known.clear();
        }
        known.insert(question, (answer.clone(), asked_at + ttl));
        Ok(answer)
    }

    /// How many tenants there are answers about.
    pub(crate) fn len(&self) -> u64 {
        self.tenants.entry_count()
    }

    pub(super) fn forget(&self, tenant: &TenantId) {
        self.tenants.invalidate(tenant);
    }

    /// Records whether invalidation messages arrive from now on. Drops all answers, because changes may have been
    /// missed.
    pub(super) fn set_invalidations_arrive(&self, arrive: bool) {
        self.invalidations_arrive.store(arrive, Ordering::SeqCst);
        self.tenants.invalidate_all();
    }

    pub(super) fn invalidations_arrive(&self) -> bool {
        self.invalidations_arrive.load(Ordering::SeqCst)
    }
}

fn lookup(known: &TenantAnswers, question: &Question) -> Option<Answer> {
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let (answer, until) = known.get(question)?;
    (Instant::now() < *until).then(|| answer.clone())
}

#[cfg(test)]
mod tests {
    use jobs::tenant::TenantStatus;

    use super::*;

    fn record(epoch: u64) -> Answer {
        Answer::Tenant(Some(TenantRecord { status: TenantStatus::Active, epoch }))
    }

    async fn epoch(answers: &Answers, tenant: &TenantId, now: u64) -> Option<u64> {
        let ask = async { Ok(record(now)) };
        match answers.get(tenant, Question::Tenant, ask).await.unwrap() {
            Answer::Tenant(found) => found.map(|record| record.epoch),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_answer_is_kept_until_it_is_forgotten() {
        let (answers, tenant) = (Answers::new(), "acme".parse().unwrap());
        answers.set_invalidations_arrive(true);
        assert_eq!(epoch(&answers, &tenant, 1).await, Some(1));
        assert_eq!(epoch(&answers, &tenant, 2).await, Some(1));
        answers.forget(&"acme-2".parse().unwrap());
        assert_eq!(epoch(&answers, &tenant, 2).await, Some(1));
        answers.forget(&tenant);
        assert_eq!(epoch(&answers, &tenant, 2).await, Some(2));
        answers.set_invalidations_arrive(false);
        assert_eq!(epoch(&answers, &tenant, 3).await, Some(3));
    }

    #[tokio::test]
    async fn an_answer_that_was_on_its_way_when_it_changed_is_not_kept() {
        let (answers, tenant): (_, TenantId) = (Answers::new(), "acme".parse().unwrap());
        answers.set_invalidations_arrive(true);
        let late = async {
            answers.forget(&tenant);
            Ok(record(1))
        };
        answers.get(&tenant, Question::Tenant, late).await.unwrap();
        assert_eq!(epoch(&answers, &tenant, 2).await, Some(2));
    }
}
