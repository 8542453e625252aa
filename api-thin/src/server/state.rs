use std::sync::Arc;

use jobs::clock::SharedClock;
use jobs::envelope::Stamper;
use jobs::plan::{Limits as TenantLimits, Plans};
use jobs::queue::Queue;
use jobs::tenant::TenantId;
use stores::{Directory, Stores};

use super::config::{ApiConfig, InvalidConfig};
use crate::auth::{Authenticator, KeyMint, KeyUsage, SecretHash, TokenVerifier};
use crate::documents::{Limits, UploadBudget};
use crate::meter::Meter;
use crate::problem::Problem;

/// What the API works with. Built by the caller: the `api-thin` binary, `worker dev`, or a test.
pub struct ApiParts {
    /// The stores of tenants.
    pub stores: Stores,
    /// Who exists and who may do what.
    pub directory: Arc<dyn Directory>,
    /// Takes the jobs.
    pub queue: Queue,
    /// Signs the jobs.
    pub stamper: Stamper,
    /// Tells the time.
    pub clock: SharedClock,
    /// Secrets and limits.
    pub config: ApiConfig,
}

/// The parts, ready to serve. Cloning is cheap.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    stores: Stores,
    queue: Queue,
    stamper: Stamper,
    authenticator: Authenticator,
    key_usage: KeyUsage,
    limits: Limits,
    plans: Plans,
    budget: UploadBudget,
    meter: Meter,
}

impl ApiState {
    /// Checks the secrets and puts the parts together.
    ///
    /// # Errors
    /// When a secret cannot be used. The error names the setting and the fix.
    pub fn new(parts: ApiParts) -> Result<Self, InvalidConfig> {
        let ApiParts { stores, directory, queue, stamper, clock, config } = parts;
        config.check()?;
        let tokens = config.jwt_secret.as_ref().map(|secret| TokenVerifier::new(secret, Arc::clone(&clock)));
        let authenticator = Authenticator {
            directory,
            clock,
            mint: KeyMint::new(config.key_secret).map_err(InvalidConfig::short(ApiConfig::KEY_SECRET))?,
            tokens: tokens.transpose().map_err(InvalidConfig::short(ApiConfig::JWT_SECRET))?,
            operator: config.operator_key.as_ref().map(SecretHash::of),
        };
        let budget = UploadBudget::new(&config.limits);
        let (limits, plans) = (config.limits, config.plans);
        Ok(Self(Arc::new(Inner {
            stores,
            queue,
            stamper,
            authenticator,
            key_usage: KeyUsage::default(),
            limits,
            plans,
            budget,
            meter: Meter::default(),
        })))
    }

    pub(crate) fn stores(&self) -> &Stores {
        &self.0.stores
    }

    pub(crate) fn directory(&self) -> &dyn Directory {
        self.0.authenticator.directory.as_ref()
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

    pub(crate) fn mint(&self) -> &KeyMint {
        &self.0.authenticator.mint
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.0.plans
    }

    /// What the tenant may use: its plan's limits and its own.
    pub(crate) async fn limits_of(&self, tenant: &TenantId) -> Result<TenantLimits, Problem> {
        let own = self.directory().plan(tenant).await?.ok_or_else(Problem::not_found)?;
        Ok(self.plans().limits(&own.plan, &own.limits))
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.0.meter
    }

    pub(crate) fn budget(&self) -> &UploadBudget {
        &self.0.budget
    }
}
