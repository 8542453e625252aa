use stores::model::RagSettings;

use super::versioned::Versioned;
use crate::accept::change_rag_settings;
use crate::extract::{Anyone, IfMatch, ManageTenant, MergePatch, TenantCaller};
use crate::problem::Problem;

/// `GET …/settings`: how the tenant wants its documents read and its questions answered.
pub(super) async fn show(TenantCaller(who): TenantCaller<Anyone>) -> Result<Versioned<RagSettings>, Problem> {
    let (body, revision) = who.stores.catalog().rag_settings().await?.ok_or_else(Problem::not_found)?;
    Ok(Versioned { revision, body })
}

/// `PATCH …/settings`
pub(super) async fn change(
    TenantCaller(who): TenantCaller<ManageTenant>,
    if_match: IfMatch,
    patch: MergePatch<RagSettings>,
) -> Result<Versioned<RagSettings>, Problem> {
    let (body, revision) = change_rag_settings(&who.stores, &if_match, &patch.value).await?;
    Ok(Versioned { revision, body })
}
