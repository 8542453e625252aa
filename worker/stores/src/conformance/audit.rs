use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use uuid::Uuid;

use super::fixture::{Pair, now};
use crate::Opened;
use crate::model::{AuditEntry, AuditFilter, LoggedAction};

/// An action that ended at `at`.
pub(super) fn entry(at: DateTime<Utc>, actor: &str, action: &str) -> AuditEntry {
    AuditEntry {
        id: AuditEntry::id_at(at),
        at,
        actor: actor.to_owned(),
        action: action.to_owned(),
        target: [("queue".to_owned(), "documents".to_owned())].into(),
        reason: None,
        request_id: "r-1".to_owned(),
        status: Some(200),
    }
}

fn filter() -> AuditFilter {
    AuditFilter::default()
}

fn entries(found: Vec<LoggedAction>) -> Vec<AuditEntry> {
    found.into_iter().map(|found| found.entry).collect()
}

pub(super) async fn added_once_and_kept_apart(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    let paused = AuditEntry {
        reason: Some("a \"noisy\" neighbour, 50 % \u{1f600}".into()),
        status: None,
        ..entry(pair.now, "local:ann", "flow_pause")
    };
    assert!(catalog.audit_append(&paused).await.unwrap());
    assert!(!catalog.audit_append(&paused).await.unwrap(), "it is there");
    let changed = AuditEntry { actor: "local:eve".into(), ..paused.clone() };
    assert!(!catalog.audit_append(&changed).await.unwrap(), "an entry is never changed");
    let found = catalog.audit(&filter(), None, 10).await.unwrap();
    let tenant = Some(pair.acme.id().clone());
    assert_eq!(found.items, [LoggedAction { tenant, entry: paused.clone() }]);
    assert_eq!(found.next, None);

    assert_eq!(twin.audit(&filter(), None, 10).await.unwrap().items, []);
    // Ids are a tenant's own.
    assert!(twin.audit_append(&changed).await.unwrap());
    assert_eq!(entries(catalog.audit(&filter(), None, 10).await.unwrap().items), [paused]);
}

pub(super) async fn pages_and_filters(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let at = |seconds| pair.now + TimeDelta::seconds(seconds);
    let mut all = Vec::new();
    for (second, actor) in (0..7).zip(["local:ann", "operator"].into_iter().cycle()) {
        let action = if second < 3 { "flow_pause" } else { "flow_resume" };
        all.insert(0, entry(at(second), actor, action));
        catalog.audit_append(&all[0]).await.unwrap();
        pair.twin.stores.catalog().audit_append(&entry(at(second), actor, action)).await.unwrap();
    }
    let walk = async |filter: &AuditFilter, limit| {
        let (mut seen, mut sizes, mut after) = (Vec::new(), Vec::new(), None::<Uuid>);
        loop {
            let page = catalog.audit(filter, after, limit).await.unwrap();
            sizes.push(page.items.len());
            seen.extend(entries(page.items));
            match page.next {
                Some(next) => after = Some(next.parse().unwrap()),
                None => return (seen, sizes),
            }
        }
    };
    assert_eq!(walk(&filter(), 3).await, (all.clone(), vec![3, 3, 1]));
    let of = |actor: Option<&str>, action: Option<&str>| AuditFilter {
        actor: actor.map(str::to_owned),
        action: action.map(str::to_owned),
        ..filter()
    };
    let chosen = |actor: Option<&str>, action: Option<&str>| {
        let wanted = |entry: &&AuditEntry| {
            actor.is_none_or(|actor| entry.actor == actor)
                && action.is_none_or(|action| entry.action == action)
        };
        all.iter().filter(wanted).cloned().collect::<Vec<_>>()
    };
    for (actor, action) in
        [(Some("operator"), None), (None, Some("flow_pause")), (Some("local:ann"), Some("flow_resume"))]
    {
        let expected = chosen(actor, action);
        assert!(!expected.is_empty());
        assert_eq!(walk(&of(actor, action), 1).await.0, expected, "{actor:?} {action:?}");
    }
    assert_eq!(walk(&of(Some("local"), None), 5).await.0, [], "a part of a name is another name");
    let between = AuditFilter { since: Some(at(2)), until: Some(at(5)), ..filter() };
    assert_eq!(walk(&between, 2).await.0, all[2..5]);
}

pub(super) async fn the_operators(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let directory = &opened.directory;
    // Other runs have entries too, so these are told apart by their actor.
    let actor = format!("operator of {}", pair.acme.id());
    let at = |seconds| pair.now + TimeDelta::seconds(seconds);
    let made: Vec<_> = (0..4).map(|second| entry(at(second), &actor, "tenants_create")).collect();
    pair.acme.stores.catalog().audit_append(&made[0]).await.unwrap();
    assert!(directory.audit_append(&made[1]).await.unwrap());
    assert!(!directory.audit_append(&made[1]).await.unwrap(), "it is there");
    pair.twin.stores.catalog().audit_append(&made[2]).await.unwrap();
    assert!(directory.audit_append(&made[3]).await.unwrap());

    let mine = AuditFilter { actor: Some(actor), ..filter() };
    let tenants = [Some(pair.acme.id().clone()), None, Some(pair.twin.id().clone()), None];
    let mut expected: Vec<_> = tenants.into_iter().zip(made).collect();
    expected.reverse();
    let expected: Vec<_> =
        expected.into_iter().map(|(tenant, entry)| LoggedAction { tenant, entry }).collect();
    assert_eq!(directory.audit(&mine, None, 10).await.unwrap().items, expected);
    let first = directory.audit(&mine, None, 3).await.unwrap();
    assert_eq!(first.items, expected[..3]);
    let after = first.next.unwrap().parse().unwrap();
    assert_eq!(directory.audit(&mine, Some(after), 3).await.unwrap().items, expected[3..]);
    // A tenant sees none of the operator's.
    let seen = pair.acme.stores.catalog().audit(&filter(), None, 10).await.unwrap();
    assert_eq!(seen.items, expected[3..]);
}

pub(super) async fn old_entries_go(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let old = entry(now() - TimeDelta::days(401), "operator", "flow_pause");
    let recent = entry(now() - TimeDelta::days(399), "operator", "flow_pause");
    for entry in [&old, &recent] {
        assert!(catalog.audit_append(entry).await.unwrap());
        opened.directory.audit_append(entry).await.unwrap();
    }
    let seen = catalog.audit(&filter(), None, 10).await.unwrap();
    assert_eq!(
        entries(seen.items),
        std::slice::from_ref(&recent),
        "not shown, although it may still be there"
    );
    while opened.audit_retention.remove_old(now()).await.unwrap() > 0 {}
    // What is gone is new again.
    assert!(catalog.audit_append(&old).await.unwrap() && !catalog.audit_append(&recent).await.unwrap());
    assert!(opened.directory.audit_append(&old).await.unwrap());
    assert!(!opened.directory.audit_append(&recent).await.unwrap());
}

/// Entries that are written at the same time are one chain, each log's its own.
pub(super) async fn each_log_is_a_chain(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    let empty = acme.audit_check(u64::MAX >> 1).await.unwrap();
    assert_eq!((empty.entries, empty.head.number, empty.flaw), (0, 0, None));
    let made: Vec<_> =
        (0..8).map(|ms| entry(pair.now + TimeDelta::milliseconds(ms), "operator", "a")).collect();
    let added = join_all(made.iter().map(|entry| acme.audit_append(entry))).await;
    assert!(added.into_iter().all(|is_new| is_new.unwrap()));
    assert!(!acme.audit_append(&made[0]).await.unwrap(), "it is there");
    assert!(twin.audit_append(&made[0]).await.unwrap());
    let whole = acme.audit_check(u64::MAX >> 1).await.unwrap();
    assert_eq!((whole.entries, whole.head.number, whole.removed, whole.unchained), (8, 8, 0, 0));
    assert_eq!((whole.head.hash.len(), &whole.flaw), (64, &None));
    let part = acme.audit_check(5).await.unwrap();
    assert_eq!((part.entries, part.head.number), (5, 5));
    let other = twin.audit_check(u64::MAX >> 1).await.unwrap();
    assert_eq!((other.entries, other.flaw), (1, None));
    assert_ne!(other.head.hash, acme.audit_check(1).await.unwrap().head.hash, "the tenant is in it");
}
