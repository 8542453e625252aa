//! `tenant.deprovision`: a closed tenant leaves every store, its rows in the catalog last.

use jobs::JobError;
use jobs::types::DeprovisionTenant;

use super::empty_stores::{empty_kb, empty_tenant};
use crate::context::JobContext;
use crate::handler::{Handler, Reopen, Reopened};

impl Handler for DeprovisionTenant {
    #[tracing::instrument(name = "tenant.deprovision", skip_all)]
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let lifecycle = cx.stores().lifecycle();
        for kb in lifecycle.tenant_kbs().await? {
            empty_kb(cx.stores(), &kb).await?;
        }
        empty_tenant(cx.stores()).await?;
        if lifecycle.tenant_delete(cx.now()).await? {
            tracing::info!("the tenant is gone");
        }
        Ok(())
    }
}

/// Deleting begins where it stopped.
impl Reopen for DeprovisionTenant {
    async fn reopen(&self, _: &JobContext) -> Result<Reopened, JobError> {
        Ok(Reopened::Run)
    }
}
