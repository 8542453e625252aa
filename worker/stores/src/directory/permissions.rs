//! What an actor may do, from the rows that say so.

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, KbId, Permissions, Role};

use crate::model::{ApiKeyRecord, Standing};

/// What the holder of a key may do in a knowledge base, or in all of the tenant: nothing out of its reach, nor
/// once it is revoked, expired or gone.
pub(super) fn of_api_key(
    record: Option<&ApiKeyRecord>,
    kb: Option<&KbId>,
    now: DateTime<Utc>,
) -> Permissions {
    let works = |key: &&ApiKeyRecord| key.is_live(now) && key.reaches(kb);
    record.filter(works).map_or(Permissions::NONE, |key| key.permissions)
}

/// What a person may do: what the membership says, and no more than the token said. Without a membership only whom a
/// program of the operator's vouches for may do anything: the API stamps nothing for a stranger unless its settings say
/// so, and a program that embeds the worker has a sign-in of its own.
pub(super) fn of_person(identity: &Identity, standing: Standing, role_in_stamp: Role) -> Permissions {
    match standing {
        Standing::Member(role) => role.permissions().intersection(role_in_stamp.permissions()),
        Standing::Stranger if identity.is_vouched_for() => role_in_stamp.permissions(),
        Standing::Removed | Standing::Stranger => Permissions::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKeyRecord {
        ApiKeyRecord {
            secret_sha256: String::new(),
            previous: None,
            role: Role::Editor,
            kb_id: None,
            permissions: Role::Editor.permissions(),
            expires_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_ends_with_its_time_or_its_revocation() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let second = chrono::TimeDelta::seconds(1);
        let key = |expires_at, revoked_at| ApiKeyRecord { expires_at, revoked_at, ..key() };
        let all = Role::Editor.permissions();
        assert_eq!(of_api_key(Some(&key(None, None)), None, now), all);
        assert_eq!(of_api_key(Some(&key(Some(now + second), None)), None, now), all);
        assert_eq!(of_api_key(Some(&key(Some(now), None)), None, now), Permissions::NONE);
        assert_eq!(of_api_key(Some(&key(None, Some(now - second))), None, now), Permissions::NONE);
        assert_eq!(of_api_key(None, None, now), Permissions::NONE);
    }

    #[test]
    fn a_key_for_one_knowledge_base_reaches_neither_another_nor_the_tenant() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let (mine, other): (KbId, KbId) = ("papers".parse().unwrap(), "papers-2".parse().unwrap());
        let key = ApiKeyRecord { kb_id: Some(mine.clone()), ..key() };
        assert_eq!(of_api_key(Some(&key), Some(&mine), now), key.permissions);
        assert_eq!(of_api_key(Some(&key), Some(&other), now), Permissions::NONE);
        assert_eq!(of_api_key(Some(&key), None, now), Permissions::NONE);
    }

    #[test]
    fn only_members_and_whom_the_product_vouches_for_may_do_anything() {
        for (text, is_vouched_for) in [
            ("local:ann", false),
            ("issuer:https://id.example.com/#ann", false),
            ("product:ann", true),
            ("user:ann", true),
        ] {
            let of = |standing, role| of_person(&text.parse().unwrap(), standing, role);
            let member = Standing::Member(Role::Viewer);
            assert_eq!(of(Standing::Removed, Role::Admin), Permissions::NONE, "{text}");
            assert_eq!(of(member, Role::Admin), Role::Viewer.permissions(), "{text}");
            let narrow = Role::ViewerReadonly;
            assert_eq!(of(member, narrow), narrow.permissions(), "{text}: the token says less");
            let believed = if is_vouched_for { Role::Editor.permissions() } else { Permissions::NONE };
            assert_eq!(of(Standing::Stranger, Role::Editor), believed, "{text}");
        }
    }
}
