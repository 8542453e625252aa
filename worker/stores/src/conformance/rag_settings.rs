use jobs::tenant::TenantContext;

use super::fixture::{Pair, ids, now};
use crate::Opened;
use crate::model::{Models, RagSettings};

pub(super) async fn put_by_revision(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    let (first, revision) = acme.rag_settings().await.unwrap().unwrap();
    assert_eq!(first, RagSettings::default());
    let models = Models { llm: Some("gpt-é".into()), embedding: None };
    let other = RagSettings { models, chunk_size_tokens: 300, ..RagSettings::default() };
    assert!(!acme.rag_settings_put(&other, revision + 1).await.unwrap());
    assert!(acme.rag_settings_put(&other, revision).await.unwrap());
    assert!(!acme.rag_settings_put(&first, revision).await.unwrap(), "somebody was faster");
    assert_eq!(acme.rag_settings().await.unwrap(), Some((other, revision + 1)));
    assert_eq!(twin.rag_settings().await.unwrap(), Some((first, revision)));
    let row = acme.tenant().await.unwrap().unwrap();
    assert_eq!(row.revision, 1, "the queue has nothing to do with it");

    let nobody = TenantContext::for_tests(&ids(now()).0);
    assert_eq!(opened.stores.scoped(&nobody).catalog().rag_settings().await.unwrap(), None);
}
