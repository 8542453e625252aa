use jobs::plan::Limits;
use jobs::queue::Flow;
use jobs::tenant::TenantStatus;

use super::fixture::{Pair, Party};
use crate::Opened;
use crate::model::{Tenant, TenantChange, TenantPlan, TenantSettings};

fn gold(before: &Tenant) -> TenantSettings {
    let limits = Limits { cap: Some(3), type_caps: [("a.b".into(), 1)].into(), ..Limits::default() };
    let (name, plan, slug) = ("Gold".into(), "gold".into(), before.slug.clone());
    let metadata =
        [("contract".to_owned(), serde_json::json!({ "no": 7, "nul": "\0" }))].into_iter().collect();
    let (description, status) = ("Pays in gold".into(), TenantStatus::Suspended);
    TenantSettings { name, slug, plan, limits, status, description, metadata }
}

async fn row(party: &Party) -> Tenant {
    party.stores.catalog().tenant().await.unwrap().unwrap()
}

/// Those of these two tenants whose settings the queue does not have.
async fn unapplied(opened: &Opened, pair: &Pair) -> Vec<Tenant> {
    let all = opened.settings.settings_unapplied(10_000).await.unwrap();
    let ours = [pair.acme.id(), pair.twin.id()];
    all.into_iter().filter(|tenant| ours.contains(&&tenant.id)).collect()
}

pub(super) async fn put_by_revision(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, before) = (pair.acme.stores.catalog(), row(&pair.acme).await);
    let plan_of = async |party: &Party| opened.directory.plan(party.id()).await.unwrap().unwrap();
    let free = TenantPlan { plan: "free".into(), limits: Limits::default() };
    assert_eq!(plan_of(&pair.acme).await, free);
    let other = row(&pair.twin).await;
    let gold = gold(&before);
    let put = async |revision| catalog.tenant_settings_put(&gold, revision).await.unwrap();
    assert_eq!(put(before.revision + 1).await, TenantChange::Stale);
    assert_eq!(row(&pair.acme).await, before);
    assert_eq!(put(before.revision).await, TenantChange::Done);
    assert_eq!(put(before.revision).await, TenantChange::Stale, "somebody was faster");
    let TenantSettings { name, slug, plan, limits, status, description, metadata } = gold.clone();
    let (revision, after) = (before.revision + 1, row(&pair.acme).await);
    assert!(after.updated_at > before.updated_at, "{after:?}");
    let updated_at = after.updated_at;
    let expected =
        Tenant { name, slug, plan, status, limits, description, metadata, revision, updated_at, ..before };
    assert_eq!(after, expected);
    assert_eq!(row(&pair.twin).await, other);
    let known = opened.directory.tenant(pair.acme.id()).await.unwrap().unwrap();
    assert_eq!(known.status, TenantStatus::Suspended, "the directory hears of it");
    let TenantSettings { plan: name, limits, .. } = gold;
    assert_eq!(plan_of(&pair.acme).await, TenantPlan { plan: name, limits });
    assert_eq!(plan_of(&pair.twin).await, free);
}

pub(super) async fn unapplied_until_told(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (row(&pair.acme).await, row(&pair.twin).await);
    assert_eq!(unapplied(opened, &pair).await, [acme.clone(), twin.clone()]);
    assert!(opened.settings.settings_applied(&acme).await.unwrap());
    assert_eq!(unapplied(opened, &pair).await, std::slice::from_ref(&twin));

    let catalog = pair.acme.stores.catalog();
    let put = catalog.tenant_settings_put(&gold(&acme), acme.revision).await;
    assert_eq!(put.unwrap(), TenantChange::Done);
    // A relay that wrote the old settings to the queue must not mark the new ones as written.
    assert!(!opened.settings.settings_applied(&acme).await.unwrap());
    assert!(!catalog.tenant_settings_applied(acme.revision).await.unwrap());
    let acme = row(&pair.acme).await;
    assert_eq!(unapplied(opened, &pair).await, [acme.clone(), twin.clone()]);
    assert!(catalog.tenant_settings_applied(acme.revision).await.unwrap());
    assert_eq!(unapplied(opened, &pair).await, [twin]);

    let moved = catalog.tenant_status_move(TenantStatus::Suspended, TenantStatus::Active).await;
    assert!(moved.unwrap());
    assert_eq!(unapplied(opened, &pair).await.len(), 2, "a status is a setting too");
}

pub(super) async fn all_by_id(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let acme = opened.settings.settings_all(None, 10_000).await.unwrap();
    assert!(acme.iter().any(|tenant| tenant.id == *pair.acme.id()));
    let next = opened.settings.settings_all(Some(pair.acme.id()), 1).await.unwrap();
    assert_eq!(next, [row(&pair.twin).await]);
}

pub(super) async fn flows(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, before) = (pair.acme.stores.catalog(), row(&pair.acme).await);
    assert!(catalog.flow_put(None, Flow::Paused).await.unwrap());
    assert!(catalog.flow_put(Some("documents"), Flow::Draining).await.unwrap());
    assert!(catalog.flow_put(None, Flow::Open).await.unwrap());
    let after = row(&pair.acme).await;
    let expected = [(String::new(), Flow::Open), ("documents".to_owned(), Flow::Draining)].into();
    assert_eq!((after.flows.clone(), after.revision), (expected, before.revision + 3));
    let named = [pair.twin.id().clone(), pair.acme.id().clone(), "no-such".parse().unwrap()];
    let mut found = opened.settings.settings_of(&named).await.unwrap();
    found.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(found, [after, row(&pair.twin).await]);

    let queue = format!("q-{}", pair.acme.id());
    for flow in [Flow::Paused, Flow::Open] {
        opened.directory.queue_flow_put(&queue, flow).await.unwrap();
        assert_eq!(opened.settings.queue_flows().await.unwrap().get(&queue), Some(&flow));
    }
}
