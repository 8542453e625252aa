use std::collections::BTreeSet;

use jobs::plan::Limits;
use jobs::queue::Flow;
use jobs::tenant::{Actor, Permissions, Role, TenantContext, TenantRecord, TenantStatus};

use super::fixture::{Pair, ids, now};
use super::schedules::schedule;
use crate::Opened;
use crate::model::{
    Acceptance, NewApiKey, NewTenant, Tenant, TenantCursor, TenantFilter, TenantKey, TenantOrder, TenantSort,
};

/// A change is visible at once in the same process, whatever was cached.
pub(super) async fn invalidation_of_tenants(opened: &Opened) {
    let directory = &opened.directory;
    directory.ping().await.unwrap();
    let context = TenantContext::for_tests(&ids(now()).0);
    let (id, catalog) = (context.tenant_id(), opened.stores.scoped(&context).catalog());
    let record = |status| Some(TenantRecord { status, epoch: 0 });

    assert_eq!(directory.tenant(id).await.unwrap(), None);
    let new = NewTenant::new("Acme", "free");
    let acceptance = Acceptance { tenant: Some(new), ..Acceptance::default() };
    catalog.accept(&acceptance, now()).await.unwrap();
    assert_eq!(directory.tenant(id).await.unwrap(), record(TenantStatus::Provisioning));
    catalog.tenant_status_move(TenantStatus::Provisioning, TenantStatus::Active).await.unwrap();
    assert_eq!(directory.tenant(id).await.unwrap(), record(TenantStatus::Active));
    catalog.tenant_status_move(TenantStatus::Active, TenantStatus::Suspended).await.unwrap();
    assert_eq!(directory.tenant(id).await.unwrap(), record(TenantStatus::Suspended));
    directory.invalidate(id).await;
    assert_eq!(directory.tenant(id).await.unwrap(), record(TenantStatus::Suspended));
}

/// The operator's list in its orders, page by page. Other tenants may be in it.
pub(super) async fn tenants_in_order(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let directory = &opened.directory;
    let ids = [pair.acme.id().clone(), pair.twin.id().clone()];
    let filter = TenantFilter::default();
    let both = directory.tenants_among(&ids, &filter).await.unwrap();
    assert_eq!(both.iter().map(|tenant| &tenant.id).collect::<BTreeSet<_>>(), ids.iter().collect());
    for by in [TenantSort::Id, TenantSort::Name, TenantSort::Plan, TenantSort::CreatedAt] {
        let mut walks = Vec::new();
        for descending in [false, true] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let order = TenantOrder { by, descending };
                let page = directory.tenants_sorted(&filter, order, after.as_ref(), 100).await.unwrap();
                found.extend(page.items);
                let Some(next) = page.next else { break };
                after = Some(TenantCursor::parse(&next, by).unwrap());
            }
            for tenant in &both {
                assert_eq!(found.iter().filter(|found| *found == tenant).count(), 1, "{by:?} {descending}");
            }
            walks.push(found);
        }
        let key = |tenant: &Tenant| match TenantCursor::of(tenant, by).key {
            TenantKey::Time(at) => at.timestamp_micros(),
            TenantKey::Text(_) => 0,
        };
        assert!(walks[0].is_sorted_by_key(key), "{by:?}");
        assert!(TenantCursor::parse("[", by).is_err());
    }
    let search = |text: &str| TenantFilter { search: Some(text.to_owned()), ..TenantFilter::default() };
    let name = both[0].name.to_uppercase();
    for text in [both[0].id.as_str(), &name] {
        assert!(directory.tenants_among(&ids, &search(text)).await.unwrap().contains(&both[0]), "{text}");
    }
    assert_eq!(directory.tenants_among(&ids, &search("%")).await.unwrap(), []);
    assert_eq!(directory.tenants_among(&[], &filter).await.unwrap(), []);
}

/// Tenants that are held back are found without looking at the others.
pub(super) async fn tenants_held(opened: &Opened) {
    let pair = Pair::new(opened).await;
    for stores in [&pair.acme.stores, &pair.twin.stores] {
        stores.catalog().tenant_status_move(TenantStatus::Provisioning, TenantStatus::Active).await.unwrap();
    }
    let held = async || opened.directory.tenants_held(1_000).await.unwrap();
    assert!(!held().await.contains(pair.acme.id()));
    pair.acme.stores.catalog().flow_put(None, Flow::Paused).await.unwrap();
    assert!(held().await.contains(pair.acme.id()) && !held().await.contains(pair.twin.id()));
}

/// The operator's list. It may contain other tenants, so these two are looked for.
pub(super) async fn tenants(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let directory = &opened.directory;
    let first = directory.tenants(&TenantFilter::default(), None, 1).await.unwrap();
    assert_eq!((first.items.len(), first.next), (1, Some(first.items[0].id.to_string())));
    let catalog = pair.twin.stores.catalog();
    catalog.tenant_status_move(TenantStatus::Provisioning, TenantStatus::Active).await.unwrap();
    let after = async |status, plan: Option<&str>| {
        let filter = TenantFilter { status, plan: plan.map(str::to_owned), search: None };
        directory.tenants(&filter, Some(pair.acme.id()), 1).await.unwrap().items
    };
    let twin = catalog.tenant().await.unwrap().unwrap();
    assert_eq!(after(None, None).await, std::slice::from_ref(&twin));
    assert_eq!(after(Some(TenantStatus::Active), Some("free")).await, std::slice::from_ref(&twin));
    assert!(!after(Some(TenantStatus::Provisioning), None).await.contains(&twin));
    assert_eq!(after(None, Some("no such plan")).await, []);
}

pub(super) async fn knowledge_bases(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let directory = &opened.directory;
    let archive = "archive".parse().unwrap();
    assert!(!directory.kb_exists(pair.acme.id(), &archive).await.unwrap());
    let kb = pair.acme.kb_new("archive").await;
    assert!(directory.kb_exists(pair.acme.id(), &archive).await.unwrap());
    assert_eq!(directory.kb(pair.acme.id(), &archive).await.unwrap(), Some(kb));
    assert!(!directory.kb_exists(pair.twin.id(), &archive).await.unwrap());
    assert_eq!(directory.kb(pair.twin.id(), &archive).await.unwrap(), None);
}

pub(super) async fn keys_and_permissions(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let key = |id: &str, role, expires_at| NewApiKey {
        id: id.parse().unwrap(),
        name: id.into(),
        secret_sha256: "11".repeat(32),
        role,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at,
    };
    let catalog = pair.acme.stores.catalog();
    let allowed = async |tenant, actor: &str, role| {
        opened.directory.permissions(tenant, None, &actor.parse::<Actor>().unwrap(), role).await.unwrap()
    };
    let acme = pair.acme.id();
    assert_eq!(allowed(acme, "api_key:viewer00", Role::Viewer).await, Permissions::NONE);
    catalog.api_key_ensure(&key("viewer00", Role::Viewer, None), pair.now).await.unwrap();
    catalog.api_key_ensure(&key("expired0", Role::Admin, Some(pair.now)), pair.now).await.unwrap();
    // The row decides, and not the role in the stamp.
    assert_eq!(allowed(acme, "api_key:viewer00", Role::Admin).await, Role::Viewer.permissions());
    assert_eq!(allowed(acme, "api_key:expired0", Role::Admin).await, Permissions::NONE);
    assert_eq!(allowed(pair.twin.id(), "api_key:viewer00", Role::Viewer).await, Permissions::NONE);
    assert_eq!(allowed(acme, "user:ann", Role::Editor).await, Role::Editor.permissions());
    assert_eq!(allowed(acme, "operator", Role::Admin).await, Role::Admin.permissions());
}

pub(super) async fn schedules_and_their_makers(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let kb = &pair.acme.kb.id;
    let in_kb = async |tenant, kb, name: &str| {
        let actor = Actor::Schedule(name.into());
        opened.directory.permissions(tenant, kb, &actor, Role::Admin).await.unwrap()
    };
    let allowed = async |tenant, name: &str| in_kb(tenant, Some(kb), name).await;
    let acme = pair.acme.id();
    assert_eq!(allowed(acme, "nightly").await, Permissions::NONE);
    for (name, created_by) in [
        ("nightly", "user:ann"),
        ("orphan", "api_key:gone0000"),
        ("nested", "schedule:nightly"),
        ("unreadable", "nobody"),
    ] {
        let mut new = schedule(&pair.acme, name, pair.now + chrono::TimeDelta::days(1));
        new.created_by = created_by.into();
        catalog.schedule_put(&new, &Limits::default()).await.unwrap();
    }
    assert_eq!(allowed(acme, "nightly").await, Role::Admin.permissions());
    for name in ["orphan", "nested", "unreadable"] {
        assert_eq!(allowed(acme, name).await, Permissions::NONE, "{name}");
    }
    assert_eq!(allowed(pair.twin.id(), "nightly").await, Permissions::NONE);
    // The schedule of that name belongs to this knowledge base, and not to another one or to the tenant.
    let other = pair.acme.kb_new("archive").await.id;
    assert_eq!(in_kb(acme, Some(&other), "nightly").await, Permissions::NONE);
    assert_eq!(in_kb(acme, None, "nightly").await, Permissions::NONE);
    catalog.schedule_delete(&pair.acme.kb.id, "nightly").await.unwrap();
    assert_eq!(allowed(acme, "nightly").await, Permissions::NONE);
}
