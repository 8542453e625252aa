use futures::future::join_all;
use jobs::plan::Quota;
use jobs::tenant::{Actor, Identity, Permissions, Role};

use super::fixture::{Pair, Party, now};
use crate::Opened;
use crate::model::{Member, MemberAdded, MemberChange, OverQuota, Standing};

fn identity(name: &str) -> Identity {
    Identity::product(name).unwrap()
}

async fn add(party: &Party, name: &str, role: Role) -> Member {
    let added = party.stores.catalog().member_insert(&identity(name), role, None, now(), None).await.unwrap();
    let MemberAdded::New(member) = added else { panic!("{name}: {added:?}") };
    member
}

async fn names(party: &Party, role: Option<Role>) -> Vec<String> {
    let members = party.stores.catalog().members(role, None, 1_000).await.unwrap().items;
    members.into_iter().map(|member| member.identity.subject().to_owned()).collect()
}

pub(super) async fn added_changed_and_removed(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, ann) = (pair.acme.stores.catalog(), identity("ann@example.com"));
    let by = Some("local:eve");
    let new = catalog.member_insert(&ann, Role::Editor, None, pair.now, by).await.unwrap();
    let expected = Member {
        identity: ann.clone(),
        role: Role::Editor,
        revision: 1,
        created_at: pair.now,
        created_by: by.map(str::to_owned),
    };
    assert_eq!(new, MemberAdded::New(expected.clone()));
    assert_eq!(
        catalog.member_insert(&ann, Role::Admin, None, now(), None).await.unwrap(),
        MemberAdded::Known
    );
    assert_eq!(catalog.member(&ann).await.unwrap(), Some(expected.clone()));

    let viewer = Member { role: Role::Viewer, revision: 2, ..expected.clone() };
    let changed = catalog.member_role_put(&ann, Role::Viewer, Some(1)).await.unwrap();
    assert_eq!(changed, MemberChange::Done(viewer.clone()));
    let late = catalog.member_role_put(&ann, Role::Editor, Some(1)).await.unwrap();
    assert_eq!(late, MemberChange::Stale);
    assert_eq!(catalog.member_remove(&ann, Some(1), now()).await.unwrap(), MemberChange::Stale);
    assert_eq!(catalog.member(&ann).await.unwrap(), Some(viewer));

    assert!(matches!(catalog.member_remove(&ann, None, now()).await.unwrap(), MemberChange::Done(_)));
    assert_eq!(catalog.member(&ann).await.unwrap(), None);
    assert_eq!(catalog.member_remove(&ann, None, now()).await.unwrap(), MemberChange::Unknown);
    let gone = catalog.member_role_put(&ann, Role::Admin, None).await.unwrap();
    assert_eq!(gone, MemberChange::Unknown);

    // A revision that was read before the removal is outdated after it.
    let again = catalog.member_insert(&ann, Role::Editor, None, pair.now, None).await.unwrap();
    assert_eq!(again, MemberAdded::New(Member { revision: 4, created_by: None, ..expected }));
}

pub(super) async fn pages(opened: &Opened) {
    let pair = Pair::new(opened).await;
    for name in ["dan", "ann", "cid", "bob"] {
        add(&pair.acme, name, if name == "cid" { Role::Viewer } else { Role::Editor }).await;
    }
    add(&pair.twin, "eve", Role::Editor).await;
    let catalog = pair.acme.stores.catalog();
    let numbered = async |role, offset, limit| {
        let (found, total) = catalog.members_numbered(role, offset, limit).await.unwrap();
        let names = found.into_iter().map(|member| member.identity.subject().to_owned());
        (names.collect::<Vec<_>>().join(" "), total)
    };
    assert_eq!(numbered(None, 0, 3).await, ("ann bob cid".to_owned(), 4));
    assert_eq!(numbered(None, 3, 3).await, ("dan".to_owned(), 4));
    assert_eq!(numbered(Some(Role::Viewer), 0, 3).await, ("cid".to_owned(), 1));
    assert_eq!(numbered(None, 9, 3).await, (String::new(), 4), "beyond the end the total is still known");
    let first = catalog.members(None, None, 3).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("product:cid"));
    let second = catalog.members(None, Some(&identity("cid")), 3).await.unwrap();
    assert_eq!((second.items.len(), second.next), (1, None));
    catalog.member_remove(&identity("bob"), None, now()).await.unwrap();
    assert_eq!(names(&pair.acme, None).await, ["ann", "cid", "dan"]);
    assert_eq!(names(&pair.acme, Some(Role::Viewer)).await, ["cid"]);
    assert_eq!(names(&pair.twin, None).await, ["eve"]);
}

pub(super) async fn kept_apart(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let ann = identity("ann");
    add(&pair.acme, "ann", Role::Admin).await;
    let before = add(&pair.twin, "ann", Role::Viewer).await;
    add(&pair.acme, "bob", Role::Admin).await;
    let catalog = pair.acme.stores.catalog();
    catalog.member_role_put(&ann, Role::Editor, None).await.unwrap();
    catalog.member_remove(&ann, None, now()).await.unwrap();
    let twin = pair.twin.stores.catalog();
    assert_eq!(twin.member(&ann).await.unwrap(), Some(before));
    assert_eq!(twin.member(&identity("bob")).await.unwrap(), None);
    let foreign = twin.member_remove(&identity("bob"), None, now()).await.unwrap();
    assert_eq!(foreign, MemberChange::Unknown);
    // Admins of the other tenant do not count here.
    add(&pair.twin, "cid", Role::Admin).await;
    let last = catalog.member_remove(&identity("bob"), None, now()).await.unwrap();
    assert_eq!(last, MemberChange::LastAdmin);
}

/// When admins remove or demote each other concurrently, one admin stays.
pub(super) async fn last_admin_stays(opened: &Opened) {
    let pair = Pair::new(opened).await;
    for round in 0..5 {
        let admins: Vec<_> = (0..4).map(|number| format!("admin-{round}-{number}")).collect();
        for admin in &admins {
            add(&pair.acme, admin, Role::Admin).await;
        }
        let attack = admins.iter().enumerate().map(async |(number, name)| {
            let catalog = pair.acme.stores.catalog();
            if number % 2 == 0 {
                catalog.member_remove(&identity(name), None, now()).await.unwrap()
            } else {
                catalog.member_role_put(&identity(name), Role::Editor, None).await.unwrap()
            }
        });
        // Including those of the round before.
        let old = names(&pair.acme, Some(Role::Admin)).await;
        let old = old.iter().filter(|name| !admins.contains(name));
        let old = old.map(async |name| {
            pair.acme.stores.catalog().member_remove(&identity(name), None, now()).await.unwrap()
        });
        let (changes, _) = tokio::join!(join_all(attack), join_all(old));
        let left = names(&pair.acme, Some(Role::Admin)).await;
        assert_eq!(left.len(), 1, "{left:?} after {changes:?}");
    }
}

/// Of concurrent additions exactly as many succeed as there is room for.
pub(super) async fn no_more_than_the_maximum(opened: &Opened) {
    let pair = Pair::new(opened).await;
    add(&pair.twin, "other", Role::Viewer).await;
    add(&pair.acme, "removed", Role::Viewer).await;
    let catalog = pair.acme.stores.catalog();
    catalog.member_remove(&identity("removed"), None, now()).await.unwrap();
    let names: Vec<_> = (0..12).map(|number| identity(&format!("racing-{number}"))).collect();
    let race = names.iter().map(async |name| {
        pair.acme.stores.catalog().member_insert(name, Role::Viewer, Some(3), now(), None).await.unwrap()
    });
    let added = join_all(race).await;
    assert_eq!(added.iter().filter(|added| matches!(added, MemberAdded::New(_))).count(), 3, "{added:?}");
    let full = catalog.member_insert(&identity("late"), Role::Viewer, Some(3), now(), None).await.unwrap();
    let over = OverQuota { quota: Quota::Members, current: 3, maximum: 3 };
    assert_eq!(full, MemberAdded::OverQuota(over));
}

/// A change is visible at once, whatever was cached.
pub(super) async fn invalidation_of_members(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let ann = identity("ann");
    let allowed = async || {
        let actor = Actor::User(ann.clone());
        opened.directory.permissions(pair.acme.id(), None, &actor, Role::Admin).await.unwrap()
    };
    add(&pair.acme, "boss", Role::Admin).await;
    add(&pair.acme, "ann", Role::Admin).await;
    assert_eq!(allowed().await, Role::Admin.permissions());
    catalog.member_role_put(&ann, Role::Viewer, None).await.unwrap();
    assert_eq!(allowed().await, Role::Viewer.permissions());
    catalog.member_remove(&ann, None, now()).await.unwrap();
    assert_eq!(allowed().await, Permissions::NONE);
    add(&pair.acme, "ann", Role::Editor).await;
    assert_eq!(allowed().await, Role::Editor.permissions());
}

/// The same name at another provider is another person.
pub(super) async fn one_name_of_several_providers(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, id) = (pair.acme.stores.catalog(), pair.acme.id());
    let all = [
        ("local:ann", Role::Viewer),
        ("product:ann", Role::Editor),
        ("product:Ann", Role::Admin),
        ("issuer:https://a.example.com/#ann", Role::Editor),
        ("issuer:https://b.example.com/#ann", Role::ViewerReadonly),
    ];
    let all = all.map(|(text, role)| (text.parse::<Identity>().unwrap(), role));
    let standing = async |identity: &Identity| opened.directory.standing(id, identity).await.unwrap();
    for (member, role) in &all {
        assert_eq!(standing(member).await, Standing::Stranger, "{member}");
        catalog.member_insert(member, *role, None, now(), None).await.unwrap();
    }
    for (member, role) in &all {
        assert_eq!(standing(member).await, Standing::Member(*role), "{member}");
        let of = opened.identities.memberships(member).await.unwrap();
        let here = of.into_iter().find(|membership| membership.tenant == *id);
        assert_eq!(here.map(|membership| membership.role), Some(*role), "{member}");
    }
    catalog.member_remove(&all[1].0, None, now()).await.unwrap();
    assert_eq!(standing(&all[1].0).await, Standing::Removed);
    assert_eq!(standing(&all[0].0).await, Standing::Member(Role::Viewer));
}
