//! `tenant.provision`: prepares every store for a new tenant and activates it.

use jobs::JobError;
use jobs::tenant::{Role, TenantStatus};
use jobs::types::ProvisionTenant;
use stores::model::NewApiKey;
use worker::context::JobContext;
use worker::handler::{Handler, Reopen, Reopened};
use worker::tenants::prepare_stores;

use crate::registry::Product;

impl Handler<Product> for ProvisionTenant {
    #[tracing::instrument(name = "tenant.provision", skip_all)]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let catalog = cx.stores().catalog();
        if catalog.tenant().await?.is_none() {
            tracing::warn!("tenant is gone, nothing to do");
            return Ok(());
        }
        prepare_stores(cx.stores(), cx.now()).await?;
        catalog.api_key_ensure(&first_key(self), cx.now()).await?;
        catalog.tenant_status_move(TenantStatus::Provisioning, TenantStatus::Active).await?;
        Ok(())
    }
}

/// A rerun repeats every step; each is idempotent.
impl Reopen<Product> for ProvisionTenant {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}

fn first_key(job: &ProvisionTenant) -> NewApiKey {
    NewApiKey {
        id: job.api_key.id.clone(),
        name: "first key".to_owned(),
        secret_sha256: job.api_key.secret_sha256.clone(),
        role: Role::Admin,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at: None,
    }
}
