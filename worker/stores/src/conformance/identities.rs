use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use jobs::JobId;
use jobs::plan::Quota;
use jobs::tenant::{Role, TenantStatus};
use uuid::Uuid;

use super::fixture::{Pair, Party, now};
use crate::Opened;
use crate::model::{
    Acceptance, Accepted, KeyPlaced, MemberPlaced, Membership, MembershipImport, MembershipImported,
    NewTenant, OverQuota, Renewal, Session, Standing, ThrottleRule, User, UserChange,
};

/// An unused account.
pub(super) fn someone() -> User {
    let name = format!("ann-{}", JobId::generate(now()));
    User { name: name.parse().unwrap(), password_hash: "$argon2id$1".into() }
}

fn founding(founder: &User) -> Acceptance {
    Acceptance { founder: Some(founder.clone()), ..Acceptance::default() }
}

pub(super) async fn users(opened: &Opened) {
    let (identities, ann, bob) = (&opened.identities, someone(), someone());
    assert_eq!(identities.user(&ann.name).await.unwrap(), None);
    assert_eq!(identities.user_put(&ann, now()).await.unwrap(), UserChange::Made);
    assert_eq!(identities.user_put(&ann, now()).await.unwrap(), UserChange::Same);
    assert_eq!(identities.user(&ann.name).await.unwrap(), Some(ann.clone()));
    assert_eq!(identities.user(&bob.name).await.unwrap(), None);
    assert_eq!(identities.memberships(&ann.name.identity()).await.unwrap(), []);

    let session = session(opened, &ann, 1).await;
    let changed = User { password_hash: "$argon2id$2".into(), ..ann };
    assert_eq!(identities.user_put(&changed, now()).await.unwrap(), UserChange::PasswordChanged);
    assert_eq!(identities.user(&changed.name).await.unwrap(), Some(changed));
    assert!(!identities.session_is_live(session.id, now()).await.unwrap(), "the old password began it");
}

pub(super) async fn founders(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (identities, ann, bob) = (&opened.identities, someone(), someone());
    let catalog = pair.acme.stores.catalog();
    assert_eq!(catalog.accept(&founding(&ann), pair.now).await.unwrap(), Accepted::New);
    let membership =
        Membership { tenant: pair.acme.id().clone(), tenant_name: "Acme".into(), role: Role::Admin };
    assert_eq!(
        identities.memberships(&ann.name.identity()).await.unwrap(),
        std::slice::from_ref(&membership)
    );
    assert_eq!(identities.memberships(&bob.name.identity()).await.unwrap(), []);
    let standing = opened.directory.standing(pair.acme.id(), &ann.name.identity()).await;
    assert_eq!(standing.unwrap(), Standing::Member(Role::Admin));
    let elsewhere = opened.directory.standing(pair.twin.id(), &ann.name.identity()).await;
    assert_eq!(elsewhere.unwrap(), Standing::Stranger);

    // If the name is taken nothing else is written either, and the same if the tenant exists.
    let twin = pair.twin.stores.catalog();
    let request = Acceptance { jobs: vec![pair.twin.job()], ..founding(&ann) };
    assert_eq!(twin.accept(&request, pair.now).await.unwrap(), Accepted::UserExists);
    assert_eq!(pair.twin.outbox(opened).await, []);
    let again = NewTenant::new("Acme", "free");
    let request = Acceptance { tenant: Some(again), ..founding(&bob) };
    assert_eq!(catalog.accept(&request, pair.now).await.unwrap(), Accepted::TenantExists);
    assert_eq!(identities.user(&bob.name).await.unwrap(), None);

    catalog.tenant_status_move(TenantStatus::Provisioning, TenantStatus::Suspended).await.unwrap();
    assert_eq!(identities.memberships(&ann.name.identity()).await.unwrap(), [membership]);
    catalog.tenant_status_move(TenantStatus::Suspended, TenantStatus::Deprovisioning).await.unwrap();
    assert_eq!(identities.memberships(&ann.name.identity()).await.unwrap(), []);
}

pub(super) async fn imported_memberships(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (identities, ann) = (&opened.identities, someone());
    identities.user_put(&ann, now()).await.unwrap();
    let import = |party: &Party, role, key: &str| MembershipImport {
        tenant: party.id().clone(),
        role,
        api_key: Some((key.parse().unwrap(), "22".repeat(32))),
    };
    let ensure = async |import: &MembershipImport| {
        identities.membership_import(&ann.name, import, None, now()).await.unwrap()
    };
    let (new, known) = (MemberPlaced::New, MemberPlaced::Known);
    let change =
        |member: &MemberPlaced, key| MembershipImported { member: member.clone(), api_key: Some(key) };
    let viewer = import(&pair.acme, Role::Viewer, "imported");
    assert_eq!(ensure(&viewer).await, change(&new, KeyPlaced::New));
    assert_eq!(ensure(&viewer).await, change(&known, KeyPlaced::Known));
    let stronger = import(&pair.acme, Role::Admin, "imported2");
    assert_eq!(ensure(&stronger).await, change(&known, KeyPlaced::NameTaken));
    let elsewhere = import(&pair.twin, Role::Editor, "imported");
    assert_eq!(ensure(&elsewhere).await, change(&new, KeyPlaced::New));
    let found = identities.memberships(&ann.name.identity()).await.unwrap();
    let found: Vec<_> = found.iter().map(|membership| (&membership.tenant, membership.role)).collect();
    assert_eq!(found, [(pair.acme.id(), Role::Viewer), (pair.twin.id(), Role::Editor)]);
    let key = opened.directory.api_key(pair.acme.id(), &"imported".parse().unwrap()).await.unwrap();
    assert_eq!(key.unwrap().role, Role::Viewer);
}

/// Concurrent imports do not exceed the limit.
pub(super) async fn imports_are_limited(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let people: Vec<_> = (0..8).map(|_| someone()).collect();
    let import = MembershipImport {
        tenant: pair.acme.id().clone(),
        role: Role::Viewer,
        api_key: Some(("imported".parse().unwrap(), "22".repeat(32))),
    };
    let ensure = async |person: &User| {
        opened.identities.membership_import(&person.name, &import, Some(3), now()).await.unwrap()
    };
    let changes = join_all(people.iter().map(&ensure)).await;
    let over = OverQuota { quota: Quota::Members, current: 3, maximum: 3 };
    let refused = MembershipImported { member: MemberPlaced::OverQuota(over), api_key: None };
    assert_eq!(changes.iter().filter(|change| **change == refused).count(), 5);
    let placed = changes.iter().filter(|change| change.member == MemberPlaced::New);
    let keys: Vec<_> = placed.map(|change| change.api_key).collect();
    assert_eq!(keys.iter().filter(|key| **key == Some(KeyPlaced::New)).count(), 1);
    assert_eq!(keys.len(), 3);
    let inside = changes.iter().position(|change| *change != refused).unwrap();
    assert_eq!(ensure(&people[inside]).await.member, MemberPlaced::Known, "who is in needs no room");
    let outside = changes.iter().position(|change| *change == refused).unwrap();
    assert_eq!(opened.identities.memberships(&people[outside].name.identity()).await.unwrap(), []);
}

/// A session of `user` that ends in `hours`.
async fn session(opened: &Opened, user: &User, hours: i64) -> Session {
    let session = Session {
        id: Uuid::now_v7(),
        user: user.name.clone(),
        tenant: Some("acme".parse().unwrap()),
        generation: 1,
        expires_at: now() + TimeDelta::hours(hours),
    };
    opened.identities.session_insert(&session, now()).await.unwrap();
    session
}

pub(super) async fn sessions(opened: &Opened) {
    let (identities, ann) = (&opened.identities, someone());
    identities.user_put(&ann, now()).await.unwrap();
    let (first, other) = (session(opened, &ann, 1).await, session(opened, &ann, 1).await);
    assert!(identities.session_is_live(first.id, now()).await.unwrap());
    assert!(!identities.session_is_live(first.id, first.expires_at).await.unwrap());
    assert!(!identities.session_is_live(Uuid::now_v7(), now()).await.unwrap());

    let later = first.expires_at + TimeDelta::hours(1);
    let renewed = Session { generation: 2, expires_at: later, ..first.clone() };
    let renew = async |id, generation| identities.session_renew(id, generation, later, now()).await.unwrap();
    assert_eq!(renew(first.id, 1).await, Renewal::Renewed(renewed));
    assert!(identities.session_is_live(first.id, first.expires_at).await.unwrap());
    assert_eq!(renew(first.id, 1).await, Renewal::Reused);
    assert!(!identities.session_is_live(first.id, now()).await.unwrap());
    assert_eq!(renew(first.id, 2).await, Renewal::Ended);
    assert_eq!(renew(Uuid::now_v7(), 1).await, Renewal::Ended);

    assert!(identities.session_end(other.id, now()).await.unwrap());
    assert!(!identities.session_end(other.id, now()).await.unwrap());
    assert!(!identities.session_is_live(other.id, now()).await.unwrap());
    assert_eq!(renew(other.id, 1).await, Renewal::Ended);
}

/// Changing the password ends all sessions but the one in which it was changed.
pub(super) async fn another_password(opened: &Opened) {
    let (identities, ann, bob) = (&opened.identities, someone(), someone());
    let changed = User { password_hash: "$argon2id$2".into(), ..ann.clone() };
    let put = async |user: &User, kept| identities.password_put(user, kept, now()).await.unwrap();
    assert!(!put(&changed, Uuid::now_v7()).await);
    assert_eq!(identities.user(&ann.name).await.unwrap(), None, "it makes nobody");
    identities.user_put(&ann, now()).await.unwrap();
    identities.user_put(&bob, now()).await.unwrap();
    let (here, there) = (session(opened, &ann, 1).await, session(opened, &ann, 1).await);
    let (others, live) = (session(opened, &bob, 1).await, async |session: &Session| {
        identities.session_is_live(session.id, now()).await.unwrap()
    });
    assert!(put(&changed, here.id).await);
    assert_eq!(identities.user(&ann.name).await.unwrap(), Some(changed.clone()));
    assert_eq!(identities.user(&bob.name).await.unwrap(), Some(bob));
    assert_eq!((live(&here).await, live(&there).await, live(&others).await), (true, false, true));
    let renewal = identities.session_renew(there.id, 1, there.expires_at, now()).await.unwrap();
    assert_eq!(renewal, Renewal::Ended);
    assert!(put(&changed, there.id).await);
    assert!(!live(&here).await && !live(&there).await, "what has ended is not brought back");
}

/// Of concurrent renewals with one token, one succeeds.
pub(super) async fn racing_renewals(opened: &Opened) {
    let (identities, ann) = (&opened.identities, someone());
    identities.user_put(&ann, now()).await.unwrap();
    let session = session(opened, &ann, 1).await;
    let renew = || identities.session_renew(session.id, 1, session.expires_at, now());
    let renewals = join_all((0..8).map(|_| renew())).await;
    let renewed = renewals.into_iter().filter(|renewal| matches!(renewal, Ok(Renewal::Renewed(_))));
    assert_eq!(renewed.count(), 1);
    assert!(!identities.session_is_live(session.id, now()).await.unwrap());
}

pub(super) async fn throttles(opened: &Opened) {
    let identities = &opened.identities;
    let (key, other) = (someone().name.to_string(), someone().name.to_string());
    let minute = Duration::from_secs(60);
    let rule =
        ThrottleRule::Lock { free: 3, first_wait: minute, longest_wait: minute * 8, forget: minute * 60 };
    let enter = async |key: &str, at| identities.throttle_enter(key, rule, at).await.unwrap();
    let start = now();

    // Of many concurrent attempts, three are allowed.
    let tries = join_all((0..12).map(|_| enter(&key, start))).await;
    assert_eq!(tries.iter().filter(|wait| wait.is_none()).count(), 3);
    assert_eq!(enter(&key, start).await, Some(minute));
    assert_eq!(enter(&other, start).await, None);
    assert_eq!(enter(&key, start + minute).await, None);
    assert_eq!(enter(&key, start + minute).await, Some(minute * 2));
    identities.throttle_reset(&key).await.unwrap();
    assert_eq!(enter(&key, start + minute).await, None);

    // Old attempts do not count at all.
    assert_eq!(enter(&key, start + TimeDelta::days(10)).await, None);
}
