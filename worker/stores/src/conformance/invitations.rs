use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use jobs::plan::Quota;
use jobs::tenant::{Identity, Role, TenantStatus};
use uuid::Uuid;

use super::fixture::{Pair, Party, now};
use crate::Opened;
use crate::model::{
    Invitation, InvitationAccepted, InvitationSecret, Invited, Invitee, OverQuota, Standing, User,
};

fn invitation(subject: &str, now: DateTime<Utc>) -> (Invitation, InvitationSecret) {
    let invitation = Invitation {
        id: Uuid::now_v7(),
        subject: subject.parse().unwrap(),
        role: Role::Editor,
        created_by: "operator".into(),
        created_at: now,
        expires_at: now + TimeDelta::hours(1),
    };
    let secret = InvitationSecret { id: invitation.id, sha256: Uuid::now_v7().simple().to_string() };
    (invitation, secret)
}

async fn insert(party: &Party, of: &(Invitation, InvitationSecret), maximum: Option<u64>) -> Invited {
    let (invitation, secret) = of;
    let catalog = party.stores.catalog();
    catalog.invitation_insert(invitation, &secret.sha256, maximum, invitation.created_at).await.unwrap()
}

/// Creates an open invitation of the tenant.
async fn open(party: &Party, subject: &str) -> (Invitation, InvitationSecret) {
    let new = invitation(subject, now());
    assert_eq!(insert(party, &new, None).await, Invited::New);
    new
}

fn person() -> Identity {
    Identity::product(&Uuid::now_v7().to_string()).unwrap()
}

async fn accept(
    opened: &Opened,
    party: &Party,
    secret: &InvitationSecret,
    who: &Identity,
) -> InvitationAccepted {
    let who = Invitee::Known(who.clone());
    opened.identities.invitation_accept(party.id(), secret, &who, None, now()).await.unwrap()
}

pub(super) async fn made_listed_and_withdrawn(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let mut made = Vec::new();
    for subject in ["ann", "bob", "cid"] {
        made.push(open(&pair.acme, subject).await.0);
    }
    made.sort_by_key(|invitation| invitation.id);
    let first = catalog.invitations(None, 2, now()).await.unwrap();
    assert_eq!((first.items.as_slice(), first.next), (&made[..2], Some(made[1].id.to_string())));
    let last = catalog.invitations(Some(made[1].id), 2, now()).await.unwrap();
    assert_eq!((last.items.as_slice(), last.next), (&made[2..], None));
    assert_eq!(catalog.invitation(made[0].id, now()).await.unwrap().as_ref(), Some(&made[0]));
    assert_eq!(pair.twin.stores.catalog().invitation(made[0].id, now()).await.unwrap(), None);
    assert_eq!(pair.twin.stores.catalog().invitations(None, 9, now()).await.unwrap().items, []);
    assert!(!pair.twin.stores.catalog().invitation_delete(made[0].id).await.unwrap());

    // A subject can have one open invitation.
    let again = invitation("bob", now());
    assert_eq!(insert(&pair.acme, &again, None).await, Invited::Known);
    let bobs = made.iter().find(|invitation| invitation.subject.as_str() == "bob").unwrap();
    assert!(catalog.invitation_delete(bobs.id).await.unwrap());
    assert!(!catalog.invitation_delete(bobs.id).await.unwrap());
    assert_eq!(insert(&pair.acme, &again, None).await, Invited::New);
    let late = again.0.expires_at;
    assert_eq!(catalog.invitations(None, 9, late).await.unwrap().items, []);
    assert_eq!(catalog.invitation(again.0.id, late).await.unwrap(), None);
    assert_eq!(insert(&pair.acme, &invitation("bob", late), None).await, Invited::New, "it has expired");
}

pub(super) async fn accepted_once(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (offer, secret) = open(&pair.acme, "ann").await;
    let people: Vec<_> = (0..8).map(|_| person()).collect();
    let race = people.iter().map(|person| accept(opened, &pair.acme, &secret, person));
    let accepted = join_all(race).await;
    let members = accepted.iter().filter(|found| matches!(found, InvitationAccepted::Member(_))).count();
    let unknown = accepted.iter().filter(|found| **found == InvitationAccepted::Unknown).count();
    assert_eq!((members, unknown), (1, 7), "{accepted:?}");
    assert_eq!(pair.acme.stores.catalog().invitation(offer.id, now()).await.unwrap(), None);
    let listed = pair.acme.stores.catalog().members(None, None, 9).await.unwrap().items;
    assert_eq!((listed.len(), listed[0].role), (1, Role::Editor));
    opened.directory.invalidate(pair.acme.id()).await;
    let member = &listed[0].identity;
    let standing = opened.directory.standing(pair.acme.id(), member).await.unwrap();
    assert_eq!(standing, Standing::Member(Role::Editor));

    // A member who accepts leaves the invitation open; a removed member may come back.
    let (_, second) = open(&pair.acme, "bob").await;
    assert_eq!(accept(opened, &pair.acme, &second, member).await, InvitationAccepted::MemberExists);
    pair.acme.stores.catalog().member_remove(member, None, now()).await.unwrap();
    let back = accept(opened, &pair.acme, &second, member).await;
    assert!(matches!(back, InvitationAccepted::Member(_)), "{back:?}");
}

pub(super) async fn accepted_with_a_new_account(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let name = format!("ann-{}", Uuid::now_v7());
    let user = User { name: name.parse().unwrap(), password_hash: "$argon2id$1".into() };
    let accept = async |secret: &InvitationSecret, user: &User| {
        let who = Invitee::New(user.clone());
        opened.identities.invitation_accept(pair.acme.id(), secret, &who, None, now()).await.unwrap()
    };
    let (first, second) = (open(&pair.acme, "ann").await, open(&pair.acme, "bob").await);
    let accepted = accept(&first.1, &user).await;
    assert!(
        matches!(&accepted, InvitationAccepted::Member(member) if member.identity == user.name.identity())
    );
    assert_eq!(opened.identities.user(&user.name).await.unwrap(), Some(user.clone()));
    assert_eq!(opened.identities.memberships(&user.name.identity()).await.unwrap().len(), 1);

    // An existing account keeps its password, and the invitation stays open.
    let other = User { password_hash: "$argon2id$2".into(), ..user.clone() };
    pair.acme.stores.catalog().member_remove(&user.name.identity(), None, now()).await.unwrap();
    assert_eq!(accept(&second.1, &other).await, InvitationAccepted::UserExists);
    assert_eq!(opened.identities.user(&user.name).await.unwrap(), Some(user));
    assert!(pair.acme.stores.catalog().invitation(second.0.id, now()).await.unwrap().is_some());
}

pub(super) async fn only_the_right_secret(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (offer, secret) = open(&pair.acme, "ann").await;
    let (withdrawn, withdrawn_secret) = open(&pair.acme, "bob").await;
    pair.acme.stores.catalog().invitation_delete(withdrawn.id).await.unwrap();
    let other = open(&pair.acme, "cid").await.1;
    let (party, ann) = (&pair.acme, person());
    for (what, party, secret, at) in [
        ("wrong secret", party, InvitationSecret { sha256: other.sha256.clone(), ..secret.clone() }, now()),
        ("unknown", party, InvitationSecret { id: Uuid::now_v7(), ..secret.clone() }, now()),
        ("another tenant's", &pair.twin, secret.clone(), now()),
        ("withdrawn", party, withdrawn_secret, now()),
        ("expired", party, secret.clone(), offer.expires_at),
    ] {
        assert_eq!(opened.identities.invitation_of(party.id(), &secret, at).await.unwrap(), None, "{what}");
        let who = Invitee::Known(ann.clone());
        let accepted = opened.identities.invitation_accept(party.id(), &secret, &who, None, at).await;
        assert_eq!(accepted.unwrap(), InvitationAccepted::Unknown, "{what}");
    }
    assert_eq!(opened.identities.memberships(&ann).await.unwrap(), []);
    let found = opened.identities.invitation_of(pair.acme.id(), &secret, now()).await.unwrap();
    assert_eq!(found, Some(offer));
}

/// The limit holds for members and open invitations together, also when they are created and accepted concurrently.
pub(super) async fn no_more_than_the_maximum(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    catalog.member_insert(&person(), Role::Admin, None, now(), None).await.unwrap();
    let offers: Vec<_> = (0..8).map(|number| invitation(&format!("racing-{number}"), now())).collect();
    let made = join_all(offers.iter().map(|offer| insert(&pair.acme, offer, Some(4)))).await;
    let over = |current, maximum| OverQuota { quota: Quota::Members, current, maximum };
    assert_eq!(made.iter().filter(|made| **made == Invited::New).count(), 3, "{made:?}");
    assert_eq!(made.iter().filter(|made| **made == Invited::OverQuota(over(4, 4))).count(), 5);
    assert_eq!(catalog.usage(now()).await.unwrap().members, 4);
    let direct = catalog.member_insert(&person(), Role::Viewer, Some(4), now(), None).await.unwrap();
    assert_eq!(direct, crate::model::MemberAdded::OverQuota(over(4, 4)));

    // The plan's limit was lowered meanwhile.
    let accepted = join_all(offers.iter().zip(&made).filter(|(_, made)| **made == Invited::New).map(
        async |((_, secret), _)| {
            let who = Invitee::Known(person());
            opened.identities.invitation_accept(pair.acme.id(), secret, &who, Some(2), now()).await.unwrap()
        },
    ))
    .await;
    let members = accepted.iter().filter(|found| matches!(found, InvitationAccepted::Member(_))).count();
    let full = InvitationAccepted::OverQuota(over(2, 2));
    assert_eq!((members, accepted.iter().filter(|found| **found == full).count()), (1, 2), "{accepted:?}");
    assert_eq!(catalog.members(None, None, 9).await.unwrap().items.len(), 2);
}

pub(super) async fn of_a_closed_tenant(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let (_, secret) = open(&pair.acme, "ann").await;
    let ann = person();
    for (from, to, expected) in [
        (TenantStatus::Provisioning, TenantStatus::Suspended, InvitationAccepted::Unknown),
        (TenantStatus::Suspended, TenantStatus::Deprovisioning, InvitationAccepted::Unknown),
    ] {
        assert!(catalog.tenant_status_move(from, to).await.unwrap());
        assert_eq!(accept(opened, &pair.acme, &secret, &ann).await, expected, "{to}");
    }
    assert_eq!(opened.identities.memberships(&ann).await.unwrap(), []);
}
