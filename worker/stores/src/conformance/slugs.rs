use jobs::tenant::TenantContext;

use super::fixture::{Pair, ids, now};
use crate::Opened;
use crate::model::{Acceptance, Accepted, NewTenant, SlugChange};

/// A tenant is called by its id until it chooses another word, and each word is one tenant's.
pub(super) async fn words(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (&pair.acme, &pair.twin);
    let tenant_of = async |slug: &str| opened.directory.tenant_of_slug(slug).await.unwrap();
    assert_eq!(tenant_of(acme.id().as_str()).await.as_ref(), Some(acme.id()));
    assert_eq!(acme.stores.catalog().slug().await.unwrap().as_deref(), Some(acme.id().as_str()));

    let word = format!("w{}", acme.id());
    assert_eq!(tenant_of(&word).await, None);
    let before = acme.id().as_str().to_owned();
    let put = async |slug: &str| acme.stores.catalog().slug_put(slug).await.unwrap();
    assert_eq!(put(&word).await, SlugChange::Changed { before: before.clone() });
    assert_eq!(tenant_of(&word).await.as_ref(), Some(acme.id()), "although it was nobody's a moment ago");
    assert_eq!(tenant_of(&before).await, None);
    assert_eq!(put(&word).await, SlugChange::Changed { before: word.clone() });
    assert_eq!(tenant_of(&word).await.as_ref(), Some(acme.id()));

    let twin_id = twin.id().as_str().to_owned();
    assert_eq!(put(&twin_id).await, SlugChange::Taken);
    assert_eq!(twin.stores.catalog().slug_put(&word).await.unwrap(), SlugChange::Taken);
    assert_eq!(tenant_of(&word).await.as_ref(), Some(acme.id()));
    assert_eq!(tenant_of(&twin_id).await.as_ref(), Some(twin.id()));
}

/// Whoever came later with that id would be reached by another's host name.
pub(super) async fn a_word_keeps_its_id_from_being_taken(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (late, _) = ids(now());
    assert!(matches!(pair.acme.stores.catalog().slug_put(&late).await.unwrap(), SlugChange::Changed { .. }));
    let context = TenantContext::for_tests(&late);
    let catalog = opened.stores.scoped(&context).catalog();
    let tenant = Some(NewTenant { name: "Late".into(), plan: "free".into() });
    let acceptance = Acceptance { tenant, ..Acceptance::default() };
    assert_eq!(catalog.accept(&acceptance, now()).await.unwrap(), Accepted::TenantExists);
    assert_eq!(catalog.tenant().await.unwrap(), None, "nothing half done");
    assert_eq!(catalog.slug_put("anything").await.unwrap(), SlugChange::Gone);
}
