use std::collections::BTreeMap;

use jobs::plan::Limits;
use jobs::tenant::{Role, TenantContext, TenantStatus};

use super::fixture::{Pair, ids, now, workspace};
use crate::Opened;
use crate::model::{Acceptance, Accepted, NewApiKey, NewTenant, Tenant};

pub(super) async fn creation(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let expected = Tenant {
        id: pair.acme.id().clone(),
        name: "Acme".into(),
        slug: pair.acme.id().to_string(),
        plan: "free".into(),
        status: TenantStatus::Provisioning,
        epoch: 0,
        flows: BTreeMap::new(),
        limits: Limits::default(),
        description: String::new(),
        metadata: serde_json::Map::new(),
        revision: 1,
        created_at: pair.now,
        created_by: None,
        updated_at: pair.now,
    };
    assert_eq!(catalog.tenant().await.unwrap(), Some(expected.clone()));

    let new = NewTenant::new("Usurper", "gold");
    let job = pair.acme.job();
    let again = Acceptance { tenant: Some(new), jobs: vec![job], ..Acceptance::default() };
    assert_eq!(catalog.accept(&again, now()).await.unwrap(), Accepted::TenantExists);
    assert_eq!(catalog.tenant().await.unwrap(), Some(expected));
    assert_eq!(pair.acme.outbox(opened).await, []);

    let nobody = TenantContext::for_tests(&ids(now()).0);
    assert_eq!(opened.stores.scoped(&nobody).catalog().tenant().await.unwrap(), None);
}

pub(super) async fn status(opened: &Opened) {
    use TenantStatus::{Active, Provisioning, Suspended};
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    assert!(!catalog.tenant_status_move(Suspended, Active).await.unwrap());
    assert!(catalog.tenant_status_move(Provisioning, Active).await.unwrap());
    assert!(!catalog.tenant_status_move(Provisioning, Active).await.unwrap());
    assert_eq!(catalog.tenant().await.unwrap().unwrap().status, Active);
    assert_eq!(pair.twin.stores.catalog().tenant().await.unwrap().unwrap().status, Provisioning);
}

pub(super) async fn knowledge_bases(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let first = pair.acme.kb.clone();
    let again = catalog.kb_ensure(&first.id, "Other", &workspace(now()), now()).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(catalog.kb(&first.id).await.unwrap(), Some(first.clone()));

    let another = pair.acme.kb_new("archive").await;
    assert_eq!(catalog.kbs().await.unwrap(), [another.clone(), first.clone()]);

    let twin = pair.twin.stores.catalog();
    assert_eq!(twin.kb(&another.id).await.unwrap(), None);
    assert_eq!(twin.kbs().await.unwrap(), std::slice::from_ref(&pair.twin.kb));
    assert_ne!(pair.twin.kb.workspace, first.workspace);
}

pub(super) async fn api_keys(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let expires_at = Some(pair.now + chrono::TimeDelta::days(1));
    let mut key = NewApiKey {
        id: "abcd1234".parse().unwrap(),
        name: "first".into(),
        secret_sha256: "11".repeat(32),
        role: Role::Editor,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at,
    };
    catalog.api_key_ensure(&key, pair.now).await.unwrap();
    key.secret_sha256 = "22".repeat(32);
    key.role = Role::Admin;
    catalog.api_key_ensure(&key, pair.now).await.unwrap();

    let record = opened.directory.api_key(pair.acme.id(), &key.id).await.unwrap().unwrap();
    assert_eq!((record.secret_sha256, record.role), ("11".repeat(32), Role::Editor));
    assert_eq!((record.expires_at, record.revoked_at), (expires_at, None));
    assert!(opened.directory.api_key(pair.twin.id(), &key.id).await.unwrap().is_none());
}
