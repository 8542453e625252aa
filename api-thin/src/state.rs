//! The shared state of all handlers.

use std::sync::Arc;
use std::time::Duration;

use dashboard::OneTimeLink;
use jobs::BatchId;
use jobs::clock::SharedClock;
use jobs::envelope::Stamper;
use jobs::plan::{Limits as TenantLimits, Plans};
use jobs::queue::Queue;
use jobs::tenant::{KbId, TenantId};
use jobs::webhook::TargetRules;
use moka::future::Cache;
use serde_json::Value;
use stores::activity::Activity;
use stores::metrics::StoreSampler;
use stores::model::EventId;
use stores::workers::Workers;
use stores::{Directory, Identities, Stores};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{Accounts, AccountsParts};
use crate::auth::{Authenticator, KeyDerivation, KeyUsage, OwnTokens, SecretHash, Sessions, Tokens};
use crate::bookkeeping::Bookkeeper;
use crate::config::{ApiConfig, Cors, IdentityConfig, InvalidConfig, RequestLimits, Resolution};
use crate::connections::Connections;
use crate::documents::UploadBudget;
use crate::metrics::{Metrics, Sampled};
use crate::problem::Problem;
use crate::rate_limit::RequestRate;

/// What the API works with. Built by the caller: the `api-thin` binary, `tenantry dev`, or a test.
pub struct ApiParts {
    /// The stores of tenants.
    pub stores: Stores,
    /// Tenants, knowledge bases and permissions.
    pub directory: Arc<dyn Directory>,
    /// User accounts.
    pub identities: Arc<Identities>,
    /// What workers did in the last hour.
    pub activity: Activity,
    /// The workers that live.
    pub workers: Workers,
    /// The queue.
    pub queue: Queue,
    /// Signs the jobs.
    pub stamper: Stamper,
    /// The clock.
    pub clock: SharedClock,
    /// Secrets and limits.
    pub config: ApiConfig,
    /// Records how the stores are.
    pub sampler: StoreSampler,
    /// Records what the program knows besides.
    pub sampled: Option<Sampled>,
    /// Signs in the person who opens it first, on the dashboard.
    pub sign_in_link: Option<Arc<OneTimeLink>>,
}

/// The parts, ready to serve. Cloning is cheap.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    stores: Stores,
    activity: Activity,
    workers: Workers,
    queue: Queue,
    stamper: Stamper,
    authenticator: Authenticator,
    key_usage: KeyUsage,
    accounts: Accounts,
    request_limits: RequestLimits,
    plans: Plans,
    budget: UploadBudget,
    request_rate: RequestRate,
    bookkeeper: Bookkeeper,
    resolution: Resolution,
    connections: Arc<Connections>,
    audits: TaskTracker,
    sign_in_link: Option<Arc<OneTimeLink>>,
    cors: Cors,
    webhook_targets: TargetRules,
    closing: CancellationToken,
    batch_reports: BatchReports,
    metrics: Metrics,
}

/// Reports of batches as of an event, for those who saw it at the same time.
pub(crate) type BatchReports = Cache<(TenantId, BatchId, Option<KbId>, EventId), Value>;
/// How many there are at most, and for how long.
const REPORTS: u64 = 1_000;
const REPORTS_KEPT: Duration = Duration::from_secs(5);

impl ApiState {
    /// Checks the secrets and puts the parts together. Raises the process's limit of open files as far as it may.
    ///
    /// # Errors
    /// When a setting cannot be used. The error names it and the fix.
    pub fn new(parts: ApiParts) -> Result<Self, InvalidConfig> {
        let ApiParts { stores, directory, identities, queue, stamper, clock, config, .. } = parts;
        let ApiParts { sampler, sampled, sign_in_link, activity, workers, .. } = parts;
        let prefix = &queue.config().prefix;
        let (activity, workers) = (activity.of_queue(prefix), workers.of_queue(prefix));
        config.check()?;
        let tokens = tokens(&config, &clock)?;
        let sessions = Sessions::new(Arc::clone(&identities), Arc::clone(&clock));
        let keys =
            KeyDerivation::new(&config.key_secret).map_err(InvalidConfig::short(ApiConfig::KEY_SECRET))?;
        let super_admins = config.rules.identity.rules.super_admins.clone();
        let accounts = Accounts::new(AccountsParts {
            identities,
            sessions: sessions.clone(),
            tokens: tokens.own().cloned(),
            keys: keys.clone(),
            rules: config.rules.identity.rules,
            clock: Arc::clone(&clock),
        });
        let operator = config.operator_key.as_ref().map(SecretHash::of);
        let authenticator = Authenticator {
            directory,
            clock,
            keys,
            tokens,
            sessions,
            operator,
            super_admins,
            tokens_without_membership: config.rules.identity.tokens_without_membership,
            auto_provision: config.rules.resolution.auto_provision,
        };
        let metrics = Metrics::new(&config.rules.metrics, queue.clone(), sampler, sampled);
        let budget = UploadBudget::new(&config.rules.limits);
        let (plans, resolution) = (config.plans, config.rules.resolution);
        let connections = Connections::new(config.rules.connections, resolution.trusted_proxies.clone())?;
        Ok(Self(Arc::new(Inner {
            stores,
            activity,
            workers,
            queue,
            stamper,
            authenticator,
            key_usage: KeyUsage::default(),
            accounts,
            request_limits: config.rules.limits,
            plans,
            budget,
            request_rate: RequestRate::default(),
            bookkeeper: Bookkeeper::default(),
            resolution,
            connections: Arc::new(connections),
            audits: TaskTracker::new(),
            sign_in_link,
            cors: config.rules.cors,
            webhook_targets: config.rules.webhooks,
            closing: CancellationToken::new(),
            batch_reports: Cache::builder().max_capacity(REPORTS).time_to_live(REPORTS_KEPT).build(),
            metrics,
        })))
    }

    pub(crate) fn sign_in_link(&self) -> Option<Arc<OneTimeLink>> {
        self.0.sign_in_link.clone()
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.0.stores
    }

    pub(crate) fn directory(&self) -> &dyn Directory {
        self.0.authenticator.directory.as_ref()
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.0.activity
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.0.workers
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.0.queue
    }

    pub(crate) fn stamper(&self) -> &Stamper {
        &self.0.stamper
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.authenticator.clock
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.0.authenticator
    }

    pub(crate) fn key_usage(&self) -> &KeyUsage {
        &self.0.key_usage
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    pub(crate) fn key_derivation(&self) -> &KeyDerivation {
        &self.0.authenticator.keys
    }

    pub(crate) fn request_limits(&self) -> &RequestLimits {
        &self.0.request_limits
    }

    pub(crate) fn resolution(&self) -> &Resolution {
        &self.0.resolution
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.0.plans
    }

    /// Where webhooks may go.
    #[must_use]
    pub fn webhook_targets(&self) -> &TargetRules {
        &self.0.webhook_targets
    }

    /// The tenant's limits: its plan's and its own.
    pub(crate) async fn limits_of(&self, tenant: &TenantId) -> Result<TenantLimits, Problem> {
        let own = self.directory().plan(tenant).await?.ok_or_else(Problem::not_found)?;
        Ok(self.plans().limits(&own.plan, &own.limits))
    }

    pub(crate) fn request_rate(&self) -> &RequestRate {
        &self.0.request_rate
    }

    pub(crate) fn bookkeeper(&self) -> &Bookkeeper {
        &self.0.bookkeeper
    }

    /// Writes what requests have left to be written: counted calls, used API keys, delivered jobs.
    /// [`serve`](crate::serve) does it every second, and at its end.
    pub async fn write_bookkeeping(&self) {
        self.bookkeeper().write_all(None).await;
    }

    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.0.connections)
    }

    pub(crate) fn cors(&self) -> &Cors {
        &self.0.cors
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The writes of audit entries, some of which no request waits for.
    pub(crate) fn audits(&self) -> &TaskTracker {
        &self.0.audits
    }

    /// Cancelled when the program is to end: answers that do not end by themselves end then.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.0.closing.clone()
    }

    pub(crate) fn batch_reports(&self) -> &BatchReports {
        &self.0.batch_reports
    }

    pub(crate) fn budget(&self) -> &UploadBudget {
        &self.0.budget
    }
}

fn tokens(config: &ApiConfig, clock: &SharedClock) -> Result<Tokens, InvalidConfig> {
    let (names, issuer) = (&config.rules.identity.tokens, config.rules.identity.issuer.clone());
    let own = config.jwt_secret.as_ref();
    let own = own.map(|secret| OwnTokens::new(secret, names.clone(), Arc::clone(clock))).transpose();
    let own = own.map_err(InvalidConfig::short(ApiConfig::JWT_SECRET))?;
    Tokens::new(own, issuer, clock)
        .map_err(|error| InvalidConfig::new(IdentityConfig::JWKS_URL, jobs::error::report(&error)))
}
