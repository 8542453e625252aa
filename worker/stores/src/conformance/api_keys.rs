use chrono::TimeDelta;
use futures::future::join_all;
use jobs::plan::Limits;
use jobs::tenant::{Actor, ApiKeyId, KbId, Permission, Permissions, Role};

use super::fixture::{Pair, Party, now};
use crate::Opened;
use crate::model::{ApiKeyChange, ApiKeyEdit, ApiKeyMade, ApiKeyRow, Bookkeeping, KeyEnd, NewApiKey};

fn id(text: &str) -> ApiKeyId {
    text.parse().unwrap()
}

pub(super) fn key(id_text: &str, name: &str) -> NewApiKey {
    NewApiKey {
        id: id(id_text),
        name: name.into(),
        secret_sha256: "11".repeat(32),
        role: Role::Editor,
        kb_id: None,
        permissions: None,
        created_by: Some("user:ann".into()),
        expires_at: None,
    }
}

fn made(made: ApiKeyMade) -> ApiKeyRow {
    match made {
        ApiKeyMade::Done(row) => row,
        other => panic!("{other:?}"),
    }
}

async fn insert(party: &Party, new: &NewApiKey) -> ApiKeyRow {
    made(party.stores.catalog().api_key_insert(new, &Limits::default(), now()).await.unwrap())
}

fn renamed(name: &str) -> ApiKeyEdit {
    ApiKeyEdit::Details { name: Some(name.into()), end: None }
}

pub(super) async fn made_and_listed(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let scope = Permissions::of(&[Permission::DocumentRead, Permission::DocumentCreate]);
    let expires_at = Some(pair.now + TimeDelta::days(1));
    let kb_id = Some(KbId::first());
    let narrow =
        NewApiKey { permissions: Some(scope), kb_id: kb_id.clone(), expires_at, ..key("narrow00", "narrow") };
    let stored = made(catalog.api_key_insert(&narrow, &Limits::default(), pair.now).await.unwrap());
    let expected = ApiKeyRow {
        id: id("narrow00"),
        name: "narrow".into(),
        role: Role::Editor,
        kb_id,
        permissions: scope,
        created_by: Some("user:ann".into()),
        revision: 1,
        created_at: pair.now,
        expires_at,
        last_used_at: None,
        previous_until: None,
    };
    assert_eq!(stored, expected);
    assert_eq!(catalog.api_key(&id("narrow00")).await.unwrap(), Some(expected));

    for taken in [key("another0", "narrow"), key("narrow00", "other")] {
        let made = catalog.api_key_insert(&taken, &Limits::default(), now()).await.unwrap();
        assert_eq!(made, ApiKeyMade::NameTaken);
    }
    assert_eq!(insert(&pair.acme, &key("wide0000", "wide")).await.permissions, Role::Editor.permissions());
    insert(&pair.twin, &key("twin0000", "narrow")).await;
    let first = catalog.api_keys(None, 1).await.unwrap();
    assert_eq!((first.items[0].id.as_str(), first.next.as_deref()), ("narrow00", Some("narrow00")));
    let second = catalog.api_keys(Some(&id("narrow00")), 1).await.unwrap();
    assert_eq!((second.items[0].id.as_str(), second.next), ("wide0000", None));
}

pub(super) async fn one_name_for_one_key(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let keys: Vec<_> = (0..8).map(|number| key(&format!("racing0{number}"), "racing")).collect();
    let race = keys.iter().map(async |key| {
        let made = pair.acme.stores.catalog().api_key_insert(key, &Limits::default(), now()).await.unwrap();
        matches!(made, ApiKeyMade::Done(_))
    });
    assert_eq!(join_all(race).await.into_iter().filter(|won| *won).count(), 1);
}

pub(super) async fn changed_and_revoked(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let (one, two) = (id("one00000"), id("two00000"));
    insert(&pair.acme, &key("one00000", "one")).await;
    insert(&pair.acme, &key("two00000", "two")).await;
    insert(&pair.twin, &key("one00000", "one")).await;
    let change = async |id: &ApiKeyId, edit: ApiKeyEdit, revision| {
        catalog.api_key_change(id, &edit, revision).await.unwrap()
    };
    let ApiKeyChange::Done(row) = change(&one, renamed("first"), Some(1)).await else {
        panic!("not renamed")
    };
    assert_eq!((row.name.as_str(), row.revision), ("first", 2));
    assert_eq!(change(&one, renamed("again"), Some(1)).await, ApiKeyChange::Stale);
    assert_eq!(change(&one, renamed("two"), None).await, ApiKeyChange::NameTaken);
    assert!(matches!(change(&one, renamed("first"), None).await, ApiKeyChange::Done(_)));
    assert_eq!(change(&id("nobody00"), renamed("two"), None).await, ApiKeyChange::Unknown);

    let revoked = ApiKeyEdit::Revoked(pair.now);
    assert!(matches!(change(&two, revoked.clone(), None).await, ApiKeyChange::Done(_)));
    for edit in
        [revoked, renamed("free"), ApiKeyEdit::Secret { sha256: "22".repeat(32), previous_until: None }]
    {
        assert_eq!(change(&two, edit, None).await, ApiKeyChange::Unknown);
    }
    assert_eq!(catalog.api_key(&two).await.unwrap(), None);
    assert_eq!(catalog.api_keys(None, 1_000).await.unwrap().items.len(), 1);
    assert!(matches!(change(&one, renamed("two"), None).await, ApiKeyChange::Done(_)), "the name is free");
    assert_eq!(pair.twin.stores.catalog().api_key(&one).await.unwrap().unwrap().name, "one");
}

pub(super) async fn extended(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let (one, soon, later) = (id("one00000"), pair.now, pair.now + TimeDelta::days(1));
    insert(&pair.acme, &NewApiKey { expires_at: Some(soon), ..key("one00000", "one") }).await;
    insert(&pair.twin, &NewApiKey { expires_at: Some(soon), ..key("one00000", "one") }).await;
    for (end, expires_at) in
        [(Some(KeyEnd::At(later)), Some(later)), (None, Some(later)), (Some(KeyEnd::Never), None)]
    {
        let edit = ApiKeyEdit::Details { name: None, end };
        let changed = catalog.api_key_change(&one, &edit, None).await.unwrap();
        let ApiKeyChange::Done(row) = changed else { panic!("{changed:?}") };
        assert_eq!((row.name.as_str(), row.expires_at), ("one", expires_at));
        let known = opened.directory.api_key(pair.acme.id(), &one).await.unwrap().unwrap();
        assert_eq!(known.expires_at, expires_at, "the directory hears of it");
    }
    let twin = pair.twin.stores.catalog().api_key(&one).await.unwrap().unwrap();
    assert_eq!(twin.expires_at, Some(soon));
}

pub(super) async fn rotated(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let (one, until) = (id("one00000"), pair.now + TimeDelta::hours(1));
    insert(&pair.acme, &key("one00000", "one")).await;
    let record = async || opened.directory.api_key(pair.acme.id(), &one).await.unwrap().unwrap();
    assert_eq!(record().await.previous, None);
    for (byte, previous_until, expected) in [
        ("22", Some(until), Some(("11".repeat(32), until))),
        ("33", Some(until), Some(("22".repeat(32), until))),
        ("44", None, None),
    ] {
        let edit = ApiKeyEdit::Secret { sha256: byte.repeat(32), previous_until };
        let changed = catalog.api_key_change(&one, &edit, None).await.unwrap();
        let ApiKeyChange::Done(row) = changed else { panic!("{changed:?}") };
        assert_eq!(row.previous_until, previous_until);
        let record = record().await;
        assert_eq!((record.secret_sha256, record.previous), (byte.repeat(32), expected));
    }
}

/// The last use is recorded at most once a minute.
pub(super) async fn use_is_noted(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let one = id("one00000");
    insert(&pair.acme, &key("one00000", "one")).await;
    insert(&pair.twin, &key("one00000", "one")).await;
    let after = async |seconds| {
        let keys_used = vec![(one.clone(), pair.now + TimeDelta::seconds(seconds))];
        let left = Bookkeeping { at: pair.now, calls: 0, keys_used, delivered: Vec::new() };
        assert_eq!(catalog.bookkeep(&left).await.unwrap(), None);
        let row = catalog.api_key(&one).await.unwrap().unwrap();
        assert_eq!(row.revision, 1);
        (row.last_used_at.unwrap() - pair.now).num_seconds()
    };
    assert_eq!(after(0).await, 0);
    assert_eq!(after(59).await, 0);
    assert_eq!(after(60).await, 60);
    assert_eq!(after(30).await, 60, "time does not go back");
    assert_eq!(pair.twin.stores.catalog().api_key(&one).await.unwrap().unwrap().last_used_at, None);
}

/// The directory returns a key's permissions, and learns at once that the key was revoked.
pub(super) async fn invalidation_of_keys(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let scope = Permissions::of(&[Permission::DocumentRead]);
    let (kb, other) = (KbId::first(), "archive".parse().unwrap());
    let narrow = NewApiKey { kb_id: Some(kb.clone()), permissions: Some(scope), ..key("narrow00", "narrow") };
    let allowed = async |kb: Option<&KbId>| {
        let actor = Actor::ApiKey(id("narrow00"));
        opened.directory.permissions(pair.acme.id(), kb, &actor, Role::Editor).await.unwrap()
    };
    assert_eq!(allowed(Some(&kb)).await, Permissions::NONE);
    insert(&pair.acme, &narrow).await;
    assert_eq!(allowed(Some(&kb)).await, scope);
    assert_eq!(allowed(Some(&other)).await, Permissions::NONE);
    assert_eq!(allowed(None).await, Permissions::NONE);
    catalog.api_key_change(&id("narrow00"), &ApiKeyEdit::Revoked(now()), None).await.unwrap();
    assert_eq!(allowed(Some(&kb)).await, Permissions::NONE);
}
