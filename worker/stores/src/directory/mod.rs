//! The directory: tenants, keys, members and permissions, read across tenants.
//!
//! The rules on rows and the TTLs are here and nowhere else. Code that changes a row that the directory reads
//! reports it through [`DirectoryInvalidation`], so that every process drops its cached answers.

mod invalidation;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jobs::clock::SharedClock;
use jobs::queue::Flow;
use jobs::redis::RedisClient;
use jobs::tenant::{
    Actor, ApiKeyId, DirectoryError, Identity, KbId, Permissions, Provider, Role, TenantDirectory, TenantId,
    TenantRecord,
};
use jobs::types::DeliverWebhook;
use jobs::{Job as _, JobId};
use moka::sync::Cache;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::catalog::{DirectoryRows, MemberRecord};
use crate::deadline::{BULK, CALL, bounded};
use crate::error::StoreError;
use crate::metrics;
use crate::model::{
    ApiKeyRecord, AuditCheck, AuditEntry, AuditFilter, Cancellations, Kb, LoggedAction, Page, Standing,
    Tenant, TenantCursor, TenantFilter, TenantOrder, TenantPlan, TenantStatistics,
};
use crate::page;
use crate::ports::{Directory, StoreResult};

pub(crate) use invalidation::DirectoryInvalidation;

const PING_LIMIT: Duration = Duration::from_secs(3);

/// Answers from the cache, else from the rows.
pub(crate) struct CachedDirectory {
    rows: DirectoryRows,
    answers: Answers,
    invalidation: DirectoryInvalidation,
    clock: SharedClock,
    listener: Option<JoinHandle<()>>,
}

impl Drop for CachedDirectory {
    fn drop(&mut self) {
        self.listener.iter().for_each(JoinHandle::abort);
    }
}

/// Reads from the rows under a deadline, wrapped for the cache. The question decides the kind of answer.
macro_rules! ask {
    ($self:ident, $tenant:ident, $question:expr, $kind:ident, $method:ident($($arg:expr),*)) => {{
        let operation = concat!("directory.", stringify!($method));
        let question = $question;
        let answer = match $self.answers.known($tenant, &question) {
            Some(answer) => answer,
            // Boxed, because most questions are answered without it, and it is large.
            None => {
                let rows = async { $self.rows.$method($tenant $(, $arg)*).await.map(Answer::$kind) };
                Box::pin($self.answers.ask($tenant, question, bounded(operation, CALL, rows))).await?
            }
        };
        match answer {
            Answer::$kind(found) => Ok(found),
            other => Err(StoreError::permanent(operation, format!("answered with {other:?}"))),
        }
    }};
}

impl CachedDirectory {
    /// A directory over `rows`, with a background task that receives invalidation messages.
    pub(crate) fn start(
        rows: DirectoryRows,
        answers: Answers,
        invalidation: DirectoryInvalidation,
        redis: RedisClient,
        clock: SharedClock,
    ) -> Self {
        let listener = tokio::spawn(invalidation::listen(redis, answers.clone()));
        Self { rows, answers, invalidation, clock, listener: Some(listener) }
    }

    /// A directory for a single process, without invalidation messages.
    #[cfg(feature = "test-support")]
    pub(crate) fn alone(
        rows: DirectoryRows,
        answers: Answers,
        invalidation: DirectoryInvalidation,
        clock: SharedClock,
    ) -> Self {
        Self { rows, answers, invalidation, clock, listener: None }
    }

    async fn record(&self, tenant: &TenantId) -> StoreResult<Option<TenantRecord>> {
        ask!(self, tenant, Question::Tenant, Tenant, tenant())
    }

    async fn cancellations(&self, tenant: &TenantId) -> StoreResult<Option<Cancellations>> {
        ask!(self, tenant, Question::Cancellations, Cancellations, cancellations())
    }

    async fn member(&self, tenant: &TenantId, identity: &Identity) -> StoreResult<Option<MemberRecord>> {
        ask!(self, tenant, Question::Member(identity.clone()), Member, member(identity))
    }

    /// Rows from before identities named their provider count where the identity has no row of its own. Where such
    /// a row was given to an account, stamps from that time count for it.
    async fn member_known_as(
        &self,
        tenant: &TenantId,
        identity: &Identity,
    ) -> StoreResult<Option<MemberRecord>> {
        let found = self.member(tenant, identity).await?;
        match (found, identity.legacy(), identity.provider()) {
            (None, Some(legacy), _) => self.member(tenant, &legacy).await,
            (Some(row), _, Provider::Legacy) if row.is_accounts_now => {
                let Ok(name) = identity.subject().parse() else { return Ok(Some(row)) };
                self.member(tenant, &Identity::local(&name)).await
            }
            (found, ..) => Ok(found),
        }
    }

    async fn schedule_creator(
        &self,
        tenant: &TenantId,
        kb: &KbId,
        name: &Arc<str>,
    ) -> StoreResult<Option<String>> {
        let question = Question::ScheduleCreator(kb.clone(), Arc::clone(name));
        ask!(self, tenant, question, ScheduleCreator, schedule_creator(kb, name))
    }

    /// Permissions of an actor other than a schedule.
    async fn direct(
        &self,
        tenant: &TenantId,
        kb: Option<&KbId>,
        actor: &Actor,
        role: Role,
    ) -> StoreResult<Permissions> {
        match actor {
            Actor::Operator => Ok(Role::Admin.permissions()),
            Actor::ApiKey(id) => {
                let key = Directory::api_key(self, tenant, id).await?;
                Ok(of_api_key(key.as_ref(), kb, self.clock.now()))
            }
            Actor::User(identity) => {
                let standing = self.standing(tenant, identity).await?;
                Ok(of_person(identity, standing, role))
            }
            // Its job finds out whether the endpoint is still there: gone is success, and not a refusal.
            Actor::Webhook(_) => Ok(Permissions::of(&[DeliverWebhook::PERMISSION])),
            // A schedule made by a schedule: no person is responsible for it.
            Actor::Schedule(_) => Ok(Permissions::NONE),
        }
    }

    /// The current permissions of the schedule's creator.
    async fn of_schedule(
        &self,
        tenant: &TenantId,
        kb: Option<&KbId>,
        name: &Arc<str>,
        role: Role,
    ) -> StoreResult<Permissions> {
        // Every schedule belongs to a knowledge base.
        let Some(kb) = kb else { return Ok(Permissions::NONE) };
        let creator = self.schedule_creator(tenant, kb, name).await?;
        match creator.and_then(|creator| creator.parse().ok()) {
            Some(actor) => {
                let allowed = self.direct(tenant, Some(kb), &actor, role).await?;
                Ok(allowed.intersection(role.permissions()))
            }
            None => Ok(Permissions::NONE),
        }
    }
}

#[async_trait::async_trait]
impl TenantDirectory for CachedDirectory {
    async fn tenant(&self, tenant: &TenantId) -> Result<Option<TenantRecord>, DirectoryError> {
        self.record(tenant).await.map_err(unanswered)
    }

    async fn kb_exists(&self, tenant: &TenantId, kb: &KbId) -> Result<bool, DirectoryError> {
        let found = Directory::kb(self, tenant, kb).await.map_err(unanswered)?;
        Ok(found.is_some_and(|kb| !kb.is_closed))
    }

    async fn is_cancelled(
        &self,
        tenant: &TenantId,
        job: JobId,
        created_at: DateTime<Utc>,
    ) -> Result<bool, DirectoryError> {
        let known = self.cancellations(tenant).await.map_err(unanswered)?.unwrap_or_default();
        // Most jobs are younger than the tenant's last cancellation, so this saves a read.
        if !known.concern(created_at) {
            return Ok(false);
        }
        let mark = bounded("directory.job_mark", CALL, self.rows.job_mark(tenant, job)).await;
        Ok(known.cancelled(created_at, mark.map_err(unanswered)?))
    }

    async fn permissions(
        &self,
        tenant: &TenantId,
        kb: Option<&KbId>,
        actor: &Actor,
        role: Role,
    ) -> Result<Permissions, DirectoryError> {
        let allowed = match actor {
            Actor::Schedule(name) => self.of_schedule(tenant, kb, name, role).await,
            _ => self.direct(tenant, kb, actor, role).await,
        };
        allowed.map_err(unanswered)
    }
}

#[async_trait::async_trait]
impl Directory for CachedDirectory {
    async fn plan(&self, tenant: &TenantId) -> StoreResult<Option<TenantPlan>> {
        ask!(self, tenant, Question::Plan, Plan, plan())
    }

    async fn api_key(&self, tenant: &TenantId, key: &ApiKeyId) -> StoreResult<Option<ApiKeyRecord>> {
        ask!(self, tenant, Question::ApiKey(key.clone()), ApiKey, api_key(key))
    }

    async fn standing(&self, tenant: &TenantId, identity: &Identity) -> StoreResult<Standing> {
        Ok(match self.member_known_as(tenant, identity).await? {
            Some(MemberRecord { removed: true, .. }) => Standing::Removed,
            Some(MemberRecord { role, .. }) => Standing::Member(role),
            None => Standing::Stranger,
        })
    }

    async fn kb(&self, tenant: &TenantId, kb: &KbId) -> StoreResult<Option<Kb>> {
        ask!(self, tenant, Question::Kb(kb.clone()), Kb, kb(kb))
    }

    async fn tenant_of_slug(&self, slug: &str) -> StoreResult<Option<TenantId>> {
        self.invalidation.slugs().tenant(&self.rows, slug).await
    }

    async fn tenants(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: u32,
    ) -> StoreResult<Page<Tenant>> {
        let rows = self.rows.tenants(filter, after, page::rows_for(limit));
        let rows = bounded("directory.tenants", CALL, rows).await?;
        Ok(page::cut(rows, limit, |tenant| tenant.id.to_string()))
    }

    async fn tenants_sorted(
        &self,
        filter: &TenantFilter,
        order: TenantOrder,
        after: Option<&TenantCursor>,
        limit: u32,
    ) -> StoreResult<Page<Tenant>> {
        let rows = self.rows.tenants_sorted(filter, order, after, (0, page::rows_for(limit)));
        let rows = bounded("directory.tenants_sorted", CALL, rows).await?;
        Ok(page::cut(rows, limit, |tenant| TenantCursor::of(tenant, order.by).text(order.by)))
    }

    async fn tenants_numbered(
        &self,
        filter: &TenantFilter,
        order: TenantOrder,
        offset: u64,
        limit: u32,
    ) -> StoreResult<(Vec<Tenant>, u64)> {
        let total = bounded("directory.tenants_counted", CALL, self.rows.tenants_counted(filter)).await?;
        let rows = self.rows.tenants_sorted(filter, order, None, (offset, limit));
        Ok((bounded("directory.tenants_sorted", CALL, rows).await?, total))
    }

    async fn tenant_statistics(
        &self,
        tenants: &[TenantId],
    ) -> StoreResult<HashMap<TenantId, TenantStatistics>> {
        bounded("directory.tenant_statistics", CALL, self.rows.tenant_statistics(tenants)).await
    }

    async fn tenants_among(&self, tenants: &[TenantId], filter: &TenantFilter) -> StoreResult<Vec<Tenant>> {
        bounded("directory.tenants_among", CALL, self.rows.tenants_among(tenants, filter)).await
    }

    async fn tenants_held(&self, limit: u32) -> StoreResult<Vec<TenantId>> {
        bounded("directory.tenants_held", CALL, self.rows.tenants_held(limit)).await
    }

    async fn queue_flow_put(&self, queue: &str, flow: Flow) -> StoreResult<()> {
        bounded("directory.queue_flow_put", CALL, self.rows.queue_flow_put(queue, flow)).await
    }

    async fn audit_append(&self, entry: &AuditEntry) -> StoreResult<bool> {
        bounded("directory.audit_append", CALL, self.rows.audit_append(entry)).await
    }

    async fn audit_check(&self, last: u64) -> StoreResult<AuditCheck> {
        bounded("directory.audit_check", BULK, self.rows.audit_check(last)).await
    }

    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Page<LoggedAction>> {
        let page = self.rows.audit(filter, after, limit, self.clock.now());
        bounded("directory.audit", CALL, page).await
    }

    async fn invalidate(&self, tenant: &TenantId) {
        self.invalidation.tenant_changed(tenant).await;
    }

    async fn ping(&self) -> StoreResult<()> {
        bounded("directory.ping", PING_LIMIT, self.rows.ping()).await
    }
}

fn unanswered(error: StoreError) -> DirectoryError {
    DirectoryError(Box::new(error))
}

/// Permissions of an API key in a knowledge base, or in all of the tenant: none outside of its reach, nor once it
/// is revoked, expired or gone.
fn of_api_key(record: Option<&ApiKeyRecord>, kb: Option<&KbId>, now: DateTime<Utc>) -> Permissions {
    let works = |key: &&ApiKeyRecord| key.is_live(now) && key.reaches(kb);
    record.filter(works).map_or(Permissions::NONE, |key| key.permissions)
}

/// Permissions of a person: what the membership grants, and no more than the token says. Without a membership only
/// identities that the operator's own program vouches for have any: the API stamps nothing for people who are not
/// members unless its settings say so, and a program that embeds the worker has a sign-in of its own.
fn of_person(identity: &Identity, standing: Standing, role_in_stamp: Role) -> Permissions {
    match standing {
        Standing::Member(role) => role.permissions().intersection(role_in_stamp.permissions()),
        Standing::Stranger if identity.is_vouched_for() => role_in_stamp.permissions(),
        Standing::Removed | Standing::Stranger => Permissions::NONE,
    }
}

/// The target of the trace events that tell of each question, whether its answer is cached or not.
pub const QUESTIONS: &str = "stores::questions";

/// TTL of an answer while invalidation messages arrive.
const FRESH: Duration = Duration::from_secs(5);
/// TTL of a negative answer, and of any answer while no invalidation messages arrive.
const SHORT: Duration = Duration::from_secs(1);
const TENANTS_MAX: u64 = 10_000;
const QUESTIONS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Question {
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
enum Answer {
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

    /// The cached answer.
    fn known(&self, tenant: &TenantId, question: &Question) -> Option<Answer> {
        tracing::trace!(target: QUESTIONS, ?question);
        let answer = self.tenants.get(tenant).and_then(|known| lookup(&known, question));
        metrics::cache_asked("directory", answer.is_some());
        answer
    }

    /// The result of `ask`, which is then cached.
    async fn ask(
        &self,
        tenant: &TenantId,
        question: Question,
        ask: impl Future<Output = StoreResult<Answer>> + Send,
    ) -> StoreResult<Answer> {
        let known = self.tenants.get_with_by_ref(tenant, Arc::default);
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

    fn forget(&self, tenant: &TenantId) {
        self.tenants.invalidate(tenant);
    }

    /// Records whether invalidation messages arrive from now on. Drops all answers, because changes may have been
    /// missed.
    fn set_invalidations_arrive(&self, arrive: bool) {
        self.invalidations_arrive.store(arrive, Ordering::SeqCst);
        self.tenants.invalidate_all();
    }

    fn invalidations_arrive(&self) -> bool {
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

    fn key() -> ApiKeyRecord {
        ApiKeyRecord {
            secret_sha256: String::new(),
            previous: None,
            role: Role::Editor,
            kb_id: None,
            permissions: Role::Editor.permissions(),
            expires_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_ends_with_its_time_or_its_revocation() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let second = chrono::TimeDelta::seconds(1);
        let key = |expires_at, revoked_at| ApiKeyRecord { expires_at, revoked_at, ..key() };
        let all = Role::Editor.permissions();
        assert_eq!(of_api_key(Some(&key(None, None)), None, now), all);
        assert_eq!(of_api_key(Some(&key(Some(now + second), None)), None, now), all);
        assert_eq!(of_api_key(Some(&key(Some(now), None)), None, now), Permissions::NONE);
        assert_eq!(of_api_key(Some(&key(None, Some(now - second))), None, now), Permissions::NONE);
        assert_eq!(of_api_key(None, None, now), Permissions::NONE);
    }

    #[test]
    fn a_key_for_one_knowledge_base_reaches_neither_another_nor_the_tenant() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let (mine, other): (KbId, KbId) = ("papers".parse().unwrap(), "papers-2".parse().unwrap());
        let key = ApiKeyRecord { kb_id: Some(mine.clone()), ..key() };
        assert_eq!(of_api_key(Some(&key), Some(&mine), now), key.permissions);
        assert_eq!(of_api_key(Some(&key), Some(&other), now), Permissions::NONE);
        assert_eq!(of_api_key(Some(&key), None, now), Permissions::NONE);
    }

    #[test]
    fn only_members_and_whom_the_product_vouches_for_may_do_anything() {
        for (text, is_vouched_for) in [
            ("local:ann", false),
            ("issuer:https://id.example.com/#ann", false),
            ("product:ann", true),
            ("user:ann", true),
        ] {
            let of = |standing, role| of_person(&text.parse().unwrap(), standing, role);
            let member = Standing::Member(Role::Viewer);
            assert_eq!(of(Standing::Removed, Role::Admin), Permissions::NONE, "{text}");
            assert_eq!(of(member, Role::Admin), Role::Viewer.permissions(), "{text}");
            let narrow = Role::ViewerReadonly;
            assert_eq!(of(member, narrow), narrow.permissions(), "{text}: the token says less");
            let believed = if is_vouched_for { Role::Editor.permissions() } else { Permissions::NONE };
            assert_eq!(of(Standing::Stranger, Role::Editor), believed, "{text}");
        }
    }

    fn answer(epoch: u64) -> Answer {
        Answer::Tenant(Some(TenantRecord { status: TenantStatus::Active, epoch }))
    }

    async fn epoch(answers: &Answers, tenant: &TenantId, now: u64) -> Option<u64> {
        let found = match answers.known(tenant, &Question::Tenant) {
            Some(found) => found,
            None => answers.ask(tenant, Question::Tenant, async { Ok(answer(now)) }).await.unwrap(),
        };
        match found {
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
            Ok(answer(1))
        };
        answers.ask(&tenant, Question::Tenant, late).await.unwrap();
        assert_eq!(epoch(&answers, &tenant, 2).await, Some(2));
    }
}
