//! `/settings`: how a tenant wants its documents read and its questions answered.

use serde_json::Value;
use stores::TenantStores;
use stores::model::RagSettings;

use crate::answer::Versioned;
use crate::problem::{Code, Problem};
use crate::request::{AnyMember, IfMatch, ManageTenant, MergePatch, Misfit, TenantCaller, merge_patch, read};

/// `GET …/settings`: how the tenant wants its documents read and its questions answered.
pub(super) async fn show(who: TenantCaller<AnyMember>) -> Result<Versioned<RagSettings>, Problem> {
    let (body, revision) = who.stores.catalog().rag_settings().await?.ok_or_else(Problem::not_found)?;
    Ok(Versioned { revision, body })
}

/// `PATCH …/settings`
pub(super) async fn change(
    who: TenantCaller<ManageTenant>,
    if_match: IfMatch,
    patch: MergePatch<RagSettings>,
) -> Result<Versioned<RagSettings>, Problem> {
    let (body, revision) = change_rag_settings(&who.stores, &if_match, &patch.value).await?;
    Ok(Versioned { revision, body })
}

/// How often others may change the same settings in between before we give up.
const TRIES: u32 = 8;

/// Changes how the tenant wants its documents read by a merge patch (RFC 7396), and returns what holds now with
/// its revision.
///
/// # Errors
/// When a setting cannot be used, the settings are not as `if_match` says, or the catalog does not answer.
async fn change_rag_settings(
    stores: &TenantStores,
    if_match: &IfMatch,
    patch: &Value,
) -> Result<(RagSettings, u64), Problem> {
    let catalog = stores.catalog();
    for _ in 0..TRIES {
        let (before, revision) = catalog.rag_settings().await?.ok_or_else(Problem::not_found)?;
        if_match.expect(revision)?;
        let after = patched(&before, patch)?;
        if catalog.rag_settings_put(&after, revision).await? {
            return Ok((after, revision + 1));
        }
    }
    Err(Problem::new(Code::UploadConflict, "others change the same settings").retry_after_s(1))
}

fn patched(settings: &RagSettings, patch: &Value) -> Result<RagSettings, Problem> {
    let mut target = serde_json::to_value(settings).map_err(|error| Problem::internal(&error))?;
    merge_patch(&mut target, patch);
    let unreadable = |misfit: Misfit<_>| misfit.problem(Code::InvalidField, Code::UnknownField);
    let settings: RagSettings = read(&target).map_err(unreadable)?;
    settings
        .check()
        .map_err(|invalid| Problem::new(Code::InvalidField, invalid.problem).field(invalid.field))?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_null_is_the_default() {
        let patch = json!({ "top_k": 7, "models": { "llm": "a" }, "chunk_size_tokens": 400 });
        let after = patched(&RagSettings::default(), &patch).unwrap();
        assert_eq!((after.top_k, after.chunk_size_tokens, after.chunk_overlap_tokens), (7, 400, 100));
        let patch = json!({ "models": { "embedding": "b" }, "chunk_size_tokens": null });
        let after = patched(&after, &patch).unwrap();
        assert_eq!((after.models.llm.as_deref(), after.models.embedding.as_deref()), (Some("a"), Some("b")));
        assert_eq!((after.top_k, after.chunk_size_tokens), (7, 1_200));
    }

    #[test]
    fn settings_that_cannot_be_used_name_their_field() {
        for (patch, code, field) in [
            (json!({ "chunk_overlap_tokens": 1_200 }), Code::InvalidField, Some("chunk_overlap_tokens")),
            (json!({ "top_k": -1 }), Code::InvalidField, Some("top_k")),
            (json!({ "top_k": "many" }), Code::InvalidField, Some("top_k")),
            (json!({ "models": { "llm": 3 } }), Code::InvalidField, Some("models.llm")),
            (json!({ "models": { "judge": "x" } }), Code::UnknownField, Some("models.judge")),
            (json!({ "models": ["a", "b"] }), Code::InvalidField, Some("models")),
            (json!({ "tenant_id": "x" }), Code::UnknownField, Some("tenant_id")),
            (json!([7]), Code::InvalidField, None),
        ] {
            let problem = patched(&RagSettings::default(), &patch).unwrap_err();
            assert_eq!((problem.code(), problem.field_name()), (code, field), "{patch}");
        }
    }
}
