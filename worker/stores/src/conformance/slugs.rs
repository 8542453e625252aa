use jobs::tenant::TenantContext;

use super::fixture::{Pair, Party, ids, now};
use crate::Opened;
use crate::model::{Acceptance, Accepted, NewTenant, Tenant, TenantChange, TenantFilter, TenantSettings};

async fn row(party: &Party) -> Tenant {
    party.stores.catalog().tenant().await.unwrap().unwrap()
}

async fn call(party: &Party, slug: &str) -> TenantChange {
    let Tenant { name, plan, limits, status, description, metadata, revision, .. } = row(party).await;
    let slug = slug.to_owned();
    let settings = TenantSettings { name, slug, plan, limits, status, description, metadata };
    party.stores.catalog().tenant_settings_put(&settings, revision).await.unwrap()
}

/// A tenant's slug is its id until it chooses another, and a slug belongs to one tenant.
pub(super) async fn words(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (&pair.acme, &pair.twin);
    let tenant_of = async |slug: &str| opened.directory.tenant_of_slug(slug).await.unwrap();
    assert_eq!(tenant_of(acme.id().as_str()).await.as_ref(), Some(acme.id()));
    assert_eq!(row(acme).await.slug, acme.id().as_str());

    let (word, other) = (format!("w{}", acme.id()), format!("v{}", acme.id()));
    assert_eq!(tenant_of(&word).await, None);
    assert_eq!(call(acme, &word).await, TenantChange::Done);
    assert_eq!(row(acme).await.slug, word);
    assert_eq!(tenant_of(&word).await.as_ref(), Some(acme.id()), "although it was nobody's a moment ago");
    assert_eq!(tenant_of(acme.id().as_str()).await, None);
    assert_eq!(call(acme, &word).await, TenantChange::Done);
    assert_eq!(tenant_of(&word).await.as_ref(), Some(acme.id()));
    assert_eq!(call(acme, &other).await, TenantChange::Done);
    assert_eq!((tenant_of(&word).await, tenant_of(&other).await.as_ref()), (None, Some(acme.id())));
    assert_eq!(call(acme, &word).await, TenantChange::Done);

    let before = row(acme).await;
    assert_eq!(call(acme, twin.id().as_str()).await, TenantChange::SlugTaken);
    assert_eq!(row(acme).await, before, "nothing half done");
    assert_eq!(call(twin, &word).await, TenantChange::SlugTaken);
    assert_eq!(tenant_of(&word).await.as_ref(), Some(acme.id()));
    assert_eq!(tenant_of(twin.id().as_str()).await.as_ref(), Some(twin.id()));
    assert_eq!(call(twin, &other).await, TenantChange::Done, "it is nobody's any more");
    assert_eq!(tenant_of(&other).await.as_ref(), Some(twin.id()));
    let listed = opened.directory.tenants(&TenantFilter::default(), Some(acme.id()), 1).await.unwrap();
    assert_eq!(listed.items, [row(twin).await]);
}

/// A tenant with that slug would be taken for the tenant with that id.
pub(super) async fn an_id_is_never_anothers_word(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (&pair.acme, &pair.twin);
    assert_eq!(call(acme, &format!("w{}", acme.id())).await, TenantChange::Done);
    assert_eq!(call(twin, acme.id().as_str()).await, TenantChange::SlugTaken);
    assert_eq!(call(acme, acme.id().as_str()).await, TenantChange::Done);
    assert_eq!(row(acme).await.slug, acme.id().as_str());
    let found = opened.directory.tenant_of_slug(acme.id().as_str()).await.unwrap();
    assert_eq!(found.as_ref(), Some(acme.id()));
}

/// A tenant that is created later with that id would be reached through another's host name.
pub(super) async fn a_word_keeps_its_id_from_being_taken(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (late, _) = ids(now());
    assert_eq!(call(&pair.acme, &late).await, TenantChange::Done);
    let context = TenantContext::for_tests(&late);
    let catalog = opened.stores.scoped(&context).catalog();
    let tenant = Some(NewTenant::new("Late", "free"));
    let acceptance = Acceptance { tenant, ..Acceptance::default() };
    assert_eq!(catalog.accept(&acceptance, now()).await.unwrap(), Accepted::TenantExists);
    assert_eq!(catalog.tenant().await.unwrap(), None, "nothing half done");
}
